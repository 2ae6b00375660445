// How often threads died lately: a few are replaced, too many mean that something is wrong for good.
// Not for: replacing them.
import { limits } from '../base/limits.ts'

const MINUTE_MS = 60_000

export class DeathCount {
  readonly #timesMs: number[] = []

  /** One more, at this monotonic time. Returns whether there are too many within a minute now. */
  add(nowMs: number): boolean {
    this.#timesMs.push(nowMs)
    while (this.#timesMs[0]! < nowMs - MINUTE_MS) this.#timesMs.shift()
    return this.#timesMs.length > limits.threadDeathsPerMinuteMax
  }
}
