// Postgres as a system of record: loads many rows in one query, writes one or many in one transaction, and says how far its
// log has come. Only a primary will do; a standby is refused.
//
//   load      one statement: snapshot, flushed and insert position, identity of the server, rows
//   write     one statement and its own transaction, or BEGIN, statements, COMMIT; see postgres-statements.ts
//   position  one statement, on a connection of its own, so that it does not queue behind loads
//
// Not for: what changed (postgres-feed.ts).
import type { Clock } from '../base/clock.ts'
import { assert } from '../base/assert.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { boundedSnapshot, type SourceLoadStamp } from '../coherence/stamp.ts'
import { PostgresCatalogue } from './postgres-catalogue.ts'
import { isSchemaMoved, refusal } from './postgres-errors.ts'
import { formatKey, parseKey } from './postgres-key.ts'
import type { PostgresSourceOptions } from './postgres-options.ts'
import { PostgresPool, type Cell } from './postgres-pool.ts'
import { nowSql } from './postgres-positions.ts'
import { PostgresStatements } from './postgres-statements.ts'
import { encodeCells } from './postgres-value.ts'
import { planWrite } from './postgres-write.ts'
import { PostgresWriter } from './postgres-writer.ts'
import type { KeyspaceDescription, LoadResult, RowBytes, RowId, RowWrite, Source, SourcePosition, WriteResult } from './source.ts' // prettier-ignore

/** In a load's answer, before the columns: backend, snapshot, flushed, upto. */
const stampCells = 4

export class PostgresSource implements Source {
  readonly name: string
  readonly #options: PostgresSourceOptions
  readonly #clock: Clock
  readonly #pool: PostgresPool
  readonly #positions: PostgresPool
  readonly #catalogue: PostgresCatalogue
  readonly #writer: PostgresWriter
  readonly #statements = new Map<string, PostgresStatements>()
  #statementsVersion = -1
  #names = 0
  #refreshing: Promise<void> | undefined
  #refreshedMs = -Infinity

