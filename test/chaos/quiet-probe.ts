// How long after a commit by SQL the last near cache still answers with what was there before, and how old answers say that
// they are, while nothing goes wrong. A row is brought into the near cache of every server and changed by SQL, and all servers
// are asked for it all the while, until each answers with the change.
// Not for: faults, and whether an answer was allowed (history.ts hears of them all the same).
import pg from 'pg'
import { sleep } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import { parseAnswer, sawAnswer } from './asking-reader.ts'
import { keyspace } from './demo-table.ts'
import type { DemoTable } from './demo-table.ts'
import { Line } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import type { History } from './history.ts'

export interface QuietOptions {
  readonly endpoints: readonly Endpoint[]
  readonly history: History
  readonly table: DemoTable
  readonly url: string
  readonly clock: Clock
  readonly random: Random
  readonly boundMs: number
  readonly forMs: number
}

/** In milliseconds, sorted. */
export interface QuietFigures {
  /**
   * From before COMMIT was sent until the first request was sent that a server did not answer with the old row, at the server
   * that was last: a little more than the truth on both sides.
   */
  readonly dropMs: readonly number[]
  /** The same from when COMMIT was answered: a little less than the truth; 0: all servers were faster than the answer. */
  readonly dropAfterAckMs: readonly number[]
  /** What answers from near caches said of their age. */
  readonly ageMs: readonly number[]
}

interface Reply {
  readonly sentMs: number
  readonly version: number
}

const TIMEOUT_MS = 5_000
const ASK_EVERY_MS = 1
const ROUND_EVERY_MS = 15
const AGES = 16
const NEW_MS = 5_000

function ascending(a: number, b: number): number {
  return a - b
}

/** The value below which this share of sorted values lies; NaN of none. */
export function quantileOf(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

export class QuietProbe {
  readonly #options: QuietOptions
  readonly #lines: readonly Line[]
  readonly #sql: pg.Client
  readonly #drops: number[] = []
  readonly #dropsAfterAck: number[] = []
  readonly #ages: number[] = []

  static async run(options: QuietOptions): Promise<QuietFigures> {
    const probe = new QuietProbe(options)
    await probe.#sql.connect()
    try {
      return await probe.#run()
    } finally {
      for (const line of probe.#lines) line.close()
      await probe.#sql.end()
    }
  }

  private constructor(options: QuietOptions) {
    this.#options = options
    this.#lines = options.endpoints.map(endpoint => new Line(endpoint, options.clock, TIMEOUT_MS))
    this.#sql = new pg.Client({ connectionString: options.url })
  }

  async #run(): Promise<QuietFigures> {
    const { clock, random, table, forMs } = this.#options
    const untilMs = clock.monotonicMs() + forMs
    while (clock.monotonicMs() < untilMs) {
      await this.#round(random.below(table.rows))
      await Promise.all(this.#lines.map(line => this.#askForAges(line)))
      await sleep(clock, ROUND_EVERY_MS)
    }
    const [dropMs, dropAfterAckMs, ageMs] = [this.#drops, this.#dropsAfterAck, this.#ages].map(all => all.sort(ascending)) // prettier-ignore
    return { dropMs: dropMs!, dropAfterAckMs: dropAfterAckMs!, ageMs: ageMs! }
  }

  async #round(key: number): Promise<void> {
    const { clock, history } = this.#options
    // Twice: what comes from the database or the tier is near only afterwards.
    for (const line of [...this.#lines, ...this.#lines]) await this.#ask(line, key)
    await this.#sql.query('BEGIN')
    const sql = 'UPDATE items SET writer = $2 WHERE id = $1 RETURNING version'
    const changed = await this.#sql.query<{ version: string }>(sql, [key, history.nextMark()])
    const version = Number(changed.rows[0]!.version)
    const first = this.#lines.map(line => this.#firstNew(line, key, version))
    await sleep(clock, ASK_EVERY_MS * 2)
    const commitMs = clock.monotonicMs()
    await this.#sql.query('COMMIT')
    const ackMs = clock.monotonicMs()
    history.acknowledge(key, commitMs, ackMs, { version })
    const sent = await Promise.all(first)
    if (sent.includes(undefined)) return
    const lastMs = Math.max(...(sent as number[]))
    this.#drops.push(Math.max(0, lastMs - commitMs))
    this.#dropsAfterAck.push(Math.max(0, lastMs - ackMs))
  }

  /** Asks until the answer is this version or a later one, or for too long; when that request was sent. undefined: it failed. */
  async #firstNew(line: Line, key: number, version: number): Promise<number | undefined> {
    const { clock } = this.#options
    const untilMs = clock.monotonicMs() + NEW_MS
    for (;;) {
      const reply = await this.#ask(line, key)
      if (reply === undefined || reply.version >= version || reply.sentMs > untilMs) return reply?.sentMs
      await sleep(clock, ASK_EVERY_MS)
    }
  }

  async #ask(line: Line, key: number): Promise<Reply | undefined> {
    const { clock, history, boundMs } = this.#options
    if (!(await line.open())) return undefined
    const sentMs = clock.monotonicMs()
    const [reply] = (await line.ask([['TM.READ', `${keyspace}:${key}`]])) ?? []
    const answer = parseAnswer(reply)
    if (answer === undefined) return undefined
    sawAnswer(history, { key, sentMs, receivedMs: clock.monotonicMs(), boundMs, from: line.endpoint.name }, answer)
    return { sentMs, version: answer.row?.version ?? 0 }
  }

  async #askForAges(line: Line): Promise<void> {
    const { clock, history, random, table, boundMs } = this.#options
    if (!(await line.open())) return
    const keys = Array.from({ length: AGES }, () => random.below(table.rows))
    const sentMs = clock.monotonicMs()
    const replies = (await line.ask(keys.map(key => ['TM.READ', `${keyspace}:${key}`]))) ?? []
    const receivedMs = clock.monotonicMs()
    for (const [i, reply] of replies.entries()) {
      const answer = parseAnswer(reply)
      if (answer === undefined) continue
      sawAnswer(history, { key: keys[i]!, sentMs, receivedMs, boundMs, from: line.endpoint.name }, answer)
      if (answer.tier === 'near' && answer.ageMs !== undefined) this.#ages.push(answer.ageMs)
    }
  }
}
