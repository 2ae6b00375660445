// The headers of lanes that no tide carries: those of sources without a log. Any process gives a lane its header, by compare
// and set, when it finds none that is usable: the lane is new, lost it, or has another primary. What the lane held then is void,
// and that is the point: fences and leases that a lost primary gave out, and removals that it was told of, are not known to the
// one that took over.
//
// Lanes belong to one source. All sources without a log share one epoch (coherence/epoch.ts), so that they share lanes; a header
// of any other epoch is that of a database with a log, whose lanes are never touched here. Keyspaces of both kinds over the
// same servers take a prefix each.
// Not for: noticing that a header is gone (logless-tier.ts).
import { TidemarkError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { LOGLESS_EPOCH } from '../coherence/epoch.ts'
import type { LaneState } from '../coherence/lane.ts'
import type { Tier } from '../tier/tier.ts'

export interface LoglessLanesOptions {
  readonly tier: Pick<Tier<never>, 'lanes' | 'lane' | 'reset'>
  readonly random: Random
}

export class LoglessLanes {
  readonly #tier: LoglessLanesOptions['tier']
  readonly #random: Random
  readonly #mending = new Map<number, Promise<LaneState | undefined>>()

  constructor(options: LoglessLanesOptions) {
    this.#tier = options.tier
    this.#random = options.random
  }

  /**
   * Gives every lane a header that has none. Rejects with TIER_MISMATCH when a lane belongs to a source with a log; not because
   * the tier does not answer: lanes get their headers when they are used.
   */
  async begin(): Promise<void> {
    await Promise.all(Array.from({ length: this.#tier.lanes }, (_, lane) => this.#begin(lane)))
  }

  async #begin(lane: number): Promise<void> {
    try {
      const state = (await this.#tier.lane(lane)) ?? (await this.mend(lane))
      if (state !== undefined && !isLogless(state)) throw this.mismatch(lane)
    } catch (error) {
      if (!isUnavailable(error)) throw error
    }
  }

  /**
   * A lane that was found without a header gets one, of this call or of whoever was faster. Resolves to the lane as it is then,
   * which may be another source's; to undefined when the tier does not answer.
   */
  mend(lane: number): Promise<LaneState | undefined> {
    let mending = this.#mending.get(lane)
    if (mending === undefined) {
      mending = this.#reset(lane).finally(() => this.#mending.delete(lane))
      this.#mending.set(lane, mending)
    }
    return mending
  }

  async #reset(lane: number): Promise<LaneState | undefined> {
    const generation = { epoch: LOGLESS_EPOCH, nonce: this.#random.uint32() }
    try {
      return (await this.#tier.reset(lane, { expected: undefined, to: 0n, generation })).lane
    } catch (error) {
      if (isUnavailable(error)) return undefined
      throw error
    }
  }

  /** What whoever finds another source's lane is to tell. */
  mismatch(lane: number): TidemarkError {
    return new TidemarkError(
      'TIER_MISMATCH',
      `lane ${lane} of the shared memory belongs to a database with a log of changes; keyspaces without one need lanes of ` +
        `their own: on a Valkey another prefix, of Tidemark servers another one`,
    )
  }
}

/** Whether the lane is one of sources without a log. */
export function isLogless(lane: LaneState): boolean {
  return lane.generation.epoch === LOGLESS_EPOCH
}

function isUnavailable(error: unknown): boolean {
  return error instanceof TidemarkError && error.code === 'TIER_UNAVAILABLE'
}
