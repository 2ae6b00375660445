// Stamps: what a record knows of its own age. A write knows its transaction and where in the log it stood; a load knows
// which transactions its snapshot saw.
import { limits } from '../base/limits.ts'
import type { Position } from './mark.ts'

/** Which transactions a query saw: all below xmin, none from xmax on, and between them all but those in progress. */
export interface Snapshot {
  readonly xmin: bigint
  readonly xmax: bigint
  /** At most 16; empty with `exact: false` when there were more, and then only those below xmin count as seen. */
  readonly inProgress: readonly bigint[]
  readonly exact: boolean
}

export interface WriteStamp {
  readonly kind: 'write'
  readonly xid: bigint
  /** The log's insert position when the written row was read back, inside the transaction. */
  readonly at: Position
  /** Fingerprint of the database's identity and timeline; positions of different epochs never compare. */
  readonly epoch: bigint
  /** An insert position read after the fact, for sessions. */
  readonly upto: Position
}

export interface LoadStamp {
  readonly kind: 'load'
  readonly snapshot: Snapshot
  /** The log's flushed position, read after the snapshot. */
  readonly flush: Position
  /** The lane's mark when the lease was taken. */
  readonly lsn: Position
  readonly epoch: bigint
  readonly upto: Position
}

export type Stamp = WriteStamp | LoadStamp

/** What a source knows of a load; the cache adds the mark at the lease. */
export type SourceLoadStamp = Omit<LoadStamp, 'lsn'>

/** One key's change in the log. Of several changes by one transaction only the last counts: its position is `change`. */
export interface ChangeEvent {
  /** The whole key, its keyspace's prefix included. */
  readonly key: string
  readonly xid: bigint
  /** The commit's end position. */
  readonly lsn: Position
  /** The position of the transaction's last change to this key. */
  readonly change: Position
}

/** Whether a snapshot sees a transaction: 'maybe' only where it is not exact. */
export function snapshotSees(snapshot: Snapshot, xid: bigint): 'yes' | 'no' | 'maybe' {
  if (xid < snapshot.xmin) return 'yes'
  if (xid >= snapshot.xmax) return 'no'
  if (!snapshot.exact) return 'maybe'
  return snapshot.inProgress.includes(xid) ? 'no' : 'yes'
}

/** Whether both are of one and the same write or load, as far as stamps tell. */
export function stampsEqual(a: Stamp, b: Stamp): boolean {
  if (a.epoch !== b.epoch || a.upto !== b.upto) return false
  if (a.kind === 'write') return b.kind === 'write' && a.xid === b.xid && a.at === b.at
  return b.kind === 'load' && a.lsn === b.lsn && a.flush === b.flush && snapshotsEqual(a.snapshot, b.snapshot)
}

function snapshotsEqual(a: Snapshot, b: Snapshot): boolean {
  if (a.xmin !== b.xmin || a.xmax !== b.xmax || a.exact !== b.exact) return false
  return a.inProgress.length === b.inProgress.length && a.inProgress.every((xid, i) => xid === b.inProgress[i])
}

/** A snapshot as a stamp may hold it: one with too many transactions in progress keeps xmin alone. */
export function boundedSnapshot(xmin: bigint, xmax: bigint, inProgress: readonly bigint[]): Snapshot {
  if (inProgress.length > limits.snapshotInProgressMax) return { xmin, xmax, inProgress: [], exact: false }
  return { xmin, xmax, inProgress, exact: true }
}
