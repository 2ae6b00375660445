// Tables of SQLite in real files: read and written through, written by others meanwhile, keys of several columns, integers that
// a double does not hold, bytes, files that are not there yet, and a database thread that dies.
import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import type { Keyspace, StandardSchema, TidemarkOptions } from '../../src/index.ts'
import { Tidemark } from '../../src/library/tidemark.ts'
import { sqlite } from '../../src/sqlite.ts'
import { refused, throwsWith } from './scene.ts'

const SCHEMA = `
  CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, visits INTEGER NOT NULL DEFAULT 0, score REAL, photo BLOB) STRICT;
  CREATE TABLE places (country TEXT, id INTEGER, name TEXT, PRIMARY KEY (country, id)) STRICT, WITHOUT ROWID;
  INSERT INTO users (id, name) VALUES (1, 'ann'), (2, 'bob');
  INSERT INTO places VALUES ('eu', 7, 'here'), ('a:b', 8, 'there');
`

interface User {
  readonly id: number
  readonly name: string | null
  readonly visits: number | bigint
  readonly score: number | null
  readonly photo: unknown
}

interface Scene {
  readonly file: string
  readonly tide: Tidemark
  readonly users: Keyspace<User>
  /** Another connection to the file. */
  readonly other: DatabaseSync
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-library-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function scene(t: TestContext, options: TidemarkOptions = {}): Scene {
  const file = join(folder(t), 'app.db')
  const other = new DatabaseSync(file, { timeout: 5_000 })
  other.exec(`PRAGMA journal_mode = WAL; ${SCHEMA}`)
  const tide = new Tidemark({ maxStaleness: '5s', ...options })
  t.after(async () => {
    await tide.close()
    other.close()
  })
  return { file, tide, other, users: tide.keyspace<User>('users', { source: sqlite(file).table('users') }) }
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (await holds()) return
    await wait(10)
  }
  assert.fail(`never: ${what}`)
}

void test('rows are loaded, remembered, written and removed', async t => {
  const { users, other } = scene(t)
  assert.equal(users.peek('1'), undefined)
  const ann = { id: 1, name: 'ann', visits: 0, score: null, photo: null }
  const [first, second] = await Promise.all([users.get('1'), users.get('1')])
  assert.deepEqual(first, ann)
  assert.equal(second, first)
  await until('it is proved in memory', () => users.peek('1') !== undefined)
  assert.equal((await users.read('1')).tier, 'near')
  assert.equal(await users.get('9'), undefined)
  assert.deepEqual(await users.set('1', { ...ann, visits: 5 }), { ...ann, visits: 5 })
  assert.equal((await users.get('1'))?.visits, 5)
  assert.equal(other.prepare('SELECT visits FROM users WHERE id = 1').get()?.['visits'], 5)
  assert.equal(await users.delete('1'), true)
  assert.equal(await users.delete('1'), false)
  assert.equal(await users.get('1'), undefined)
  await users.setMany([['3', { ...ann, id: 3 }], ['4', { ...ann, id: 4 }], ['3', { ...ann, id: 3, visits: 9 }]]) // prettier-ignore
  assert.deepEqual([...(await users.getMany(['3', '4', '1']))].map(([key, { visits }]) => [key, visits]), [['3', 9], ['4', 0]]) // prettier-ignore
  assert.equal(await users.deleteMany(['3', '4', '5', '3']), 2)
})

void test('all of setMany, or nothing', async t => {
  const { users, other } = scene(t)
  const row = { id: 5, name: 'x', visits: 1, score: null, photo: null }
  const writes = [['5', row], ['6', { ...row, id: 6, visits: null as never }]] as const // prettier-ignore
  await refused(() => users.setMany(writes), 'ROW_INVALID', /visits/)
  assert.equal(other.prepare('SELECT count(*) AS n FROM users').get()?.['n'], 2)
  assert.equal(await users.get('5'), undefined)
})

void test('what another connection writes is seen within the bound, and at once where the bound is 0', async t => {
  const { users, other } = scene(t)
  await users.getMany(['1', '2', '3'])
  await until('all are in memory', () => users.peek('1') !== undefined && users.peek('2') !== undefined)
  other.exec(
    `UPDATE users SET visits = 7 WHERE id = 1; DELETE FROM users WHERE id = 2; INSERT INTO users (id) VALUES (3)`,
  )
  assert.equal((await users.get('1', { maxStaleness: 0 }))?.visits, 7)
  await until('the change is seen', async () => (await users.get('1'))?.visits === 7)
  await until('the removal is seen', async () => (await users.get('2')) === undefined)
  await until('the new row is seen', async () => (await users.get('3')) !== undefined)
})

