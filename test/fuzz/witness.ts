// A client that behaves, all the while others do not: what it wrote and nobody else knows of must be there unchanged, or gone
// (memory is small, and others empty it), and every answer must be its own.
import { sleep } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import { RespClient } from '../support/resp-client.ts'
import { HANG_MS } from './fuzz-connection.ts'

const PAUSE_MS = 3
const KEYS = 4

export class Witness {
  flaw: string | undefined
  rounds = 0
  hits = 0
  slowestMs = 0
  readonly #port: number
  readonly #clock: Clock
  readonly #name: string
  readonly #written = new Map<string, string>()
  #stopped = false
  #running: Promise<void> = Promise.resolve()

  constructor(port: number, clock: Clock, random: Random) {
    this.#port = port
    this.#clock = clock
    this.#name = `witness:${random.uint32()}:${random.uint32()}`
  }

  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      this.flaw ??= `the witness: ${String(error)}`
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    const client = await RespClient.connect(this.#port)
    try {
      while (!this.#stopped && this.flaw === undefined) {
        const startedMs = this.#clock.monotonicMs()
        await this.#round(client)
        this.slowestMs = Math.max(this.slowestMs, this.#clock.monotonicMs() - startedMs)
        await sleep(this.#clock, PAUSE_MS)
      }
    } finally {
      client.close()
    }
  }

  async #round(client: RespClient): Promise<void> {
    const key = `${this.#name}:${this.rounds % KEYS}`
    const expected = this.#written.get(key)
    const value = `value ${this.rounds++}`
    const echo = `echo ${this.rounds}`
    let late: { cancel(): void } | undefined
    const hang = new Promise<never>((_, reject) => {
      late = this.#clock.timer(HANG_MS, () => reject(new Error(`no answer for ${HANG_MS} ms`)))
    })
    const asked = Promise.all([
      client.command('GET', key),
      client.command('PING'),
      client.command('SET', key, value),
      client.command('GET', key),
      client.command('ECHO', echo),
    ])
    const replies = await Promise.race([asked, hang]).finally(() => late?.cancel())
    const [before, ping, set, after, echoed] = replies
    if (before !== null && before !== expected) this.#fail(`GET gave ${before as string}, not ${expected}`)
    if (ping !== 'PONG') this.#fail(`PING gave ${String(ping)}`)
    if (set !== 'OK') this.#fail(`SET gave ${String(set)}`)
    // Between the two, another connection may have emptied the memory.
    if (after !== null && after !== value) this.#fail(`GET after SET gave ${after as string}, not ${value}`)
    if (echoed !== echo) this.#fail(`ECHO gave ${String(echoed)}`)
    if (before !== null) this.hits++
    this.#written.set(key, value)
  }

  #fail(what: string): void {
    this.flaw ??= `the witness, round ${this.rounds}: ${what}`
  }
}
