// S3-FIFO as the store does it: what was read stays, one-hit wonders leave, what comes back soon goes to the main queue; and
// whatever happens, memory is all there is.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { frequencyAfterReclaim, queueToReclaim } from '../../src/policy/eviction.ts'
import { Queue, Shard } from '../../src/store/layout.ts'
import { createStore, insidesOf, MiB, storeTest } from './keyed-store.ts'
import type { KeyedStore } from './keyed-store.ts'

const VALUE_BYTES = 100
/** More small records than a memory of 1 MiB takes. */
const FLOOD = 12_000

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`)
}

function setAll(keyed: KeyedStore, keys: readonly string[]): void {
  for (const key of keys) assert.equal(keyed.set(key, Buffer.alloc(VALUE_BYTES, key)), 'stored')
}

function present(keyed: KeyedStore, keys: readonly string[]): number {
  return keys.filter(key => keyed.hasUnread(key)).length
}

describe('eviction', () => {
  storeTest('records that are not read leave, the oldest first', keyed => {
    const keys = names('k', FLOOD)
    setAll(keyed, keys)
    const oldest = present(keyed, keys.slice(0, 1000))
    const newest = present(keyed, keys.slice(-1000))
    assert.equal(oldest, 0)
    assert.ok(newest > 990, `${newest} of the newest 1,000 are there`)
    assert.equal(keyed.store.statistics().evicted, FLOOD - keyed.store.size())
  })

  storeTest('what was read once, while it was new, outlives a flood of what was not', keyed => {
    const read = names('read', 500)
    const unread = names('unread', 500)
    for (let i = 0; i < 500; i++) setAll(keyed, [read[i]!, unread[i]!])
    for (const key of read) assert.ok(keyed.has(key))
    keyed.flood('flood', FLOOD, VALUE_BYTES)
    assert.equal(present(keyed, read), 500)
    assert.equal(present(keyed, unread), 0)
    for (const key of read) keyed.assertValue(key, Buffer.alloc(VALUE_BYTES, key))
    assert.ok(keyed.store.statistics().moved >= 500)
  })

  storeTest('what left unread and is put again soon goes to the main queue, and outlives what is new', keyed => {
    const known = names('known', 200)
    setAll(keyed, known)
    for (let i = 0; present(keyed, known) > 0; i++) keyed.flood(`a${i}`, 500, VALUE_BYTES)
    const fresh = names('fresh', 200)
    setAll(keyed, known)
    setAll(keyed, fresh)
    keyed.flood('b', FLOOD, VALUE_BYTES)
    assert.equal(present(keyed, fresh), 0)
    assert.ok(present(keyed, known) > 190, `${present(keyed, known)} of 200 were remembered`)
  })

  storeTest('a ghost is good for one return: what is removed and set once more is new again', keyed => {
    const known = names('known', 200)
    setAll(keyed, known)
    for (let i = 0; present(keyed, known) > 0; i++) keyed.flood(`a${i}`, 500, VALUE_BYTES)
    setAll(keyed, known)
    for (const key of known) keyed.remove(key)
    setAll(keyed, known)
    keyed.flood('b', FLOOD, VALUE_BYTES)
    assert.equal(present(keyed, known), 0)
  })

  storeTest('a record of the main queue that is not read any more leaves in the end', keyed => {
    const once = names('once', 500)
    for (const key of once) setAll(keyed, [key, `beside ${key}`])
    for (const key of once) keyed.has(key)
    keyed.flood('first', FLOOD, VALUE_BYTES)
    assert.equal(present(keyed, once), 500)
    for (let round = 0; round < 20; round++) {
      const others = names(`others${round}:`, 1000)
      setAll(keyed, others)
      for (const key of others) keyed.has(key)
    }
    assert.equal(present(keyed, once), 0)
  })

  storeTest('of the main queue, what is read while it is there stays', keyed => {
    const hot = names('hot', 300)
    setAll(keyed, hot)
    for (let round = 0; round < 40; round++) {
      for (const key of hot) keyed.has(key)
      const others = names(`others${round}:`, 1000)
      setAll(keyed, others)
      for (const key of others) keyed.has(key)
    }
    // Not all of them: after RECLAIM_TRIES_MAX segments full of survivors the next one goes without mercy.
    assert.ok(present(keyed, hot) > 240, `${present(keyed, hot)} of 300 are there`)
  })

  storeTest('memory full of records that are all read all the time still takes new ones', keyed => {
    const keys = names('k', FLOOD)
    for (const key of keys) {
      assert.equal(keyed.set(key, Buffer.alloc(VALUE_BYTES, key)), 'stored')
      for (let read = 0; read < 4; read++) assert.ok(keyed.has(key))
    }
    assert.ok(keyed.store.size() > 3000)
  })

  storeTest('overwriting keeps the count of reads and the place in the main queue', keyed => {
    const keys = names('k', 300)
    for (const key of keys) setAll(keyed, [key, `beside ${key}`])
    for (const key of keys) keyed.has(key)
    for (const key of keys) keyed.set(key, Buffer.alloc(VALUE_BYTES + 40, key))
    keyed.flood('a', FLOOD, VALUE_BYTES)
    assert.equal(present(keyed, keys), 300)
    for (const key of keys) keyed.set(key, Buffer.alloc(VALUE_BYTES, key))
    keyed.flood('b', FLOOD, VALUE_BYTES)
    assert.equal(present(keyed, keys), 300)
  })

  storeTest('expired records are reclaimed as expired, read or not, and are not remembered', keyed => {
    const keys = names('k', 1000)
    for (const key of keys) keyed.set(key, Buffer.alloc(VALUE_BYTES), { expiresAtMs: keyed.wallMs + 10 })
    for (const key of keys) keyed.has(key)
    keyed.wallMs += 10
    keyed.flood('a', FLOOD, VALUE_BYTES)
    assert.equal(present(keyed, keys), 0)
    assert.equal(keyed.store.statistics().expired, 1000)
    setAll(keyed, keys)
    keyed.flood('b', FLOOD, VALUE_BYTES)
    assert.equal(present(keyed, keys), 0)
  })

  storeTest('a segment whose records are all overwritten or removed is free again without any eviction', keyed => {
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < 2000; i++) keyed.set(`k${i}`, Buffer.alloc(50 + (round % 2) * 100))
    }
    for (let i = 0; i < 2000; i++) keyed.remove(`k${i}`)
    const { evicted, liveBytes, usedBytes } = keyed.store.statistics()
    assert.equal(evicted, 0)
    assert.equal(liveBytes, 0)
    const { data, shards, segmentUnits } = keyed.store.geometry
    const most = data * 8 + (shards * 3 + keyed.indexSegments) * segmentUnits * 8
    assert.ok(usedBytes <= most, 'besides the index only spares and segments being written are in use')
  })

  storeTest('a key that is set and removed again and again needs one segment', keyed => {
    const { usedBytes } = keyed.store.statistics()
    for (let i = 0; i < 20_000; i++) {
      keyed.set('k', Buffer.alloc(i % 500))
      keyed.remove('k')
    }
    assert.equal(keyed.store.statistics().usedBytes, usedBytes + keyed.store.geometry.segmentUnits * 8)
  })

  storeTest(
    'with many shards in little memory every put still finds room',
    keyed => {
      for (let i = 0; i < 60_000; i++) {
        assert.equal(keyed.set(`k${i}`, Buffer.alloc((i * 31) % 3900)), 'stored')
        if (i % 3 === 0) keyed.has(`k${i}`)
      }
    },
    MiB,
    128,
  )

  storeTest('a shard that has nothing of its own takes a segment from another', keyed => {
    const { control, queues, index } = insidesOf(keyed.store)
    const inShard = (wanted: number, prefix: string, count: number): string[] => {
      const keys: string[] = []
      for (let i = 0; keys.length < count; i++) {
        if (index.shardOf(keyed.hash(`${prefix}${i}`)) === wanted) keys.push(`${prefix}${i}`)
      }
      return keys
    }
    setAll(keyed, inShard(0, 'a', FLOOD))
    const at = queues.shardAt(1)
    assert.equal(control[at + Shard.small + Queue.segments], 0)
    const keys = inShard(1, 'b', 50)
    setAll(keyed, keys)
    assert.equal(present(keyed, keys), 50)
    assert.ok(control[at + Shard.small + Queue.segments]! > 0)
  })
})

describe('the decisions', () => {
  test('the small queue gives up a segment while it has more than a tenth of them', () => {
    assert.equal(queueToReclaim(0, 0), 'main')
    assert.equal(queueToReclaim(0, 5), 'main')
    assert.equal(queueToReclaim(5, 0), 'small')
    assert.equal(queueToReclaim(10, 90), 'main')
    assert.equal(queueToReclaim(11, 89), 'small')
  })

  test('what was not read leaves; what was read begins the main queue at 0 and pays one read for each round there', () => {
    assert.deepEqual(
      [0, 1, 2, 3].map(reads => frequencyAfterReclaim('small', reads)),
      [-1, 0, 0, 0],
    )
    assert.deepEqual(
      [0, 1, 2, 3].map(reads => frequencyAfterReclaim('main', reads)),
      [-1, 0, 1, 2],
    )
  })

  test('a hit ratio on a skewed load is well above that of a plain queue of the same room', () => {
    const keyed = createStore()
    const queue = new Set<string>()
    let queueHits = 0
    let hits = 0
    let state = 1
    const requests = 200_000
    for (let i = 0; i < requests; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      // Zipf-like: half of all requests ask for a few hundred keys, the others for 100,000.
      const key = `k${Math.floor(100_000 ** (state / 2 ** 32))}`
      if (keyed.has(key)) hits++
      else keyed.set(key, Buffer.alloc(VALUE_BYTES))
      if (queue.has(key)) queueHits++
      else queue.add(key)
      if (queue.size > keyed.store.size()) for (const oldest of queue.keys()) if (queue.delete(oldest)) break
    }
    keyed.store.check()
    assert.ok(hits > queueHits * 1.05, `hit ratio ${hits / requests}, of a queue ${queueHits / requests}`)
  })
})
