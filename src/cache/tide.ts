// The tide: carries the log of a database to the lanes of a tier that other processes share. One of these is one term: it
// takes the log, carries it along until the hold on it is gone, and is done; who begins the next one is tide-keeper.ts.
//
//   read     the log's transactions, whole, in the order of their commits, as long as there is room for them
//   gate     nothing goes on before a snapshot has shown all transactions up to it as visible (coherence/gate.ts)
//   lanes    each carried along on its own, by compare and set, from wherever it is (lane-worker.ts, tide-memory.ts)
//   beat     every `tideHeartbeatMs`: all marks move up, by a small transaction of its own when there was no other
//   confirm  what all lanes have, after a while (tide-retention.ts)
//
// A tide that was put out of its hold and does not know yet does no harm: whatever it still does fails its comparison, or is
// true. What cannot be carried on (the log does not reach back, the database has forgotten a part, nobody knows what was
// changed) begins anew, at a position up to which everything is visible to every load from then on.
// Not for: the loops of a term (tide-term.ts), embedded databases (embedded-tide.ts), what a step does to a lane (coherence/).
import { TidemarkError } from '../base/errors.ts'
import type { LaneState } from '../coherence/lane.ts'
import type { Position } from '../coherence/mark.ts'
import type { LaneTier } from '../tier/tier.ts'
import type { TermEnd } from './tide-observer.ts'
import { TideTerm, type TideOptions } from './tide-term.ts'

export class Tide {
  readonly #options: TideOptions
  #stopped = false
  #term: TideTerm | undefined

  constructor(options: TideOptions) {
    this.#options = options
  }

  /** Runs once. Resolves when the term is over; rejects only with what is a fault of this program. */
  async run(): Promise<TermEnd> {
    const { feed } = this.#options
    let end: TermEnd
    try {
      end = await this.#openAndCarry()
    } finally {
      // What it rejects with is of no use to anybody: the hold is given up either way.
      await feed.close().catch(() => {})
    }
    this.#options.observer?.ended?.(end)
    return end
  }

  /** Whether the log is open. */
  get isOpen(): boolean {
    return this.#term?.ended === false
  }

  /** Whether any lane was carried along by this term. */
  get moved(): boolean {
    return this.#term?.hasMoved === true
  }

  /** Ends the term; `run` resolves soon after. What is on its way to the tier may still arrive there. */
  stop(): void {
    this.#stopped = true
    this.#term?.stop()
  }

  async #openAndCarry(): Promise<TermEnd> {
    const { tier, feed, observer, epoch } = this.#options
    const lanes = await lanesOf(tier)
    const from = lowestMark(lanes.filter(({ generation }) => generation.epoch === epoch))
    if (this.#stopped) return { kind: 'stopped' }
    let start
    try {
      start = await feed.open(from)
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error
      return error.code === 'FEED_TAKEN' ? { kind: 'taken' } : { kind: 'lost', error }
    }
    observer?.opened?.(start, from)
    if (this.#stopped) return { kind: 'stopped' }
    this.#term = new TideTerm({ ...this.#options, start, from, lanes })
    return this.#term.run()
  }
}

/** All lanes, as far as they can be reached. */
async function lanesOf(tier: LaneTier): Promise<readonly LaneState[]> {
  const states = Array.from({ length: tier.lanes }, async (_, lane) => {
    try {
      return await tier.lane(lane)
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error
      return undefined
    }
  })
  return (await Promise.all(states)).filter(state => state !== undefined)
}

/** What the lanes need of the log is after this; undefined when it is not known. */
function lowestMark(lanes: readonly LaneState[]): Position | undefined {
  let lowest: Position | undefined
  for (const { mark } of lanes) if (lowest === undefined || mark.lsn < lowest) lowest = mark.lsn
  return lowest
}
