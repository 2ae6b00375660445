// Schemas: values are checked on their way in and out, by any library that keeps to Standard Schema; here by a tiny one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StandardSchema } from '../../src/index.ts'
import { Functions, open, refused, settle } from './scene.ts'

interface Dated {
  readonly at: Date
}

/** Takes a date, or the text of one, and gives a date: as z.coerce.date() does. */
function dated(sync: boolean): StandardSchema<Dated> {
  const check = (value: unknown) => {
    const at = new Date((value as { at: string }).at)
    if (Number.isNaN(at.getTime())) return { issues: [{ message: 'no date', path: [{ key: 'at' }] }] }
    return { value: { at } }
  }
  const validate = sync ? check : async (value: unknown) => (await settle(), check(value))
  return { '~standard': { version: 1, vendor: 'test', validate } }
}

const refusing: StandardSchema<string> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: () => ({ issues: Array.from({ length: 7 }, (_, i) => ({ message: `bad ${i}`, path: ['a', i] })) }),
  },
}

for (const sync of [true, false]) {
  const how = sync ? 'at once' : 'asynchronously'

  void test(`values are as the schema makes them, wherever they come from (${how})`, async t => {
    const { tide } = open(t)
    const functions = new Functions({ 1: { at: '2026-01-02' }, bad: { at: 'soon' }, null: null })
    const loaded = tide.keyspace('loaded', { source: functions, schema: dated(sync) })
    assert.deepEqual(await loaded.get('1'), { at: new Date('2026-01-02') })
    assert.deepEqual(loaded.peek('1'), { at: new Date('2026-01-02') })
    assert.equal(await loaded.get('nobody'), undefined)
    assert.deepEqual(await loaded.set('2', { at: new Date(0) }), { at: new Date(0) })
    assert.deepEqual(functions.rows.get('2'), { at: new Date(0) })
    const own = tide.keyspace('own', { schema: dated(sync) })
    const text = { at: '2026-01-03' } as unknown as Dated
    assert.deepEqual(await own.set('a', text), { at: new Date('2026-01-03') })
    assert.deepEqual(await own.getOrSet('b', () => text), { at: new Date('2026-01-03') })
    assert.deepEqual(own.peek('b'), { at: new Date('2026-01-03') })
    assert.deepEqual(await own.getOrSet('b', () => text), { at: new Date('2026-01-03') })
    assert.deepEqual(await own.update('b', value => ({ at: new Date(value!.at.getTime() + 1) })), {
      at: new Date(Date.parse('2026-01-03') + 1),
    })
  })

  void test(`what the schema refuses is not written, not answered and not kept (${how})`, async t => {
    const { tide } = open(t)
    const functions = new Functions({ good: { at: '2026-01-02' }, bad: { at: 'soon' } })
    const loaded = tide.keyspace('loaded', { source: functions, schema: dated(sync) })
    const wrong = { at: 'never' } as unknown as Dated
    await refused(() => loaded.get('bad'), 'VALUE_INVALID', /'loaded:bad' .*: at: no date$/)
    // One row that is wrong is one row that is wrong.
    const both = await Promise.allSettled([loaded.get('good'), loaded.get('bad')])
    assert.deepEqual(
      both.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    )
    functions.rows.set('bad', { at: '2026-01-05' })
    assert.deepEqual(await loaded.get('bad'), { at: new Date('2026-01-05') })
    await refused(() => loaded.set('good', wrong), 'VALUE_INVALID')
    await refused(() => loaded.getOrSet('new', () => wrong), 'VALUE_INVALID')
    assert.equal(functions.stores.length, 0)
    const own = tide.keyspace('own', { schema: dated(sync) })
    await refused(() => own.set('a', wrong), 'VALUE_INVALID', /'own:a'/)
    await refused(() => own.getOrSet('a', () => wrong), 'VALUE_INVALID', /'own:a'/)
    assert.equal(own.peek('a'), undefined)
    assert.equal(await own.get('a'), undefined)
  })
}

void test('a message names the first five mistakes, and says how many more there are', async t => {
  const { tide } = open(t)
  const own = tide.keyspace('own', { schema: refusing })
  await refused(() => own.set('a', 'x'), 'VALUE_INVALID', /a\.0: bad 0; .*a\.4: bad 4; and 2 more$/)
})

void test('a schema that throws fails the call, and nothing else', async t => {
  const { tide } = open(t)
  const trouble = new Error('schema')
  const validate = () => {
    throw trouble
  }
  const schema = { '~standard': { version: 1, vendor: 'test', validate } } as const
  const functions = new Functions({ 1: 1 })
  const loaded = tide.keyspace('loaded', { source: functions, schema })
  await assert.rejects(loaded.get('1'), trouble)
  await assert.rejects(loaded.set('1', 2), trouble)
  await assert.rejects(
    tide.keyspace('own', { schema }).getOrSet('1', () => 2),
    trouble,
  )
  assert.equal(functions.stores.length, 0)
})
