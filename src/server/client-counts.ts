// How many clients each thread has, and the next client's id, in memory that all threads share.
//
//   BigInt64:  next id | clients of thread 0 | of thread 1 | ...
//
// Not for: which clients they are (each thread knows its own).

export class ClientCounts {
  readonly shared: SharedArrayBuffer
  readonly #words: BigInt64Array<SharedArrayBuffer>

  /** `shared` is another thread's, or absent to make one for threads [0, threads). */
  constructor(threads: number, shared?: SharedArrayBuffer) {
    this.shared = shared ?? new SharedArrayBuffer((threads + 1) * 8)
    this.#words = new BigInt64Array(this.shared)
  }

  nextId(): number {
    return Number(Atomics.add(this.#words, 0, 1n)) + 1
  }

  /** Counts one more client of `thread`, unless there are `max` already; false then. */
  open(thread: number, max: number): boolean {
    Atomics.add(this.#words, thread + 1, 1n)
    if (this.total() <= max) return true
    this.close(thread)
    return false
  }

  close(thread: number): void {
    Atomics.sub(this.#words, thread + 1, 1n)
  }

  of(thread: number): number {
    return Number(Atomics.load(this.#words, thread + 1))
  }

  /** The thread died, and its clients with it. */
  forget(thread: number): void {
    Atomics.store(this.#words, thread + 1, 0n)
  }

  total(): number {
    let sum = 0n
    for (let i = 1; i < this.#words.length; i++) sum += Atomics.load(this.#words, i)
    return Number(sum)
  }
}
