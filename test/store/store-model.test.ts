// The store against a Map: random sequences of operations over few keys in the smallest memory, under a clock that the
// sequence moves. What is found is always the latest that was put; what was removed or has expired is never found; a key may
// only be missing because something was evicted.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { createStore, MiB } from './keyed-store.ts'
import type { KeyedStore } from './keyed-store.ts'

const KEYS = 24

type Operation =
  | { readonly kind: 'set'; readonly key: number; readonly bytes: number; readonly ttlMs: number }
  | { readonly kind: 'get' | 'remove'; readonly key: number }
  | { readonly kind: 'expire'; readonly key: number; readonly ttlMs: number }
  | { readonly kind: 'change'; readonly key: number; readonly other: number; readonly bytes: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'sweep'; readonly buckets: number }
  | { readonly kind: 'flood'; readonly records: number; readonly bytes: number }
  | { readonly kind: 'scan'; readonly count: number }
  | { readonly kind: 'clear' | 'check' }

const key = fc.nat(KEYS - 1)
// Around the thresholds of copying (24), writing in place (4 KiB) and a segment (4 KiB), and up to the largest.
const bytes = fc.oneof(
  { weight: 6, arbitrary: fc.nat(60) },
  { weight: 2, arbitrary: fc.integer({ min: 4_000, max: 4_200 }) },
  { weight: 2, arbitrary: fc.integer({ min: 5_000, max: 64_000 }) },
)
const ttlMs = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60 }))

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('set' as const), key, bytes, ttlMs }) },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('get' as const), key }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('remove' as const), key }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('expire' as const), key, ttlMs }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('change' as const), key, other: key, bytes }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 40 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('sweep' as const), buckets: fc.integer({ min: 1, max: 99 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('flood' as const), records: fc.nat(3_000), bytes: fc.nat(400) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('scan' as const), count: fc.integer({ min: 1, max: 50 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'check' as const }) },
  { weight: 1, arbitrary: fc.constantFrom({ kind: 'clear' as const }, { kind: 'check' as const }) },
)

interface Entry {
  readonly value: Buffer
  expiresAtMs: number
}

/** The Map, the store, and what ties them together. */
class Twin {
  readonly #keyed: KeyedStore
  readonly #entries = new Map<string, Entry>()
  /** Keys that the store did not have although the Map had them: each of them was evicted once. */
  #missing = 0
  #writes = 0

  constructor(threads: number, seed: number) {
    this.#keyed = createStore(MiB, threads, seed)
  }

  run(operation: Operation): void {
    const keyed = this.#keyed
    if (operation.kind === 'set') this.#set(nameOf(operation.key), operation.bytes, this.#at(operation.ttlMs))
    else if (operation.kind === 'get') this.#compare(nameOf(operation.key))
    else if (operation.kind === 'remove') this.#remove(nameOf(operation.key))
    else if (operation.kind === 'expire') this.#expire(nameOf(operation.key), this.#at(operation.ttlMs))
    else if (operation.kind === 'change') this.#change(operation)
    else if (operation.kind === 'wait') keyed.wallMs += operation.ms
    else if (operation.kind === 'sweep') keyed.store.sweep(keyed.wallMs, operation.buckets)
    else if (operation.kind === 'flood') this.#flood(operation.records, operation.bytes)
    else if (operation.kind === 'scan') this.#scan(operation.count)
    else if (operation.kind === 'clear') this.#clear()
    else keyed.store.check()
  }

  end(): void {
    this.#keyed.store.check()
    for (const name of this.#entries.keys()) this.#compare(name)
    this.#keyed.store.check()
  }

  #at(ttlMs: number): number {
    return ttlMs === 0 ? 0 : this.#keyed.wallMs + ttlMs
  }

