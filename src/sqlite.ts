// The entry of `tidemark/sqlite`: how a configuration names a SQLite database. Plain data: nothing is opened here.
import type { CreateContext, SqliteDatabase, SqliteOptions } from './config/config.ts'

export type { CreateContext, SqliteDatabase, SqliteOptions }

/** A SQLite database for `databases` of a configuration. */
export function sqlite(options: SqliteOptions): SqliteDatabase {
  return { ...options, kind: 'sqlite' }
}
