// Where the shared records live: what every tier does, embedded or on a cluster. A tier stores headers, records and
// payloads and runs the operations of coherence/operations.ts; it decides nothing itself. testing/tier-contract.ts is the
// suite that every tier must pass.
//
// Atomic: each call on one key, and each call on one lane, is one step against all others of that lane. `read` of several
// keys is one step a key. Nothing is retried inside: a refusal is an outcome, an unreachable tier rejects.
//
// Times given are durations, counted on the tier's own clock. Payloads and stamps are the tier's own after a call, and
// the caller may use its buffers again; payloads that come back may be shared and are not written to. A payload is bytes,
// unless a tier keeps objects (`V`).
import type { Generation } from '../coherence/generation.ts'
import type { LaneState } from '../coherence/lane.ts'
import type { Position } from '../coherence/mark.ts'
import type {
  ApplyOutcome,
  ApplyRequest,
  BeginOutcome,
  FillOutcome,
  HoldOutcome,
  LaneMessage,
  LeaseOutcome,
  PutFencedOutcome,
  PutOutcome,
  ResetOutcome,
  VoidOutcome,
} from '../coherence/operations.ts'
import type { TierRecord, Token } from '../coherence/record.ts'
import type { LoadStamp, Stamp, WriteStamp } from '../coherence/stamp.ts'

/** A tier over local memory answers at once, one over the network later. */
export type Awaitable<T> = T | Promise<T>

/** A record and its lane, as they were at one instant. */
export interface TierRead<V = Uint8Array> {
  /** undefined: the lane has no usable header; there is no record then, and no proof of anything. */
  readonly lane: LaneState | undefined
  /** Of the lane's generation, and not expired; undefined when there is none. */
  readonly record: TierRecord<V> | undefined
}

/**
 * What a lease came to, and what is there after it, as of one instant: the lease if it was granted, the value, lease or fence
 * that was there before if not. The mark of a granted lease's lane goes into the load's stamp.
 */
export interface TierLease<V = Uint8Array> extends TierRead<V> {
  readonly outcome: LeaseOutcome
}

/** What an operation on a lane came to, and the lane after it: where to start again from after a mismatch. */
export interface TierLane<Outcome> {
  readonly outcome: Outcome
  readonly lane: LaneState | undefined
}

/** The value does not fit the tier; whatever was under the key is removed. */
export type TooLarge = 'too-large'

export interface TierValue<Stamp, V = Uint8Array> {
  /** null: the source has no such key, and that is worth knowing. */
  readonly payload: V | null
  readonly stamp: Stamp
  /** Without it the record stays until it is evicted. */
  readonly ttlMs?: number
}

export interface LeaseOptions {
  readonly token: Token
  /** The epoch that the caller would load from. */
  readonly epoch: bigint
  readonly leaseMs: number
}

export interface RenewOptions extends LeaseOptions {
  /** Of the value that the caller has; another one that is there is newer, and comes back. undefined: whatever is there. */
  readonly than?: Stamp | undefined
}

export interface ResetOptions {
  /** The lane as it was last seen; undefined when it had no usable header. */
  readonly expected: Pick<LaneState, 'generation' | 'mark'> | undefined
  readonly to: Position
  /** A new one, its nonce freshly drawn. */
  readonly generation: Generation
}

/** What a near cache hears of the lanes. */
export interface LaneListener {
  /** Messages of one lane come in the order in which the tier published them, unless some are lost on the way. */
  message(lane: number, message: LaneMessage): void
  /** Messages of these lanes may have been lost (a reconnect, another primary): nothing near may be trusted any more. */
  lost(lanes: readonly number[]): void
}

export interface LaneSubscription {
  close(): Awaitable<void>
}

/** What `renew` answers: a value that the caller has need not come back. */
export function renewed<V>(outcome: LeaseOutcome, { lane, record }: TierRead<V>): TierLease<V> {
  const known = record?.type === 'value' && (outcome === 'granted' || outcome === 'leased')
  return { outcome, lane, record: known ? undefined : record }
}

/** The shared records of one deployment. Keys are whole keys, their keyspace's prefix included. */
export interface Tier<V = Uint8Array> {
  /** How many lanes there are; a key's is laneOf(keyHash(key), lanes). */
  readonly lanes: number
  /** In the order of `keys`. */
  read(keys: readonly string[]): Awaitable<readonly TierRead<V>[]>
  /** Leases the key if nothing is there, and reads it, in one step: a look and a lease in one trip. */
  lease(key: string, options: LeaseOptions): Awaitable<TierLease<V>>
  /**
   * Leases a key whose value is read meanwhile, for one who loads it anew before that has to be. Where its time is over before
   * it is filled, it is the lease that others wait for. Where no value is there, or another one than the caller has: as `lease`.
   * `renewed` says what comes back otherwise.
   */
  renew(key: string, options: RenewOptions): Awaitable<TierLease<V>>
  /** Prolongs a lease, or what `renew` gave, from now on; 0: it is given back. */
  hold(key: string, token: Token, leaseMs: number): Awaitable<HoldOutcome>
  /** Stores a load under the lease that it was made for; `stamp.lsn` is the mark that the lease came with. */
  fill(key: string, token: Token, value: TierValue<LoadStamp, V>): Awaitable<FillOutcome | TooLarge>
  /** Stores what a committed write returned. Of several writes of a key in one transaction: the last one only. */
  put(key: string, value: TierValue<WriteStamp, V>): Awaitable<PutOutcome | TooLarge>
  /** Removes the key's value and voids its lease. */
  voidKey(key: string): Awaitable<VoidOutcome>
  /** For a source without a log: before the write. */
  begin(key: string, id: Token, fenceMs: number): Awaitable<BeginOutcome>
  /** For a source without a log: after the write. */
  putFenced(key: string, id: Token, value: TierValue<WriteStamp, V>): Awaitable<PutFencedOutcome | TooLarge>
  /** The lane's state; undefined without a usable header. */
  lane(lane: number): Awaitable<LaneState | undefined>
  /** Applies a batch of the feed: every event's key belongs to this lane. */
  apply(lane: number, request: ApplyRequest): Awaitable<TierLane<ApplyOutcome>>
  reset(lane: number, options: ResetOptions): Awaitable<TierLane<ResetOutcome>>
}

/** What carries a tier's lanes along needs of it, whatever is in its records. */
export type LaneTier = Pick<Tier<unknown>, 'lanes' | 'lane' | 'apply' | 'reset'>

/** A tier that other processes share, and so one with near caches in front of it. */
export interface SharedTier<V = Uint8Array> extends Tier<V> {
  /**
   * Tells the listener of every lane's messages from when this resolves. What was missed before, and whatever is missed
   * between two messages, shows in their generation, sequence and mark.
   */
  subscribe(listener: LaneListener): Awaitable<LaneSubscription>
  close(): Promise<void>
}
