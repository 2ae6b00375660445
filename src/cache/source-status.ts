// What a source's thread tells of itself and of its lanes when it is asked: for commands and metrics, not for decisions. Plain
// data that travels between threads. Not for: proving anything (coherence/freshness.ts).
import type { LaneState } from '../coherence/lane.ts'
import type { Position } from '../coherence/mark.ts'
import type { LaneTable } from '../tier/lane-table.ts'

export interface LaneStatus {
  readonly lane: number
  /** undefined: no usable header, and so nothing known. */
  readonly state: LaneState | undefined
  /** How long ago the instant is that the lane is proved to be true as of; undefined: nothing is proved. */
  readonly ageMs: number | undefined
  /** Where the lane is; undefined: not known. */
  readonly shard: string | undefined
}

export interface SourceStatus {
  readonly name: string
  readonly kind: 'sqlite' | 'postgres'
  readonly epoch: bigint
  /** How far the database's log has come; undefined: it did not say. */
  readonly position: Position | undefined
  /** What this process does about the tide: 'runs' it, 'waits' to take it over, or 'seeks' to begin. */
  readonly tide: 'runs' | 'waits' | 'seeks'
  /** Why it does not run where that is not as it should be; undefined: all is well. */
  readonly trouble: string | undefined
  /** Lanes that this process has begun anew, and why the last time. */
  readonly resets: number
  readonly lastReset: { readonly reason: string; readonly wallMs: number } | undefined
  readonly lanes: readonly LaneStatus[]
}

/** The lanes [first, first + lanes) of the table as it is now. */
export function lanesOf(table: LaneTable, first: number, lanes: number, nowMs: number, shard: string): LaneStatus[] {
  return Array.from({ length: lanes }, (_, lane) => {
    const at = first + lane
    const state = table.withLane(at, () => table.state(at))
    const asOfMs = table.asOf(at)
    return { lane, state, ageMs: Number.isFinite(asOfMs) ? nowMs - asOfMs : undefined, shard }
  })
}

/** How far the lane's mark is behind the database's log, in positions; undefined: not known. */
export function lagOf(position: Position | undefined, state: LaneState | undefined): bigint | undefined {
  if (position === undefined || state === undefined) return undefined
  return position > state.mark.lsn ? position - state.mark.lsn : 0n
}
