// What a Postgres database is and how its tables are laid out, and from both the epoch: which server, timeline and
// uninterrupted run, and which tables with which columns, keys, storage and publication. Sources and feeds of all processes
// come to the same one.
//
// The server's identity is one text, read with every position, and once per connection for stamps:
//
//   7651234567890123456/00000001/1795000000123456
//   system identifier  /timeline/when the statistics were last reset, in microseconds
//
// Statistics survive a clean restart and are thrown away by a crash (also by one of a single process, which restarts all
// others under the same postmaster): so the third part changes exactly when transaction ids and positions may come again,
// and when someone calls pg_stat_reset_shared('bgwriter'), which costs a cold cache and is never wrong. Everybody may read it.
//
// The layout's fingerprint is read with every position. It holds what changes rows without a row event (a rewritten table, a
// partition attached) and what keeps events from coming (a table that is unlogged, or leaves the publication).
// Not for: what is in the tables.
import { TidemarkError } from '../base/errors.ts'
import { epochOf, type EpochKeyspace } from '../coherence/epoch.ts'
import { readMappings, type KeyspaceMapping } from './postgres-mapping.ts'
import type { PostgresKeyspace, PostgresLog } from './postgres-options.ts'
import { serverSql, type Cell, type Session, type Statement } from './postgres-pool.ts'

const publicationSql = `
  (SELECT concat_ws(' ', p.oid, p.xmin, (SELECT string_agg(concat_ws(' ', r.oid, r.xmin), ',' ORDER BY r.oid)
      FROM pg_publication_rel r WHERE r.prrelid = ANY($1::oid[]) AND r.prpubid = p.oid))
     FROM pg_publication p WHERE p.pubname = $2)`

const outboxSql = `
  (SELECT string_agg(concat_ws(' ', t.oid, t.xmin, t.tgenabled), ',' ORDER BY t.oid) FROM pg_trigger t
    WHERE t.tgrelid = ANY($1::oid[]) AND t.tgname LIKE $2)`

function layoutSql(log: PostgresLog): string {
  return `concat_ws(';',
    (SELECT string_agg(concat_ws(' ', c.oid, c.relfilenode, c.relpersistence, c.relreplident, c.relnatts, c.relkind, c.relhasrules,
       c.relrowsecurity), ',' ORDER BY c.oid) FROM pg_class c WHERE c.oid = ANY($1::oid[])),
    (SELECT string_agg(concat_ws(' ', i.inhrelid, i.inhparent), ',' ORDER BY i.inhrelid) FROM pg_inherits i
      WHERE i.inhparent = ANY($1::oid[])),
    ${log.kind === 'publication' ? publicationSql : outboxSql})`
}

// In one order, whoever made the object: servers and services come to the same epoch.
function logParts(log: PostgresLog): readonly string[] {
  return log.kind === 'publication' ? [log.kind, log.publication, log.slot] : [log.kind, log.schema]
}

export class PostgresCatalogue {
  readonly #name: string
  readonly #keyspaces: readonly PostgresKeyspace[]
  readonly #log: PostgresLog
  readonly #lanes: number
  #mappings: ReadonlyMap<string, KeyspaceMapping> = new Map()
  #problem: TidemarkError | undefined
  #relations: readonly string[] = []
  #layout = ''
  #version = 0
  #server = ''
  #epoch = 0n

  constructor(options: {
    readonly name: string
    readonly keyspaces: readonly PostgresKeyspace[]
    readonly log: PostgresLog
    readonly lanes: number
  }) {
    this.#name = options.name
    this.#keyspaces = options.keyspaces
    this.#log = options.log
    this.#lanes = options.lanes
  }

  /** Moves with every `refresh`: prepared statements of another version are of other tables. */
  get version(): number {
    return this.#version
  }

  get problem(): TidemarkError | undefined {
    return this.#problem
  }

