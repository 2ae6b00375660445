// The cache of one process: its memory, its keyspaces, and the sources behind them, each opened when it is first asked for.
// Not for: what a keyspace does (keyspace.ts).
import { systemClock, type Clock, type Timer } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { Encryption } from '../codec/encryption.ts'
import { TierValues } from './tier-values.ts'
import { sharedPlaceOf, type SharedPlace } from './tier-place.ts'
import { systemRandom, type Random } from '../base/random.ts'
import { NO_PROOF } from '../coherence/freshness.ts'
import { ProofClock } from './proof-clock.ts'
import { SuspendWatch } from '../cache/suspend-watch.ts'
import { ObjectCache } from '../near/object-cache.ts'
import { ObjectPlaces } from '../near/object-places.ts'
import { Tags } from '../near/tags.ts'
import { diskStorage, type JournalStorage } from '../journal/storage.ts'
import { FunctionsSource, type SourceFunctions } from '../source/functions-source.ts'
import { BehindKeyspace } from './behind-keyspace.ts'
import type { ResolvedBehind } from './behind-options.ts'
import { Breakers } from './breakers.ts'
import { BuiltValues } from './built-values.ts'
import { Engine, type EngineParts } from './engine.ts'
import { Events, type EventName, type Listener } from './events.ts'
import type { Key } from './key.ts'
import type { Build } from './builds.ts'
import { Keyspace } from './keyspace.ts'
import type { OwnValues } from './keyspace-parts.ts'
import { LibraryDatabase, sqliteFile, type OpenPostgres } from './library-database.ts'
import { openLogless } from './open-functions.ts'
import type { LaneRange, OpenParts } from './opened.ts'
import { invalid } from './option-checks.ts'
import {
  resolveKeyspace,
  resolveNear,
  type BuildOptions,
  type CallOptions,
  type CheckedKeyspaceOptions,
  type KeyspaceOptions,
  type ResolvedKeyspace,
  type TidemarkOptions,
  type WriteOptions,
} from './options.ts'
import { CheckedSource, type StandardSchema } from './schema.ts'
import { sessionFrom, type Session } from './session.ts'
import { Counts, sumOf, type Stats } from './stats.ts'
import { importTelemetry, Telemetry, type TelemetryApi } from './telemetry.ts'
import { OwnWrites } from './own-writes.ts'
import { checkTag, OwnTags, type TagBook } from './tag-book.ts'
import { TableSource } from './table-source.ts'
import { ValueReports } from './value-reports.ts'

/** For tests: time, chance and the disk. */
export interface Surroundings {
  readonly clock?: Clock
  readonly random?: Random
  /** Of journals. */
  readonly storage?: JournalStorage
  /** Of OpenTelemetry; without it there are no spans and metrics. */
  readonly telemetry?: TelemetryApi | undefined
  /** In the place of `options.tier`. */
  readonly tier?: SharedPlace | undefined
  /** Of databases of Postgres. */
  readonly openPostgres?: OpenPostgres | undefined
}

/** The keyspace of `tide.getOrSet`, `tide.get` and so on. */
const VALUES = 'values'

export class Tidemark implements AsyncDisposable {
  readonly #options: TidemarkOptions
  readonly #clock: Clock
  readonly #random: Random
  readonly #storage: JournalStorage
  readonly #proofClock: ProofClock
  readonly #book: TagBook
  readonly #places: ObjectPlaces
  readonly #parts: OpenParts
  readonly #events = new Events()
  readonly #breakers = new Breakers()
  readonly #telemetry: Telemetry | undefined
  readonly #reports: ValueReports
  readonly #openPostgres: OpenPostgres | undefined
  readonly #keyspaces = new Map<string, Keyspace<unknown, Key>>()
  readonly #databases = new Map<string, LibraryDatabase>()
  readonly #closing: (() => Promise<void>)[] = []
  readonly #shutting: (() => void)[] = []
  readonly #behind: BehindKeyspace[] = []
  readonly #place: SharedPlace | undefined
  readonly #encryption: Encryption | undefined
  readonly #shared: TierValues | undefined
  #values: Keyspace | undefined
  #lanes = 0
  #sweeping: Timer | undefined
  #closed: Promise<void> | undefined

