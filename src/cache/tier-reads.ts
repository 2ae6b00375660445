// Looks at a tier: gathers the keys that are asked for in one turn of the event loop, and asks for those of a lane together.
// A key that many ask for in one turn, as one that has just been removed near, is asked for once. Nobody shares a look that
// has begun before they asked. A tier in this process's memory is looked at on the spot.
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import type { Awaitable, Tier, TierRead } from '../tier/tier.ts'
import type { NearCache } from './near-cache.ts'
import type { LaneProof, Proofs } from './proofs.ts'
import type { TierCalls } from './tier-calls.ts'

export interface TierLook<V = Uint8Array> {
  /** From before the tier was asked, for what may be admitted near. */
  readonly ticket: number
  /** What was known of the lane before the tier was asked. */
  readonly known: LaneProof | undefined
  /** undefined: the tier did not answer in time. */
  readonly read: TierRead<V> | undefined
}

export interface TierReadsOptions<V = Uint8Array> {
  readonly tier: Tier<V>
  readonly near: NearCache<V> | undefined
  readonly proofs: Proofs
  readonly calls: TierCalls
  readonly clock: Clock
}

type Waiting<V> = PromiseWithResolvers<TierLook<V>>

export class TierReads<V = Uint8Array> {
  readonly #options: TierReadsOptions<V>
  readonly #shared: boolean
  #waiting = new Map<number, Map<string, Waiting<V>>>()

  constructor(options: TierReadsOptions<V>) {
    this.#options = options
    this.#shared = 'subscribe' in options.tier
  }

  look(lane: number, key: string): TierLook<V> | Promise<TierLook<V>> {
    if (!this.#shared) {
      const begun = this.#begin(lane, key)
      const answer = this.#read(lane, [key])
      if (!(answer instanceof Promise)) return { ...begun, read: answer?.[0] }
      return answer.then(reads => ({ ...begun, read: reads?.[0] }))
    }
    if (this.#waiting.size === 0) this.#options.clock.timer(0, () => this.#send())
    let keys = this.#waiting.get(lane)
    if (keys === undefined) this.#waiting.set(lane, (keys = new Map<string, Waiting<V>>()))
    let waiting = keys.get(key)
    if (waiting === undefined) keys.set(key, (waiting = Promise.withResolvers<TierLook<V>>()))
    return waiting.promise
  }

  #begin(lane: number, key: string): Omit<TierLook<V>, 'read'> {
    const { near, proofs } = this.#options
    return { ticket: near?.begin(key) ?? 0, known: proofs.known(lane) }
  }

  #read(lane: number, keys: readonly string[]): Awaitable<readonly TierRead<V>[] | undefined> {
    const { calls, tier } = this.#options
    return calls.call(lane, () => tier.read(keys))
  }

  #send(): void {
    const all = this.#waiting
    this.#waiting = new Map()
    for (const [lane, keys] of all) {
      const entries = [...keys]
      for (let at = 0; at < entries.length; at += limits.loadBatchMax) {
        void this.#ask(lane, entries.slice(at, at + limits.loadBatchMax))
      }
    }
  }

  async #ask(lane: number, batch: readonly (readonly [string, Waiting<V>])[]): Promise<void> {
    try {
      const begun = batch.map(([key]) => this.#begin(lane, key))
      const keys = batch.map(([key]) => key)
      const reads = await this.#read(lane, keys)
      for (const [i, [, { resolve }]] of batch.entries()) resolve({ ...begun[i]!, read: reads?.[i] })
    } catch (error) {
      for (const [, { reject }] of batch) reject(error)
    }
  }
}
