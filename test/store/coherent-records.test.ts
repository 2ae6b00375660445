// What a row's record carries beside its value: lane, keyspace, generation and stamp, through all that moves a record.
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { RecordType } from '../../src/store/layout.ts'
import type { CoherentPart } from '../../src/store/store-writer.ts'
import { storeTest } from './keyed-store.ts'
import type { KeyedStore } from './keyed-store.ts'

function partOf(i: number): CoherentPart {
  return {
    lane: (i * 4099) & 0xffff,
    keyspace: (i * 257) & 0xffff,
    generation: Math.imul(i, -0x5bd1e995) | 0,
    stamp: Buffer.alloc(i % (limits.stampBytesMax + 1), i),
  }
}

function assertRow(keyed: KeyedStore, key: string, value: string, part: CoherentPart, expiresAtMs = 0): void {
  const { store } = keyed
  assert.equal(keyed.text(key), value)
  assert.equal(store.foundType, RecordType.row)
  assert.equal(store.foundLane, part.lane)
  assert.equal(store.foundKeyspace, part.keyspace)
  assert.equal(store.foundGeneration, part.generation)
  assert.equal(store.foundExpiresAtMs, expiresAtMs)
  assert.deepEqual(store.foundStamp(), Buffer.from(part.stamp))
  assert.equal(store.confirm(), true)
}

describe('a coherent record', () => {
  storeTest('keeps its parts, with stamps of every length, with and without expiry', keyed => {
    const expiresAtMs = keyed.wallMs + 10
    for (let i = 0; i <= limits.stampBytesMax; i++) {
      keyed.set('a', `value ${i}`, { type: RecordType.row, coherent: partOf(i) })
      assertRow(keyed, 'a', `value ${i}`, partOf(i))
      keyed.set('a', `value ${i}`, { type: RecordType.row, coherent: partOf(i), expiresAtMs })
      assertRow(keyed, 'a', `value ${i}`, partOf(i), expiresAtMs)
    }
  })

  storeTest('keeps its parts when it gets an expiry, another one, and none', keyed => {
    for (const i of [0, 1, 8, 13, 512]) {
      keyed.set('a', `value ${i}`, { type: RecordType.row, coherent: partOf(i) })
      for (const expiresAtMs of [keyed.wallMs + 10, keyed.wallMs + 20, 0]) {
        assert.equal(keyed.setExpiry('a', expiresAtMs), true)
        assertRow(keyed, 'a', `value ${i}`, partOf(i), expiresAtMs)
      }
    }
  })

  storeTest('keeps its parts and its version when reclaiming moves it', keyed => {
    const versions = new Map<number, number>()
    for (let i = 0; i < 400; i += 2) {
      keyed.set(`row${i}`, `value ${i}`, { type: RecordType.row, coherent: partOf(i) })
      keyed.set(`beside${i}`, Buffer.alloc(500))
      versions.set(i, keyed.version(`row${i}`))
    }
    keyed.flood('a', 12_000, 100)
    assert.ok(keyed.store.statistics().moved >= 200)
    for (const [i, version] of versions) {
      assertRow(keyed, `row${i}`, `value ${i}`, partOf(i))
      assert.equal(keyed.store.foundVersion, version)
    }
  })

  storeTest('keeps its parts and its version when it makes way for a large record', keyed => {
    const versions = new Map<number, number>()
    for (let i = 0; i < 400; i++) {
      keyed.set(`row${i}`, `value ${i}`, { type: RecordType.row, coherent: partOf(i) })
      keyed.set(`filler${i}`, Buffer.alloc(3000))
      versions.set(i, keyed.version(`row${i}`))
    }
    for (let i = 0; i < 400; i += 2) keyed.remove(`filler${i}`)
    const before = Array.from({ length: 400 }, (_, i) => i).filter(i => keyed.has(`row${i}`))
    for (let i = 0; i < 5; i++) keyed.set(`large${i}`, Buffer.alloc(40_000))
    const after = before.filter(i => keyed.has(`row${i}`))
    assert.ok(after.length > before.length / 2)
    for (const i of after) {
      assertRow(keyed, `row${i}`, `value ${i}`, partOf(i))
      assert.equal(keyed.store.foundVersion, versions.get(i))
    }
  })

  storeTest('larger than a segment keeps its parts', keyed => {
    for (const i of [1, 13, 512]) {
      const value = 'v'.repeat(30_000 + i)
      keyed.set('a', value, { type: RecordType.row, coherent: partOf(i) })
      assertRow(keyed, 'a', value, partOf(i))
      keyed.setExpiry('a', keyed.wallMs + 5)
      assertRow(keyed, 'a', value, partOf(i), keyed.wallMs + 5)
    }
  })

  storeTest('becomes a plain one when it is overwritten by one', keyed => {
    keyed.set('a', 'value', { type: RecordType.row, coherent: partOf(9) })
    keyed.set('a', 'other')
    assert.equal(keyed.text('a'), 'other')
    assert.equal(keyed.store.foundStampBytes, 0)
  })
})
