// What may be confirmed to the database, which then forgets it: what every lane has applied, and not before a while has
// passed. A tier's failover takes lanes back to where a replica was; what they lost is then read again.
// Not for: what a lane has applied (lane-worker.ts).
import { limits } from '../base/limits.ts'
import type { Position } from '../coherence/mark.ts'

/** So many positions are remembered at most. */
const STEPS = 64

export class TideRetention {
  #reached: { readonly atMs: number; readonly position: Position }[] = []
  #confirmed: Position

  constructor(confirmed: Position) {
    this.#confirmed = confirmed
  }

  /** Every lane is at `position` or past it. Returns what may be confirmed now, if that is more than before. */
  reached(nowMs: number, position: Position): Position | undefined {
    const last = this.#reached.at(-1)
    if (last === undefined || nowMs - last.atMs >= limits.tideRetentionMs / STEPS) {
      this.#reached.push({ atMs: nowMs, position })
    }
    let confirmable = this.#confirmed
    while (this.#reached.length > 0) {
      const oldest = this.#reached[0]!
      if (nowMs - oldest.atMs < limits.tideRetentionMs) break
      if (oldest.position > confirmable) confirmable = oldest.position
      this.#reached.shift()
    }
    // A failover has taken a lane back meanwhile.
    if (confirmable > position) confirmable = position
    if (confirmable <= this.#confirmed) return undefined
    this.#confirmed = confirmable
    return confirmable
  }
}
