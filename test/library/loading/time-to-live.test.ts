// How long values are kept: the keyspace's time, the value's own, that of what is not there, and what chance takes off.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../src/base/random.ts'
import type { Keyspace as CacheKeyspace } from '../../../src/cache/keyspaces.ts'
import { TimesToLive } from '../../../src/cache/time-to-live.ts'
import type { KeyspaceOptions } from '../../../src/library/options.ts'
import { Entry } from '../../../src/near/entry.ts'
import { Tidemark } from '../../../src/library/tidemark.ts'
import { ManualClock } from '../../../src/testing/clock.ts'
import { Backend } from './backend.ts'
import { turns } from './turns.ts'

const seed = Number(process.env['TIDEMARK_SEED'] ?? 1)

const LOAD = {
  kind: 'load',
  snapshot: { xmin: 0n, xmax: 0n, inProgress: [], exact: true },
  flush: 0n,
  epoch: 0n,
  lsn: 0n,
} as const

function open(options: Partial<KeyspaceOptions<unknown>> = {}) {
  const clock = new ManualClock()
  const tide = new Tidemark({}, { clock, random: seededRandom(seed) })
  const backend = new Backend(clock)
  const users = tide.keyspace('users', { source: backend, ...options })
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms)
    await turns()
  }
  return { clock, tide, backend, users, pass }
}

await test('a value is kept for its ttl from when its load began', async () => {
  const { backend, users, pass } = open({ ttl: '10s' })
  backend.values.set('1', 'a')
  backend.takesMs = 100
  const first = users.get('1')
  await turns()
  await pass(100)
  assert.equal(await first, 'a')
  await turns()
  await pass(9_890)
  assert.equal(users.peek('1'), 'a')
  await pass(20)
  assert.equal(users.peek('1'), undefined)
  backend.takesMs = 0
  await users.get('1')
  assert.equal(backend.asked.length, 2)
})

await test('what the source does not have is remembered for a time of its own', async () => {
  const { backend, users, pass } = open({ ttl: '1h', missingTtl: '2s' })
  assert.equal(await users.get('1'), undefined)
  await turns()
  backend.values.set('1', 'a')
  await pass(1_990)
  assert.equal(await users.get('1'), undefined)
  assert.equal(backend.asked.length, 1)
  await pass(20)
  assert.equal(await users.get('1'), 'a')
  await turns()
  await pass(60_000)
  assert.equal(await users.get('1'), 'a')
  assert.equal(backend.asked.length, 2)
})

await test('missingTtl 0: what is not there is asked for every time, and those who wait share one answer', async () => {
  const { backend, users } = open({ missingTtl: 0 })
  backend.takesMs = 5
  const both = [users.get('1'), users.get('1')]
  await turns()
  backend.clock.advance(5)
  assert.deepEqual(await Promise.all(both), [undefined, undefined])
  assert.equal(backend.asked.length, 1)
  backend.takesMs = 0
  backend.values.set('1', 'a')
  await turns()
  assert.equal(await users.get('1'), 'a')
})

await test('what was deleted without a source is built again', async () => {
  const { tide } = open()
  assert.equal(await tide.getOrSet('k', () => 1), 1)
  assert.equal(await tide.delete('k'), true)
  assert.equal(await tide.getOrSet('k', () => 2), 2)
  // And so is what came to nothing.
  assert.equal(await tide.getOrSet<unknown>('n', () => undefined), undefined)
  await turns()
  assert.equal(await tide.getOrSet('n', () => 3), 3)
})

await test('a value may have a time of its own, shorter or longer than that of its keyspace', async () => {
  const { users, backend, pass } = open({ ttl: '10s' })
  await users.set('short', 's', { ttl: '1s' })
  await users.set('long', 'l', { ttl: '1h' })
  await users.set('usual', 'u')
  await pass(1_010)
  assert.deepEqual([users.peek('short'), users.peek('long'), users.peek('usual')], [undefined, 'l', 'u'])
  await pass(9_000)
  assert.deepEqual([users.peek('long'), users.peek('usual')], ['l', undefined])
  assert.equal(await users.get('long'), 'l')
  assert.equal(backend.asked.length, 0)
})

await test('getOrSet keeps what it builds for the time it is given', async () => {
  const { tide, pass } = open()
  let built = 0
  const get = (): Promise<number> => tide.getOrSet('k', () => ++built, { ttl: '5s' })
  assert.equal(await get(), 1)
  await turns()
  await pass(4_990)
  assert.equal(await get(), 1)
  await pass(20)
  assert.equal(await get(), 2)
})

await test('jitter takes up to its share off every time to live, and spreads what came together', async () => {
  const { users, backend, pass } = open({ ttl: '100s', missingTtl: '100s', ttlJitter: 0.2 })
  const ids = Array.from({ length: 400 }, (_, i) => `${i}`)
  for (const id of ids.slice(0, 200)) backend.values.set(id, 'v')
  await users.getMany(ids)
  for (const id of ids.slice(0, 50)) await users.set(id, 'w')
  await pass(79_990)
  const loads = backend.asked.length
  await users.getMany(ids)
  assert.equal(backend.asked.length, loads)
  const left = [...users.keys()].length
  assert.equal(left, 200)
  await pass(10_010)
  const half = [...users.keys()].length
  assert.ok(half > 60 && half < 140, `${half} of 200 are left after half of the spread`)
  await users.getMany(ids)
  const missing = backend.asked
    .slice(loads)
    .flat()
    .filter(id => Number(id) >= 200).length
  assert.ok(missing > 60 && missing < 140, `${missing} of 200 missing ones were asked for again`)
  await pass(10_010)
  // Those that were not asked for again since.
  assert.equal([...users.keys()].length, 200 - half)
})

await test('without jitter what came together leaves together', async () => {
  const { users, backend, pass } = open({ ttl: '100s' })
  const ids = Array.from({ length: 50 }, (_, i) => `${i}`)
  for (const id of ids) backend.values.set(id, 'v')
  await users.getMany(ids)
  await turns()
  await pass(99_900)
  assert.equal([...users.keys()].length, 50)
  await pass(110)
  assert.equal([...users.keys()].length, 0)
})

await test('what another process has stored lasts as long as that one said, whatever its age', () => {
  const clock = new ManualClock()
  const times = new TimesToLive(clock, seededRandom(seed))
  const stamp = { ...LOAD, upto: BigInt(clock.wallMs()) }
  const keyspace = {
    ttlMs: 1_000,
    ttlJitter: 0.5,
    backing: { source: { log: false } },
  } as unknown as CacheKeyspace<unknown>
  const payload = new Entry('x', { expiresAtMs: clock.wallMs() + 10_000 })
  clock.advance(6_000)
  assert.equal(times.left(keyspace, { payload, stamp }), 4_000)
  assert.equal(times.isOver(keyspace, { payload, stamp }), false)
  assert.equal(times.isOver(keyspace, { payload: 'x', stamp }), true)
})
