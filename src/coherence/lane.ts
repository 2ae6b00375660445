// Lanes: the partitions that marks belong to, and the header that each of them has. The header and all records of a lane
// live and die together (one hash slot, one process), so that what is lost of one is lost of the other.
// Not for: the operations on a lane (operations.ts) and where headers are stored (tier/).
import { hash32 } from '../base/hash.ts'
import { limits } from '../base/limits.ts'
import type { Generation } from './generation.ts'
import type { Mark, Position } from './mark.ts'
import type { ChangeEvent } from './stamp.ts'

/** One change that was applied to the lane. */
export interface RecentChange {
  readonly keyHash: number
  /** The commit's end position. */
  readonly lsn: Position
  readonly xid: bigint
  /** The position of the transaction's last change to the key. */
  readonly change: Position
}

/** The last changes applied, oldest first: what tells a late put from an outdated one. */
export interface RecentChanges {
  /** At most `limits.recentChangesMax`. */
  readonly changes: readonly RecentChange[]
  /** Every change applied with an lsn above this is in `changes`. */
  readonly completeFrom: Position
}

/** What a reader needs of a lane. */
export interface LaneState {
  readonly generation: Generation
  /** Counts the lane's messages, so that a near cache notices one that is missing. */
  readonly sequence: number
  readonly mark: Mark
}

export interface LaneHeader extends LaneState {
  /** The id of the primary that the header was written on. On any other one it is worth nothing. */
  readonly shard: string
  readonly recent: RecentChanges
}

/** The hash that places a key in its lane and stands for it in `recent`: the same in every process. */
export function keyHash(key: string): number {
  const bytes = Buffer.from(key)
  return keyHashOf(bytes, 0, bytes.length)
}

/** The same of a key as UTF-8, bytes[start, end). */
export function keyHashOf(bytes: Uint8Array, start: number, end: number): number {
  return hash32(bytes, start, end, 0)
}

/** The lane, in [0, lanes), of a key with this hash (`keyHash`, a signed 32-bit integer). */
export function laneOf(hash: number, lanes: number): number {
  return (hash >>> 0) % lanes
}

/** The header, if it may be used at all: it is there, and was written on this very shard. */
export function usableHeader(header: LaneHeader | undefined, shard: string): LaneHeader | undefined {
  return header !== undefined && header.shard === shard ? header : undefined
}

/** The header without what only the operations need. */
export function laneState(header: LaneHeader): LaneState {
  return { generation: header.generation, sequence: header.sequence, mark: header.mark }
}

/** An empty list, for a lane in which everything up to `lsn` is reflected. */
export function noRecentChanges(lsn: Position): RecentChanges {
  return { changes: [], completeFrom: lsn }
}

/** The list with `events` added. The oldest leave when it is full, and `completeFrom` moves up to them. */
export function rememberChanges(recent: RecentChanges, events: readonly ChangeEvent[]): RecentChanges {
  if (events.length === 0) return recent
  const changes = [...recent.changes]
  for (const { key, lsn, xid, change } of events) changes.push({ keyHash: keyHash(key), lsn, xid, change })
  let completeFrom = recent.completeFrom
  const tooMany = Math.max(0, changes.length - limits.recentChangesMax)
  for (const gone of changes.splice(0, tooMany)) if (gone.lsn > completeFrom) completeFrom = gone.lsn
  return { changes, completeFrom }
}

/**
 * Whether the list proves that the key was not changed after `at` by another transaction, nor by `xid` itself after the row
 * was read back at `at`. Two keys of one hash count as one: that refuses a put, and never takes a wrong one.
 */
export function unchangedSince(recent: RecentChanges, hash: number, at: Position, xid: bigint): boolean {
  if (recent.completeFrom > at) return false
  for (const change of recent.changes) {
    if (change.keyHash !== hash || change.lsn <= at) continue
    if (change.xid !== xid || change.change >= at) return false
  }
  return true
}
