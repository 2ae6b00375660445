// Keeps a near cache told: subscribes it to the tier's messages, and makes its lanes known by reading their headers, first of
// all and whenever messages may have been lost. A lane with a tide gets messages all the time and would become known by
// them; one without, or one that the tide cannot reach, would not.
import type { Clock, Timer } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { LaneMessage } from '../coherence/operations.ts'
import type { LaneListener, LaneSubscription, SharedTier } from '../tier/tier.ts'
import type { NearCache } from './near-cache.ts'

/** What a near cache hears, whatever it holds. */
type HeardNear = Pick<NearCache<unknown>, 'message' | 'lost' | 'lane' | 'initialise'>

export interface NearSubscriptionOptions {
  readonly tier: Pick<SharedTier, 'lanes' | 'lane' | 'subscribe'>
  readonly near: HeardNear
  readonly clock: Clock
}

export class NearSubscription implements LaneListener {
  readonly #tier: NearSubscriptionOptions['tier']
  readonly #near: HeardNear
  readonly #clock: Clock
  readonly #timers = new Map<number, Timer>()
  #subscription: LaneSubscription | undefined
  #closed = false

  private constructor(options: NearSubscriptionOptions) {
    this.#tier = options.tier
    this.#near = options.near
    this.#clock = options.clock
  }

  /** Resolves once the subscription stands; lanes become known soon after. Rejects as the tier does. */
  static async open(options: NearSubscriptionOptions): Promise<NearSubscription> {
    const opened = new NearSubscription(options)
    opened.#subscription = await options.tier.subscribe(opened)
    for (let lane = 0; lane < options.tier.lanes; lane++) opened.#learn(lane, 0)
    return opened
  }

  message(lane: number, message: LaneMessage): void {
    if (!this.#closed) this.#near.message(lane, message)
  }

  lost(lanes: readonly number[]): void {
    if (this.#closed) return
    this.#near.lost(lanes)
    for (const lane of lanes) this.#learn(lane, 0)
  }

  /** Nothing near is to be trusted after this: nobody listens any more. */
  async close(): Promise<void> {
    this.#closed = true
    for (const timer of this.#timers.values()) timer.cancel()
    this.#near.lost(Array.from({ length: this.#tier.lanes }, (_, lane) => lane))
    await this.#subscription?.close()
  }

  // Later, and again with growing pauses, until the lane is known.
  #learn(lane: number, pauseMs: number): void {
    this.#timers.get(lane)?.cancel()
    const nextMs = Math.min(limits.sampleTimeoutMs, pauseMs * 2 + limits.sampleEveryMs)
    const timer = this.#clock.timer(pauseMs, () => void this.#ask(lane, nextMs), { unref: true })
    this.#timers.set(lane, timer)
  }

  async #ask(lane: number, pauseMs: number): Promise<void> {
    if (this.#closed || this.#near.lane(lane) !== undefined) return
    const timer = this.#timers.get(lane)
    try {
      const header = await this.#tier.lane(lane)
      // Asked before messages were lost, and answered after: it will be asked again.
      if (this.#closed || this.#timers.get(lane) !== timer) return
      this.#near.initialise(lane, header)
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error
    }
    if (!this.#closed && this.#timers.get(lane) === timer && this.#near.lane(lane) === undefined) {
      this.#learn(lane, pauseMs)
    }
  }
}
