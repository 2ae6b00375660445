// One process's connection to a shared tier, with faults that a test gives it: calls that fail, hang or are late, messages that are
// lost or late, and a tier that is gone. Several of them over one tier are several processes, each cut off by itself.
// Not for: faults of the tier itself (evictions, lost headers, failovers: memory-tier.ts has them for all processes).
import type { Clock, Timer } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import type { LaneState } from '../coherence/lane.ts'
import type * as coherence from '../coherence/operations.ts'
import type { LaneMessage } from '../coherence/operations.ts'
import type { Token } from '../coherence/record.ts'
import type { LoadStamp, WriteStamp } from '../coherence/stamp.ts'
import { parseDuration, type Duration } from '../config/units.ts'
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
} from '../tier/tier.ts'
import { Faults, type EndFault } from './faults.ts'

export type TierCall =
  | 'read'
  | 'lease'
  | 'renew'
  | 'hold'
  | 'fill'
  | 'put'
  | 'voidKey'
  | 'begin'
  | 'putFenced'
  | 'lane'
  | 'apply'
  | 'reset'
  | 'subscribe'

export interface FaultyTierOptions {
  /** What delays are counted on: the one of the cache under test. */
  readonly clock: Clock
}

interface Subscriber {
  readonly listener: LaneListener
  readonly inner: LaneSubscription
}

export class FaultyTier extends Faults<TierCall> implements SharedTier {
  readonly lanes: number
  readonly #tier: SharedTier
  readonly #clock: Clock
  readonly #subscribers = new Set<Subscriber>()
  readonly #underWay = new Set<Timer>()
  /** Faults that lose messages, as what ends them. */
  readonly #losing = new Set<EndFault>()
  #messageDelayMs = 0
  #lastDueMs = 0

  constructor(tier: SharedTier, { clock }: FaultyTierOptions) {
    super(clock, () => new TidemarkError('TIER_UNAVAILABLE', 'the tier cannot be reached: the test said so'))
    this.lanes = tier.lanes
    this.#tier = tier
    this.#clock = clock
  }

  /** The tier cannot be reached: calls fail, and messages are lost. Who ends it tells those who listen that they were. */
  down(): EndFault {
    const failing = this.fail(Infinity)
    const losing = this.loseMessages()
    return () => {
      failing()
      losing()
    }
  }

  /**
   * Messages are lost. Who ends it tells those who listen, as one that connects again does; `unnoticed`: it does not, and they find
   * out by the next message that something is missing before it.
   */
  loseMessages({ unnoticed = false }: { readonly unnoticed?: boolean } = {}): EndFault {
    const end = (): void => {
      if (!this.#losing.delete(end) || unnoticed) return
      const lanes = Array.from({ length: this.lanes }, (_, lane) => lane)
      for (const { listener } of this.#subscribers) listener.lost(lanes)
    }
    this.#losing.add(end)
    return end
  }

  override heal(): void {
    super.heal()
    this.#messageDelayMs = 0
    for (const end of this.#losing) end()
  }

  /** From now on messages come so much later, in their order. 0: at once. */
  delayMessages(by: Duration): void {
    const ms = typeof by === 'string' ? parseDuration(by) : by
    if (ms === undefined) throw new TidemarkError('OPTION_INVALID', `a delay is '${by}'; allowed is such as '500ms'`)
    this.#messageDelayMs = ms
  }

  subscribe(listener: LaneListener): Promise<LaneSubscription> {
    return this.#ask('subscribe', [], async () => {
      const inner = await this.#tier.subscribe({
        message: (lane, message) => this.#deliver(listener, lane, message),
        lost: lanes => listener.lost(lanes),
      })
      const subscriber = { listener, inner }
      this.#subscribers.add(subscriber)
      return { close: () => this.#unsubscribe(subscriber) }
    })
  }

  /** Ends this connection; the tier itself is left to others. */
  async close(): Promise<void> {
    for (const timer of this.#underWay) timer.cancel()
    for (const subscriber of this.#subscribers) await this.#unsubscribe(subscriber)
  }

  async #unsubscribe(subscriber: Subscriber): Promise<void> {
    this.#subscribers.delete(subscriber)
    await subscriber.inner.close()
  }

  #deliver(listener: LaneListener, lane: number, message: LaneMessage): void {
    if (this.#losing.size > 0) return
    const nowMs = this.#clock.monotonicMs()
    const dueMs = Math.max(this.#lastDueMs, nowMs + this.#messageDelayMs)
    if (dueMs <= nowMs) return listener.message(lane, message)
    this.#lastDueMs = dueMs
    const timer = this.#clock.timer(dueMs - nowMs, () => {
      this.#underWay.delete(timer)
      if (this.#losing.size === 0) listener.message(lane, message)
    })
    this.#underWay.add(timer)
  }

  #ask<T>(name: TierCall, keys: readonly string[], ask: () => Awaitable<T>): Promise<T> {
    return this.called({ name, keys, signal: undefined }, ask)
  }

  read(keys: readonly string[]): Promise<readonly TierRead[]> {
    return this.#ask('read', keys, () => this.#tier.read(keys))
  }

  lease(key: string, options: LeaseOptions): Promise<TierLease> {
    return this.#ask('lease', [key], () => this.#tier.lease(key, options))
  }

  renew(key: string, options: RenewOptions): Promise<TierLease> {
    return this.#ask('renew', [key], () => this.#tier.renew(key, options))
  }

  hold(key: string, token: Token, leaseMs: number): Promise<coherence.HoldOutcome> {
    return this.#ask('hold', [key], () => this.#tier.hold(key, token, leaseMs))
  }

  fill(key: string, token: Token, value: TierValue<LoadStamp>): Promise<coherence.FillOutcome | TooLarge> {
    return this.#ask('fill', [key], () => this.#tier.fill(key, token, value))
  }

  put(key: string, value: TierValue<WriteStamp>): Promise<coherence.PutOutcome | TooLarge> {
    return this.#ask('put', [key], () => this.#tier.put(key, value))
  }

  voidKey(key: string): Promise<coherence.VoidOutcome> {
    return this.#ask('voidKey', [key], () => this.#tier.voidKey(key))
  }

  begin(key: string, id: Token, fenceMs: number): Promise<coherence.BeginOutcome> {
    return this.#ask('begin', [key], () => this.#tier.begin(key, id, fenceMs))
  }

  putFenced(key: string, id: Token, value: TierValue<WriteStamp>): Promise<coherence.PutFencedOutcome | TooLarge> {
    return this.#ask('putFenced', [key], () => this.#tier.putFenced(key, id, value))
  }

  lane(lane: number): Promise<LaneState | undefined> {
    return this.#ask('lane', [], () => this.#tier.lane(lane))
  }

  apply(lane: number, request: coherence.ApplyRequest): Promise<TierLane<coherence.ApplyOutcome>> {
    return this.#ask('apply', [], () => this.#tier.apply(lane, request))
  }

  reset(lane: number, options: ResetOptions): Promise<TierLane<coherence.ResetOutcome>> {
    return this.#ask('reset', [], () => this.#tier.reset(lane, options))
  }
}

/** The tier, as it is until a test says otherwise; to be given as a cache's `tier`. */
export function faultyTier(tier: SharedTier, options: FaultyTierOptions): FaultyTier {
  return new FaultyTier(tier, options)
}
