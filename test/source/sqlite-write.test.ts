// What each kind of write does to a row, and what is refused, on real SQLite files.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { RowOperation } from '../../src/source/source.ts'
import {
  loadTexts, makeSource, outcomeOf, remove, replace, textOf, unset, update, writeOne, type Fixture,
} from './fixture.ts' // prettier-ignore

async function refused(f: Fixture, key: string, operation: RowOperation, code: string, message: RegExp): Promise<void> {
  const count = (): unknown =>
    f.outside
      .prepare('SELECT group_concat(quote(id) || quote(name) || quote(population)) AS all_rows FROM cities')
      .get()
  const before = count()
  f.feed.take()
  await assert.rejects(writeOne(f.source, key, operation), { code, message })
  assert.deepEqual(count(), before)
  assert.deepEqual(f.feed.take(), [])
}

const row = (id: number, rest: string): string => `{"id":${id},${rest}}`
const london = row(1, '"name":"London","population":7,"note":null,"height":null,"flag":null,"label":"London!"')

test('replace inserts, and sets every column that is not given to its default', async t => {
  const { source } = await makeSource(t)
  const first = await outcomeOf(
    source,
    'cities:1',
    replace('{"name":"London","population":9,"note":"x","height":1.5,"flag":"AP8="}'),
  )
  const full = row(1, '"name":"London","population":9,"note":"x","height":1.5,"flag": "AP8=","label":"London!"')
  assert.deepEqual(
    [first.changed, textOf(first.before), textOf(first.after), first.fields, first.exact],
    [true, null, full, 0, true],
  )
  const second = await outcomeOf(source, 'cities:1', replace('{"id":1,"name":"London"}'))
  assert.deepEqual([textOf(second.before), textOf(second.after)], [full, london])
  assert.deepEqual(await loadTexts(source, 'cities', ['1']), [london])
})

test('replace with a condition does nothing when it does not hold', async t => {
  const { source } = await makeSource(t)
  const none = await outcomeOf(source, 'cities:1', replace('{"name":"London"}', 'present'))
  assert.deepEqual([none.changed, none.before, none.after], [false, null, null])
  assert.equal((await outcomeOf(source, 'cities:1', replace('{"name":"London"}', 'absent'))).changed, true)
  const there = await outcomeOf(source, 'cities:1', replace('{"name":"Paris"}', 'absent'))
  assert.deepEqual([there.changed, textOf(there.before), textOf(there.after)], [false, london, london])
  assert.equal((await outcomeOf(source, 'cities:1', replace('{"name":"Paris"}', 'present'))).changed, true)
})

test('update changes the given columns, inserts a missing row, and counts what had no value', async t => {
  const { source } = await makeSource(t)
  const inserted = await outcomeOf(source, 'cities:1', update({ name: 'London' }))
  assert.deepEqual(
    [inserted.changed, inserted.before, textOf(inserted.after), inserted.fields],
    [true, null, london, 1],
  )
  const flag = Buffer.from([0xff, 0])
  const changed = await outcomeOf(source, 'cities:1', update({ population: '9223372036854775807', note: '', flag }))
  assert.equal(changed.fields, 2)
  assert.equal(
    textOf(changed.after),
    row(1, '"name":"London","population":9223372036854775807,"note":"","height":null,"flag": "/wA=","label":"London!"'),
  )
  const twice: RowOperation = {
    kind: 'update',
    fields: [
      ['height', Buffer.from('1')],
      ['height', Buffer.from('2')],
    ],
  }
  const last = await outcomeOf(source, 'cities:1', twice)
  assert.equal(last.fields, 1)
  assert.match(textOf(last.after)!, /"height":2,/)
  const nothing = await outcomeOf(source, 'cities:1', update({}))
  assert.equal(nothing.changed, false)
})

