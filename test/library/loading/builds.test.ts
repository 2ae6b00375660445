// What is said of loads, for builds: old values meanwhile, timeouts, errors that are cached; and values made before they have to.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sleep } from '../../../src/base/clock.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { Scene, seed } from './scene.ts'
import { turns } from './turns.ts'

await test('getOrSet with swr answers the old value while one build goes on, and then the new one', async () => {
  const s = new Scene({})
  let builds = 0
  const get = (): Promise<number> =>
    s.tide.getOrSet(
      'k',
      async () => {
        await sleep(s.clock, 20)
        return ++builds
      },
      { ttl: '10s', swr: '5s' },
    )
  const first = get()
  await s.pass(20)
  assert.equal(await first, 1)
  await s.jump(10_500)
  assert.deepEqual(await Promise.all([get(), get()]), [1, 1])
  assert.equal(await s.tide.get('k'), undefined)
  await s.pass(20)
  assert.equal(await get(), 2)
  await s.jump(15_100)
  const waited = get()
  await s.pass(20)
  assert.equal(await waited, 3)
})

await test('getOrSet with staleIfError answers the old value when the build fails, for as long as that', async () => {
  const s = new Scene({})
  let fails = false
  const get = (): Promise<string> =>
    s.tide.getOrSet(
      'k',
      () => {
        if (fails) throw new Error('down')
        return 'v'
      },
      { ttl: '10s', staleIfError: '5s' },
    )
  assert.equal(await get(), 'v')
  fails = true
  await s.jump(14_900)
  assert.equal(await get(), 'v')
  await s.pass(200)
  await assert.rejects(get(), { message: 'down' })
  // What was given up is not fallen back on.
  fails = false
  await s.pass(2_000)
  assert.equal(await get(), 'v')
  await s.jump(11_000)
  await s.tide.delete('k')
  fails = true
  await assert.rejects(get(), { message: 'down' })
})

await test('a build that hangs fails after the timeout of its keyspace, with its signal aborted', async () => {
  const s = new Scene({})
  const reports = s.tide.keyspace<string>('reports', { load: { timeout: '100ms', cacheErrors: '5s' } })
  let signal: AbortSignal | undefined
  let builds = 0
  const hang = (): Promise<string> =>
    reports.getOrSet('k', context => {
      signal = context.signal
      builds++
      return new Promise(() => {})
    })
  const hanging = assert.rejects(hang(), { code: 'SOURCE_TIMEOUT', message: /'reports:k'/ })
  await s.pass(100)
  await hanging
  assert.equal(signal?.aborted, true)
  await assert.rejects(hang(), { code: 'SOURCE_TIMEOUT' })
  assert.equal(builds, 1)
  await s.pass(5_000)
  assert.equal(await reports.getOrSet('k', () => 'v'), 'v')
})

await test('concurrency bounds the builds under way', async () => {
  const s = new Scene({})
  const reports = s.tide.keyspace<number>('reports', { load: { concurrency: 2 } })
  let underWay = 0
  let most = 0
  const build = async (): Promise<number> => {
    most = Math.max(most, ++underWay)
    await sleep(s.clock, 10)
    return underWay--
  }
  const all = Promise.all(['a', 'b', 'c', 'd', 'e'].map(key => reports.getOrSet(key, build)))
  await s.pass(100)
  await all
  assert.equal(most, 2)
})

await test('refreshAhead loads what is read before its time is over, once, while it goes on being answered', async () => {
  const s = new Scene({ ttl: '10s', refreshAhead: true })
  s.backend.takesMs = 100
  const first = s.users.get('1')
  await s.pass(100)
  await first
  await turns()
  s.backend.values.set('1', 'b')
  // Far from its end nobody loads.
  for (let i = 0; i < 700; i++) {
    await s.jump(10)
    assert.equal(await s.users.get('1'), 'a')
  }
  assert.equal(s.loads, 1)
  let loadedAt = 0
  for (let i = 0; i < 320 && loadedAt === 0; i++) {
    await s.jump(10)
    const value = s.users.peek('1')
    assert.notEqual(value, undefined, 'it is never missed')
    await s.users.get('1')
    if (value === 'b') loadedAt = i
  }
  assert.ok(loadedAt > 0, 'it was loaded before its end')
  assert.equal(s.loads, 2)
  assert.equal(s.users.stats().misses, 1)
})

await test('refreshAhead leaves alone what nobody reads, and peek starts nothing', async () => {
  const s = new Scene({ ttl: '10s', refreshAhead: 10 })
  s.backend.takesMs = 100
  const first = s.users.get('1')
  await s.pass(100)
  await first
  for (let i = 0; i < 98; i++) {
    await s.jump(100)
    s.users.peek('1')
  }
  await turns()
  assert.equal(s.loads, 1)
})

await test('a write while its key is loaded ahead wins, and a load ahead that fails leaves what is there', async () => {
  const s = new Scene({ ttl: '10s', refreshAhead: 100 })
  s.backend.takesMs = 100
  const first = s.users.get('1')
  await s.pass(100)
  await first
  await s.jump(9_000)
  for (let i = 0; i < 100 && s.loads === 1; i++) await s.users.get('1').then(() => turns(1))
  assert.equal(s.loads, 2)
  await s.users.set('1', 'written')
  await s.pass(100)
  assert.equal(await s.users.get('1'), 'written')
  await s.jump(9_000)
  s.backend.failure = new Error('down')
  for (let i = 0; i < 100 && s.loads === 2; i++) await s.users.get('1').then(() => turns(1))
  assert.equal(s.loads, 3)
  await s.pass(100)
  assert.equal(s.users.peek('1'), 'written')
  assert.equal((s.errors[0] as Error).message, 'down')
})

await test('processes that refresh ahead do not load together', async () => {
  const scenes = Array.from(
    { length: 20 },
    (_, i) => new Scene({ ttl: '100s', refreshAhead: true }, seededRandom(seed + i)),
  )
  const ats: number[] = []
  for (const s of scenes) {
    s.backend.takesMs = 1_000
    const first = s.users.get('1')
    await s.jump(1_000)
    await first
    const began = s.clock.monotonicMs()
    while (s.loads === 1 && s.clock.monotonicMs() < began + 99_000) {
      await s.jump(100)
      await s.users.get('1')
    }
    assert.equal(s.loads, 2, 'before its end')
    ats.push(s.clock.monotonicMs() - began)
  }
  assert.ok(new Set(ats).size > 10, `they load at ${ats.join(', ')}`)
})

await test('getOrSet refreshes ahead with the build that it is given', async () => {
  const s = new Scene({})
  const reports = s.tide.keyspace<number>('reports', { ttl: '10s', refreshAhead: 10 })
  let builds = 0
  const get = (): Promise<number> =>
    reports.getOrSet('k', async () => {
      await sleep(s.clock, 50)
      return ++builds
    })
  const first = get()
  await s.pass(50)
  await first
  for (let i = 0; i < 99; i++) {
    await s.jump(100)
    await get()
    await s.pass(0)
  }
  assert.ok(builds >= 2)
  assert.equal(reports.stats().misses, 1)
})
