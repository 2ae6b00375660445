// Gathers the ids of one keyspace that are missed in one turn of the event loop, and asks the source for all of them in
// one query. An id that is asked for again before the query has been sent shares its answer; after that it does not, since
// a query under way may have begun before what the later caller already knows of.
import { afterThisTurn } from '../base/turn.ts'
import { limits } from '../base/limits.ts'
import type { SourceLoadStamp } from '../coherence/stamp.ts'
import type { RowBytes, RowId, Source } from '../source/source.ts'

export interface LoadedRow {
  readonly row: RowBytes
  readonly stamp: SourceLoadStamp
}

interface Waiting {
  readonly promise: Promise<LoadedRow>
  readonly resolve: (loaded: LoadedRow) => void
  readonly reject: (error: unknown) => void
}

/** What became of loads: a number of rows, and how many of them failed. */
export type CountLoads = (rows: number, failed: boolean) => void

export class BatchLoader {
  readonly #source: Source
  readonly #keyspace: string
  readonly #count: CountLoads
  #waiting = new Map<RowId, Waiting>()

  constructor(source: Source, keyspace: string, count: CountLoads) {
    this.#source = source
    this.#keyspace = keyspace
    this.#count = count
  }

  /** Rejects as the source does. */
  load(id: RowId): Promise<LoadedRow> {
    const joined = this.#waiting.get(id)
    if (joined !== undefined) return joined.promise
    if (this.#waiting.size === 0) afterThisTurn(() => this.#send())
    const waiting: Waiting = Promise.withResolvers<LoadedRow>()
    this.#waiting.set(id, waiting)
    return waiting.promise
  }

  #send(): void {
    const all = [...this.#waiting]
    this.#waiting = new Map()
    for (let at = 0; at < all.length; at += limits.loadBatchMax) {
      void this.#query(all.slice(at, at + limits.loadBatchMax))
    }
  }

  async #query(batch: readonly [RowId, Waiting][]): Promise<void> {
    try {
      const ids = batch.map(([id]) => id)
      const { rows, stamp } = await this.#source.load(this.#keyspace, ids)
      this.#count(batch.length, false)
      for (const [i, [, waiting]] of batch.entries()) waiting.resolve({ row: rows[i] ?? null, stamp })
    } catch (error) {
      this.#count(batch.length, true)
      for (const [, waiting] of batch) waiting.reject(error)
    }
  }
}
