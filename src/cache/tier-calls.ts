// Calls to a tier that may be slow or gone: each has a bounded wait, and a lane whose tier did not answer is left alone for
// a while, but for one call that finds out whether it is back. What a call that was given up does later is the protocol's
// affair: every operation may come late. A tier in this process's memory answers at once, and nothing here costs it anything.
import type { Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Awaitable } from '../tier/tier.ts'

export class TierCalls {
  readonly #clock: Clock
  /** By lane: when the tier may be asked again; 0: it answers. */
  readonly #askAgainMs: Float64Array

  constructor(lanes: number, clock: Clock) {
    this.#askAgainMs = new Float64Array(lanes)
    this.#clock = clock
  }

  /** What the tier answers; undefined: nothing, in time. */
  call<T>(lane: number, ask: () => Awaitable<T>): Awaitable<T | undefined> {
    const askAgainMs = this.#askAgainMs[lane]!
    if (askAgainMs !== 0) {
      const nowMs = this.#clock.monotonicMs()
      if (nowMs < askAgainMs) return undefined
      // This call finds out; others go on without the tier until it knows.
      this.#askAgainMs[lane] = nowMs + limits.tierTimeoutMs
    }
    const answer = ask()
    if (!(answer instanceof Promise)) {
      this.#askAgainMs[lane] = 0
      return answer
    }
    return this.#wait(lane, answer)
  }

  #wait<T>(lane: number, answer: Promise<T>): Promise<T | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<T | undefined>()
    let inTime = true
    const giveUp = (): void => {
      inTime = false
      this.#leave(lane)
      resolve(undefined)
    }
    // After a turn in which this thread was held up, the answer may be waiting to be read: it gets one more.
    let timer = this.#clock.timer(limits.tierTimeoutMs, () => {
      timer = this.#clock.timer(0, giveUp)
    })
    void answer.then(
      value => {
        timer.cancel()
        // One that answers too late is as good as gone: every call would wait for it in vain.
        if (inTime) this.#askAgainMs[lane] = 0
        resolve(value)
      },
      (error: unknown) => {
        timer.cancel()
        if (inTime) this.#leave(lane)
        if (error instanceof TidemarkError) resolve(undefined)
        else reject(error)
      },
    )
    return promise
  }

  #leave(lane: number): void {
    this.#askAgainMs[lane] = this.#clock.monotonicMs() + limits.tierRetryMs
  }
}