  #value(name: string, bytes: number): Buffer {
    this.#writes++
    return Buffer.alloc(bytes, `${name}=${this.#writes};`)
  }

  #set(name: string, bytes: number, expiresAtMs: number): void {
    const value = this.#value(name, bytes)
    assert.equal(this.#keyed.set(name, value, { expiresAtMs }), 'stored')
    this.#entries.set(name, { value, expiresAtMs })
  }

  #live(name: string): Entry | undefined {
    const entry = this.#entries.get(name)
    const expired = entry !== undefined && entry.expiresAtMs !== 0 && entry.expiresAtMs <= this.#keyed.wallMs
    return expired ? undefined : entry
  }

  #miss(name: string): void {
    if (this.#live(name) !== undefined) this.#missing++
    this.#entries.delete(name)
    const { evicted } = this.#keyed.store.statistics()
    assert.ok(this.#missing <= evicted, `${this.#missing} keys are missing, and ${evicted} were evicted (${name})`)
  }

  #compare(name: string): void {
    const found = this.#keyed.get(name)
    if (found === undefined) return this.#miss(name)
    const entry = this.#live(name)
    assert.ok(entry !== undefined, `${name} is found although it was removed or has expired`)
    assert.deepEqual(found, entry.value, `${name} has its latest value`)
    assert.equal(this.#keyed.store.foundExpiresAtMs, entry.expiresAtMs)
  }

  #remove(name: string): void {
    this.#compare(name)
    const live = this.#live(name) !== undefined
    assert.ok(this.#keyed.remove(name) || !live)
    this.#entries.delete(name)
  }

  #expire(name: string, expiresAtMs: number): void {
    this.#compare(name)
    const entry = this.#live(name)
    assert.equal(this.#keyed.setExpiry(name, expiresAtMs), entry !== undefined)
    if (entry !== undefined) entry.expiresAtMs = expiresAtMs
  }

  // Reads one key, removes it and puts another, in one change.
  #change({ key, other, bytes }: { key: number; other: number; bytes: number }): void {
    const keyed = this.#keyed
    const [from, to] = [Buffer.from(nameOf(key)), Buffer.from(nameOf(other))]
    const value = this.#value(nameOf(other), bytes)
    const toHash = keyed.hash(to)
    this.#compare(nameOf(key))
    keyed.store.withLocks([keyed.hash(from), toHash], () => {
      const found = keyed.get(from)
      if (found !== undefined) assert.deepEqual(found, this.#live(nameOf(key))?.value)
      const outcome = keyed.store.put(to, 0, to.length, toHash, 1, value, 0, value.length, 0, keyed.wallMs)
      assert.equal(outcome, 'stored')
      if (key !== other) keyed.store.remove(from, 0, from.length, keyed.hash(from))
    })
    this.#entries.delete(nameOf(key))
    this.#entries.set(nameOf(other), { value, expiresAtMs: 0 })
  }

  #flood(records: number, bytes: number): void {
    for (let i = 0; i < records; i++) this.#set(`flood${i}`, bytes, 0)
  }

  #scan(count: number): void {
    const keys = this.#keyed.keys(count)
    assert.equal(new Set(keys).size, keys.length, 'a scan at rest visits a key once')
    for (const name of keys) assert.ok(this.#live(name) !== undefined, `${name} is scanned, so it is there`)
    const seen = new Set(keys)
    for (const name of this.#entries.keys()) if (!seen.has(name)) this.#miss(name)
  }

  #clear(): void {
    this.#keyed.store.clear()
    this.#entries.clear()
    assert.equal(this.#keyed.store.size(), 0)
  }
}

function nameOf(key: number): string {
  return `key${key}`
}

describe('the store and a Map agree', () => {
  for (const threads of [1, 16]) {
    test(`over any sequence of operations, made for ${threads} threads`, () => {
      const sequence = fc.array(operation, { minLength: 20, maxLength: 400, size: 'max' })
      const property = fc.property(fc.integer(), sequence, (seed, operations) => {
        const twin = new Twin(threads, seed)
        for (const operation of operations) twin.run(operation)
        twin.end()
      })
      fc.assert(property, { numRuns: 60, seed: 20_000 + threads, endOnFailure: false })
    })
  }
})
