// The entry of `tidemark/postgres`: Postgres as a database of record, and its log of changes.
// It needs the package `pg`, which is an optional peer dependency.
import type { PostgresDatabase, PostgresOptions } from './config/config.ts'
import { invalid } from './library/option-checks.ts'
import { TableSource, type TableOptions } from './library/table-source.ts'
import type { PostgresView } from './source/postgres-options.ts'

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
export type { PostgresDatabase, PostgresOptions, TableOptions, TableSource }

export interface PostgresTables extends PostgresDatabase {
  /** The rows of a table, `users` or `shop.users`, as the source of a keyspace. */
  table(name: string, options?: TableOptions): TableSource
  /** Rows that a SELECT computes: they can be read, not written. */
  view(view: PostgresView): TableSource
}

/** What is used of a `Pool` of `pg`: how it connects. Tidemark has connections of its own. */
export interface PoolLike {
  readonly options: {
    readonly connectionString?: string | undefined
    readonly host?: string | undefined
    readonly port?: number | undefined
    readonly user?: string | undefined
    readonly password?: string | undefined | (() => string | Promise<string>)
    readonly database?: string | undefined
    readonly ssl?: unknown
  }
}

/**
 * A Postgres database: for `databases` of a configuration, and for the keyspaces of the library. Of a pool with TLS, or whose
 * password is a function, throws OPTION_INVALID.
 */
export function postgres(given: PostgresOptions | string | PoolLike): PostgresTables {
  const database: PostgresDatabase = { ...optionsOf(given), kind: 'postgres' }
  const table = (name: string, { columns }: TableOptions = {}): TableSource =>
    new TableSource(database, { table: name, columns })
  const view = (shown: PostgresView): TableSource => new TableSource(database, { view: shown })
  // Not among the members that a configuration is checked for.
  return Object.defineProperties(database, { table: { value: table }, view: { value: view } }) as PostgresTables
}

function optionsOf(given: PostgresOptions | string | PoolLike): PostgresOptions {
  if (typeof given === 'string') return { url: given }
  if (!('options' in given)) return given
  const { connectionString, host, port, user, password, database, ssl } = given.options
  // Not taken without it: what was to be encrypted is not to be sent in the clear.
  if (ssl !== undefined && ssl !== false)
    throw invalid('postgres(pool)', 'a pool with ssl', 'the url, and ca: a file of certificates')
  if (typeof password === 'function')
    throw invalid('postgres(pool)', 'a password that is a function', 'a password, or a url')
  if (connectionString !== undefined) return { url: connectionString }
  return { host, port, user, database, ...(typeof password === 'string' ? { password } : {}) }
}
