// The tier of one process that keeps objects: values in the process's object cache, headers beside it, the operations of
// coherence/. All of it in one thread, and every call answers at once. The path of a hit (library/keyspace.ts) looks into the
// object cache by itself: what this tier takes care of is that nothing is there that must not be found.
// Not for: servers, whose threads share bytes (embedded-tier.ts); tiers that processes share.
//
// A lane of this tier is a lane of the object cache: a lane that begins anew gives up all of its entries at once.
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { asOfMs, NO_PROOF, type Sample } from '../coherence/freshness.ts'
import type { Generation } from '../coherence/generation.ts'
import { keyHash, laneOf, laneState, type LaneHeader, type LaneState } from '../coherence/lane.ts'
import * as coherence from '../coherence/operations.ts'
import type { ApplyRequest, Decision } from '../coherence/operations.ts'
import {
  isLive,
  type FenceRecord,
  type LeaseRecord,
  type RecordHead,
  type TierRecord,
  type Token,
} from '../coherence/record.ts'
import { loglessWriteAt } from '../coherence/logless-stamp.ts'
import type { LoadStamp, Stamp, WriteStamp } from '../coherence/stamp.ts'
import type { ObjectPlaces } from '../near/object-places.ts'
import {
  renewed,
  type LeaseOptions,
  type RenewOptions,
  type ResetOptions,
  type Tier,
  type TierLane,
  type TierLease,
  type TierRead,
  type TierValue,
  type TooLarge,
} from './tier.ts'

export interface ObjectTierOptions {
  readonly places: ObjectPlaces
  /** The source's lanes are [firstLane, firstLane + lanes) of the object cache. */
  readonly firstLane: number
  readonly lanes: number
  readonly clock: Clock
}

/** Headers have no home but this memory. */
const SHARD = 'memory'
/** So many leases and fences at least are left alone. */
const SWEEP_FROM = 1_024

export class ObjectTier implements Tier<unknown> {
  readonly lanes: number
  readonly #places: ObjectPlaces
  readonly #firstLane: number
  readonly #clock: Clock
  readonly #headers: (LaneHeader | undefined)[] = []
  /** Leases and fences, by key. A key has one of these or a value, never both. */
  readonly #pending = new Map<string, LeaseRecord | FenceRecord>()
  /** Leases of keys whose values are read meanwhile; where there is no value (any more), they are as others. */
  readonly #renewals = new Map<string, LeaseRecord>()
  #sweepFrom = SWEEP_FROM
  #samples: readonly Sample[] = []

  constructor(options: ObjectTierOptions) {
    this.lanes = options.lanes
    this.#places = options.places
    this.#firstLane = options.firstLane
    this.#clock = options.clock
  }

  read(keys: readonly string[]): TierRead<unknown>[] {
    return keys.map(key => {
      const header = this.#headers[this.laneOf(key)]
      if (header === undefined) return { lane: undefined, record: undefined }
      const record = this.#record(key, header)
      const live = record !== undefined && isLive(record, header, this.#clock.monotonicMs())
      return { lane: laneState(header), record: live ? record : undefined }
    })
  }

  lease(key: string, options: LeaseOptions): TierLease<unknown> {
    const nowMs = this.#clock.monotonicMs()
    const { token, epoch, leaseMs } = options
    const outcome = this.#decide(key, (header, record) =>
      coherence.lease(header, record, { token, epoch, nowMs, untilMs: nowMs + leaseMs }),
    )
    assert(outcome !== 'too-large', 'a lease fits')
    return { outcome, ...this.read([key])[0]! }
  }

  renew(key: string, { token, epoch, leaseMs, than }: RenewOptions): TierLease<unknown> {
    const nowMs = this.#clock.monotonicMs()
    const request = { token, epoch, than, nowMs, untilMs: nowMs + leaseMs }
    const outcome = this.#decide(key, (header, record) => coherence.renew(header, record, request))
    assert(outcome !== 'too-large', 'a lease fits')
    return renewed(outcome, this.read([key])[0]!)
  }

  hold(key: string, token: Token, leaseMs: number): coherence.HoldOutcome {
    const untilMs = leaseMs > 0 ? this.#clock.monotonicMs() + leaseMs : undefined
    // What is kept after its time stays.
    if (untilMs === undefined) return this.#giveBack(key, token)
    const outcome = this.#decide(key, (header, record) => coherence.hold(header, record, { token, untilMs }))
    assert(outcome !== 'too-large', 'a lease fits')
    return outcome
  }

