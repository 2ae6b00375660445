// What a position is: a place in the write-ahead log, or where there is no access to that, in the order of transaction ids.
//
//   publication   LSNs, as numbers
//   outbox        transaction X takes up ((X - 1) * 2^24, X * 2^24]. X's own is its end. A mark of X says that all transactions
//                 up to X are over and reflected, so it moves up to the oldest one in progress, and no further
//
// With an outbox a written row's `at` lies behind all transactions that were over when its statement began: of these, and of no
// others, it is sure that they changed the row before, if at all. A transaction with a larger id may have changed it before,
// and one with a smaller id after.
// Not for: comparing them.
import type { PostgresLog } from './postgres-options.ts'

/** Bits of an outbox position below the transaction id. */
export const OUTBOX_SHIFT = 24n

/** SQL for an LSN as a number. */
export function lsnSql(lsn: string): string {
  return `(${lsn} - '0/0')::text`
}

/** SQL for a position that everything visible to this statement lies at or before. */
export function nowSql(log: PostgresLog): string {
  if (log.kind === 'publication') return lsnSql('pg_current_wal_insert_lsn()')
  return `((pg_snapshot_xmax(pg_current_snapshot())::text::int8 - 1) << ${OUTBOX_SHIFT})::text`
}

/** SQL for a position up to which nothing is lost in a crash. With an outbox a crash is another epoch, and nothing else is needed. */
export function flushedSql(log: PostgresLog): string {
  return log.kind === 'publication' ? lsnSql('pg_current_wal_flush_lsn()') : nowSql(log)
}

/** SQL, in RETURNING, for a position behind the returned change of the row and all before it. */
export function atSql(log: PostgresLog): string {
  if (log.kind === 'publication') return lsnSql('pg_current_wal_insert_lsn()')
  return `(((pg_snapshot_xmin(pg_current_snapshot())::text::int8 - 1) << ${OUTBOX_SHIFT}) + ${1n << (OUTBOX_SHIFT - 1n)})::text`
}
