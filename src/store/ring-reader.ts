// One thread's reading of a ring of bytes in shared memory that all threads write to: it goes at its own pace, and is told
// when it has fallen behind by a whole ring. Not for: writing, and what the bytes mean (change-log.ts, tier/frame-log.ts).
import { acquire, release } from './lock.ts'

export interface RingPlace {
  readonly words: Int32Array<SharedArrayBuffer>
  readonly doubles: Float64Array<SharedArrayBuffer>
  readonly ring: Buffer<SharedArrayBuffer>
  /** Which words are the writers' lock, and the count of what was written, that readers wait on. */
  readonly lock: number
  readonly waiters: number
  readonly count: number
  /** Which double is the bytes ever written. */
  readonly written: number
  readonly thread: number
}

export class RingReader {
  readonly #place: RingPlace
  #read: number

  /** Reads what is written from now on. */
  constructor(place: RingPlace) {
    this.#place = place
    this.#read = place.doubles[place.written]!
  }

  /** Passes over what was written so far. */
  skip(): void {
    this.#read = this.#place.doubles[this.#place.written]!
  }

  get hasMore(): boolean {
    return this.#place.doubles[this.#place.written] !== this.#read
  }

  /** Resolves when there is something to read, or after `waitMs`; at once when there is already. */
  async more(waitMs: number): Promise<void> {
    const { words, count } = this.#place
    const seen = Atomics.load(words, count)
    if (this.hasMore) return
    const waiting = Atomics.waitAsync(words, count, seen, waitMs)
    if (waiting.async) await waiting.value
  }

  /** A copy of what is new, possibly nothing; undefined: some of it is lost, and reading goes on behind that. */
  take(): Buffer | undefined {
    const { words, doubles, ring, lock, waiters, written, thread } = this.#place
    acquire(words, lock, waiters, thread)
    const end = doubles[written]!
    const length = end - this.#read
    const from = this.#read % ring.length
    this.#read = end
    let bytes: Buffer | undefined
    if (length <= ring.length) {
      bytes = Buffer.allocUnsafe(length)
      const first = Math.min(length, ring.length - from)
      ring.copy(bytes, 0, from, from + first)
      ring.copy(bytes, first, 0, length - first)
    }
    release(words, lock, waiters)
    return bytes
  }
}
