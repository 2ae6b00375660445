// Keys whose load failed lately: with which error, and until when it is not tried again. The first failure costs nobody a
// pause but who loads in the background; from the second in a row on, all wait, longer each time.
// Not for: a source that fails for all keys (breaker.ts); attempts of one load (guarded-source.ts).
import { sleep, type Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'

interface Failed {
  /** Which of all failures it is. */
  readonly number: number
  readonly error: unknown
  readonly failures: number
  /** Monotonic ms. */
  readonly pauseUntilMs: number
  /** Until then the error is the answer. */
  readonly cachedUntilMs: number
}

export class FailedLoads {
  readonly #clock: Clock
  readonly #random: Random
  readonly #cacheMs: number
  /** The oldest come first. */
  readonly #byId = new Map<string, Failed>()
  #failures = 0

  /** `cacheMs`: how long a load that failed is answered with its error; 0: not at all. */
  constructor(clock: Clock, random: Random, cacheMs: number) {
    this.#clock = clock
    this.#random = random
    this.#cacheMs = cacheMs
  }

  /** Whether it failed a moment ago: who has something else to answer does not try again now. */
  isPaused(id: string): boolean {
    const failed = this.#byId.get(id)
    if (failed === undefined) return false
    const nowMs = this.#clock.monotonicMs()
    return nowMs < failed.pauseUntilMs || nowMs < failed.cachedUntilMs
  }

  /** Resolves when the key may be loaded; undefined: now. Throws the error that is the answer meanwhile. */
  wait(id: string): Promise<void> | undefined {
    const failed = this.#byId.get(id)
    if (failed === undefined) return undefined
    const nowMs = this.#clock.monotonicMs()
    if (nowMs < failed.cachedUntilMs) throw failed.error
    if (failed.failures === 1 || nowMs >= failed.pauseUntilMs) return undefined
    return sleep(this.#clock, failed.pauseUntilMs - nowMs)
  }

  /** To be called before a load, for when it fails. */
  begin(): number {
    return this.#failures
  }

  /**
   * All who waited for one load may say so: those that began before the last failure of the key was told count with it.
   * `pauses`: trying again soon is in vain.
   */
  failed(id: string, error: unknown, began: number, pauses: boolean): void {
    const before = this.#byId.get(id)
    if ((before !== undefined && began < before.number) || (!pauses && this.#cacheMs === 0)) return
    const nowMs = this.#clock.monotonicMs()
    const isRecent = before !== undefined && nowMs < before.pauseUntilMs + limits.failedLoadForgetMs
    const failures = isRecent ? before.failures + 1 : 1
    const longestMs = Math.min(limits.failedLoadPauseMaxMs, limits.failedLoadPauseMs * 2 ** (failures - 1))
    // Those who wait for different keys of one source fall out of step.
    const pauseMs = pauses ? longestMs * (0.5 + this.#random.fraction() / 2) : 0
    this.#byId.delete(id)
    if (this.#byId.size >= limits.failedLoadsMax) this.#forgetOldest()
    this.#byId.set(id, {
      number: ++this.#failures,
      error,
      failures,
      pauseUntilMs: nowMs + pauseMs,
      cachedUntilMs: nowMs + this.#cacheMs,
    })
  }

  /** It went well, or was written: what failed before says nothing any more. */
  forget(id: string): void {
    if (this.#byId.size > 0) this.#byId.delete(id)
  }

  clear(): void {
    this.#byId.clear()
  }

  #forgetOldest(): void {
    for (const id of this.#byId.keys()) {
      this.#byId.delete(id)
      return
    }
  }
}
