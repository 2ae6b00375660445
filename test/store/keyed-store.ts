// A store as tests like to talk to it: keys and values as text or buffers, a wall clock that the test moves, and a check of
// every invariant when the test ends.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HashIndex } from '../../src/store/hash-index.ts'
import { RecordType, Segment, SegmentState } from '../../src/store/layout.ts'
import type { Memory } from '../../src/store/memory.ts'
import type { SegmentQueues } from '../../src/store/segment-queues.ts'
import type { Segments } from '../../src/store/segments.ts'
import type { CoherentPart, PutOutcome } from '../../src/store/store-writer.ts'
import { Store } from '../../src/store/store.ts'

export const KiB = 1024
export const MiB = 1024 * KiB

export type Text = string | Buffer

export interface SetOptions {
  readonly expiresAtMs?: number
  readonly type?: RecordType
  readonly coherent?: CoherentPart
}

/** What a store keeps to itself, for tests that look at its memory or break it. */
export interface Insides {
  readonly memory: Memory
  readonly index: HashIndex
  readonly segments: Segments
  readonly queues: SegmentQueues
  readonly control: Int32Array<SharedArrayBuffer>
  lockAll(): void
  unlockAll(): void
}

export function insidesOf(store: Store): Insides {
  return store as unknown as Insides
}

export function bufferOf(text: Text): Buffer {
  return typeof text === 'string' ? Buffer.from(text) : text
}

export class KeyedStore {
  readonly store: Store
  wallMs = 1_000_000

  constructor(store: Store) {
    this.store = store
  }

  hash(key: Text): number {
    const bytes = bufferOf(key)
    return this.store.hash(bytes, 0, bytes.length)
  }

  /** Through set() where that can say it, else through put() under the lock. */
  set(key: Text, value: Text, options: SetOptions = {}): PutOutcome {
    const { expiresAtMs = 0, type = RecordType.string, coherent } = options
    const bytes = bufferOf(key)
    const from = bufferOf(value)
    const hash = this.hash(bytes)
    const { store, wallMs } = this
    if (coherent === undefined) {
      return store.set(bytes, 0, bytes.length, hash, type, from, 0, from.length, expiresAtMs, wallMs)
    }
    return store.withLock(hash, () =>
      store.put(bytes, 0, bytes.length, hash, type, from, 0, from.length, expiresAtMs, wallMs, coherent),
    )
  }

  get(key: Text): Buffer | undefined {
    const bytes = bufferOf(key)
    return this.store.get(bytes, 0, bytes.length, this.hash(bytes), this.wallMs)
  }

  has(key: Text): boolean {
    const bytes = bufferOf(key)
    return this.store.find(bytes, 0, bytes.length, this.hash(bytes), this.wallMs) !== RecordType.none
  }

  /** As has(), but the record is not counted as read. */
  hasUnread(key: Text): boolean {
    const bytes = bufferOf(key)
    const hash = this.hash(bytes)
    const { index } = insidesOf(this.store)
    return this.store.withLock(hash, () => index.locateKey(hash, bytes, 0, bytes.length))
  }

  /** As a comparison with get(), without drawing two large buffers when they differ. */
  assertValue(key: Text, value: Buffer): void {
    const found = this.get(key)
    assert.ok(found !== undefined, `${String(key).slice(0, 40)} is there`)
    assert.equal(found.length, value.length)
    assert.ok(found.equals(value), `${String(key).slice(0, 40)} has its value`)
  }

  text(key: Text): string | undefined {
    return this.get(key)?.toString()
  }

  version(key: Text): number {
    assert.ok(this.has(key), `${String(key).slice(0, 40)} is there`)
    return this.store.foundVersion
  }

  remove(key: Text): boolean {
    const bytes = bufferOf(key)
    const hash = this.hash(bytes)
    return this.store.withLock(hash, () => this.store.remove(bytes, 0, bytes.length, hash))
  }

  setExpiry(key: Text, expiresAtMs: number): boolean {
    const bytes = bufferOf(key)
    const hash = this.hash(bytes)
    return this.store.withLock(hash, () => this.store.setExpiry(bytes, 0, bytes.length, hash, expiresAtMs, this.wallMs))
  }

  /** Every key that a scan in steps of `count` visits, as latin1. */
  keys(count = 100): string[] {
    const keys: string[] = []
    let cursor = 0
    do cursor = this.store.scan(cursor, count, this.wallMs, key => keys.push(key.toString('latin1')))
    while (cursor !== 0)
    return keys
  }

  /** Keys of many small records that are never asked for. */
  flood(name: string, count: number, valueBytes: number): void {
    const value = Buffer.alloc(valueBytes, 'f')
    for (let i = 0; i < count; i++) assert.equal(this.set(`${name}:${i}`, value), 'stored')
  }

  segmentsIn(state: number): number {
    const { segments } = insidesOf(this.store)
    let count = 0
    for (let i = 0; i < this.store.geometry.segments; i++) if (segments.get(i, Segment.state) === state) count++
    return count
  }

  get indexSegments(): number {
    return this.segmentsIn(SegmentState.index)
  }
}

export function createStore(memoryBytes = MiB, threads = 1, seed = 7): KeyedStore {
  return new KeyedStore(Store.create({ memoryBytes, threads, seed }))
}

/** A test on a store of its own, whose every invariant is checked at the end. */
export function storeTest(name: string, run: (keyed: KeyedStore) => void, memoryBytes = MiB, threads = 1): void {
  test(name, () => {
    const keyed = createStore(memoryBytes, threads)
    run(keyed)
    keyed.store.check()
    const { usedBytes, liveBytes, memoryBytes: budget } = keyed.store.statistics()
    assert.ok(liveBytes <= usedBytes && usedBytes <= budget, `${liveBytes} <= ${usedBytes} <= ${budget}`)
    assert.equal(keyed.store.shared.memory.byteLength, budget)
  })
}
