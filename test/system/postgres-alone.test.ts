// One server in front of Postgres, without a tier: rows in its own memory, changes by the log or by an outbox, tables and views;
// and two such servers that were given one slot.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { PostgresServer } from '../support/postgres.ts'
import { RespClient } from '../support/resp-client.ts'
import { GridServer, within } from './grid-scene.ts'

const DEADLINE_MS = 30_000
const TABLES = `
  CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 100) i;
  CREATE TABLE orders (user_id int, amount int); ALTER TABLE orders REPLICA IDENTITY FULL; INSERT INTO orders VALUES (1, 5), (1, 6)`
const TOTALS = {
  sql: 'SELECT user_id, sum(amount) AS total FROM orders GROUP BY user_id',
  keyColumns: ['user_id'],
  dependsOn: [{ table: 'orders', keyColumns: ['user_id'] }],
}

describe('a server in front of Postgres alone', { concurrency: 1 }, () => {
  let postgres: PostgresServer | undefined
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-alone-'))
  before(async () => {
    postgres = await PostgresServer.start()
  })
  after(async () => {
    await postgres?.close()
    rmSync(folder, { recursive: true })
  })

  async function start(t: TestContext, args: readonly string[]): Promise<GridServer> {
    const server = await GridServer.start(args)
    t.after(() => server.stop())
    return server
  }

  /** The flag of a file with a database `main`. */
  function configured(database: string, log: object, keyspaces: object): string {
    const main = { kind: 'postgres', url: postgres!.url(database), ...log }
    const file = join(folder, `${database}.mjs`)
    writeFileSync(file, `export default ${JSON.stringify({ databases: { main }, keyspaces })}`)
    return `--config=${file}`
  }

  async function fresh(server: GridServer): Promise<void> {
    await within(DEADLINE_MS, 'lanes are fresh', async () => (((await server.status())['age'] ?? 9999) as number) < 400)
  }

  for (const log of ['the log', 'an outbox'] as const) {
    test(`sees plain SQL by ${log}, in tables and in views`, async t => {
      if (postgres === undefined) return t.skip('PostgreSQL is not installed')
      const database = await postgres.createDatabase(TABLES)
      const keyspaces = { users: { database: 'main' }, totals: { database: 'main', view: TOTALS } }
      const config = configured(database, log === 'the log' ? { slot: 'first' } : { outbox: 'changes' }, keyspaces)
      const server = await start(t, [config, '--threads=2'])
      await fresh(server)
      assert.equal((await server.read('users:1')).tier, 'source')
      await within(DEADLINE_MS, 'the row is near', async () => (await server.read('users:1')).tier === 'near')
      assert.equal((await server.read('totals:1')).value, '{"user_id":1,"total":11}')
      await postgres.query(
        "UPDATE users SET name = 'by SQL' WHERE id = 1; INSERT INTO orders VALUES (1, 10)",
        [],
        database,
      )
      await within(DEADLINE_MS, 'the row is seen', async () => (await server.read('users:1')).value!.includes('by SQL'))
      await within(DEADLINE_MS, 'the view is', async () => (await server.read('totals:1')).value!.includes('21'))
      assert.equal(await server.client.command('HSET', 'users:1', 'name', 'through'), 0)
      const written = await server.read('users:1')
      assert.deepEqual([written.value, written.tier], ['{"id":1,"name":"through"}', 'near'])
      assert.match(((await server.client.command('DEL', 'totals:1')) as Error).message, /^ROW_OPERATION /)
      assert.equal(await server.client.command('SET', 'plain', 'x'), 'OK', 'other keys are here too')
    })
  }
  test('is not put out by another one with the same slot, which says what is wrong', async t => {
    if (postgres === undefined) return t.skip('PostgreSQL is not installed')
    const database = await postgres.createDatabase(TABLES)
    const args = [`--source=${postgres.url(database)}`, '--keyspace=users', '--threads=1']
    const first = await start(t, args)
    await fresh(first)
    const second = await start(t, args)
    await within(DEADLINE_MS, 'it says so', async () =>
      /need a slot each/.test(String((await second.status())['trouble'])),
    )
    assert.equal((await second.read('users:1')).tier, 'source', 'it answers all the same')
    assert.match((await second.http('/ready')).text, /"degraded":\["database 'main': 64 of 64 lanes/)
    assert.equal((await first.status())['tide'], 'runs')
    assert.doesNotMatch(first.process.stderr, /the tide stopped/)
  })
  test('takes its tables as they are after others have altered them, in every thread', async t => {
    if (postgres === undefined) return t.skip('PostgreSQL is not installed')
    const database = await postgres.createDatabase(TABLES)
    const config = configured(database, { slot: 'altered' }, { users: { database: 'main' } })
    const server = await start(t, [config, '--threads=2'])
    const clients = await Promise.all(Array.from({ length: 8 }, () => RespClient.connect(server.port)))
    t.after(() => clients.forEach(client => client.close()))
    await fresh(server)
    for (const client of clients) assert.equal(await client.command('HGET', 'users:1', 'name'), 'user 1')
    await postgres.query("ALTER TABLE users ADD COLUMN photo bytea DEFAULT 'abc'", [], database)
    for (const client of clients) {
      // As bytes, by whichever thread, and whether it has heard of the column or not.
      await within(DEADLINE_MS, 'the column is there', async () => {
        const photo = await client.command('HGET', 'users:1', 'photo')
        assert.ok(photo === null || photo === 'abc', String(photo))
        return photo !== null
      })
    }
    await postgres.query('ALTER TABLE users ALTER COLUMN id TYPE text', [], database)
    for (const client of clients) {
      const key = `users:x${clients.indexOf(client)}`
      await within(DEADLINE_MS, 'such keys are taken', async () => {
        const reply = await client.command('HSET', key, 'name', 'by name')
        if (reply instanceof Error) assert.match(reply.message, /^ROW_KEY_INVALID /)
        return reply === 1 || reply === 2
      })
    }
    const rows = await postgres.query("SELECT id FROM users WHERE name = 'by name'", [], database)
    assert.equal(rows.length, clients.length)
  })
  test('says in a line what keeps it from starting', async t => {
    if (postgres === undefined) return t.skip('PostgreSQL is not installed')
    const attempts: [args: string[], says: RegExp][] = [
      [['--source=postgres://127.0.0.1:1/none', '--keyspace=users'], /SOURCE_UNAVAILABLE/],
      [[`--source=${postgres.url()}`, '--keyspace=nothing'], /MAPPING_INVALID.*nothing/],
    ]
    for (const [args, says] of attempts) {
      await assert.rejects(GridServer.start(args), (error: Error) => says.test(error.message))
    }
  })
})
