// The guide for several servers, typed as it stands there, with the addresses of a real Postgres and a real cluster in the place of
// those that it names. A command whose answer changes as servers hear of each other's changes is typed again until it answers so.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { PostgresServer } from '../support/postgres.ts'
import { RedisCluster } from '../support/redis-cluster.ts'
import { freePort } from '../support/redis-server.ts'
import { assertPrinted, readPage, type Step } from './page.ts'

const root = resolve(import.meta.dirname, '../..')
const path = 'docs/guides/several-servers.md'
const program = `'${process.execPath}' --conditions=tidemark-source '${join(root, 'src/cli/main.ts')}'`
const DEADLINE_MS = 30_000

class Reader {
  readonly #folder: string
  readonly #postgres: PostgresServer
  readonly #replaced: ReadonlyMap<string, string>
  readonly #config: string
  readonly #environment: Record<string, string | undefined> = { ...process.env }
  readonly #servers: { readonly stop: () => Promise<void> }[] = []
  readonly typed: string[] = []

  constructor(folder: string, postgres: PostgresServer, replaced: ReadonlyMap<string, string>, config: string) {
    this.#config = config
    this.#folder = folder
    this.#postgres = postgres
    this.#replaced = replaced
  }

  async type(step: Step): Promise<void> {
    const { command, language } = step
    this.typed.push(command)
    if (language === 'sql') await this.#sql(command)
    else if (command.startsWith('export ')) this.#export(command)
    else if (command.startsWith('npx tidemark serve ')) await this.#serve(command)
    else if (command.startsWith('npm install ')) this.#install()
    else {
      // "When all of Tidemark is gone for good".
      if (command.includes('pg_drop_replication_slot')) await this.close()
      await this.#run(step)
    }
  }

  async close(): Promise<void> {
    for (const server of this.#servers.splice(0)) await server.stop()
  }

  #here(text: string): string {
    let here = text
    for (const [there, place] of this.#replaced) here = here.replaceAll(there, place)
    return here
  }

  async #sql(text: string): Promise<void> {
    for (const statement of text.split(';\n'))
      if (statement.trim() !== '') await this.#postgres.query(statement, [], 'shop')
  }

  #export(command: string): void {
    const [, name, value] = /^export (\w+)=(.*)$/.exec(command)!
    this.#environment[name!] = this.#here(value!)
  }

  #install(): void {
    mkdirSync(join(this.#folder, 'node_modules'))
    symlinkSync(root, join(this.#folder, 'node_modules/tidemark'))
  }

  async #serve(command: string): Promise<void> {
    // Not before: one that is there is used.
    if (command.includes('--config')) writeFileSync(join(this.#folder, 'tidemark.config.ts'), this.#config)
    const text = this.#here(command).replace(/^npx tidemark/, `exec ${program}`)
    const child = spawn('bash', ['-c', text], { cwd: this.#folder, env: this.#environment })
    const ended = once(child, 'exit')
    this.#servers.push({
      stop: async () => {
        child.kill('SIGINT')
        await ended
      },
    })
    let said = ''
    const hear = (chunk: Buffer): void => void (said += chunk.toString())
    child.stderr.on('data', hear)
    child.stdout.on('data', hear)
    const untilMs = performance.now() + DEADLINE_MS
    while (!said.includes('Ctrl-C closes it.')) {
      assert.ok(child.exitCode === null && performance.now() < untilMs, `${command} did not serve:\n${said}`)
      await new Promise(done => setTimeout(done, 20))
    }
  }

  async #run(step: Step): Promise<void> {
    const terminal = step.command.startsWith('redis-cli ') && !/--raw|\|/.test(step.command)
    const text = this.#here(terminal ? step.command.replace('redis-cli ', 'redis-cli --no-raw ') : step.command)
    const untilMs = performance.now() + DEADLINE_MS
    for (;;) {
      const { stdout, stderr, status } = spawnSync('bash', ['-c', text], {
        cwd: this.#folder,
        env: this.#environment,
        encoding: 'utf8',
        timeout: DEADLINE_MS,
      })
      try {
        return assertPrinted(step, (stdout + stderr).trimEnd(), status !== 0, path)
      } catch (error) {
        // What counts or adds may be typed once only.
        if (!/ GET | TM\.READ |curl/.test(step.command) || performance.now() > untilMs) throw error
        await new Promise(done => setTimeout(done, 20))
      }
    }
  }
}

test('the guide for several servers does what it says, from an empty database to the last server', async t => {
  const { steps, config } = readPage(readFileSync(join(root, path), 'utf8'))
  const [postgres, cluster] = [await PostgresServer.start(), await RedisCluster.start()]
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-guide-'))
  t.after(async () => {
    await cluster?.close()
    await postgres?.close()
    rmSync(folder, { recursive: true })
  })
  if (postgres === undefined || cluster === undefined) return t.skip('redis-server or PostgreSQL is not installed')
  await postgres.query('CREATE DATABASE shop')
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const replaced = new Map([
    ['db.internal', `127.0.0.1:${postgres.port}`],
    ['10.0.0.1:6379', cluster.addresses[0]!],
    ['10.0.0.2:6379', cluster.addresses[1]!],
  ])
  for (const port of ['6401', '6402', '6403', '8401', '8402', '8403']) replaced.set(port, String(await freePort()))
  const reader = new Reader(folder, postgres, replaced, config!)
  t.after(() => reader.close())
  for (const step of steps) await reader.type(step)
  assert.ok(reader.typed.length >= 20, 'all of the page was read')
  const slots = await postgres.query('SELECT slot_name FROM pg_replication_slots')
  assert.deepEqual(slots, [])
})
