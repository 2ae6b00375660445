// How long to wait before the next attempt: twice as long each time, up to a limit, each between half of it and all of it,
// so that those who wait for the same thing fall out of step.
import type { Random } from '../base/random.ts'

export class Backoff {
  readonly #random: Random
  readonly #firstMs: number
  readonly #maxMs: number
  #nextMs: number

  constructor(random: Random, firstMs: number, maxMs: number) {
    this.#random = random
    this.#firstMs = firstMs
    this.#maxMs = maxMs
    this.#nextMs = firstMs
  }

  nextMs(): number {
    const ms = this.#nextMs
    this.#nextMs = Math.min(2 * ms, this.#maxMs)
    return ms * (0.5 + this.#random.fraction() / 2)
  }

  /** It went well: the next wait is a short one again. */
  reset(): void {
    this.#nextMs = this.#firstMs
  }
}
