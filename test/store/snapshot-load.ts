// A thread of snapshot-threads.test.ts: writes without a pause until it is told to stop, and counts its writes. A value says
// whose it is in every eight bytes, so that whoever finds one in a snapshot knows whether it is whole.
//
//   keys [0, HOT)          only if asked for: large values, whose place is used again at once; the small ones that lie
//                          between them are evicted
//   keys [HOT, STABLE)     are there from the first to the last, with ever newer values of the same length, in place
//   keys from STABLE on    come, more and more of them, and some go: the index grows
import { workerData } from 'node:worker_threads'
import { seededRandom } from '../../src/base/random.ts'
import { RecordType } from '../../src/store/layout.ts'
import type { SharedStore } from '../../src/store/store-reader.ts'
import { Store } from '../../src/store/store.ts'

export const HOT = 16
export const STABLE = 2_000
const FRESH = 10_000
const LARGE_BYTES = 20_000

/** Words of the board. */
export const Board = { stop: 0, writes: 1 } as const

export interface SnapshotLoadOptions {
  readonly shared: SharedStore
  readonly board: SharedArrayBuffer
  readonly thread: number
  readonly seed: number
  readonly hot: boolean
}

export function keyOf(number: number): Buffer {
  const key = Buffer.alloc(12, 'key')
  key.writeUInt32LE(number, 8)
  return key
}

/** The key's value of this version: 8 bytes or more, the same eight again and again. */
export function valueOf(number: number, version: number): Buffer {
  const pattern = Buffer.alloc(8)
  pattern.writeUInt32LE(number, 0)
  pattern.writeUInt32LE(version, 4)
  const bytes = number < HOT ? LARGE_BYTES + 8 * (version % 500) : 8 + (number % 300)
  return Buffer.alloc(bytes, pattern)
}

/** Throws unless the value is a whole one of this key; returns its version. */
export function versionOf(number: number, value: Buffer): number {
  const version = value.readUInt32LE(4)
  if (value.equals(valueOf(number, version))) return version
  throw new Error(`the value of key ${number} is not its own of version ${version}: ${value.length} bytes`)
}

export function put(store: Store, number: number, version: number): void {
  const key = keyOf(number)
  const value = valueOf(number, version)
  const hash = store.hash(key, 0, key.length)
  store.set(key, 0, key.length, hash, RecordType.string, value, 0, value.length, 0, 1)
}

function run({ shared, board, thread, seed, hot }: SnapshotLoadOptions): void {
  const store = Store.attach(shared, thread)
  const words = new Int32Array(board)
  const random = seededRandom(seed)
  for (let version = 1; Atomics.load(words, Board.stop) === 0; version++) {
    const which = random.below(10)
    if (hot && which < 5) put(store, random.below(HOT), version)
    else if (which < 8) put(store, HOT + random.below(STABLE - HOT), version)
    else {
      const number = STABLE + random.below(Math.min(FRESH, 100 + version))
      const key = keyOf(number)
      const hash = store.hash(key, 0, key.length)
      if (which === 8) put(store, number, version)
      else if (version % 3 === 0) store.withLock(hash, () => store.remove(key, 0, key.length, hash))
    }
    Atomics.add(words, Board.writes, 1)
  }
}

if (workerData !== null) run(workerData as SnapshotLoadOptions)
