// The SQL of one keyspace, each statement's text made once and prepared once per connection. Values are always parameters;
// only names from the database's own catalogue become part of the text.
//
// A write is one statement, so that it is one round trip and one transaction:
//
//   before     the row as it was, locked: its latest committed version, whatever the snapshot is
//   updated    that row changed, if it is there
//   inserted   a new row, if it is not; nothing when another transaction inserted one meanwhile (the caller tries again)
//   deleted    that row, gone
//
// and answers with one row: backend, xid, at, exact, [before: there, columns], [after: there, columns]. `at` is read in
// RETURNING, past the change in the log. `exact` says that nothing fires after RETURNING that could change the row again:
// no AFTER or constraint trigger, no referential action. It is read from the catalogue by the same statement, under its lock on
// the table, so that it is never out of date.
// Not for: what to write (postgres-write.ts), transactions.
import type { KeyspaceMapping, MappedColumn } from './postgres-mapping.ts'
import type { PostgresLog } from './postgres-options.ts'
import { backendSql, type Statement } from './postgres-pool.ts'
import { atSql, flushedSql, nowSql } from './postgres-positions.ts'

export type WriteShape =
  | 'replace'
  | 'replace-absent'
  | 'replace-present'
  | 'update'
  | 'update-absent'
  | 'add'
  | 'unset'
  | 'remove'
  /** Writes nothing: the row as it is. */
  | 'read'
  /** The same, locked until the transaction ends. */
  | 'lock'

/** Where things are in the one row of a write's answer. */
export const answer = { backend: 0, xid: 1, at: 2, exact: 3, before: 4 } as const

/** Texts that are kept prepared; further ones (other sets of columns) are parsed each time. */
const preparedMax = 256

// Foreign keys' own checks and those of deferrable constraints, which change nothing (pg_proc.dat): RI_FKey_check_ins and
// _upd, _restrict_del and _upd, _noaction_del and _upd, unique_key_recheck.
const harmless = '1644, 1645, 1648, 1649, 1654, 1655, 1250'

