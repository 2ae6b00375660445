// The stamps of what comes from a source without a log: there are no positions, and whoever needs one is told the time instead
// (cache/reader.ts, writer.ts).
import { LOGLESS_EPOCH } from './epoch.ts'
import type { SourceLoadStamp, WriteStamp } from './stamp.ts'

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
