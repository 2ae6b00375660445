// The store's ordinary behaviour, one sentence a test: values, keys, versions, expiry, statistics, clearing.
// Eviction, large records, the index and threads have files of their own beside this one.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AssertionError } from '../../src/base/assert.ts'
import { limits } from '../../src/base/limits.ts'
import { RecordType } from '../../src/store/layout.ts'
import { Store } from '../../src/store/store.ts'
import { bufferOf, createStore, insidesOf, KiB, MiB, storeTest } from './keyed-store.ts'

describe('values', () => {
  storeTest('a key that was set is found, any other is not', keyed => {
    assert.equal(keyed.set('a', 'one'), 'stored')
    assert.equal(keyed.text('a'), 'one')
    assert.equal(keyed.text('b'), undefined)
    assert.equal(keyed.text('A'), undefined)
  })

  storeTest('a value of the same size is overwritten in place, one of another size is moved', keyed => {
    keyed.set('a', 'one')
    const used = keyed.store.statistics().liveBytes
    keyed.set('a', 'two')
    assert.equal(keyed.text('a'), 'two')
    assert.equal(keyed.store.statistics().liveBytes, used)
    keyed.set('a', 'three times as long as it was')
    assert.equal(keyed.text('a'), 'three times as long as it was')
    keyed.set('a', '')
    assert.equal(keyed.text('a'), '')
    assert.equal(keyed.store.size(), 1)
  })

  storeTest('a value in the same room as one of another length keeps its own length', keyed => {
    keyed.set('a', '12345')
    keyed.set('a', '123')
    assert.equal(keyed.text('a'), '123')
    keyed.set('a', '1234567')
    assert.equal(keyed.text('a'), '1234567')
  })

  storeTest('a removed key is gone, and removing it again says so', keyed => {
    keyed.set('a', 'one')
    assert.equal(keyed.remove('a'), true)
    assert.equal(keyed.text('a'), undefined)
    assert.equal(keyed.remove('a'), false)
    assert.equal(keyed.store.size(), 0)
    assert.equal(keyed.store.statistics().liveBytes, 0)
  })

  storeTest('a record keeps its type, and a write may change it', keyed => {
    for (const type of [RecordType.string, RecordType.hash, RecordType.row, RecordType.lease, RecordType.fence]) {
      keyed.set('a', 'value', { type })
      assert.ok(keyed.has('a'))
      assert.equal(keyed.store.foundType, type)
    }
  })

  storeTest('values of every size around the copying and in-place thresholds come back whole', keyed => {
    for (const bytes of [0, 1, 7, 8, 9, 23, 24, 25, 4000, 4064, 4072, 4080, 4096, 4104, 8192, 40_000]) {
      for (const letter of ['x', 'y']) {
        const value = Buffer.alloc(bytes, letter)
        assert.equal(keyed.set('a', value), 'stored')
        keyed.assertValue('a', value)
      }
    }
  })

  storeTest('a part of a buffer is stored, from a Buffer and from a plain Uint8Array', keyed => {
    for (const from of [Buffer.from('..keyvalue-that-is-long-enough..'), new Uint8Array(Buffer.from('..keyvalue..'))]) {
      const hash = keyed.store.hash(from, 2, 5)
      const end = from.length - 2
      assert.equal(keyed.store.set(from, 2, 5, hash, RecordType.string, from, 5, end, 0, 1), 'stored')
      assert.equal(keyed.text('key'), Buffer.from(from.subarray(5, end)).toString())
    }
  })

  storeTest('copyValue fills the place it is given, and confirm says that it was right', keyed => {
    keyed.set('a', 'a value of some length, copied by memory')
    const out = Buffer.alloc(50, '.')
    const key = bufferOf('a')
    assert.equal(keyed.store.find(key, 0, 1, keyed.hash('a'), 1), RecordType.string)
    keyed.store.copyValue(out, 5)
    assert.equal(keyed.store.confirm(), true)
    assert.equal(out.toString(), '.....a value of some length, copied by memory.....')
  })

  storeTest('confirm is false once the record was overwritten, removed, moved or its expiry changed', keyed => {
    const changes: ((key: string) => unknown)[] = [
      key => keyed.set(key, 'eno'),
      key => keyed.set(key, 'something longer than before'),
      key => keyed.remove(key),
      key => keyed.setExpiry(key, keyed.wallMs + 5),
      () => keyed.store.clear(),
    ]
    for (const [i, change] of changes.entries()) {
      keyed.set('a', 'one', { expiresAtMs: keyed.wallMs + 10 })
      assert.ok(keyed.has('a'))
      assert.equal(keyed.store.confirm(), true)
      change('a')
      assert.equal(keyed.store.confirm(), false, `change ${i}`)
    }
  })
})

