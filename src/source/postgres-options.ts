// How a Postgres database, its keyspaces and its log of changes are named. Plain data.
// Not for: reading it from a configuration file (config/).
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'

/** Where the database is. What is not there is as the PG* variables say. */
export interface PostgresConnection {
  /** `postgres://user:password@host:port/database`; then the parts below are not needed. */
  readonly url?: string | undefined
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly database?: string | undefined
  /** Certificates in PEM: connect with TLS to a server that these vouch for. */
  readonly caPem?: string | undefined
}

/** Which rows a keyspace shows: those of a table, or of a view. */
export interface PostgresKeyspace {
  readonly name: string
  /** As in SQL: `users`, `shop.users`, `"Users"`. */
  readonly table?: string | undefined
  /** Limits a table to some columns; those of the key are always in. */
  readonly columns?: readonly string[] | undefined
  readonly view?: PostgresView | undefined
}

/** Rows that a SELECT computes. They can be read, not written. */
export interface PostgresView {
  /** Without parameters and without a semicolon. What it shows may depend on nothing but the tables below. */
  readonly sql: string
  /** Of its columns, those that name a row: unique together. */
  readonly keyColumns: readonly string[]
  readonly dependsOn: readonly PostgresDependency[]
}

/** A change of a row of `table` is a change of the view's row whose key is in these columns of it, in the order of `keyColumns`. */
export interface PostgresDependency {
  readonly table: string
  readonly keyColumns: readonly string[]
}

/** Where changes are told: the write-ahead log, by way of a publication, or a table that triggers fill. */
export type PostgresLog =
  | { readonly kind: 'publication'; readonly publication: string; readonly slot: string }
  | { readonly kind: 'outbox'; readonly schema: string }

export interface PostgresSourceOptions {
  /** How keyspaces refer to the database. */
  readonly name: string
  readonly connection: PostgresConnection
  readonly keyspaces: readonly PostgresKeyspace[]
  readonly log: PostgresLog
  /** Of the tier: a part of the epoch. */
  readonly lanes: number
  /** For loads and writes; two more carry the position's query. */
  readonly connectionsMax?: number | undefined
  /** How long a call waits for the database. */
  readonly timeoutMs?: number | undefined
  readonly clock: Clock
  readonly random: Random
}

export type PostgresFeedOptions = Pick<
  PostgresSourceOptions,
  'name' | 'connection' | 'keyspaces' | 'log' | 'lanes' | 'timeoutMs' | 'clock' | 'random'
>
