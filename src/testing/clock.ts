// A clock that stands still until a test moves it: both of its times, and the timers that fall due on the way.
import { assert } from '../base/assert.ts'
import type { Clock, Timer } from '../base/clock.ts'

interface Pending {
  readonly dueMs: number
  readonly callback: () => void
}

export class ManualClock implements Clock {
  readonly #wallOffsetMs: number
  #nowMs: number
  /** In the order in which they fire. */
  #pending: Pending[] = []

  /** Starts at `monotonicMs` and `wallMs`. */
  constructor(monotonicMs = 1_000, wallMs = 1_700_000_000_000) {
    this.#nowMs = monotonicMs
    this.#wallOffsetMs = wallMs - monotonicMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return this.#nowMs + this.#wallOffsetMs
  }

  timer(delayMs: number, callback: () => void): Timer {
    const pending = { dueMs: this.#nowMs + Math.max(0, delayMs), callback }
    const after = this.#pending.findIndex(other => other.dueMs > pending.dueMs)
    this.#pending.splice(after === -1 ? this.#pending.length : after, 0, pending)
    return {
      cancel: () => {
        this.#pending = this.#pending.filter(other => other !== pending)
      },
    }
  }

  /** Moves time on by `ms`, stopping at each timer that falls due to call it, those set meanwhile included. */
  advance(ms: number): void {
    assert(ms >= 0, 'time goes forward')
    const endMs = this.#nowMs + ms
    for (;;) {
      const next = this.#pending[0]
      if (next === undefined || next.dueMs > endMs) break
      this.#pending.shift()
      this.#nowMs = next.dueMs
      next.callback()
    }
    this.#nowMs = endMs
  }
}
