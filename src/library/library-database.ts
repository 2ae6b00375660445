// A database of the library: all keyspaces that show its tables, and one engine for them, opened when the first of them is
// used. Which tables those are has to be known by then: they decide what the log is read for, and what an epoch is.
import { resolve as resolvePath } from 'node:path'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Encryption } from '../codec/encryption.ts'
import type { PostgresDatabase, SqliteDatabase } from '../config/config.ts'
import { Engine } from './engine.ts'
import type { Breakers } from './breakers.ts'
import type { Events } from './events.ts'
import type { Telemetry } from './telemetry.ts'
import { openSqlite } from './open-sqlite.ts'
import type { LaneRange, OpenedSource, OpenParts } from './opened.ts'
import { durationOf, invalid } from './option-checks.ts'
import type { ResolvedKeyspace } from './options.ts'
import { RowCodec } from './payload-codecs.ts'
import { postgresOptions } from './postgres-options.ts'
import type * as postgres from './open-postgres.ts'
import type { Source } from '../source/source.ts'
import { SpeltRows } from '../source/spelt-rows.ts'
import { CodecTier } from '../tier/codec-tier.ts'
import { CheckedSource, type StandardSchema } from './schema.ts'
import type { Counts } from './stats.ts'
import type { TableSource } from './table-source.ts'
import type { SharedPlace } from './tier-place.ts'
import type { ValueReports } from './value-reports.ts'

export interface LibraryDatabaseParts extends OpenParts {
  readonly database: SqliteDatabase | PostgresDatabase
  readonly take: (lanes: number) => LaneRange
  readonly breakers: Breakers
  readonly events: Events
  readonly telemetry: Telemetry | undefined
  /** The tier that processes share, if there is one. Rows of SQLite are not there. */
  readonly place: SharedPlace | undefined
  /** Of what is in the tier. */
  readonly encryption: Encryption | undefined
  readonly reports: ValueReports
  /** Whether this process may run the tide over it. */
  readonly tide: boolean
  /** Instead of the product's own. */
  readonly openPostgres: OpenPostgres | undefined
}

export type OpenPostgres = (parts: postgres.PostgresParts) => Promise<OpenedSource>

interface Member {
  readonly settings: ResolvedKeyspace
  readonly source: TableSource
  readonly counts: Counts
  readonly start: (() => void) | undefined
}

export class LibraryDatabase {
  readonly #parts: LibraryDatabaseParts
  readonly #members: Member[] = []
  #range: LaneRange | undefined
  #opening: Promise<Engine> | undefined
  #engine: Engine | undefined
  #source: Source<unknown> | undefined
  #closed = false

  constructor(parts: LibraryDatabaseParts) {
    this.#parts = parts
  }

  /** One more keyspace; `start` is called once the database is open. Returns what opens the database. Throws OPTION_INVALID when it is open already. */
  join(settings: ResolvedKeyspace, source: TableSource, counts: Counts, start?: () => void): () => Promise<Engine> {
    if (this.#opening !== undefined) {
      const what = 'its database is in use already: make all keyspaces of a database before you use any of them'
      throw new TidemarkError('OPTION_INVALID', `keyspace '${settings.name}': ${what}`)
    }
    this.#members.push({ settings, source, counts, start })
    return () => this.#open()
  }

