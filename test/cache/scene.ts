// A cache over a real SQLite file, in one thread, with a clock that stands still: what the tests of the read and write path
// are written in. `other` is a connection of its own, as another process has one.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { seededRandom } from '../../src/base/random.ts'
import { Cache } from '../../src/cache/cache.ts'
import type { KeyspaceOptions } from '../../src/cache/keyspaces.ts'
import { TableProofs } from '../../src/cache/proofs.ts'
import { EmbeddedTide } from '../../src/cache/embedded-tide.ts'
import type { RowId, RowWrite, Source } from '../../src/source/source.ts'
import { SqliteSource } from '../../src/source/sqlite-source.ts'
import { RecordType } from '../../src/store/layout.ts'
import { Store } from '../../src/store/store.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { EmbeddedTier } from '../../src/tier/embedded-tier.ts'
import { LaneTable } from '../../src/tier/lane-table.ts'

export const BOUND_MS = 500
const LANES = 64

/** The source as a cache sees it, with its questions counted, and answers that can be held back. */
export class WatchedSource implements Source {
  readonly name: string
  readonly loads: RowId[][] = []
  writes = 0
  /** While set, answers of loads wait for it: the query has been made, its answer is on its way. */
  held: Promise<void> | undefined
  failure: Error | undefined
  /** While set, what writes return is not known to be what they left behind. */
  inexact = false
  readonly #source: SqliteSource

  constructor(source: SqliteSource) {
    this.name = source.name
    this.#source = source
  }

  async load(keyspace: string, ids: readonly RowId[]): ReturnType<Source['load']> {
    this.loads.push([...ids])
    if (this.failure !== undefined) throw this.failure
    const { held } = this
    const result = await this.#source.load(keyspace, ids)
    await held
    return result
  }

  async write(writes: readonly RowWrite[]): ReturnType<Source['write']> {
    this.writes++
    const { outcomes, stamp } = await this.#source.write(writes)
    return { outcomes: outcomes.map(outcome => ({ ...outcome, exact: outcome.exact && !this.inexact })), stamp }
  }

  get epoch(): bigint {
    return this.#source.epoch
  }

  position(): ReturnType<Source['position']> {
    return this.#source.position()
  }

  close(): Promise<void> {
    return this.#source.close()
  }
}

function parse(row: Uint8Array): Record<string, unknown> {
  return JSON.parse(Buffer.from(row).toString()) as Record<string, unknown>
}

export interface Thread {
  readonly cache: Cache
  readonly store: Store
}

export class Scene {
  readonly clock = new ManualClock()
  readonly folder: string
  readonly store: Store
  readonly table: LaneTable = LaneTable.create(LANES)
  readonly resets: string[] = []
  readonly counters = {
    hits: new Float64Array(1),
    misses: new Float64Array(1),
    loads: new Float64Array(1),
    loadErrors: new Float64Array(1),
    writes: new Float64Array(1),
  }
  readonly sqlite: SqliteSource
  readonly source: WatchedSource
  readonly other: DatabaseSync
  readonly cache: Cache
  readonly #random = seededRandom(7)
  readonly #whenStale: KeyspaceOptions['whenStale']

  static async open(options: { whenStale?: KeyspaceOptions['whenStale']; schema?: string } = {}): Promise<Scene> {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-cache-'))
    const file = join(folder, 'app.db')
    const other = new DatabaseSync(file)
    other.exec('CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT) STRICT')
    other.exec("INSERT INTO users VALUES (1, 'Ada', 'London'), (2, 'Grace', NULL), (3, 'Alan', 'Wilmslow')")
    if (options.schema !== undefined) other.exec(options.schema)
    const clock = new ManualClock()
    const sqlite = await SqliteSource.open({
      name: 'app',
      file,
      busyTimeoutMs: 100,
      pollMs: 25,
      keyspaces: [{ name: 'users', table: 'users' }],
      clock,
      random: seededRandom(3),
    })
    return new Scene(folder, clock, sqlite, other, options.whenStale ?? 'source')
  }

  private constructor(
    folder: string,
    clock: ManualClock,
    sqlite: SqliteSource,
    other: DatabaseSync,
    whenStale: KeyspaceOptions['whenStale'],
  ) {
    this.folder = folder
    this.clock = clock
    this.sqlite = sqlite
    this.other = other
    this.#whenStale = whenStale
    this.source = new WatchedSource(sqlite)
    this.store = Store.create({ memoryBytes: 4 << 20, threads: 2, seed: 5 })
    const { epoch, end: position } = sqlite
    const onReset = (reason: string): void => void this.resets.push(reason)
    sqlite.subscribe(
      new EmbeddedTide({ tier: this.tier(this.store, this.table), epoch, position, random: this.#random, onReset }),
    )
    sqlite.poll()
    this.cache = this.#cache(this.store, this.table)
  }

  tier(store: Store, table: LaneTable): EmbeddedTier {
    return new EmbeddedTier({ store, table, firstLane: 0, lanes: LANES, clock: this.clock, keyspaceOf: () => 0 })
  }

  #cache(store: Store, table: LaneTable): Cache {
    const { source, sqlite, counters, clock } = this
    const proofs = new TableProofs(table, 0)
    const tier = this.tier(store, table)
    const description = sqlite.describe()[0]!
    const keyspace = { description, backing: { source, tier, proofs }, maxStalenessMs: BOUND_MS }
    const keyspaces = [{ ...keyspace, whenStale: this.#whenStale }]
    return new Cache({ store, table, keyspaces, counters, clock, random: this.#random })
  }

  /** A second thread's cache over the same memory. */
  secondThread(): Thread {
    const store = Store.attach(this.store.shared, 1)
    return { store, cache: this.#cache(store, LaneTable.attach(this.table.shared, 1)) }
  }

  /** One row as an object. */
  async read(key: string, cache: Cache = this.cache): Promise<Record<string, unknown> | null> {
    const [row = null] = await cache.read([key])
    return row === null ? null : parse(row)
  }

  async set(key: string, fields: Record<string, string>, cache: Cache = this.cache): Promise<void> {
    const pairs = Object.entries(fields).map(([name, value]) => [name, Buffer.from(value)] as const)
    await cache.write([{ key, operation: { kind: 'update', fields: pairs } }])
  }

  /** What a hit on the server's hot path would answer, without asking anyone; undefined: it would not. */
  hit(key: string, thread: Thread = this): Record<string, unknown> | null | undefined {
    const bytes = Buffer.from(key)
    const { store, cache } = thread
    cache.tick(this.clock.monotonicMs(), this.clock.wallMs())
    const value = store.get(bytes, 0, bytes.length, store.hash(bytes, 0, bytes.length), this.clock.wallMs())
    if (value === undefined || !cache.isServable(store)) return undefined
    if (store.foundType === RecordType.absentRow) return null
    return store.foundType === RecordType.row ? parse(value) : undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.store.check()
    await this.source.close()
    this.other.close()
    rmSync(this.folder, { recursive: true })
  }
}
