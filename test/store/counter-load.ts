// One thread of store-threads.test.ts: increments counters under their locks, as INCR does, in values that keep changing
// their size; and reads them without a lock, where they may never go back.
import { parentPort, workerData } from 'node:worker_threads'
import { seededRandom } from '../../src/base/random.ts'
import type { Random } from '../../src/base/random.ts'
import { RecordType } from '../../src/store/layout.ts'
import type { SharedStore } from '../../src/store/store-reader.ts'
import { Store } from '../../src/store/store.ts'

const ZERO = Buffer.from('0')

export interface CounterOptions {
  readonly shared: SharedStore
  readonly thread: number
  /** How many there are: the first half is incremented, between the others something is transferred. */
  readonly counters: number
  readonly increments: number
  readonly seed: number
}

export function counterKey(counter: number): Buffer {
  return Buffer.from(`counter:${counter}`)
}

/** The number in front of the padding. */
export function countIn(value: Buffer): number {
  return Number.parseInt(value.toString('latin1', 0, 12), 10)
}

function paddingBytes(count: number): number {
  if (count % 1_000 === 0) return 150_000
  if (count % 50 === 0) return 3_000
  return count % 7
}

class Counters {
  readonly #store: Store
  readonly #random: Random
  readonly #seen: Float64Array
  readonly #keys: readonly Buffer[]
  readonly #hashes: readonly number[]

  constructor({ shared, thread, counters, seed }: CounterOptions) {
    this.#store = Store.attach(shared, thread)
    this.#random = seededRandom(seed + thread)
    this.#seen = new Float64Array(counters)
    this.#keys = Array.from({ length: counters }, (_, counter) => counterKey(counter))
    this.#hashes = this.#keys.map(key => this.#store.hash(key, 0, key.length))
  }

  #value(counter: number): Buffer | undefined {
    const key = this.#keys[counter]!
    return this.#store.get(key, 0, key.length, this.#hashes[counter]!, 1)
  }

  // Under the counter's lock.
  #put(counter: number, count: number, places: number): void {
    const key = this.#keys[counter]!
    const value = Buffer.from(`${count}`.padEnd(12 + paddingBytes(places)))
    const { string } = RecordType
    const hash = this.#hashes[counter]!
    const outcome = this.#store.put(key, 0, key.length, hash, string, value, 0, value.length, 0, 1)
    if (outcome !== 'stored') throw new Error(`counter ${counter} at ${count}: ${outcome}`)
  }

  increment(): void {
    const counter = this.#random.below(this.#keys.length / 2)
    this.#store.withLock(this.#hashes[counter]!, () => {
      const count = countIn(this.#value(counter) ?? ZERO) + 1
      this.#put(counter, count, count)
    })
  }

  /** Takes something from one account and gives it to another, under both locks. Their sum stays 0. */
  transfer(): void {
    const half = this.#keys.length / 2
    const from = half + this.#random.below(half)
    const to = half + this.#random.below(half)
    if (from === to) return
    this.#store.withLocks([this.#hashes[from]!, this.#hashes[to]!], () => {
      const taken = countIn(this.#value(from) ?? ZERO)
      const given = countIn(this.#value(to) ?? ZERO)
      // Small values only: a change may begin again for a large one.
      this.#put(from, taken - 1, 1 + (taken & 7))
      this.#put(to, given + 1, 1 + (given & 7))
    })
  }

  /** Reads a counter without a lock: it never goes back. */
  read(): void {
    const counter = this.#random.below(this.#keys.length / 2)
    const count = countIn(this.#value(counter) ?? ZERO)
    const seen = this.#seen[counter]!
    if (!(count >= seen)) throw new Error(`counter ${counter} went from ${seen} back to ${count}`)
    this.#seen[counter] = count
  }
}

function run(options: CounterOptions): void {
  const counters = new Counters(options)
  for (let i = 0; i < options.increments; i++) {
    counters.increment()
    counters.read()
    if (i % 2 === 0) counters.transfer()
  }
}

if (parentPort !== null) run(workerData as CounterOptions)
