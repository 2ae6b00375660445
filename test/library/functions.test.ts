// Keyspaces over functions: read-through and write-through, what is remembered of missing keys, and functions that are slow, fail
// or answer late.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Keyspace, KeyspaceOptions } from '../../src/index.ts'
import type { ManualClock } from '../../src/testing/clock.ts'
import { Functions, open, refused, settle } from './scene.ts'

interface Scene {
  readonly clock: ManualClock
  readonly functions: Functions
  readonly users: Keyspace
}

function scene(t: TestContext, options: KeyspaceOptions<unknown> = {}): Scene {
  const { tide, clock } = open(t)
  const functions = new Functions({ 1: { name: 'ann' }, 2: { name: 'bob' }, null: null })
  return { clock, functions, users: tide.keyspace('users', { source: functions, ttl: '10s', ...options }) }
}

void test('a value is loaded once for all who ask, and is in memory until its time is over', async t => {
  const { users, functions, clock } = scene(t)
  assert.equal(users.peek('1'), undefined)
  assert.equal(functions.loads.length, 0)
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => users.get('1')))
  assert.ok(answers.every(answer => answer === functions.rows.get('1')))
  assert.deepEqual(functions.loads, [['1']])
  assert.equal(users.peek('1'), functions.rows.get('1'))
  clock.advance(9_999)
  assert.equal((await users.read('1')).age, 9_999)
  clock.advance(1)
  assert.equal(users.peek('1'), undefined)
  await users.get('1')
  assert.equal(functions.loads.length, 2)
})

void test('getMany asks for what is missing in one call, each key once', async t => {
  const { users, functions } = scene(t)
  await users.get('1')
  const found = await users.getMany(['1', '2', '2', 'null', 'nobody', '2'])
  assert.deepEqual([...found], [['1', { name: 'ann' }], ['2', { name: 'bob' }], ['null', null]]) // prettier-ignore
  assert.deepEqual(functions.loads, [['1'], ['2', 'null', 'nobody']])
  assert.deepEqual([...(await users.getMany([]))], [])
})

void test('null is a value; that a key is missing is remembered, and has() tells them apart', async t => {
  const { users, functions } = scene(t)
  assert.equal(await users.get('null'), null)
  assert.equal(await users.has('null'), true)
  assert.equal(await users.get('nobody'), undefined)
  assert.equal(await users.has('nobody'), false)
  assert.equal(users.peek('nobody'), undefined)
  assert.equal(functions.loads.length, 2)
  assert.deepEqual([...users.entries()], [['null', null]])
  await users.set('nobody', null)
  assert.equal(await users.get('nobody'), null)
  assert.equal(functions.rows.get('nobody'), null)
  await refused(() => users.set('1', undefined), 'VALUE_INVALID', /undefined/)
  await refused(() => users.setMany([['1', 1], ['2', undefined]]), 'VALUE_INVALID') // prettier-ignore
  assert.deepEqual(functions.rows.get('1'), { name: 'ann' })
})

void test('what is written is stored, then read from memory; what is removed is gone', async t => {
  const { users, functions } = scene(t)
  const ann = { name: 'Ann' }
  assert.equal(await users.set('1', ann), ann)
  assert.equal(users.peek('1'), ann)
  await users.setMany([['3', 3], ['4', 4], ['3', 5]]) // prettier-ignore
  assert.deepEqual(functions.stores.at(-1), new Map([['3', 5], ['4', 4]])) // prettier-ignore
  assert.equal(await users.get('3'), 5)
  assert.equal(users.peek('3'), 5)
  assert.equal(await users.delete('3'), true)
  assert.equal(await users.get('3'), undefined)
  assert.equal(await users.deleteMany(['1', '4', '1']), 2)
  assert.deepEqual(functions.removals, [['3'], ['1', '4']])
  assert.equal(await users.deleteMany([]), 0)
  assert.deepEqual(await users.getMany(['1', '3', '4']), new Map())
  assert.equal(functions.loads.length, 0)
})