describe('keys', () => {
  storeTest('keys are bytes: empty, binary and up to 65,535 of them', keyed => {
    const keys = [
      Buffer.alloc(0),
      Buffer.from([0]),
      Buffer.from([0, 0]),
      Buffer.from([255, 0, 13, 10]),
      Buffer.alloc(limits.keyBytesMax, 'k'),
      Buffer.alloc(limits.keyBytesMax - 1, 'k'),
    ]
    for (const [i, key] of keys.entries()) assert.equal(keyed.set(key, `value ${i}`), 'stored')
    for (const [i, key] of keys.entries()) assert.equal(keyed.text(key), `value ${i}`)
    assert.deepEqual(keyed.keys().sort(), keys.map(key => key.toString('latin1')).sort())
    for (const key of keys) assert.equal(keyed.remove(key), true)
    assert.equal(keyed.store.size(), 0)
  })

  storeTest('the longest key with the longest value is stored', keyed => {
    const key = Buffer.alloc(limits.keyBytesMax, 'k')
    const value = Buffer.alloc(keyed.store.valueBytesMax, 'v')
    const coherent = { lane: 1, keyspace: 2, generation: 3, stamp: Buffer.alloc(limits.stampBytesMax) }
    assert.equal(keyed.set(key, value, { coherent, expiresAtMs: keyed.wallMs + 1 }), 'stored')
    keyed.assertValue(key, value)
  })

  storeTest('two keys of one length and one hash live beside each other', keyed => {
    const byTag = new Map<number, string>()
    let pair: [string, string] | undefined
    for (let i = 0; pair === undefined; i++) {
      assert.ok(i < 900_000)
      const key = String(100_000 + i)
      const tag = keyed.hash(key) & ~3
      const other = byTag.get(tag)
      if (other === undefined) byTag.set(tag, key)
      else pair = [other, key]
    }
    const [first, second] = pair
    keyed.set(first, 'first')
    assert.equal(keyed.text(second), undefined)
    assert.equal(keyed.setExpiry(second, keyed.wallMs + 1), false)
    assert.equal(keyed.remove(second), false)
    keyed.set(second, 'second')
    assert.deepEqual([keyed.text(first), keyed.text(second)], ['first', 'second'])
    assert.equal(keyed.remove(first), true)
    assert.deepEqual([keyed.text(first), keyed.text(second)], [undefined, 'second'])
  })

  storeTest('a key or value that is too large is refused, and what was there stays', keyed => {
    keyed.set('a', 'one')
    assert.equal(keyed.set('a', Buffer.alloc(keyed.store.valueBytesMax + 1)), 'too-large')
    assert.equal(keyed.text('a'), 'one')
    assert.equal(keyed.set(Buffer.alloc(limits.keyBytesMax + 1), 'v'), 'too-large')
    assert.equal(keyed.store.size(), 1)
  })
})

describe('versions', () => {
  storeTest('every write of a key gives it another version, and it is never 0', keyed => {
    const seen = new Set<number>()
    const writes: (() => unknown)[] = [
      () => keyed.set('a', 'one'),
      () => keyed.set('a', 'two'),
      () => keyed.set('a', 'a value that has to go elsewhere'),
      () => keyed.setExpiry('a', keyed.wallMs + 10),
      () => keyed.setExpiry('a', keyed.wallMs + 20),
      () => keyed.setExpiry('a', 0),
      () => keyed.remove('a') && keyed.set('a', 'one'),
      () => (keyed.store.clear(), keyed.set('a', 'one')),
    ]
    for (const [i, write] of writes.entries()) {
      write()
      assert.ok(!seen.has(keyed.version('a')), `write ${i} gives a new version`)
      seen.add(keyed.version('a'))
    }
    assert.ok(!seen.has(0))
  })

  storeTest('a counter of versions that wraps around leaves out 0', keyed => {
    const { control, queues, index } = insidesOf(keyed.store)
    control[queues.shardAt(index.shardOf(keyed.hash('a'))) + 2] = -1
    keyed.set('a', 'one')
    assert.equal(keyed.version('a'), 1)
  })
})

