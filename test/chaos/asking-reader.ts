// Reads by TM.READ: with bounds of all kinds, held against the age that the answers tell, and in sessions that go from server
// to server and write in between.
// Not for: reads in bulk (bulk-reader.ts).
import { sleep } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import { keyspace, pickKey } from './demo-table.ts'
import { Line } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import type { History, Row, Sighting } from './history.ts'

export interface Answer {
  /** undefined: no such row. */
  readonly row: Row | undefined
  readonly ageMs: number | undefined
  readonly tier: string
  readonly stale: boolean
  readonly ticket: string | undefined
}

interface ReaderOptions {
  readonly endpoints: readonly Endpoint[]
  readonly history: History
  readonly clock: Clock
  readonly random: Random
  /** Of the keyspace, where the call names none. */
  readonly boundMs: number
  readonly pauseMs: number
  readonly stopped: () => boolean
}

const TIMEOUT_MS = 8_000
const RETRY_MS = 100
const PIPELINE = 16
const boundsMs = [undefined, undefined, 0, 100, 1_000]

/** undefined: the reply is an error. */
export function parseAnswer(reply: unknown): Answer | undefined {
  if (!Array.isArray(reply)) return undefined
  const [, value, , age, , tier, , stale, , ticket] = reply as unknown[]
  return {
    row: typeof value === 'string' ? (JSON.parse(value) as Row) : undefined,
    ageMs: typeof age === 'number' ? age : undefined,
    tier: String(tier),
    stale: stale === 1,
    ticket: typeof ticket === 'string' ? ticket : undefined,
  }
}

/** Hands one answer to the history. `mayBeStale`: the call said that it would take one that is. */
export function sawAnswer(
  history: History,
  asked: Omit<Sighting, 'row' | 'ageMs'>,
  answer: Answer,
  mayBeStale = false,
): void {
  // prettier-ignore
  const { row, ageMs, tier, stale } = answer
  const from = `${asked.from}, ${tier}`
  const boundMs = stale ? Infinity : asked.boundMs
  history.saw({ ...asked, row, boundMs, ageMs, from })
  history.readFrom(stale ? `${tier}, marked as stale` : tier)
  if (stale && !mayBeStale) history.wrong(`${from}: key ${asked.key} came as stale, and nobody asked for that`)
  // A load takes its time, and its age counts from before it. Other answers were judged when it was asked for, at the earliest.
  const atFirstMs = (ageMs ?? Infinity) - (asked.receivedMs - asked.sentMs)
  if (!stale && tier !== 'source' && atFirstMs > asked.boundMs + 1) {
    history.wrong(
      `${from}: key ${asked.key} came as fresh, ${ageMs ?? 'unknown'} ms old; the bound is ${asked.boundMs}`,
    )
  }
}

/** Asks one server for single rows until it is stopped. */
export async function readWithBounds(endpoint: Endpoint, options: ReaderOptions): Promise<void> {
  const { history, clock, random, stopped } = options
  const line = new Line(endpoint, clock, TIMEOUT_MS)
  while (!stopped()) {
    if (!(await line.open())) {
      await sleep(clock, RETRY_MS)
      continue
    }
    const asked = Array.from({ length: PIPELINE }, () => ({
      key: pickKey(random, history.keys),
      boundMs: boundsMs[random.below(boundsMs.length)],
      serve: random.below(4) === 0,
    }))
    const commands = asked.map(({ key, boundMs, serve }) => [
      'TM.READ',
      `${keyspace}:${key}`,
      ...(boundMs === undefined ? [] : ['MAXSTALE', boundMs]),
      ...(serve ? ['WHENSTALE', 'serve'] : []),
    ])
    const sentMs = clock.monotonicMs()
    const replies = (await line.ask(commands)) ?? []
    const receivedMs = clock.monotonicMs()
    for (const [i, reply] of replies.entries()) {
      const answer = parseAnswer(reply)
      if (answer === undefined) continue
      const { key, boundMs = options.boundMs, serve } = asked[i]!
      sawAnswer(history, { key, sentMs, receivedMs, boundMs, from: endpoint.name }, answer, serve)
    }
    await sleep(clock, options.pauseMs)
  }
  line.close()
}

/** The later of two tickets; of different histories of the database, the one that came last. */
function laterTicket(earlier: string | undefined, later: string | undefined): string | undefined {
  if (earlier === undefined || later === undefined) return later ?? earlier
  const sameEpoch = earlier.slice(0, 16) === later.slice(0, 16)
  return sameEpoch && earlier > later ? earlier : later
}

/** One session: reads and writes one row after another, each on any of the servers. */
export class SessionReader {
  steps = 0
  readonly #name: string
  readonly #options: ReaderOptions
  readonly #lines: readonly Line[]
  readonly #seen = new Map<number, number>()
  readonly #keys: readonly number[]
  #ticket: string | undefined

  constructor(name: string, keys: readonly number[], options: ReaderOptions) {
    this.#name = name
    this.#keys = keys
    this.#options = options
    this.#lines = options.endpoints.map(endpoint => new Line(endpoint, options.clock, TIMEOUT_MS))
  }

  async run(): Promise<void> {
    const { clock, random, stopped, pauseMs } = this.#options
    while (!stopped()) {
      const line = this.#lines[random.below(this.#lines.length)]!
      const key = this.#keys[random.below(this.#keys.length)]!
      if (!(await line.open())) await sleep(clock, RETRY_MS)
      else if (random.below(10) === 0) await this.#write(line, key)
      else await this.#read(line, key)
      await sleep(clock, pauseMs)
    }
    for (const line of this.#lines) line.close()
  }

  async #read(line: Line, key: number): Promise<void> {
    const { history, clock, boundMs } = this.#options
    const session = this.#ticket === undefined ? [] : ['SESSION', this.#ticket]
    const before = this.#seen.get(key) ?? 0
    const sentMs = clock.monotonicMs()
    const [reply] = (await line.ask([['TM.READ', `${keyspace}:${key}`, ...session]])) ?? []
    const answer = parseAnswer(reply)
    if (answer === undefined) return
    const from = `${line.endpoint.name}, in ${this.#name}`
    sawAnswer(history, { key, sentMs, receivedMs: clock.monotonicMs(), boundMs, from }, answer)
    const version = answer.row?.version ?? 0
    history.sawInSession(`${from}, ${answer.tier}`, key, before, version)
    this.#seen.set(key, Math.max(before, version))
    this.#ticket = laterTicket(this.#ticket, answer.ticket)
    this.steps++
  }

  async #write(line: Line, key: number): Promise<void> {
    const { history, clock } = this.#options
    const name = `${keyspace}:${key}`
    const sentMs = clock.monotonicMs()
    const replies = await line.ask([['HINCRBY', name, 'version', 1], ['TM.SESSION', name]]) // prettier-ignore
    const [version, ticket] = replies ?? []
    if (typeof version !== 'number') {
      history.forget(key)
      return
    }
    history.acknowledge(key, sentMs, clock.monotonicMs(), { version })
    if (typeof ticket !== 'string') return
    this.#seen.set(key, Math.max(this.#seen.get(key) ?? 0, version))
    this.#ticket = laterTicket(this.#ticket, ticket)
    this.steps++
  }
}
