// What a node can prove of a lane that it has just read from the tier: by its own samples, or by what another thread has
// published for a lane that the one read is no older than.
import { asOfMs, NO_PROOF, type Sample } from '../coherence/freshness.ts'
import { generationsEqual } from '../coherence/generation.ts'
import type { LaneState } from '../coherence/lane.ts'
import { compareMarks } from '../coherence/mark.ts'
import type { LaneTable } from '../tier/lane-table.ts'

/** A lane, and the monotonic ms as of which it was proved to be true. */
export interface LaneProof {
  readonly lane: LaneState
  readonly asOfMs: number
}

export interface Proofs {
  /** To be asked before the tier is. undefined: nothing is known of the lane here. */
  known(lane: number): LaneProof | undefined
  /** The node's own, as of now. */
  samples(): readonly Sample[]
}

/** The latest monotonic ms as of which a lane as read is proved to be true. `known` was asked for before it was read. */
export function proofOf(known: LaneProof | undefined, samples: readonly Sample[], read: LaneState): number {
  return Math.max(carriedOver(known, read), asOfMs(samples, read))
}

// What holds for a lane holds for the same lane further on; not for one that was taken back meanwhile.
function carriedOver(known: LaneProof | undefined, read: LaneState): number {
  if (known === undefined) return NO_PROOF
  if (!generationsEqual(known.lane.generation, read.generation)) return NO_PROOF
  if (compareMarks(known.lane.mark, read.mark) > 0) return NO_PROOF
  return known.asOfMs
}

/** The proofs that a tide or a sampler in another thread publishes in the lane table. */
export class TableProofs implements Proofs {
  readonly #table: LaneTable
  readonly #firstLane: number

  constructor(table: LaneTable, firstLane: number) {
    this.#table = table
    this.#firstLane = firstLane
  }

  known(lane: number): LaneProof | undefined {
    const at = this.#firstLane + lane
    return this.#table.withLane(at, () => {
      const state = this.#table.state(at)
      return state === undefined ? undefined : { lane: state, asOfMs: this.#table.asOf(at) }
    })
  }

  samples(): readonly Sample[] {
    return []
  }
}
