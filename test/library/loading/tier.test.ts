// Loading where several processes share a tier: one of them loads, whether nobody has the value, it is to be refreshed, or it is
// answered past its time; a load that is slow is waited for, and one whose holder is gone is not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sleep } from '../../../src/base/clock.ts'
import { limits } from '../../../src/base/limits.ts'
import { TierScene } from './tier-scene.ts'
import { turns } from './turns.ts'

await test('1,000 calls in three processes that miss one key wait for one load, however long it takes', async t => {
  const s = new TierScene(t, 3, { ttl: '1m', load: { timeout: '20s' } })
  s.backend.takesMs = 10_000
  const calls = Array.from({ length: 1_000 }, (_, i) => s.processes[i % 3]!.users.get('1'))
  const { value, tookMs } = await s.within(Promise.all(calls), 30_000)
  assert.equal(s.loads, 1)
  assert.ok(value.every(each => each === 'a'))
  // Others look for it now and then.
  assert.ok(tookMs >= 10_000 && tookMs < 11_000, `after ${tookMs} ms`)
})

await test('a build is waited for in the same way, and a load that fails is for the next one at once', async t => {
  const s = new TierScene(t, 3, { ttl: '1m', load: { timeout: '20s' } })
  let builds = 0
  const build = async (): Promise<string> => {
    const number = ++builds
    await sleep(s.clock, 10_000)
    if (number === 1) throw new Error('the first fails')
    return `built ${number}`
  }
  const first = s.processes[0]!.reports.getOrSet('r', build)
  first.catch(() => {})
  await turns()
  const others = [1, 2, 1, 2].map(i => s.processes[i]!.reports.getOrSet('r', build))
  await assert.rejects(s.within(first, 30_000), { message: 'the first fails' })
  const { value, tookMs } = await s.within(Promise.all(others), 30_000)
  assert.deepEqual(value, Array(4).fill('built 2'))
  assert.ok(tookMs < 12_000, `${tookMs} ms after the first has failed`)
  assert.equal(builds, 2)
})

await test('when the one that loads is cut off, another one loads soon', async t => {
  const s = new TierScene(t, 3, { ttl: '1m', load: { timeout: '20s' } })
  s.backend.takesMs = 10_000
  const [a, b, c] = s.processes as [SharedProcess, SharedProcess, SharedProcess]
  const first = a.users.get('1')
  await s.pass(1_500)
  const others = [b, c].map(({ users }) => users.get('1'))
  await s.pass(100)
  assert.equal(s.loads, 1)
  a.tier.down()
  s.backend.takesMs = 100
  const { value, tookMs } = await s.within(Promise.all(others), 10_000)
  assert.deepEqual(value, ['a', 'a'])
  assert.equal(s.loads, 2)
  assert.ok(tookMs <= limits.leaseMs + 500, `after ${tookMs} ms`)
  await s.within(first, 20_000)
  // What it loaded is too late for the tier.
  assert.equal(s.loads, 2)
})

await test('a source that hangs is not waited for longer than a load may take', async t => {
  const s = new TierScene(t, 2, { ttl: '1m', load: { timeout: '5s' } })
  s.backend.takesMs = Infinity
  const calls = s.processes.map(({ users }) => users.get('1'))
  for (const call of calls) call.catch(() => {})
  await assert.rejects(s.within(calls[0]!, 30_000), { code: 'SOURCE_TIMEOUT' })
  await assert.rejects(s.within(calls[1]!, 30_000), { code: 'SOURCE_TIMEOUT' })
  // Its own timed out too, after it had waited for the other's.
  assert.equal(s.loads, 2)
})

await test('refreshAhead: of processes that share a tier one loads, and nobody ever misses', async t => {
  const s = new TierScene(t, 5, { ttl: '10s', refreshAhead: true })
  s.backend.takesMs = 100
  await s.warm()
  assert.equal(s.loads, 1)
  let [most, underWay] = [0, 0]
  const { load } = s.backend
  Object.assign(s.backend, {
    load: async (...args: Parameters<typeof load>) => {
      most = Math.max(most, ++underWay)
      return load(...args).finally(() => underWay--)
    },
  })
  const periods = 20
  for (let i = 0; i < (periods * 10_000) / 20; i++) {
    s.clock.advance(20)
    await turns(2)
    for (const { users } of s.processes) {
      assert.equal(users.peek('1'), 'a')
      for (let reads = 0; reads < 10; reads++) void users.get('1')
    }
  }
  assert.equal(most, 1)
  assert.ok(s.loads >= periods && s.loads <= periods * 1.2, `${s.loads} loads in ${periods} times of a value`)
})