  #giveBack(key: string, token: Token): coherence.HoldOutcome {
    for (const leases of [this.#pending, this.#renewals]) {
      const own = leases.get(key)
      if (own?.type !== 'lease' || own.token !== token) continue
      leases.delete(key)
      return 'held'
    }
    return 'gone'
  }

  fill(key: string, token: Token, value: TierValue<LoadStamp, unknown>): coherence.FillOutcome | TooLarge {
    const { stamp } = value
    return this.#decide(key, (header, record) => coherence.fill(header, record, { token, stamp }), value)
  }

  put(key: string, value: TierValue<WriteStamp, unknown>): coherence.PutOutcome | TooLarge {
    const nowMs = this.#clock.monotonicMs()
    const { stamp } = value
    this.#renewals.delete(key)
    return this.#decide(key, (header, record) => coherence.put(header, record, { key, stamp, nowMs }), value)
  }

  voidKey(key: string): coherence.VoidOutcome {
    const outcome = this.#decide(key, (header, record) => coherence.voidKey(header, record, { key }))
    assert(outcome !== 'too-large', 'a removal fits')
    return outcome
  }

  begin(key: string, id: Token, fenceMs: number): coherence.BeginOutcome {
    const untilMs = this.#clock.monotonicMs() + fenceMs
    const outcome = this.#decide(key, (header, record) => coherence.begin(header, record, { key, id, untilMs }))
    assert(outcome !== 'too-large', 'a fence fits')
    return outcome
  }

  putFenced(key: string, id: Token, value: TierValue<WriteStamp, unknown>): coherence.PutFencedOutcome | TooLarge {
    const { stamp } = value
    return this.#decide(key, (header, record) => coherence.putFenced(header, record, { key, id, stamp }), value)
  }

  lane(lane: number): LaneState | undefined {
    const header = this.#headers[lane]
    return header === undefined ? undefined : laneState(header)
  }

  apply(lane: number, request: ApplyRequest): TierLane<coherence.ApplyOutcome> {
    const header = this.#headers[lane]
    const { outcome, header: next } = coherence.applyToLane(header, request)
    if (header !== undefined && outcome === 'applied') {
      for (const event of request.events) {
        assert(this.laneOf(event.key) === lane, 'an event is applied to its own lane')
        this.#renewals.delete(event.key)
        const record = this.#record(event.key, header)
        // What is kept after its time does not reflect the change either.
        if (record === undefined || coherence.applyToRecord(header, record, event) === 'remove') this.#remove(event.key)
      }
    }
    if (next !== 'keep') this.#setHeader(lane, next)
    return { outcome, lane: this.lane(lane) }
  }

