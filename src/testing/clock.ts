// A clock that a test moves by hand: nothing that waits on it happens before `advance` says so, and everything that is
// due happens in order. Not for: real I/O, which takes the time it takes.
import { assert } from '../base/assert.ts'
import type { Clock, Timer } from '../base/clock.ts'

interface Pending {
  readonly dueMs: number
  readonly order: number
  readonly callback: () => void
}

export class ManualClock implements Clock {
  #monotonicMs: number
  #wallMs: number
  #pending: Pending[] = []
  #order = 0

  /** Both times are where the clock stands at first. */
  constructor(monotonicMs = 1_000_000, wallMs = 1_700_000_000_000) {
    this.#monotonicMs = monotonicMs
    this.#wallMs = wallMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  wallMs(): number {
    return this.#wallMs
  }

  /** Timers that have not run yet. */
  get pending(): number {
    return this.#pending.length
  }

  /**
   * A timer of 0 ms needs no time to pass, so it runs by itself, in a microtask. A callback never runs inside the call
   * that set it up.
   */
  timer(delayMs: number, callback: () => void, _options?: { unref?: boolean }): Timer {
    assert(!Number.isNaN(delayMs), 'a timer has a delay')
    const pending = { dueMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, callback }
    this.#pending.push(pending)
    if (delayMs <= 0) queueMicrotask(() => this.#run(pending))
    return { cancel: () => void this.#remove(pending) }
  }

  /**
   * Moves both clocks on by `ms` and runs all timers that fall due, in order, each at its own time; also those that
   * these set up. What they do asynchronously happens later: await it.
   */
  advance(ms: number): void {
    assert(ms >= 0, 'time goes forward; jumpWall moves the wall clock alone')
    const until = this.#monotonicMs + ms
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#moveTo(next.dueMs)
      this.#run(next)
    }
    this.#moveTo(until)
  }

  /** Moves the wall clock alone, either way, as an administrator or a suspended machine does. */
  jumpWall(ms: number): void {
    this.#wallMs += ms
  }

  #moveTo(ms: number): void {
    const by = Math.max(0, ms - this.#monotonicMs)
    this.#monotonicMs += by
    this.#wallMs += by
  }

  #next(until: number): Pending | undefined {
    let first: Pending | undefined
    for (const pending of this.#pending) {
      if (pending.dueMs > until) continue
      const earlier =
        first === undefined ||
        pending.dueMs < first.dueMs ||
        (pending.dueMs === first.dueMs && pending.order < first.order)
      if (earlier) first = pending
    }
    return first
  }

  #run(pending: Pending): void {
    if (this.#remove(pending)) pending.callback()
  }

  #remove(pending: Pending): boolean {
    const at = this.#pending.indexOf(pending)
    if (at >= 0) this.#pending.splice(at, 1)
    return at >= 0
  }
}