  constructor(
    options: TidemarkOptions,
    {
      clock = systemClock(),
      random = systemRandom(),
      storage = diskStorage(),
      telemetry,
      tier,
      openPostgres,
    }: Surroundings = {},
  ) {
    this.#options = options
    this.#clock = clock
    this.#random = random
    this.#storage = storage
    this.#openPostgres = openPostgres
    const events = this.#events
    this.#telemetry = telemetry && new Telemetry(telemetry, () => this.#statsByKeyspace())
    this.#reports = new ValueReports(clock, events)
    const evicted = events.ear('evict')
    const filled = events.ear('fill')
    const sleeps = new SuspendWatch(clock)
    const pool = new ObjectCache<unknown>({
      clock,
      ...resolveNear(options),
      lanes: limits.lanesMax,
      onEvict: (space, key, _value, reason) => events.emit('evict', { keyspace: space.name, key, reason }),
      isHeard: () => evicted.isHeard,
      slept: nowMs => sleeps.slept(nowMs, clock.wallMs()),
    })
    this.#proofClock = new ProofClock(clock, new SuspendWatch(clock), () => pool.asOfMs.fill(NO_PROOF))
    this.#places = new ObjectPlaces(pool, clock, (keyspace, key) => {
      if (filled.isHeard) events.emit('fill', { keyspace, key })
    })
    const onError = (error: unknown): void => events.emit('error', { keyspace: undefined, error })
    this.#parts = { places: this.#places, clock, random, onError }
    this.#sweep()
    const tags = new Tags()
    const encryption = options.encryption && new Encryption(options.encryption, random)
    this.#encryption = encryption
    const place = tier ?? sharedPlaceOf(options.tier, options.encryption !== undefined)
    if (place === undefined) {
      this.#book = new OwnTags(tags)
      return
    }
    this.#place = place
    const shared = new TierValues({
      ...this.#parts,
      place,
      range: this.#take(place.lanes),
      encryption,
      tags,
      reports: this.#reports,
    })
    this.#shared = shared
    this.#book = shared.book
    this.#closing.push(() => shared.close())
  }

  /**
   * A family of keys. Keyspaces of one database are made before any of them is used: how they look decides what its log is
   * read for. Throws OPTION_INVALID.
   */
  keyspace<V, K extends Key | [] = string>(name: string, options: CheckedKeyspaceOptions<V, K>): Keyspace<V, K>
  keyspace<V = unknown, K extends Key | [] = string>(name: string, options?: KeyspaceOptions<V, K>): Keyspace<V, K>
  keyspace<V, K extends Key>(name: string, options: KeyspaceOptions<V, K> = {}): Keyspace<V, K> {
    if (name === VALUES)
      throw invalid('keyspace', name, `another name: '${VALUES}' is that of tide.get, tide.set and so on`)
    return this.#keyspace(name, options)
  }

  #keyspace<V, K extends Key>(name: string, options: KeyspaceOptions<V, K>): Keyspace<V, K> {
    const settings = resolveKeyspace(name, options, this.#options)
    if (this.#closed !== undefined) throw closed()
    if (this.#keyspaces.has(name)) throw invalid('keyspace', name, 'a name that is not taken yet')
    const { breaker } = settings.load
    const claim = breaker && this.#breakers.claim(name, this.#sourceOf(settings.source!), breaker)
    const counts = new Counts()
    const own = settings.source === undefined ? this.#own(settings) : undefined
    const behind = settings.behind && this.#behindKeyspace(settings, settings.behind, counts)
    const shared = settings.source instanceof TableSource || behind !== undefined ? undefined : this.#shared
    shared?.codecs.add(settings)
    const made = new Keyspace<V, K>({
      settings,
      places: this.#places,
      clock: this.#clock,
      random: this.#random,
      proofClock: this.#proofClock,
      events: this.#events,
      counts,
      tags: this.#book,
      own,
      behind,
      clearShared: shared && (() => shared.clear(name)),
      open: behind === undefined ? this.#opener(settings, counts, own) : () => behind.open(),
      onClose: shut => this.#shutting.push(shut),
    })
    this.#keyspaces.set(name, made)
    this.#reports.count(name, counts)
    claim?.()
    return made
  }

  /** As `getOrSet` of a keyspace of its own, `values`, that has no source. */
  getOrSet<V>(key: string, build: Build<V>, options?: BuildOptions): Promise<V> {
    return this.values.getOrSet(key, build, options) as Promise<V>
  }

  get<V = unknown>(key: string, options?: CallOptions): Promise<V | undefined> {
    return this.values.get(key, options) as Promise<V | undefined>
  }

  set<V>(key: string, value: V, options?: WriteOptions): Promise<V> {
    return this.values.set(key, value, options) as Promise<V>
  }

  delete(key: string): Promise<boolean> {
    return this.values.delete(key)
  }

  /** The keyspace without a source that the calls above work on. */
  get values(): Keyspace {
    this.#values ??= this.#keyspace(VALUES, {})
    return this.#values
  }

  /** Gives up all values with the tag, in all keyspaces. Takes no longer for many than for one. */
  async deleteByTag(tag: string): Promise<void> {
    checkTag(tag)
    await this.#book.giveUp(tag)
  }

  /**
   * A session: to be given with calls that belong together. With the ticket of another one, of this process or not, it goes on
   * from there. Throws OPTION_INVALID.
   */
  session(ticket = ''): Session {
    return sessionFrom(ticket)
  }

  /** Tells `listener` of every event of that name from now on. Returns what ends it. */
  on<Name extends EventName>(name: Name, listener: Listener<Name>): () => void {
    return this.#events.on(name, listener)
  }

  /** Of all keyspaces together; each has its own. */
  stats(): Stats {
    return sumOf([...this.#keyspaces.values()].map(each => each.stats()))
  }

  /** Finishes what is under way and closes the sources. Calls after this reject. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#sweeping?.cancel()
    this.#telemetry?.close()
    for (const shut of this.#shutting) shut()
    // What they have to write goes to sources that are open.
    await Promise.all(this.#behind.map(each => each.close()))
    await Promise.all(this.#closing.map(close => close()))
  }

  *#statsByKeyspace(): Generator<readonly [string, Stats]> {
    for (const [name, keyspace] of this.#keyspaces) yield [name, keyspace.stats()]
  }

  #own(settings: ResolvedKeyspace): OwnValues {
    const { timeoutMs } = settings.load
    const shared = this.#shared
    if (shared !== undefined) {
      const check = (key: string, payload: unknown): void => void shared.codecs.encode(key, payload, 0)
      return { built: new BuiltValues(settings.name, { check, timeoutMs }), opened: undefined, writes: undefined }
    }
    const built = new BuiltValues(settings.name, { timeoutMs })
    const range = this.#take(1)
    const opened = openLogless({ ...this.#parts, keyspace: settings.name, source: built, range })
    const writes = new OwnWrites({ ...this.#parts, settings, tier: opened.tier, lane: range.firstLane })
    return { built, opened, writes }
  }

  #opener(settings: ResolvedKeyspace, counts: Counts, own: OwnValues | undefined): () => Promise<Engine> {
    const { source } = settings
    if (source instanceof TableSource) return this.#database(source).join(settings, source, counts)
    const common = this.#engineParts(settings, counts)
    const open = async (): Promise<Engine> => {
      if (own !== undefined) {
        if (own.opened === undefined) return this.#shared!.join(settings, own.built, common)
        return new Engine(own.opened, [settings], common)
      }
      const { name, schema } = settings
      const functions = this.#functions(settings, source!)
      const schemas = new Map<string, StandardSchema<unknown>>(schema === undefined ? [] : [[name, schema]])
      const checkedSource = new CheckedSource(functions, schemas)
      if (this.#shared !== undefined) return this.#shared.join(settings, checkedSource, common)
      const range = this.#take(limits.libraryLanes)
      const opened = openLogless({ ...this.#parts, keyspace: name, source: checkedSource, range })
      this.#closing.push(opened.close)
      return new Engine(opened, [settings], common)
    }
    let opening: Promise<Engine> | undefined
    return () => {
      if (this.#closed !== undefined) return Promise.reject(closed())
      // One for all who come meanwhile; after a failure the next one tries again.
      opening ??= open().catch((error: unknown) => {
        opening = undefined
        throw error
      })
      return opening
    }
  }

  #engineParts({ name }: ResolvedKeyspace, counts: Counts): EngineParts {
    return {
      clock: this.#clock,
      random: this.#random,
      counts: new Map([[name, counts]]),
      breakers: this.#breakers,
      events: this.#events,
      telemetry: this.#telemetry,
    }
  }

  #functions({ name, load }: ResolvedKeyspace, functions: SourceFunctions): FunctionsSource {
    return new FunctionsSource({ name, functions, clock: this.#clock, loadTimeoutMs: load.timeoutMs })
  }

  #behindKeyspace(settings: ResolvedKeyspace, behind: ResolvedBehind, counts: Counts): BehindKeyspace {
    const { name, source } = settings
    const common = {
      ...this.#parts,
      ...this.#engineParts(settings, counts),
      settings,
      behind,
      storage: this.#storage,
      encryption: this.#encryption,
      range: this.#take(limits.libraryLanes),
    }
    let made: BehindKeyspace
    if (source instanceof TableSource) {
      const database = this.#database(source)
      made = new BehindKeyspace({ ...common, inner: () => database.source() })
      database.join(settings, source, counts, () => made.start())
    } else {
      const functions = this.#functions(settings, source!)
      const descriptions = [{ name, table: name, columns: [], keyColumns: [] }]
      made = new BehindKeyspace({ ...common, inner: () => Promise.resolve({ source: functions, descriptions }) })
      this.#closing.push(() => functions.close())
      made.start()
    }
    this.#behind.push(made)
    return made
  }

  // What fails together.
  #sourceOf(source: TableSource | SourceFunctions): object {
    return source instanceof TableSource ? this.#database(source) : source
  }

  #database(source: TableSource): LibraryDatabase {
    const { database } = source
    const at = database.kind === 'sqlite' ? sqliteFile(database) : JSON.stringify(database)
    let known = this.#databases.get(at)
    if (known === undefined) {
      known = new LibraryDatabase({
        ...this.#parts,
        database,
        take: lanes => this.#take(lanes),
        place: this.#place,
        breakers: this.#breakers,
        events: this.#events,
        telemetry: this.#telemetry,
        encryption: this.#encryption,
        reports: this.#reports,
        tide: this.#options.tide ?? true,
        openPostgres: this.#openPostgres,
      })
      this.#databases.set(at, known)
      this.#closing.push(() => known!.close())
    }
    return known
  }

  #take(lanes: number): LaneRange {
    const range = { firstLane: this.#lanes, lanes }
    if (this.#lanes + lanes > limits.lanesMax) {
      const allowed = `fewer: all together have ${limits.lanesMax} lanes, and one more takes ${lanes}`
      throw invalid('keyspaces', this.#keyspaces.size, allowed)
    }
    this.#lanes += lanes
    return range
  }

  // Memory of values whose time is over, which nobody asked for since, comes back little by little.
  #sweep(): void {
    this.#sweeping = this.#clock.timer(
      limits.nearSweepEveryMs,
      () => {
        this.#places.pool.sweep(limits.nearSweepEntries)
        this.#sweep()
      },
      { unref: true },
    )
  }
}

function closed(): TidemarkError {
  return new TidemarkError('SHUTTING_DOWN', 'the cache is closed')
}

/** A cache for this process. Nothing is opened before it is asked for. Rejects with OPTION_INVALID. */
export async function createTidemark(options: TidemarkOptions = {}): Promise<Tidemark> {
  return new Tidemark(options, { telemetry: await importTelemetry() })
}
