// What the object cache promises one by one: time, bytes, what it tells, and the corners that a random walk rarely meets.
// Not for: all of it together (object-cache-model.test.ts), who is evicted (eviction.test.ts), sizes (size-of.test.ts).
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AssertionError } from '../../src/base/assert.ts'
import { limits } from '../../src/base/limits.ts'
import { ObjectCache } from '../../src/near/object-cache.ts'
import type { ObjectCacheOptions } from '../../src/near/object-cache.ts'
import type { ObjectSpace } from '../../src/near/object-space.ts'
import { ManualClock } from '../../src/testing/clock.ts'

function scene(options: Partial<ObjectCacheOptions<unknown>> = {}): {
  readonly clock: ManualClock
  readonly pool: ObjectCache<unknown>
  readonly space: ObjectSpace<unknown>
} {
  const clock = new ManualClock()
  const pool = new ObjectCache<unknown>({ clock, maxEntries: 100, ...options })
  return { clock, pool, space: pool.space('a') }
}

describe('time', () => {
  test('an entry is absent from its expiry on, and never without one', () => {
    const { clock, space } = scene()
    space.set('short', 1, { expiresAtMs: clock.monotonicMs() + 10 })
    space.set('for ever', 2)
    clock.advance(9)
    assert.equal(space.get('short'), 1)
    clock.advance(1)
    assert.equal(space.get('short'), undefined)
    assert.equal(space.size, 1)
    clock.advance(1e9)
    assert.equal(space.get('for ever'), 2)
  })

  test('reads within a millisecond read the clock once, and while nothing is read no timer is set', () => {
    let readings = 0
    class CountedClock extends ManualClock {
      override monotonicMs(): number {
        readings++
        return super.monotonicMs()
      }
    }
    const clock = new CountedClock()
    const { space } = scene({ clock })
    space.set('a', 1, { expiresAtMs: clock.monotonicMs() + 1_000 })
    readings = 0
    for (let i = 0; i < 100; i++) space.get('a')
    assert.equal(readings, 1)
    assert.equal(clock.pending, 1)
    clock.advance(1)
    assert.equal(clock.pending, 0)
    space.get('a')
    assert.equal(readings, 2)
  })

  test('code that does not yield sees time stand still; a read with the exact time does not', () => {
    const clock = new ManualClock()
    let blockedMs = 0
    const { pool, space } = scene({
      clock: {
        monotonicMs: () => clock.monotonicMs() + blockedMs,
        wallMs: () => clock.wallMs(),
        timer: (ms, callback) => clock.timer(ms, callback),
      },
    })
    space.set('a', 1, { expiresAtMs: clock.monotonicMs() + 10 })
    assert.equal(space.get('a'), 1)
    blockedMs = 50
    assert.equal(space.get('a'), 1)
    pool.asOfMs[0] = clock.monotonicMs()
    assert.equal(space.getProved('a', clock.monotonicMs() + 50, 1_000), undefined)
  })
})

