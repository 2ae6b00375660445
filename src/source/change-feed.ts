// A source's log of changes, as the tide reads it: whole transactions in the order of their commits, before anything is
// known of their visibility. The tide waits for that, cuts large transactions, moves the marks and confirms (cache/tide.ts).
// Not for: loading and writing rows (source.ts).
import type { Position } from '../coherence/mark.ts'
import type { ChangeEvent } from '../coherence/stamp.ts'

/** One committed transaction. */
export interface FeedTransaction {
  readonly kind: 'transaction'
  readonly xid: bigint
  /** The end of its commit. Later items have a higher one. */
  readonly lsn: Position
  /** Its last change of each key, all with this `xid` and `lsn`. Empty for a heartbeat. */
  readonly events: readonly ChangeEvent[]
}

/** A transaction of which nobody knows what it changed: TRUNCATE, another shape of a table, more keys than are kept. */
export interface FeedReset {
  readonly kind: 'reset'
  readonly xid: bigint
  readonly lsn: Position
  /** For the log and the metrics. */
  readonly reason: string
}

export type FeedItem = FeedTransaction | FeedReset

/** The transactions that queries see from a given instant on. All of those in progress are named. */
export interface FeedSnapshot {
  readonly xmin: bigint
  readonly xmax: bigint
  readonly inProgress: readonly bigint[]
}

export interface FeedStart {
  /** Of the database, its timeline and its uninterrupted run, and of how lanes and keyspaces are laid out. */
  readonly epoch: bigint
  /** What was told as confirmed, as the database has it: nothing at or before it may be told again. */
  readonly confirmed: Position
  /** The end of the database's log: a mark past it is of another history. */
  readonly flushed: Position
}

/**
 * One reader's hold on the log. There is one holder at a time; `open` rejects with FEED_TAKEN while another one holds it.
 * Every method rejects with FEED_LOST once the hold is gone, for whatever reason; then the reader closes it, and
 * makes and opens a new one.
 */
export interface ChangeFeed {
  /**
   * Takes the log, once in the life of this object. Transactions after `from`, or after what is confirmed if that is later,
   * are told. undefined: from there. Whoever reads from the same place is told the same transactions with the same changes.
   */
  open(from: Position | undefined): Promise<FeedStart>
  /** The next items, at least one, in the order of the log; waits for them. Nothing more is read until it is asked again. */
  next(): Promise<readonly FeedItem[]>
  /** What new queries see now. */
  snapshot(): Promise<FeedSnapshot>
  /**
   * Commits a small transaction of its own, durable wherever commits have to be before they are visible; it comes back as an
   * item without events.
   */
  heartbeat(): Promise<void>
  /** Nothing at or before `position` will be asked for again: the database may forget it. */
  confirm(position: Position): void
  /** Before `open`: ends whoever holds the log, for one that has stopped moving. `open` may find it taken for a moment yet. */
  evict(): Promise<void>
  close(): Promise<void>
}
