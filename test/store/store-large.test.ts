// A store of 5 GiB: records beyond 2 and 4 GiB, where a 32-bit byte offset would have gone wrong, and runs across the
// windows of 1 GiB through which memory is seen. Needs 8 GiB free, and says so when they are not there.
import assert from 'node:assert/strict'
import { availableMemory } from 'node:process'
import { describe, test } from 'node:test'
import { UNIT_BYTES, WINDOW_BYTES } from '../../src/store/layout.ts'
import { createStore, insidesOf, KiB, MiB } from './keyed-store.ts'
import type { KeyedStore } from './keyed-store.ts'

const GiB = 1024 * MiB
const STORE_BYTES = 5 * GiB
const NEEDED_BYTES = 8 * GiB
const skip =
  availableMemory() < NEEDED_BYTES
    ? `needs 8 GiB of free memory, there are ${(availableMemory() / GiB).toFixed(1)}`
    : false

/** The bytes before a key's record, from the start of memory. */
function placeOf(keyed: KeyedStore, key: string): number {
  const bytes = Buffer.from(key)
  const hash = keyed.hash(key)
  const { index } = insidesOf(keyed.store)
  return keyed.store.withLock(hash, () => {
    assert.ok(index.locateKey(hash, bytes, 0, bytes.length), `${key} is there`)
    return (index.slotWords[index.slotAt]! >>> 0) * UNIT_BYTES
  })
}

function valueOf(value: Buffer, key: string): Buffer {
  value.fill('-')
  value.write(key, 0)
  value.write(key, value.length - key.length)
  return value
}

describe('a store of 5 GiB', { skip }, () => {
  const keyed = skip === false ? createStore(STORE_BYTES, 2) : undefined!
  // A little less than a whole number of segments, so that records fill memory to its end.
  const value = Buffer.alloc(MiB - 100)
  const count = 4_600
  const names = Array.from({ length: count }, (_, i) => `value:${i}`)

  test('takes records to its end, and finds each of them with its value', () => {
    for (const name of names) assert.equal(keyed.set(name, valueOf(value, name)), 'stored')
    const places = names.filter(name => keyed.has(name)).map(name => placeOf(keyed, name))
    assert.ok(places.length > 4_000, `${places.length} of them are there`)
    for (let gibibyte = 1; gibibyte < 5; gibibyte++) {
      const there = places.filter(place => place >= gibibyte * GiB && place < (gibibyte + 1) * GiB)
      assert.ok(there.length > 500, `${there.length} are in the GiB after ${gibibyte}`)
    }
    for (const name of names) {
      if (!keyed.has(name)) continue
      const found = keyed.get(name)!
      assert.ok(found.equals(valueOf(value, name)), `${name} is whole`)
    }
  })

  test('has runs that begin in one window and end in the next', () => {
    const across = names.filter(name => {
      if (!keyed.has(name)) return false
      const place = placeOf(keyed, name)
      return Math.floor(place / WINDOW_BYTES) !== Math.floor((place + value.length) / WINDOW_BYTES)
    })
    assert.ok(across.length >= 3, `${across.length} records cross a multiple of 1 GiB`)
    for (const name of across) assert.ok(keyed.get(name)!.equals(valueOf(value, name)), `${name} is whole`)
  })

  test('overwrites, expires, removes and moves records beyond 4 GiB', () => {
    const beyond = names.filter(name => keyed.has(name) && placeOf(keyed, name) > 4 * GiB)
    const [first, second, third, fourth] = beyond as [string, string, string, string]
    keyed.set(first, 'short')
    assert.equal(keyed.text(first), 'short')
    assert.equal(keyed.remove(second), true)
    assert.equal(keyed.has(second), false)
    assert.equal(keyed.setExpiry(third, keyed.wallMs + 10), true)
    assert.ok(keyed.get(third)!.equals(valueOf(value, third)))
    keyed.wallMs += 10
    assert.equal(keyed.has(third), false)
    assert.ok(keyed.get(fourth)!.equals(valueOf(value, fourth)))
  })

  test('evicts in order when small records and the largest ones come, and its memory adds up', () => {
    for (let i = 0; i < 12; i++) {
      const name = `largest:${i}`
      const largest = valueOf(Buffer.alloc(keyed.store.valueBytesMax), name)
      assert.equal(keyed.set(name, largest), 'stored')
      assert.ok(keyed.get(name)!.equals(largest))
    }
    for (let i = 0; i < 200_000; i++) keyed.set(`small:${i}`, Buffer.alloc((i * 37) % (8 * KiB), `${i}`))
    for (let i = 0; i < 200_000; i += 17) {
      assert.ok(keyed.get(`small:${i}`)!.equals(Buffer.alloc((i * 37) % (8 * KiB), `${i}`)), `small:${i}`)
    }
    const small = Array.from({ length: 2_000 }, (_, i) => placeOf(keyed, `small:${i * 100}`))
    assert.ok(small.some(place => place > 2 * GiB))
    keyed.store.check()
    assert.ok(keyed.store.statistics().evicted > 0)
  })

  test('holds nothing once it is cleared', () => {
    keyed.store.clear()
    assert.equal(keyed.store.size(), 0)
    keyed.store.check()
  })
})