const TRIGGER_DELETE = 8
const TRIGGER_INSERT_OR_UPDATE = 4 + 16
const TRIGGER_BEFORE_OR_INSTEAD = 2 + 64

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export class PostgresStatements {
  readonly mapping: KeyspaceMapping
  readonly #log: PostgresLog
  readonly #nextName: () => string
  readonly #load: Pick<Statement, 'text' | 'name'>
  readonly #loadOne: Pick<Statement, 'text' | 'name'>
  readonly #lockAll: Pick<Statement, 'text' | 'name'>
  readonly #writes = new Map<string, Pick<Statement, 'text' | 'name'>>()

  constructor(mapping: KeyspaceMapping, log: PostgresLog, nextName: () => string) {
    this.mapping = mapping
    this.#log = log
    this.#nextName = nextName
    this.#load = { text: this.#loadSql(this.#manyRows()), name: nextName() }
    this.#loadOne = { text: this.#loadSql(`${mapping.from} AS it ON ${this.#isKey()}`), name: nextName() }
    this.#lockAll = { text: this.#lockAllSql(), name: nextName() }
  }

  /** One query for many rows. Each answer is [backend, snapshot, flushed, upto, ...columns]; without any row all columns are NULL. */
  load(keys: readonly (readonly string[])[]): Statement {
    if (keys.length === 1) return { ...this.#loadOne, values: keys[0]! }
    return { ...this.#load, values: this.mapping.key.map((_, part) => keys.map(key => key[part]!)) }
  }

  /** Locks rows that are there, in the order of their keys: two calls that write the same rows wait, and do not deadlock. */
  lockAll(keys: readonly (readonly string[])[]): Statement {
    return { ...this.#lockAll, values: this.mapping.key.map((_, part) => keys.map(key => key[part]!)) }
  }

  /** `columns` are positions of non-key columns in the mapping, whose values come behind the key's. */
  write(shape: WriteShape, columns: readonly number[]): Pick<Statement, 'text' | 'name'> {
    const id = `${shape} ${columns.join(' ')}`
    let statement = this.#writes.get(id)
    if (statement === undefined) {
      const text = this.#writeSql(shape, columns)
      if (this.#writes.size >= preparedMax) return { text }
      statement = { text, name: this.#nextName() }
      this.#writes.set(id, statement)
    }
    return statement
  }

  #manyRows(): string {
    const { from, key } = this.mapping
    if (key.length > 1) return `(${this.#wantedRows()}) ON true`
    return `${from} AS it ON it.${quoteName(key[0]!.name)} = ANY($1::${key[0]!.castType}[])`
  }

  #loadSql(rows: string): string {
    const shown = this.mapping.columns.map(column => `it.${quoteName(column.name)}`).join(', ')
    return `SELECT stamp.*, ${shown}
      FROM (SELECT ${backendSql} AS backend, pg_current_snapshot()::text AS snapshot,
                   ${flushedSql(this.#log)} AS flushed, ${nowSql(this.#log)} AS upto) AS stamp
      LEFT JOIN ${rows}`
  }

  #lockAllSql(): string {
    const order = this.mapping.key.map(column => `it.${quoteName(column.name)}`).join(', ')
    return `SELECT FROM ${this.#wantedRows()} ORDER BY ${order} FOR NO KEY UPDATE OF it`
  }

  /** The rows of keys that are given as one array for each part. */
  #wantedRows(): string {
    const { from, key } = this.mapping
    const arrays = key.map((column, part) => `$${part + 1}::${column.castType}[]`).join(', ')
    const parts = key.map((_, part) => `k${part}`).join(', ')
    const same = key.map((column, part) => `it.${quoteName(column.name)} = wanted.k${part}`).join(' AND ')
    return `unnest(${arrays}) AS wanted(${parts}) JOIN ${from} AS it ON ${same}`
  }

  #writeSql(shape: WriteShape, columns: readonly number[]): string {
    const { from } = this.mapping
    const lock = shape === 'remove' ? 'FOR UPDATE' : 'FOR NO KEY UPDATE'
    const parts = [
      `before(${this.#aliases()}) AS MATERIALIZED (SELECT true, ${this.#shown()} FROM ${from} AS it WHERE ${this.#isKey()}
        ${shape === 'read' || shape === 'replace-absent' ? '' : lock})`,
    ]
    const done: string[] = []
    if (updates.has(shape)) {
      parts.push(`updated(at, relation, ${this.#aliases()}) AS (${this.#updateSql(shape, columns)})`)
      done.push('SELECT * FROM updated')
    }
    if (inserts.has(shape)) {
      parts.push(`inserted(at, relation, ${this.#aliases()}) AS (${this.#insertSql(shape, columns)})`)
      done.push('SELECT * FROM inserted')
    }
    if (shape === 'remove') {
      parts.push(`deleted(at, relation, ${this.#aliases()}) AS (
        DELETE FROM ${from} AS it USING before WHERE ${this.#isKey()} RETURNING ${this.#returned()})`)
      done.push('SELECT * FROM deleted')
    }
    const at = atSql(this.#log)
    const columnsOf = (table: string): string =>
      `${table}.there, ${this.mapping.columns.map((_, i) => `${table}.c${i}`).join(', ')}`
    if (done.length === 0) {
      return `WITH ${parts.join(', ')} SELECT ${backendSql}, pg_current_xact_id()::text, ${at}, true, ${columnsOf('before')},
        ${columnsOf('before')} FROM (SELECT 1) AS one LEFT JOIN before ON true`
    }
    return `WITH ${parts.join(', ')}
      SELECT ${backendSql}, pg_current_xact_id()::text, coalesce(done.at, ${at}), ${this.#exactSql(shape)}, ${columnsOf('before')},
        ${columnsOf('done')}
      FROM (SELECT 1) AS one LEFT JOIN before ON true LEFT JOIN (${done.join(' UNION ALL ')}) AS done ON true`
  }

  #updateSql(shape: WriteShape, columns: readonly number[]): string {
    const all = this.mapping.columns
    const first = this.mapping.key.length + 1
    const set = columns.map(
      (column, i) => `${quoteName(all[column]!.name)} = ${changed(shape, all[column]!, first + i)}`,
    )
    if (shape === 'replace' || shape === 'replace-present') {
      for (const [i, column] of all.entries()) {
        if (!column.key && !column.generated && !columns.includes(i)) set.push(`${quoteName(column.name)} = DEFAULT`)
      }
    }
    // A row of a key alone is rewritten as it is.
    const { key } = this.mapping
    if (set.length === 0) for (const { name } of key) set.push(`${quoteName(name)} = it.${quoteName(name)}`)
    const conditions = [this.#isKey()]
    if (shape === 'update-absent') for (const column of columns) conditions.push(`before.c${column} IS NULL`)
    if (shape === 'unset') conditions.push(`(${columns.map(column => `before.c${column} IS NOT NULL`).join(' OR ')})`)
    return `UPDATE ${this.mapping.from} AS it SET ${set.join(', ')} FROM before WHERE ${conditions.join(' AND ')}
      RETURNING ${this.#returned()}`
  }

  #insertSql(shape: WriteShape, columns: readonly number[]): string {
    const { from, key, overriding } = this.mapping
    const given: readonly MappedColumn[] = [...key, ...columns.map(column => this.mapping.columns[column]!)]
    const names = given.map(column => quoteName(column.name)).join(', ')
    const values = given.map((column, i) => `$${i + 1}::${shape === 'add' && !column.key ? 'int8' : column.castType}`)
    const target = key.map(column => quoteName(column.name)).join(', ')
    return `INSERT INTO ${from} AS it (${names}) ${overriding ? 'OVERRIDING SYSTEM VALUE' : ''} SELECT ${values.join(', ')}
      WHERE NOT EXISTS (SELECT FROM before) ON CONFLICT (${target}) DO NOTHING RETURNING ${this.#returned()}`
  }

  #exactSql(shape: WriteShape): string {
    const kinds = shape === 'remove' ? TRIGGER_DELETE : TRIGGER_INSERT_OR_UPDATE
    const table = `'${this.mapping.from.replaceAll("'", "''")}'::regclass`
    // The outbox's own triggers change nothing but the outbox.
    const own = this.#log.kind === 'outbox' ? `AND t.tgname NOT LIKE 'tidemark\\_%'` : ''
    return `NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid IN (done.relation, ${table}) AND t.tgenabled IN ('O', 'A')
        AND t.tgtype & ${TRIGGER_BEFORE_OR_INSTEAD} = 0 AND t.tgtype & ${kinds} <> 0 AND t.tgfoid NOT IN (${harmless}) ${own})`
  }

  #isKey(): string {
    return this.mapping.key
      .map((column, i) => `it.${quoteName(column.name)} = $${i + 1}::${column.castType}`)
      .join(' AND ')
  }

  #shown(): string {
    return this.mapping.columns.map(column => `it.${quoteName(column.name)}`).join(', ')
  }

  #returned(): string {
    return `${atSql(this.#log)}, it.tableoid, true, ${this.#shown()}`
  }

  #aliases(): string {
    return `there, ${this.mapping.columns.map((_, i) => `c${i}`).join(', ')}`
  }
}

const updates: ReadonlySet<WriteShape> = new Set([
  'replace',
  'replace-present',
  'update',
  'update-absent',
  'add',
  'unset',
])

const inserts: ReadonlySet<WriteShape> = new Set(['replace', 'replace-absent', 'update', 'update-absent', 'add'])

function changed(shape: WriteShape, column: MappedColumn, parameter: number): string {
  if (shape === 'unset') return 'NULL'
  if (shape === 'add') return `coalesce(it.${quoteName(column.name)}, 0) + $${parameter}::int8`
  return `$${parameter}::${column.castType}`
}
