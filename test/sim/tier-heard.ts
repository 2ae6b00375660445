// What a tier said to a write as it went on, for who has to know whether the value is there. Not for: changing anything.
import { AsyncLocalStorage } from 'node:async_hooks'
import type { BeginOutcome, PutFencedOutcome } from '../../src/coherence/operations.ts'
import type { SharedTier, TooLarge } from '../../src/tier/tier.ts'
import { TierAround } from '../../src/tier/wrapped-tier.ts'

export class TierHeard {
  /** Fences that it put up: when it was asked for them. */
  readonly fencedMs = new Map<string, number>()
  /** Keys of which it has the value, or nothing any more. */
  readonly kept = new Set<string>()
}

export class HeardTier extends TierAround {
  readonly #nowMs: () => number
  readonly #heard = new AsyncLocalStorage<TierHeard>()

  constructor(tier: SharedTier, nowMs: () => number) {
    super(tier)
    this.#nowMs = nowMs
  }

  /** What the tier says to the calls of `write` is noted. */
  hear<T>(heard: TierHeard, write: () => T): T {
    return this.#heard.run(heard, write)
  }

  override async begin(...args: Parameters<SharedTier['begin']>): Promise<BeginOutcome> {
    const [heard, askedMs] = [this.#heard.getStore(), this.#nowMs()]
    const outcome = await this.tier.begin(...args)
    if (outcome === 'fenced') heard?.fencedMs.set(args[0], askedMs)
    return outcome
  }

  override async putFenced(...args: Parameters<SharedTier['putFenced']>): Promise<PutFencedOutcome | TooLarge> {
    const heard = this.#heard.getStore()
    const outcome = await this.tier.putFenced(...args)
    if (outcome === 'stored' || outcome === 'voided') heard?.kept.add(args[0])
    return outcome
  }
}