void test('a value may have a time and tags of its own, and the source sees the value alone', async t => {
  const { users, functions, clock } = scene(t)
  await users.set('1', 'x', { ttl: '1s' })
  await users.set('2', null, { tags: ['t'] })
  assert.equal(functions.rows.get('1'), 'x')
  assert.equal(functions.rows.get('2'), null)
  clock.advance(999)
  assert.equal(users.peek('1'), 'x')
  clock.advance(1)
  assert.equal(users.peek('1'), undefined)
  assert.equal(users.peek('2'), null)
})

void test('a load that began before a write does not put back what was there before it', async t => {
  const { users, functions } = scene(t)
  const release = functions.hold('after')
  const reading = users.get('1')
  await settle()
  functions.after = () => Promise.resolve()
  await users.set('1', 'new')
  release()
  await reading
  await settle()
  assert.equal(users.peek('1'), 'new')
  assert.equal(await users.get('1'), 'new')
})

void test('a load that began before the keyspace was cleared, or a key was invalidated, is not kept', async t => {
  const { users, functions } = scene(t)
  for (const forget of [async () => users.clear(), () => users.invalidate('1')]) {
    const release = functions.hold('after')
    const reading = users.get('1')
    await settle()
    functions.after = () => Promise.resolve()
    await forget()
    functions.rows.set('1', 'new')
    const later = users.get('1')
    release()
    assert.notEqual(await reading, 'new')
    assert.equal(await later, 'new')
    await settle()
    assert.equal(users.peek('1'), 'new')
    functions.rows.set('1', 'old')
    await users.clear()
  }
})

void test('what a load throws, all who wait are thrown; the next one loads again', async t => {
  const { users, functions } = scene(t)
  const trouble = new Error('down')
  functions.before = () => Promise.reject(trouble)
  const asked = await Promise.allSettled([users.get('1'), users.get('1'), users.getMany(['1', '2'])])
  assert.deepEqual(
    asked.map(each => each.status === 'rejected' && each.reason === trouble),
    [true, true, true],
  )
  functions.before = () => Promise.resolve()
  assert.deepEqual(await users.get('1'), { name: 'ann' })
})

void test('a load that hangs ends with SOURCE_TIMEOUT, and what it answers later is nothing to anybody', async t => {
  const { users, functions, clock } = scene(t)
  const release = functions.hold('after')
  const reading = refused(() => users.get('1'), 'SOURCE_TIMEOUT', /'load' of 'users'/)
  await settle()
  clock.advance(10_000)
  await reading
  functions.after = () => Promise.resolve()
  functions.rows.set('1', 'new')
  assert.equal(await users.get('1'), 'new')
  release()
  await settle()
  assert.equal(users.peek('1'), 'new')
})

void test('a load that takes longer than a lease is shared and kept', async t => {
  const { users, functions, clock } = scene(t)
  const release = functions.hold('after')
  const reading: Promise<unknown>[] = []
  for (let i = 0; i < 5; i++) {
    reading.push(users.get('1'))
    await settle()
    clock.advance(1_500)
  }
  release()
  await Promise.all(reading)
  assert.equal(functions.loads.length, 1)
  await settle()
  assert.deepEqual(users.peek('1'), { name: 'ann' })
})

void test('after a store that failed nobody knows what is there: it is loaded, and what it stored late is seen', async t => {
  const { users, functions, clock } = scene(t)
  await users.get('1')
  const trouble = new Error('no')
  functions.before = () => Promise.reject(trouble)
  await assert.rejects(users.set('1', 'lost'), trouble)
  functions.before = () => Promise.resolve()
  assert.deepEqual(await users.get('1'), { name: 'ann' })
  // It may have been stored all the same, a little later: nothing is kept before that time is over.
  functions.rows.set('1', 'late')
  assert.equal(await users.get('1'), 'late')
  clock.advance(20_000)
  await users.get('1')
  await settle()
  assert.equal(users.peek('1'), 'late')
})

