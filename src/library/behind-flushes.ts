// Those who wait until what was acknowledged is in the source. Not for: sending it (behind-sender.ts).
import type { TidemarkError } from '../base/errors.ts'
import type { PendingWrite, PendingWrites } from '../journal/pending-writes.ts'

interface Waiter {
  /** The numbers of the writes that it waits for, by key. */
  readonly waited: Map<string, number>
  readonly resolve: () => void
  readonly reject: (error: TidemarkError) => void
}

export class BehindFlushes {
  readonly #waiters = new Set<Waiter>()

  /** How many wait. */
  get size(): number {
    return this.#waiters.size
  }

  /** Resolves once all that is pending now, or what was written over it, has landed; rejects as `lost` and `end` say. */
  add(pending: PendingWrites): Promise<void> {
    const waited = new Map<string, number>()
    for (const [id] of pending.entries()) waited.set(id, pending.sequenceOf(id)!)
    if (waited.size === 0) return Promise.resolve()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiters.add({ waited, resolve, reject })
    return promise
  }

  /** These are in the source. */
  landed(writes: readonly PendingWrite[]): void {
    for (const waiter of this.#waiters) {
      const { waited, resolve } = waiter
      for (const { key, sequence } of writes) if (waited.get(key)! <= sequence) waited.delete(key)
      if (waited.size > 0) continue
      this.#waiters.delete(waiter)
      resolve()
    }
  }

  /** This one never will be. Who waits for a later one of its key goes on waiting. */
  lost({ key, sequence }: PendingWrite, error: TidemarkError): void {
    for (const waiter of this.#waiters) {
      if ((waiter.waited.get(key) ?? Infinity) > sequence) continue
      this.#waiters.delete(waiter)
      waiter.reject(error)
    }
  }

  end(error: TidemarkError): void {
    for (const { reject } of this.#waiters) reject(error)
    this.#waiters.clear()
  }
}
