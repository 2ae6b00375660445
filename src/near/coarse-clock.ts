// The time as of the latest reading, for times to live: a hit reads no clock. A reading counts until the event loop comes round
// about a millisecond later; so what runs for longer without yielding sees time stand still, and may find an entry that
// has expired meanwhile. Not for: proofs of freshness, which need the exact time.
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'

export interface ClockHearer {
  /** The clock was read, coarsely or exactly; monotonic ms. */
  read(nowMs: number): void
  /** What the coarse time is from now on; Infinity: too old to count. */
  counts(nowMs: number): void
}

export class CoarseClock {
  readonly #clock: Clock
  readonly #hears: ClockHearer
  /** Monotonic ms of the latest reading, and wall ms. */
  readonly #now = new Float64Array(1).fill(Infinity)
  readonly #wall = new Float64Array(1)
  readonly #forget = (): void => {
    this.#now[0] = Infinity
    this.#hears.counts(Infinity)
  }

  constructor(clock: Clock, hears: ClockHearer) {
    this.#clock = clock
    this.#hears = hears
  }

  /** Monotonic ms, at most about a millisecond of idle time old. */
  read(): number {
    const known = this.#now[0]!
    if (known !== Infinity) return known
    this.#clock.timer(limits.nearClockMs, this.#forget, { unref: true })
    const nowMs = this.#clock.monotonicMs()
    this.#now[0] = nowMs
    this.#wall[0] = this.#clock.wallMs()
    this.#hears.read(nowMs)
    this.#hears.counts(nowMs)
    return nowMs
  }

  /** Wall ms, at most as old as `read`'s. */
  readWallMs(): number {
    this.read()
    return this.#wall[0]!
  }

  /** Monotonic ms, exactly. */
  readExactly(): number {
    const nowMs = this.#clock.monotonicMs()
    this.#hears.read(nowMs)
    return nowMs
  }
}
