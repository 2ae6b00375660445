// Asks every server for some rows of many lanes at a steady pace, and for one write, and keeps what came of it on a time line:
// what unavailability and recovery are read off.
// Not for: judging the answers (they go to the history like all others).
import { sleep } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import { parseAnswer, sawAnswer } from './asking-reader.ts'
import type { DemoTable } from './demo-table.ts'
import { keyspace } from './demo-table.ts'
import { Line } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import type { History } from './history.ts'

/** One round: when it was sent and done, whether all of it was answered, and the oldest age that an answer told. */
export interface Probe {
  readonly sentMs: number
  readonly doneMs: number
  readonly answered: boolean
  /** Infinity where an answer told none. */
  readonly oldestMs: number
  /** How many answers came from the database. */
  readonly loaded: number
  /** Shortened for the report: the first error. */
  readonly error: string | undefined
}

export interface ProberOptions {
  readonly history: History
  readonly table: DemoTable
  readonly clock: Clock
  readonly random: Random
  readonly boundMs: number
  readonly stopped: () => boolean
}

export const PROBE_EVERY_MS = 50
const READS = 16
const TIMEOUT_MS = 1_500
/** More answers from the database than so many in one round: the cache does not work yet. */
const LOADED_MAX = READS / 4

export class Prober {
  readonly endpoint: Endpoint
  readonly reads: Probe[] = []
  readonly writes: Probe[] = []
  readonly #options: ProberOptions

  constructor(endpoint: Endpoint, options: ProberOptions) {
    this.endpoint = endpoint
    this.#options = options
  }

  async run(): Promise<void> {
    await Promise.all([
      this.#repeat(this.reads, line => this.#read(line)),
      this.#repeat(this.writes, line => this.#write(line)),
    ])
  }

  async #repeat(probes: Probe[], round: (line: Line) => Promise<Probe>): Promise<void> {
    const { clock, stopped } = this.#options
    const line = new Line(this.endpoint, clock, TIMEOUT_MS)
    while (!stopped()) {
      const sentMs = clock.monotonicMs()
      const nobody = { sentMs, doneMs: sentMs, answered: false, oldestMs: Infinity, loaded: 0, error: 'no connection' }
      probes.push((await line.open()) ? await round(line) : nobody)
      const left = PROBE_EVERY_MS - (clock.monotonicMs() - sentMs)
      await sleep(clock, Math.max(1, left))
    }
    line.close()
  }

  async #read(line: Line): Promise<Probe> {
    const { history, random, clock, boundMs, table } = this.#options
    const keys = Array.from({ length: READS }, () => random.below(table.rows))
    const sentMs = clock.monotonicMs()
    const replies = await line.ask(keys.map(key => ['TM.READ', `${keyspace}:${key}`]))
    const doneMs = clock.monotonicMs()
    let [oldestMs, loaded] = [0, 0]
    let error = replies === undefined ? 'no answer in time' : undefined
    for (const [i, reply] of (replies ?? []).entries()) {
      const answer = parseAnswer(reply)
      if (answer === undefined) {
        error ??= reply instanceof Error ? reply.message.slice(0, 120) : 'no answer of TM.READ'
        continue
      }
      const { ageMs, tier } = answer
      sawAnswer(history, { key: keys[i]!, sentMs, receivedMs: doneMs, boundMs, from: this.endpoint.name }, answer)
      oldestMs = Math.max(oldestMs, ageMs ?? Infinity)
      if (tier === 'source') loaded++
    }
    return { sentMs, doneMs, answered: error === undefined, oldestMs, loaded, error }
  }

  async #write(line: Line): Promise<Probe> {
    const { history, random, clock, table } = this.#options
    const key = random.below(table.rows)
    const sentMs = clock.monotonicMs()
    const [reply] = (await line.ask([['HINCRBY', `${keyspace}:${key}`, 'version', 1]])) ?? []
    const doneMs = clock.monotonicMs()
    const answered = typeof reply === 'number'
    if (answered) history.acknowledge(key, sentMs, doneMs, { version: reply })
    else history.forget(key)
    const error = answered ? undefined : reply instanceof Error ? reply.message.slice(0, 120) : 'no answer in time'
    return { sentMs, doneMs, answered, oldestMs: 0, loaded: 0, error }
  }
}

/** The longest time within `fromMs` to `toMs` without an answered probe that begins and ends; 0 where they follow one another as they should. */
export function longestGapMs(probes: readonly Probe[], fromMs: number, toMs: number): number {
  let last = fromMs
  let longest = 0
  for (const probe of probes) {
    if (!probe.answered || probe.doneMs < fromMs) continue
    if (probe.sentMs > toMs) break
    longest = Math.max(longest, probe.doneMs - last)
    last = probe.doneMs
  }
  longest = Math.max(longest, toMs - last)
  return longest <= 3 * PROBE_EVERY_MS ? 0 : longest
}

/**
 * When, from `fromMs` on, everything was as it should be again and stayed so until `toMs`: all answered, by the cache for
 * the most part, and proved to be no older than `freshMs`. undefined: it was not.
 */
export function recoveredMs(
  probes: readonly Probe[],
  fromMs: number,
  toMs: number,
  freshMs: number,
): number | undefined {
  let since: number | undefined
  for (const probe of probes) {
    if (probe.doneMs < fromMs || probe.sentMs > toMs) continue
    const well = probe.answered && probe.oldestMs <= freshMs && probe.loaded <= LOADED_MAX
    if (!well) since = undefined
    else since ??= probe.doneMs
  }
  return since
}
