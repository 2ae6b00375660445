// A shared tier whose answers are counted, for metrics. Not for: deciding anything.
import type * as coherence from '../coherence/operations.ts'
import type { Token } from '../coherence/record.ts'
import type { LoadStamp, WriteStamp } from '../coherence/stamp.ts'
import type {
  Awaitable,
  LeaseOptions,
  RenewOptions,
  SharedTier,
  TierLease,
  TierRead,
  TierValue,
  TooLarge,
} from '../tier/tier.ts'
import { TierAround } from '../tier/wrapped-tier.ts'
import { type ServerMetrics, fillOutcomes, putOutcomes } from './metrics.ts'

export class CountedTier extends TierAround {
  readonly #metrics: ServerMetrics

  constructor(tier: SharedTier, metrics: ServerMetrics) {
    super(tier)
    this.#metrics = metrics
  }

  /** Counts the answer when it is there, or the failure. */
  async #counted<T>(answer: Awaitable<T>, count?: (value: T) => void): Promise<T> {
    this.#metrics.add('tidemark_tier_calls_total', 1)
    try {
      const value = await answer
      count?.(value)
      return value
    } catch (error) {
      this.#metrics.add('tidemark_tier_call_errors_total', 1)
      throw error
    }
  }

  override read(keys: readonly string[]): Promise<readonly TierRead[]> {
    return this.#counted(this.tier.read(keys), reads => this.#looked(reads, true))
  }

  override lease(key: string, options: LeaseOptions): Promise<TierLease> {
    return this.#counted(this.tier.lease(key, options), leased => this.#looked([leased], false))
  }

  override renew(key: string, options: RenewOptions): Promise<TierLease> {
    return this.#counted(this.tier.renew(key, options))
  }

  override hold(key: string, token: Token, leaseMs: number): Promise<coherence.HoldOutcome> {
    return this.#counted(this.tier.hold(key, token, leaseMs))
  }

  // A key that a read finds nothing of is leased next, and counted then: once, as if both had been one.
  #looked(reads: readonly TierRead[], leasedNext: boolean): void {
    let [hits, misses] = [0, 0]
    for (const { lane, record } of reads) {
      if (record?.type === 'value') hits++
      else if (!leasedNext || lane === undefined || record !== undefined) misses++
    }
    this.#metrics.add('tidemark_tier_hits_total', hits)
    this.#metrics.add('tidemark_tier_misses_total', misses)
  }

  override fill(key: string, token: Token, value: TierValue<LoadStamp>): Promise<coherence.FillOutcome | TooLarge> {
    return this.#counted(this.tier.fill(key, token, value), outcome =>
      this.#metrics.add('tidemark_tier_fills_total', 1, fillOutcomes.indexOf(outcome)),
    )
  }

  override put(key: string, value: TierValue<WriteStamp>): Promise<coherence.PutOutcome | TooLarge> {
    return this.#counted(this.tier.put(key, value), outcome =>
      this.#metrics.add('tidemark_tier_puts_total', 1, putOutcomes.indexOf(outcome)),
    )
  }

  override voidKey(key: string): Promise<coherence.VoidOutcome> {
    return this.#counted(this.tier.voidKey(key))
  }

  override begin(key: string, id: Token, fenceMs: number): Promise<coherence.BeginOutcome> {
    return this.#counted(this.tier.begin(key, id, fenceMs))
  }

  override putFenced(
    key: string,
    id: Token,
    value: TierValue<WriteStamp>,
  ): Promise<coherence.PutFencedOutcome | TooLarge> {
    return this.#counted(this.tier.putFenced(key, id, value))
  }
}