  /** Connects and maps the tables. Rejects with SOURCE_UNAVAILABLE, SOURCE_TIMEOUT, MAPPING_INVALID (all problems) or SOURCE_FAILED. */
  static async open(options: PostgresSourceOptions): Promise<PostgresSource> {
    const source = new PostgresSource(options)
    try {
      await source.position()
      if (source.#catalogue.problem !== undefined) throw source.#catalogue.problem
      return source
    } catch (thrown) {
      await source.close()
      throw thrown
    }
  }

  private constructor(options: PostgresSourceOptions) {
    const { name, connection, clock, random } = options
    const timeoutMs = options.timeoutMs ?? limits.sourceTimeoutMs
    this.name = name
    this.#options = options
    this.#clock = clock
    this.#pool = new PostgresPool({ name, connection, connectionsMax: options.connectionsMax ?? limits.postgresConnectionsMax, timeoutMs }) // prettier-ignore
    const positionTimeoutMs = Math.min(timeoutMs, limits.postgresPositionTimeoutMs)
    this.#positions = new PostgresPool({ name, connection, connectionsMax: 2, timeoutMs: positionTimeoutMs })
    this.#catalogue = new PostgresCatalogue(options)
    this.#writer = new PostgresWriter(this.#pool, clock, random, {
      text: `SELECT ${nowSql(options.log)}`,
      name: this.#nextName(),
    })
  }

  get epoch(): bigint {
    return this.#catalogue.epoch
  }

  /** How the keyspaces look now. After a change of the schema it differs, and so does the epoch. */
  describe(): readonly KeyspaceDescription[] {
    return this.#catalogue.mappings.map(mapping => mapping.description)
  }

  async load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult> {
    return this.#withSchema('load', () => this.#loadNow(keyspace, ids))
  }

  async #loadNow(keyspace: string, ids: readonly RowId[]): Promise<LoadResult> {
    const { statement, mapping } = await this.#planLoad(keyspace, ids)
    const { found, server } = await this.#pool.raw(async session => ({
      found: await session.queryHere(statement),
      server: session.server,
    }))
    const byId = new Map<RowId, RowBytes>()
    const keyAt = mapping.key.map(part => stampCells + mapping.columns.findIndex(column => column.name === part.name))
    for (const cells of found) {
      const id = formatKey(mapping.key, keyAt.map(at => cells[at]!)) // prettier-ignore
      if (id !== undefined) byId.set(id, encodeCells(mapping.columns, cells, stampCells))
    }
    return { rows: ids.map(id => byId.get(id) ?? null), stamp: this.#loadStamp(server, found[0]!) }
  }

  #loadStamp(server: string, cells: readonly Cell[]): SourceLoadStamp {
    const [, snapshot, flushed, upto] = cells
    const { xmin, xmax, inProgress } = parseSnapshot(snapshot!)
    return {
      kind: 'load',
      snapshot: boundedSnapshot(xmin, xmax, inProgress),
      flush: BigInt(flushed!),
      epoch: this.#catalogue.meet(server),
      upto: BigInt(upto!),
    }
  }

  async #planLoad(
    keyspace: string,
    ids: readonly RowId[],
  ): Promise<Pick<PostgresStatements, 'mapping'> & { statement: ReturnType<PostgresStatements['load']> }> {
    // prettier-ignore
    const plan = (): ReturnType<PostgresStatements['load']> => {
      const statements = this.#statementsOf(keyspace)
      return statements.load(ids.map(id => parseKey(keyspace, statements.mapping.key, id)))
    }
    try {
      return { statement: plan(), mapping: this.#catalogue.mapping(keyspace) }
    } catch (thrown) {
      // A label may have been added to an enum since.
      const enums = this.#catalogue.problem === undefined && this.#catalogue.mapping(keyspace).key.some(part => part.keyType === 'enum') // prettier-ignore
      if (!enums || this.#clock.monotonicMs() - this.#refreshedMs < limits.postgresPositionTimeoutMs) throw thrown
      await this.#refresh()
      return { statement: plan(), mapping: this.#catalogue.mapping(keyspace) }
    }
  }

  async write(writes: readonly RowWrite[]): Promise<WriteResult> {
    return this.#withSchema('write', async () => {
      const plans = writes.map(write => planWrite(this.#statementsOf(write.keyspace), write))
      const { version } = this.#catalogue
      const written = await this.#writer.write(plans)
      const { server, xid, at, upto } = written
      // The stamp's epoch is of the tables as they are known now: rows without a column that is new must not stay under it.
      const same = version === this.#catalogue.version
      const outcomes = same ? written.outcomes : written.outcomes.map(outcome => ({ ...outcome, exact: false }))
      return { outcomes, stamp: { kind: 'write', xid, at, epoch: this.#catalogue.meet(server), upto } }
    })
  }

  async position(): Promise<SourcePosition> {
    const columns = nowSql(this.#options.log)
    // What was missing may be there by now.
    if (this.#catalogue.problem !== undefined) await this.#refresh()
    for (let attempt = 1; ; attempt++) {
      const [row] = await this.#positions.query(this.#catalogue.statement('position', columns))
      const [server, layout, position] = row!
      if (this.#catalogue.version > 0 && this.#catalogue.isCurrent(layout)) {
        return { position: BigInt(position!), epoch: this.#catalogue.meet(server!) }
      }
      if (attempt === 5) throw new TidemarkError('SOURCE_FAILED', `${this.name}: its tables keep being altered`)
      await this.#refresh()
    }
  }

  /** Ends all connections, once the calls on them are done. */
  async close(): Promise<void> {
    await Promise.all([this.#pool.close(), this.#positions.close()])
  }

  /** Runs a call; when the tables have changed under it, once more after looking at them again. */
  async #withSchema<Result>(doing: 'load' | 'write', call: () => Promise<Result>): Promise<Result> {
    try {
      return await call()
    } catch (thrown) {
      if (!isSchemaMoved(thrown)) throw refusal(thrown, this.name, doing)
    }
    await this.#refresh()
    try {
      return await call()
    } catch (thrown) {
      throw refusal(thrown, this.name, doing)
    }
  }

  #statementsOf(keyspace: string): PostgresStatements {
    const { version } = this.#catalogue
    if (version !== this.#statementsVersion) {
      this.#statements.clear()
      this.#statementsVersion = version
    }
    const mapping = this.#catalogue.mapping(keyspace)
    let statements = this.#statements.get(keyspace)
    if (statements === undefined) {
      statements = new PostgresStatements(mapping, this.#options.log, () => this.#nextName())
      this.#statements.set(keyspace, statements)
    }
    return statements
  }

  #nextName(): string {
    return `t${++this.#names}`
  }

  /** Reads the catalogue; calls that need it at the same time share one reading. */
  async #refresh(): Promise<void> {
    this.#refreshing ??= this.#positions
      .use('load', session => this.#catalogue.refresh(session))
      .finally(() => {
        this.#refreshing = undefined
        this.#refreshedMs = this.#clock.monotonicMs()
      })
    await this.#refreshing
  }
}

/** `xmin:xmax:xip,xip`, as pg_snapshot is written. */
export function parseSnapshot(text: string): { xmin: bigint; xmax: bigint; inProgress: bigint[] } {
  const [xmin, xmax, inProgress] = text.split(':')
  assert(inProgress !== undefined, 'a snapshot has three parts')
  return {
    xmin: BigInt(xmin!),
    xmax: BigInt(xmax!),
    inProgress: inProgress === '' ? [] : inProgress.split(',').map(BigInt),
  }
}
