// Entries that are kept after their time: absent to reads, there for who asks for what is kept, and gone with all that ends others.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ObjectCache } from '../../src/near/object-cache.ts'
import { ManualClock } from '../../src/testing/clock.ts'

function open(maxEntries = 1_000) {
  const clock = new ManualClock()
  const left: string[] = []
  const pool = new ObjectCache<string>({
    clock,
    maxEntries,
    lanes: 2,
    onEvict: (_, key, __, why) => left.push(`${key} ${why}`),
  })
  const space = pool.space('s')
  const put = (key: string, graceMs: number | undefined, lane = 0, tags?: { alive: boolean }[]): void => {
    space.set(key, key, { expiresAtMs: clock.monotonicMs() + 100, graceMs, lane, tags })
  }
  const kept = (key: string): boolean => space.findKept(key) >= 0
  return { clock, pool, space, put, kept, left }
}

await test('for its grace it is absent to reads and kept for who asks, and then it is gone', () => {
  const { clock, pool, space, put, kept, left } = open()
  put('a', 50)
  put('b', undefined)
  assert.deepEqual([space.get('a'), kept('a'), kept('b')], ['a', true, true])
  clock.advance(100)
  assert.deepEqual(
    [space.get('a'), space.find('a'), space.getProved('a', clock.monotonicMs(), Infinity)],
    [undefined, -1, undefined],
  )
  assert.deepEqual([kept('a'), kept('b'), [...space.keys()]], [true, false, []])
  assert.equal(pool.value(space.findKept('a')), 'a')
  pool.sweep(1_000)
  assert.deepEqual([kept('a'), left], [true, ['b expired']])
  clock.advance(50)
  assert.equal(kept('a'), false)
  pool.sweep(1_000)
  assert.deepEqual([space.size, left], [0, ['b expired', 'a expired']])
  pool.check()
})

await test('what replaces it is kept as that says, and has no grace of before', () => {
  const { clock, space, put, kept } = open()
  put('a', 1_000)
  clock.advance(100)
  put('a', undefined)
  assert.equal(space.get('a'), 'a')
  clock.advance(100)
  assert.equal(kept('a'), false)
})

await test('a slot that is used again does not keep the grace of another key', () => {
  const { clock, space, put, kept } = open()
  put('a', 1_000)
  space.delete('a')
  put('b', undefined)
  clock.advance(100)
  assert.equal(kept('b'), false)
})

await test('it goes with its lane, its tag, a delete, a clear, and when there is no room', () => {
  const tag = { alive: true }
  const { clock, pool, space, put, kept } = open()
  put('lane', 1_000, 1)
  put('tag', 1_000, 0, [tag])
  put('deleted', 1_000)
  put('cleared', 1_000)
  clock.advance(100)
  for (const key of ['lane', 'tag', 'deleted', 'cleared']) assert.equal(kept(key), true)
  pool.dropLane(1)
  tag.alive = false
  assert.equal(space.delete('deleted'), false)
  assert.deepEqual(['lane', 'tag', 'deleted', 'cleared'].map(kept), [false, false, false, true])
  space.clear()
  assert.equal(kept('cleared'), false)
  pool.check()
})

await test('it takes room like any other, and makes room for others', () => {
  const { clock, pool, space, put, kept } = open(10)
  for (let i = 0; i < 10; i++) put(`k${i}`, 1_000)
  clock.advance(100)
  for (let i = 0; i < 10; i++) put(`n${i}`, 1_000)
  assert.ok(pool.size <= 10)
  assert.equal(
    [...Array(10).keys()].some(i => kept(`k${i}`)),
    false,
  )
  assert.equal(space.get('n9'), 'n9')
  pool.check()
})

await test('the memory that notes graces grows with the others', () => {
  const { clock, put, kept, pool } = open(5_000)
  put('first', 1_000)
  for (let i = 0; i < 3_000; i++) put(`k${i}`, i % 2 === 0 ? 500 : undefined)
  clock.advance(100)
  assert.equal(kept('first'), true)
  for (let i = 0; i < 3_000; i++) assert.equal(kept(`k${i}`), i % 2 === 0, `k${i}`)
  pool.check()
})
