// A clock that a test moves by hand: nothing that waits on it happens before `advance` says so, and everything that is
// due happens in order. Not for: real I/O, which takes the time it takes.
import { fail } from 'node:assert/strict'
import { assert } from '../base/assert.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { afterThisTurn } from '../base/turn.ts'
import { parseDuration, type Duration } from '../config/units.ts'

/** What is asynchronous is given so many turns of the event loop to be done with what a moment has brought about. */
const TURNS = 3

/** Milliseconds, or a duration such as '10m'. */
export type Span = number | Exclude<Duration, 0>

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
  #numbers = 0

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
   * Moves both clocks on by so much (`'10m'`, or milliseconds) and runs all timers that fall due, in order, each at its own time;
   * also those that these set up. What they do asynchronously happens later: await it, or let the time `pass`.
   * Throws OPTION_INVALID.
   */
  advance(by: Span): void {
    const until = this.#monotonicMs + msOf(by)
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#moveTo(next.dueMs)
      this.#run(next)
    }
    this.#moveTo(until)
  }

  /**
   * As `advance`, and what timers set going asynchronously is done before time goes on: a call that is tried again after a pause
   * is tried again at its time. So is what is under way already: `pass(0)` lets everything happen that needs no time. Not for
   * real I/O, which is not waited for. Rejects with OPTION_INVALID.
   */
  async pass(by: Span): Promise<void> {
    await this.#pass(this.#monotonicMs + msOf(by), () => false)
  }

  /**
   * Lets as much time pass as `call` takes to settle, and comes to what it comes to: for calls that wait for a while by
   * themselves, as those of two caches over one tier do for one another. Rejects with an AssertionError when it takes longer
   * than `most`.
   */
  async until<T>(call: Promise<T>, most: Span = '1m'): Promise<T> {
    let settled = false
    const settle = (): void => {
      settled = true
    }
    call.then(settle, settle)
    await this.#pass(this.#monotonicMs + msOf(most), () => settled)
    return settled ? call : fail(`the call is still under way after ${most} of a clock moved by hand`)
  }

  async #pass(until: number, over: () => boolean): Promise<void> {
    await turns()
    for (let next = this.#next(until); next !== undefined && !over(); next = this.#next(until)) {
      this.#moveTo(next.dueMs)
      this.#run(next)
      await turns()
    }
    if (!over()) this.#moveTo(until)
  }

  /** 0, 1, 2 and so on: what several of those who share the clock tell themselves apart by. */
  number(): number {
    return this.#numbers++
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

function msOf(by: Span): number {
  const ms = typeof by === 'string' ? parseDuration(by) : by
  if (ms !== undefined && ms >= 0) return ms
  const allowed = `milliseconds from 0 on, or a duration such as '10m': time goes forward (jumpWall moves the wall clock alone)`
  throw new TidemarkError('OPTION_INVALID', `a clock is moved by ${JSON.stringify(by)}; allowed is ${allowed}`)
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise<void>(afterThisTurn)
}
