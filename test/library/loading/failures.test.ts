// Loads that fail: who is told, what is remembered of it, who is asked instead.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits } from '../../../src/base/limits.ts'
import type { TableSource } from '../../../src/library/table-source.ts'
import { sqlite } from '../../../src/sqlite.ts'
import { Backend } from './backend.ts'
import { Scene } from './scene.ts'
import { turns } from './turns.ts'

const down = new Error('down')

await test('1,000 misses of one key are one load; if it fails, all of them are told, and nothing is kept', async () => {
  const s = new Scene({})
  s.backend.takesMs = 20
  s.backend.failure = down
  const all = Promise.allSettled(Array.from({ length: 1_000 }, () => s.users.get('1')))
  await s.pass(20)
  for (const outcome of await all) assert.equal((outcome as PromiseRejectedResult).reason, down)
  assert.equal(s.loads, 1)
  s.backend.failure = undefined
  s.backend.takesMs = 5
  const again = Promise.all(Array.from({ length: 1_000 }, () => s.users.get('1')))
  await s.pass(10)
  assert.equal(new Set(await again).size, 1)
  assert.equal(s.loads, 2)
})

await test('1,000 misses of 1,000 keys are at most 10 queries with maxBatch 100', async () => {
  const s = new Scene({ load: { maxBatch: 100 } })
  const ids = Array.from({ length: 1_000 }, (_, i) => `k${i}`)
  for (const id of ids) s.backend.values.set(id, id)
  s.backend.takesMs = 5
  const all = Promise.all(ids.map(id => s.users.get(id)))
  await s.pass(10)
  assert.deepEqual(await all, ids)
  assert.ok(s.loads <= 10, `${s.loads} queries`)
  assert.ok(s.backend.asked.every(asked => asked.length <= 100))
})

await test('batchWindow and concurrency are of the keyspace', async () => {
  const s = new Scene({ load: { maxBatch: 2, batchWindow: '20ms', concurrency: 1 } })
  s.backend.takesMs = 10
  const all = Promise.all(['1', '2', '3'].map(id => s.users.get(id)))
  await s.pass(5)
  assert.deepEqual(s.backend.asked, [['1', '2']])
  await s.pass(10)
  assert.equal(s.loads, 1)
  await s.pass(10)
  assert.deepEqual(s.backend.asked[1], ['3'])
  await s.pass(10)
  await all
})

await test('a key that fails again and again waits before it is loaded, and longer each time', async () => {
  const s = new Scene({})
  s.backend.failure = down
  await assert.rejects(s.users.get('1'), down)
  // One failure is no reason to wait.
  await assert.rejects(s.users.get('1'), down)
  assert.equal(s.loads, 2)
  const waits: number[] = []
  for (let i = 0; i < 8; i++) {
    const began = s.clock.monotonicMs()
    const failing = assert.rejects(s.users.get('1'), down)
    const before: number = s.loads
    for (let j = 0; j < 200 && s.loads === before; j++) await s.pass(10)
    waits.push(s.clock.monotonicMs() - began)
    await failing
  }
  assert.ok(waits[0]! >= limits.failedLoadPauseMs / 2, `${waits}`)
  assert.ok(waits[0]! <= limits.failedLoadPauseMs * 2 + 10, `${waits}`)
  assert.ok(waits[7]! >= limits.failedLoadPauseMaxMs / 2 && waits[7]! <= limits.failedLoadPauseMaxMs + 10, `${waits}`)
  // Others do not wait, and once it is well there is no wait.
  s.backend.failure = undefined
  s.backend.values.set('2', 'b')
  assert.equal(await s.users.get('2'), 'b')
  const well = s.users.get('1')
  await s.pass(limits.failedLoadPauseMaxMs)
  assert.equal(await well, 'a')
  await s.users.invalidate('1')
  assert.equal(await s.users.get('1'), 'a')
})

