// Whether the lanes of a shared tier are of another epoch than this process's database has: then servers share it that are not
// set up alike, and nothing of it can be used here. Told once, when it has lasted. Not for: what follows from it (the protocol).
import type { Clock } from '../base/clock.ts'
import type { LaneTable } from '../tier/lane-table.ts'

/** While the tide takes lanes to a new epoch they are of two for a moment. */
const LASTING_MS = 3_000

export interface EpochWatchOptions {
  /** Of the database. */
  readonly name: string
  readonly table: Pick<LaneTable, 'state'>
  readonly firstLane: number
  readonly lanes: number
  readonly clock: Clock
  readonly log: (line: string) => void
}

export class EpochWatch {
  /** undefined: there is nothing to tell. */
  trouble: string | undefined
  readonly #options: EpochWatchOptions
  #sinceMs: number | undefined

  constructor(options: EpochWatchOptions) {
    this.#options = options
  }

  /** `epoch` is what the database has just said. */
  look(epoch: bigint): void {
    const { name, clock, log } = this.#options
    const foreign = this.#foreign(epoch)
    if (foreign === 0) {
      this.#sinceMs = undefined
      this.trouble = undefined
      return
    }
    const nowMs = clock.monotonicMs()
    this.#sinceMs ??= nowMs
    if (this.trouble !== undefined || nowMs - this.#sinceMs < LASTING_MS) return
    this.trouble =
      `${foreign} of ${this.#options.lanes} lanes of the tier are of another epoch: servers that share a tier need the same ` +
      'keyspaces, tables, columns and slot of the same database'
    log(`database '${name}': ${this.trouble}`)
  }

  #foreign(epoch: bigint): number {
    const { table, firstLane, lanes } = this.#options
    let foreign = 0
    for (let lane = firstLane; lane < firstLane + lanes; lane++) {
      const state = table.state(lane)
      if (state !== undefined && state.generation.epoch !== epoch) foreign++
    }
    return foreign
  }
}