test('unset makes columns NULL and counts those that had a value', async t => {
  const { source } = await makeSource(t)
  const missing = await outcomeOf(source, 'cities:1', unset('note'))
  assert.deepEqual([missing.changed, missing.fields, missing.after], [false, 0, null])
  await outcomeOf(source, 'cities:1', replace('{"name":"London","note":"x"}'))
  const done = await outcomeOf(source, 'cities:1', unset('note', 'height', 'note'))
  assert.deepEqual([done.changed, done.fields, textOf(done.after)], [true, 1, london])
  assert.equal((await outcomeOf(source, 'cities:1', unset('note'))).changed, false)
})

test('remove deletes the row and tells what it was', async t => {
  const { source } = await makeSource(t)
  await outcomeOf(source, 'cities:1', replace('{"name":"London"}'))
  const removed = await outcomeOf(source, 'cities:1', remove)
  assert.deepEqual([removed.changed, textOf(removed.before), removed.after], [true, london, null])
  assert.equal((await outcomeOf(source, 'cities:1', remove)).changed, false)
})

test('several writes to one row in one call work in order', async t => {
  const { source } = await makeSource(t)
  const operations = [replace('{"name":"A"}'), update({ note: 'x' }), remove, update({ name: 'B' })]
  const { outcomes } = await source.write(operations.map(operation => ({ keyspace: 'cities', id: '1', operation })))
  const names = outcomes.map(({ before, after }) =>
    [before, after].map(row => /"name":"(.)"/.exec(textOf(row) ?? '')?.[1]),
  )
  assert.deepEqual(names, [
    [undefined, 'A'],
    ['A', 'A'],
    ['A', undefined],
    [undefined, 'B'],
  ])
})

test('a row that does not fit its table is refused, and nothing changes', async t => {
  const f = await makeSource(t)
  await outcomeOf(f.source, 'cities:1', replace('{"name":"London"}'))
  const cases: [string, RegExp][] = [
    ['nonsense', /table cities: the row is no JSON object/],
    ['[]', /no JSON object/],
    ['{"name":"x","name":"y"}', /"name" is given twice/],
    ['{"name":"x","mayor":"y"}', /no column "mayor" in keyspace cities; there are: id, name, population/],
    ['{"name":5}', /column "name" takes a string; got 5/],
    ['{"name":"x","population":"abc"}', /column "population" takes a whole number .*; got the string "abc"/],
    ['{"name":"x","population":1.5}', /got 1\.5/],
    ['{"name":"x","population":9223372036854775808}', /got 9223372036854775808/],
    ['{"name":"x","population":null}', /got null, and the column is NOT NULL/],
    ['{"name":"x","height":"tall"}', /column "height" takes a number/],
    ['{"name":"x","flag":"not base64!"}', /column "flag" takes a string of base64/],
    ['{"name":"x","label":"y"}', /column "label" is generated by the table and cannot be written/],
    ['{"population":5}', /NOT NULL constraint failed: cities\.name/],
  ]
  for (const [json, message] of cases) {
    for (const id of [1, 2]) await refused(f, `cities:${id}`, replace(json), 'ROW_INVALID', message)
  }
})

test('key columns in a row may repeat the key, not contradict it', async t => {
  const f = await makeSource(t)
  for (const json of ['{"id":2,"name":"x"}', '{"id":-1,"name":"x"}']) {
    await refused(
      f,
      'cities:1',
      replace(json),
      'ROW_KEY_COLUMN',
      /key column "id" in the row contradicts the key "cities:1"/,
    )
  }
  await refused(f, 'cities:1', replace('{"id":"1","name":"x"}'), 'ROW_INVALID', /column "id" takes/)
  assert.equal((await outcomeOf(f.source, 'cities:1', replace('{"id":1,"name":"x"}'))).changed, true)
})

