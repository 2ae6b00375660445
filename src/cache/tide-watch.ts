// Watches from outside whether the tide moves: by the lanes' marks alone, since whoever runs it may be stuck in any way.
// While all is well it looks at a few lanes; once these stand still, at all of them.
// Not for: what to do about it (tide-keeper.ts).
import type { Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { generationsEqual } from '../coherence/generation.ts'
import type { LaneState } from '../coherence/lane.ts'
import { compareMarks } from '../coherence/mark.ts'
import type { LaneTier } from '../tier/tier.ts'

export class TideWatch {
  readonly #tier: LaneTier
  readonly #clock: Clock
  readonly #random: Random
  /** By lane, as last seen; null: it had no header. */
  readonly #seen = new Map<number, LaneState | null>()
  #movedAtMs: number
  #still = false

  constructor(tier: LaneTier, clock: Clock, random: Random) {
    this.#tier = tier
    this.#clock = clock
    this.#random = random
    this.#movedAtMs = clock.monotonicMs()
  }

  /**
   * Looks once. Returns for how long no lane that was looked at has moved; 0 while none can be reached, for then nothing is
   * known.
   */
  async look(): Promise<number> {
    const atMs = this.#clock.monotonicMs()
    const answers = await Promise.all(this.#lanes().map(lane => this.#hasMoved(lane)))
    if (answers.includes('moved') || !answers.includes('still')) this.#movedAtMs = atMs
    const stillMs = atMs - this.#movedAtMs
    this.#still = stillMs >= limits.tideStillMs
    return stillMs
  }

  #lanes(): number[] {
    const { lanes } = this.#tier
    if (this.#still) return Array.from({ length: lanes }, (_, lane) => lane)
    // The same few as long as they can be reached, so that there is something to compare with.
    for (const lane of this.#seen.keys()) if (this.#seen.size > limits.tideWatchLanes) this.#seen.delete(lane)
    const chosen = new Set(this.#seen.keys())
    while (chosen.size < Math.min(limits.tideWatchLanes, lanes)) chosen.add(this.#random.below(lanes))
    return [...chosen]
  }

  async #hasMoved(lane: number): Promise<'moved' | 'still' | 'unknown'> {
    let state: LaneState | null
    try {
      state = (await this.#tier.lane(lane)) ?? null
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error
      this.#seen.delete(lane)
      return 'unknown'
    }
    const before = this.#seen.get(lane)
    this.#seen.set(lane, state)
    if (before === undefined || areEqual(before, state)) return 'still'
    return 'moved'
  }
}

function areEqual(a: LaneState | null, b: LaneState | null): boolean {
  if (a === null || b === null) return a === b
  return generationsEqual(a.generation, b.generation) && compareMarks(a.mark, b.mark) === 0
}
