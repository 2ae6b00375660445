// The rows of a table, or of a view, of a database: what `sqlite(...).table('users')` gives. Plain data: nothing is opened
// before a keyspace asks for it.
import type { PostgresDatabase, SqliteDatabase } from '../config/config.ts'
import type { PostgresView } from '../source/postgres-options.ts'

export interface TableOptions {
  /** Limits the table to some columns; those of the key are always in. */
  readonly columns?: readonly string[] | undefined
}

export class TableSource {
  readonly database: SqliteDatabase | PostgresDatabase
  /** As in SQL, with its schema if that is needed. undefined: the rows are those of `view`. */
  readonly table: string | undefined
  readonly columns: readonly string[] | undefined
  readonly view: PostgresView | undefined

  constructor(
    database: SqliteDatabase | PostgresDatabase,
    rows: { readonly table?: string; readonly columns?: readonly string[] | undefined; readonly view?: PostgresView },
  ) {
    this.database = database
    this.table = rows.table
    this.columns = rows.columns
    this.view = rows.view
  }
}
