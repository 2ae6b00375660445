// Positions and marks. A position is a place in a source's change log (Postgres: a commit's end LSN; SQLite: a counter);
// a lane's mark says up to which position everything is reflected in it.

/** 64-bit, only ever compared. */
export type Position = bigint

/**
 * Everything committed up to `lsn` is reflected and, of the next transaction, its changes up to `sub` (0n when none).
 * Marks are compared as pairs; a freshness proof uses `lsn` alone.
 */
export interface Mark {
  readonly lsn: Position
  readonly sub: Position
}

export function compareMarks(a: Mark, b: Mark): -1 | 0 | 1 {
  if (a.lsn !== b.lsn) return a.lsn < b.lsn ? -1 : 1
  if (a.sub !== b.sub) return a.sub < b.sub ? -1 : 1
  return 0
}
