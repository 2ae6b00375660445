// Writing behind over a table of SQLite, by the machine's own clock: rows as the table makes them, other keyspaces and other
// writers of the same table, rows that the table refuses.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { sleep, systemClock } from '../../../src/base/clock.ts'
import type { Keyspace, TidemarkEvents } from '../../../src/index.ts'
import { Tidemark } from '../../../src/library/tidemark.ts'
import { postgres } from '../../../src/postgres.ts'
import { sqlite } from '../../../src/sqlite.ts'
import { postgresInstalled, PostgresServer } from '../../support/postgres.ts'
import { refused } from '../scene.ts'

interface User {
  readonly id: number
  readonly name: string
  readonly visits?: number
}

const fresh = { maxStaleness: 0 } as const

interface Scene {
  readonly directory: string
  readonly file: string
  readonly sql: DatabaseSync
}

function scene(t: TestContext): Scene {
  const directory = mkdtempSync(join(tmpdir(), 'tidemark-behind-'))
  const file = join(directory, 'app.db')
  const sql = new DatabaseSync(file)
  sql.exec(`PRAGMA journal_mode = wal;
    CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (name <> ''), visits INTEGER NOT NULL DEFAULT 0);
    INSERT INTO users (id, name) VALUES (1, 'Ada')`)
  t.after(() => {
    sql.close()
    rmSync(directory, { recursive: true, force: true })
  })
  return { directory, file, sql }
}

function open(t: TestContext, { directory }: Scene): { tide: Tidemark; errors: TidemarkEvents['error'][] } {
  const tide = new Tidemark({ journal: { directory: join(directory, 'journals') } })
  const errors: TidemarkEvents['error'][] = []
  tide.on('error', event => errors.push(event))
  t.after(() => tide.close())
  return { tide, errors }
}

const rows = ({ sql }: Scene): unknown[] =>
  sql
    .prepare('SELECT * FROM users ORDER BY id')
    .all()
    .map(row => ({ ...row }))
const patient = { mode: 'behind', maxDelay: '1h' } as const

function usersOf(tide: Tidemark, { file }: Scene): Keyspace<User> {
  return tide.keyspace<User>('users', { source: sqlite(file).table('users'), write: patient })
}

test('rows are read as they were written, then as the table made them', async t => {
  const at = scene(t)
  const { tide } = open(t, at)
  const users = usersOf(tide, at)
  assert.deepEqual(await users.set('2', { id: 2, name: 'Bob' }), { id: 2, name: 'Bob' })
  assert.deepEqual(await users.get('2', fresh), { id: 2, name: 'Bob' })
  assert.deepEqual(await users.get('1'), { id: 1, name: 'Ada', visits: 0 })
  assert.equal(await users.delete('1'), true)
  assert.equal(await users.get('1', fresh), undefined)
  assert.equal(rows(at).length, 1)
  await users.flush()
  assert.deepEqual(rows(at), [{ id: 2, name: 'Bob', visits: 0 }])
  assert.deepEqual(await users.get('2'), { id: 2, name: 'Bob', visits: 0 }, 'with its defaults, at once')
  await users.update('2', user => ({ ...user!, visits: user!.visits! + 1 }))
  assert.deepEqual(await users.update('2', user => ({ ...user!, visits: user!.visits! + 1 })), { id: 2, name: 'Bob', visits: 2 }) // prettier-ignore
  await users.flush()
  assert.deepEqual(rows(at), [{ id: 2, name: 'Bob', visits: 2 }])
})

test('a keyspace that writes through, and one behind, of one table', async t => {
  const at = scene(t)
  const { tide } = open(t, at)
  const users = usersOf(tide, at)
  const through = tide.keyspace<User>('same', { source: sqlite(at.file).table('users') })
  assert.equal((await through.get('1'))!.name, 'Ada')
  await users.set('1', { id: 1, name: 'Eve', visits: 1 })
  assert.equal((await through.get('1', fresh))!.name, 'Ada', 'what waits is read in its own keyspace alone')
  await users.flush()
  assert.equal((await through.get('1'))!.name, 'Eve', 'and comes to others with the log')
})

test('what others write is seen when the time to live is over, or the bound', async t => {
  const at = scene(t)
  const { tide } = open(t, at)
  const users = tide.keyspace<User>('users', { source: sqlite(at.file).table('users'), write: patient, ttl: '200ms' })
  assert.equal((await users.get('1'))!.name, 'Ada')
  at.sql.exec("UPDATE users SET name = 'Eve'")
  assert.equal((await users.get('1'))!.name, 'Ada')
  assert.equal((await users.get('1', fresh))!.name, 'Eve')
  await sleep(systemClock(), 250)
  assert.equal((await users.get('1'))!.name, 'Eve')
})

