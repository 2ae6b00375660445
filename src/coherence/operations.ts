// The operations on a lane, as pure functions from (header, record, request) to a decision: what becomes of the record
// and of the header, what the caller is told, and what is published to near caches. A tier runs each of them as one
// atomic step against all others of the same lane. Why each rule is there: docs/internals/coherence.md.
// Not for: payloads (they pass by untouched), time and randomness (they come in the request), storage.
//
// `header` is always the usable one (lane.ts, usableHeader): when it is missing or another shard's, no operation but
// `reset` has any effect.
import { assert } from '../base/assert.ts'
import { generationsEqual, type Generation } from './generation.ts'
import {
  keyHash,
  laneState,
  noRecentChanges,
  rememberChanges,
  unchangedSince,
  type LaneHeader,
  type LaneState,
} from './lane.ts'
import { compareMarks, type Mark, type Position } from './mark.ts'
import { isLive, leaseOf, type LeaseRecord, type RecordHead, type Token, type ValueHead } from './record.ts'
import { snapshotSees, stampsEqual, type ChangeEvent, type LoadStamp, type Stamp, type WriteStamp } from './stamp.ts'

/** What near caches are told. One that does not continue the lane's generation, sequence and mark means: drop the lane. */
export interface LaneMessage extends LaneState {
  /** The mark before; `mark` is the one after. Equal unless the message is from `apply`. */
  readonly prev: Mark
  /** Changed keys: an entry stays only if its stamp reflects the change (reflectsChange). */
  readonly events: readonly ChangeEvent[]
  /** Keys whose entries leave in any case. */
  readonly voids: readonly string[]
}

/** The value that is there stays as it is, with this renewal; undefined: with none any more. */
export interface RenewalChange {
  readonly type: 'renewal'
  readonly renewal: LeaseRecord | undefined
}

const NO_RENEWAL = { type: 'renewal', renewal: undefined } as const

export interface Decision<Outcome> {
  readonly outcome: Outcome
  /** The record's new head; its payload, if it is a value, is the request's. */
  readonly record: 'keep' | 'remove' | RecordHead | RenewalChange
  readonly header: 'keep' | LaneHeader
  readonly message: LaneMessage | undefined
}

/** What an operation on a whole lane comes to. */
export interface LaneDecision<Outcome> {
  readonly outcome: Outcome
  readonly header: 'keep' | LaneHeader
  readonly message: LaneMessage | undefined
}

export type LeaseOutcome =
  | 'granted'
  /** A value is there: read it. */
  | 'present'
  /** Another one loads the key. */
  | 'leased'
  /** Another one writes the key. */
  | 'fenced'
  | 'other-epoch'
  | 'no-lane'

export interface LeaseRequest {
  readonly token: Token
  /** The epoch that the caller would load from. */
  readonly epoch: bigint
  readonly nowMs: number
  readonly untilMs: number
}

function unchanged<Outcome>(outcome: Outcome): Decision<Outcome> {
  return { outcome, record: 'keep', header: 'keep', message: undefined }
}

// Something has happened to the key, and the value that is there stays all the same.
function unrenewed<Outcome>(outcome: Outcome, present: ValueHead | undefined): Decision<Outcome> {
  return { ...unchanged(outcome), record: present?.renewal === undefined ? 'keep' : NO_RENEWAL }
}

/** Gives the right to fill an absent key. The caller loads after this, and stamps the load with the lane's mark as of now. */
export function lease(
  header: LaneState | undefined,
  record: RecordHead | undefined,
  request: LeaseRequest,
): Decision<LeaseOutcome> {
  if (header === undefined) return unchanged('no-lane')
  const { generation } = header
  if (request.epoch !== generation.epoch) return unchanged('other-epoch')
  if (record !== undefined && isLive(record, header, request.nowMs)) {
    return unchanged(record.type === 'value' ? 'present' : record.type === 'lease' ? 'leased' : 'fenced')
  }
  const { token, untilMs } = request
  return { ...unchanged('granted'), record: { type: 'lease', generation, token, untilMs } }
}

export interface RenewRequest extends LeaseRequest {
  /** Of the value that the caller has: another one that is there is newer, and not renewed. undefined: whatever is there. */
  readonly than?: Stamp | undefined
}

