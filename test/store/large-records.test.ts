// Records larger than a segment: runs of adjacent segments, the room that is made for them, and what survives that.
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { RecordType, SegmentState } from '../../src/store/layout.ts'
import { insidesOf, KiB, MiB, storeTest } from './keyed-store.ts'
import type { KeyedStore } from './keyed-store.ts'

function largeValue(keyed: KeyedStore, letter: string, share = 1): Buffer {
  return Buffer.alloc(Math.floor(keyed.store.valueBytesMax * share), letter)
}

function freeSegments(keyed: KeyedStore): number {
  return insidesOf(keyed.store).segments.freeCount()
}

describe('a large record', () => {
  storeTest(
    'of the largest size is stored, overwritten, grown, shrunk and removed, and its memory comes back',
    keyed => {
      const free = freeSegments(keyed)
      for (const share of [1, 1, 0.5, 0.9, 1]) {
        const value = largeValue(keyed, 'v', share)
        assert.equal(keyed.set('a', value), 'stored')
        keyed.assertValue('a', value)
        keyed.store.check()
      }
      keyed.set('a', 'small')
      assert.equal(keyed.text('a'), 'small')
      keyed.set('a', largeValue(keyed, 'w'))
      assert.equal(keyed.remove('a'), true)
      assert.ok(freeSegments(keyed) >= free - 1)
      assert.equal(keyed.store.size(), 0)
    },
  )

  storeTest('leaves the others alone while there is free memory', keyed => {
    const sizes = [11_000, 6_000, 20_000, 5_000, 30_000, 4_097, 8_192, 12_288, 9_000]
    for (const [i, size] of sizes.entries()) keyed.set(`k${i}`, Buffer.alloc(size, `${i}`))
    for (const [i, size] of sizes.entries()) keyed.assertValue(`k${i}`, Buffer.alloc(size, `${i}`))
    assert.equal(keyed.store.statistics().evicted, 0)
  })

  storeTest('makes the change that puts it begin again once, with all before its put repeated', keyed => {
    const key = Buffer.from('a')
    const hash = keyed.hash(key)
    const value = largeValue(keyed, 'v')
    const { store } = keyed
    keyed.set(key, 'before')
    const seen: (string | undefined)[] = []
    const outcome = store.withLock(hash, () => {
      seen.push(keyed.text(key))
      return store.put(key, 0, 1, hash, RecordType.string, value, 0, value.length, 0, 1)
    })
    assert.equal(outcome, 'stored')
    assert.deepEqual(seen, ['before', 'before'])
  })

  storeTest('that is not put after all, or is put smaller, or fails, gives back what was reserved for it', keyed => {
    const key = Buffer.from('a')
    const hash = keyed.hash(key)
    const value = largeValue(keyed, 'v')
    const { store } = keyed
    const put = (bytes: number): unknown =>
      store.put(key, 0, 1, hash, RecordType.string, value, 0, bytes, 0, keyed.wallMs)
    const free = freeSegments(keyed)
    const secondTries: (() => unknown)[] = [
      () => undefined,
      () => assert.fail('mine'),
      () => put(5_000),
      () => put(10),
      () => put(20_000),
    ]
    for (const secondTry of secondTries) {
      let tries = 0
      try {
        store.withLock(hash, () => (tries++ === 0 ? put(value.length) : secondTry()))
      } catch (error) {
        assert.match(String(error), /mine/)
      }
      assert.equal(tries, 2)
      store.check()
      assert.equal(keyed.segmentsIn(SegmentState.reserved), 0)
      keyed.remove(key)
      assert.ok(freeSegments(keyed) >= free - 1, 'at most the segment being written is in use')
    }
  })

  storeTest('may be one of several in a change that goes on where it left off', keyed => {
    const keys = ['a', 'b', 'c', 'd', 'e'].map(key => Buffer.from(key))
    const hashes = keys.map(key => keyed.hash(key))
    const { store } = keyed
    let next = 0
    store.withLocks(hashes, () => {
      for (; next < keys.length; next++) {
        const value = Buffer.alloc(10_000 + next * 5_000, keys[next])
        const outcome = store.put(keys[next]!, 0, 1, hashes[next]!, RecordType.string, value, 0, value.length, 0, 1)
        assert.equal(outcome, 'stored')
      }
    })
    for (const [i, key] of keys.entries()) keyed.assertValue(key, Buffer.alloc(10_000 + i * 5_000, key))
  })

  storeTest('is refused for good when no memory can be freed, instead of trying for ever', keyed => {
    const { segments } = insidesOf(keyed.store)
    const taken: number[] = []
    for (let segment = segments.pop(0); segment >= 0; segment = segments.pop(0)) taken.push(segment)
    assert.equal(keyed.set('a', largeValue(keyed, 'v')), 'no-room')
    assert.equal(keyed.text('a'), undefined)
    for (const segment of taken) segments.push(segment, 1)
    assert.equal(keyed.set('a', largeValue(keyed, 'v')), 'stored')
  })

  storeTest('that expired is reclaimed as expired, not as evicted', keyed => {
    for (let i = 0; i < 12; i++) keyed.set(`k${i}`, largeValue(keyed, 'v'), { expiresAtMs: keyed.wallMs + 10 })
    const { evicted, expired } = keyed.store.statistics()
    assert.equal(expired, 0)
    keyed.wallMs += 10
    for (let i = 0; i < 12; i++) keyed.set(`l${i}`, largeValue(keyed, 'v'))
    assert.ok(keyed.store.statistics().expired >= 10)
    assert.ok(keyed.store.statistics().evicted - evicted <= 6)
  })
})