test('fields that cannot be written are refused, and nothing changes', async t => {
  const f = await makeSource(t)
  await outcomeOf(f.source, 'cities:1', replace('{"name":"London"}'))
  await refused(f, 'cities:1', update({ id: '1' }), 'ROW_KEY_COLUMN', /column "id" is part of the key/)
  await refused(f, 'cities:1', unset('id'), 'ROW_KEY_COLUMN', /column "id" is part of the key/)
  await refused(f, 'cities:1', update({ population: 'abc' }), 'ROW_INVALID', /takes a whole number .*; got "abc"/)
  await refused(f, 'cities:1', update({ mayor: 'x' }), 'ROW_INVALID', /no column "mayor"/)
  await refused(f, 'cities:1', update({ label: 'x' }), 'ROW_INVALID', /"label" is generated/)
  await refused(f, 'cities:1', unset('mayor'), 'ROW_INVALID', /no column "mayor"/)
  await refused(f, 'cities:1', unset('name'), 'ROW_INVALID', /"name" is NOT NULL and cannot be removed/)
  await refused(f, 'cities:2', update({ note: 'x' }), 'ROW_INVALID', /NOT NULL constraint failed: cities\.name/)
  await refused(f, 'cities:01', update({ note: 'x' }), 'ROW_KEY_INVALID', /"cities:01" is no key of keyspace cities/)
  await assert.rejects(f.source.load('cities', ['1', '+1']), { code: 'ROW_KEY_INVALID' })
})

test('a call is one transaction: one bad write undoes the others', async t => {
  const f = await makeSource(t)
  const write = (id: string, operation: RowOperation) => ({ keyspace: 'cities', id, operation })
  await assert.rejects(f.source.write([write('1', update({ name: 'A' })), write('2', update({ note: 'no name' }))]), {
    code: 'ROW_INVALID',
  })
  assert.deepEqual(await loadTexts(f.source, 'cities', ['1', '2']), [null, null])
})

