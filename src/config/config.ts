// What stands in a tidemark.config.ts, as types for the editor. What is allowed in it, and what it means, is in schema.ts; that
// a file keeps to it is checked when it is loaded (resolve.ts), since nothing makes a user compile it first.
import type { DebugCommand, WhenStale } from '../server/settings.ts'
import type { PostgresView } from '../source/postgres-options.ts'
import type { Duration, Size } from './units.ts'

/** What a database's `create` is called with. */
export interface CreateContext {
  /** Where to make the database: a name of its own, that becomes the real one only once `create` is done. */
  readonly file: string
  /** Tells how far it is: `progress(5000, 135233, 'cities')`. */
  readonly progress: (done: number, total: number, what: string) => void
  /** Aborted by Ctrl-C: stop, or throw. */
  readonly signal: AbortSignal
}

export interface SqliteOptions {
  /** Relative to the data folder (`--data`); without one, to the configuration file's folder. */
  readonly file: string
  /** Makes the database when it is not there. It has to close it at the end. */
  readonly create?: ((context: CreateContext) => void | Promise<void>) | undefined
  /** How often to ask whether another process wrote to it. */
  readonly poll?: Duration | undefined
  /** How long a write waits for another process's lock. */
  readonly busyTimeout?: Duration | undefined
}

/** A SQLite database, as `sqlite()` of `tidemark/sqlite` gives it. */
export interface SqliteDatabase extends SqliteOptions {
  readonly kind: 'sqlite'
}

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`, or the parts below, or for what is not set PGHOST and so on. */
  readonly url?: string | undefined
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly database?: string | undefined
  /** A file of certificates in PEM: connect with TLS to a server that these vouch for. */
  readonly ca?: string | undefined
  /** The replication slot that changes are read from; servers that share a tier share it. */
  readonly slot?: string | undefined
  /** The publication of the keyspaces' tables. */
  readonly publication?: string | undefined
  /** The schema of a table that triggers write changes to, for a database that grants no replication. */
  readonly outbox?: string | undefined
  /** For loads and writes. */
  readonly connections?: number | undefined
}

/** A Postgres database, as `postgres()` of `tidemark/postgres` gives it. */
export interface PostgresDatabase extends PostgresOptions {
  readonly kind: 'postgres'
}

/** Where rows and other keys are shared with other servers. */
export interface TierConfig {
  /** `valkey://host:port`, several nodes of one cluster, or `tidemark://host:port`. */
  readonly url?: string | readonly string[] | undefined
  /** The parts that its rows are divided into. The same for all servers that share it. */
  readonly lanes?: number | undefined
  /** How the names of the keys begin that rows are kept under; deployments that share a cluster take one each. */
  readonly prefix?: string | undefined
  /** A file of certificates in PEM that its servers are to be known by. */
  readonly ca?: string | undefined
}

export interface KeyspaceConfig {
  /** The name of one of `databases`. */
  readonly database: string
  /** The table whose rows are the values; by default the keyspace's name. */
  readonly table?: string | undefined
  /** The columns to be seen; by default all. */
  readonly columns?: readonly string[] | undefined
  /** Rows that a SELECT computes instead, of Postgres and to be read only. */
  readonly view?: PostgresView | undefined
  /** The oldest that an answer may be, as can be proved. 0 reads the database every time. */
  readonly maxStaleness?: Duration | undefined
  /** What happens when no answer can be proved that fresh: read the database, give it all the same, or an error. */
  readonly whenStale?: WhenStale | undefined
  /** With 'connection' each connection sees what it wrote, and nothing older than what it has seen. */
  readonly session?: 'none' | 'connection' | undefined
}

/** Keys that are no rows, kept over a restart. */
export interface SnapshotConfig {
  /** The file. It is loaded at the start, and written at the end and whenever it is asked for. */
  readonly path?: string | undefined
  /** How often it is written besides; 0: never. */
  readonly every?: Duration | undefined
}

/** Everything is optional; flags and TIDEMARK_* variables go before what stands here. See docs/reference/settings.md. */
export interface TidemarkConfig {
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly adminHost?: string | undefined
  readonly adminPort?: number | undefined
  readonly threads?: number | undefined
  readonly memory?: Size | undefined
  readonly requirepass?: string | undefined
  readonly data?: string | undefined
  readonly snapshot?: SnapshotConfig | undefined
  readonly maxConnections?: number | undefined
  readonly enableDebugCommand?: DebugCommand | undefined
  readonly drain?: Duration | undefined
  /** These four are the defaults of every database and every keyspace. */
  readonly poll?: Duration | undefined
  readonly busyTimeout?: Duration | undefined
  readonly maxStaleness?: Duration | undefined
  readonly whenStale?: WhenStale | undefined
  /** The database `main`, as a URL. */
  readonly source?: string | undefined
  readonly databases?: Readonly<Record<string, SqliteDatabase | PostgresDatabase>> | undefined
  readonly tier?: TierConfig | undefined
  /** The memory for rows of other servers, which name this one as their tier. */
  readonly tierMemory?: Size | undefined
  /** By the prefix of their keys: `cities` holds `cities:2643743`. */
  readonly keyspaces?: Readonly<Record<string, KeyspaceConfig>> | undefined
}

/** Gives back what it got: it is there for the types. */
export function defineConfig(config: TidemarkConfig): TidemarkConfig {
  return config
}
