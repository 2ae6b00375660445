// The entry of `tidemark/postgres`: Postgres as a database of record, and its log of changes.
// It needs the package `pg`, which is an optional peer dependency.
import type { PostgresDatabase, PostgresOptions } from './config/config.ts'

export { PostgresFeed } from './source/postgres-feed.ts'
export { PostgresOutbox } from './source/postgres-outbox.ts'
export { PostgresSource } from './source/postgres-source.ts'
export type {
  PostgresConnection,
  PostgresDependency,
  PostgresFeedOptions,
  PostgresKeyspace,
  PostgresLog,
  PostgresSourceOptions,
  PostgresView,
} from './source/postgres-options.ts'
export type { PostgresDatabase, PostgresOptions }

/** A Postgres database for `databases` of a configuration. */
export function postgres(options: PostgresOptions): PostgresDatabase {
  return { ...options, kind: 'postgres' }
}
