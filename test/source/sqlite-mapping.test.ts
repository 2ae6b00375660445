// Which tables can be keyspaces, and how they look.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { KeyspaceDescription } from '../../src/source/source.ts'
import { SqliteSource } from '../../src/source/sqlite-source.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { loadTexts, makeFile, makeSource, optionsFor, outcomeOf, replace } from './fixture.ts'

async function describe(t: TestContext, sql: string, columns?: string[]): Promise<KeyspaceDescription> {
  const { source } = await makeSource(t, sql, [{ name: 'things', table: 'things', columns }])
  return source.describe()[0]!
}

async function problemOf(t: TestContext, sql: string, columns?: string[]): Promise<string> {
  const { file } = makeFile(t, sql)
  const opening = SqliteSource.open(optionsFor(file, [{ name: 'things', table: 'things', columns }], new ManualClock()))
  const error: unknown = await opening.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof Error && 'code' in error && error.code === 'MAPPING_INVALID', String(error))
  return error.message
}

const shape = (description: KeyspaceDescription): string[] =>
  description.columns.map(c => `${c.name} ${c.type}${c.nullable ? '' : ' not-null'}${c.key ? ' key' : ''}`)

test('a STRICT table shows its columns in order, with their types', async t => {
  const sql = `CREATE TABLE things (a INT, id INTEGER PRIMARY KEY, b REAL NOT NULL, c TEXT, d BLOB, e ANY) STRICT`
  const description = await describe(t, sql)
  assert.deepEqual(shape(description), [
    'a integer',
    'id integer not-null key',
    'b real not-null',
    'c text',
    'd blob',
    'e any',
  ])
  assert.deepEqual(description.keyColumns, ['id'])
  assert.equal(description.table, 'things')
})

test('a table that is not STRICT shows types by affinity', async t => {
  const sql = `CREATE TABLE things (id integer PRIMARY KEY, a BIGINT, b VARCHAR(20), c DOUBLE PRECISION, d, e DATETIME,
    f BOOLEAN, g DECIMAL(10,2), h LONGBLOB, i CHARINT)`
  assert.deepEqual(shape(await describe(t, sql)), [
    'id integer not-null key', 'a integer', 'b text', 'c real', 'd any', 'e any', 'f any', 'g any', 'h blob', 'i integer',
  ]) // prettier-ignore
})

test('a composite key is in the primary key order, not the column order', async t => {
  const sql = `CREATE TABLE things (a TEXT NOT NULL, b INTEGER NOT NULL, c, PRIMARY KEY (b, a)) WITHOUT ROWID`
  const { source, outside } = await makeSource(t, sql, [{ name: 'things', table: 'things' }])
  assert.deepEqual(source.describe()[0]!.keyColumns, ['b', 'a'])
  outside.exec(`INSERT INTO things VALUES ('x:y%', 5, 'ok')`)
  assert.deepEqual(await loadTexts(source, 'things', ['5:x%3Ay%25', '5:x%3Ay']), ['{"a":"x:y%","b":5,"c":"ok"}', null])
})

test('text, blob and composite keys load and write by their one spelling', async t => {
  const sql = `
    CREATE TABLE words (word TEXT PRIMARY KEY, n INTEGER) STRICT;
    CREATE TABLE hashes (hash BLOB PRIMARY KEY, n INTEGER) STRICT;
    CREATE TABLE triples (a TEXT, b BLOB, c INTEGER, n INTEGER, PRIMARY KEY (a, b, c)) STRICT`
  const names = ['words', 'hashes', 'triples']
  const { source } = await makeSource(
    t,
    sql,
    names.map(name => ({ name, table: name })),
  )
  const keys: [string, string[]][] = [
    ['words', ['', 'é😀', 'a:b%', '12', "'; DROP TABLE words", '"']],
    ['hashes', ['', '00', 'ff00']],
    ['triples', ['::0', 'a%3A:ff:-9223372036854775808', 'x:00:9223372036854775807']],
  ]
  for (const [name, ids] of keys) {
    for (const [i, id] of ids.entries()) {
      const outcome = await outcomeOf(source, `${name}:${id}`, replace(`{"n":${i}}`))
      assert.equal(outcome.before, null)
      assert.match(Buffer.from(outcome.after!).toString(), new RegExp(`"n":${i}}$`))
    }
    const rows = await loadTexts(source, name, [...ids, ...ids.toReversed()])
    const numbers = rows.map(row => (JSON.parse(row!) as { n: number }).n)
    assert.deepEqual(numbers, [...ids.keys(), ...[...ids.keys()].reverse()])
  }
})