test('a row that the table refuses is given up, with key and row, and others are in', async t => {
  const at = scene(t)
  const { tide, errors } = open(t, at)
  const users = tide.keyspace<User>('users', {
    source: sqlite(at.file).table('users'),
    write: { mode: 'behind', retry: { first: '1ms', max: '2ms', attempts: 2 } },
  })
  await users.setMany([['1', { id: 1, name: '' }], ['2', { id: 2, name: 'Bob' }], ['3', { id: 3, name: 'Cy' }]]) // prettier-ignore
  await refused(() => users.flush(), 'WRITE_GIVEN_UP', /'users:1' was refused by its source 2 times.*CHECK/)
  assert.deepEqual(rows(at).map(row => (row as User).name), ['Ada', 'Bob', 'Cy']) // prettier-ignore
  const { key, value } = errors.at(-1)!
  assert.deepEqual([key, value], ['1', { id: 1, name: '' }])
  assert.equal((await users.get('1'))!.name, 'Ada')
  assert.equal(users.stats().behind!.givenUp, 1)
})

test('what can be said at once is said at once', async t => {
  const at = scene(t)
  const { tide } = open(t, at)
  const users = usersOf(tide, at)
  await refused(() => users.set('x', { id: 1, name: 'x' }), 'ROW_KEY_INVALID')
  await refused(() => users.set('1', 'text' as unknown as User), 'ROW_INVALID', /a row is an object/)
  await refused(() => users.set('1', null as unknown as User), 'ROW_INVALID', /not null/)
  assert.equal(users.stats().behind!.pending, 0)
})

test('the next start sends what is left when the database is used, whichever keyspace it is used by', async t => {
  const at = scene(t)
  const first = open(t, at)
  const users = usersOf(first.tide, at)
  await users.get('1')
  const sql = new DatabaseSync(at.file)
  sql.exec('BEGIN IMMEDIATE')
  await users.set('2', { id: 2, name: 'Bob' })
  await first.tide.close().catch(() => {})
  sql.exec('COMMIT')
  sql.close()
  const second = open(t, at)
  const again = second.tide.keyspace<User>('users', { source: sqlite(at.file).table('users'), write: { mode: 'behind', maxDelay: 0 } }) // prettier-ignore
  const other = second.tide.keyspace<User>('same', { source: sqlite(at.file).table('users') })
  await other.get('1')
  for (let wait = 0; wait < 100 && rows(at).length < 2; wait++) await sleep(systemClock(), 20)
  assert.equal(rows(at).length, 2)
  assert.equal((await again.get('2'))!.name, 'Bob')
})

test('a schema makes of rows that wait what it makes of rows of the table', async t => {
  const at = scene(t)
  const { tide } = open(t, at)
  const validate = (row: unknown) => {
    const { name, ...rest } = row as User
    return typeof name === 'string'
      ? { value: { ...rest, name: name.toUpperCase() } }
      : { issues: [{ message: 'no name' }] }
  }
  const users = tide.keyspace('users', {
    source: sqlite(at.file).table('users'),
    write: patient,
    schema: { '~standard': { version: 1, vendor: 'test', validate } },
  })
  await refused(() => users.set('1', { id: 1 } as unknown as User), 'VALUE_INVALID')
  await users.set('2', { id: 2, name: 'bob' })
  assert.deepEqual(await users.getMany(['1', '2'], fresh), new Map([['1', { id: 1, name: 'ADA', visits: 0 }], ['2', { id: 2, name: 'BOB' }]])) // prettier-ignore
})

test('rows of Postgres, and processes that write through beside it', { skip: !postgresInstalled() }, async t => {
  const server = (await PostgresServer.start())!
  t.after(() => server.close())
  await server.query(
    'CREATE TABLE users (id integer PRIMARY KEY, name text NOT NULL, visits integer NOT NULL DEFAULT 0)',
  )
  const at = scene(t)
  const behind = open(t, at).tide
  const users = behind.keyspace<User>('users', { source: postgres(server.url()).table('users'), write: patient })
  const through = open(t, at).tide.keyspace<User>('users', {
    source: postgres({ url: server.url(), slot: 'other' }).table('users'),
  })
  assert.equal(await through.get('1'), undefined)
  await users.setMany([['1', { id: 1, name: 'Ada' }], ['2', { id: 2, name: 'Bob' }]]) // prettier-ignore
  assert.deepEqual(await users.get('1', fresh), { id: 1, name: 'Ada' })
  assert.equal(await through.get('1', fresh), undefined)
  await users.flush()
  assert.deepEqual(await users.get('1'), { id: 1, name: 'Ada', visits: 0 })
  assert.deepEqual(await through.get('1'), { id: 1, name: 'Ada', visits: 0 }, 'within the bound, by the log')
  await users.delete('2')
  assert.equal(await users.get('2'), undefined)
  assert.equal((await through.get('2'))!.name, 'Bob')
  await behind.close()
  assert.equal(await through.get('2', fresh), undefined)
})
