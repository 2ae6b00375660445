// Records: what a lane holds under a key. The operations decide on a record's head alone and never look at the payload,
// so a tier may keep the two apart.
import type { Random } from '../base/random.ts'
import { generationsEqual, type Generation } from './generation.ts'
import type { LaneState } from './lane.ts'
import type { Stamp } from './stamp.ts'

/** 64 random bits: the proof of having taken a lease or set a fence. Never drawn twice. */
export type Token = bigint

/** A value, or the knowledge that there is none; the payload is kept beside it. */
export interface ValueHead {
  readonly type: 'value'
  readonly generation: Generation
  readonly stamp: Stamp
  /** Someone loads the key anew while this value is answered; what voids a lease voids it. Over with its own time. */
  readonly renewal?: LeaseRecord
}

/** Someone is loading the key; only the holder of the token may fill it, until anything happens to the key. */
export interface LeaseRecord {
  readonly type: 'lease'
  readonly generation: Generation
  readonly token: Token
  /** On the tier's own clock. From then on others may take the lease; the holder may fill until one does. */
  readonly untilMs: number
}

/** Someone is writing the key to a source without a log; nobody may take a lease while the fence lives. */
export interface FenceRecord {
  readonly type: 'fence'
  readonly generation: Generation
  readonly id: Token
  /** On the tier's own clock. */
  readonly untilMs: number
}

export type RecordHead = ValueHead | LeaseRecord | FenceRecord

/** `V` is what a payload is: bytes, or objects in a tier or a near cache that keeps those. */
export interface ValueRecord<V = Uint8Array> extends ValueHead {
  /** null: the source has no such key. */
  readonly payload: V | null
}

export type TierRecord<V = Uint8Array> = ValueRecord<V> | LeaseRecord | FenceRecord

/** Whether the record counts: it is of the lane's generation and, if a lease or a fence, its time is not over. */
export function isLive(record: RecordHead, lane: LaneState, nowMs: number): boolean {
  if (!generationsEqual(record.generation, lane.generation)) return false
  return record.type === 'value' || record.untilMs > nowMs
}

/** The lease that the record is, or that it carries; undefined: neither. */
export function leaseOf(record: RecordHead | undefined): LeaseRecord | undefined {
  if (record?.type === 'value') return record.renewal
  return record?.type === 'lease' ? record : undefined
}

export function randomToken(random: Random): Token {
  return (BigInt(random.uint32()) << 32n) | BigInt(random.uint32())
}
