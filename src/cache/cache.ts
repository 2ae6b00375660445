// The read path and the write path of rows, over a tier and the databases behind it. One instance a thread.
//
//   read    a row in memory counts while its lane's proof is within the keyspace's bound (isServable: the path of a hit)
//           else take the key's lease and load, with all other keys that are missed in the same turn, in one query
//           whoever finds the lease taken waits for the fill; after a while it loads by itself, without filling
//           fill: refused if anything happened to the key since the lease; the caller gets the loaded row in any case
//   write   the database first, in one transaction; then the rows that it returned are put in memory; then the caller goes on
//
// Not for: plain keys (they live in the store alone), commands and replies, and the feed (tide.ts).
import { assert } from '../base/assert.ts'
import { sleep, type Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { isFresh } from '../coherence/freshness.ts'
import { randomToken, type Token } from '../coherence/record.ts'
import { meetsTicket, ticketAfter, type SessionTicket } from '../coherence/session.ts'
import { parseRowId } from '../source/row-id.ts'
import type { KeyspaceDescription, RowBytes, RowOperation, RowOutcome, Source, WriteResult } from '../source/source.ts'
import { RecordType } from '../store/layout.ts'
import type { Store } from '../store/store.ts'
import type { EmbeddedTier } from '../tier/embedded-tier.ts'
import type { LaneTable } from '../tier/lane-table.ts'
import { BatchLoader, type LoadedRow } from './batch-loader.ts'
import { KeyspaceIndex } from './keyspace-index.ts'

export interface KeyspaceOptions {
  readonly description: KeyspaceDescription
  readonly source: Source
  /** Of the source's feed: loads of another epoch are not stored. */
  readonly epoch: bigint
  readonly tier: EmbeddedTier
  readonly maxStalenessMs: number
  /** What to do when no answer is proved as fresh as maxStalenessMs asks for. */
  readonly whenStale: 'source' | 'serve' | 'fail'
}

/** What one read asks for, where it is not what the keyspace says. */
export interface ReadOptions {
  /** 0: what the database has now. */
  readonly maxStalenessMs?: number | undefined
  /** Never older than what the session has seen or written. */
  readonly session?: SessionTicket | undefined
  readonly whenStale?: KeyspaceOptions['whenStale'] | undefined
}

/** A row, and what is known of it. */
export interface ReadAnswer {
  /** JSON; null: there is no such row. */
  readonly value: RowBytes
  /** Monotonic ms as of which it is proved to be true; NO_PROOF when it is not. */
  readonly asOfMs: number
  /** Where it came from: this process's memory, the shared one, or the database. */
  readonly tier: 'near' | 'tier' | 'source'
  /** Older than was asked for, and given all the same (whenStale: 'serve'). */
  readonly stale: boolean
  /** Of the session after this; undefined where positions are not known. */
  readonly session: SessionTicket | undefined
}

/** Counters, each a view of one element (base/metrics.ts). */
export interface CacheCounters {
  readonly hits: Float64Array
  readonly misses: Float64Array
  readonly loads: Float64Array
  readonly loadErrors: Float64Array
  readonly writes: Float64Array
}

export interface CacheOptions {
  readonly store: Store
  readonly table: LaneTable
  /** In the order of the numbers by which records name them. */
  readonly keyspaces: readonly KeyspaceOptions[]
  readonly counters: CacheCounters
  readonly clock: Clock
  readonly random: Random
}

export interface Keyspace extends KeyspaceOptions {
  readonly loader: BatchLoader
  readonly keyColumns: KeyspaceDescription['columns']
}

export interface CacheWrite {
  /** The whole key, its keyspace's prefix included. */
  readonly key: string
  readonly operation: RowOperation
}

interface Gathered {
  readonly writes: readonly CacheWrite[]
  readonly resolve: (outcomes: readonly RowOutcome[]) => void
  readonly reject: (error: unknown) => void
}

interface Flight {
  readonly token: Token
  readonly loaded: Promise<LoadedRow>
}

/** How long a reader waits before it looks again whether another thread has filled a key. */
const FILL_POLL_MS = 1

export class Cache {
  readonly hits: Float64Array
  readonly misses: Float64Array
  /** The monotonic clock, read once for a batch of requests. */
  nowMs = 0
  readonly #store: Store
  readonly #table: LaneTable
  readonly #keyspaces: readonly Keyspace[]
  readonly #index: KeyspaceIndex<Keyspace>
  readonly #boundsMs: Float64Array
  readonly #counters: CacheCounters
  readonly #clock: Clock
  readonly #random: Random
  #gathered: Gathered[] | undefined
  readonly #flights = new Map<string, Flight>()
  readonly #written = new Map<Source, SessionTicket>()

  constructor(options: CacheOptions) {
    const { counters } = options
    this.#store = options.store
    this.#table = options.table
    this.#counters = counters
    this.hits = counters.hits
    this.misses = counters.misses
    this.#clock = options.clock
    this.#random = options.random
    this.#keyspaces = options.keyspaces.map(keyspace => {
      const { description, source } = keyspace
      const count = (rows: number, failed: boolean): void => {
        const counter = failed ? counters.loadErrors : counters.loads
        counter[0] = counter[0]! + rows
      }
      const loader = new BatchLoader(source, description.name, count)
      const byName = new Map(description.columns.map(column => [column.name, column]))
      const keyColumns = description.keyColumns.map(name => byName.get(name)!)
      return { ...keyspace, loader, keyColumns }
    })
    this.#index = new KeyspaceIndex(this.#keyspaces)
    this.#boundsMs = Float64Array.from(this.#keyspaces, keyspace => keyspace.maxStalenessMs)
  }

  tick(monotonicMs: number): void {
    this.nowMs = monotonicMs
  }

  /** The keyspace that a key names, or undefined: a plain key. */
  keyspaceOf(bytes: Uint8Array, start: number, end: number): Keyspace | undefined {
    return this.#index.of(bytes, start, end)
  }

  /**
   * Whether the row, or the absence of one, that `store.find` just found may be answered: it is of its lane's generation,
   * and the lane is proved true within its keyspace's bound. The answer holds if a `store.confirm` after this does.
   */
  isServable(store: Store): boolean {
    const lane = store.foundLane
    const asOfMs = this.#table.asOf(lane)
    if (this.#table.tag(lane) !== store.foundGeneration) return false
    return this.nowMs - asOfMs <= this.#boundsMs[store.foundKeyspace]!
  }

  /**
   * Rows as JSON, null where there is none, in the order of `keys`, each within its keyspace's bound. Rejects with
   * ROW_KEY_INVALID, STALE (where a keyspace is set to fail then), or as the database does.
   */
  read(keys: readonly string[]): Promise<RowBytes[]> {
    return Promise.all(keys.map(async key => (await this.#readKey(key, {})).value))
  }

  /** One row and how fresh it is, as fresh as `options` ask for. Rejects as `read` does. */
  ask(key: string, options: ReadOptions): Promise<ReadAnswer> {
    return this.#readKey(key, options)
  }

  /**
   * A ticket for all that has been written through this cache to the database of a keyspace; undefined before the first
   * write. A session that goes on elsewhere with it sees what it wrote.
   */
  sessionOf(keyspace: Keyspace): SessionTicket | undefined {
    return this.#written.get(keyspace.source)
  }

  /** How long ago an answer was proved to be true as of. */
  age(asOfMs: number): number {
    return this.#clock.monotonicMs() - asOfMs
  }

  /** Removes rows from memory, so that they are loaded when they are asked for. Returns how many keys that were. */
  invalidate(keys: readonly string[]): Promise<number> {
    const found = new Map(keys.map(key => [key, this.#split(key).keyspace]))
    for (const [key, { tier }] of found) tier.voidKey(key)
    return Promise.resolve(found.size)
  }

  /** Begins to load what of `keys` is not in memory, so that reads that follow find it there, or under way. */
  prefetch(keys: readonly string[]): void {
    for (const key of keys) {
      const bytes = Buffer.from(key)
      const hash = this.#store.hash(bytes, 0, bytes.length)
      const type = this.#store.find(bytes, 0, bytes.length, hash, this.#clock.wallMs())
      // Whoever asked is told of an error when they come to read the key.
      if (type === RecordType.none || !this.isServable(this.#store)) this.#readKey(key, {}).catch(() => {})
    }
  }

  async #readKey(key: string, options: ReadOptions): Promise<ReadAnswer> {
    const { keyspace, id } = this.#split(key)
    const { tier } = keyspace
    const { session, maxStalenessMs = keyspace.maxStalenessMs } = options
    if (options.maxStalenessMs === 0) return this.#load(keyspace, id, session)
    const lane = tier.laneOf(key)
    const waitUntilMs = this.#clock.monotonicMs() + limits.fillWaitMs
    for (;;) {
      const nowMs = this.#clock.monotonicMs()
      // Before the record: what is read later reflects at least as much.
      const asOfMs = tier.asOf(lane)
      const read = tier.read([key])[0]!
      if (read.lane === undefined || read.record?.type === 'fence') return this.#load(keyspace, id, session)
      if (read.record?.type === 'value') {
        const { payload, stamp } = read.record
        if (!meetsTicket(session, read.lane, stamp)) return this.#load(keyspace, id, session)
        const answer = { value: payload, asOfMs, tier: 'near', session: ticketAfter(session, stamp) } as const
        if (isFresh(asOfMs, nowMs, maxStalenessMs)) return { ...answer, stale: false }
        const whenStale = options.whenStale ?? keyspace.whenStale
        if (whenStale === 'serve') return { ...answer, stale: true }
        if (whenStale === 'source') return this.#load(keyspace, id, session)
        throw staleError(keyspace, key, nowMs - asOfMs, maxStalenessMs)
      }
      if (read.record?.type === 'lease') {
        const flight = this.#flights.get(key)
        // While the lease of our own flight stands, nothing has happened to the key since before its query. What a session
        // has seen may have happened after it all the same, where the tide has not come to it.
        if (session !== undefined) return this.#load(keyspace, id, session)
        if (flight?.token === read.record.token) return loadedAnswer(await flight.loaded, nowMs, session)
        if (nowMs >= waitUntilMs) return this.#load(keyspace, id, session)
        await sleep(this.#clock, FILL_POLL_MS)
        continue
      }
      const token = randomToken(this.#random)
      const lease = tier.lease(key, { token, epoch: keyspace.epoch, leaseMs: limits.leaseMs })
      if (lease.outcome === 'other-epoch') return this.#load(keyspace, id, session)
      if (lease.outcome !== 'granted') continue
      const loaded = await this.#fly(keyspace, key, id, token, lease.lane!.mark.lsn)
      return loadedAnswer(loaded, nowMs, session)
    }
  }

  #split(key: string): { keyspace: Keyspace; id: string } {
    const bytes = Buffer.from(key)
    const keyspace = this.#index.of(bytes, 0, bytes.length)
    assert(keyspace !== undefined, 'a row key names a keyspace')
    const { name } = keyspace.description
    const id = key.slice(name.length + 1)
    parseRowId(name, keyspace.keyColumns, id)
    return { keyspace, id }
  }

  async #load(keyspace: Keyspace, id: string, session: SessionTicket | undefined): Promise<ReadAnswer> {
    const nowMs = this.#clock.monotonicMs()
    return loadedAnswer(await keyspace.loader.load(id), nowMs, session)
  }

  // Loads under a lease, for all who ask for the key in this thread meanwhile.
  #fly(keyspace: Keyspace, key: string, id: string, token: Token, markLsn: bigint): Promise<LoadedRow> {
    const loaded = this.#loadAndFill(keyspace, key, id, token, markLsn)
    const flight = { token, loaded }
    this.#flights.set(key, flight)
    const end = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    }
    loaded.then(end, end)
    return loaded
  }

  async #loadAndFill(keyspace: Keyspace, key: string, id: string, token: Token, markLsn: bigint): Promise<LoadedRow> {
    const { tier } = keyspace
    try {
      const loaded = await keyspace.loader.load(id)
      const { row, stamp } = loaded
      tier.fill(key, token, { payload: row, stamp: { ...stamp, lsn: markLsn } })
      return loaded
    } catch (error) {
      // Nobody has to wait for a lease whose load has failed.
      tier.voidKey(key)
      throw error
    }
  }

  /**
   * One transaction for all `writes`, which are of keyspaces of one database; then memory holds what the database returned.
   * Outcomes in the order of the writes. Rejects with CROSS_SOURCE, or as the database does, and then nothing has changed
   * (save SOURCE_TIMEOUT: that is not known).
   */
  async write(writes: readonly CacheWrite[]): Promise<readonly RowOutcome[]> {
    if (this.#gathered !== undefined) return this.#gather(writes)
    const rows = writes.map(({ key, operation }) => ({ key, operation, ...this.#split(key) }))
    const [first] = rows
    if (first === undefined) return []
    const { source } = first.keyspace
    for (const { keyspace } of rows) if (keyspace.source !== source) throw crossSource(first.keyspace, keyspace)
    let result: WriteResult
    try {
      result = await source.write(
        rows.map(({ keyspace, id, operation }) => ({ keyspace: keyspace.description.name, id, operation })),
      )
    } catch (error) {
      const unknown = error instanceof TidemarkError && error.code === 'SOURCE_TIMEOUT'
      if (unknown) for (const { keyspace, key } of rows) keyspace.tier.voidKey(key)
      throw error
    }
    this.#counters.writes[0] = this.#counters.writes[0]! + rows.length
    this.#written.set(source, ticketAfter(this.#written.get(source), result.stamp))
    this.#keep(rows, result)
    return result.outcomes
  }

  /**
   * Makes one transaction of all writes that `begin` makes before it returns; each of them resolves to its own outcomes.
   * Resolves when the database has it; rejects, as each of them does, when it refused, and then nothing has changed.
   */
  async together(begin: () => void): Promise<void> {
    const gathered: Gathered[] = []
    this.#gathered = gathered
    try {
      begin()
    } finally {
      this.#gathered = undefined
    }
    try {
      const outcomes = await this.write(gathered.flatMap(({ writes }) => writes))
      let at = 0
      for (const { writes, resolve } of gathered) resolve(outcomes.slice(at, (at += writes.length)))
    } catch (error) {
      for (const { reject } of gathered) reject(error)
      throw error
    }
  }

  #gather(writes: readonly CacheWrite[]): Promise<readonly RowOutcome[]> {
    // A key that no row can have fails its own command alone.
    for (const { key } of writes) this.#split(key)
    const { promise, resolve, reject } = Promise.withResolvers<readonly RowOutcome[]>()
    this.#gathered!.push({ writes, resolve, reject })
    return promise
  }

  // Of several writes of one key the last one's row is what the transaction left behind.
  #keep(rows: readonly { key: string; keyspace: Keyspace }[], result: WriteResult): void {
    const last = new Map<string, { keyspace: Keyspace; outcome: RowOutcome; inexact: boolean }>()
    for (const [i, { key, keyspace }] of rows.entries()) {
      const outcome = result.outcomes[i]!
      if (!outcome.changed) continue
      const inexact = !outcome.exact || last.get(key)?.inexact === true
      last.set(key, { keyspace, outcome, inexact })
    }
    for (const [key, { keyspace, outcome, inexact }] of last) {
      if (inexact) keyspace.tier.voidKey(key)
      else keyspace.tier.put(key, { payload: outcome.after, stamp: result.stamp })
    }
  }
}

/** What was loaded from the database by a query that was made after `asOfMs`. */
function loadedAnswer({ row, stamp }: LoadedRow, asOfMs: number, session: SessionTicket | undefined): ReadAnswer {
  return { value: row, asOfMs, tier: 'source', stale: false, session: ticketAfter(session, stamp) }
}

function staleError(keyspace: Keyspace, key: string, ageMs: number, maxStalenessMs: number): TidemarkError {
  const age = Number.isFinite(ageMs) ? `proved only as of ${Math.round(ageMs)} ms ago` : 'not proved at all'
  return new TidemarkError(
    'STALE',
    `'${key}' is ${age}; the keyspace '${keyspace.description.name}' allows ${maxStalenessMs} ms ` +
      `(maxStaleness) and fails past that (whenStale: 'fail')`,
  )
}

function crossSource(one: Keyspace, other: Keyspace): TidemarkError {
  return new TidemarkError(
    'CROSS_SOURCE',
    `one command writes to '${one.description.name}' of database '${one.source.name}' and to ` +
      `'${other.description.name}' of database '${other.source.name}', which could not be one transaction`,
  )
}
