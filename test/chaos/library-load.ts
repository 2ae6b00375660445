// What a library process reads and writes, in the same history as all else: its reads are held against it as they come, and its
// writes are known here before it is told of them, so that one that is killed leaves none behind that nobody knows of.
// Not for: the process (library-process.ts), the judging (history.ts).
import { sleep } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import { sawAnswer } from './asking-reader.ts'
import { pickKey } from './demo-table.ts'
import type { DemoTable } from './demo-table.ts'
import type { History } from './history.ts'
import type { LibraryReads, LibraryReport, LibraryWrite } from './library-messages.ts'
import type { LibraryProcess } from './library-process.ts'

export interface LibraryLoadOptions {
  readonly library: LibraryProcess
  readonly history: History
  readonly table: DemoTable
  readonly clock: Clock
  readonly random: Random
  /** Of the keyspace. */
  readonly boundMs: number
  readonly slowness: number
  readonly stopped: () => boolean
}

interface Sent {
  readonly order: LibraryWrite
  readonly sentMs: number
  readonly knownBefore: number
}

const WRITE_EVERY_MS = 25
/** More than so many without an answer: no more are sent meanwhile. */
const UNDER_WAY_MAX = 8
const WRITE_TIMEOUT_MS = 8_000

export class LibraryLoad {
  /** Reads checked, by call. */
  readonly reads: Record<LibraryReads['call'], number> = { peek: 0, get: 0, read: 0 }
  /** Of those that say so: by where they came from. */
  readonly tiers: Record<string, number> = {}
  /** Reads that were refused, by code. */
  readonly refused: Record<string, number> = {}
  writes = 0
  readonly #options: LibraryLoadOptions
  readonly #sent = new Map<number, Sent>()
  #numbers = 0

  constructor(options: LibraryLoadOptions) {
    this.#options = options
  }

  /** Until it is stopped, and nothing is on its way any more. */
  async run(): Promise<void> {
    const { library, clock, slowness, stopped } = this.#options
    library.listen({ report: report => this.#heard(report), gone: () => this.#forgetAll() })
    library.read(slowness)
    while (!stopped()) {
      await sleep(clock, WRITE_EVERY_MS * slowness)
      if (this.#sent.size < UNDER_WAY_MAX) this.#write()
      this.#giveUp()
    }
    library.read(undefined)
    for (let waited = 0; this.#sent.size > 0 && waited < WRITE_TIMEOUT_MS; waited += 50) await sleep(clock, 50)
    this.#forgetAll()
    library.listen(undefined)
  }

  #write(): void {
    const { library, history, table, clock, random } = this.#options
    if (!library.alive) return
    const key = pickKey(random, table.rows)
    const how = random.below(2) === 0 ? ('set' as const) : ('update' as const)
    const order = { type: 'write', number: ++this.#numbers, key, writer: history.nextMark(), how } as const
    const sent = { order, sentMs: clock.monotonicMs(), knownBefore: history.highest(key) }
    this.#sent.set(order.number, sent)
    library.order(order)
  }

  /** What has no answer after a while is not waited for; whether it happened nobody knows. */
  #giveUp(): void {
    const untilMs = this.#options.clock.monotonicMs() - WRITE_TIMEOUT_MS
    for (const [number, { sentMs }] of this.#sent) if (sentMs < untilMs) this.#forget(number)
  }

  #forgetAll(): void {
    for (const number of this.#sent.keys()) this.#forget(number)
  }

  #forget(number: number): void {
    const sent = this.#sent.get(number)
    if (sent === undefined) return
    this.#sent.delete(number)
    this.#options.history.forget(sent.order.key, sent.order.writer)
  }

  #heard(report: LibraryReport): void {
    const { history, library } = this.#options
    if (report.type === 'reads') this.#read(report)
    else if (report.type === 'written') this.#written(report)
    else if (report.type === 'refused') this.#forget(report.number)
    else if (report.type === 'error' && report.code === undefined) history.wrong(`${library.name}: ${report.text}`)
    else if (report.type === 'error') this.refused[report.code!] = (this.refused[report.code!] ?? 0) + 1
  }

  #written({ number, row, before }: Extract<LibraryReport, { type: 'written' }>): void {
    const { history, clock, library } = this.#options
    const sent = this.#sent.get(number)
    if (sent === undefined) return
    const { key, writer, how } = sent.order
    if (row === null) {
      // `update` of a row that is gone: nothing was written.
      history.wrong(`${library.name}: ${how} of key ${key} found no row, and nobody removes it`)
      this.#forget(number)
      return
    }
    this.#sent.delete(number)
    this.writes++
    const { version } = row
    if (how === 'update' && before !== version - 1) {
      history.lostUpdate(`${library.name}: update of key ${key} made version ${version} of version ${before}`)
    }
    history.acknowledge(key, sent.sentMs, clock.monotonicMs(), { version, mark: writer })
  }

  #read({ call, sentMs, receivedMs, answers, asked }: LibraryReads): void {
    const { history, library, boundMs } = this.#options
    for (const { key, row } of answers) {
      this.reads[call]++
      const from = `${library.name}, ${call}`
      const sighting = { key, sentMs, receivedMs, boundMs: asked?.boundMs ?? boundMs, from }
      if (asked === undefined) {
        history.saw({ ...sighting, row: row ?? undefined })
        continue
      }
      const { ageMs, tier, stale, serve, before } = asked
      const told = stale ? `${tier}, stale` : tier
      this.tiers[told] = (this.tiers[told] ?? 0) + 1
      const answer = { row: row ?? undefined, ageMs: ageMs ?? undefined, tier, stale, ticket: undefined } // prettier-ignore
      sawAnswer(history, sighting, answer, serve)
      if (before !== undefined) history.sawInSession(`${from}, a session`, key, before, row?.version ?? 0)
    }
  }
}
