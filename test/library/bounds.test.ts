// Bounds of keyspaces without a log: a value past its bound is loaded anew and kept, so that the next who asks finds it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { FaultyTier } from '../../src/testing/faulty-tier.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import { createTestTidemark } from '../../src/testing/test-tidemark.ts'
import { Functions, open, refused, settle } from './scene.ts'

void test('past the bound of the keyspace it is loaded once, not by everyone who asks', async t => {
  const { tide, clock } = open(t)
  const functions = new Functions({ a: 1 })
  const values = tide.keyspace('values-of', { source: functions, ttl: '1h', maxStaleness: '1s' })
  for (let i = 0; i < 10; i++) {
    assert.equal(await values.get('a'), 1)
    clock.advance(300)
  }
  // At 0, 1.2 and 2.4 s.
  assert.equal(functions.loads.length, 3)
})

void test('past the bound of a call too, and others go on with what is there', async t => {
  const { tide, clock } = open(t)
  const functions = new Functions({ a: 1 })
  const values = tide.keyspace('values-of', { source: functions, ttl: '1h' })
  for (let i = 0; i < 10; i++) {
    assert.equal(await values.get('a', { maxStaleness: '1s' }), 1)
    clock.advance(300)
  }
  assert.equal(functions.loads.length, 3)
  clock.advance(60_000)
  assert.equal(await values.get('a'), 1)
  assert.equal(functions.loads.length, 3)
})

void test('more keys than may wait are asked for by parts', async t => {
  const { tide } = open(t)
  const functions = new Functions()
  const many = Array.from({ length: limits.sourceWaitingRowsMax + 1 }, (_, i) => `${i}`)
  for (const id of many) functions.rows.set(id, id)
  const values = tide.keyspace('values-of', { source: functions })
  assert.equal((await values.getMany(many)).size, many.length)
})

void test('over a shared tier what was loaded takes the place of what was too old', async t => {
  const clock = new ManualClock()
  const tier = new MemoryTier({ clock, lanes: 8 })
  const functions = new Functions({ a: 1 })
  const [one, other] = [1, 2].map(() => {
    const { tide } = createTestTidemark({ tier }, { clock })
    t.after(() => tide.close())
    return tide.keyspace('values-of', { source: functions, ttl: '1h', maxStaleness: '1s' })
  })
  for (let i = 0; i < 10; i++) {
    assert.equal(await one!.get('a'), 1)
    // What is loaded is in the tier a moment later.
    await settle()
    assert.equal(await other!.get('a'), 1)
    await settle()
    clock.advance(300)
  }
  assert.equal(functions.loads.length, 3)
})

void test('a value without a source is as old as the call that made it: past the bound of a call there is none', async t => {
  const { tide, clock } = open(t)
  await tide.set('set', 1)
  await tide.getOrSet('built', () => 1)
  await settle()
  clock.advance(2_000)
  for (const key of ['set', 'built']) {
    assert.equal(await tide.get(key, { maxStaleness: '3s' }), 1)
    assert.equal(await tide.get(key, { maxStaleness: '1s' }), undefined)
    const { value, stale, age } = await tide.values.read(key, { maxStaleness: '1s', whenStale: 'serve' })
    assert.deepEqual({ value, stale, age }, { value: 1, stale: true, age: 2_000 })
    await refused(() => tide.get(key, { maxStaleness: '1s', whenStale: 'fail' }), 'STALE')
    assert.equal(await tide.get(key), 1)
  }
  assert.equal(await tide.get('neither', { maxStaleness: '1s', whenStale: 'fail' }), undefined)
})

void test('so it is over a shared tier, where another process may have set it since', async t => {
  const clock = new ManualClock()
  const tier = new MemoryTier({ clock, lanes: 8 })
  const [one, other] = [1, 2].map(() => {
    const { tide } = createTestTidemark({ tier }, { clock })
    t.after(() => tide.close())
    return tide
  })
  await one!.set('a', 1)
  assert.equal(await other!.get('a'), 1)
  clock.advance(2_000)
  tier.cutMessages()
  await one!.set('a', 2)
  assert.equal(await other!.get('a', { maxStaleness: '1s' }), 2)
})

void test('of a keyspace without a source that fails past its bound: reads do, deletions do not', async t => {
  for (const isShared of [false, true]) {
    const clock = new ManualClock()
    const tier = isShared ? { tier: new MemoryTier({ clock, lanes: 8 }) } : {}
    const { tide } = createTestTidemark(tier, { clock })
    t.after(() => tide.close())
    const values = tide.keyspace<number>('k', { maxStaleness: '1s', whenStale: 'fail' })
    await values.set('a', 1)
    clock.advance(2_000)
    await refused(() => values.get('a'), 'STALE', /'k:a'.*2000 ms.*1000 ms/)
    assert.equal(await values.get('a', { whenStale: 'serve' }), 1)
    assert.equal(await values.get('a', { whenStale: 'source' }), undefined)
    assert.equal(await values.delete('a'), true)
    assert.equal(await values.get('a'), undefined)
  }
})

void test('over a shared tier a time to live of its own counts from the build, and is shortened as others are', async t => {
  const clock = new ManualClock()
  const tier = new MemoryTier({ clock, lanes: 8 })
  const [one, other] = [1, 2].map(() => {
    const { tide } = createTestTidemark({ tier }, { clock })
    t.after(() => tide.close())
    return tide.keyspace<number>('k', { ttlJitter: 0.5 })
  })
  const gate = Promise.withResolvers<number>()
  const building = one!.getOrSet('a', () => gate.promise, { ttl: '60s' })
  await settle()
  await clock.pass(25_000)
  gate.resolve(1)
  assert.equal(await building, 1)
  await settle()
  assert.equal(await other!.get('a'), 1)
  await clock.pass(35_000)
  for (const values of [one!, other!]) {
    assert.equal(values.peek('a'), undefined)
    assert.equal(await values.get('a'), undefined)
  }
})

void test('what was stored late is not there past the time to live of the keyspace, to reads too', async t => {
  const clock = new ManualClock()
  const tier = new FaultyTier(new MemoryTier({ clock, lanes: 8 }), { clock })
  const [one, other] = [tier, tier].map(each => {
    const { tide } = createTestTidemark({ tier: each }, { clock })
    t.after(() => tide.close())
    return tide.keyspace<number>('k', { ttl: '10s' })
  })
  await one!.getOrSet('warm', () => 0)
  tier.delay('200ms', { on: 'fill', times: 1 })
  assert.equal(await one!.getOrSet('a', () => 1), 1)
  await clock.pass(200)
  await settle()
  assert.equal(await other!.get('a'), 1)
  await clock.pass(9_850)
  assert.equal(await other!.get('a'), undefined)
})

void test('an update without a source begins with what is there, however old, and may end it', async t => {
  const { tide, clock } = open(t)
  const values = tide.keyspace<number>('k', { maxStaleness: '1s', whenStale: 'fail' })
  await values.set('a', 1)
  clock.advance(2_000)
  assert.equal(await values.update('a', before => before! + 1), 2)
  clock.advance(2_000)
  assert.equal(await values.update('a', () => undefined), undefined)
  assert.equal(await values.get('a', { whenStale: 'serve' }), undefined)
})
