// The package as users get it: packed, installed into an empty folder, and used from there on the oldest supported line of
// Node and on the newest; a Node that is too old is told so in one line. Nothing of the repository is in reach of it.
// The older Nodes come from toolchain/older, a private folder with its own lock, installed here on first use.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { ChildProcessByStdio } from 'node:child_process'
import type { Readable } from 'node:stream'

const root = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)
const configFile = `import { defineConfig } from 'tidemark'
import { sqlite } from 'tidemark/sqlite'

export default defineConfig({
  databases: { shop: sqlite({ file: 'shop.db' }) },
  keyspaces: { users: { database: 'shop', table: 'users' } },
})
`
const typedProgram = `import { TidemarkError, defineConfig, type ErrorCode, type TidemarkConfig } from 'tidemark'
import { sqlite } from 'tidemark/sqlite'

const config: TidemarkConfig = defineConfig({ databases: { shop: sqlite({ file: 'shop.db' }) } })
export const code: ErrorCode = new TidemarkError('CONFIG_INVALID', JSON.stringify(config)).code
// @ts-expect-error: there is no such code
export const wrong: ErrorCode = 'NO_SUCH_CODE'
// @ts-expect-error: a file is a path
sqlite({ file: 1 })
`

interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string; readonly mode: number }[]
}

/** The environment of a user: nothing of npm's own variables, which the script that runs the tests passes on. */
function userEnvironment(nodeFolder: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^npm_|^NODE_|^TIDEMARK_/i.test(name))
  const path = (process.env['PATH'] ?? '').split(delimiter).filter(folder => !folder.includes('node_modules'))
  return { ...Object.fromEntries(kept), PATH: [nodeFolder, ...path].join(delimiter) }
}

/** The `node` of toolchain/older whose major version is `major`. */
async function olderNode(major: 20 | 24): Promise<string> {
  const folder = join(root, 'toolchain/older')
  const file = join(folder, `node_modules/node${major}-${process.platform}-${process.arch}/bin/node`)
  if (!existsSync(file)) await run('npm', ['ci', '--no-bin-links'], { cwd: folder })
  return realpath(file)
}

/** A server in a process group of its own, started as a user does; `stop` is Ctrl-C. */
class Serving {
  readonly port: number
  readonly adminPort: number
  readonly #child: ChildProcessByStdio<null, Readable, Readable>

  private constructor(child: ChildProcessByStdio<null, Readable, Readable>, ports: readonly number[]) {
    this.#child = child
    this.port = ports[0]!
    this.adminPort = ports[1]!
  }

