// A keyspace as a service uses it: a family of keys, each with a value of one type. The path of a hit is here, and looks at
// the object cache by itself; everything else asks the read and the write path of cache/.
//
//   hit     the value is in memory, its time is not over, and its lane is proved true within the bound
//   miss    reader.ts: near, tier, source
//
// Not for: opening sources (tidemark.ts), what a value looks like elsewhere (source/, codec/).
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import type { ReadOptions } from '../cache/reader.ts'
import { ABSENT, valueOf } from '../near/entry.ts'
import { Builds, type Build } from './builds.ts'
import { BuiltNothing } from './built-values.ts'
import { copyFor, type Copy } from './copies.ts'
import type { Engine } from './engine.ts'
import type { Ear, Events } from './events.ts'
import type { Found } from './fallback.ts'
import { KeyLocks } from './key-locks.ts'
import { idOf, type Key } from './key.ts'
import type { KeyspaceParts, OwnValues } from './keyspace-parts.ts'
import { KeyspaceSession } from './keyspace-session.ts'
import { heldOf, KeyspaceSessions } from './keyspace-sessions.ts'
import { KeyspaceWrites } from './keyspace-writes.ts'
import { Loading } from './loading.ts'
import { durationOf, known, listed, needed, oneOf, pairsOf } from './option-checks.ts'
import {
  buildMembers,
  readMembers,
  whenStales,
  writeMembers,
  type BuildOptions,
  type CallOptions,
  type ResolvedKeyspace,
  type WriteOptions,
} from './options.ts'
import type { ProofClock } from './proof-clock.ts'
import type { Memory } from './session-space.ts'
import { withSignal } from './signal.ts'
import { ObjectTier } from '../tier/object-tier.ts'
import type { Counts, Stats } from './stats.ts'

/** What `read` answers. */
export interface Answer<V> {
  /** undefined: there is none. */
  readonly value: V | undefined
  /** How long ago, in ms, the source surely showed this, or later; Infinity when nobody knows. */
  readonly age: number
  /** Where it came from: this process, the memory that processes share, or the source. */
  readonly tier: 'near' | 'tier' | 'source'
  /** Not proved to be within the bound, or past its time; only where `whenStale`, `swr`, `staleIfError` or a fallback allow it. */
  readonly stale: boolean
}

export class Keyspace<V = unknown, K extends Key = string> {
  readonly name: string
  readonly #parts: KeyspaceParts
  readonly #settings: ResolvedKeyspace
  readonly #space: Memory
  readonly #clock: Clock
  readonly #proofClock: ProofClock
  readonly #events: Events
  readonly #counts: Counts
  readonly #copy: Copy
  /** Of what `#space` finds by itself. */
  readonly #boundMs: number
  readonly #asksProof: boolean
  readonly #sessions: KeyspaceSessions
  readonly #own: OwnValues | undefined
  readonly #hitEar: Ear
  readonly #locks = new KeyLocks()
  readonly #loading: Loading
  readonly #writes: KeyspaceWrites<V>
  readonly #builds: Builds<V>
  readonly #ahead: Loading['ahead']
  #engine: Engine | undefined