describe('values', () => {
  test('null, false, 0, NaN and an empty string are values', () => {
    const { space } = scene()
    for (const value of [null, false, 0, NaN, '', 1.5]) {
      assert.equal(space.set('a', value), true)
      assert.equal(space.get('a'), value)
    }
  })

  test('that there is none reads as a miss, and has an entry that is found, proved, and lets go of', () => {
    const { pool, space } = scene({ lanes: 2 })
    space.set('a', undefined, { lane: 1 })
    assert.equal(space.get('a'), undefined)
    assert.equal(pool.value(space.find('a')), undefined)
    assert.equal(space.findProved('a', 0, 500), -1, 'nothing is proved of its lane')
    pool.asOfMs[1] = 0
    assert.ok(space.findProved('a', 500, 500) >= 0)
    assert.equal(space.findProved('a', 501, 500), -1)
    assert.equal(space.findProved('b', 500, 500), -1)
    assert.equal(space.size, 1)
    space.delete('a')
    assert.equal(space.find('a'), -1)
  })

  test('spaces hold keys of the same name apart', () => {
    const { pool, space } = scene()
    const other = pool.space('b')
    space.set('42', 'mine')
    assert.equal(other.get('42'), undefined)
    other.set('42', 'theirs')
    space.delete('42')
    assert.equal(other.get('42'), 'theirs')
  })

  test('an overwritten entry keeps nothing of what it was', () => {
    const { clock, pool, space } = scene({ lanes: 2 })
    const tag = { alive: true }
    space.set('a', 1, { expiresAtMs: clock.monotonicMs() + 5, lane: 1, stamp: {}, tags: [tag] })
    space.set('a', 2)
    tag.alive = false
    pool.dropLane(1)
    clock.advance(10)
    const slot = space.find('a')
    assert.equal(pool.value(slot), 2)
    assert.equal(pool.stamp(slot), undefined)
    assert.equal(pool.lane(slot), 0)
    assert.equal(pool.expiresAtMs(slot), Infinity)
  })

  test('a pool grows to many entries and finds them all', () => {
    const { pool, space } = scene({ maxEntries: 50_000 })
    for (let i = 0; i < 50_000; i++)
      space.set(`key ${i}`, i, i % 7 === 0 ? { stamp: { i }, tags: [{ alive: true }] } : {})
    pool.check()
    for (let i = 0; i < 50_000; i++) assert.equal(space.get(`key ${i}`), i)
    assert.deepEqual(pool.stamp(space.find('key 49')), { i: 49 })
  })

  test('what entries carry grows with the pool', () => {
    const { clock, space } = scene({ maxEntries: 10_000 })
    const tag = { alive: true }
    const expiresAtMs = clock.monotonicMs() + 5
    for (let i = 0; i < 10_000; i++) space.set(`key ${i}`, i, i % 2 === 0 ? { expiresAtMs } : { tags: [tag] })
    assert.equal([...space.keys()].length, 10_000)
    clock.advance(5)
    assert.equal([...space.keys()].length, 5_000)
    tag.alive = false
    assert.equal([...space.keys()].length, 0)
  })
})

describe('lanes', () => {
  test('nothing is proved before the owner says so, nor by what is no number', () => {
    const { clock, pool, space } = scene({ lanes: 2 })
    const nowMs = clock.monotonicMs()
    space.set('a', 1, { lane: 1 })
    assert.equal(space.getProved('a', nowMs, 1e9), undefined)
    assert.equal(space.getProved('a', nowMs, NaN), undefined)
    pool.asOfMs[0] = nowMs
    assert.equal(space.getProved('a', nowMs, 500), undefined)
    pool.asOfMs[1] = nowMs - 500
    assert.equal(space.getProved('a', nowMs, 500), 1)
    assert.equal(space.getProved('a', nowMs + 0.001, 500), undefined)
    assert.equal(space.get('a'), 1)
    space.set('a', 2, { lane: 1, expiresAtMs: nowMs })
    assert.equal(space.getProved('a', nowMs - 0.001, 500), 2)
    assert.equal(space.getProved('a', nowMs, 500), undefined)
    assert.equal(space.size, 0)
  })

  test('a dropped lane stays dropped for as many drops as an era counts, and more', () => {
    const { pool, space } = scene({ lanes: 2 })
    space.set('a', 1, { lane: 1 })
    space.set('b', 2, { lane: 0 })
    for (let i = 0; i < 65_536; i++) pool.dropLane(1)
    assert.equal(space.get('a'), undefined)
    assert.equal(space.get('b'), 2)
    space.set('a', 3, { lane: 1 })
    assert.equal(space.get('a'), 3)
    pool.check()
  })

  test('lanes that there are not are refused', () => {
    const { pool, space } = scene({ lanes: 2 })
    assert.throws(() => space.set('a', 1, { lane: 2 }), AssertionError)
    assert.throws(() => pool.dropLane(2), AssertionError)
    assert.throws(() => scene({ lanes: 4_097 }), AssertionError)
    pool.check()
  })
})

