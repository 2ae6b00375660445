// The entry of `tidemark/sqlite`: how a configuration, or a keyspace of the library, names a SQLite database. Plain data:
// nothing is opened here.
import type { CreateContext, SqliteDatabase, SqliteOptions } from './config/config.ts'
import { TableSource, type TableOptions } from './library/table-source.ts'

export type { CreateContext, SqliteDatabase, SqliteOptions, TableOptions, TableSource }

export interface SqliteTables extends SqliteDatabase {
  /** The rows of a table, as the source of a keyspace. */
  table(name: string, options?: TableOptions): TableSource
}

/** A SQLite database, by its file: for `databases` of a configuration, and for the keyspaces of the library. */
export function sqlite(options: SqliteOptions | string): SqliteTables {
  const database: SqliteDatabase = { ...(typeof options === 'string' ? { file: options } : options), kind: 'sqlite' }
  const table = (name: string, { columns }: TableOptions = {}): TableSource =>
    new TableSource(database, { table: name, columns })
  // Not among the members that a configuration is checked for.
  return Object.defineProperty(database, 'table', { value: table }) as SqliteTables
}