describe('expiry', () => {
  storeTest('a record is found until the millisecond before it expires', keyed => {
    keyed.set('a', 'one', { expiresAtMs: keyed.wallMs + 10 })
    keyed.wallMs += 9
    assert.equal(keyed.text('a'), 'one')
    assert.equal(keyed.store.foundExpiresAtMs, keyed.wallMs + 1)
    keyed.wallMs += 1
    assert.equal(keyed.text('a'), undefined)
    assert.deepEqual(keyed.keys(), [])
  })

  storeTest('an expiry is a double: times far beyond 32 bits are kept exactly', keyed => {
    keyed.set('a', 'one', { expiresAtMs: Number.MAX_SAFE_INTEGER })
    assert.ok(keyed.has('a'))
    assert.equal(keyed.store.foundExpiresAtMs, Number.MAX_SAFE_INTEGER)
  })

  storeTest('setExpiry changes an expiry, adds one to a record without room for it, and takes one away', keyed => {
    keyed.set('a', 'one', { type: RecordType.hash })
    assert.equal(keyed.setExpiry('a', 0), true)
    assert.equal(keyed.setExpiry('a', keyed.wallMs + 10), true)
    assert.equal(keyed.text('a'), 'one')
    assert.equal(keyed.store.foundType, RecordType.hash)
    assert.equal(keyed.store.foundExpiresAtMs, keyed.wallMs + 10)
    assert.equal(keyed.setExpiry('a', keyed.wallMs + 20), true)
    keyed.wallMs += 15
    assert.equal(keyed.text('a'), 'one')
    assert.equal(keyed.setExpiry('a', 0), true)
    keyed.wallMs += 1e9
    assert.equal(keyed.text('a'), 'one')
    assert.equal(keyed.store.foundExpiresAtMs, 0)
    assert.equal(keyed.setExpiry('absent', keyed.wallMs + 1), false)
  })

  storeTest('setExpiry does not bring an expired record back', keyed => {
    keyed.set('a', 'one', { expiresAtMs: keyed.wallMs + 10 })
    keyed.wallMs += 10
    assert.equal(keyed.setExpiry('a', keyed.wallMs + 100), false)
    assert.equal(keyed.text('a'), undefined)
    assert.equal(keyed.setExpiry('a', 0), false)
    assert.equal(keyed.text('a'), undefined)
  })

  storeTest('setExpiry gives a large record room for its expiry', keyed => {
    const value = Buffer.alloc(50_000, 'v')
    keyed.set('a', value)
    assert.equal(keyed.setExpiry('a', keyed.wallMs + 10), true)
    keyed.assertValue('a', value)
    assert.equal(keyed.store.foundExpiresAtMs, keyed.wallMs + 10)
  })

  storeTest('a sweep removes expired records and no others, and says how many', keyed => {
    for (let i = 0; i < 1000; i++) keyed.set(`k${i}`, 'v', { expiresAtMs: i % 2 === 0 ? keyed.wallMs + 10 : 0 })
    assert.equal(keyed.store.sweep(keyed.wallMs + 9, 1e6), 0)
    assert.equal(keyed.store.size(), 1000)
    keyed.wallMs += 10
    assert.equal(keyed.store.sweep(keyed.wallMs, 1e6), 500)
    assert.equal(keyed.store.size(), 500)
    assert.equal(keyed.store.statistics().expired, 500)
    assert.equal(keyed.store.statistics().evicted, 0)
    for (let i = 0; i < 1000; i++) assert.equal(keyed.has(`k${i}`), i % 2 === 1)
  })

  storeTest('sweeps of a few buckets each come round to all of them', keyed => {
    for (let i = 0; i < 1000; i++) keyed.set(`k${i}`, 'v', { expiresAtMs: keyed.wallMs + 10 })
    keyed.wallMs += 10
    let removed = 0
    let sweeps = 0
    for (; removed < 1000; sweeps++) {
      assert.ok(sweeps < 1000, 'it ends')
      removed += keyed.store.sweep(keyed.wallMs, 3)
    }
    assert.ok(sweeps > 10, 'a sweep of 3 buckets a shard is a small step')
    assert.equal(keyed.store.size(), 0)
  })
})

