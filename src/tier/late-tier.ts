// A shared tier that may not be there yet when it is first wanted: connects in the background, again and again, and until
// then every call rejects with TIER_UNAVAILABLE at once. Who subscribes meanwhile is subscribed when it is there. Once
// connected, the tier itself sees to reconnecting. Not for: tiers that were set up otherwise, which is a mistake for good.
import type { Clock, Timer } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Awaitable, LaneListener, LaneSubscription, SharedTier } from './tier.ts'
import { WrappedTier } from './wrapped-tier.ts'

export class LateTier extends WrappedTier {
  readonly lanes: number
  readonly #clock: Clock
  readonly #connect: () => Promise<SharedTier>
  readonly #first = Promise.withResolvers<void>()
  readonly #there = Promise.withResolvers<SharedTier>()
  #tier: SharedTier | undefined
  #failure: unknown
  #timer: Timer | undefined
  #pauseMs: number = limits.tierReconnectMs
  #closed = false

  constructor(lanes: number, clock: Clock, connect: () => Promise<SharedTier>) {
    super()
    this.lanes = lanes
    this.#clock = clock
    this.#connect = connect
    this.#first.promise.catch(() => {})
    this.#there.promise.catch(() => {})
    void this.#attempt()
  }

  /** Resolves when the first attempt succeeded; rejects when it failed. Others follow. */
  firstAttempt(): Promise<void> {
    return this.#first.promise
  }

  async #attempt(): Promise<void> {
    try {
      const tier = await this.#connect()
      if (this.#closed) return await tier.close()
      this.#tier = tier
      this.#there.resolve(tier)
      this.#first.resolve()
    } catch (error) {
      this.#failure = error
      this.#first.reject(error)
      if (this.#closed) return
      this.#timer = this.#clock.timer(this.#pauseMs, () => void this.#attempt(), { unref: true })
      this.#pauseMs = Math.min(limits.tierReconnectMaxMs, 2 * this.#pauseMs)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    this.#there.reject(this.#unavailable())
    await this.#tier?.close()
  }

  #unavailable(): TidemarkError {
    if (this.#failure instanceof TidemarkError) return this.#failure
    const why = this.#failure === undefined ? 'it has not answered yet' : messageOf(this.#failure)
    return new TidemarkError('TIER_UNAVAILABLE', `the tier cannot be reached: ${why}`)
  }

  protected ask<T>(call: (tier: SharedTier) => Awaitable<T>): Awaitable<T> {
    return this.#tier === undefined ? Promise.reject(this.#unavailable()) : call(this.#tier)
  }

  override async subscribe(listener: LaneListener): Promise<LaneSubscription> {
    if (this.#tier !== undefined) return this.#tier.subscribe(listener)
    let closed = false
    const subscribed = this.#there.promise.then(async tier => {
      const subscription = await tier.subscribe(listener)
      if (closed) await subscription.close()
      // Whoever listens thought that there was nothing to hear of.
      else listener.lost(Array.from({ length: this.lanes }, (_, lane) => lane))
      return subscription
    })
    subscribed.catch(() => {})
    return {
      close: async () => {
        closed = true
        if (this.#tier !== undefined) await (await subscribed).close()
      },
    }
  }
}