  reset(lane: number, options: ResetOptions): TierLane<coherence.ResetOutcome> {
    const decision = coherence.reset(this.#headers[lane], { ...options, shard: SHARD })
    if (decision.header !== 'keep') {
      // Records are not read for their generation: they are gone.
      this.#places.pool.dropLane(this.#firstLane + lane)
      this.#places.pool.asOfMs[this.#firstLane + lane] = NO_PROOF
      this.#setHeader(lane, decision.header)
    }
    return { outcome: decision.outcome, lane: this.lane(lane) }
  }

  /** The node's samples from now on: the proofs of all lanes follow from them, now and with every step. */
  prove(samples: readonly Sample[]): void {
    this.#samples = samples
    for (let lane = 0; lane < this.lanes; lane++) this.#proveLane(lane)
  }

  /** Takes a proof of the lane, unless it has begun anew since `generation`. */
  setAsOf(lane: number, generation: Generation, asOfMs: number): void {
    if (this.#headers[lane]?.generation.nonce !== generation.nonce) return
    this.#places.pool.asOfMs[this.#firstLane + lane] = asOfMs
  }

  /** A lane, and the monotonic ms as of which it is proved to be true. */
  known(lane: number): { readonly lane: LaneState; readonly asOfMs: number } | undefined {
    const state = this.lane(lane)
    return state && { lane: state, asOfMs: this.#places.pool.asOfMs[this.#firstLane + lane]! }
  }

  /** A key's lane, in [0, lanes). */
  laneOf(key: string): number {
    return laneOf(keyHash(key), this.lanes)
  }

  /** Whoever loads or builds anything of the keyspace now stores nothing. Fences stand. */
  giveUpLeases(keyspace: string): void {
    for (const [key, { type }] of this.#pending) {
      if (type === 'lease' && key.startsWith(`${keyspace}:`)) this.#pending.delete(key)
    }
    for (const key of this.#renewals.keys()) if (key.startsWith(`${keyspace}:`)) this.#renewals.delete(key)
  }

  /** Whoever loads or builds the key now stores nothing. No fence may stand: this is for keys that are never fenced. */
  giveUpPending(keyspace: string, id: string): void {
    if (this.pending === 0) return
    const key = `${keyspace}:${id}`
    this.#pending.delete(key)
    this.#renewals.delete(key)
  }

  /** Leases and fences that stand, and those whose time is over that were not let go of yet. */
  get pending(): number {
    return this.#pending.size + this.#renewals.size
  }

  // Lets go of leases and fences whose time is over, which nobody has asked for since. Their number has doubled since the last
  // time, so that this costs each of them next to nothing.
  #sweep(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const leases of [this.#pending, this.#renewals]) {
      for (const [key, { untilMs }] of leases) if (untilMs <= nowMs) leases.delete(key)
    }
    this.#sweepFrom = Math.max(SWEEP_FROM, 2 * this.pending)
  }

  #setHeader(lane: number, header: LaneHeader): void {
    this.#headers[lane] = header
    this.#proveLane(lane)
  }

  #proveLane(lane: number): void {
    // What was proved of the lane holds on: since then it has only moved forward.
    const { asOfMs: proved } = this.#places.pool
    const at = this.#firstLane + lane
    proved[at] = Math.max(proved[at]!, asOfMs(this.#samples, this.#headers[lane]))
  }

  #decide<Outcome>(
    key: string,
    operation: (header: LaneHeader | undefined, record: RecordHead | undefined) => Decision<Outcome>,
    value?: TierValue<LoadStamp | WriteStamp, unknown>,
  ): Outcome | TooLarge {
    const lane = this.laneOf(key)
    const header = this.#headers[lane]
    const { outcome, record, header: next } = operation(header, header && this.#record(key, header))
    let fits = true
    if (record === 'remove') this.#remove(key)
    else if (record !== 'keep' && record.type === 'renewal') this.#setRenewal(key, record.renewal)
    else if (record !== 'keep') fits = this.#store(key, lane, record, value)
    if (next !== 'keep') this.#setHeader(lane, next)
    return fits ? outcome : 'too-large'
  }

  #store(key: string, lane: number, head: RecordHead, value?: TierValue<LoadStamp | WriteStamp, unknown>): boolean {
    if (head.type === 'lease') {
      // Nothing was there but what is kept after its time, until there is something newer.
      this.#renewals.delete(key)
      this.#pending.set(key, head)
      if (this.pending > this.#sweepFrom) this.#sweep()
      return true
    }
    this.#remove(key)
    if (head.type === 'fence') {
      this.#pending.set(key, head)
      if (this.pending > this.#sweepFrom) this.#sweep()
      return true
    }
    assert(value !== undefined, 'a value comes with its payload')
    return this.#places.put(key, { ...value, lane: this.#firstLane + lane })
  }

  #setRenewal(key: string, renewal: LeaseRecord | undefined): void {
    if (renewal === undefined) this.#renewals.delete(key)
    else this.#renewals.set(key, renewal)
    if (this.pending > this.#sweepFrom) this.#sweep()
  }

  #remove(key: string): void {
    this.#pending.delete(key)
    this.#renewals.delete(key)
    this.#places.remove(key)
  }

  #record(key: string, { generation }: LaneHeader): TierRecord<unknown> | undefined {
    const pending = this.#pending.get(key)
    if (pending !== undefined) return pending
    const renewal = this.#renewals.get(key)
    const held = this.#places.find<Stamp | number>(key)
    if (held === undefined) return renewal
    const { payload, stamp: kept } = held
    const stamp = typeof kept === 'number' ? loglessWriteAt(kept) : kept
    const value = { type: 'value', generation, payload, stamp } as const
    return renewal === undefined ? value : { ...value, renewal }
  }
}