void test('two keyspaces of one table know of what each other writes', async t => {
  const { file, tide, users } = scene(t)
  const names = tide.keyspace<{ id: number; name: string }>('names', {
    source: sqlite({ file }).table('users', { columns: ['name'] }),
  })
  assert.deepEqual(await names.get('1'), { id: 1, name: 'ann' })
  const ann = await users.get('1')
  await users.set('1', { ...ann!, name: 'Ann' })
  assert.deepEqual(await names.get('1'), { id: 1, name: 'Ann' })
  await names.set('1', { id: 1, name: 'ANN' })
  assert.equal((await users.get('1'))?.name, 'ANN')
})

void test('a file by another path is the same database; a keyspace is late once it is in use', async t => {
  const { file, tide, users } = scene(t)
  const places = tide.keyspace('places', { source: sqlite(relative(process.cwd(), file)).table('places') })
  await users.get('1')
  assert.equal(((await places.get('eu:7')) as { name: string }).name, 'here')
  throwsWith(
    () => tide.keyspace('late', { source: sqlite(file).table('places') }),
    'OPTION_INVALID',
    /'late'.*in use already.*before you use/,
  )
})

void test('a key of several columns is a tuple, whatever stands in its parts', async t => {
  const { file, tide } = scene(t)
  const places = tide.keyspace<{ name: string }, readonly [string, number | bigint]>('places', {
    source: sqlite(file).table('places'),
  })
  const found = await places.getMany([['eu', 7], ['a:b', 8n], ['eu', 8]]) // prettier-ignore
  assert.deepEqual([...found.values()].map(({ name }) => name), ['here', 'there']) // prettier-ignore
  await places.set(['%', 1], { country: '%', id: 1, name: 'percent' } as never)
  assert.equal((await places.get(['%', 1]))?.name, 'percent')
  assert.equal(await places.delete(['a:b', 8]), true)
  await refused(() => places.get(['eu'] as never), 'ROW_KEY_INVALID', /country: text.*id: integer/)
  await refused(() => places.get(['eu', '07'] as never), 'ROW_KEY_INVALID')
})

void test('integers that a double does not hold are bigints, both ways; fractions stay numbers', async t => {
  const { users, other } = scene(t)
  const big = 2n ** 62n + 1n
  other.exec(`UPDATE users SET visits = ${big}, score = 1e15 WHERE id = 1; UPDATE users SET visits = ${2 ** 53 - 1}, score = -1e300 WHERE id = 2`) // prettier-ignore
  const ann = await users.get('1')
  assert.equal(ann?.visits, big)
  assert.equal(ann?.score, 1e15)
  const bob = await users.get('2')
  assert.deepEqual([bob?.visits, bob?.score], [2 ** 53 - 1, -1e300])
  assert.equal((await users.set('2', { ...bob!, visits: big + 1n })).visits, big + 1n)
  assert.equal(
    (await users.update('2', user => ({ ...user!, visits: (user!.visits as bigint) + 1n })))?.visits,
    big + 2n,
  )
  const read = other.prepare('SELECT visits FROM users WHERE id = 2')
  read.setReadBigInts(true)
  assert.equal(read.get()?.['visits'], big + 2n)
})

