// The gate: a commit is in the log before others can see it (long before, where commits wait for a standby). A change that
// is applied in between voids what is in memory, and the next load brings the old row back under a mark that says
// otherwise. So nothing is applied, and no position is taken for a first mark, before all up to it is visible.
// Not for: taking snapshots and waiting between them (cache/tide-term.ts).
import { snapshotSees, type Snapshot } from './stamp.ts'

/** A snapshot that names every transaction in progress, as a feed gives it. */
export type FullSnapshot = Pick<Snapshot, 'xmin' | 'xmax' | 'inProgress'>

/**
 * How many transactions at the head of `log` may be applied: all of them are seen, by this snapshot and so by every later one.
 * One that is visible behind one that is not has to wait: a mark past it would cover both.
 */
export function visibleAtHead(log: readonly { readonly xid: bigint }[], snapshot: FullSnapshot): number {
  const exact = { ...snapshot, exact: true }
  let visible = 0
  while (visible < log.length && snapshotSees(exact, log[visible]!.xid) === 'yes') visible++
  return visible
}

/**
 * A position that was chosen before the first of several snapshots is settled, everything committed at or before it
 * visible to all queries from then on, once this comes back empty: it is given the transactions in progress in the first
 * snapshot (`inProgress`), then what it returned and each later snapshot.
 */
export function unsettled(waiting: readonly bigint[], snapshot: FullSnapshot): readonly bigint[] {
  const exact = { ...snapshot, exact: true }
  return waiting.filter(xid => snapshotSees(exact, xid) !== 'yes')
}
