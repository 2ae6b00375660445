// The entry of `tidemark/postgres`: Postgres as a database of record, and its log of changes.
// It needs the package `pg`, which is an optional peer dependency.
export { PostgresFeed } from './source/postgres-feed.ts'
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
