// Tells people, in the log, when rows cannot be proved as fresh as their keyspaces ask for, and when they can be again: what
// /ready tells whoever asks it. What is over within a moment, such as another process taking the tide over, is not told.
import type { Clock, Timer } from '../base/clock.ts'
import type { Readiness } from './database-report.ts'

const LOOK_MS = 500
/** What lasts for less is not told. */
const LASTING_MS = 2_000

type State = 'fresh' | 'degraded' | 'unready'

export interface ReadinessLogParts {
  readonly clock: Clock
  readonly log: (line: string) => void
  readonly readiness: () => Readiness
}

export class ReadinessLog {
  readonly #parts: ReadinessLogParts
  #timer: Timer
  #state: State = 'fresh'
  #stateSinceMs: number
  #told: State = 'fresh'
  /** When rows were last all proved to be fresh enough. */
  #troubleSinceMs: number

  constructor(parts: ReadinessLogParts) {
    this.#parts = parts
    this.#stateSinceMs = this.#troubleSinceMs = parts.clock.monotonicMs()
    this.#timer = this.#next()
  }

  stop(): void {
    this.#timer.cancel()
  }

  #next(): Timer {
    return this.#parts.clock.timer(LOOK_MS, () => this.#look(), { unref: true })
  }

  #look(): void {
    this.#timer = this.#next()
    const { clock, readiness } = this.#parts
    const { unready, degraded } = readiness()
    const nowMs = clock.monotonicMs()
    const state = unready.length > 0 ? 'unready' : degraded.length > 0 ? 'degraded' : 'fresh'
    if (state !== this.#state) {
      if (this.#state === 'fresh') this.#troubleSinceMs = nowMs
      this.#state = state
      this.#stateSinceMs = nowMs
    }
    if (state === this.#told) return
    if (state !== 'fresh' && nowMs - this.#stateSinceMs < LASTING_MS) return
    this.#told = state
    this.#tell([...unready, ...degraded.map(what => `${what}; they are read from the database`)], nowMs)
  }

  #tell(lines: readonly string[], nowMs: number): void {
    const { log } = this.#parts
    for (const line of lines) log(line)
    const seconds = ((nowMs - this.#troubleSinceMs) / 1000).toFixed(1)
    if (lines.length === 0) log(`all rows are proved to be fresh again, after ${seconds} s`)
  }
}
