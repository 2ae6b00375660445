// Those who change rows while chaos runs: through Tidemark, by plain SQL, in transactions that take their time or are rolled
// back, and rows that are removed and come again. Each tells the history what was sent and what was acknowledged.
// Not for: reading.
import { sleep } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import { keyspace, pickKey } from './demo-table.ts'
import type { DemoTable } from './demo-table.ts'
import { Line } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import type { History } from './history.ts'
import { SqlLine } from './sql-line.ts'

export interface WriterOptions {
  readonly history: History
  readonly table: DemoTable
  readonly url: string
  readonly clock: Clock
  readonly random: Random
  readonly pauseMs: number
  readonly stopped: () => boolean
}

const TIMEOUT_MS = 8_000
const RETRY_MS = 100
const updateSql = 'UPDATE items SET writer = $2 WHERE id = ANY($1) RETURNING id, version'

/** HINCRBY, HSET and SET at one server until it is stopped. */
export async function writeThrough(endpoint: Endpoint, options: WriterOptions): Promise<void> {
  const { history, clock, random, stopped, table, pauseMs } = options
  const line = new Line(endpoint, clock, TIMEOUT_MS)
  while (!stopped()) {
    if (!(await line.open())) {
      await sleep(clock, RETRY_MS)
      continue
    }
    const key = pickKey(random, table.rows)
    const name = `${keyspace}:${key}`
    const writer = history.nextMark()
    const command = [
      ['HINCRBY', name, 'version', 1],
      ['HSET', name, 'writer', writer],
      ['SET', name, `{"version":0,"seal":0,"writer":${writer},"note":"set"}`],
    ][random.below(3)]!
    const counts = command[0] === 'HINCRBY'
    const knownBefore = history.highest(key)
    const sentMs = clock.monotonicMs()
    const [reply] = (await line.ask([command])) ?? []
    const nowMs = clock.monotonicMs()
    if (reply === undefined || reply instanceof Error) history.forget(key, counts ? undefined : writer)
    else if (counts) history.acknowledge(key, sentMs, nowMs, { version: Number(reply) })
    else history.acknowledge(key, sentMs, nowMs, { knownBefore, mark: writer })
    await sleep(clock, pauseMs)
  }
  line.close()
}

interface Changed {
  readonly id: string
  readonly version: string
}

/** UPDATE of one row or of several, until it is stopped. */
export async function writeBySql(options: WriterOptions): Promise<void> {
  const { history, clock, random, stopped, table, pauseMs } = options
  const line = new SqlLine(options)
  while (!stopped()) {
    const many = random.below(4) === 0
    const several = (): number[] => [...new Set(Array.from({ length: 8 }, () => random.below(table.rows)))]
    const keys = many ? several() : [pickKey(random, table.rows)]
    const writer = history.nextMark()
    const sentMs = clock.monotonicMs()
    const changed = await line.query<Changed>(updateSql, [keys, writer])
    const nowMs = clock.monotonicMs()
    const own = many ? {} : { mark: writer }
    if (changed === undefined) for (const key of keys) history.forget(key, own.mark)
    else for (const { id, version } of changed) history.acknowledge(Number(id), sentMs, nowMs, { version: Number(version), ...own }) // prettier-ignore
    await sleep(clock, pauseMs)
  }
  line.close()
}

/** Transactions that stay open for a while, and of which some are rolled back. */
export async function writeInTransactions(options: WriterOptions): Promise<void> {
  const { history, clock, random, stopped, table, pauseMs } = options
  const line = new SqlLine(options)
  while (!stopped()) {
    const keys = [random.below(table.rows), random.below(table.rows)].sort((a, b) => a - b)
    let changed: Changed[] | undefined = []
    let complete = (await line.query('BEGIN')) !== undefined
    for (const key of keys) {
      const more = complete ? await line.query<Changed>(updateSql, [[key], history.nextMark()]) : undefined
      complete &&= more !== undefined
      changed = more === undefined ? changed : [...changed, ...more]
      await sleep(clock, random.below(60))
    }
    const rolledBack = random.below(4) === 0
    if (complete && rolledBack) await line.query('ROLLBACK')
    if (complete && !rolledBack) {
      const sentMs = clock.monotonicMs()
      const committed = await line.query('COMMIT')
      const nowMs = clock.monotonicMs()
      for (const { id, version } of changed) {
        if (committed === undefined) history.forget(Number(id))
        else history.acknowledge(Number(id), sentMs, nowMs, { version: Number(version) })
      }
    }
    await sleep(clock, pauseMs)
  }
  line.close()
}

/** Removes rows, by SQL or through Tidemark, and brings them again: nobody else writes them. */
export class PassingRows {
  readonly #options: WriterOptions
  readonly #sql: SqlLine
  readonly #lines: readonly Line[]
  /** Each key's version while it is there. A key whose removal has an unknown outcome is left alone from then on. */
  readonly #versions = new Map<number, number>()

  constructor(endpoints: readonly Endpoint[], options: WriterOptions) {
    this.#options = options
    this.#sql = new SqlLine(options)
    this.#lines = endpoints.map(endpoint => new Line(endpoint, options.clock, TIMEOUT_MS))
    const { rows, passing } = options.table
    for (let key = rows; key < rows + passing; key++) {
      if (options.history.absence(key) < Infinity) this.#versions.set(key, options.history.highest(key))
    }
  }

  async run(): Promise<void> {
    const { clock, random, stopped, pauseMs, table } = this.#options
    while (!stopped()) {
      const key = table.rows + random.below(table.passing)
      if (this.#versions.has(key)) {
        await (random.below(2) === 0 ? this.#removeBySql(key) : this.#removeThrough(key))
        await sleep(clock, random.below(100))
        await this.#bringBack(key)
      }
      await sleep(clock, pauseMs)
    }
    this.#sql.close()
    for (const line of this.#lines) line.close()
  }

  async #removeBySql(key: number): Promise<void> {
    const { history, clock } = this.#options
    const state = this.#versions.get(key)! + 1
    history.removing(key, state)
    while ((await this.#sql.query('DELETE FROM items WHERE id = $1', [key])) === undefined) {
      if (this.#options.stopped()) return this.#leave(key)
    }
    history.known(key, state, clock.monotonicMs())
    this.#versions.set(key, state)
  }

  async #removeThrough(key: number): Promise<void> {
    const { history, clock, random } = this.#options
    const line = this.#lines[random.below(this.#lines.length)]!
    if (!(await line.open())) return this.#removeBySql(key)
    const state = this.#versions.get(key)! + 1
    history.removing(key, state)
    const [reply] = (await line.ask([['DEL', `${keyspace}:${key}`]])) ?? []
    if (reply === 0) history.wrong(`${line.endpoint.name}: DEL of key ${key} says that there is no row, and there is`)
    if (reply !== 1) return this.#leave(key)
    history.known(key, state, clock.monotonicMs())
    this.#versions.set(key, state)
  }

  /** Its removal may come at any time, or never: nothing is known of it any more. */
  #leave(key: number): void {
    this.#options.history.removing(key, Infinity)
    this.#versions.delete(key)
  }

  async #bringBack(key: number): Promise<void> {
    const { history, clock, stopped } = this.#options
    const gone = this.#versions.get(key)
    if (gone === undefined) return
    const version = gone + 1
    const insert = 'INSERT INTO items (id, version) VALUES ($1, $2) ON CONFLICT DO NOTHING'
    while ((await this.#sql.query(insert, [key, version])) === undefined) if (stopped()) return this.#leave(key)
    history.known(key, version, clock.monotonicMs())
    this.#versions.set(key, version)
  }
}
