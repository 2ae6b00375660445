// A database's thread that dies, in a server of the test's own process: another one takes its place, and nothing stale is told.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test, type TestContext } from 'node:test'
import { BroadcastChannel } from 'node:worker_threads'
import { startAdmin } from '../../src/admin/http.ts'
import { systemClock } from '../../src/base/clock.ts'
import { limits } from '../../src/base/limits.ts'
import type { DatabaseSettings, ServerSettings } from '../../src/server/settings.ts'
import { type RunningServer, startServer } from '../../src/server/supervisor.ts'
import { testSettings } from '../server/served-scene.ts'
import { PostgresServer } from '../support/postgres.ts'
import { startRedis } from '../support/redis-server.ts'
import { RespClient } from '../support/resp-client.ts'
import { within } from './grid-scene.ts'

const DEADLINE_MS = 30_000
const sourceEntry = new URL('../server/faulty-source.ts', import.meta.url)

interface Started {
  readonly server: RunningServer
  readonly log: string[]
  /** Of all server threads. */
  readonly clients: readonly RespClient[]
}

async function start(t: TestContext, settings: Partial<ServerSettings>, database: DatabaseSettings): Promise<Started> {
  const log: string[] = []
  const keyspace = { name: 'users', database: database.name, table: 'users', columns: undefined }
  const keyspaces = [{ ...keyspace, maxStalenessMs: 500, whenStale: 'source' as const }]
  const all = testSettings({ threads: 2, ...settings, databases: [database], keyspaces })
  const io = { clock: systemClock(), log: (line: string) => void log.push(line), startAdmin, sourceEntry }
  const server = await startServer(all, io)
  t.after(() => server.stop())
  const clients = await Promise.all(Array.from({ length: 12 }, () => RespClient.connect(server.port)))
  t.after(() => clients.forEach(client => client.close()))
  return { server, log, clients }
}

function kill(database: string): void {
  const channel = new BroadcastChannel(`die ${database}`)
  channel.postMessage('now')
  channel.close()
}

async function replaced({ log }: Started, times = 1): Promise<void> {
  const died = (): number => log.filter(line => /its thread died and is replaced: it exited/.test(line)).length
  await within(DEADLINE_MS, 'it is told', () => Promise.resolve(died() === times))
}

/** Until then a read may be refused, but never answered with another name than one of `names`. */
async function sees(client: RespClient, names: readonly string[]): Promise<void> {
  await within(DEADLINE_MS, `it is seen as ${names[0]!}`, async () => {
    const name = await client.command('HGET', 'users:1', 'name')
    if (name instanceof Error) assert.match(name.message, /^SOURCE_(UNAVAILABLE|TIMEOUT) /)
    else assert.ok(names.includes(name as string), String(name))
    return name === names[0]
  })
}

describe('a database whose thread dies', { concurrency: 1 }, () => {
  test('is opened again by another one: SQLite', async t => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-died-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'app.db')
    const database = new DatabaseSync(file)
    database.exec(`PRAGMA journal_mode = WAL; CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT) STRICT;
      INSERT INTO users VALUES (1, 'Ann')`)
    t.after(() => database.close())
    const settings = { kind: 'sqlite', name: 'app', file, pollMs: 25, busyTimeoutMs: 1000 } as const
    const started = await start(t, {}, settings)
    for (let death = 1; death <= 3; death++) {
      for (const client of started.clients) await client.command('HGET', 'users:1', 'name')
      kill('app')
      database.exec(`UPDATE users SET name = 'by SQL ${death}'`)
      for (const client of started.clients) await sees(client, [`by SQL ${death}`, `through ${death - 1}`, 'Ann'])
      await replaced(started, death)
      for (const [i, client] of started.clients.entries()) {
        assert.equal(await client.command('HSET', 'users:1', 'name', `${death} ${i}`), 0)
        for (const other of started.clients)
          assert.equal(await other.command('HGET', 'users:1', 'name'), `${death} ${i}`)
      }
      assert.equal(await started.clients[0]!.command('HSET', 'users:1', 'name', `through ${death}`), 0)
    }
    // A server thread that is started after that is connected with the new one.
    assert.match(String(await started.clients[0]!.command('INFO')), /thread_deaths:3\r/)
  })

  test('is opened again by another one, which keeps the near cache told: Postgres and a tier', async t => {
    const [postgres, redis] = [await PostgresServer.start(), await startRedis()]
    t.after(async () => {
      await redis?.stop()
      await postgres?.close()
    })
    if (postgres === undefined || redis === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const name = await postgres.createDatabase(
      "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'Ann')",
    )
    const credentials = { username: undefined, password: undefined, ca: undefined }
    const seeds = [{ host: '127.0.0.1', port: redis.port }]
    const tier = { kind: 'valkey', seeds, tls: false, ...credentials, lanes: 64, prefix: 'tm' } as const
    const log = { kind: 'publication', publication: 'tidemark', slot: 'tidemark' } as const
    const settings = { kind: 'postgres', name: 'main', connection: { url: postgres.url(name) }, log, connectionsMax: 4 }
    const started = await start(t, { tier }, settings as DatabaseSettings)
    const near = async (client: RespClient): Promise<void> => {
      await within(DEADLINE_MS, 'the row is near', async () => {
        const answer = await client.command('TM.READ', 'users:1')
        return Array.isArray(answer) && answer[5] === 'near'
      })
    }
    for (const client of started.clients) await near(client)
    kill('main')
    await postgres.query("UPDATE users SET name = 'by SQL'", [], name)
    for (const client of started.clients) await sees(client, ['by SQL', 'Ann'])
    await replaced(started)
    for (const client of started.clients) await near(client)
    await postgres.query("UPDATE users SET name = 'again'", [], name)
    for (const client of started.clients) await sees(client, ['again', 'by SQL'])
  })

  test('ends the server when it happens again and again', async t => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-died-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'app.db')
    new DatabaseSync(file).exec('CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT) STRICT')
    const settings = { kind: 'sqlite', name: 'app', file, pollMs: 25, busyTimeoutMs: 1000 } as const
    const started = await start(t, { threads: 1 }, settings)
    const exitCode = process.exitCode
    for (let death = 1; death <= limits.threadDeathsPerMinuteMax; death++) {
      kill('app')
      await replaced(started, death)
      // A row that nobody has asked for yet.
      await within(DEADLINE_MS, 'another one loads', async () => {
        return (await started.clients[0]!.command('GET', `users:${death}`)) === null
      })
    }
    kill('app')
    const failure = await started.server.failed
    process.exitCode = exitCode
    assert.equal(failure.code, 'THREADS_DIED')
    assert.match(failure.message, /more than \d+ threads of databases died within a minute; the last: database 'app'/)
  })
})