describe('times to live', () => {
  const DAY_MS = 86_400_000

  test('of longer than a small integer of ms, and after so long', () => {
    const { clock, pool, space } = scene()
    const begunMs = clock.monotonicMs()
    space.set('month', 1, { expiresAtMs: begunMs + 30 * DAY_MS, graceMs: 60 * DAY_MS })
    space.set('never', 2)
    space.set('soon', 3, { expiresAtMs: begunMs + 5, graceMs: 60 * DAY_MS })
    for (let day = 0; day < 30; day++) {
      assert.equal(space.get('month'), 1)
      assert.equal(pool.expiresAtMs(space.find('month')), begunMs + 30 * DAY_MS)
      clock.advance(DAY_MS)
      pool.sweep(10)
    }
    assert.equal(space.get('month'), undefined)
    assert.equal(space.get('never'), 2)
    space.set('new', 4, { expiresAtMs: clock.monotonicMs() + 2 })
    clock.advance(1)
    assert.equal(space.get('new'), 4)
    clock.advance(1)
    assert.equal(space.get('new'), undefined)
    // Kept for sixty days after its time, and not from when it was counted anew.
    for (let day = 30; day < 60; day++) {
      assert.equal(space.get('soon'), undefined)
      assert.ok(space.findKept('soon') >= 0, `day ${day}`)
      clock.advance(DAY_MS)
      pool.sweep(10)
    }
    clock.advance(5)
    assert.equal(space.findKept('soon'), -1)
    assert.ok(space.findKept('month') >= 0)
    pool.check()
  })

  test('go on while the machine is suspended, the longest too', () => {
    let sleptMs = 0
    const { clock, space } = scene({ slept: () => sleptMs })
    const begunMs = clock.monotonicMs()
    space.set('minute', 1, { expiresAtMs: begunMs + 60_000 })
    space.set('month', 2, { expiresAtMs: begunMs + 30 * DAY_MS })
    space.set('never', 3)
    const passes = (ms: number): void => {
      sleptMs = ms
      clock.advance(10)
      space.get('never')
      sleptMs = 0
    }
    passes(59_000.5)
    assert.deepEqual([space.get('minute'), space.get('month')], [1, 2])
    passes(1_000)
    assert.deepEqual([space.get('minute'), space.get('month')], [undefined, 2])
    passes(30 * DAY_MS - 60_100)
    assert.equal(space.get('month'), 2)
    passes(100)
    assert.deepEqual([space.get('month'), space.get('never')], [undefined, 3])
    space.set('second', 4, { expiresAtMs: clock.monotonicMs() + 1_000 })
    clock.advance(999)
    assert.equal(space.get('second'), 4)
    clock.advance(1)
    assert.equal(space.get('second'), undefined)
  })

  test('go on so where all reads ask for proof, by a clock of their own: the sweep sees to it', () => {
    let sleptMs = 0
    const { clock, pool, space } = scene({ slept: () => sleptMs })
    space.set('minute', 1, { expiresAtMs: clock.monotonicMs() + 60_000 })
    space.set('hour', 2, { expiresAtMs: clock.monotonicMs() + 3_600_000 })
    const proved = (key: string): unknown => space.getProved(key, clock.monotonicMs(), Infinity)
    assert.equal(proved('minute'), 1)
    clock.advance(10)
    sleptMs = 60_000
    assert.equal(pool.sweep(100), 1)
    sleptMs = 0
    assert.deepEqual([proved('minute'), proved('hour')], [undefined, 2])
  })

  test('go on so for whoever read a moment before the sweep noticed', () => {
    let sleptMs = 0
    const { pool, clock, space } = scene({ slept: () => sleptMs })
    space.set('minute', 1, { expiresAtMs: clock.monotonicMs() + 60_000 })
    assert.equal(space.get('minute'), 1)
    sleptMs = 60_000
    pool.sweep(0)
    sleptMs = 0
    assert.equal(space.get('minute'), undefined)
  })

  test('end to the millisecond, rounded down', () => {
    const { clock, space } = scene()
    space.set('a', 1, { expiresAtMs: clock.monotonicMs() + 2.7 })
    clock.advance(1)
    assert.equal(space.get('a'), 1)
    clock.advance(1)
    assert.equal(space.get('a'), undefined)
  })

  test('a stamp that is the time is in whole wall ms, long after there was the cache and when the clock was set back too', () => {
    const { clock, pool, space } = scene()
    for (const ms of [0.75, limits.nearClockMs, 2 ** 32, -(2 ** 33)]) {
      clock.advance(limits.nearClockMs)
      clock.jumpWall(ms)
      space.set('a', 1, { stamp: 'now' })
      assert.equal(pool.stamp(space.find('a')), Math.floor(clock.wallMs()))
    }
  })
})

