// A server thread's cache: the path of a hit, which looks at the shared store and the lane table by itself; and what thread
// code asks of the read path (reader.ts) and the write path (writer.ts). What the store holds of rows is a tier of this
// process's own (tier/embedded-tier.ts) or the near cache of a shared one (store-near.ts): a hit is the same for both.
//
//   hit     a row in memory counts while its lane's proof is within the keyspace's bound (isServable)
//   miss    the reader is asked
//
// Not for: plain keys (they live in the store alone), commands and replies, and the feed (tide.ts).
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { SessionTicket } from '../coherence/session.ts'
import type { KeyspaceDescription, RowBytes, RowOutcome } from '../source/source.ts'
import { RecordType } from '../store/layout.ts'
import type { Store } from '../store/store.ts'
import type { LaneTable } from '../tier/lane-table.ts'
import { KeyspaceIndex } from './keyspace-index.ts'
import { Keyspaces, type Keyspace, type KeyspaceOptions } from './keyspaces.ts'
import { Reader, type ReadAnswer, type ReadOptions } from './reader.ts'
import { SessionTickets } from './session-tickets.ts'
import { SuspendWatch } from './suspend-watch.ts'
import { Writer, type CacheWrite } from './writer.ts'

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

interface Gathered {
  readonly writes: readonly CacheWrite[]
  readonly resolve: (outcomes: readonly RowOutcome[]) => void
  readonly reject: (error: unknown) => void
}

export class Cache {
  readonly hits: Float64Array
  readonly misses: Float64Array
  /** The monotonic clock, read once for a batch of requests. */
  nowMs = 0
  /** Of the connection whose requests are being run. Reads and writes take note of it as they are called. */
  tickets: SessionTickets = new SessionTickets()
  #trustedFromMs = -Infinity
  readonly #store: Store
  readonly #table: LaneTable
  readonly #index: KeyspaceIndex<Keyspace>
  readonly #boundsMs: Float64Array
  readonly #counters: CacheCounters
  readonly #clock: Clock
  readonly #watch: SuspendWatch
  readonly #keyspaces: Keyspaces
  readonly #reader: Reader
  readonly #writer: Writer
  #gathered: Gathered[] | undefined
  readonly #hasSessions: boolean

  constructor(options: CacheOptions) {
    const { counters, clock, random } = options
    this.#store = options.store
    this.#table = options.table
    this.#counters = counters
    this.hits = counters.hits
    this.misses = counters.misses
    this.#clock = clock
    this.#watch = new SuspendWatch(clock)
    this.#keyspaces = new Keyspaces(options.keyspaces, clock, (rows, failed) => {
      const counter = failed ? counters.loadErrors : counters.loads
      counter[0] = counter[0]! + rows
    })
    this.#reader = new Reader(this.#keyspaces, clock, random)
    this.#writer = new Writer(this.#keyspaces, clock, random)
    this.#index = new KeyspaceIndex(this.#keyspaces.all)
    // Whether a session may be answered from memory is for the reader to say: what is found is never servable here.
    const boundMs = ({ session, maxStalenessMs }: Keyspace): number => (session === true ? -Infinity : maxStalenessMs)
    this.#boundsMs = Float64Array.from(this.#keyspaces.all, boundMs)
    this.#hasSessions = this.#keyspaces.all.some(({ session }) => session)
  }

  /** Both clocks, read once for a batch of requests. */
  tick(monotonicMs: number, wallMs: number): void {
    this.nowMs = monotonicMs
    if (this.#watch.jumped(monotonicMs, wallMs)) this.#trustedFromMs = this.#watch.trustedFromMs
  }

  /** How keyspaces look from now on: their tables were altered. */
  describe(descriptions: readonly KeyspaceDescription[]): void {
    this.#keyspaces.describe(descriptions)
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
    const boundMs = this.#boundsMs[store.foundKeyspace]!
    // Without a bound (a source without a log) there is no proof to distrust: the time to live governs.
    if (asOfMs < this.#trustedFromMs && boundMs !== Infinity) return false
    return this.nowMs - asOfMs <= boundMs
  }

  /**
   * Rows as JSON, null where there is none, in the order of `keys`, each within its keyspace's bound. Rejects with
   * ROW_KEY_INVALID, STALE (where a keyspace is set to fail then), or as the database does.
   */
  read(keys: readonly string[]): Promise<RowBytes[]> {
    return Promise.all(keys.map(async key => (await this.ask(key, {})).value))
  }

  /**
   * One row and how fresh it is, as fresh as `options` ask for; in a keyspace with sessions nothing older than what the
   * connection has seen. Rejects as `read` does.
   */
  ask(key: string, options: ReadOptions): Promise<ReadAnswer> {
    return this.#hasSessions ? this.#askInSession(key, options, this.tickets) : this.#reader.read(key, options)
  }

  async #askInSession(key: string, options: ReadOptions, tickets: SessionTickets): Promise<ReadAnswer> {
    const { session, backing } = this.#keyspaces.place(key).keyspace
    if (session !== true) return this.#reader.read(key, options)
    const { source } = backing
    const called = tickets.of(source)
    const answer = await this.#reader.read(key, { ...options, session: options.session ?? called })
    tickets.saw(source, called, answer.session)
    return answer
  }

  /**
   * A ticket for all that the connection has written to the database of a keyspace, and seen of its keyspaces with
   * sessions; undefined if nothing. A session that goes on elsewhere with it sees what it wrote.
   */
  sessionOf(keyspace: Keyspace): SessionTicket | undefined {
    return this.tickets.of(keyspace.backing.source)
  }

  /** How long ago an answer was proved to be true as of. */
  age(asOfMs: number): number {
    return this.#clock.monotonicMs() - asOfMs
  }

  /** Removes rows from memory, so that they are loaded when they are asked for. Returns how many keys that were. */
  async invalidate(keys: readonly string[]): Promise<number> {
    const found = new Set(keys)
    await this.#writer.invalidate([...found])
    return found.size
  }

  /** Begins to load what of `keys` is not in memory, so that reads that follow find it there, or under way. */
  prefetch(keys: readonly string[]): void {
    for (const key of keys) {
      const bytes = Buffer.from(key)
      const hash = this.#store.hash(bytes, 0, bytes.length)
      const type = this.#store.find(bytes, 0, bytes.length, hash, this.#clock.wallMs())
      // Whoever asked is told of an error when they come to read the key.
      if (type === RecordType.none || !this.isServable(this.#store)) this.#reader.read(key).catch(() => {})
    }
  }

  /**
   * One transaction for all `writes`, which are of keyspaces of one database; then memory holds what the database returned.
   * Outcomes in the order of the writes. Rejects with CROSS_SOURCE, or as the database does, and then nothing has changed
   * (save SOURCE_TIMEOUT: that is not known).
   */
  async write(writes: readonly CacheWrite[]): Promise<readonly RowOutcome[]> {
    if (this.#gathered !== undefined) return this.#gather(writes)
    const { tickets } = this
    const [first] = writes
    const source = first && this.#keyspaces.place(first.key).keyspace.backing.source
    const called = source && tickets.of(source)
    const { outcomes, session } = await this.#writer.write(writes)
    this.#counters.writes[0] = this.#counters.writes[0]! + writes.length
    if (source !== undefined && session !== undefined) tickets.saw(source, called, session)
    return outcomes
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
    for (const { key } of writes) this.#keyspaces.place(key)
    const { promise, resolve, reject } = Promise.withResolvers<readonly RowOutcome[]>()
    this.#gathered!.push({ writes, resolve, reject })
    return promise
  }
}
