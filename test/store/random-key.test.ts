// A random key of the store: fair, live, of an accepted type; and how often a key was read.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../src/base/random.ts'
import { RecordType } from '../../src/store/layout.ts'
import { Store } from '../../src/store/store.ts'

const NOW = 1_000_000

class Keys {
  readonly store = Store.create({ memoryBytes: 4 << 20, threads: 2, seed: 3 })

  put(name: string, type: RecordType = RecordType.string, expiresAtMs: number = 0): void {
    const key = Buffer.from(name)
    const value = Buffer.from('value')
    this.store.set(key, 0, key.length, this.hash(name), type, value, 0, value.length, expiresAtMs, NOW)
  }

  hash(name: string): number {
    return this.store.hash(Buffer.from(name), 0, Buffer.byteLength(name))
  }

  random(seed: ReturnType<typeof seededRandom>): string | undefined {
    return this.store.randomKey(seed, NOW, type => type === RecordType.string)?.toString()
  }

  reads(name: string): number {
    return this.store.readsOf(Buffer.from(name), 0, Buffer.byteLength(name), this.hash(name))
  }
}

test('every one of many keys is as likely as any other, or nearly so', () => {
  const keys = new Keys()
  const random = seededRandom(1)
  for (let i = 0; i < 2000; i++) keys.put(`key:${i}`)
  const times = new Map<string, number>()
  for (let i = 0; i < 40_000; i++) {
    const key = keys.random(random)!
    times.set(key, (times.get(key) ?? 0) + 1)
  }
  assert.equal(times.size, 2000)
  // 20 each on average; the random numbers are the same at every run.
  for (const [key, count] of times) assert.ok(count >= 2 && count <= 50, `${key}: ${count}`)
})

test('keys of other types and keys that have expired are never it', () => {
  const keys = new Keys()
  const random = seededRandom(2)
  for (let i = 0; i < 300; i++) keys.put(`row:${i}`, RecordType.absentRow)
  for (let i = 0; i < 300; i++) keys.put(`old:${i}`, RecordType.string, NOW - 1)
  assert.equal(keys.random(random), undefined)
  keys.put('the one')
  for (let i = 0; i < 20; i++) assert.equal(keys.random(random), 'the one')
})

test('the only key is found wherever it stands', () => {
  for (let i = 0; i < 40; i++) {
    const keys = new Keys()
    keys.put(`only:${i}`)
    assert.equal(keys.random(seededRandom(i)), `only:${i}`)
  }
})

test('reads are counted up to three, and asking for the count is none', () => {
  const keys = new Keys()
  assert.equal(keys.reads('a'), -1)
  keys.put('a')
  for (const count of [0, 1, 2, 3, 3]) {
    assert.equal(keys.reads('a'), count)
    assert.equal(keys.reads('a'), count)
    keys.store.find(Buffer.from('a'), 0, 1, keys.hash('a'), NOW)
  }
})
