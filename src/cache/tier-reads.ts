// Looks at a tier: gathers the keys that are asked for in one turn of the event loop, and asks for those of a lane together.
// A key that many ask for in one turn, as one that has just been removed near, is asked for once. Nobody shares a look that
// has begun before they asked. A tier in this process's memory is looked at on the spot.
//
// A look may lease the key if nothing is there: in one step, and one trip, with finding that out. Who asked for the key in
// the same turn has part in that lease; reader.ts sees to it that one of them loads.
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import type { Token } from '../coherence/record.ts'
import type { Source } from '../source/source.ts'
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
  /** Of the lease that it takes if nothing is there; undefined: it takes none. */
  readonly token: Token | undefined
}

export interface TierReadsOptions<V = Uint8Array> {
  readonly source: Pick<Source, 'epoch'>
  readonly tier: Tier<V>
  readonly near: NearCache<V> | undefined
  readonly proofs: Proofs
  readonly calls: TierCalls
  readonly clock: Clock
}

interface Waiting<V> extends PromiseWithResolvers<TierLook<V>> {
  token: Token | undefined
}

type Entry<V> = readonly [key: string, waiting: Waiting<V>]

export class TierReads<V = Uint8Array> {
  readonly #options: TierReadsOptions<V>
  readonly #shared: boolean
  #underWay = 0
  #waiting = new Map<number, Map<string, Waiting<V>>>()

  constructor(options: TierReadsOptions<V>) {
    this.#options = options
    this.#shared = 'subscribe' in options.tier
  }

  /** `drawToken`: the look leases the key if nothing is there, under a token of this or of whoever asked before. */
  look(lane: number, key: string, drawToken: (() => Token) | undefined): TierLook<V> | Promise<TierLook<V>> {
    if (!this.#shared) return this.#lookAtOnce(lane, key, drawToken?.())
    if (this.#waiting.size === 0) this.#schedule()
    let keys = this.#waiting.get(lane)
    if (keys === undefined) this.#waiting.set(lane, (keys = new Map<string, Waiting<V>>()))
    let waiting = keys.get(key)
    if (waiting === undefined) {
      waiting = { ...Promise.withResolvers<TierLook<V>>(), token: undefined }
      keys.set(key, waiting)
    }
    waiting.token ??= drawToken?.()
    return waiting.promise
  }

  // One that finds the tier idle goes with what is asked for in this very call; whoever comes while it is under way is gathered
  // for a whole turn.
  #schedule(): void {
    if (this.#underWay === 0) queueMicrotask(() => this.#send())
    else this.#options.clock.timer(0, () => this.#send())
  }

  #lookAtOnce(lane: number, key: string, token: Token | undefined): TierLook<V> | Promise<TierLook<V>> {
    const begun = this.#begin(lane, key, token)
    const read = token === undefined ? this.#readOne(lane, key) : this.#lease(lane, key, token)
    if (!(read instanceof Promise)) return { ...begun, read }
    return read.then(later => ({ ...begun, read: later }))
  }

  #begin(lane: number, key: string, token: Token | undefined): Omit<TierLook<V>, 'read'> {
    const { near, proofs } = this.#options
    return { ticket: near?.begin(key) ?? 0, known: proofs.known(lane), token }
  }

  #read(lane: number, keys: readonly string[]): Awaitable<readonly TierRead<V>[] | undefined> {
    const { calls, tier } = this.#options
    return calls.call(lane, () => tier.read(keys))
  }

  #readOne(lane: number, key: string): Awaitable<TierRead<V> | undefined> {
    const reads = this.#read(lane, [key])
    return reads instanceof Promise ? reads.then(later => later?.[0]) : reads?.[0]
  }

  #lease(lane: number, key: string, token: Token): Awaitable<TierRead<V> | undefined> {
    const { calls, tier, source } = this.#options
    return calls.call(lane, () => tier.lease(key, { token, epoch: source.epoch, leaseMs: limits.leaseMs }))
  }

  #send(): void {
    const all = this.#waiting
    this.#waiting = new Map()
    for (const [lane, keys] of all) {
      const plain: Entry<V>[] = []
      for (const entry of keys) {
        const [key, { token }] = entry
        if (token === undefined) plain.push(entry)
        else void this.#ask(lane, [entry], async () => [await this.#lease(lane, key, token)])
      }
      for (let at = 0; at < plain.length; at += limits.loadBatchMax) {
        const batch = plain.slice(at, at + limits.loadBatchMax)
        const keys = batch.map(([key]) => key)
        void this.#ask(lane, batch, () => this.#read(lane, keys))
      }
    }
  }

  async #ask(
    lane: number,
    batch: readonly Entry<V>[],
    ask: () => Awaitable<readonly (TierRead<V> | undefined)[] | undefined>,
  ): Promise<void> {
    this.#underWay++
    try {
      const begun = batch.map(([key, { token }]) => this.#begin(lane, key, token))
      const reads = await ask()
      for (const [i, [, { resolve }]] of batch.entries()) resolve({ ...begun[i]!, read: reads?.[i] })
    } catch (error) {
      for (const [, { reject }] of batch) reject(error)
    } finally {
      this.#underWay--
    }
  }
}
