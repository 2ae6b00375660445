// A feed that tells of itself, inside its own process, what changed: for a database that is embedded, where a commit is
// known, visible and told in one step. The log of a database elsewhere is change-feed.ts.
import type { Position } from '../coherence/mark.ts'
import type { ChangeEvent } from '../coherence/stamp.ts'

/** What is told, in the order of the log. */
export interface FeedHandler {
  /** These are all changes after the last position told and up to `position`, all visible to new queries. */
  changes(position: Position, events: readonly ChangeEvent[]): void
  /** Something changed and nobody knows what: nothing loaded before is to be trusted. */
  reset(position: Position, reason: string): void
  /** Everything visible at `takenAtMs` (monotonic, taken before asking) lies at or before `position`. */
  sample(takenAtMs: number, position: Position): void
}

export interface PushedFeed {
  readonly epoch: bigint
  /** How far the log has come: nothing at or before it is told to those who subscribe now. */
  readonly end: Position
  subscribe(handler: FeedHandler): void
}
