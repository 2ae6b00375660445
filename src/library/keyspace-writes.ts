// The writes of one keyspace: what is written is checked, copied and filed under its tags; then it goes to the source and from
// there to memory (cache/writer.ts), or where nobody but this process's memory keeps it, there at once (own-writes.ts).
// Not for: what `update` and `getOrSet` do before they write (keyspace.ts, builds.ts).
import { TidemarkError } from '../base/errors.ts'
import { payloadOf, valueOf } from '../near/entry.ts'
import type { Facts } from './builds.ts'
import type { Copy } from './copies.ts'
import type { Engine } from './engine.ts'
import type { Ear } from './events.ts'
import type { KeyspaceParts } from './keyspace-parts.ts'
import { heldOf, type KeyspaceSessions } from './keyspace-sessions.ts'
import type { Loading } from './loading.ts'
import { durationOf, invalid, known } from './option-checks.ts'
import { writeMembers, type StoreOptions, type WriteOptions } from './options.ts'
import type { OwnWrites } from './own-writes.ts'
import { checked } from './schema.ts'
import { withSignal } from './signal.ts'
import { TableSource } from './table-source.ts'
import { checkTags } from './tag-book.ts'

export interface WriteDestinations {
  readonly copy: Copy
  readonly loading: Loading
  readonly sessions: KeyspaceSessions
  readonly ready: () => Promise<Engine>
  /** What memory holds of a value that the cache alone has; undefined: nothing. */
  readonly held: (id: string) => Promise<unknown>
}

export class KeyspaceWrites<V> {
  readonly #parts: KeyspaceParts
  readonly #to: WriteDestinations
  readonly #copy: Copy
  readonly #loading: Loading
  readonly #ear: Ear
  /** Without one, all writes that say nothing of themselves may be stored as they are. */
  readonly #hasSchema: boolean
  /** Of values that only this memory has, until the cache is closed. */
  #own: OwnWrites | undefined

  constructor(parts: KeyspaceParts, to: WriteDestinations) {
    this.#parts = parts
    this.#to = to
    this.#copy = to.copy
    this.#loading = to.loading
    this.#ear = parts.events.ear('write')
    this.#hasSchema = parts.settings.schema !== undefined
    this.#own = parts.own?.writes
  }

  /** All writes ask for the source from now on. */
  close(): void {
    this.#own = undefined
  }

