// A shared tier that may not be there yet when it is first wanted: connects in the background, again and again, and until
// then every call rejects with TIER_UNAVAILABLE at once. Who subscribes meanwhile is subscribed when it is there. Once
// connected, the tier itself sees to reconnecting. Not for: tiers that were set up otherwise, which is a mistake for good.
import type { Clock, Timer } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { LaneState } from '../coherence/lane.ts'
import type * as coherence from '../coherence/operations.ts'
import type { Token } from '../coherence/record.ts'
import type { LoadStamp, WriteStamp } from '../coherence/stamp.ts'
import type {
  Awaitable,
  LaneListener,
  LaneSubscription,
  LeaseOptions,
  RenewOptions,
  ResetOptions,
  SharedTier,
  TierLane,
  TierLease,
  TierRead,
  TierValue,
  TooLarge,
} from './tier.ts'

export class LateTier implements SharedTier {
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

  #ask<T>(ask: (tier: SharedTier) => Awaitable<T>): Awaitable<T> {
    return this.#tier === undefined ? Promise.reject(this.#unavailable()) : ask(this.#tier)
  }

  async subscribe(listener: LaneListener): Promise<LaneSubscription> {
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

  read(keys: readonly string[]): Awaitable<readonly TierRead[]> {
    return this.#ask(tier => tier.read(keys))
  }

  lease(key: string, options: LeaseOptions): Awaitable<TierLease> {
    return this.#ask(tier => tier.lease(key, options))
  }

  renew(key: string, options: RenewOptions): Awaitable<TierLease> {
    return this.#ask(tier => tier.renew(key, options))
  }

  hold(key: string, token: Token, leaseMs: number): Awaitable<coherence.HoldOutcome> {
    return this.#ask(tier => tier.hold(key, token, leaseMs))
  }

  fill(key: string, token: Token, value: TierValue<LoadStamp>): Awaitable<coherence.FillOutcome | TooLarge> {
    return this.#ask(tier => tier.fill(key, token, value))
  }

  put(key: string, value: TierValue<WriteStamp>): Awaitable<coherence.PutOutcome | TooLarge> {
    return this.#ask(tier => tier.put(key, value))
  }

  voidKey(key: string): Awaitable<coherence.VoidOutcome> {
    return this.#ask(tier => tier.voidKey(key))
  }

  begin(key: string, id: Token, fenceMs: number): Awaitable<coherence.BeginOutcome> {
    return this.#ask(tier => tier.begin(key, id, fenceMs))
  }

  putFenced(key: string, id: Token, value: TierValue<WriteStamp>): Awaitable<coherence.PutFencedOutcome | TooLarge> {
    return this.#ask(tier => tier.putFenced(key, id, value))
  }

  lane(lane: number): Awaitable<LaneState | undefined> {
    return this.#ask(tier => tier.lane(lane))
  }

  apply(lane: number, request: coherence.ApplyRequest): Awaitable<TierLane<coherence.ApplyOutcome>> {
    return this.#ask(tier => tier.apply(lane, request))
  }

  reset(lane: number, options: ResetOptions): Awaitable<TierLane<coherence.ResetOutcome>> {
    return this.#ask(tier => tier.reset(lane, options))
  }
}
