// Messages on their way to other threads: a ring of bytes in shared memory. Any thread appends a frame; each thread reads all
// that was appended since it last read, as bytes one after another. Who falls behind by a whole ring is told that some are
// lost. While nobody reads, an append costs the look at one word. Not for: what the bytes mean (tidemark-protocol.ts).
//
//   int32:  0 readers   1 lock   2 waiters   3 frames, counted   8 + i: whether thread i reads
//   double: 2 bytes ever appended        (byte 16)
//   bytes from RING_BYTE: the frames
import { acquire, release } from '../store/lock.ts'
import { RingReader } from '../store/ring-reader.ts'
import { limits } from '../base/limits.ts'

const Word = { readers: 0, lock: 1, waiters: 2, frames: 3 } as const
const APPENDED_DOUBLE = 2
const THREADS_WORD = 8
const RING_BYTE = 1024
const RING_BYTES = 4 << 20

export class FrameLog {
  readonly shared: SharedArrayBuffer
  readonly #words: Int32Array<SharedArrayBuffer>
  readonly #doubles: Float64Array<SharedArrayBuffer>
  readonly #ring: Buffer<SharedArrayBuffer>
  readonly #thread: number
  readonly #reader: RingReader

  /** `shared` is another thread's; absent to make one. */
  constructor(thread: number, shared?: SharedArrayBuffer) {
    this.shared = shared ?? new SharedArrayBuffer(RING_BYTE + RING_BYTES)
    this.#words = new Int32Array(this.shared, 0, THREADS_WORD + limits.threadsMax)
    this.#doubles = new Float64Array(this.shared, 0, 4)
    this.#ring = Buffer.from(this.shared, RING_BYTE, RING_BYTES)
    this.#thread = thread
    const place = { words: this.#words, doubles: this.#doubles, ring: this.#ring, written: APPENDED_DOUBLE, thread }
    this.#reader = new RingReader({ ...place, lock: Word.lock, waiters: Word.waiters, count: Word.frames })
  }

  /** Whether any thread reads. */
  get active(): boolean {
    return Atomics.load(this.#words, Word.readers) !== 0
  }

  /** From now on this thread reads, from here; or it does not. */
  listen(on: boolean): void {
    const at = THREADS_WORD + this.#thread
    if ((this.#words[at] === 1) === on) return
    this.#reader.skip()
    Atomics.store(this.#words, at, on ? 1 : 0)
    Atomics.add(this.#words, Word.readers, on ? 1 : -1)
  }

  /** Frees what a dead thread held. */
  recover(deadThread: number): void {
    Atomics.sub(this.#words, Word.readers, Atomics.exchange(this.#words, THREADS_WORD + deadThread, 0))
    if (Atomics.load(this.#words, Word.lock) === deadThread + 1) release(this.#words, Word.lock, Word.waiters)
  }

  append(frame: Uint8Array): void {
    acquire(this.#words, Word.lock, Word.waiters, this.#thread)
    const appended = this.#doubles[APPENDED_DOUBLE]!
    // One that is larger than the ring counts, and is lost to all.
    if (frame.length <= RING_BYTES) {
      const at = appended % RING_BYTES
      const first = Math.min(frame.length, RING_BYTES - at)
      this.#ring.set(frame.subarray(0, first), at)
      this.#ring.set(frame.subarray(first), 0)
    }
    this.#doubles[APPENDED_DOUBLE] = appended + frame.length
    release(this.#words, Word.lock, Word.waiters)
    Atomics.add(this.#words, Word.frames, 1)
    Atomics.notify(this.#words, Word.frames)
  }

  /** Resolves when there is something to read, or after `waitMs`; at once when there is already. */
  more(waitMs: number): Promise<void> {
    return this.#reader.more(waitMs)
  }

  /** A copy of the frames that are new, possibly none; undefined: some are lost, and reading goes on behind them. */
  take(): Buffer | undefined {
    return this.#reader.take()
  }
}
