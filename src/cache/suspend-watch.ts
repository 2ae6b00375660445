// Notices that the machine was suspended: the monotonic clock stood still then, and all that it says of ages is too young.
// The wall clock did not, so the two are further apart afterwards. (They are slewed alike; a wall clock that is set looks
// the same, and costs a moment without proofs.) To be asked with the time of every batch or call, never by a timer: the
// first thing to run after a suspension may be a read.
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'

export class SuspendWatch {
  readonly #clock: Clock
  #apartMs: number
  /** Monotonic ms: what was proved as of an earlier time counts for nothing. */
  trustedFromMs: number = -Infinity

  constructor(clock: Clock) {
    this.#clock = clock
    this.#apartMs = clock.wallMs() - clock.monotonicMs()
  }

  /** Ms that the machine was suspended since this, or `jumped`, was asked last: the wall clock is so much further. */
  slept(monotonicMs: number, wallMs: number): number {
    const beforeMs = this.#apartMs
    return this.jumped(monotonicMs, wallMs) ? Math.max(0, this.#apartMs - beforeMs) : 0
  }

  /** Both clocks as just read. True when they have jumped apart since the last time. */
  jumped(monotonicMs: number, wallMs: number): boolean {
    if (Math.abs(wallMs - monotonicMs - this.#apartMs) <= limits.clockJumpMs) return false
    // The thread may have lost its core between the two readings; twice in a row is no accident.
    const againMs = this.#clock.monotonicMs()
    const apartMs = this.#clock.wallMs() - againMs
    if (Math.abs(apartMs - this.#apartMs) <= limits.clockJumpMs) return false
    this.#apartMs = apartMs
    // The clock may have stood still at this very moment: nothing of before has a later time than this.
    this.trustedFromMs = againMs + 1
    return true
  }
}
