// How far something long is: a bar that redraws itself on a terminal, a plain line every 10% elsewhere (a log, a pipe).
import type { Clock } from '../base/clock.ts'

export interface ProgressOutput {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  write(text: string): unknown
}

const redrawMs = 50
const barCells = 20

export class Progress {
  readonly #out: ProgressOutput
  readonly #clock: Clock
  readonly #title: string
  #drawnMs = -Infinity
  #tenths = -1
  #open = false

  constructor(out: ProgressOutput, clock: Clock, title: string) {
    this.#out = out
    this.#clock = clock
    this.#title = title
  }

  /** May be called as often as one likes. Nothing is shown for a total of 0. */
  update(done: number, total: number, what: string): void {
    if (!(total > 0)) return
    const share = Math.min(1, Math.max(0, done / total))
    if (this.#out.isTTY === true) this.#redraw(share, done, total, what)
    else this.#line(share, done, total, what)
  }

  /** Ends the line that the bar is on. */
  close(): void {
    if (this.#open) this.#out.write('\n')
    this.#open = false
  }

  #redraw(share: number, done: number, total: number, what: string): void {
    const nowMs = this.#clock.monotonicMs()
    if (share < 1 && nowMs - this.#drawnMs < redrawMs) return
    this.#drawnMs = nowMs
    const full = Math.floor(share * barCells)
    const bar = '#'.repeat(full) + '-'.repeat(barCells - full)
    const text = `${this.#title} [${bar}] ${this.#words(share, done, total, what)}`
    this.#out.write(`\r\u001b[K${text.slice(0, (this.#out.columns || 80) - 1)}`)
    this.#open = true
  }

  #line(share: number, done: number, total: number, what: string): void {
    const tenths = Math.floor(share * 10)
    if (tenths <= this.#tenths) return
    this.#tenths = tenths
    this.#out.write(`${this.#title} ${this.#words(share, done, total, what)}\n`)
  }

  #words(share: number, done: number, total: number, what: string): string {
    return `${Math.floor(share * 100)}% (${whole(done)} of ${whole(total)} ${what})`
  }
}

function whole(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}