describe('a memory full of large records', () => {
  storeTest(
    'keeps the newest, and lets the oldest go first',
    keyed => {
      const count = 200
      for (let i = 0; i < count; i++) assert.equal(keyed.set(`k${i}`, Buffer.alloc(MiB, `${i}`)), 'stored')
      const left = Array.from({ length: count }, (_, i) => i).filter(i => keyed.has(`k${i}`))
      assert.ok(left.length >= 40, `${left.length} of about 55 that fit are there`)
      const newest = left.filter(i => i >= count - left.length * 2)
      assert.ok(newest.length >= left.length * 0.9, `those there are the newest: ${left.join(' ')}`)
    },
    64 * MiB,
  )

  storeTest(
    'keeps those that are read, while those that are not come and go',
    keyed => {
      const read = ['hot:1', 'hot:2', 'hot:3', 'hot:4', 'hot:5']
      for (const key of read) keyed.set(key, Buffer.alloc(MiB, key))
      for (let i = 0; i < 300; i++) {
        keyed.set(`k${i}`, Buffer.alloc(MiB))
        for (const key of read) keyed.get(key)
      }
      for (const key of read) keyed.assertValue(key, Buffer.alloc(MiB, key))
    },
    64 * MiB,
  )

  storeTest(
    'remembers one that left: put again, it stays longer than one that is new',
    keyed => {
      keyed.set('known', Buffer.alloc(MiB))
      for (let i = 0; keyed.store.statistics().evicted === 0 || keyed.hasUnread('known'); i++) {
        assert.ok(i < 200)
        keyed.set(`a${i}`, Buffer.alloc(MiB))
      }
      keyed.set('known', Buffer.alloc(MiB))
      keyed.set('new', Buffer.alloc(MiB))
      for (let i = 0; i < 150; i++) keyed.set(`b${i}`, Buffer.alloc(MiB))
      assert.equal(keyed.has('known'), true)
      assert.equal(keyed.has('new'), false)
    },
    64 * MiB,
  )

  storeTest('of many sizes takes any other size', keyed => {
    for (let i = 0; i < 600; i++) {
      const value = Buffer.alloc(100 + ((i * 7919) % (keyed.store.valueBytesMax - 100)), `${i}`)
      assert.equal(keyed.set(`k${i % 97}`, value), 'stored')
      keyed.assertValue(`k${i % 97}`, value)
      if (i % 50 === 0) keyed.store.check()
    }
  })
})

