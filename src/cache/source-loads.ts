// Loads from one source: gathers the ids that are missed in one turn of the event loop, and asks for all of a keyspace's in
// one query; when as many queries as may be are under way, the rest gathers until one ends. An id that is asked for again
// before its query has been sent shares the answer; after that it does not, since a query under way may have begun before
// what the later caller already knows of.
import type { Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { SourceLoadStamp } from '../coherence/stamp.ts'
import { RowFailure, type RowId, type Source } from '../source/source.ts'

export interface LoadedRow<V = Uint8Array> {
  readonly row: V | null
  readonly stamp: SourceLoadStamp
  /** Both clocks before the query was sent: the row is what the source showed then, or later. */
  readonly asOfMs: number
  readonly asOfWallMs: number
}

type Waiting<V> = PromiseWithResolvers<LoadedRow<V>>

/** What became of loads: a number of rows of a keyspace, and whether they failed. */
export type CountLoads = (rows: number, failed: boolean, keyspace: string) => void

export class SourceLoads<V = Uint8Array> {
  readonly #source: Source<V>
  readonly #clock: Clock
  readonly #count: CountLoads
  /** By keyspace; those that have waited longest come first. */
  readonly #waiting = new Map<string, Map<RowId, Waiting<V>>>()
  #waitingRows = 0
  #underWay = 0
  #scheduled = false

  constructor(source: Source<V>, clock: Clock, count: CountLoads) {
    this.#source = source
    this.#clock = clock
    this.#count = count
  }

  /** By a query that is sent after this call. Rejects as the source does, or with SOURCE_OVERLOADED. */
  load(keyspace: string, id: RowId): Promise<LoadedRow<V>> {
    let rows = this.#waiting.get(keyspace)
    const joined = rows?.get(id)
    if (joined !== undefined) return joined.promise
    if (this.#waitingRows >= limits.sourceWaitingRowsMax) return Promise.reject(this.#overloaded())
    if (rows === undefined) this.#waiting.set(keyspace, (rows = new Map<RowId, Waiting<V>>()))
    const waiting: Waiting<V> = Promise.withResolvers<LoadedRow<V>>()
    rows.set(id, waiting)
    this.#waitingRows++
    this.#schedule()
    return waiting.promise
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const send = (): void => {
      this.#scheduled = false
      this.#send()
    }
    // A query that finds the source idle goes with what is asked for in this very call; whoever comes while it is under way is
    // gathered for a whole turn.
    if (this.#underWay === 0) queueMicrotask(send)
    else this.#clock.timer(0, send)
  }

  #send(): void {
    for (const [keyspace, rows] of this.#waiting) {
      while (rows.size > 0 && this.#underWay < limits.sourceLoadsMax) {
        const batch = [...rows.entries().take(limits.loadBatchMax)]
        for (const [id] of batch) rows.delete(id)
        this.#waitingRows -= batch.length
        void this.#query(keyspace, batch)
      }
      if (rows.size > 0) return
      this.#waiting.delete(keyspace)
    }
  }

  async #query(keyspace: string, batch: readonly (readonly [RowId, Waiting<V>])[]): Promise<void> {
    this.#underWay++
    const asOfMs = this.#clock.monotonicMs()
    const asOfWallMs = this.#clock.wallMs()
    try {
      const ids = batch.map(([id]) => id)
      const { rows, stamp } = await this.#source.load(keyspace, ids)
      let failed = 0
      for (const [i, [, waiting]] of batch.entries()) {
        const row = rows[i] ?? null
        if ((row as unknown) instanceof RowFailure) {
          failed++
          waiting.reject((row as unknown as RowFailure).error)
        } else waiting.resolve({ row, stamp, asOfMs, asOfWallMs })
      }
      this.#count(batch.length - failed, false, keyspace)
      if (failed > 0) this.#count(failed, true, keyspace)
    } catch (error) {
      this.#count(batch.length, true, keyspace)
      for (const [, waiting] of batch) waiting.reject(error)
    } finally {
      this.#underWay--
      if (this.#waitingRows > 0) this.#schedule()
    }
  }

  #overloaded(): TidemarkError {
    return new TidemarkError(
      'SOURCE_OVERLOADED',
      `${this.#waitingRows} rows wait to be loaded from database '${this.#source.name}', ` +
        `the most there may be (sourceWaitingRowsMax)`,
    )
  }
}
