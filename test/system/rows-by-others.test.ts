// Rows that another process has put into the tier: servers beside each other, and beside a service with the library, whose schema
// makes something else of rows. Whoever has loaded a row, and whoever has heard of an altered table, a field is what it is.
// Not for: freshness (other-tiers.test.ts, grid.test.ts).
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Tidemark } from '../../src/library/tidemark.ts'
import type { StandardSchema } from '../../src/index.ts'
import { postgres } from '../../src/postgres.ts'
import { PostgresServer } from '../support/postgres.ts'
import { startRedis } from '../support/redis-server.ts'
import { GridServer, within } from './grid-scene.ts'

const DEADLINE_MS = 30_000
const USERS = `
  CREATE TABLE users (id int PRIMARY KEY, name text, photo bytea, score numeric, born date);
  INSERT INTO users SELECT i, 'YWJj', 'abc', 5.00, '2000-01-02' FROM generate_series(1, 1000) i`

interface Scene {
  readonly tier: string
  readonly database: { readonly kind: 'postgres'; readonly url: string; readonly slot: string }
  sql(text: string): Promise<unknown>
  server(): Promise<GridServer>
}

async function scene(t: TestContext): Promise<Scene | undefined> {
  const redis = await startRedis()
  if (redis === undefined) {
    t.skip('redis-server is not installed')
    return undefined
  }
  t.after(() => redis.stop())
  const running = await PostgresServer.start()
  if (running === undefined) {
    t.skip('PostgreSQL is not installed')
    return undefined
  }
  t.after(() => running.close())
  const name = await running.createDatabase(USERS)
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-others-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const tier = `valkey://127.0.0.1:${redis.port}`
  const database = { kind: 'postgres', url: running.url(name), slot: 'others' } as const
  const config = join(folder, 'config.mjs')
  const all = { databases: { main: database }, keyspaces: { users: { database: 'main' } } }
  writeFileSync(config, `export default ${JSON.stringify(all)}`)
  return {
    tier,
    database,
    sql: text => running.query(text, [], name),
    server: async () => {
      const server = await GridServer.start([`--config=${config}`, `--tier=${tier}`, '--threads=2'])
      t.after(() => server.stop())
      await within(DEADLINE_MS, 'lanes are fresh', async () => {
        return (((await server.status())['age'] ?? 9999) as number) < 400
      })
      return server
    },
  }
}

interface User {
  readonly id: number
  readonly photo: string
  readonly born: Date
}

/** Leaves columns out, changes their order, and makes a date of one. */
const schema: StandardSchema<User> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: given => {
      const { id, photo, born } = given as User
      return { value: { photo, born: new Date(born), id } }
    },
  },
}

test('what a service puts into the tier, a server answers as the database has it, column by column', async t => {
  const made = await scene(t)
  if (made === undefined) return
  const server = await made.server()
  const errors: unknown[] = []
  const tide = new Tidemark({ tier: made.tier, tide: false, maxStaleness: '5s' })
  t.after(() => tide.close())
  tide.on('error', ({ error }) => errors.push(error))
  const users = tide.keyspace('users', { source: postgres(made.database).table('users'), schema })
  let id = 0
  await within(DEADLINE_MS, 'the server finds what the service has loaded', async () => {
    const key = String(++id)
    assert.deepEqual(await users.get(key), { id, photo: 'YWJj', born: new Date('2000-01-02') })
    return (await server.read(`users:${key}`)).tier === 'tier'
  })
  const text = `{"id":${id},"name":"YWJj","photo": "YWJj","score":5.00,"born":"2000-01-02"}`
  assert.equal((await server.read(`users:${id}`)).value, text)
  const fields = ['id', String(id), 'name', 'YWJj', 'photo', 'abc', 'score', '5.00', 'born', '2000-01-02']
  const answer = await server.client.command('HGETALL', `users:${id}`)
  assert.deepEqual([...(answer as Map<string, string>)].flat(), fields)
  // What it has written, too; and it reads what the server has loaded.
  await users.set(String(id), { id, photo: Buffer.from('new') as never, born: new Date('2001-02-03') })
  await within(DEADLINE_MS, 'it is seen', async () => {
    return (await server.client.command('HGET', `users:${id}`, 'photo')) === 'new'
  })
  await within(DEADLINE_MS, 'the service finds what the server has loaded', async () => {
    const key = String(++id)
    await server.read(`users:${key}`)
    const found = await users.read(key)
    assert.deepEqual(found.value, { id, photo: 'YWJj', born: new Date('2000-01-02') })
    return found.tier === 'tier'
  })
  // That the tier has no `maxmemory` is told.
  assert.deepEqual(
    errors.filter(error => !/maxmemory/.test(String(error))),
    [],
  )
})

test('a column of bytes that is new is read as bytes, whichever server has loaded the row and which has heard of it', async t => {
  const made = await scene(t)
  if (made === undefined) return
  const servers = await Promise.all([made.server(), made.server()])
  for (let round = 0; round < 3; round++) {
    const [column, before] = [`photo${round}`, round === 0 ? 'name' : `photo${round - 1}`]
    await made.sql(
      `ALTER TABLE users ADD COLUMN ${column} bytea DEFAULT 'abc'; ALTER TABLE users DROP COLUMN ${before}`,
    )
    for (const server of servers) {
      await within(DEADLINE_MS, 'the column is there', async () => {
        const value = await server.client.command('HGET', 'users:1', column)
        assert.ok(value === null || value === 'abc', String(value))
        return value !== null
      })
    }
    // The same name, and text.
    await made.sql(
      `ALTER TABLE users ALTER COLUMN ${column} DROP DEFAULT; ALTER TABLE users ALTER COLUMN ${column} TYPE text USING 'YWJj'`,
    )
    for (const server of servers) {
      await within(DEADLINE_MS, 'it is text now', async () => {
        const value = await server.client.command('HGET', 'users:1', column)
        assert.ok(value === 'abc' || value === 'YWJj', String(value))
        return value === 'YWJj'
      })
    }
  }
})
