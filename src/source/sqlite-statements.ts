// The SQL of one keyspace's table, each statement prepared once. Values are always parameters; only names from the
// database's own schema become part of the text.
// Every write says OR ABORT, which overrides the conflict clauses that a table may declare: a UNIQUE ... ON CONFLICT
// REPLACE would otherwise delete another row without a word.
// Not for: what to write (sqlite-write.ts).
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { SqlValue } from './row-value.ts'
import { quoteName, type ColumnMapping, type TableMapping } from './sqlite-mapping.ts'

/** Prepared writes that are kept, one for each set of columns that clients write. */
const preparedWritesMax = 256

export class SqliteStatements {
  readonly #database: DatabaseSync
  readonly #mapping: TableMapping
  readonly #table: string
  readonly #names: string
  readonly #where: string
  readonly #load: StatementSync
  readonly #row: StatementSync
  readonly #remove: StatementSync
  readonly #writes = new Map<string, StatementSync>()

  constructor(database: DatabaseSync, mapping: TableMapping) {
    this.#database = database
    this.#mapping = mapping
    this.#table = `main.${quoteName(mapping.table)}`
    this.#names = mapping.columns.map(column => quoteName(column.name)).join(', ')
    this.#where = mapping.key.map(column => `${quoteName(column.name)} = ?${collation(column)}`).join(' AND ')
    this.#load = this.#prepare(this.#loadSql())
    this.#row = this.#prepare(`SELECT ${this.#names} FROM ${this.#table} WHERE ${this.#where}`)
    this.#remove = this.#prepare(`DELETE FROM ${this.#table} WHERE ${this.#where}`)
  }

  /** One query for many rows. Each result is [index into `keys`, ...columns]; missing rows have none. */
  load(keys: readonly (readonly SqlValue[])[]): SqlValue[][] {
    return resultsOf(this.#load, [this.#keysJson(keys)])
  }

  row(key: readonly SqlValue[]): SqlValue[] | undefined {
    return resultsOf(this.#row, key)[0]
  }

  remove(key: readonly SqlValue[]): void {
    resultsOf(this.#remove, key)
  }

  /**
   * Writes a whole row: inserted, or every writable column set, those that are not in `columns` to their default.
   * `columns` are positions of non-key columns in the mapping. Returns the row as the database returned it.
   */
  replace(key: readonly SqlValue[], columns: readonly number[], values: readonly SqlValue[]): SqlValue[] | undefined {
    const statement = this.#write('replace', columns, () => {
      const writable = this.#mapping.columns.filter(column => !column.key && !column.generated)
      const set = (writable.length > 0 ? writable : this.#mapping.key).map(column => quoteName(column.name))
      const target = this.#mapping.key.map(column => quoteName(column.name)).join(', ')
      return (
        `${this.#insertSql(columns)} ON CONFLICT (${target}) DO UPDATE SET ` +
        `${set.map(name => `${name} = excluded.${name}`).join(', ')} RETURNING ${this.#names}`
      )
    })
    return resultsOf(statement, [...key, ...values])[0]
  }

  insert(key: readonly SqlValue[], columns: readonly number[], values: readonly SqlValue[]): SqlValue[] | undefined {
    const sql = (): string => `${this.#insertSql(columns)} RETURNING ${this.#names}`
    return resultsOf(this.#write('insert', columns, sql), [...key, ...values])[0]
  }

  update(key: readonly SqlValue[], columns: readonly number[], values: readonly SqlValue[]): SqlValue[] | undefined {
    const statement = this.#write('update', columns, () => {
      const set = columns.map(column => `${quoteName(this.#mapping.columns[column]!.name)} = ?`).join(', ')
      return `UPDATE OR ABORT ${this.#table} SET ${set} WHERE ${this.#where} RETURNING ${this.#names}`
    })
    return resultsOf(statement, [...values, ...key])[0]
  }

  #insertSql(columns: readonly number[]): string {
    const given = [...this.#mapping.key, ...columns.map(column => this.#mapping.columns[column]!)]
    const names = given.map(column => quoteName(column.name)).join(', ')
    return `INSERT OR ABORT INTO ${this.#table} (${names}) VALUES (${given.map(() => '?').join(', ')})`
  }

  #loadSql(): string {
    const { key } = this.#mapping
    const names = this.#mapping.columns.map(column => `row.${quoteName(column.name)}`).join(', ')
    const join = key.map((column, i) => {
      const part = key.length === 1 ? 'wanted.value' : `(wanted.value ->> ${i})`
      const value = column.type === 'blob' ? `unhex(${part})` : part
      return `row.${quoteName(column.name)} = ${value}${collation(column)}`
    })
    // CROSS JOIN keeps SQLite from scanning the table in the outer loop.
    return (
      `SELECT wanted.key, ${names} FROM json_each(?) AS wanted CROSS JOIN ${this.#table} AS row ` +
      `WHERE ${join.join(' AND ')}`
    )
  }

  #keysJson(keys: readonly (readonly SqlValue[])[]): string {
    const composite = this.#mapping.key.length > 1
    const texts = keys.map(key => {
      const parts = key.map(keyPartJson)
      return composite ? `[${parts.join(',')}]` : parts[0]!
    })
    return `[${texts.join(',')}]`
  }

  #write(kind: string, columns: readonly number[], sql: () => string): StatementSync {
    const id = `${kind} ${columns.join(' ')}`
    let statement = this.#writes.get(id)
    if (statement === undefined) {
      const oldest = this.#writes.keys().next()
      if (this.#writes.size >= preparedWritesMax && oldest.done !== true) this.#writes.delete(oldest.value)
      statement = this.#prepare(sql())
      this.#writes.set(id, statement)
    }
    return statement
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#database.prepare(sql)
    statement.setReadBigInts(true)
    statement.setReturnArrays(true)
    return statement
  }
}

// `all` steps a statement to its end: constraints that are checked last are then checked too.
function resultsOf(statement: StatementSync, values: readonly SqlValue[]): SqlValue[][] {
  return statement.all(...values) as unknown as SqlValue[][]
}

// A column may compare with another collation than its primary key's index, which was checked to be BINARY.
function collation(column: ColumnMapping): string {
  return column.type === 'text' ? ' COLLATE BINARY' : ''
}

function keyPartJson(value: SqlValue): string {
  if (typeof value === 'bigint') return value.toString()
  return JSON.stringify(value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value)
}
