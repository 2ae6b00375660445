// What the tide tells of itself, for the metrics and the log. Nothing that it does depends on who listens.
import type { Position } from '../coherence/mark.ts'
import type { FeedStart } from '../source/change-feed.ts'

/** How a term ended: one hold on the log, from opening it to closing it. */
export type TermEnd =
  /** Another one holds the log. */
  | { readonly kind: 'taken' }
  /** The log could not be opened, or the hold on it is gone. */
  | { readonly kind: 'lost'; readonly error: unknown }
  /** The log is not the one that the lanes were taken for: it is to be read from what is confirmed of it. */
  | { readonly kind: 'elsewhere' }
  /** A lane needs more of the log than this term has read: it is to be read again from there. */
  | { readonly kind: 'behind' }
  /** Lanes of another epoch turned up: another tide, of another history of the database, has begun them anew. */
  | { readonly kind: 'superseded' }
  /** The tier is not what this tide was made for. */
  | { readonly kind: 'refused'; readonly error: unknown }
  | { readonly kind: 'stopped' }

export interface TideObserver {
  /** The log is this process's from here on. */
  opened(start: FeedStart, from: Position | undefined): void
  ended(end: TermEnd): void
  /** All that the lane held is given up. */
  reset(lane: number, reason: string): void
  /** So many changes were applied to the lane; the oldest was told by the log so long before. Not called for none. */
  applied(lane: number, changes: number, waitedMs: number): void
  /** The lane was not where this tide had left it: a failover took it back, or another one moved it. */
  mismatch(lane: number): void
  /** The tier, or the database for a snapshot or a heartbeat, could not be asked; it will be asked again. */
  retry(lane: number | undefined, error: unknown): void
  /** No lane can begin before so many transactions are over that were under way when the log was opened. */
  unsettled(transactions: number): void
  /** At each heartbeat: how long the oldest change waits that was told and is not in all lanes yet; 0 when there is none. */
  lag(ms: number): void
}
