// The index under strain: tiny records and long chains, growth bucket by bucket, and what a scan promises meanwhile.
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import { BUCKETS_MIN } from '../../src/store/layout.ts'
import { insidesOf, MiB, storeTest } from './keyed-store.ts'
import type { KeyedStore } from './keyed-store.ts'

function bucketsInUse(keyed: KeyedStore): number {
  let buckets = 0
  for (let shard = 0; shard < keyed.store.geometry.shards; shard++) {
    buckets += insidesOf(keyed.store).index.bucketsOf(shard)
  }
  return buckets
}

describe('the index', () => {
  storeTest('grows bucket by bucket with what it holds, and every key is found at every size', keyed => {
    const { shards, bucketsPerShard } = keyed.store.geometry
    assert.equal(bucketsInUse(keyed), shards * BUCKETS_MIN)
    for (let i = 0; i < 6000; i++) {
      keyed.set(`k${i}`, `${i}`)
      if (i % 97 === 0) for (let j = 0; j <= i; j++) assert.equal(keyed.text(`k${j}`), `${j}`)
    }
    assert.ok(bucketsInUse(keyed) > shards * BUCKETS_MIN * 4)
    assert.ok(bucketsInUse(keyed) <= shards * bucketsPerShard)
    keyed.store.clear()
    assert.equal(bucketsInUse(keyed), shards * BUCKETS_MIN)
  })

  storeTest('tiny records past what its buckets take go into overflow buckets, in segments of their own', keyed => {
    const { shards, bucketsPerShard } = keyed.store.geometry
    for (let i = 0; i < 60_000; i++) {
      assert.equal(keyed.set(i.toString(36), ''), 'stored')
      if (i % 10_000 === 0) keyed.store.check()
    }
    assert.ok(keyed.indexSegments > shards)
    const records = keyed.store.size()
    assert.ok(records > shards * bucketsPerShard * 7, `${records} records are more than all buckets have slots`)
    let found = 0
    for (let i = 0; i < 60_000; i++) if (keyed.text(i.toString(36)) !== undefined) found++
    assert.equal(found, records)
  })

  storeTest('overflow buckets that are empty again serve other chains', keyed => {
    let most = 0
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 15_000; i++) keyed.set(`${round}${i.toString(36)}`, '')
      for (let i = 0; i < 15_000; i++) keyed.remove(`${round}${i.toString(36)}`)
      keyed.store.check()
      if (round === 2) most = keyed.indexSegments
    }
    assert.equal(keyed.store.size(), 0)
    assert.ok(keyed.indexSegments <= most + 1, `${most} index segments were enough, there are ${keyed.indexSegments}`)
  })

  storeTest('overflow buckets and records give way to each other as the load changes', keyed => {
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 40_000; i++) assert.equal(keyed.set(`t${round}${i.toString(36)}`, ''), 'stored')
      keyed.store.check()
      keyed.flood(`large${round}`, 1_000, 3_000)
      keyed.store.check()
      keyed.set('run', Buffer.alloc(keyed.store.valueBytesMax))
      keyed.store.check()
    }
  })
})

describe('a scan', () => {
  storeTest('of a store at rest visits every key once, whatever the step', keyed => {
    const keys = Array.from({ length: 3000 }, (_, i) => `k${i}`)
    for (const key of keys) keyed.set(key, 'v')
    for (const count of [1, 7, 100, 1e6]) assert.deepEqual(keyed.keys(count).sort(), [...keys].sort())
  })

  storeTest('of an empty store ends', keyed => {
    assert.deepEqual(keyed.keys(1), [])
  })

  storeTest('from a cursor that nobody gave ends too', keyed => {
    keyed.flood('k', 100, 10)
    for (const cursor of [1, 12345, 1e9, Number.MAX_SAFE_INTEGER]) {
      let next = cursor
      for (let steps = 0; next !== 0; steps++) {
        assert.ok(steps < 1000)
        next = keyed.store.scan(next, 10, keyed.wallMs, () => {})
      }
    }
  })

  storeTest('tells a record its type, and leaves out what has expired', keyed => {
    keyed.set('string', 'v')
    keyed.set('hash', 'v', { type: 2 })
    keyed.set('expired', 'v', { expiresAtMs: keyed.wallMs })
    const seen = new Map<string, number>()
    keyed.store.scan(0, 100, keyed.wallMs, (key, type) => seen.set(key.toString(), type))
    assert.deepEqual(Object.fromEntries(seen), { hash: 2, string: 1 })
  })

  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    storeTest(
      `visits what is there all the time, while all around it is set, moved, removed, and the index grows (seed ${seed})`,
      keyed => {
        const random = seededRandom(seed)
        const permanent = Array.from({ length: 300 }, (_, i) => `permanent${i}`)
        for (const key of permanent) keyed.set(key, 'v')
        const before = bucketsInUse(keyed)
        const seen = new Set<string>()
        let next = 0
        for (let cursor = 0; ;) {
          cursor = keyed.store.scan(cursor, 1 + random.below(20), keyed.wallMs, key => seen.add(key.toString()))
          if (cursor === 0) break
          for (let i = 0; i < 8; i++) keyed.set(`other${next++}`, 'v')
          for (let i = 0; i < 3; i++) keyed.remove(`other${random.below(next)}`)
          for (let i = 0; i < 5; i++) keyed.set(permanent[random.below(300)]!, Buffer.alloc(random.below(300)))
          if (random.below(50) === 0) keyed.store.sweep(keyed.wallMs, 5)
        }
        assert.ok(bucketsInUse(keyed) > before, 'the index grew meanwhile')
        assert.equal(keyed.store.statistics().evicted, 0, 'nothing was evicted')
        for (const key of permanent) assert.ok(seen.has(key), `${key} was seen`)
      },
      4 * MiB,
    )
  }
})