describe('large and small records together', () => {
  // Eight shards: 27 segments each, of which one is spare and some hold overflow buckets, and 32 adjacent ones are asked for.
  const threads = 4

  storeTest(
    'a record of the largest size always finds room among small ones, spares and overflow buckets',
    keyed => {
      for (let round = 0; round < 5; round++) {
        keyed.flood(`tiny${round}`, 25_000, 1)
        assert.ok(keyed.indexSegments > 0, 'tiny records need overflow buckets')
        for (let i = 0; i < 5; i++) {
          const value = largeValue(keyed, `${i}`)
          assert.equal(keyed.set(`large${i}`, value), 'stored')
          keyed.assertValue(`large${i}`, value)
          keyed.store.check()
        }
      }
    },
    MiB,
    threads,
  )

  storeTest(
    'making room for a large one evicts about as much as it needs',
    keyed => {
      keyed.flood('small', 20_000, 40)
      const before = keyed.store.statistics()
      assert.ok(before.evicted > 0, 'memory is full')
      for (let i = 0; i < 4; i++) assert.equal(keyed.set(`large${i}`, largeValue(keyed, 'v')), 'stored')
      const evictedBytes = (keyed.store.statistics().evicted - before.evicted) * (before.liveBytes / before.records)
      const neededBytes = 4 * (keyed.store.valueBytesMax + 4 * KiB)
      assert.ok(evictedBytes < 2 * neededBytes, `${evictedBytes} bytes were evicted to store ${neededBytes}`)
    },
    MiB,
    threads,
  )

  storeTest(
    'small records that are read survive large ones that are not',
    keyed => {
      for (let i = 0; i < 1000; i++) keyed.set(`hot${i}`, `value ${i}`)
      for (let round = 0; round < 100; round++) {
        for (let i = 0; i < 1000; i++) keyed.has(`hot${i}`)
        keyed.set(`large${round}`, largeValue(keyed, 'v'))
      }
      for (let i = 0; i < 1000; i++) assert.equal(keyed.text(`hot${i}`), `value ${i}`)
    },
    MiB,
    threads,
  )

  storeTest('a small record that is moved out of the way is still known to have been read', keyed => {
    const { index } = insidesOf(keyed.store)
    const placeOf = (key: string): number => {
      const bytes = Buffer.from(key)
      const hash = keyed.hash(key)
      return keyed.store.withLock(hash, () => {
        return index.locateKey(hash, bytes, 0, bytes.length) ? index.slotWords[index.slotAt]! : 0
      })
    }
    const value = Buffer.alloc(400, 'v')
    for (let i = 0; i < 1_500; i++) keyed.set(`k${i}`, value)
    for (let i = 0; i < 1_500; i++) if (i % 10 !== 0) keyed.remove(`k${i}`)
    const read = Array.from({ length: 150 }, (_, i) => `k${i * 10}`)
    for (const key of read) assert.ok(keyed.has(key))
    const before = read.map(placeOf)
    for (let i = 0; i < 5; i++) keyed.set(`large${i}`, largeValue(keyed, 'v'))
    assert.equal(keyed.store.statistics().evicted, 0)
    const moved = read.filter((key, i) => placeOf(key) !== before[i])
    assert.ok(moved.length > 20, `${moved.length} were moved`)
    keyed.flood('flood', 12_000, 100)
    for (const key of moved) keyed.assertValue(key, value)
  })

  storeTest('large ones make way for small ones, and small ones for large ones, again and again', keyed => {
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 30; i++) assert.equal(keyed.set(`large${i}`, largeValue(keyed, `${round}`, 0.7)), 'stored')
      assert.ok(keyed.has('large29'))
      keyed.store.check()
      keyed.flood(`small${round}`, 20_000, 50)
      assert.ok(keyed.store.size() > 5_000, `${keyed.store.size()} small ones have taken the memory`)
      keyed.store.check()
    }
  })
})