test('broken constraints are refused with their name', async t => {
  const sql = `
    CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT) STRICT;
    CREATE TABLE cities (id INTEGER PRIMARY KEY, name TEXT, population INTEGER DEFAULT 0,
      country TEXT REFERENCES countries (code), email TEXT UNIQUE ON CONFLICT REPLACE,
      CONSTRAINT people CHECK (population >= 0)) STRICT`
  const f = await makeSource(t, sql, [
    { name: 'cities', table: 'cities' },
    { name: 'countries', table: 'countries' },
  ])
  await outcomeOf(f.source, 'countries:GB', replace('{"name":"Britain"}'))
  await outcomeOf(f.source, 'cities:1', replace('{"name":"A","email":"a","country":"GB"}'))
  await refused(
    f,
    'cities:2',
    update({ population: '-1' }),
    'ROW_INVALID',
    /table cities: CHECK constraint failed: people/,
  )
  await refused(
    f,
    'cities:2',
    update({ country: 'XX' }),
    'ROW_INVALID',
    /FOREIGN KEY constraint failed \(country -> countries\(code\)/,
  )
  await refused(f, 'countries:GB', remove, 'ROW_INVALID', /FOREIGN KEY constraint failed/)
  // The table says ON CONFLICT REPLACE, which would delete cities:1 without a word.
  await refused(f, 'cities:2', update({ email: 'a' }), 'ROW_INVALID', /UNIQUE constraint failed: cities\.email/)
  await refused(f, 'cities:2', replace('{"email":"a"}'), 'ROW_INVALID', /UNIQUE constraint failed: cities\.email/)
  await outcomeOf(f.source, 'cities:2', replace('{"name":"B","email":"b"}'))
  await refused(f, 'cities:2', update({ email: 'a' }), 'ROW_INVALID', /UNIQUE constraint failed: cities\.email/)
  await refused(f, 'cities:2', replace('{"email":"a"}'), 'ROW_INVALID', /UNIQUE constraint failed: cities\.email/)
})

test('a table that is not STRICT takes no value of another type through us', async t => {
  const sql = `CREATE TABLE cities (id INTEGER PRIMARY KEY, name VARCHAR(10), population BIGINT, height DOUBLE, at DATETIME, x)`
  const f = await makeSource(t, sql)
  for (const json of ['{"population":"abc"}', '{"population":"5"}', '{"height":"x"}', '{"name":5}']) {
    await refused(f, 'cities:1', replace(json), 'ROW_INVALID', /takes/)
  }
  await refused(f, 'cities:1', update({ population: 'abc' }), 'ROW_INVALID', /takes/)
  const outcome = await outcomeOf(
    f.source,
    'cities:1',
    replace('{"population":5,"height":5,"at":"2024-01-01","x":{"base64":"AA=="}}'),
  )
  assert.equal(
    textOf(outcome.after),
    '{"id":1,"name":null,"population":5,"height":5,"at":"2024-01-01","x":{"base64":"AA=="}}',
  )
  // What others stored is shown as it is.
  f.outside.exec(`UPDATE cities SET population = 'abc', height = 'tall', x = 5.0, at = 5, name = x'6162'`)
  assert.deepEqual(await loadTexts(f.source, 'cities', ['1']), [
    '{"id":1,"name":{"base64":"YWI="},"population":"abc","height":"tall","at":5,"x":5.0}',
  ])
})

test('whatever is written as JSON is what the database holds and what is loaded', async t => {
  const sql = 'CREATE TABLE things (id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB, a ANY) STRICT'
  const { source } = await makeSource(t, sql, [{ name: 'things', table: 'things' }])
  const int = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  const real = fc.double({ noNaN: true, noDefaultInfinity: true })
  const text = fc
    .string({ unit: 'binary' })
    .filter(value => value.isWellFormed())
    .map(value => JSON.stringify(value))
  const blob = fc.uint8Array({ maxLength: 20 }).map(bytes => Buffer.from(bytes).toString('base64'))
  // As many digits as a large integer has would look like one.
  const isLarge = (text: string, value: number): boolean => !/[.e]/.test(text) && Math.abs(value) >= 2 ** 53
  const realText = (value: number): string => {
    const text = Object.is(value, -0) ? '-0' : String(value)
    return isLarge(text, value) ? value.toExponential() : text
  }
  const integral = (value: number): string => (/[.e]/.test(realText(value)) ? realText(value) : `${realText(value)}.0`)
  const nullable = (values: fc.Arbitrary<string>): fc.Arbitrary<string> =>
    fc.oneof({ weight: 9, arbitrary: values }, { weight: 1, arbitrary: fc.constant('null') })
  const any = fc.oneof(
    int.map(String),
    real.map(integral),
    text,
    blob.map(base64 => `{"base64":"${base64}"}`),
  )
  await fc.assert(
    fc.asyncProperty(
      int,
      nullable(int.map(String)),
      nullable(real.map(realText)),
      nullable(text),
      nullable(blob.map(base64 => ` "${base64}"`)),
      nullable(any),
      async (id, i, r, t, b, a) => {
        // SQLite keeps an integral REAL without the sign of its zero.
        const json = `{"id":${id},"i":${i},"r":${r === '-0' ? '0' : r},"t":${t},"b":${b},"a":${a.replace(/^-0\.0$/, '0.0')}}`
        const outcome = await outcomeOf(source, `things:${id}`, replace(json))
        assert.equal(textOf(outcome.after), json)
        assert.deepEqual(await loadTexts(source, 'things', [String(id)]), [json])
      },
    ),
    { numRuns: 300, seed: 31 },
  )
})

test('a write through one keyspace is a change in every keyspace of the table', async t => {
  const f = await makeSource(t, undefined, [
    { name: 'cities', table: 'cities' },
    { name: 'names', table: 'CITIES', columns: ['name'] },
  ])
  await outcomeOf(f.source, 'names:1', update({ name: 'A' }))
  const [told] = f.feed.take()
  assert.deepEqual(told?.what === 'changes' && told.events.map(event => event.key), ['cities:1', 'names:1'])
})