  /** Made by `tide.keyspace`. */
  constructor(parts: KeyspaceParts) {
    const { settings, places, clock, proofClock, events, counts, own } = parts
    this.name = settings.name
    this.#parts = parts
    this.#settings = settings
    this.#clock = clock
    this.#proofClock = proofClock
    this.#events = events
    this.#counts = counts
    this.#copy = copyFor(settings.clone)
    const { session, maxStalenessMs } = settings
    this.#sessions = new KeyspaceSessions(session === true ? new KeyspaceSession() : session)
    const backing = () => this.#engine?.opened.backing
    const memory = this.#sessions.memory(places, settings.name, proofClock, maxStalenessMs, backing)
    this.#space = memory.memory
    this.#boundMs = memory.boundMs
    this.#asksProof = memory.boundMs !== Infinity
    this.#own = own
    this.#hitEar = events.ear('hit')
    this.#loading = new Loading(parts)
    this.#ahead = this.#loading.ahead
    this.#writes = new KeyspaceWrites<V>(parts, {
      copy: this.#copy,
      loading: this.#loading,
      sessions: this.#sessions,
      ready: () => this.#ready(),
      held: async id => (await this.#held(id, (await this.#ready()).reader, { whenStale: 'serve' })).value,
    })
    this.#builds = new Builds<V>({
      settings,
      clock,
      loading: this.#loading,
      facts: options => this.#writes.facts(options),
      ready: () => this.#ready(),
    })
    // From then on nothing is in memory, and all calls ask for the source again, which is not opened any more.
    parts.onClose(() => {
      this.#space.clear()
      this.#engine = undefined
      this.#writes.close()
    })
  }

  /** What is in memory now and may be answered; undefined when nothing is. Asks nobody, and starts nothing. */
  peek(key: K): V | undefined {
    const value = this.#hit(typeof key === 'string' ? key : idOf(this.name, key))
    return value === undefined ? undefined : this.#out(value)
  }

  /** The value, from wherever it is; undefined: the source has none. Rejects with STALE, or as the source does. */
  get(key: K, options?: CallOptions): Promise<V | undefined> {
    try {
      const id = typeof key === 'string' ? key : idOf(this.name, key)
      if (options === undefined) {
        const value = this.#hit(id)
        if (value !== undefined || this.#isAbsent(id)) {
          this.#countHit(id)
          if (this.#ahead !== undefined) this.#renewIfDue(id)
          return Promise.resolve(value === undefined ? undefined : this.#out(value))
        }
      } else known('options', '', options, readMembers)
      return this.#read(id, options).then(({ value }) => value)
    } catch (error) {
      return rejected(error)
    }
  }

  /** Those of `keys` that there are, by key; what has to be loaded is loaded together. */
  async getMany(keys: readonly K[], options?: CallOptions): Promise<Map<K, V>> {
    listed('keys', keys)
    const found = new Map<K, V>()
    for (let at = 0; at < keys.length; at += limits.keysAtOnceMax) {
      const some = keys.slice(at, at + limits.keysAtOnceMax)
      const values = await Promise.all(some.map(key => this.get(key, options)))
      for (const [i, value] of values.entries()) if (value !== undefined) found.set(some[i]!, value)
    }
    return found
  }

  /** The value and how fresh it is. */
  async read(key: K, options?: CallOptions): Promise<Answer<V>> {
    if (options !== undefined) known('options', '', options, readMembers)
    return this.#read(idOf(this.name, key), options)
  }

  async has(key: K, options?: CallOptions): Promise<boolean> {
    return (await this.get(key, options)) !== undefined
  }

  /** Writes to the source, then to memory. Resolves to the value as the source has it now. */
  set(key: K, value: V, options?: WriteOptions): Promise<V> {
    try {
      return this.#writes.set(typeof key === 'string' ? key : idOf(this.name, key), value, options)
    } catch (error) {
      return rejected(error)
    }
  }

  /** All or none, where the source can. Of several values for one key the last one counts. */
  async setMany(entries: Iterable<readonly [K, V]>, options: WriteOptions = {}): Promise<void> {
    known('options', '', options, writeMembers)
    const writes = new Map(pairsOf('entries', entries).map(([key, value]) => [idOf(this.name, key), value] as const))
    if (writes.size > 0) await this.#writes.setMany([...writes], options)
  }

  /**
   * The value that `change` makes of what the source has; undefined from it removes the key. Calls for one key in this process
   * wait for each other, so `change` must not wait for another one of its own key.
   */
  async update(
    key: K,
    change: (value: V | undefined) => V | undefined | Promise<V | undefined>,
    options: WriteOptions = {},
  ): Promise<V | undefined> {
    needed('change', change)
    known('options', '', options, writeMembers)
    const id = idOf(this.name, key)
    return this.#inTurn(id, options.signal, async () => {
      const engine = this.#engine ?? (await this.#ready())
      if (engine.opened.backing.source.change !== undefined) return this.#change(id, engine, change, options)
      const fresh = this.#own === undefined ? { maxStaleness: 0 as const } : { whenStale: 'serve' as const }
      const { value } = await this.#read(id, fresh)
      const next = await change(value)
      if (next !== undefined) return (await this.#writes.setMany([[id, next]], options))[0] as V
      if (value !== undefined) await this.#writes.remove([id], options)
      return undefined
    })
  }

  // As one step of the source: whoever changes the row meanwhile is not overwritten.
  async #change(
    id: string,
    { writer, opened }: Engine,
    change: (value: V | undefined) => V | undefined | Promise<V | undefined>,
    options: WriteOptions,
  ): Promise<V | undefined> {
    const session = this.#sessions.of(options.session, opened.backing.source)
    const called = session?.of(id)
    const written = await writer.change(this.#keyOf(id), async row => {
      const next = await change(row === null ? undefined : (valueOf(row) as V))
      return next ?? null
    })
    if (written === undefined) return undefined
    this.#counts.writes++
    const { after, exact } = written.outcomes[0]!
    if (written.session !== undefined) session?.saw(id, called, written.session, exact ? heldOf(after) : undefined)
    this.#writes.told([id])
    return after === null ? undefined : this.#out(valueOf(after))
  }

  /** Whether there was one, as far as the source says. */
  async delete(key: K, options: WriteOptions = {}): Promise<boolean> {
    return (await this.#writes.remove([idOf(this.name, key)], options)) > 0
  }

  /** How many there were, as far as the source says. */
  async deleteMany(keys: readonly K[], options: WriteOptions = {}): Promise<number> {
    listed('keys', keys)
    return keys.length === 0 ? 0 : this.#writes.remove([...new Set(keys.map(key => idOf(this.name, key)))], options)
  }

  /** Gives up what is held of the key, here and in memory that processes share: the next read asks the source. */
  async invalidate(key: K): Promise<void> {
    await this.invalidateMany([key])
  }

  async invalidateMany(keys: readonly K[]): Promise<void> {
    listed('keys', keys)
    const ids = keys.map(key => idOf(this.name, key))
    const { writer } = await this.#ready()
    await writer.invalidate(ids.map(id => this.#keyOf(id)))
    for (const id of ids) this.#loading.forget(id)
    if (this.#events.has('invalidate')) this.#events.emit('invalidate', { keyspace: this.name, keys: ids })
  }

  /**
   * The value, or what `build` makes of nothing: one build for all who ask meanwhile. In a keyspace without a source it is kept
   * by the cache alone; in one with a source it is written there. `undefined` from it is answered, and not kept.
   */
  async getOrSet(key: K, build: Build<V>, options: BuildOptions = {}): Promise<V> {
    const id = idOf(this.name, key)
    const value = this.#hit(id)
    if (value !== undefined) {
      this.#countHit(id)
      if (this.#ahead !== undefined) this.#renewIfDue(id, build, options)
      return this.#out(value) as V
    }
    needed('build', build)
    known('options', '', options, buildMembers)
    if (this.#own === undefined) return this.#buildAndSet(id, build, options)
    const { signal } = options
    signal?.throwIfAborted()
    const building = this.#buildOwn(id, this.#own, build, options)
    return signal === undefined ? building : withSignal(building, signal)
  }

  /** A function that answers from the cache: `call` is made for arguments whose key is not there. */
  wrap<Arguments extends readonly unknown[]>(
    call: (...given: Arguments) => V | Promise<V>,
    options: BuildOptions & { readonly key: (...given: Arguments) => K },
  ): (...given: Arguments) => Promise<V> {
    needed('call', call)
    known('options', '', options, ['key', ...buildMembers])
    const { key, ...rest } = options
    needed('key', key)
    return async (...given) => this.getOrSet(key(...given), () => call(...given), rest)
  }

  /**
   * Gives up all that there is of the keyspace, at the same cost for one value and for a million. In this process that is so
   * when the call returns. Values that are in a tier, of functions or of the cache alone, are given up for all who share it: once
   * this resolves no record of before is an answer to who has heard of it, and all are told, as of any write: within milliseconds
   * as a rule, and at the latest when they see that messages were missed. With `maxStaleness` that is never later than the bound. What is being loaded or built meanwhile is answered, and not
   * kept. Rejects with TIER_UNAVAILABLE when the tier does not answer: others may not have been told. Rows of a table are given
   * up by this process alone: what others hold of them is proved by the database's log, and not made wrong by this.
   */
  async clear(): Promise<void> {
    this.#clear()
    if (this.#parts.clearShared === undefined) return
    await this.#ready()
    await this.#parts.clearShared()
  }

  #clear(): void {
    this.#space.clear()
    // What is being loaded now is not kept.
    const tier = this.#engine?.opened.backing.tier
    if (tier instanceof ObjectTier) tier.giveUpLeases(this.name)
    this.#loading.clear()
    if (this.#events.has('invalidate')) this.#events.emit('invalidate', { keyspace: this.name, keys: [] })
  }

  /** Ids of the values in memory, spelt as strings. */
  *keys(): Generator<string> {
    for (const [id] of this.entries()) yield id
  }

  /** The values in memory whose time is not over, however fresh they are. */
  *entries(): Generator<[string, V]> {
    for (const [id, value] of this.#space.entries()) if (value !== ABSENT) yield [id, this.#out(value) as V]
  }

  stats(): Stats {
    const behind = this.#parts.behind?.stats()
    const stats = this.#counts.stats(this.#space.size)
    return behind === undefined ? stats : { ...stats, behind }
  }

  /**
   * Resolves once all that was acknowledged before is in the source: at once, unless the keyspace writes behind. Rejects with
   * WRITE_GIVEN_UP when some of it never will be. The signal ends the call, and nothing else.
   */
  async flush({ signal }: Pick<CallOptions, 'signal'> = {}): Promise<void> {
    const { behind } = this.#parts
    if (behind === undefined) return
    signal?.throwIfAborted()
    const flushing = behind.flush()
    await (signal === undefined ? flushing : withSignal(flushing, signal))
  }

  #hit(id: string): unknown {
    // A timer may be late, and a suspended machine is noticed by the first who asks: the time is read for each call.
    return this.#asksProof
      ? this.#space.getProved(id, this.#proofClock.nowMs(), this.#proofClock.trustedMs(this.#boundMs))
      : this.#space.get(id)
  }

  // Whether memory says that the source has none: what `#hit` finds of that is no value.
  #isAbsent(id: string): boolean {
    const slot = this.#asksProof
      ? this.#space.findProved(id, this.#proofClock.nowMs(), this.#proofClock.trustedMs(this.#boundMs))
      : this.#space.find(id)
    return slot >= 0 && this.#parts.places.pool.value(slot) === ABSENT
  }

  #out(value: unknown): V | undefined {
    return (this.#copy === undefined ? value : this.#copy(value)) as V | undefined
  }

  #keyOf(id: string): string {
    return `${this.name}:${id}`
  }

  async #ready(): Promise<Engine> {
    this.#engine ??= await this.#parts.open()
    return this.#engine
  }

  #countHit(id: string): void {
    this.#counts.hits++
    if (this.#hitEar.isHeard) this.#events.emit('hit', { keyspace: this.name, key: id })
  }

  #countMiss(id: string): void {
    this.#counts.misses++
    if (this.#events.has('miss')) this.#events.emit('miss', { keyspace: this.name, key: id })
  }

  // Memory may have answered all the same: one that the call, and not the keyspace, found fresh enough.
  async #counted(id: string, answering: Promise<Answer<V>>): Promise<Answer<V>> {
    try {
      const answer = await answering
      if (answer.tier === 'near') this.#countHit(id)
      else this.#countMiss(id)
      return answer
    } catch (error) {
      this.#countMiss(id)
      throw error
    }
  }

  async #read(id: string, options: CallOptions = {}): Promise<Answer<V>> {
    const { signal } = options
    signal?.throwIfAborted()
    const answering = this.#counted(id, this.#ask(id, options))
    return signal === undefined ? answering : withSignal(answering, signal)
  }

  // The call ends with its signal; what waits for its turn then does not begin.
  #inTurn<T>(id: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (signal === undefined) return this.#locks.run(id, work)
    const turn = this.#locks.run(id, async () => {
      signal.throwIfAborted()
      return work()
    })
    return withSignal(turn, signal)
  }

  async #ask(id: string, options: CallOptions): Promise<Answer<V>> {
    const { reader } = this.#engine ?? (await this.#ready())
    // What nobody builds is not there.
    if (this.#own !== undefined) return this.#held(id, reader, options)
    const { explicitBoundMs, whenStale, swrMs, staleIfErrorMs } = this.#settings
    const found = await this.#loading.find(
      id,
      {
        boundMs: durationOf('maxStaleness', options.maxStaleness) ?? explicitBoundMs,
        session: this.#sessions.has(options.session),
        proved: (options.whenStale ?? whenStale) === 'fail',
        swrMs,
        staleIfErrorMs,
      },
      () => this.#load(id, options),
      () => this.#load(id, {}),
    )
    return this.#answer(id, found)
  }

  async #load(id: string, options: CallOptions): Promise<Found> {
    const { reader, opened } = this.#engine ?? (await this.#ready())
    const session = this.#sessions.of(options.session, opened.backing.source)
    const called = session?.of(id)
    const answer = await reader.read(this.#keyOf(id), { ...readOptions(options), session: called })
    session?.saw(id, called, answer.session, heldOf(answer.value))
    return answer
  }

  // A value whose time is nearly over. Without a source, whoever asks has to bring what builds it.
  #renewIfDue(id: string, build?: Build<V>, options: BuildOptions = {}): void {
    const own = this.#own
    if (own !== undefined && build === undefined) return
    if (this.#ahead?.isDue(id) !== true) return
    this.#loading.behind(id, () => {
      if (own !== undefined) return this.#builds.renew(id, own.built, build!, options)
      return this.#ready().then(({ reader }) => reader.renew(this.#keyOf(id)))
    })
  }

  async #held(id: string, reader: Engine['reader'], options: CallOptions): Promise<Answer<V>> {
    const held = await reader.held(this.#keyOf(id), readOptions(options))
    return held === undefined ? { value: undefined, age: 0, tier: 'source', stale: false } : this.#answer(id, held)
  }

  #answer(id: string, { value, asOfMs, tier, stale }: Found): Answer<V> {
    const age = this.#ageOf(asOfMs, tier)
    if (stale) {
      this.#counts.stale++
      if (this.#events.has('stale')) this.#events.emit('stale', { keyspace: this.name, key: id, ageMs: age })
    }
    return { value: value === null ? undefined : this.#out(valueOf(value)), age, tier, stale }
  }

  // Where the machine was suspended while the source was asked, nobody knows for how long: the clock of `asOfMs` stood still.
  #ageOf(asOfMs: number, tier: Found['tier']): number {
    const ageMs = Math.max(0, this.#clock.monotonicMs() - asOfMs)
    if (tier !== 'source') return ageMs
    this.#proofClock.nowMs()
    return ageMs <= this.#proofClock.trustedMs(Infinity) ? ageMs : Infinity
  }

  async #buildAndSet(id: string, build: Build<V>, options: BuildOptions): Promise<V> {
    return this.#inTurn(id, options.signal, async () => {
      const { value } = await this.#read(id)
      if (value !== undefined) return value
      const built = await this.#builds.make(id, build)
      return built === undefined ? built : ((await this.#writes.setMany([[id, built]], options))[0] as V)
    })
  }

  async #buildOwn(id: string, own: OwnValues, build: Build<V>, options: BuildOptions): Promise<V> {
    const building = this.#builds.find(id, own.built, build, options).then(found => this.#answer(id, found))
    try {
      return (await this.#counted(id, building)).value as V
    } catch (error) {
      if (error instanceof BuiltNothing) return undefined as V
      throw error
    }
  }
}

// Whatever is wrong is told by the promise.
async function rejected(error: unknown): Promise<never> {
  throw error
}

function readOptions({ maxStaleness, whenStale }: CallOptions): ReadOptions {
  if (whenStale !== undefined) oneOf('whenStale', whenStale, whenStales)
  return { maxStalenessMs: durationOf('maxStaleness', maxStaleness), whenStale }
}
