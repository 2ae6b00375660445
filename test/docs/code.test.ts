// The TypeScript in the library's pages (README.md, docs/library.md, docs/guides/library, docs/guides/migrate): compiled and run as it stands
// there, with the addresses of a real Postgres, a real cluster and a real Tidemark server in the place of those that pages name.
// Not for: how a page becomes a module (code-page.ts), commands (snippets.test.ts).
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { after, describe, test } from 'node:test'
import { PostgresServer } from '../support/postgres.ts'
import { RedisCluster } from '../support/redis-cluster.ts'
import { TidemarkProcess } from '../support/tidemark-process.ts'
import { UserProject } from '../support/user-project.ts'
import { checksFile, readCode, type CodePage } from './code-page.ts'

const root = resolve(import.meta.dirname, '../..')
const guests = ['@epic-web/cachified', 'bentocache', 'cache-manager', 'keyv', 'lru-cache', 'zod']
const paths = globSync(['README.md', 'docs/library.md', 'docs/guides/{library,migrate}/*.md'], { cwd: root }).sort()

/** The addresses that pages name. */
const addresses = {
  postgres: 'postgres://cache:secret@db.internal/shop',
  valkey: 'valkey://10.0.0.1:6379',
  tidemark: 'tidemark://10.0.0.1:6379',
} as const

type Server = keyof typeof addresses

interface Closeable {
  close(): Promise<void>
}

class Servers {
  readonly #running: Closeable[] = []
  readonly #starting = new Map<Server, Promise<string | undefined>>()
  readonly #folder: string
  #postgres: PostgresServer | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  /** The address of one, which is started if it does not run yet; undefined where it is not installed. */
  at(server: Server): Promise<string | undefined> {
    const starting = this.#starting.get(server) ?? this.#start(server)
    this.#starting.set(server, starting)
    return starting
  }

  async close(): Promise<void> {
    for (const server of this.#running.splice(0)) await server.close()
  }

  async #start(server: Server): Promise<string | undefined> {
    if (server === 'postgres') return this.#startPostgres()
    if (server === 'valkey') {
      const cluster = await RedisCluster.start()
      if (cluster === undefined) return undefined
      this.#running.push(cluster)
      return `valkey://${cluster.addresses[0]}`
    }
    const args = ['--data', join(this.#folder, 'server'), '--tier-memory', '64mb', '--threads', '1']
    const served = await TidemarkProcess.start({ name: 'tier', folder: this.#folder, args })
    this.#running.push(served)
    return `tidemark://127.0.0.1:${served.port}`
  }

  async #startPostgres(): Promise<string | undefined> {
    const postgres = await PostgresServer.start()
    if (postgres === undefined) return undefined
    this.#running.push(postgres)
    this.#postgres = postgres
    await postgres.query('CREATE DATABASE shop')
    const statements = [
      'CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, visits int NOT NULL DEFAULT 0)',
      "CREATE ROLE cache LOGIN REPLICATION PASSWORD 'secret'",
      'GRANT SELECT, INSERT, UPDATE, DELETE ON users TO cache',
      'CREATE PUBLICATION tidemark FOR TABLE users WITH (publish_via_partition_root = true)',
    ]
    for (const statement of statements) await postgres.query(statement, [], 'shop')
    return `postgres://cache:secret@127.0.0.1:${postgres.port}/shop`
  }

  /** The rows that pages begin with: those before may have changed them. */
  async rows(): Promise<void> {
    const statements = ['DELETE FROM users', "INSERT INTO users (id, name) VALUES (1, 'Ada'), (2, 'Grace')"]
    for (const statement of statements) await this.#postgres?.query(statement, [], 'shop')
  }
}

describe('code in the pages of the library', () => {
  const pages = new Map<string, CodePage>(paths.map(path => [path, readCode(readFileSync(join(root, path), 'utf8'))]))
  const project = new UserProject({ guests })
  const servers = new Servers(project.folder)
  after(async () => {
    await servers.close()
    project.close()
  })

  test('is found in each of them', () => {
    assert.ok(paths.includes('docs/library.md') && paths.length >= 14, paths.join(', '))
    for (const [path, { blocks, checks }] of pages) assert.ok(blocks > 0 && checks > 0, path)
  })

  test('compiles, and a mistake in it would not', () => {
    const files = new Map(Array.from(pages, ([path, { shown }]) => [path.replace(/\.md$/, '.ts'), shown]))
    files.set('mistake.ts', "import { createTidemark } from 'tidemark'\nawait createTidemark({ neer: {} })\n")
    for (const [file, text] of files) project.write(file, `${text}\nexport {}\n`)
    const found = project.compile([...files.keys()])
    const mistakes = found.filter(({ file }) => file === 'mistake.ts')
    assert.deepEqual(
      mistakes.map(({ line }) => line),
      [2],
    )
    const messages = found
      .filter(({ file }) => file !== 'mistake.ts')
      .map(each => `${each.file}:${each.line} ${each.message}`)
    assert.equal(messages.join('\n'), '')
  })

  for (const [path, { checked, checks }] of pages) {
    test(`of ${path} does what it says`, async t => {
      let text = checked
      for (const [server, address] of Object.entries(addresses) as [Server, string][]) {
        if (!text.includes(address)) continue
        const here = await servers.at(server)
        if (here === undefined) return t.skip(`${server} is not installed`)
        text = text.replaceAll(address, here)
      }
      await servers.rows()
      const folder = `run-${basename(path, '.md')}`
      project.write(`${folder}/checks.js`, checksFile)
      project.write(`${folder}/page.ts`, text)
      const { status, output } = await project.run('page.ts', folder)
      assert.equal(status, 0, `${path}\n${output}`)
      assert.equal(new Set(output.match(/^checked \d+$/gm)).size, checks, `not all of ${path} was run:\n${output}`)
    })
  }
})