void test('bytes are written as they are, and read in base64; what JSON would change silently is refused', async t => {
  const { users, other } = scene(t)
  const ann = (await users.get('1'))!
  const bytes = Uint8Array.of(0, 255, 128, 10)
  for (const photo of [bytes, Buffer.from(bytes)]) {
    assert.equal((await users.set('1', { ...ann, photo })).photo, Buffer.from(bytes).toString('base64'))
    assert.deepEqual(other.prepare('SELECT photo FROM users WHERE id = 1').get()?.['photo'], bytes)
  }
  await refused(() => users.set('1', { ...ann, score: NaN }), 'ROW_INVALID', /'users:1'.*score.*NaN/)
  await refused(() => users.set('1', { ...ann, score: -Infinity }), 'ROW_INVALID', /-Infinity/)
  await refused(() => users.set('1', null as never), 'ROW_INVALID', /object with its columns.*not null/)
  await refused(() => users.set('1', [ann] as never), 'ROW_INVALID', /not an array/)
  await refused(() => users.set('1', 'ann' as never), 'ROW_INVALID', /not a string/)
  await refused(() => users.set('1', { ...ann, nme: 'x' } as never), 'ROW_INVALID', /nme/)
  await refused(() => users.set('1', { ...ann, id: 2 }), 'ROW_KEY_COLUMN')
  await refused(() => users.set('1', ann, { ttl: '1s' }), 'OPTION_INVALID', /rows of a table/)
  const circle: Record<string, unknown> = { ...ann }
  circle['photo'] = circle
  await refused(() => users.set('1', circle as never), 'ROW_INVALID', /'users:1' has no JSON/)
})

void test('a schema makes of rows what JSON does not have, and one row that is wrong is one', async t => {
  const { file, tide, other } = scene(t)
  const schema: StandardSchema<{ id: number; name: Date }> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: value => {
        const { id, name } = value as { id: number; name: string }
        const at = new Date(name)
        return Number.isNaN(at.getTime()) ? { issues: [{ message: 'no date' }] } : { value: { id, name: at } }
      },
    },
  }
  other.exec(`UPDATE users SET name = '2026-01-01T00:00:00.000Z' WHERE id = 1`)
  const source = sqlite(file).table('users', { columns: ['name'] })
  const dated = tide.keyspace('dated', { source, schema })
  assert.deepEqual(await dated.get('1'), { id: 1, name: new Date('2026-01-01') })
  const both = await Promise.allSettled([dated.get('1', { maxStaleness: 0 }), dated.get('2', { maxStaleness: 0 })])
  assert.deepEqual(both.map(({ status }) => status), ['fulfilled', 'rejected']) // prettier-ignore
  assert.deepEqual(await dated.set('2', { id: 2, name: new Date(0) }), { id: 2, name: new Date(0) })
  assert.deepEqual((await dated.get('2'))?.name, new Date(0))
  assert.equal(other.prepare('SELECT name FROM users WHERE id = 2').get()?.['name'], new Date(0).toISOString())
})

void test('a file or a table that is not there is told, and the next call tries again', async t => {
  const path = folder(t)
  const file = join(path, 'later.db')
  const tide = new Tidemark({})
  t.after(() => tide.close())
  const users = tide.keyspace('users', { source: sqlite(file).table('users') })
  await refused(() => users.get('1'), 'SOURCE_UNAVAILABLE', /later\.db/)
  assert.equal(users.peek('1'), undefined)
  const other = new DatabaseSync(file, { timeout: 5_000 })
  t.after(() => other.close())
  other.exec('PRAGMA journal_mode = WAL')
  await refused(() => users.get('1'), 'MAPPING_INVALID', /users/)
  other.exec(SCHEMA)
  assert.equal(((await users.get('1')) as User).name, 'ann')
  throwsWith(() => tide.keyspace('memory', { source: sqlite(':memory:').table('users') }), 'OPTION_INVALID', /:memory:/)
  throwsWith(() => tide.keyspace('none', { source: sqlite({} as never).table('users') }), 'OPTION_INVALID', /file/)
})

void test('when the database thread dies, what is proved is answered, and the rest soon again', async t => {
  const workers: Worker[] = []
  const heard = (worker: Worker) => void workers.push(worker)
  process.on('worker', heard)
  t.after(() => process.off('worker', heard))
  const { tide, users, other } = scene(t)
  const errors: unknown[] = []
  tide.on('error', ({ error }) => errors.push(error))
  const session = tide.session()
  await users.set('1', { ...(await users.get('1'))!, visits: 1 }, { session })
  await until('it is in memory', () => users.peek('1') !== undefined)
  assert.equal(workers.length, 1)
  await workers[0]!.terminate()
  assert.equal(users.peek('1')?.visits, 1)
  await refused(() => users.get('2', { maxStaleness: 0 }), 'SOURCE_UNAVAILABLE', /thread/)
  await until('the next thread answers', async () => {
    const answer = await users.get('2', { maxStaleness: 0 }).catch(() => undefined)
    return answer !== undefined
  })
  assert.ok(
    errors.some(error => /died/.test(String(error))),
    String(errors),
  )
  other.exec('UPDATE users SET visits = 2 WHERE id = 1')
  assert.equal((await users.get('1', { maxStaleness: 0, session }))?.visits, 2)
  await until('changes are followed again', async () => (await users.get('1'))?.visits === 2)
  await users.set('1', { ...(await users.get('1'))!, visits: 3 }, { session })
  assert.equal((await users.get('1', { session }))?.visits, 3)
})

