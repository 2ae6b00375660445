// Locks in shared memory: one word holding the owner's thread number + 1 (0: free), one counting who waits. A thread that
// dies inside a lock is found by its number: store.recover() frees what it held.
// Not for: readers, which take no lock.
import { assert } from '../base/assert.ts'

const SPINS_MAX = 200
const WAIT_MS = 10

/** Takes the lock at words[at] for `thread`, waiting as long as it takes. */
export function acquire(words: Int32Array<SharedArrayBuffer>, at: number, waiters: number, thread: number): void {
  if (Atomics.compareExchange(words, at, 0, thread + 1) === 0) return
  for (let spin = 0; spin < SPINS_MAX; spin++) {
    if (Atomics.load(words, at) === 0 && Atomics.compareExchange(words, at, 0, thread + 1) === 0) return
  }
  Atomics.add(words, waiters, 1)
  for (;;) {
    const holder = Atomics.compareExchange(words, at, 0, thread + 1)
    if (holder === 0) break
    if (holder === thread + 1) Atomics.sub(words, waiters, 1)
    assert(holder !== thread + 1, 'a thread does not wait for a lock that it holds itself')
    // The time-out is for a holder that died: recover() may free the lock without knowing of us.
    Atomics.wait(words, at, holder, WAIT_MS)
  }
  Atomics.sub(words, waiters, 1)
}

export function tryAcquire(words: Int32Array<SharedArrayBuffer>, at: number, thread: number): boolean {
  return Atomics.compareExchange(words, at, 0, thread + 1) === 0
}

export function release(words: Int32Array<SharedArrayBuffer>, at: number, waiters: number): void {
  Atomics.store(words, at, 0)
  // A plain load, since an atomic one is a call. Where it may pass the store, a waiter that it misses wakes by its time-out.
  if (words[waiters]! > 0) Atomics.notify(words, at, 1)
}