test('a text key compares with BINARY even where its column says otherwise', async t => {
  const sql = `CREATE TABLE things (id TEXT NOT NULL COLLATE NOCASE, n INTEGER, PRIMARY KEY (id COLLATE BINARY))`
  const { source } = await makeSource(t, sql, [{ name: 'things', table: 'things' }])
  await outcomeOf(source, 'things:a', replace('{"n":1}'))
  await outcomeOf(source, 'things:A', replace('{"n":2}'))
  assert.deepEqual(await loadTexts(source, 'things', ['a', 'A']), ['{"id":"a","n":1}', '{"id":"A","n":2}'])
  await outcomeOf(source, 'things:a', { kind: 'remove' })
  assert.deepEqual(await loadTexts(source, 'things', ['a', 'A']), [null, '{"id":"A","n":2}'])
})

test('a keyspace of some columns always has the key, and leaves the others alone', async t => {
  const sql = `CREATE TABLE things (id INTEGER PRIMARY KEY, a TEXT, b TEXT NOT NULL DEFAULT 'dflt', c TEXT) STRICT`
  const { source, outside } = await makeSource(t, sql, [{ name: 'things', table: 'things', columns: ['c', 'a'] }])
  assert.deepEqual(shape(source.describe()[0]!), ['id integer not-null key', 'a text', 'c text'])
  outside.exec(`INSERT INTO things VALUES (1, 'a', 'b', 'c')`)
  await outcomeOf(source, 'things:1', replace('{"a":"A"}'))
  await outcomeOf(source, 'things:2', replace('{"a":"A"}'))
  const rows = outside.prepare('SELECT * FROM things').all()
  assert.deepEqual(
    rows.map(row => Object.values(row)),
    [
      [1, 'A', 'b', null],
      [2, 'A', 'dflt', null],
    ],
  )
  await assert.rejects(outcomeOf(source, 'things:1', replace('{"b":"x"}')), {
    code: 'ROW_INVALID',
    message: /no column "b"/,
  })
})

test('names of tables match in any case, and names are quoted', async t => {
  const sql = `CREATE TABLE "My ""Things" ("the ""id" INTEGER PRIMARY KEY, "select" TEXT, key INTEGER, value TEXT)`
  const { source } = await makeSource(t, sql, [{ name: 'things', table: 'my "THINGS' }])
  await outcomeOf(source, 'things:1', replace('{"select":"x","key":3,"value":"v"}'))
  await outcomeOf(source, 'things:1', { kind: 'update', fields: [['select', Buffer.from('y')]] })
  assert.deepEqual(await loadTexts(source, 'things', ['1']), ['{"the \\"id":1,"select":"y","key":3,"value":"v"}'])
})