void test('answers of another kind, or for other keys, are told as what they are', async t => {
  const { tide } = open(t)
  const answering = (answer: unknown) => ({ load: () => answer as Map<string, unknown> })
  const bad: [unknown, RegExp][] = [
    [undefined, /undefined.*Map/],
    ['text', /string/],
    [[1], /array/],
    [new Map([['2', 1]]), /'2'.*'1'/],
    [new Map([[1, 1]]), /number/],
  ]
  for (const [i, [answer, message]] of bad.entries()) {
    const keyspace = tide.keyspace(`bad${i}`, { source: answering(answer) })
    await refused(() => keyspace.get('1'), 'SOURCE_ANSWER', message)
  }
  assert.equal(await tide.keyspace('record', { source: answering({ 1: 'a' }) }).get('1'), 'a')
  assert.equal(await tide.keyspace('pairs', { source: answering([['1', 'b']]) }).get('1'), 'b')
})

void test('functions that are not given are refused by name', async t => {
  const { tide } = open(t)
  const read = tide.keyspace('read', { source: { load: () => new Map() } })
  await refused(() => read.set('1', 1), 'ROW_OPERATION', /'read'.*'store'/)
  await refused(() => read.delete('1'), 'ROW_OPERATION', /'read'.*'remove'/)
})

void test('getOrSet writes what it builds to the source, once, and does not build what is there', async t => {
  const { users, functions } = scene(t)
  let builds = 0
  const build = async () => {
    builds++
    await settle()
    return { name: 'new' }
  }
  const answers = await Promise.all(Array.from({ length: 20 }, () => users.getOrSet('9', build)))
  assert.equal(builds, 1)
  assert.equal(functions.stores.length, 1)
  assert.ok(answers.every(answer => answer === functions.rows.get('9')))
  assert.deepEqual(await users.getOrSet('1', build), { name: 'ann' })
  assert.equal(await users.getOrSet('null', build), null)
  assert.equal(await users.getOrSet('8', () => undefined), undefined)
  assert.ok(!functions.rows.has('8'))
  await assert.rejects(
    users.getOrSet('7', () => {
      throw new RangeError('no')
    }),
    RangeError,
  )
  assert.equal(builds, 1)
})

void test('a bound asks again for what is older, and so does a call of its own', async t => {
  const { users, functions, clock } = scene(t, { maxStaleness: '1s' })
  await users.get('1')
  clock.advance(1_000)
  assert.equal((await users.read('1')).tier, 'near')
  clock.advance(1)
  assert.equal(users.peek('1'), undefined)
  functions.rows.set('1', 'new')
  assert.deepEqual(await users.read('1'), { value: 'new', age: 0, tier: 'source', stale: false })
  await users.get('2')
  functions.rows.set('2', 'newer')
  clock.advance(500)
  const bob = { name: 'bob' }
  assert.deepEqual(await users.get('2', { maxStaleness: '500ms' }), bob)
  assert.equal(await users.get('2', { maxStaleness: '499ms' }), 'newer')
  assert.equal(await users.get('2', { maxStaleness: 0 }), 'newer')
  clock.advance(2_000)
  // What was loaded for one call's bound is there for all.
  const kept = { value: 'newer', age: 2_000, tier: 'near', stale: true }
  assert.deepEqual(await users.read('2', { whenStale: 'serve' }), kept)
  await refused(() => users.get('2', { whenStale: 'fail' }), 'STALE', /'users:2'.*2000 ms.*1000 ms.*maxStaleness/)
  await refused(() => users.get('2', { maxStaleness: '2ms', whenStale: 'fail' }), 'STALE', /2 ms/)
  assert.equal(await users.get('2', { maxStaleness: '3s' }), 'newer')
})
