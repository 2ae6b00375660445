// A shared tier around another one: what a class that extends one of these does not say goes to the other by way of `ask`.
// Not for: what is added on the way (codec-tier.ts, late-tier.ts, cache/logless-tier.ts, server/counted-tier.ts).
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

/** Around a tier of other payloads: calls without one pass, the others are the extending class's to make. */
export abstract class RecodedTier<Inner, Outer> implements SharedTier<Outer> {
  abstract readonly lanes: number

  /** Every call that passes. */
  protected abstract ask<T>(call: (tier: SharedTier<Inner>) => Awaitable<T>): Awaitable<T>

  abstract read(keys: readonly string[]): Awaitable<readonly TierRead<Outer>[]>

  abstract lease(key: string, options: LeaseOptions): Awaitable<TierLease<Outer>>

  abstract renew(key: string, options: RenewOptions): Awaitable<TierLease<Outer>>

  abstract fill(key: string, token: Token, value: TierValue<LoadStamp, Outer>): Awaitable<coherence.FillOutcome | TooLarge> // prettier-ignore

  abstract put(key: string, value: TierValue<WriteStamp, Outer>): Awaitable<coherence.PutOutcome | TooLarge>

  abstract putFenced(key: string, id: Token, value: TierValue<WriteStamp, Outer>): Awaitable<coherence.PutFencedOutcome | TooLarge> // prettier-ignore

  abstract close(): Promise<void>

  hold(key: string, token: Token, leaseMs: number): Awaitable<coherence.HoldOutcome> {
    return this.ask(tier => tier.hold(key, token, leaseMs))
  }

  voidKey(key: string): Awaitable<coherence.VoidOutcome> {
    return this.ask(tier => tier.voidKey(key))
  }

  begin(key: string, id: Token, fenceMs: number): Awaitable<coherence.BeginOutcome> {
    return this.ask(tier => tier.begin(key, id, fenceMs))
  }

  lane(lane: number): Awaitable<LaneState | undefined> {
    return this.ask(tier => tier.lane(lane))
  }

  apply(lane: number, request: coherence.ApplyRequest): Awaitable<TierLane<coherence.ApplyOutcome>> {
    return this.ask(tier => tier.apply(lane, request))
  }

  reset(lane: number, options: ResetOptions): Awaitable<TierLane<coherence.ResetOutcome>> {
    return this.ask(tier => tier.reset(lane, options))
  }

  subscribe(listener: LaneListener): Awaitable<LaneSubscription> {
    return this.ask(tier => tier.subscribe(listener))
  }
}

/** Around a tier of the same payloads: all calls pass but `close`, which is the extending class's. */
export abstract class WrappedTier<V = Uint8Array> extends RecodedTier<V, V> {
  read(keys: readonly string[]): Awaitable<readonly TierRead<V>[]> {
    return this.ask(tier => tier.read(keys))
  }

  lease(key: string, options: LeaseOptions): Awaitable<TierLease<V>> {
    return this.ask(tier => tier.lease(key, options))
  }

  renew(key: string, options: RenewOptions): Awaitable<TierLease<V>> {
    return this.ask(tier => tier.renew(key, options))
  }

  fill(key: string, token: Token, value: TierValue<LoadStamp, V>): Awaitable<coherence.FillOutcome | TooLarge> {
    return this.ask(tier => tier.fill(key, token, value))
  }

  put(key: string, value: TierValue<WriteStamp, V>): Awaitable<coherence.PutOutcome | TooLarge> {
    return this.ask(tier => tier.put(key, value))
  }

  putFenced(key: string, id: Token, value: TierValue<WriteStamp, V>): Awaitable<coherence.PutFencedOutcome | TooLarge> {
    return this.ask(tier => tier.putFenced(key, id, value))
  }
}

/** Around one tier, there from the start: what it says, and its end, are the other one's too. */
export abstract class TierAround<V = Uint8Array> extends WrappedTier<V> {
  readonly lanes: number
  protected readonly tier: SharedTier<V>

  constructor(tier: SharedTier<V>) {
    super()
    this.lanes = tier.lanes
    this.tier = tier
  }

  protected ask<T>(call: (tier: SharedTier<V>) => Awaitable<T>): Awaitable<T> {
    return call(this.tier)
  }

  close(): Promise<void> {
    return this.tier.close()
  }
}
