// Processes: each has a clock of its own, may be stopped (SIGSTOP, a blocked event loop), suspended with its machine (its
// monotonic clock stands still, the wall clock does not), and die. What comes while it does not run waits.
// Not for: what goes on between processes (network.ts).
import type { Clock, Timer } from '../../src/base/clock.ts'
import type { VirtualTime } from './virtual-time.ts'

const WALL_BEGINS_MS = 1_700_000_000_000

class ProcessClock implements Clock {
  readonly #process: SimProcess
  readonly #time: VirtualTime
  readonly #originMs: number
  wallJumpMs = 0
  suspendedMs = 0

  constructor(process: SimProcess, time: VirtualTime, originMs: number) {
    this.#process = process
    this.#time = time
    this.#originMs = originMs
  }

  monotonicMs(): number {
    return this.#time.nowMs - this.suspendedMs + this.#originMs
  }

  wallMs(): number {
    // In whole milliseconds, as the system's.
    return Math.floor(WALL_BEGINS_MS + this.#time.nowMs + this.wallJumpMs)
  }

  timer(delayMs: number, callback: () => void): Timer {
    const dueMs = this.monotonicMs() + Math.max(0, delayMs)
    let cancelled = false
    const fire = (): void => {
      if (cancelled) return
      this.#process.enter(() => {
        if (cancelled) return
        // The monotonic clock may have stood still meanwhile.
        const leftMs = dueMs - this.monotonicMs()
        if (leftMs > 1e-6) this.#time.after(leftMs, fire)
        else callback()
      })
    }
    const scheduled = this.#time.after(delayMs, fire)
    return {
      cancel: () => {
        cancelled = true
        scheduled.callback = undefined
      },
    }
  }

  worldMs(monotonicMs: number): number {
    return monotonicMs - this.#originMs
  }
}

export class SimProcess {
  readonly name: string
  alive = true
  /** When it went on after it was stopped last, in the simulation's time. */
  wentOnMs = -Infinity
  readonly #time: VirtualTime
  readonly #clock: ProcessClock
  readonly #deaths: (() => void)[] = []
  readonly #suspensions: { readonly monotonicMs: number; readonly lastedMs: number }[] = []
  #held: (() => void)[] | undefined
  #stops = 0
  #suspended: { readonly sinceMs: number; readonly monotonicMs: number } | undefined
  #suspends = 0

  constructor(name: string, time: VirtualTime, originMs: number) {
    this.name = name
    this.#time = time
    this.#clock = new ProcessClock(this, time, originMs)
  }

  get clock(): Clock {
    return this.#clock
  }

  get running(): boolean {
    return this.alive && this.#held === undefined
  }

  /** Something comes to the process: it happens now, when the process runs again, or never. */
  enter(callback: () => void): void {
    if (!this.alive) return
    if (this.#held !== undefined) this.#held.push(callback)
    else callback()
  }

  /** Stops the process; the function returned lets it go on. */
  stop(): () => void {
    this.#held ??= []
    this.#stops++
    let over = false
    return () => {
      if (over) return
      over = true
      if (--this.#stops === 0) this.#goOn()
    }
  }

  /** Suspends the process' machine; the function returned wakes it. */
  suspend(): () => void {
    const goOn = this.stop()
    this.#suspended ??= { sinceMs: this.#time.nowMs, monotonicMs: this.#clock.monotonicMs() }
    this.#suspends++
    let over = false
    return () => {
      if (over) return
      over = true
      if (--this.#suspends === 0) this.#wake()
      goOn()
    }
  }

  #wake(): void {
    const { sinceMs, monotonicMs } = this.#suspended!
    const lastedMs = this.#time.nowMs - sinceMs
    this.#suspended = undefined
    this.#clock.suspendedMs += lastedMs
    this.#suspensions.push({ monotonicMs, lastedMs })
  }

  jumpWall(ms: number): void {
    this.#clock.wallJumpMs += ms
  }

  die(): void {
    if (!this.alive) return
    this.alive = false
    this.#held = undefined
    for (const death of this.#deaths.splice(0)) death()
  }

  /** Called at once when the process dies; for the network, which tells the others. */
  onDeath(callback: () => void): void {
    this.#deaths.push(callback)
  }

  /** The instant, in the simulation's time, at which this process' monotonic clock showed this. */
  worldMs(monotonicMs: number): number {
    let worldMs = this.#clock.worldMs(monotonicMs)
    for (const suspension of this.#suspensions) {
      if (suspension.monotonicMs <= monotonicMs) worldMs += suspension.lastedMs
    }
    return worldMs
  }

  // One event each, so that all promises settle in between, and before whatever comes later.
  #goOn(): void {
    const held = this.#held ?? []
    this.#held = undefined
    this.wentOnMs = this.#time.nowMs
    for (const callback of held) this.#time.after(0, () => this.enter(callback))
  }
}