await test('what is in memory is answered, however often its load has failed', async () => {
  const s = new Scene({ ttl: '10s' })
  s.backend.failure = down
  for (let i = 0; i < 2; i++) await assert.rejects(s.users.get('1'), down)
  s.backend.failure = undefined
  await s.users.set('1', 'b')
  assert.equal(await s.users.get('1'), 'b')
  assert.equal((await s.users.read('1', { maxStaleness: '5s' })).value, 'b')
})

await test('what is in memory is answered while an error is cached', async () => {
  const s = new Scene({ load: { cacheErrors: '5s' } })
  await s.loaded()
  s.backend.failure = down
  await assert.rejects(s.users.get('1', { maxStaleness: 0 }), down)
  assert.equal((await s.users.read('1')).value, 'a')
  assert.equal(await s.users.get('1', { maxStaleness: '1m' }), 'a')
})

await test('cacheErrors: for so long the error is the answer, and then the source is asked again', async () => {
  const s = new Scene({ load: { cacheErrors: '5s' } })
  s.backend.failure = down
  await assert.rejects(s.users.get('1'), down)
  s.backend.failure = undefined
  await s.pass(4_900)
  await assert.rejects(s.users.get('1'), down)
  assert.equal(s.loads, 1)
  assert.equal(await s.users.get('2'), undefined)
  await s.pass(100)
  assert.equal(await s.users.get('1'), 'a')
})

await test('a cached error is gone with a write, an invalidation or a clear, and is no answer to a bound of 0', async () => {
  const s = new Scene({ load: { cacheErrors: '5s' } })
  const fail = async (): Promise<void> => {
    void s.users.clear()
    s.backend.failure = down
    await assert.rejects(s.users.get('1'), down)
    s.backend.failure = undefined
  }
  await fail()
  assert.equal(await s.users.get('1', { maxStaleness: 0 }), 'a')
  await fail()
  await s.users.invalidate('1')
  assert.equal(await s.users.get('1'), 'a')
  await fail()
  await s.users.set('1', 'b')
  assert.equal(await s.users.get('1'), 'b')
})

await test('an answer for other keys is refused, and cached like any failure', async () => {
  const s = new Scene({ load: { cacheErrors: '5s' } })
  s.backend.answer = () => new Map([['2', 'x']])
  await assert.rejects(s.users.get('1'), { code: 'SOURCE_ANSWER' })
  await assert.rejects(s.users.get('1'), { code: 'SOURCE_ANSWER' })
  assert.equal(s.loads, 1)
  assert.equal(s.users.peek('2'), undefined)
})

await test('retries are of the keyspace, a breaker of its source, and an old value answers while the source is left alone', async () => {
  const s = new Scene({
    ttl: '10s',
    staleIfError: '1h',
    load: { retries: 1, breaker: { failures: 2, halfOpenAfter: '30s' } },
  })
  await s.loaded()
  await s.jump(10_500)
  s.backend.failure = down
  const stale = s.users.get('1')
  await s.pass(100)
  assert.equal(await stale, 'a')
  assert.equal(s.loads, 3)
  // That is told at once, every time.
  for (let i = 0; i < 4; i++) await assert.rejects(s.users.get('2'), { code: 'SOURCE_BREAKER' })
  await s.pass(1_000)
  assert.equal(await s.users.get('1'), 'a')
  assert.equal(s.loads, 3)
  s.backend.failure = undefined
  s.backend.values.set('1', 'b')
  await s.pass(30_000)
  assert.equal(await s.users.get('1'), 'b')
})

await test('keyspaces of the same functions share a breaker, where they ask for one, and find the source again together', async () => {
  const load = { breaker: { failures: 2, halfOpenAfter: '30s' } } as const
  const s = new Scene({ load })
  const same = s.tide.keyspace('same', { source: s.backend, load })
  const without = s.tide.keyspace('without', { source: s.backend })
  const others = new Backend(s.clock)
  const other = s.tide.keyspace('other', { source: others, load })
  s.backend.failure = down
  await assert.rejects(s.users.get('1'), down)
  await assert.rejects(same.get('1'), down)
  await assert.rejects(s.users.get('2'), { code: 'SOURCE_BREAKER', message: /'users' is left alone .* with: down/ })
  await assert.rejects(same.get('2'), { code: 'SOURCE_BREAKER', message: /'same' is left alone .* with: down/ })
  assert.equal(s.loads, 2)
  await assert.rejects(without.get('2'), down)
  assert.equal(s.loads, 3)
  assert.equal(await other.get('1'), undefined)
  s.backend.failure = undefined
  await s.pass(30_000)
  assert.equal(await same.get('1'), 'a')
  assert.equal(await s.users.get('1'), 'a')
})

