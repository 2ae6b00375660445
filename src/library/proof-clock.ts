// The time by which proofs are judged, at each call. Two clocks are needed: the monotonic one, on which proofs are dated, and
// the wall clock, which shows that the machine was suspended. Reading a clock takes as long as all the rest of a hit; so the
// wall clock, which stands still for no suspension, is read at each call, and the monotonic one again only when the wall
// clock has moved. What is given is never earlier than the monotonic clock, and at most a millisecond later.
//
// It would be earlier only if the wall clock were set back by exactly as long as the process has not run meanwhile, to the
// millisecond.
// Not for: times to live (near/coarse-clock.ts).
import type { Clock } from '../base/clock.ts'
import type { SuspendWatch } from '../cache/suspend-watch.ts'

/** The finest step of the wall clock. */
const STEP_MS = 1

const WALL = 0
const NOW = 1
const TRUSTED = 2

export class ProofClock {
  readonly #clock: Clock
  readonly #watch: SuspendWatch
  readonly #onJump: () => void
  /** Numbers of a class's fields are boxed, which a call would feel: what WALL, NOW and TRUSTED name, in ms. */
  readonly #times = Float64Array.of(NaN, 0, -Infinity)

  /** `onJump` is called when all proofs of before are void. */
  constructor(clock: Clock, watch: SuspendWatch, onJump: () => void) {
    this.#clock = clock
    this.#watch = watch
    this.#onJump = onJump
  }

  /** Monotonic ms: now, or up to a millisecond later. */
  nowMs(): number {
    const wallMs = this.#clock.wallMs()
    if (wallMs !== this.#times[WALL]) this.#read(wallMs)
    return this.#times[NOW]!
  }

  /**
   * The bound, no further back than a suspension of the machine: what was proved before it may turn up as a proof after it, by
   * samples that nobody has dropped yet. To be asked after `nowMs`.
   */
  trustedMs(boundMs: number): number {
    const sinceMs = this.#times[NOW]! - this.#times[TRUSTED]!
    return sinceMs < boundMs ? sinceMs : boundMs
  }

  #read(wallMs: number): void {
    const monotonicMs = this.#clock.monotonicMs()
    this.#times[WALL] = wallMs
    this.#times[NOW] = monotonicMs + STEP_MS
    const jumped = this.#watch.jumped(monotonicMs, wallMs)
    // Others may have asked the watch before.
    this.#times[TRUSTED] = this.#watch.trustedFromMs
    if (jumped) this.#onJump()
  }
}
