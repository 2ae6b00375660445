// Loads from one source: gathers the ids that are missed in one turn of the event loop, or within a keyspace's window, and asks
// for them in one query; when as many queries as may be are under way, of the keyspace or of the source, the rest gathers
// until one ends. An id that is asked for again before its query has been sent shares the answer; after that it does not,
// since a query under way may have begun before what the later caller already knows of.
import type { Clock, Timer } from '../base/clock.ts'
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

/** How a keyspace's loads are gathered. What is not given is as `limits` has it for databases. */
export interface LoadLimits {
  /** Ids of one query. */
  readonly batchMax?: number
  /** How long the first id of a query waits for others; 0: for what is missed in the same turn. */
  readonly windowMs?: number
  /** Queries of the keyspace under way. */
  readonly underWayMax?: number
  /** Ids that wait for one of them to end. */
  readonly waitingMax?: number
}

export interface SourceLoadsOptions {
  /** By keyspace. */
  readonly limits?: ReadonlyMap<string, LoadLimits>
  /** Queries under way of all keyspaces together: `limits.sourceLoadsMax` unless said otherwise. */
  readonly underWayMax?: number
}

type Waiting<V> = PromiseWithResolvers<LoadedRow<V>>
type Batch<V> = readonly (readonly [RowId, Waiting<V>])[]

/** What became of loads: a number of rows of a keyspace, and whether they failed. */
export type CountLoads = (rows: number, failed: boolean, keyspace: string) => void

/** The ids of one keyspace that wait. */
interface Queue<V> {
  readonly keyspace: string
  readonly rows: Map<RowId, Waiting<V>>
  readonly limits: Required<LoadLimits>
  underWay: number
  /** Its window is over: what waits is sent as soon as it may be. */
  ripe: boolean
  window: Timer | undefined
}

export class SourceLoads<V = Uint8Array> {
  readonly #source: Source<V>
  readonly #clock: Clock
  readonly #count: CountLoads
  readonly #options: SourceLoadsOptions
  readonly #queues = new Map<string, Queue<V>>()
  /** Queues with ids that wait; those that have waited longest come first. */
  readonly #waiting = new Set<Queue<V>>()
  #waitingRows = 0
  #underWay = 0
  #scheduled = false

  constructor(source: Source<V>, clock: Clock, count: CountLoads, options: SourceLoadsOptions = {}) {
    this.#source = source
    this.#clock = clock
    this.#count = count
    this.#options = options
  }

  /** By a query that is sent after this call. Rejects as the source does, or with SOURCE_OVERLOADED. */
  load(keyspace: string, id: RowId): Promise<LoadedRow<V>> {
    const queue = this.#queue(keyspace)
    const { rows } = queue
    const joined = rows.get(id)
    if (joined !== undefined) return joined.promise
    if (this.#waitingRows >= queue.limits.waitingMax) return Promise.reject(this.#overloaded())
    const waiting: Waiting<V> = Promise.withResolvers<LoadedRow<V>>()
    rows.set(id, waiting)
    this.#waitingRows++
    if (rows.size === 1) this.#open(queue)
    if (queue.ripe || rows.size >= queue.limits.batchMax) this.#schedule()
    return waiting.promise
  }

  #queue(keyspace: string): Queue<V> {
    let queue = this.#queues.get(keyspace)
    if (queue === undefined) {
      const own = { ...defaults, ...this.#options.limits?.get(keyspace) }
      const rows = new Map<RowId, Waiting<V>>()
      queue = { keyspace, rows, limits: own, underWay: 0, ripe: false, window: undefined }
      this.#queues.set(keyspace, queue)
    }
    return queue
  }

  #open(queue: Queue<V>): void {
    this.#waiting.add(queue)
    const { windowMs } = queue.limits
    if (windowMs === 0) {
      queue.ripe = true
      return
    }
    queue.window = this.#clock.timer(windowMs, () => {
      queue.ripe = true
      this.#send()
    })
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
    const underWayMax = this.#options.underWayMax ?? limits.sourceLoadsMax
    for (const queue of this.#waiting) {
      const { rows, limits: own } = queue
      // One walk for all: a map remembers for a while what was taken from its front.
      const walk = rows.entries()
      while (queue.ripe ? rows.size > 0 : rows.size >= own.batchMax) {
        if (this.#underWay >= underWayMax) return
        if (queue.underWay >= own.underWayMax) break
        const batch = taken(walk, own.batchMax)
        for (const [id] of batch) rows.delete(id)
        this.#waitingRows -= batch.length
        void this.#query(queue, batch)
      }
      if (rows.size > 0) continue
      queue.ripe = false
      queue.window?.cancel()
      this.#waiting.delete(queue)
    }
  }

  async #query(queue: Queue<V>, batch: Batch<V>): Promise<void> {
    this.#underWay++
    queue.underWay++
    try {
      await this.#ask(queue.keyspace, batch)
    } finally {
      queue.underWay--
      this.#underWay--
      if (this.#waitingRows > 0) this.#schedule()
    }
  }

  async #ask(keyspace: string, batch: Batch<V>): Promise<void> {
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

// Not `take`, which closes what it takes from.
function taken<T>(walk: Iterator<T>, most: number): T[] {
  const items: T[] = []
  while (items.length < most) {
    const next = walk.next()
    if (next.done === true) break
    items.push(next.value)
  }
  return items
}

const defaults: Required<LoadLimits> = {
  batchMax: limits.loadBatchMax,
  windowMs: 0,
  underWayMax: Infinity,
  waitingMax: limits.sourceWaitingRowsMax,
}