  /** Resolves to the value as the source has it now. */
  set(id: string, value: V, options: WriteOptions | undefined): Promise<V> {
    const own = this.#own
    if (own === undefined || options !== undefined || this.#hasSchema) {
      if (options !== undefined) known('options', '', options, writeMembers)
      return this.setMany([[id, value]], options ?? {}).then(written => written[0] as V)
    }
    if (value === undefined) throw this.#undefinedValue(id)
    const kept = this.#in(value)
    own.put(id, kept, NO_FACTS)
    this.#loading.forget(id)
    this.#parts.counts.writes++
    if (this.#ear.isHeard) this.told([id])
    return Promise.resolve(this.#out(kept) as V)
  }

  /** All or none, where the source can. Resolves to the values, in the order of the entries. */
  async setMany(entries: readonly (readonly [string, V])[], options: WriteOptions): Promise<unknown[]> {
    const { schema } = this.#parts.settings
    const facts = await this.facts(options)
    const values = await Promise.all(
      entries.map(async ([id, given]) => {
        if (given === undefined) throw this.#undefinedValue(id)
        return schema === undefined ? given : checked(schema, this.#keyOf(id), given)
      }),
    )
    const rows = values.map(value => this.#in(value))
    const own = this.#own
    if (own !== undefined) {
      options.signal?.throwIfAborted()
      for (const [i, [id]] of entries.entries()) own.put(id, rows[i], facts)
      this.#wrote(entries.map(([id]) => id))
      return rows.map(row => this.#out(row))
    }
    const writes = entries.map(([id], i) => {
      const row = payloadOf(rows[i], facts)
      return { key: this.#keyOf(id), operation: { kind: 'replace', row } as const }
    })
    const ids = entries.map(([id]) => id)
    const { outcomes } = await this.#send(ids, writes, options)
    this.#wrote(ids)
    return outcomes.map(({ after }) => this.#out(valueOf(after)))
  }

  /** Resolves to how many there were, as far as the source says. */
  async remove(ids: readonly string[], options: WriteOptions): Promise<number> {
    const own = this.#own
    if (own !== undefined) {
      options.signal?.throwIfAborted()
      const gone = ids.filter(id => own.remove(id)).length
      this.#wrote(ids)
      return gone
    }
    const writes = ids.map(id => ({ key: this.#keyOf(id), operation: { kind: 'remove' } as const }))
    // Of values that the cache alone has there is no source that says whether they were there.
    const held = this.#parts.own && (await Promise.all(ids.map(id => this.#to.held(id))))
    const { outcomes } = await this.#send(ids, writes, options)
    this.#wrote(ids)
    return held?.filter(value => value !== undefined).length ?? outcomes.filter(({ changed }) => changed).length
  }

  /** What is said of values that are stored so. Rejects with OPTION_INVALID or TAG_INVALID. */
  async facts({ ttl, tags }: StoreOptions): Promise<Facts> {
    if (ttl === undefined && tags === undefined) return NO_FACTS
    const { name, source } = this.#parts.settings
    if (source instanceof TableSource) {
      throw invalid('ttl, tags', 'one of them', `neither for rows of a table: keyspace '${name}' has a ttl for all`)
    }
    const ttlMs = durationOf('ttl', ttl)
    if (tags === undefined || tags.length === 0) return { ttlMs, filed: true }
    checkTags(tags)
    const tokens = await this.#parts.tags.tokens(tags)
    // What cannot be filed is kept nowhere, not even for a moment: nobody who has it could be told of its end.
    return tokens === undefined ? { ttlMs: 0, filed: false } : { ttlMs, tags: tokens, filed: true }
  }

  /** Tells those who listen. */
  told(keys: readonly string[]): void {
    if (this.#ear.isHeard) this.#parts.events.emit('write', { keyspace: this.#parts.settings.name, keys })
  }

  #wrote(ids: readonly string[]): void {
    this.#parts.counts.writes += ids.length
    for (const id of ids) this.#loading.forget(id)
    this.told(ids)
  }

  async #send(
    ids: readonly string[],
    writes: Parameters<Engine['writer']['write']>[0],
    { session: given, signal }: WriteOptions,
  ): Promise<Pick<Awaited<ReturnType<Engine['writer']['write']>>, 'outcomes'>> {
    const { writer, opened } = await this.#to.ready()
    signal?.throwIfAborted()
    const session = this.#to.sessions.of(given, opened.backing.source)
    const called = session && ids.map(id => session.of(id))
    const writing = writer.write(writes)
    const { outcomes, session: written } = await (signal === undefined ? writing : withSignal(writing, signal))
    if (written !== undefined && session !== undefined) {
      for (const [at, { after, exact }] of outcomes.entries()) {
        session.saw(ids[at]!, called![at], written, exact ? heldOf(after) : undefined)
      }
    }
    return { outcomes }
  }

  // A copy: the caller may go on with theirs.
  #in(value: unknown): unknown {
    return this.#parts.settings.clone === 'structured' ? this.#out(value) : value
  }

  #out(value: unknown): unknown {
    return this.#copy === undefined ? value : this.#copy(value)
  }

  #keyOf(id: string): string {
    return `${this.#parts.settings.name}:${id}`
  }

  #undefinedValue(id: string): TidemarkError {
    const what = `'${this.#keyOf(id)}': undefined is the absence of a value; delete the key, or set null`
    return new TidemarkError('VALUE_INVALID', what)
  }
}

const NO_FACTS: Facts = { filed: true }
