// Tables of Postgres: one process alone, with the tide in it, and two over a shared tier; SQL behind their back; pools as they
// are given; views; a server that goes away and comes back.
import assert from 'node:assert/strict'
import { after, before, describe, test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import type { Keyspace, TidemarkOptions } from '../../src/index.ts'
import { Tidemark } from '../../src/library/tidemark.ts'
import { postgres } from '../../src/postgres.ts'
import { postgresInstalled, PostgresServer } from '../support/postgres.ts'
import { startRedis } from '../support/redis-server.ts'
import { Functions, refused, throwsWith } from './scene.ts'

const SCHEMA = `
  CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, visits bigint NOT NULL DEFAULT 0);
  CREATE TABLE places (country text, id integer, name text, PRIMARY KEY (country, id));
  INSERT INTO users (id, name) VALUES (1, 'ann'), (2, 'bob');
  INSERT INTO places VALUES ('a:b', 8, 'there');
`

interface User {
  readonly id: number
  readonly name: string
  readonly visits: number | bigint
}

async function until(what: string, holds: () => unknown): Promise<void> {
  for (let i = 0; i < 1_500; i++) {
    if ((await holds()) === true) return
    await wait(10)
  }
  assert.fail(`never: ${what}`)
}

void describe('tables of Postgres', { skip: postgresInstalled() ? false : 'postgres is not installed' }, () => {
  let server: PostgresServer
  before(async () => {
    server = (await PostgresServer.start())!
  })
  after(() => server.close())

  interface Scene {
    readonly name: string
    open(options?: TidemarkOptions): { tide: Tidemark; users: Keyspace<User> }
    sql(text: string): Promise<Record<string, unknown>[]>
  }

  async function scene(t: TestContext): Promise<Scene> {
    const name = await server.createDatabase(SCHEMA)
    // Slots are of the whole server.
    const database = postgres({ url: server.url(name), slot: `s_${name}`.toLowerCase().slice(0, 60) })
    return {
      name,
      open: (options = {}) => {
        const tide = new Tidemark({ maxStaleness: '5s', ...options })
        t.after(() => tide.close())
        return { tide, users: tide.keyspace<User>('users', { source: database.table('users') }) }
      },
      sql: text => server.query(text, [], name),
    }
  }

  void test('an update changes no digit of a column that it leaves alone', async t => {
    const { name, sql } = await scene(t)
    const digits = '12345678901234567890.1234567890'
    await sql(`CREATE TABLE sums (id int PRIMARY KEY, sum numeric, note text); INSERT INTO sums VALUES (1, ${digits})`)
    await using tide = new Tidemark({})
    const database = postgres({ url: server.url(name), slot: `s_${name}`.toLowerCase().slice(0, 60) })
    const sums = tide.keyspace<{ sum: string; note: string | null }>('sums', { source: database.table('sums') })
    await sums.update('1', row => row && { ...row, note: 'seen' })
    assert.deepEqual(await sql('SELECT sum::text, note FROM sums'), [{ sum: digits, note: 'seen' }])
  })

  void test('rows are loaded, remembered with a proof, written and removed', async t => {
    const { open, sql } = await scene(t)
    const { users } = open()
    const ann = { id: 1, name: 'ann', visits: 0 }
    assert.deepEqual(await users.get('1'), ann)
    await until('it is proved in memory', async () => {
      await users.get('1')
      return users.peek('1') !== undefined
    })
    assert.equal((await users.read('1')).tier, 'near')
    assert.equal(await users.get('9'), undefined)
    assert.deepEqual(await users.set('1', { ...ann, visits: 2 ** 53 }), { ...ann, visits: 2n ** 53n })
    assert.equal((await users.get('1'))?.visits, 2n ** 53n)
    assert.equal((await sql('SELECT visits::text FROM users WHERE id = 1'))[0]?.['visits'], '9007199254740992')
    assert.equal((await users.update('1', user => ({ ...user!, visits: 5 })))?.visits, 5)
    assert.equal(await users.delete('1'), true)
    assert.equal(await users.delete('1'), false)
    assert.equal(await users.get('1'), undefined)
    await refused(() => users.set('3', { id: 3, name: null as never, visits: 0 }), 'ROW_INVALID', /name/)
  })

  void test('SQL behind its back is seen within the bound, and at once where the bound is 0', async t => {
    const { open, sql } = await scene(t)
    const { users } = open()
    await users.getMany(['1', '2', '3'])
    await until('they are in memory', async () => {
      await users.getMany(['1', '2', '3'])
      return users.peek('1') !== undefined && users.peek('2') !== undefined
    })
    await sql('UPDATE users SET visits = 7 WHERE id = 1')
    assert.equal((await users.get('1', { maxStaleness: 0 }))?.visits, 7)
    await sql('DELETE FROM users WHERE id = 2')
    await sql(`INSERT INTO users VALUES (3, 'cid')`)
    await until('the change is seen', async () => (await users.get('1'))?.visits === 7)
    await until('the removal is seen', async () => (await users.get('2')) === undefined)
    await until('the new row is seen', async () => (await users.get('3'))?.name === 'cid')
    await sql('TRUNCATE users')
    await until('all are gone', async () => (await users.getMany(['1', '2', '3'])).size === 0)
  })

  void test('composite keys, two tables, and a view of both', async t => {
    const { name } = await scene(t)
    const database = postgres({ url: server.url(name), slot: `v_${name}`.toLowerCase().slice(0, 60) })
    const tide = new Tidemark({})
    t.after(() => tide.close())
    const places = tide.keyspace<{ name: string }, readonly [string, number]>('places', {
      source: database.table('places'),
    })
    const sums = tide.keyspace<{ visits: number }>('sums', {
      source: database.view({
        sql: 'SELECT id, visits FROM users',
        keyColumns: ['id'],
        dependsOn: [{ table: 'users', keyColumns: ['id'] }],
      }),
    })
    assert.equal((await places.get(['a:b', 8]))?.name, 'there')
    await places.set(['x', 1], { country: 'x', id: 1, name: 'new' } as never)
    assert.equal((await places.get(['x', 1]))?.name, 'new')
    assert.equal((await sums.get('1'))?.visits, 0)
    await server.query('UPDATE users SET visits = 3 WHERE id = 1', [], name)
    await until('the view follows', async () => (await sums.get('1'))?.visits === 3)
    await refused(() => sums.set('1', { visits: 1 }), 'ROW_OPERATION')
  })

  void test('a pool of pg says where the database is', async t => {
    const { name } = await scene(t)
    const pool = new pg.Pool({ connectionString: server.url(name) })
    t.after(() => pool.end())
    const tide = new Tidemark({})
    t.after(() => tide.close())
    const source = postgres({ ...postgres(pool), slot: `p_${name}`.toLowerCase().slice(0, 60) }).table('users')
    assert.equal((await tide.keyspace<User>('users', { source }).get('1'))?.name, 'ann')
    assert.equal(pool.totalCount, 0)
    // What would be lost on the way is not taken: to connect without TLS where TLS was asked for least of all.
    const secure = { options: { connectionString: server.url(name), ssl: true } }
    throwsWith(() => postgres(secure), 'OPTION_INVALID', /pool.*ssl.*ca/)
    throwsWith(() => postgres({ options: { password: () => 'x' } }), 'OPTION_INVALID', /pool.*password/)
  })

  void test('two processes over a shared tier: one runs the tide, both see what the other and SQL write', async t => {
    const redis = await startRedis()
    if (redis === undefined) return t.skip('redis-server is not installed')
    t.after(() => redis.stop())
    const { open, sql } = await scene(t)
    const tier = `valkey://127.0.0.1:${redis.port}`
    const [a, b] = [open({ tier }), open({ tier, tide: false })]
    assert.equal((await a.users.get('1'))?.name, 'ann')
    await until('b finds in the tier what a loaded', async () => {
      await a.users.get('1')
      return (await b.users.read('1')).tier !== 'source'
    })
    const session = b.tide.session()
    for (let visits = 1; visits <= 10; visits++) {
      const [writer, reader] = visits % 2 === 0 ? [a, b] : [b, a]
      await writer.users.set('1', { id: 1, name: 'ann', visits }, writer === b ? { session } : {})
      if (writer === b) assert.equal((await b.users.get('1', { session }))?.visits, visits)
      assert.equal((await reader.users.get('1', { maxStaleness: 0 }))?.visits, visits)
      await until('the other sees it', async () => (await reader.users.get('1'))?.visits === visits)
    }
    await sql('UPDATE users SET visits = 99 WHERE id = 1')
    for (const { users } of [a, b]) await until('both see it', async () => (await users.get('1'))?.visits === 99)
    // Values without a log are beside the rows, and do not get in their way.
    assert.equal(await a.tide.getOrSet('own', () => 1), 1)
    await until('b finds that too', async () => (await b.tide.get('own')) === 1)
    const functions = b.tide.keyspace('functions', { source: new Functions({ 1: 'one' }) })
    assert.equal(await functions.get('1'), 'one')
    assert.equal((await b.users.get('1'))?.visits, 99)
  })

  void test('a slot that somebody else has is told of, and rows are answered all the same', async t => {
    const { open } = await scene(t)
    const first = open()
    assert.equal((await first.users.get('1'))?.name, 'ann')
    await until('the first one has the slot', async () => {
      await first.users.get('1')
      return first.users.peek('1') !== undefined
    })
    const second = open()
    const errors: unknown[] = []
    second.tide.on('error', ({ error }) => errors.push(error))
    assert.equal((await second.users.get('1'))?.name, 'ann')
    await until('somebody is told', () => errors.length > 0)
    assert.match(String(errors[0]), /another process reads its changes by slot 's_.*postgres\(\{ slot \}\)/)
    assert.equal((await second.users.get('1'))?.name, 'ann')
  })

  void test('a database that is not there is told of; the next call tries again', async t => {
    const tide = new Tidemark({})
    t.after(() => tide.close())
    const source = postgres('postgres://127.0.0.1:1/none').table('users')
    const users = tide.keyspace('users', { source })
    await refused(() => users.get('1'), 'SOURCE_UNAVAILABLE')
    await refused(() => users.get('1'), 'SOURCE_UNAVAILABLE')
  })
})

void test('mistakes in what postgres() is given are refused', async t => {
  const tide = new Tidemark({})
  t.after(() => tide.close())
  const keyspace = (name: string, options: Parameters<typeof postgres>[0]) =>
    tide.keyspace(name, { source: postgres(options).table('users') })
  await refused(() => keyspace('a', { url: 'postgres://x', host: 'y' }).get('1'), 'OPTION_INVALID', /one or the other/)
  await refused(() => keyspace('b', { outbox: 'o', slot: 's' }).get('1'), 'OPTION_INVALID', /one or the other/)
  await refused(() => keyspace('c', { url: 'not a url' }).get('1'), 'OPTION_INVALID', /url/)
  await refused(() => keyspace('d', { url: 'postgres://x', ca: '/nowhere' }).get('1'), 'OPTION_INVALID', /\/nowhere/)
  await refused(
    () => keyspace('e', { url: 'postgres://x', connections: 0 }).get('1'),
    'OPTION_INVALID',
    /connections }\): got 0/,
  )
})
