// Transactions of the store: nested locks, growth, eviction, large records; nothing seen half by a second view.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssertionError } from '../../src/base/assert.ts'
import { RecordType } from '../../src/store/layout.ts'
import { Store } from '../../src/store/store.ts'

const NOW_MS = 1_700_000_000_000

function keyOf(i: number): Buffer {
  return Buffer.from(`key:${i}`)
}

function hashOf(store: Store, key: Buffer): number {
  return store.hash(key, 0, key.length)
}

function put(store: Store, i: number, value: Buffer): string {
  const key = keyOf(i)
  return store.set(key, 0, key.length, hashOf(store, key), RecordType.string, value, 0, value.length, 0, NOW_MS)
}

function get(store: Store, i: number): string | undefined {
  const key = keyOf(i)
  return store.get(key, 0, key.length, hashOf(store, key), NOW_MS)?.toString()
}

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i)
}

test('changes in a transaction take locks that it holds, see what it has written, and grow the index after it', () => {
  const store = Store.create({ memoryBytes: 8 << 20, threads: 2, seed: 3 })
  for (let round = 0; round < 50; round++) {
    const keys = range(40).map(i => round * 40 + i)
    const hashes = keys.map(i => hashOf(store, keyOf(i)))
    store.transaction(hashes, () => {
      for (const [n, i] of keys.entries()) {
        assert.equal(put(store, i, Buffer.from(`first ${i}`)), 'stored')
        store.withLocks(hashes, () => assert.equal(put(store, i, Buffer.from(`value ${i}`)), 'stored'))
        assert.equal(get(store, i), `value ${i}`)
        if (i % 3 !== 0) continue
        const key = keyOf(i)
        store.withLock(hashes[n]!, () => assert.equal(store.remove(key, 0, key.length, hashes[n]!), true))
        assert.equal(get(store, i), undefined)
      }
    })
    store.check()
  }
  for (const i of range(2000)) assert.equal(get(store, i), i % 3 === 0 ? undefined : `value ${i}`)
  assert.equal(store.size(), 1333)
})

test('a transaction that fails leaves what came before it, and no lock', () => {
  const store = Store.create({ memoryBytes: 4 << 20, threads: 2, seed: 3 })
  const other = Store.attach(store.shared, 1)
  const hashes = [1, 2].map(i => hashOf(store, keyOf(i)))
  const fails = (): void =>
    store.transaction(hashes, () => {
      put(store, 1, Buffer.from('one'))
      throw new RangeError('no further')
    })
  assert.throws(fails, RangeError)
  assert.equal(get(other, 1), 'one')
  assert.equal(put(other, 2, Buffer.from('two')), 'stored')
  const broken = (): void =>
    store.transaction(hashes, () => {
      put(store, 1, Buffer.from('half'))
      throw new AssertionError('broken')
    })
  assert.throws(broken, AssertionError)
  assert.equal(get(other, 1), undefined, 'what a broken transaction wrote is gone')
  assert.equal(put(other, 1, Buffer.from('again')), 'stored')
  store.check()
})

test('a transaction touches no key that it has not named', () => {
  const store = Store.create({ memoryBytes: 8 << 20, threads: 4, seed: 3 })
  const first = hashOf(store, keyOf(0))
  const elsewhere = range(100).find(i => hashOf(store, keyOf(i)) >>> 27 !== first >>> 27)!
  assert.throws(() => store.transaction([first], () => put(store, elsewhere, Buffer.from('x'))), /has not named/)
  assert.equal(put(store, elsewhere, Buffer.from('x')), 'stored')
})

test('transactions at a full store evict, also from shards of others, and store records larger than a segment', () => {
  const store = Store.create({ memoryBytes: 4 << 20, threads: 2, seed: 3 })
  const large = Buffer.alloc(200_000, 'x')
  for (let round = 0; round < 200; round++) {
    const keys = range(30).map(i => round * 30 + i)
    const outcomes = store.transaction(
      keys.map(i => hashOf(store, keyOf(i))),
      () => keys.map(i => put(store, i, Buffer.alloc(1000, 'v'))),
    )
    assert.deepEqual(new Set(outcomes), new Set(['stored']))
    if (round % 10 !== 0) continue
    assert.equal(
      store.transaction('all', () => put(store, 1_000_000 + round, large)),
      'stored',
    )
    assert.equal(get(store, 1_000_000 + round)?.length, large.length)
    store.check()
  }
  assert.ok(store.statistics().evicted > 1000)
  // Without all shards there is no way to make room for it: refused, and nothing is broken.
  const hash = hashOf(store, keyOf(7))
  assert.equal(
    store.transaction([hash], () => put(store, 7, large)),
    'no-room',
  )
  store.transaction('all', () => {
    put(store, 1, large)
    store.clear()
    put(store, 2, Buffer.from('after'))
  })
  assert.equal(get(store, 1), undefined)
  assert.equal(get(store, 2), 'after')
  store.check()
})