await test('refreshAhead: getOrSet has one build in all processes that share a tier', async t => {
  const s = new TierScene(t, 4, { ttl: '10s', refreshAhead: true })
  let [builds, misses] = [0, 0]
  const get = (i: number): Promise<unknown> =>
    s.processes[i]!.reports.getOrSet('r', async () => {
      builds++
      await sleep(s.clock, 100)
      return 'built'
    })
  for (let i = 0; i < 4; i++) await s.within(get(i), 1_000)
  assert.equal(builds, 1)
  for (let i = 0; i < 5_000; i++) {
    s.clock.advance(20)
    await turns(2)
    for (let at = 0; at < 4; at++) {
      if (s.processes[at]!.reports.peek('r') === undefined) misses++
      for (let reads = 0; reads < 10; reads++) void get(at)
    }
  }
  assert.equal(misses, 0)
  assert.ok(builds >= 10 && builds <= 13, `${builds} builds in ten times of a value`)
})

await test('refreshAhead: what is loaded is not kept once the key is written or given up, by anybody', async t => {
  for (const happen of ['write', 'invalidate'] as const) {
    const s = new TierScene(t, 3, { ttl: '10s', refreshAhead: 100 })
    const [a, b, c] = s.processes as [SharedProcess, SharedProcess, SharedProcess]
    s.backend.takesMs = 100
    await s.warm()
    await s.pass(9_800)
    // One of them has begun to load what is old by now.
    for (let i = 0; i < 200 && s.loads === 1; i++) await a.users.get('1').then(() => turns(2))
    assert.equal(s.loads, 2)
    if (happen === 'write') await s.within(b.users.set('1', 'written'), 1_000)
    else {
      s.backend.values.set('1', 'written')
      await b.users.invalidate('1')
    }
    await s.pass(150)
    for (const { users } of [a, b, c]) {
      assert.equal((await s.within(users.get('1'), 1_000)).value, 'written', happen)
    }
  }
})

await test('refreshAhead: a load that fails leaves the value to all, and the next one may load', async t => {
  const s = new TierScene(t, 2, { ttl: '10s', refreshAhead: 100 })
  const [a, b] = s.processes as [SharedProcess, SharedProcess]
  s.backend.takesMs = 50
  await s.warm()
  await s.pass(9_000)
  s.backend.failure = new Error('down')
  for (let i = 0; i < 200 && s.loads === 1; i++) await a.users.get('1').then(() => turns(2))
  await s.pass(60)
  assert.equal((a.errors[0] as Error).message, 'down')
  assert.deepEqual([a.users.peek('1'), b.users.peek('1')], ['a', 'a'])
  s.backend.failure = undefined
  s.backend.values.set('1', 'b')
  const before = s.loads
  for (let i = 0; i < 200 && s.loads === before; i++) await b.users.get('1').then(() => turns(2))
  await s.pass(60)
  assert.equal(b.users.peek('1'), 'b')
})

await test('swr: of processes that share a tier one loads behind, and all answer at once', async t => {
  const s = new TierScene(t, 5, { ttl: '10s', swr: '10s', load: { timeout: '20s' } })
  s.backend.takesMs = 3_000
  await s.warm()
  await s.pass(10_100)
  s.backend.values.set('1', 'b')
  for (let i = 0; i < 25; i++) {
    for (const { users } of s.processes) assert.equal((await s.within(users.get('1'), 10)).value, 'a')
    await s.pass(100)
  }
  assert.equal(s.loads, 2)
  await s.pass(1_500)
  for (const { users } of s.processes) {
    const { value } = await s.within(users.read('1'), 10)
    assert.deepEqual([value.value, value.stale], ['b', false])
  }
  assert.equal(s.loads, 2)
})

await test('a value that is too old for a call is loaded anew by one of those that ask', async t => {
  const s = new TierScene(t, 4, { ttl: '1m', load: { timeout: '20s' } })
  await s.warm()
  await s.pass(5_000)
  s.backend.takesMs = 1_000
  s.backend.values.set('1', 'b')
  const calls = s.processes.map(({ users }) => users.get('1', { maxStaleness: '4s' }))
  // Those who have no bound go on meanwhile.
  await s.pass(100)
  for (const { users } of s.processes) assert.equal((await s.within(users.get('1'), 10)).value, 'a')
  const { value } = await s.within(Promise.all(calls), 10_000)
  assert.deepEqual(value, ['b', 'b', 'b', 'b'])
  assert.equal(s.loads, 2)
})

type SharedProcess = TierScene['processes'][number]
