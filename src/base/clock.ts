// Time, passed in everywhere. This is the one file (with random.ts) that may touch Date.now, performance.now
// and the global timers; everything else takes a Clock, so that a test moves time by hand.

export interface Timer {
  cancel(): void
}

export interface Clock {
  /**
   * Milliseconds, with fractions, on CLOCK_MONOTONIC: the same scale in every thread and process of this machine,
   * never set back. It stops while the machine is suspended (wallMs does not).
   */
  monotonicMs(): number
  /** Milliseconds since 1970-01-01 UTC; may jump. Expiry times of keys are on this scale, as in Redis. */
  wallMs(): number
  /**
   * Calls `callback` once, after at least `delayMs`; 0 is the event loop's next turn. An unreferenced timer does not
   * keep the process alive.
   */
  timer(delayMs: number, callback: () => void, options?: { unref?: boolean }): Timer
}

class SystemClock implements Clock {
  // performance.now() counts from the start of its own thread; hrtime counts on the machine's scale but makes an
  // array at each call. Both tick on CLOCK_MONOTONIC, so one difference, taken once, maps the first to the second.
  readonly #offsetMs: number

  constructor() {
    const before = performance.now()
    const [seconds, nanoseconds] = process.hrtime()
    const after = performance.now()
    this.#offsetMs = seconds * 1000 + nanoseconds / 1e6 - (before + after) / 2
  }

  monotonicMs(): number {
    return performance.now() + this.#offsetMs
  }

  wallMs(): number {
    return Date.now()
  }

  timer(delayMs: number, callback: () => void, options?: { unref?: boolean }): Timer {
    if (delayMs <= 0) {
      // setTimeout waits for a millisecond at least.
      const handle = setImmediate(callback)
      if (options?.unref === true) handle.unref()
      return { cancel: () => clearImmediate(handle) }
    }
    const handle = setTimeout(callback, delayMs)
    if (options?.unref === true) handle.unref()
    return { cancel: () => clearTimeout(handle) }
  }
}

/** The machine's own clock. Make one a thread and pass it on. */
export function systemClock(): Clock {
  return new SystemClock()
}

/** Resolves after at least `ms` on `clock`. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise(resolve => {
    clock.timer(ms, resolve)
  })
}

/** Stops the thread that calls, with its event loop, for so long: for DEBUG SLEEP. */
export function blockThread(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
