// SQLite as a system of record and as a feed of changes. Everything here is synchronous work on one connection, so it
// is made to run in a thread of its own; what waits (a lock, a full queue) waits on the clock and lets loads go on.
//
//   write()  ->  queue  ->  BEGIN IMMEDIATE                          one fsync for all that queued meanwhile
//                             SAVEPOINT, rows of call 1, RELEASE     a call that fails rolls back alone
//                             SAVEPOINT, rows of call 2, RELEASE
//                           COMMIT  ->  feed  ->  promises
//
// Positions are a counter in memory, drawn inside the write transaction: a call's xid, one for each row changed, `at`,
// and its commit. It starts again at each opening, and so each opening is an epoch of its own.
//
// Commits of other connections show in PRAGMA data_version, which poll() reads. It says that something changed, not
// what, so everything loaded before is reset. Our own commits never move it, nor do they hide that it moved: SQLite
// counts a foreign commit when our next transaction begins, and the count stays.
//
// Not for: SQL text, mapping and row formats (the other files of this folder), threads and messages.
import type { Clock, Timer } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import type { Position } from '../coherence/mark.ts'
import type { SourceLoadStamp } from '../coherence/stamp.ts'
import type { FeedHandler, PushedFeed } from './pushed-feed.ts'
import { parseRowId } from './row-id.ts'
import { encodeRow } from './row-json.ts'
import type {
  KeyspaceDescription,
  LoadResult,
  RowBytes,
  RowId,
  RowWrite,
  Source,
  SourcePosition,
  WriteResult,
} from './source.ts'
import { withBusyRetries } from './sqlite-busy.ts'
import { SqliteConnection } from './sqlite-connection.ts'
import { isSqliteError } from './sqlite-errors.ts'
import type { SqliteKeyspace } from './sqlite-mapping.ts'
import { SqliteWriteQueue } from './sqlite-write-queue.ts'

export interface SqliteSourceOptions {
  readonly name: string
  /** An existing database. */
  readonly file: string
  /** How long a call waits for a lock that someone else holds, before SOURCE_BUSY. */
  readonly busyTimeoutMs: number
  /** How often `start` looks for other connections' commits. */
  readonly pollMs: number
  readonly keyspaces: readonly SqliteKeyspace[]
  readonly clock: Clock
  readonly random: Random
}

export class SqliteSource implements Source, PushedFeed {
  readonly name: string
  readonly epoch: bigint
  readonly #options: SqliteSourceOptions
  readonly #connection: SqliteConnection
  readonly #queue: SqliteWriteQueue
  readonly #handlers: FeedHandler[] = []
  #end: Position = 0n
  #descriptions: readonly KeyspaceDescription[]
  #dataVersion: number
  #unavailable: TidemarkError | undefined
  #closed = false
  #polling: Timer | undefined

  /**
   * Opens `options.file` and maps its tables. Waits up to busyTimeoutMs for locks; rejects with SOURCE_UNAVAILABLE,
   * MAPPING_INVALID (all problems at once), SOURCE_BUSY or SOURCE_FAILED.
   */
  static async open(options: SqliteSourceOptions): Promise<SqliteSource> {
    return withBusyRetries(
      options,
      () => new SqliteSource(options, new SqliteConnection(options.file, options.keyspaces)),
    )
  }