test('a table without a usable key is refused with what is allowed', async t => {
  const cases: [string, RegExp][] = [
    ['CREATE TABLE things (a)', /it has no PRIMARY KEY/],
    [
      'CREATE TABLE things (a REAL PRIMARY KEY) STRICT',
      /key column "a" is declared REAL; a key column is INTEGER, TEXT or BLOB/,
    ],
    ['CREATE TABLE things (a PRIMARY KEY) WITHOUT ROWID', /key column "a" is declared without a type/],
    ['CREATE TABLE things (a DATETIME NOT NULL PRIMARY KEY)', /key column "a" is declared DATETIME/],
    ['CREATE TABLE things (a ANY PRIMARY KEY) STRICT', /key column "a" is declared ANY/],
    ['CREATE TABLE things (a TEXT COLLATE NOCASE PRIMARY KEY) STRICT', /key column "a" compares with nocase/i],
    ['CREATE TABLE things (a TEXT NOT NULL, PRIMARY KEY (a COLLATE RTRIM))', /key column "a" compares with rtrim/i],
    ['CREATE TABLE other (a INTEGER PRIMARY KEY); CREATE VIEW things AS SELECT * FROM other', /it is a view/],
    ['CREATE VIRTUAL TABLE things USING fts5(a)', /it is a virtual table/],
  ]
  for (const [sql, message] of cases) assert.match(await problemOf(t, sql), message)
})

test('a key column that may be NULL names the rows in which it is not', async t => {
  const sql = `CREATE TABLE things (a TEXT PRIMARY KEY, b TEXT);
    INSERT INTO things VALUES (NULL, 'nobody'), ('x', 'someone'), (NULL, 'nobody else')`
  const { file } = makeFile(t, sql)
  const source = await SqliteSource.open(optionsFor(file, [{ name: 'things', table: 'things' }], new ManualClock()))
  t.after(() => source.close())
  const { rows } = await source.load('things', ['x', 'NULL', 'null', ''])
  assert.deepEqual(
    rows.map(row => (row === null ? null : Buffer.from(row).toString())),
    ['{"a":"x","b":"someone"}', null, null, null],
  )
})

test('a missing table is refused with the tables there are', async t => {
  const sql = 'CREATE TABLE towns (a INTEGER PRIMARY KEY); CREATE TABLE roads (a INTEGER PRIMARY KEY AUTOINCREMENT)'
  assert.match(
    await problemOf(t, sql),
    /data\.db: keyspace things, table "things": there is no such table; there are: roads, towns$/,
  )
  assert.match(await problemOf(t, ''), /there is none at all$/)
})

test('all problems of all keyspaces are reported at once', async t => {
  const { file } = makeFile(t, 'CREATE TABLE a (x REAL, y TEXT COLLATE NOCASE, PRIMARY KEY (x, y))')
  const keyspaces = [
    { name: 'a', table: 'a', columns: ['z', 'q'] },
    { name: 'b', table: 'b' },
  ]
  await assert.rejects(SqliteSource.open(optionsFor(file, keyspaces, new ManualClock())), (error: Error) => {
    const lines = error.message.split('\n')
    const expected = [
      /"x" is declared REAL/,
      /"y" compares with/,
      /no column "z", "q"; there are: x, y$/,
      /keyspace b, .* there are: a$/,
    ]
    assert.equal(lines.length, expected.length, error.message)
    for (const pattern of expected)
      assert.ok(
        lines.some(line => pattern.test(line)),
        `${pattern} in ${error.message}`,
      )
    return true
  })
})

test('rows whose key is NULL, or of another storage class, are out of reach and in nobody’s way', async t => {
  const sql = `CREATE TABLE things (id TEXT NOT NULL PRIMARY KEY, n INTEGER)`
  const { source, outside } = await makeSource(t, sql, [{ name: 'things', table: 'things' }])
  outside.exec(`INSERT INTO things VALUES (x'61', 1), ('a', 2)`)
  assert.deepEqual(await loadTexts(source, 'things', ['a']), ['{"id":"a","n":2}'])
})

test('an unknown keyspace is refused with the keyspaces there are', async t => {
  const { source } = await makeSource(t)
  await assert.rejects(source.load('towns', ['1']), {
    code: 'MAPPING_INVALID',
    message: /no keyspace towns; there are: cities/,
  })
})
