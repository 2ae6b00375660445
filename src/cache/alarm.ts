// What a loop waits on: a ring, or some time on the clock, whichever is first. Nothing is kept for one that does not wait
// yet: look first, then wait, with no await between the two.
import type { Clock } from '../base/clock.ts'

export class Alarm {
  readonly #clock: Clock
  readonly #waiting = new Set<() => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves at the next ring, or after `ms`. */
  wait(ms: number = Infinity): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = ms === Infinity ? undefined : this.#clock.timer(ms, () => wake())
    const wake = (): void => {
      timer?.cancel()
      this.#waiting.delete(wake)
      resolve()
    }
    this.#waiting.add(wake)
    return promise
  }

  ring(): void {
    for (const wake of this.#waiting) wake()
  }
}
