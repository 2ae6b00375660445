// How often a look at the tier has found nothing lately: whether it pays to have the next one lease what it does not find.
// A lease with every look saves a miss one trip, and costs the tier more than a read does: a function instead of an MGET.
// Not for: metrics, which count everything.
import { limits } from '../base/limits.ts'

export class AbsenceShare {
  #share = 0

  /** Looks that lease pay. */
  get isHigh(): boolean {
    return this.#share >= limits.absentShareMin
  }

  /** What a look found: nothing, or anything at all. The last few dozens count, the latest most. */
  count(absent: boolean): void {
    this.#share += ((absent ? 1 : 0) - this.#share) / limits.absentShareLooks
  }
}