await test('keyspaces of one source that set its breaker otherwise are refused, and nothing is taken by that', async () => {
  const load = { breaker: { failures: 2, halfOpenAfter: '30s' } } as const
  const s = new Scene({ load })
  const wrong = { source: s.backend, load: { breaker: { failures: 3, halfOpenAfter: '30s' } } } as const
  assert.throws(() => s.tide.keyspace('same', wrong), { code: 'OPTION_INVALID', message: /'same'.*breaker.*'users'/ })
  s.tide.keyspace('same', { source: s.backend, load })
  const [here, there] = ['users', 'orders'].map(name => sqlite('never-opened.db').table(name)) as [
    TableSource,
    TableSource,
  ]
  s.tide.keyspace('here', { source: here, load })
  assert.throws(() => s.tide.keyspace('there', { ...wrong, source: there }), { message: /'there'.*'here'/ })
  s.tide.keyspace('elsewhere', { ...wrong, source: sqlite('another.db').table('orders') })
})

await test('fallback: what it has is answered as stale, is not kept, and is asked for together', async () => {
  const asked: (readonly string[])[] = []
  const load = (ids: readonly string[]): Map<string, string> => {
    asked.push(ids)
    return new Map(ids.map(id => [id, `other ${id}`]))
  }
  const s = new Scene({ ttl: '10s', staleIfError: '60s', load: { fallback: { load } } })
  await s.loaded()
  await s.jump(10_500)
  s.backend.failure = down
  const both = await Promise.all([s.users.read('1'), s.users.read('2')])
  assert.deepEqual(both[0], { value: 'other 1', age: Infinity, tier: 'source', stale: true })
  assert.equal(both[1].value, 'other 2')
  assert.deepEqual(asked, [['1', '2']])
  assert.equal(s.users.peek('1'), undefined)
  assert.equal(s.errors.length > 0, true)
  // Where there is a bound, nobody knows whether it holds.
  await s.pass(1_000)
  assert.equal(await s.users.get('1', { maxStaleness: '1m' }), 'a')
  await assert.rejects(s.users.get('2', { maxStaleness: '1m' }), down)
  await s.pass(1_000)
  await assert.rejects(s.users.get('2', { session: s.tide.session() }), down)
  s.backend.failure = undefined
  await s.pass(2_000)
  assert.equal(await s.users.get('1'), 'a')
})

await test('where the fallback fails too, the old value answers, and without one the first error is told', async () => {
  const load = (): never => {
    throw new Error('fallback down')
  }
  const s = new Scene({ ttl: '10s', staleIfError: '60s', load: { fallback: { load } } })
  await s.loaded()
  await s.jump(10_500)
  s.backend.failure = down
  assert.equal(await s.users.get('1'), 'a')
  await assert.rejects(s.users.get('2'), down)
  assert.ok(s.errors.some(error => (error as Error).message === 'fallback down'))
})

await test('a call that is aborted ends, and its load goes on for others; one aborted before does not begin', async () => {
  const s = new Scene({})
  s.backend.takesMs = 50
  const controller = new AbortController()
  const given = s.users.get('1', { signal: controller.signal })
  const other = s.users.get('1')
  await turns()
  controller.abort(new Error('enough'))
  await assert.rejects(given, { message: 'enough' })
  await s.pass(50)
  assert.equal(await other, 'a')
  await assert.rejects(s.users.get('2', { signal: controller.signal }), { message: 'enough' })
  assert.equal(s.loads, 1)
})