/** Gives the right to fill a key whose value goes on being answered meanwhile; where there is none, as `lease`. */
export function renew(
  header: LaneState | undefined,
  record: RecordHead | undefined,
  request: RenewRequest,
): Decision<LeaseOutcome> {
  const leased = lease(header, record, request)
  if (header === undefined || leased.outcome !== 'present' || record?.type !== 'value') return leased
  const { than, token, untilMs, nowMs } = request
  if (than !== undefined && !stampsEqual(record.stamp, than)) return leased
  const there = record.renewal
  if (there !== undefined && there.token !== token && isLive(there, header, nowMs)) return unchanged('leased')
  const renewal = { type: 'lease', generation: header.generation, token, untilMs } as const
  return { ...unchanged('granted'), record: { type: 'renewal', renewal } }
}

export type HoldOutcome =
  /** The lease is the caller's for longer, or has been given back. */
  | 'held'
  /** It is not there any more: what is loaded under it will not be kept. */
  | 'gone'
  | 'no-lane'

export interface HoldRequest {
  readonly token: Token
  /** undefined: it is given back. */
  readonly untilMs: number | undefined
}

/** Prolongs a lease or renewal whose load is still under way, or gives back one that is not going to be filled. */
export function hold(
  header: LaneState | undefined,
  record: RecordHead | undefined,
  { token, untilMs }: HoldRequest,
): Decision<HoldOutcome> {
  if (header === undefined) return unchanged('no-lane')
  const own = leaseOf(record)
  if (own?.token !== token || !generationsEqual(own.generation, header.generation)) return unchanged('gone')
  if (untilMs === undefined) return { ...unchanged('held'), record: record === own ? 'remove' : NO_RENEWAL }
  const held = { ...own, untilMs }
  return { ...unchanged('held'), record: record === own ? held : { type: 'renewal', renewal: held } }
}

export type FillOutcome =
  | 'filled'
  /** The lease is gone: something happened to the key, or to the lane, since it was taken. */
  | 'refused'
  | 'other-epoch'
  | 'no-lane'

export interface FillRequest {
  readonly token: Token
  readonly stamp: LoadStamp
}

/** Stores what the holder of the lease loaded. Not published: a load changes nothing that others may have read. */
export function fill(
  header: LaneHeader | undefined,
  record: RecordHead | undefined,
  request: FillRequest,
): Decision<FillOutcome> {
  if (header === undefined) return unchanged('no-lane')
  const { generation } = header
  if (request.stamp.epoch !== generation.epoch) return unchanged('other-epoch')
  const own = leaseOf(record)
  if (own?.token !== request.token) return unchanged('refused')
  if (!generationsEqual(own.generation, generation)) return unchanged('refused')
  return { ...unchanged('filled'), record: { type: 'value', generation, stamp: request.stamp } }
}

export type PutOutcome =
  | 'stored'
  /** A later change of the key may have been applied already. An older value or a lease was removed. */
  | 'late'
  /** The value there reflects this write, or a later one: it stays. */
  | 'newer'
  /** The value there may or may not reflect this write: it was removed. */
  | 'uncertain'
  /** Another one writes the key under a fence. */
  | 'fenced'
  | 'other-epoch'
  | 'no-lane'

export interface PutRequest {
  readonly key: string
  readonly stamp: WriteStamp
  readonly nowMs: number
}

/** Stores the row that a committed write returned, unless something later may have happened to it. */
export function put(
  header: LaneHeader | undefined,
  record: RecordHead | undefined,
  request: PutRequest,
): Decision<PutOutcome> {
  if (header === undefined) return unchanged('no-lane')
  const { key, stamp, nowMs } = request
  const { generation } = header
  if (stamp.epoch !== generation.epoch) return unchanged('other-epoch')
  if (record?.type === 'fence' && isLive(record, header, nowMs)) return unchanged('fenced')
  const present = record?.type === 'value' && isLive(record, header, nowMs) ? record : undefined
  const age = present === undefined ? 'older' : ageAgainst(present.stamp, stamp)
  const published = publishPut(header, key, stamp)

  if (!putIsInTime(header, key, stamp)) {
    const outdated = record?.type === 'lease' || (present !== undefined && (age === 'older' || age === 'uncertain'))
    return outdated ? { outcome: 'late', record: 'remove', ...published } : unrenewed('late', present)
  }
  if (age === 'newer') return unrenewed('newer', present)
  if (age === 'uncertain') return { outcome: 'uncertain', record: 'remove', ...published }
  return { outcome: 'stored', record: { type: 'value', generation, stamp }, ...published }
}