  private constructor(options: SqliteSourceOptions, connection: SqliteConnection) {
    const { random } = options
    this.name = options.name
    this.epoch = (BigInt(random.uint32()) << 32n) | BigInt(random.uint32())
    this.#options = options
    this.#connection = connection
    this.#dataVersion = connection.dataVersion()
    this.#descriptions = connection.mappings().map(mapping => mapping.description)
    this.#queue = new SqliteWriteQueue(connection, options, {
      epoch: this.epoch,
      draw: () => ++this.#end,
      checkUsable: () => this.#checkUsable(),
      refreshMapping: () => this.#refreshMapping(),
      changes: (position, events) => this.#tell(handler => handler.changes(position, events)),
      reset: reason => this.#reset(reason),
    })
  }

  get end(): Position {
    return this.#end
  }

  subscribe(handler: FeedHandler): void {
    this.#handlers.push(handler)
  }

  /** How the keyspaces look now. After a change of the schema by someone else it differs, which a reset tells. */
  describe(): readonly KeyspaceDescription[] {
    return this.#descriptions
  }

  async load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult> {
    return withBusyRetries(this.#options, () => this.#loadNow(keyspace, ids))
  }

  #loadNow(keyspace: string, ids: readonly RowId[]): LoadResult {
    this.#checkUsable()
    const connection = this.#connection
    let version = this.#dataVersion
    let rows: RowBytes[]
    connection.begin()
    try {
      version = connection.dataVersion()
      if (connection.isSchemaMoved()) this.#refreshMapping()
      const { mapping, statements } = connection.table(keyspace)
      const keys = ids.map(id => parseRowId(keyspace, mapping.key, id))
      rows = Array.from<RowBytes>({ length: ids.length }).fill(null)
      for (let from = 0; from < keys.length; from += limits.loadBatchMax) {
        for (const found of statements.load(keys.slice(from, from + limits.loadBatchMax))) {
          rows[from + Number(found[0])] = encodeRow(mapping.columns, found, 1)
        }
      }
    } finally {
      connection.rollback()
      // What the load has seen lies before its stamp.
      this.#know(version)
    }
    return { rows, stamp: this.#loadStamp() }
  }

  /** A load's snapshot sees every transaction drawn so far: they are all over when a load runs. */
  #loadStamp(): SourceLoadStamp {
    const position = this.#end
    const next = position + 1n
    return {
      kind: 'load',
      snapshot: { xmin: next, xmax: next, inProgress: [], exact: true },
      flush: position,
      epoch: this.epoch,
      upto: position,
    }
  }

  /** Looks for commits of others first, as a poll does: what they changed is visible, and lies before the position. */
  async position(): Promise<SourcePosition> {
    return withBusyRetries(this.#options, () => {
      this.#checkUsable()
      this.#look()
      return { position: this.#end, epoch: this.epoch }
    })
  }

  async write(writes: readonly RowWrite[]): Promise<WriteResult> {
    this.#checkUsable()
    return this.#queue.write(writes)
  }

  /** Polls now and every pollMs from then on, until `stop` or `close`. */
  start(): void {
    if (this.#polling !== undefined || this.#closed) return
    const turn = (): void => {
      this.#polling = this.#options.clock.timer(this.#options.pollMs, turn)
      this.poll()
    }
    turn()
  }

  stop(): void {
    this.#polling?.cancel()
    this.#polling = undefined
  }

  /**
   * Looks once whether another connection has committed, and tells the handlers: a reset if so, and in any case how far
   * the feed is true. Tells no sample while the file cannot be read or is another one: then nothing proves freshness.
   */
  poll(): void {
    const takenAtMs = this.#options.clock.monotonicMs()
    if (this.#closed || !this.#checkFile()) return
    try {
      this.#look()
    } catch (thrown) {
      // Locked, or broken: this poll proves nothing. Loads and writes meet the same error and report it.
      if (isSqliteError(thrown)) return
      throw thrown
    }
    const position = this.#end
    this.#tell(handler => handler.sample(takenAtMs, position))
    // A proof needs a mark strictly past the sample, so a quiet database is moved on.
    const past = ++this.#end
    this.#tell(handler => handler.changes(past, []))
  }

  #look(): void {
    this.#know(this.#readVersion())
  }

  // Another version than before: another connection has committed.
  #know(version: number): void {
    if (version === this.#dataVersion) return
    this.#dataVersion = version
    this.#reset('another connection has written to the database')
  }

  /** The version; where it has moved, the mapping is up to date afterwards. */
  #readVersion(): number {
    const connection = this.#connection
    connection.begin()
    try {
      const version = connection.dataVersion()
      if (version !== this.#dataVersion && connection.isSchemaMoved()) this.#refreshMapping()
      return version
    } finally {
      connection.rollback()
    }
  }

  /** Ends polling, commits what is queued if no lock is in the way, and closes the file. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.stop()
    this.#queue.close()
    this.#closed = true
    this.#connection.close()
  }

  #checkUsable(): void {
    if (this.#closed) throw new TidemarkError('SHUTTING_DOWN', `source ${this.name} is closed`)
    if (!this.#checkFile()) throw this.#unavailable!
  }

  /** False while the path does not lead to the open file: what is written to that file would be lost. */
  #checkFile(): boolean {
    const inPlace = this.#connection.isFileInPlace()
    const { file } = this.#options
    if (!inPlace && this.#unavailable === undefined) {
      const message = `${file} was deleted or replaced while it was open; put it back, or restart to open the new one`
      this.#unavailable = new TidemarkError('SOURCE_UNAVAILABLE', message)
      this.#reset('the database file was deleted or replaced')
    } else if (inPlace && this.#unavailable !== undefined) {
      this.#unavailable = undefined
      this.#reset('the database file is back')
    }
    return inPlace
  }

  #refreshMapping(): void {
    this.#connection.refreshMapping()
    this.#descriptions = this.#connection.mappings().map(mapping => mapping.description)
  }

  #reset(reason: string): void {
    const position = ++this.#end
    this.#tell(handler => handler.reset(position, reason))
  }

  #tell(what: (handler: FeedHandler) => void): void {
    for (const handler of this.#handlers) what(handler)
  }
}