describe('room', () => {
  test('entries that take none leave as all others do', () => {
    const { pool, space } = scene({ maxEntries: 2, maxBytes: 100 })
    for (const key of ['a', 'b', 'c']) {
      space.set(key, key, { bytes: 0 })
      pool.check()
    }
    assert.deepEqual([...space.keys()], ['b', 'c'])
  })

  test('in bytes: what does not fit is refused, and the older value is gone', () => {
    const { pool, space } = scene({ maxBytes: 1_000 })
    assert.equal(space.set('a', 1, { bytes: 1_000 }), true)
    assert.equal(pool.bytes, 1_000)
    assert.equal(space.set('a', 2, { bytes: 1_001 }), false)
    assert.equal(space.get('a'), undefined)
    assert.equal(pool.bytes, 0)
  })

  test('in bytes: sizes are estimated, of keys too', () => {
    const { pool, space } = scene({ maxBytes: 100_000 })
    space.set('k'.repeat(1_000), { text: 'x'.repeat(5_000) })
    assert.ok(pool.bytes > 6_000 && pool.bytes < 6_500, String(pool.bytes))
    space.set('k'.repeat(1_000), 1)
    assert.ok(pool.bytes > 1_000 && pool.bytes < 1_300, String(pool.bytes))
  })

  test('an entry that grows makes others leave, not itself', () => {
    const { pool, space } = scene({ maxBytes: 1_000 })
    for (const key of ['a', 'b', 'c']) space.set(key, key, { bytes: 300 })
    assert.equal(space.set('a', 'A', { bytes: 900 }), true)
    assert.equal(space.get('a'), 'A')
    assert.deepEqual([...space.keys()], ['a'])
    pool.check()
  })

  test('the sweep reclaims what is dead, a few slots at a time, and tells why', () => {
    const told: string[] = []
    const { clock, pool, space } = scene({
      lanes: 2,
      onEvict: (each, key, _value, reason) => told.push(`${each.name} ${key} ${reason}`),
    })
    const tag = { alive: true }
    space.set('expires', 1, { expiresAtMs: clock.monotonicMs() + 5 })
    space.set('tagged', 2, { tags: [tag] })
    space.set('dropped', 3, { lane: 1 })
    space.set('stays', 4)
    clock.advance(5)
    tag.alive = false
    pool.dropLane(1)
    assert.equal(pool.size, 4)
    assert.equal(pool.sweep(2), 2)
    assert.equal(pool.sweep(100), 1)
    assert.deepEqual(told, ['a expires expired', 'a tagged dead', 'a dropped dead'])
    assert.deepEqual([...space.entries()], [['stays', 4]])
    pool.check()
  })

  test('a cleared space takes no room for long, and its entries leave before living ones', () => {
    const { pool, space } = scene({ maxEntries: 100 })
    const other = pool.space('b')
    for (let i = 0; i < 50; i++) other.set(`key ${i}`, i)
    for (let i = 0; i < 50; i++) space.set(`key ${i}`, i)
    space.clear()
    assert.equal(space.size, 0)
    assert.equal(pool.size, 100)
    for (let i = 50; i < 100; i++) other.set(`key ${i}`, i)
    for (let i = 0; i < 100; i++) assert.equal(other.get(`key ${i}`), i)
    pool.check()
  })

  test('more spaces are cleared than there are numbers for, and nothing is written meanwhile', () => {
    const { pool } = scene({ maxEntries: 100_000 })
    const spaces = Array.from({ length: 40_000 }, (_, i) => pool.space(`space ${i}`))
    for (const each of spaces) each.set('a', 1)
    for (const each of spaces) each.clear()
    for (const each of spaces) each.set('b', 2)
    assert.ok(spaces.every(each => each.get('a') === undefined && each.get('b') === 2))
  })

  test('a dead entry is reclaimed when it is read', () => {
    const { clock, pool, space } = scene({ lanes: 2 })
    const tag = { alive: true }
    space.set('tagged', 1, { tags: [tag] })
    space.set('dropped', 2, { lane: 1 })
    space.set('expired', 3, { expiresAtMs: clock.monotonicMs() + 5 })
    tag.alive = false
    pool.dropLane(1)
    clock.advance(5)
    for (const [left, key] of ['tagged', 'dropped', 'expired'].entries()) {
      space.get(key)
      assert.equal(pool.size, 2 - left)
    }
    pool.check()
  })

  test('what is dead leaves a full pool at once, however often it was read', () => {
    const told: string[] = []
    const { pool, space } = scene({
      maxEntries: 10,
      lanes: 2,
      onEvict: (_space, key, _value, reason) => told.push(`${key} ${reason}`),
    })
    for (let i = 0; i < 10; i++) space.set(`key ${i}`, i, { lane: i < 2 ? 1 : 0 })
    for (const key of ['key 0', 'key 0', 'key 1']) space.get(key)
    pool.dropLane(1)
    space.set('new', 1)
    space.set('newer', 1)
    assert.deepEqual(told, ['key 0 dead', 'key 1 dead'])
  })

  test('a space can be cleared any number of times while nothing else happens', () => {
    const { pool, space } = scene({ maxEntries: 100_000 })
    for (let i = 0; i < 70_000; i++) {
      space.set('a', i)
      space.clear()
    }
    space.set('b', 1)
    assert.deepEqual([...space.keys()], ['b'])
    pool.check()
  })
})