describe('statistics and clearing', () => {
  storeTest('strings, hashes and rows are counted, the records of the protocol are not', keyed => {
    for (const type of Object.values(RecordType)) if (type !== RecordType.none) keyed.set(`k${type}`, 'v', { type })
    assert.equal(keyed.store.size(), 3)
    assert.equal(keyed.store.statistics().records, 7)
    keyed.set(`k${RecordType.row}`, 'v', { type: RecordType.absentRow })
    assert.equal(keyed.store.size(), 2)
    keyed.set(`k${RecordType.lease}`, 'a longer value', { type: RecordType.row })
    assert.equal(keyed.store.size(), 3)
    assert.equal(keyed.store.statistics().records, 7)
  })

  storeTest('live bytes are those of the records, headers and padding included', keyed => {
    keyed.set('12345678', '12345678')
    assert.equal(keyed.store.statistics().liveBytes, 32)
    keyed.set('1', '1', { expiresAtMs: keyed.wallMs + 1 })
    assert.equal(keyed.store.statistics().liveBytes, 64)
  })

  storeTest('clear empties the store and gives its memory back', keyed => {
    const { usedBytes } = keyed.store.statistics()
    keyed.flood('a', 2000, 100)
    keyed.set('large', Buffer.alloc(60_000))
    keyed.store.clear()
    assert.equal(keyed.store.size(), 0)
    assert.deepEqual(keyed.keys(), [])
    const after = keyed.store.statistics()
    assert.equal(after.usedBytes - keyed.indexSegments * 4 * KiB, usedBytes)
    assert.equal(after.liveBytes, 0)
    assert.equal(keyed.text('a:1'), undefined)
    keyed.set('a:1', 'back')
    assert.equal(keyed.text('a:1'), 'back')
  })

  test('two stores of one seed place keys alike, of two seeds they do not', () => {
    const key = Buffer.from('a key')
    const hash = (seed: number): number => createStore(MiB, 1, seed).store.hash(key, 0, key.length)
    assert.equal(hash(1), hash(1))
    assert.notEqual(hash(1), hash(2))
  })

  test('another view of the same memory sees the same records', () => {
    const keyed = createStore(MiB, 2)
    const other = Store.attach(keyed.store.shared, 1)
    const key = Buffer.from('key')
    keyed.set(key, 'value')
    assert.equal(other.get(key, 0, 3, other.hash(key, 0, 3), 1)?.toString(), 'value')
    other.check()
  })
})

describe('locks', () => {
  storeTest(
    'withLocks takes the shards of many keys, some of them the same, and returns what the change returns',
    keyed => {
      const keys = Array.from({ length: 50 }, (_, i) => Buffer.from(`k${i}`))
      const hashes = keys.map(key => keyed.hash(key))
      const { store } = keyed
      const returned = store.withLocks(hashes, () => {
        for (const [i, key] of keys.entries()) {
          store.put(key, 0, key.length, hashes[i]!, RecordType.string, key, 0, key.length, 0, 1)
        }
        return 'done'
      })
      assert.equal(returned, 'done')
      assert.equal(store.size(), 50)
    },
  )

  storeTest('a put, a removal or a new expiry without the lock is refused', keyed => {
    const key = Buffer.from('a')
    const hash = keyed.hash(key)
    const { store } = keyed
    assert.throws(() => store.put(key, 0, 1, hash, RecordType.string, key, 0, 1, 0, 1), AssertionError)
    assert.throws(() => store.remove(key, 0, 1, hash), AssertionError)
    assert.throws(() => store.setExpiry(key, 0, 1, hash, 1, 1), AssertionError)
  })

  storeTest('an error of the change itself frees the lock and leaves what was written', keyed => {
    keyed.set('a', 'one')
    assert.throws(() => keyed.store.withLock(keyed.hash('a'), () => assert.fail('mine')), /mine/)
    assert.equal(keyed.text('a'), 'one')
    keyed.set('a', 'two')
    assert.equal(keyed.text('a'), 'two')
  })

  storeTest('a lock that its own thread holds already is refused instead of waited for', keyed => {
    const hash = keyed.hash('a')
    assert.throws(() => keyed.store.withLock(hash, () => keyed.store.withLock(hash, () => 1)), AssertionError)
    keyed.set('a', 'one')
    assert.equal(keyed.text('a'), 'one')
  })

  storeTest('a write that fails half way wipes its shard instead of blocking its readers', keyed => {
    const key = Buffer.from('a')
    const hash = keyed.hash(key)
    // The value is asked for its bytes when the record's header and key are written already.
    const torn = new Proxy(new Uint8Array(5), {
      get: (target, name) =>
        name === 'buffer' ? assert.fail('no such bytes') : (Reflect.get(target, name) as unknown),
    })
    const { store } = keyed
    for (const write of [
      () => store.set(key, 0, 1, hash, RecordType.string, torn, 0, 5, 0, 1),
      () => store.withLock(hash, () => store.put(key, 0, 1, hash, RecordType.string, torn, 0, 5, 0, 1)),
    ]) {
      keyed.set('a', '12345')
      assert.throws(write, /no such bytes/)
      assert.equal(keyed.text('a'), undefined)
      store.check()
    }
    assert.equal(store.statistics().shardsWiped, 2)
  })
})
