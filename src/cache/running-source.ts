// What a source's thread runs, whatever the database: the source, its tide, and what they tell. Not for: how threads talk
// (source-thread-main.ts).
import type { Position } from '../coherence/mark.ts'
import type { KeyspaceDescription, Source } from '../source/source.ts'
import type { FeedNews } from './source-messages.ts'
import type { SourceStatus } from './source-status.ts'

export interface RunningSource {
  readonly source: Source
  describe(): readonly KeyspaceDescription[]
  /** The feed, where it is told in messages: where it is now, and what makes it tell how far it is true, at once. */
  readonly feed?: { readonly end: Position; poll(): void }
  status(): Promise<SourceStatus>
  /** Finishes what is under way, gives up the log, and closes. */
  stop(): Promise<void>
}

/** What is told to whoever started the thread. */
export interface SourceEvents {
  /** For people. */
  log(line: string): void
  /** The epoch, or how the keyspaces look, may be another now. */
  altered(): void
  /** What the feed says, for those who keep their lanes themselves. */
  told(news: FeedNews): void
  /** So many lanes were begun anew, and what was in memory of them given up. */
  reset(lanes: number, reason: string): void
}

/** Counts resets, and remembers the latest. */
export class ResetLog {
  count = 0
  last: SourceStatus['lastReset']

  add(reason: string, wallMs: number): void {
    this.count++
    this.last = { reason, wallMs }
  }
}