/** Whether no change of the key after the one that returned the row can have been applied to the lane yet. */
function putIsInTime(header: LaneHeader, key: string, stamp: WriteStamp): boolean {
  const { mark, recent } = header
  // A part of the transaction after the mark is applied: its change of this very key may be in that part.
  if (mark.sub !== 0n && stamp.at <= mark.sub) return false
  return mark.lsn < stamp.at || unchangedSince(recent, keyHash(key), stamp.at, stamp.xid)
}

/** How old a value is against a write of the same key: 'same' is what that very statement returned. */
function ageAgainst(stamp: Stamp, write: WriteStamp): 'older' | 'same' | 'newer' | 'uncertain' {
  if (stamp.kind === 'write') return stamp.at > write.at ? 'newer' : stamp.at < write.at ? 'older' : 'same'
  const sees = snapshotSees(stamp.snapshot, write.xid)
  return sees === 'yes' ? 'newer' : sees === 'no' ? 'older' : 'uncertain'
}

function publishPut(header: LaneHeader, key: string, stamp: WriteStamp): Pick<Decision<never>, 'header' | 'message'> {
  return publish(header, { events: [{ key, xid: stamp.xid, lsn: stamp.at, change: stamp.at }], voids: [] })
}

/** The next message of the lane, its mark unmoved. */
function publish(
  header: LaneHeader,
  content: Pick<LaneMessage, 'events' | 'voids'>,
): Pick<Decision<never>, 'header' | 'message'> {
  const next = { ...header, sequence: header.sequence + 1 }
  return { header: next, message: { ...laneState(next), prev: next.mark, ...content } }
}

export type VoidOutcome = 'voided' | 'no-lane'

/** Removes a key's value and voids its lease: for a write whose result in the database is not known for sure. */
export function voidKey(
  header: LaneHeader | undefined,
  record: RecordHead | undefined,
  request: { readonly key: string },
): Decision<VoidOutcome> {
  if (header === undefined) return unchanged('no-lane')
  const published = publish(header, { events: [], voids: [request.key] })
  // A fence holds no content and keeps others from loading: it stays.
  return { outcome: 'voided', record: record?.type === 'fence' ? 'keep' : 'remove', ...published }
}

export type BeginOutcome = 'fenced' | 'no-lane'

export interface BeginRequest {
  readonly key: string
  readonly id: Token
  readonly untilMs: number
}

/** Before a write to a source without a log: whatever is there makes way for a fence. */
export function begin(
  header: LaneHeader | undefined,
  _record: RecordHead | undefined,
  request: BeginRequest,
): Decision<BeginOutcome> {
  if (header === undefined) return unchanged('no-lane')
  const { key, id, untilMs } = request
  const fence = { type: 'fence', generation: header.generation, id, untilMs } as const
  return { outcome: 'fenced', record: fence, ...publish(header, { events: [], voids: [key] }) }
}

export type PutFencedOutcome =
  | 'stored'
  /** The fence is gone: others wrote or loaded meanwhile, and nobody knows in which order. The record was removed. */
  | 'voided'
  | 'other-epoch'
  | 'no-lane'

export interface PutFencedRequest {
  readonly key: string
  readonly id: Token
  readonly stamp: WriteStamp
}

/** After a write to a source without a log: the value takes the place of its own fence, or nothing stays there at all. */
export function putFenced(
  header: LaneHeader | undefined,
  record: RecordHead | undefined,
  request: PutFencedRequest,
): Decision<PutFencedOutcome> {
  if (header === undefined) return unchanged('no-lane')
  const { key, id, stamp } = request
  const { generation } = header
  if (stamp.epoch !== generation.epoch) return unchanged('other-epoch')
  const published = publish(header, { events: [], voids: [key] })
  const own = record?.type === 'fence' && record.id === id && generationsEqual(record.generation, generation)
  if (!own) return { outcome: 'voided', record: 'remove', ...published }
  return { outcome: 'stored', record: { type: 'value', generation, stamp }, ...published }
}

export type ApplyOutcome =
  | 'applied'
  /** The lane is of another generation or at another mark: start again from the one it is at. */
  | 'mismatch'
  | 'no-lane'

