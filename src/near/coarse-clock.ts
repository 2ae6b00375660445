// The time as of the latest reading, for times to live: a hit reads no clock. A reading counts until the event loop comes round
// about a millisecond later; so what runs for longer without yielding sees time stand still, and may find an entry that
// has expired meanwhile. Not for: proofs of freshness, which need the exact time.
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'

export class CoarseClock {
  /** Monotonic ms of the latest reading; Infinity when it is too old, so that nothing compares as later. Read-only outside. */
  readonly now: Float64Array = new Float64Array(1).fill(Infinity)
  readonly #clock: Clock
  /** Wall ms of that reading. */
  readonly #wall = new Float64Array(1)
  readonly #onReading: (nowMs: number) => void
  readonly #forget = (): void => {
    this.now[0] = Infinity
  }

  /** `onReading` is called with each new reading. */
  constructor(clock: Clock, onReading: (nowMs: number) => void) {
    this.#clock = clock
    this.#onReading = onReading
  }

  /** Monotonic ms, at most about a millisecond of idle time old. */
  read(): number {
    const known = this.now[0]!
    if (known !== Infinity) return known
    this.#clock.timer(limits.nearClockMs, this.#forget, { unref: true })
    const nowMs = this.#clock.monotonicMs()
    this.now[0] = nowMs
    this.#wall[0] = this.#clock.wallMs()
    this.#onReading(nowMs)
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
    this.#onReading(nowMs)
    return nowMs
  }
}
