// A line that tells how far a run is and how long it will take; on a terminal it is drawn over itself, elsewhere only said
// when a stage begins. It goes to standard error, so that the figures can be piped.

export class Progress {
  readonly #total: number
  readonly #startedMs = performance.now()
  #done = 0

  constructor(total: number) {
    this.#total = total
  }

  stage(name: string): void {
    if (!process.stderr.isTTY) process.stderr.write(`${this.#done}/${this.#total} measurements, now: ${name}\n`)
  }

  step(what: string): void {
    this.#done++
    if (!process.stderr.isTTY) return
    const share = Math.min(1, this.#done / this.#total)
    const elapsed = (performance.now() - this.#startedMs) / 1000
    const left = Math.ceil((elapsed * (1 - share)) / share)
    const bar = '#'.repeat(Math.round(share * 24)).padEnd(24, '.')
    const eta = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')} left`
    process.stderr.write(`\r\x1b[K[${bar}] ${this.#done}/${this.#total} ${eta}  ${what}`)
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  }
}
