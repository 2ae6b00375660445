// The stamps of what comes from a source without a log: there are no positions, and whoever needs one is told the time instead
// (cache/reader.ts, writer.ts).
import { LOGLESS_EPOCH } from './epoch.ts'
import type { SourceLoadStamp, Stamp, WriteStamp } from './stamp.ts'

// No mark and no record reaches as far: whoever brings a session's ticket is answered by the source itself.
const PAST_ALL_MARKS = 1n

export const LOGLESS_LOAD: SourceLoadStamp = {
  kind: 'load',
  snapshot: { xmin: 0n, xmax: 0n, inProgress: [], exact: true },
  flush: 0n,
  epoch: LOGLESS_EPOCH,
  upto: PAST_ALL_MARKS,
}

export const LOGLESS_WRITE: WriteStamp = { kind: 'write', xid: 0n, at: 0n, epoch: LOGLESS_EPOCH, upto: PAST_ALL_MARKS }

// Fields that say something only where there is a log say here of which edition of its keyspace the value is
// (library/editions.ts). Not `at` or `lsn`, which sessions compare.

/** The stamp of a load that began in this edition of the keyspace; 0: nobody knows in which. */
export function loadIn(edition: bigint, stamp: SourceLoadStamp): SourceLoadStamp {
  return { ...stamp, flush: edition }
}

/** The stamp of a write that began in this edition of the keyspace; 0: nobody knows in which. */
export function writeIn(edition: bigint, stamp: WriteStamp): WriteStamp {
  return { ...stamp, xid: edition }
}

/** Of the keyspace, as the load or the write of this began; 0: nobody knows. */
export function editionOf(stamp: Stamp): bigint {
  return stamp.kind === 'load' ? stamp.flush : stamp.xid
}

/** Of a write that was begun at that wall ms. */
export function loglessWriteAt(wallMs: number): WriteStamp {
  return { ...LOGLESS_WRITE, upto: BigInt(Math.floor(wallMs)) }
}
