// One thread of store-threads.test.ts: increments counters under their locks, as INCR does, in values that keep changing
// their size; and reads them without a lock, where they may never go back.
import { parentPort, workerData } from 'node:worker_threads'
import { seededRandom } from '../../src/base/random.ts'
import { RecordType } from '../../src/store/layout.ts'
import type { SharedStore } from '../../src/store/store-reader.ts'
import { Store } from '../../src/store/store.ts'

export interface CounterOptions {
  readonly shared: SharedStore
  readonly thread: number
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

function run({ shared, thread, counters, increments, seed }: CounterOptions): void {
  const store = Store.attach(shared, thread)
  const random = seededRandom(seed + thread)
  const seen = new Float64Array(counters)
  const keys = Array.from({ length: counters }, (_, counter) => counterKey(counter))
  const hashes = keys.map(key => store.hash(key, 0, key.length))
  for (let i = 0; i < increments; i++) {
    const counter = random.below(counters)
    const key = keys[counter]!
    const hash = hashes[counter]!
    store.withLock(hash, () => {
      const before = store.get(key, 0, key.length, hash, 1)
      const count = before === undefined ? 1 : countIn(before) + 1
      const value = Buffer.from(`${count}`.padEnd(12 + paddingBytes(count)))
      const outcome = store.put(key, 0, key.length, hash, RecordType.string, value, 0, value.length, 0, 1)
      if (outcome !== 'stored') throw new Error(`counter ${counter} at ${count}: ${outcome}`)
    })
    const read = random.below(counters)
    const value = store.get(keys[read]!, 0, keys[read]!.length, hashes[read]!, 1)
    const count = value === undefined ? 0 : countIn(value)
    if (!(count >= seen[read]!)) throw new Error(`counter ${read} went from ${seen[read]} back to ${count}`)
    seen[read] = count
  }
}

if (parentPort !== null) run(workerData as CounterOptions)