  /** The rows as they are: nothing is checked, guarded or told of. */
  async source(): Promise<Pick<OpenedSource, 'descriptions'> & { readonly source: Source<unknown> }> {
    const { opened } = await this.#open()
    return { source: this.#source!, descriptions: opened.descriptions }
  }

  async close(): Promise<void> {
    this.#closed = true
    const engine = await this.#opening?.catch(() => undefined)
    await engine?.reader.finish()
    await engine?.opened.close()
  }

  #open(): Promise<Engine> {
    if (this.#closed) return Promise.reject(new TidemarkError('SHUTTING_DOWN', 'the cache is closed'))
    if (this.#opening === undefined) {
      const opening = this.#openNow()
      this.#opening = opening
      // The next call tries again.
      opening.catch(() => {
        this.#opening = undefined
      })
    }
    return this.#opening
  }

  async #openNow(): Promise<Engine> {
    const { clock, random, breakers, events, telemetry } = this.#parts
    const { database, place } = this.#parts
    const lanes = database.kind === 'postgres' ? place?.lanes : undefined
    this.#range ??= this.#parts.take(lanes ?? limits.libraryLanes)
    const schemas = new Map<string, StandardSchema<unknown>>()
    for (const { settings } of this.#members) if (settings.schema) schemas.set(settings.name, settings.schema)
    const spelt = new SpeltRows()
    const opened = await (database.kind === 'postgres'
      ? this.#openPostgres(database, this.#range, schemas, spelt)
      : this.#openSqlite(database, this.#range))
    const { backing } = opened
    this.#source = backing.source
    const source = schemas.size === 0 ? backing.source : new CheckedSource(backing.source, schemas, spelt)
    const settings = this.#members.map(member => member.settings)
    const counts = new Map(this.#members.map(member => [member.settings.name, member.counts]))
    const checkedSource = { ...opened, backing: { ...backing, source } }
    this.#engine = new Engine(checkedSource, settings, { clock, random, counts, breakers, events, telemetry })
    for (const { start } of this.#members) start?.()
    return this.#engine
  }

  async #openPostgres(
    database: PostgresDatabase,
    range: LaneRange,
    schemas: ReadonlyMap<string, StandardSchema<unknown>>,
    spelt: SpeltRows,
  ): Promise<OpenedSource> {
    const { place, encryption, reports, tide, places, clock, random, onError } = this.#parts
    const openPostgres = this.#parts.openPostgres ?? (await importPostgres()).openPostgres
    const bytes = place && (await place.open({ clock, random, warn: onError, part: 'rows' }))
    const codec = new RowCodec(schemas, spelt, encryption, reports.undecodable)
    const tier = bytes && new CodecTier(bytes, codec, reports)
    const keyspaces = this.#members.map(({ settings: { name }, source: { table, columns, view } }) =>
      view === undefined ? { name, table: table ?? name, columns } : { name, view },
    )
    const parts = { ...postgresOptions(database), keyspaces, range, tier, spelt, tide, places, clock, random, onError }
    try {
      return await openPostgres(parts)
    } catch (error) {
      await tier?.close()
      throw error
    }
  }

  async #openSqlite(database: SqliteDatabase, range: LaneRange): Promise<OpenedSource> {
    const { places, clock, random, onError } = this.#parts
    const described = (descriptions: OpenedSource['descriptions']): void => this.#engine?.describe(descriptions)
    const file = sqliteFile(database)
    const { create } = database
    if (create !== undefined) {
      const { createDatabase } = await import('../config/create-database.ts')
      const report = { progress: () => {}, signal: new AbortController().signal }
      await createDatabase({ name: file, file, create }, report)
    }
    const options = {
      kind: 'told',
      name: file,
      file,
      pollMs: durationOf('poll', database.poll) ?? limits.sqlitePollMs,
      busyTimeoutMs: durationOf('busyTimeout', database.busyTimeout) ?? limits.sqliteBusyTimeoutMs,
      keyspaces: this.#members.map(({ settings: { name }, source }) => ({
        name,
        table: source.table ?? name,
        columns: source.columns,
      })),
    } as const
    return openSqlite({ options, range, described, places, clock, random, onError })
  }
}

/** The database's file, absolute. Throws OPTION_INVALID. */
export function sqliteFile({ file }: SqliteDatabase): string {
  if (typeof file === 'string' && file !== '' && file !== ':memory:') return resolvePath(file)
  throw invalid('sqlite(file)', file, 'the path of a file: a database in memory needs no cache')
}

// The driver is a package of its own, which those who have no such database do not need.
async function importPostgres(): Promise<typeof postgres> {
  try {
    return await import('./open-postgres.ts')
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new TidemarkError('OPTION_INVALID', 'tables of Postgres need the package `pg`: npm install pg', { cause })
  }
}
