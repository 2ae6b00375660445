// A circuit breaker: after so many failures in a row nobody is let through for a while, then one alone, whose outcome decides
// (Nygard, "Release It!", 2007). A state machine: time is given, and nothing is called from here.
//
//   closed     all may pass; `failures` in a row open it
//   open       nobody passes for `halfOpenAfterMs`
//   half-open  one passes: what becomes of it closes or opens. One that is not heard of for as long as that is followed by
//              another, and so is one whose outcome says nothing.
//
// Not for: what counts as a failure, and what is called (guarded-source.ts).

export interface BreakerSettings {
  readonly failures: number
  readonly halfOpenAfterMs: number
}

/** Of one that passed. An outcome counts only in the period in which it passed; a success, also of one that was followed by others. */
export type Pass = number

export class Breaker {
  readonly #settings: BreakerSettings
  #failures = 0
  /** Monotonic ms: until then nobody passes. undefined: closed. */
  #opensAtMs: number | undefined
  #period: Pass = 0
  /** The period in which it opened last: those who pass later are to find out. */
  #openedIn: Pass = 0

  constructor(settings: BreakerSettings) {
    this.#settings = settings
  }

  /** undefined: not now. */
  enter(nowMs: number): Pass | undefined {
    if (this.#opensAtMs === undefined) return this.#period
    if (nowMs < this.#opensAtMs) return undefined
    // Nobody else for as long.
    this.#opensAtMs = nowMs + this.#settings.halfOpenAfterMs
    return ++this.#period
  }

  succeeded(pass: Pass): void {
    const isOpen = this.#opensAtMs !== undefined
    // One that took longer than the time until the next one has found out all the same.
    if (isOpen ? pass <= this.#openedIn : pass !== this.#period) return
    this.#failures = 0
    if (!isOpen) return
    this.#opensAtMs = undefined
    this.#period++
  }

  failed(pass: Pass, nowMs: number): void {
    if (pass !== this.#period) return
    this.#failures++
    if (this.#opensAtMs === undefined && this.#failures < this.#settings.failures) return
    this.#opensAtMs = nowMs + this.#settings.halfOpenAfterMs
    this.#openedIn = ++this.#period
  }

  /** What became of it says nothing: while it is half-open somebody else passes in its place. */
  saidNothing(pass: Pass, nowMs: number): void {
    if (pass === this.#period && this.#opensAtMs !== undefined) this.#opensAtMs = nowMs
  }

  /** Ms until somebody may pass; 0 while it is closed. */
  waitMs(nowMs: number): number {
    return this.#opensAtMs === undefined ? 0 : Math.max(0, this.#opensAtMs - nowMs)
  }
}