test('who is told of an eviction may write, delete, drop and clear', () => {
  let told = 0
  const { pool, space } = scene({
    maxEntries: 10,
    maxBytes: 200,
    lanes: 2,
    onEvict: (each, key, _value, reason) => {
      if (reason !== 'room' || ++told > 500) return
      const turn = told % 6
      if (turn === 0) each.set(`key ${(told * 7) % 20}`, 'from outside', { bytes: 60 })
      if (turn === 1) each.set(key, 'again', { bytes: 30, lane: 1 })
      if (turn === 2) each.delete(`key ${told % 20}`)
      if (turn === 3) pool.dropLane(1)
      if (turn === 4 && told % 30 === 4) each.clear()
      if (turn === 5) pool.sweep(5)
    },
  })
  for (let i = 0; i < 2_000; i++) {
    const key = `key ${i % 23}`
    space.get(`key ${(i * 5) % 23}`)
    assert.equal(space.set(key, i, { bytes: 10 + ((i * 13) % 90), lane: i % 2 }), true)
    pool.check()
  }
  assert.ok(told > 500)
})

test('keys and entries that are written or removed meanwhile do no harm', () => {
  const { pool, space } = scene()
  for (let i = 0; i < 10; i++) space.set(`key ${i}`, i)
  const seen: string[] = []
  for (const key of space.keys()) {
    seen.push(key)
    if (key === 'key 2') space.delete('key 3')
    if (key === 'key 5') space.clear()
  }
  assert.deepEqual(seen, ['key 0', 'key 1', 'key 2', 'key 4', 'key 5'])
  pool.check()
})