export interface ApplyRequest {
  readonly generation: Generation
  readonly prev: Mark
  /** After `prev`. With a `sub`, the events are a part of one transaction, the next after `next.lsn`. */
  readonly next: Mark
  /** All changes of the lane's keys between `prev` and `next`. */
  readonly events: readonly ChangeEvent[]
}

/** Moves the lane's mark. When this says 'applied', each event's record is subject to applyToRecord in the same step. */
export function applyToLane(header: LaneHeader | undefined, request: ApplyRequest): LaneDecision<ApplyOutcome> {
  const { generation, prev, next, events } = request
  assert(compareMarks(prev, next) < 0, 'apply moves a mark forward')
  const inTransaction = next.sub !== 0n
  for (const event of events) {
    assert(event.lsn > prev.lsn, 'an applied change was committed after the mark')
    assert(inTransaction === event.lsn > next.lsn, 'a whole batch ends at its mark; a chunk is of the next transaction')
    assert(!inTransaction || event.xid === events[0]!.xid, 'a chunk holds one transaction')
  }
  if (header === undefined) return { outcome: 'no-lane', header: 'keep', message: undefined }
  if (!generationsEqual(generation, header.generation) || compareMarks(prev, header.mark) !== 0) {
    return { outcome: 'mismatch', header: 'keep', message: undefined }
  }
  const recent = rememberChanges(header.recent, events)
  const moved = { ...header, mark: next, sequence: header.sequence + 1, recent }
  return { outcome: 'applied', header: moved, message: { ...laneState(moved), prev, events, voids: [] } }
}

/**
 * What an applied change makes of the record under its key: only a value that surely reflects the change stays, and its
 * renewal does not.
 */
export function applyToRecord(
  header: LaneHeader,
  record: RecordHead,
  event: ChangeEvent,
): 'keep' | 'remove' | RenewalChange {
  if (record.type === 'fence') return 'keep'
  if (record.type === 'lease' || !generationsEqual(record.generation, header.generation)) return 'remove'
  if (!reflectsChange(record.stamp, event)) return 'remove'
  return record.renewal === undefined ? 'keep' : NO_RENEWAL
}

/** Whether a value with this stamp surely reflects the change, or something later. */
export function reflectsChange(stamp: ValueHead['stamp'], event: ChangeEvent): boolean {
  if (stamp.kind === 'write') {
    // Its own transaction may have changed the key again after the row was returned (a trigger, a later statement).
    return (stamp.xid === event.xid && event.change < stamp.at) || event.lsn <= stamp.at
  }
  // A crashed database gives transaction ids that were never flushed out again: seen means seen and flushed.
  return event.lsn <= stamp.lsn || (snapshotSees(stamp.snapshot, event.xid) === 'yes' && event.lsn <= stamp.flush)
}

export type ResetOutcome = 'reset' | 'mismatch'

export interface ResetRequest {
  /** The lane as the caller last saw it; undefined when there was no usable header. */
  readonly expected: Pick<LaneState, 'generation' | 'mark'> | undefined
  /** Everything visible at or before it is visible to every load from now on; no change up to it will be applied. */
  readonly to: Position
  /** A new one, its nonce freshly drawn. */
  readonly generation: Generation
  /** The primary that this runs on. */
  readonly shard: string
}

/** Starts the lane anew: all that it holds reads as absent. Compare and set, so that a late one has no effect. */
export function reset(header: LaneHeader | undefined, request: ResetRequest): LaneDecision<ResetOutcome> {
  const { expected, to, generation, shard } = request
  const asExpected =
    header === undefined || expected === undefined
      ? header === expected
      : generationsEqual(expected.generation, header.generation) && compareMarks(expected.mark, header.mark) === 0
  if (!asExpected) return { outcome: 'mismatch', header: 'keep', message: undefined }
  assert(header === undefined || !generationsEqual(generation, header.generation), 'a reset draws a new generation')
  const mark = { lsn: to, sub: 0n }
  const sequence = header === undefined ? 0 : header.sequence + 1
  const next: LaneHeader = { generation, sequence, mark, shard, recent: noRecentChanges(to) }
  return { outcome: 'reset', header: next, message: { ...laneState(next), prev: mark, events: [], voids: [] } }
}