  static async start(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Serving> {
    const child = spawn('npx', ['--offline', 'tidemark', 'serve', '--port', '0', '--admin-port', '0', ...args], {
      cwd,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
    for await (const text of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
      output += String(text)
      const ports = [...output.matchAll(/127\.0\.0\.1:(\d+)/g)].map(match => Number(match[1]))
      if (ports.length < 2) continue
      child.stdout.resume()
      return new Serving(child, ports)
    }
    throw new Error(`serve ended without saying where it listens:\n${output}`)
  }

  /** Sends `requests` as they are, inline, and resolves with as many lines as asked for. */
  async ask(requests: string, lines: number): Promise<string[]> {
    const socket = connect(this.port, '127.0.0.1')
    socket.end(requests)
    let reply = ''
    for await (const text of socket.setEncoding('utf8')) {
      reply += String(text)
      if (reply.split('\r\n').length > lines) break
    }
    return reply.split('\r\n').slice(0, lines)
  }

  async stop(): Promise<void> {
    const closed = once(this.#child, 'close')
    process.kill(-this.#child.pid!, 'SIGINT')
    await closed
  }
}

describe('the packed package', () => {
  let folder = ''
  let packed: Packed
  const nodes = new Map<number, string>()

  const nodeFolder = (major: number): string => join(folder, `node-${major}`)
  const app = (): string => join(folder, 'app')
  const user = (major: number): { cwd: string; env: NodeJS.ProcessEnv } => ({
    cwd: app(),
    env: userEnvironment(nodeFolder(major)),
  })

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-package-'))
    nodes
      .set(26, process.execPath)
      .set(24, await olderNode(24))
      .set(20, await olderNode(20))
    for (const [major, file] of nodes) {
      await mkdir(nodeFolder(major))
      await symlink(file, join(nodeFolder(major), 'node'))
    }
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root, maxBuffer: 1e8 })
    packed = (JSON.parse(stdout.slice(stdout.indexOf('['))) as Packed[])[0]!
    await mkdir(app())
    await writeFile(join(app(), 'package.json'), '{ "private": true, "type": "module" }')
    const install = ['install', '--offline', '--no-audit', '--no-fund', join(folder, packed.filename)]
    await run('npm', install, user(26))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  test('holds what is needed to run it and nothing else', () => {
    const unexpected = packed.files.filter(
      ({ path }) =>
        !/^dist\/[\w./-]+\.(?:js|d\.ts|lua|html|css)$/.test(path) &&
        !['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md'].includes(path),
    )
    assert.deepEqual(unexpected, [])
    for (const needed of [
      'dist/cli/main.js',
      'dist/index.js',
      'dist/index.d.ts',
      'dist/sqlite.js',
      'LICENSE',
      'README.md',
    ]) {
      assert.ok(
        packed.files.some(({ path }) => path === needed),
        `${needed} is missing`,
      )
    }
  })

  test('brings no other package with it, and no Node', async () => {
    const installed = (await readdir(join(app(), 'node_modules'))).filter(name => !name.startsWith('.'))
    assert.deepEqual(installed, ['tidemark'])
    assert.deepEqual(await readdir(join(app(), 'node_modules/.bin')), ['tidemark'])
    const text = await readFile(join(app(), 'node_modules/tidemark/package.json'), 'utf8')
    const manifest = JSON.parse(text) as Record<string, unknown>
    assert.equal(manifest['dependencies'], undefined)
    assert.equal(manifest['optionalDependencies'], undefined)
    assert.equal(manifest['private'], undefined)
    assert.deepEqual(manifest['engines'], { node: '>=24' })
  })

  test('has no any in its declarations', async () => {
    const declarations = packed.files.filter(({ path }) => path.endsWith('.d.ts'))
    assert.ok(declarations.length > 0)
    for (const { path } of declarations) {
      const text = await readFile(join(app(), 'node_modules/tidemark', path), 'utf8')
      const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'/g, '')
      assert.doesNotMatch(code, /[:<,|&(=]\s*any\b(?!\s*:)/, path)
    }
  })

  test('its types check in a strict project that sees nothing of ours', async () => {
    await writeFile(join(app(), 'program.ts'), typedProgram)
    await writeFile(join(app(), 'config.ts'), configFile)
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node']
    const types = ['--typeRoots', join(root, 'node_modules/@types')]
    await run(process.execPath, [tsc, ...options, ...types, 'program.ts', 'config.ts'], { cwd: app() }).catch(
      (error: unknown) => assert.fail((error as { stdout: string }).stdout),
    )
  })

  for (const major of [24, 26]) {
    test(`on Node ${major} exports the same names as the sources`, async () => {
      const names = ['tidemark', 'tidemark/sqlite', 'tidemark/testing']
      const program =
        `const names = ${JSON.stringify(names)}\n` +
        'for (const name of names) console.log(name, Object.keys(await import(name)).sort().join())'
      await writeFile(join(app(), 'names.js'), program)
      const { stdout } = await run('node', ['names.js'], user(major))
      const expected: string[] = []
      for (const name of names) {
        const module = (await import(name)) as object
        expected.push(`${name} ${Object.keys(module).sort().join()}`)
      }
      assert.deepEqual(stdout.trim().split('\n'), expected)
    })

    test(`on Node ${major} says its version and its usage`, async () => {
      const version = await run('npx', ['--offline', 'tidemark', '--version'], user(major))
      assert.match(version.stdout, new RegExp(`^tidemark \\d+\\.\\d+\\.\\d+ \\(Node ${major}\\.`))
      const help = await run('npx', ['--offline', 'tidemark', '--help'], user(major))
      assert.match(help.stdout, /Usage: tidemark/)
      assert.match(help.stdout, /serve/)
    })

    test(`on Node ${major} serves as a plain cache without a configuration`, async () => {
      const empty = join(folder, `empty-${major}`)
      await mkdir(empty)
      await symlink(join(app(), 'node_modules'), join(empty, 'node_modules'))
      await writeFile(join(empty, 'package.json'), '{ "private": true }')
      const serving = await Serving.start([], empty, user(major).env)
      try {
        const reply = await serving.ask('SET greeting hello\r\nGET greeting\r\nGET nothing\r\n', 4)
        assert.deepEqual(reply, ['+OK', '$5', 'hello', '$-1'])
        const health = await fetch(`http://127.0.0.1:${serving.adminPort}/health`)
        assert.equal(health.status, 200)
      } finally {
        await serving.stop()
      }
    })

    test(`on Node ${major} serves a table that a configuration in TypeScript names`, async () => {
      const { DatabaseSync } = await import('node:sqlite')
      const shop = join(folder, `shop-${major}`)
      await mkdir(shop)
      await writeFile(join(shop, 'package.json'), '{ "private": true, "type": "module" }')
      await symlink(join(app(), 'node_modules'), join(shop, 'node_modules'))
      await writeFile(join(shop, 'tidemark.config.ts'), configFile)
      const database = new DatabaseSync(join(shop, 'shop.db'))
      database.exec('CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT')
      database.exec("INSERT INTO users VALUES (1, 'Ada')")
      const serving = await Serving.start(['--data', '.', '--threads', '2'], shop, user(major).env)
      try {
        const reply = await serving.ask('GET users:1\r\nHSET users:1 name Grace\r\nHGET users:1 name\r\n', 5)
        assert.deepEqual(reply.slice(1), ['{"id":1,"name":"Ada"}', ':0', '$5', 'Grace'])
        assert.equal(database.prepare('SELECT name FROM users').get()?.['name'], 'Grace')
      } finally {
        await serving.stop()
        database.close()
      }
    })
  }

  test('on Node 20 says in one line that Node is too old, and fails', async () => {
    const program = join(app(), 'node_modules/.bin/tidemark')
    const refused = await run(program, ['serve'], user(20)).then(
      () => assert.fail('it ran'),
      (error: unknown) => error as { code: number; stdout: string; stderr: string },
    )
    assert.equal(refused.code, 1)
    assert.equal(refused.stdout, '')
    assert.match(refused.stderr, /^tidemark: NODE_TOO_OLD [^\n]*Node 20\.[^\n]*Node 24[^\n]*\n$/)
  })

  test('the scripts of the repository run on the pinned Node, whatever else is installed', async () => {
    const pinned = await realpath(join(root, 'node_modules/.bin/node'))
    assert.match((await run(pinned, ['--version'])).stdout, /^v26\./)
    assert.equal(dirname(dirname(pinned)).startsWith(join(root, 'node_modules')), true)
  })
})