  /** Keyspaces that can be mapped. */
  get mappings(): readonly KeyspaceMapping[] {
    return [...this.#mappings.values()]
  }

  /** Throws MAPPING_INVALID when there is no such keyspace, or the database no longer fits the keyspaces. */
  mapping(keyspace: string): KeyspaceMapping {
    if (this.#problem !== undefined) throw this.#problem
    const mapping = this.#mappings.get(keyspace)
    if (mapping !== undefined) return mapping
    const names = [...this.#mappings.keys()].join(', ')
    throw new TidemarkError('MAPPING_INVALID', `${this.#name}: there is no keyspace ${keyspace}; there are: ${names}`)
  }

  /** The epoch of the server that was met last. */
  get epoch(): bigint {
    return this.#epoch
  }

  /** The epoch of a server that a statement met, `server` as serverSql gave it. */
  meet(server: string): bigint {
    if (server === this.#server) return this.#epoch
    const [systemId, timeline, run] = server.split('/') as [string, string, string]
    this.#server = server
    this.#epoch = epochOf({
      systemId,
      timeline: Number.parseInt(timeline, 16),
      run,
      lanes: this.#lanes,
      keyspaces: [...this.#mappings.values()].map(mapping => epochKeyspace(mapping)),
      publication: JSON.stringify([logParts(this.#log), this.#layout]),
    })
    return this.#epoch
  }

  /** Reads the catalogue anew. What is wrong with it then is thrown by `mapping`, not here. */
  async refresh(session: Session): Promise<void> {
    await session.query({ text: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' })
    try {
      const { keyspaces, problems } = await readMappings(session, this.#keyspaces)
      const relations = await this.#readRelations(session, [...keyspaces.values()])
      const [row] = await session.query({ text: `SELECT ${layoutSql(this.#log)}`, values: [relations, this.#logName] })
      this.#problem =
        problems.length === 0
          ? undefined
          : new TidemarkError('MAPPING_INVALID', problems.map(problem => `${this.#name}: ${problem}`).join('\n'))
      this.#mappings = keyspaces
      this.#relations = relations
      this.#layout = row![0] ?? ''
      this.#version++
      this.#server = ''
    } finally {
      await session.query({ text: 'ROLLBACK' })
    }
  }

  /** All tables that the keyspaces depend on, with their partitions. */
  async #readRelations(session: Session, mappings: readonly KeyspaceMapping[]): Promise<string[]> {
    const roots = mappings.flatMap(mapping => mapping.dependencies.map(dependency => String(dependency.relation)))
    const rows = await session.query({
      text: `SELECT oid::text FROM unnest($1::oid[]) oid
             UNION SELECT t.relid::oid::text FROM unnest($1::oid[]) root, pg_partition_tree(root) t`,
      values: [roots],
    })
    return rows.map(([oid]) => oid!).sort((a, b) => Number(a) - Number(b))
  }

  get #logName(): string {
    return this.#log.kind === 'publication' ? this.#log.publication : 'tidemark\\_%'
  }

  /**
   * A statement whose row is the server's identity, the layout's fingerprint (see isCurrent) and then `columns`. `name` is
   * that of the prepared statement.
   */
  statement(name: string, columns: string): Statement {
    const text = `SELECT ${serverSql}, ${layoutSql(this.#log)}, ${columns}`
    return { text, values: [this.#relations, this.#logName], name }
  }

  /** Whether the layout that a statement saw is the one that was read by `refresh`. */
  isCurrent(layout: Cell | undefined): boolean {
    return layout === this.#layout
  }
}

function epochKeyspace(mapping: KeyspaceMapping): EpochKeyspace {
  const { keyspace, from, columns, key, dependencies } = mapping
  return {
    name: keyspace,
    table: from,
    columns: columns.map(column => ({ name: column.name, type: column.declaredType })),
    keyColumns: key.map(column => column.name),
    definition: JSON.stringify(dependencies.map(({ table, keyColumns }) => [table, keyColumns])),
  }
}
