// Old values of rows of a table: not those whose time is over, but those whose lane is not proved within the default bound any more.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits } from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { SuspendWatch } from '../../../src/cache/suspend-watch.ts'
import { NO_PROOF } from '../../../src/coherence/freshness.ts'
import { Events } from '../../../src/library/events.ts'
import { Loading, type LoadCall } from '../../../src/library/loading.ts'
import { resolveKeyspace, type KeyspaceOptions } from '../../../src/library/options.ts'
import { ProofClock } from '../../../src/library/proof-clock.ts'
import { TableSource } from '../../../src/library/table-source.ts'
import { ObjectCache } from '../../../src/near/object-cache.ts'
import { ObjectPlaces } from '../../../src/near/object-places.ts'
import { ManualClock } from '../../../src/testing/clock.ts'

const down = new Error('down')
const source = new TableSource({ kind: 'sqlite', file: 'app.db' }, { table: 'users' })

function open(options: Partial<KeyspaceOptions<unknown>>) {
  const clock = new ManualClock()
  const settings = resolveKeyspace('users', { source, ...options }, {})
  const places = new ObjectPlaces(new ObjectCache<unknown>({ clock, lanes: 2 }), clock)
  const { pool } = places
  const proofClock = new ProofClock(clock, new SuspendWatch(clock), () => pool.asOfMs.fill(NO_PROOF))
  const loading = new Loading({ settings, places, clock, proofClock, random: seededRandom(1), events: new Events() })
  places.put('users:1', { payload: { name: 'a' }, stamp: {}, lane: 1 })
  places.pool.asOfMs[1] = clock.monotonicMs()
  let loads = 0
  const ask = (call: Partial<LoadCall> = {}) => {
    const { explicitBoundMs, swrMs, staleIfErrorMs } = settings
    const whole = { boundMs: explicitBoundMs, session: false, proved: false, swrMs, staleIfErrorMs, ...call }
    return loading.find('1', whole, () => {
      loads++
      return Promise.reject(down)
    })
  }
  return { clock, places, proofClock, ask, loads: () => loads }
}

await test('staleIfError begins where the default bound ends, and goes by the age of the proof', async () => {
  const { clock, places, ask } = open({ staleIfError: '10s' })
  // The row may have been there for long: what counts is when its lane was proved last.
  clock.advance(60_000)
  places.pool.asOfMs[1] = clock.monotonicMs()
  clock.advance(limits.maxStalenessMsDefault + 9_900)
  const { value, stale, asOfMs } = await ask()
  assert.deepEqual(
    [value, stale, clock.monotonicMs() - asOfMs],
    [{ name: 'a' }, true, limits.maxStalenessMsDefault + 9_900],
  )
  clock.advance(200)
  await assert.rejects(ask(), down)
})

await test('where its bound is set, whenStale alone says what happens past it', async () => {
  const { clock, ask } = open({ staleIfError: '10s', swr: '10s', maxStaleness: '1s' })
  clock.advance(1_001)
  await assert.rejects(ask(), down)
})

await test("whenStale 'fail' and a call's bound keep what is not proved away", async () => {
  const { clock, ask } = open({ staleIfError: '10s' })
  clock.advance(1_000)
  await assert.rejects(ask({ proved: true }), down)
  clock.advance(2_000)
  await assert.rejects(ask({ boundMs: 500 }), down)
  clock.advance(2_000)
  assert.equal((await ask()).stale, true)
})

await test('swr answers a row that is not proved, and loads behind it; a lane of which nothing is known proves nothing', async () => {
  const { clock, places, ask, loads } = open({ swr: '10s' })
  clock.advance(1_000)
  assert.equal((await ask()).stale, true)
  assert.equal(loads(), 1)
  places.pool.asOfMs[1] = -Infinity
  clock.advance(1_000)
  await assert.rejects(ask(), down)
})

await test('that a row was not there is no old value either', async () => {
  const { clock, places, ask } = open({ swr: '10s', staleIfError: '10s' })
  places.put('users:1', { payload: null, stamp: {}, lane: 1 })
  clock.advance(1_000)
  await assert.rejects(ask(), down)
})

await test('after the machine was suspended nobody knows how old a row is, and it is not answered as an old one', async () => {
  for (const isSampled of [false, true]) {
    const { clock, places, proofClock, ask } = open({ staleIfError: '10s' })
    clock.advance(limits.maxStalenessMsDefault + 100)
    const asOfMs = places.pool.asOfMs[1]!
    clock.jumpWall(60_000)
    if (isSampled) {
      // Somebody has noticed, and then comes what was proved before.
      proofClock.nowMs()
      places.pool.asOfMs[1] = asOfMs
    }
    await assert.rejects(ask(), down)
    clock.advance(2)
    places.pool.asOfMs[1] = clock.monotonicMs()
    clock.advance(limits.maxStalenessMsDefault + 100)
    assert.equal((await ask()).stale, true, 'what is proved since is known')
  }
})