void test('rows of a session of the keyspace are answered out of memory, and those of a change are not', async t => {
  const { file, tide, other } = scene(t)
  const places = tide.keyspace<{ name: string }, [string, number]>('places', {
    source: sqlite(file).table('places'),
    session: true,
  })
  assert.equal((await places.get(['eu', 7]))?.name, 'here')
  await until('it is in memory', () => places.peek(['eu', 7]) !== undefined)
  assert.equal((await places.set(['eu', 7], { name: 'new' })).name, 'new')
  assert.equal(places.peek(['eu', 7])?.name, 'new')
  const { hits } = places.stats()
  for (let i = 0; i < 10; i++) assert.equal((await places.get(['eu', 7]))?.name, 'new')
  assert.equal(places.stats().hits, hits + 10)
  other.exec(`UPDATE places SET name = 'other' WHERE id = 7`)
  assert.equal((await places.get(['eu', 7], { maxStaleness: 0 }))?.name, 'other')
  for (let i = 0; i < 10; i++) assert.equal((await places.get(['eu', 7]))?.name, 'other')
  await until('it is in memory again', () => places.peek(['eu', 7])?.name === 'other')
  await places.clear()
  assert.equal(places.peek(['eu', 7]), undefined)
  assert.deepEqual([...places.keys()], [])
  await tide.close()
  assert.equal(places.peek(['eu', 7]), undefined)
})

void test('tables of a database share its breaker', async t => {
  const file = join(folder(t), 'app.db')
  const other = new DatabaseSync(file, { timeout: 5_000 })
  other.exec(`PRAGMA journal_mode = WAL; ${SCHEMA}`)
  const tide = new Tidemark({})
  t.after(async () => {
    await tide.close()
    other.close()
  })
  const load = { breaker: { failures: 2, halfOpenAfter: '200ms' } } as const
  const database = sqlite(file)
  const users = tide.keyspace<User>('users', { source: database.table('users'), load })
  const places = tide.keyspace<unknown, [string, number]>('places', { source: sqlite(file).table('places'), load })
  assert.equal((await users.get('2'))?.name, 'bob')
  renameSync(file, `${file}.away`)
  for (let i = 0; i < 2; i++) await refused(() => users.get('1', { maxStaleness: 0 }), 'SOURCE_UNAVAILABLE', /deleted/)
  await refused(() => places.get(['eu', 7]), 'SOURCE_BREAKER', /'places' is left alone .* failed last with: .*deleted/)
  renameSync(`${file}.away`, file)
  await until('it is found again', async () => (await places.get(['eu', 7]).catch(() => undefined)) !== undefined)
  assert.equal((await users.get('1', { maxStaleness: 0 }))?.name, 'ann')
})

void test('large reals stay numbers, and large integers BigInts', async t => {
  const { tide, file, other } = scene(t)
  other.exec('CREATE TABLE sizes (id INTEGER PRIMARY KEY, real REAL, whole INTEGER) STRICT')
  other.exec('INSERT INTO sizes VALUES (1, 1e17, 100000000000000001)')
  const sizes = tide.keyspace('sizes', { source: sqlite(file).table('sizes') })
  assert.deepEqual(await sizes.get('1'), { id: 1, real: 1e17, whole: 100_000_000_000_000_001n })
})

void test('a database that is not there is made by its `create`', async t => {
  const file = join(folder(t), 'new.db')
  let made = 0
  const create = (context: { readonly file: string }): void => {
    made++
    const database = new DatabaseSync(context.file)
    database.exec(SCHEMA)
    database.close()
  }
  for (let i = 0; i < 2; i++) {
    await using tide = new Tidemark({})
    const users = tide.keyspace<User>('users', { source: sqlite({ file, create }).table('users') })
    assert.equal((await users.get('1'))?.name, 'ann')
  }
  assert.equal(made, 1)
})
