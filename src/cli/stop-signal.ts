// Ctrl-C and SIGTERM: the first asks for an orderly end, a later one exits at once.
import type { Clock } from '../base/clock.ts'
import type { Terminal } from './terminal.ts'

// npm passes the terminal's Ctrl-C on to a process that has got it already: one key press arrives twice.
const sameKeyPressMs = 300

export class StopSignal {
  readonly #controller = new AbortController()
  readonly #terminal: Terminal
  readonly #clock: Clock
  #firstMs = 0

  constructor(terminal: Terminal, clock: Clock) {
    this.#terminal = terminal
    this.#clock = clock
    terminal.on('SIGINT', this.#received)
    terminal.on('SIGTERM', this.#received)
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Resolves at the first signal. */
  received(): Promise<void> {
    return new Promise(resolve => {
      if (this.signal.aborted) resolve()
      else this.signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  /** Signals do again what they did before. */
  close(): void {
    this.#terminal.off('SIGINT', this.#received)
    this.#terminal.off('SIGTERM', this.#received)
  }

  readonly #received = (): void => {
    const nowMs = this.#clock.monotonicMs()
    if (!this.signal.aborted) {
      this.#firstMs = nowMs
      this.#controller.abort(new Error('interrupted'))
    } else if (nowMs - this.#firstMs >= sameKeyPressMs) this.#terminal.exit(130)
  }
}
