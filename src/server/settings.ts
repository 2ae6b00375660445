// What a server is started with: plain data, resolved and checked (src/config does that), with units in the names.
// Structured-cloneable, so that the supervisor hands it to its threads as it is. Not for: defaults, parsing, functions.
import type { PostgresLog, PostgresView } from '../source/postgres-options.ts'
import type { TierPlace } from '../tier/open-tier.ts'

export interface ServerSettings {
  /** Where the Redis protocol is listened on. Anything but loopback needs `requirepass`. */
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** Where HTTP (health, readiness, metrics) is listened on. */
  readonly adminHost: string
  readonly adminPort: number
  readonly threads: number
  readonly memoryBytes: number
  readonly requirepass: string | undefined
  /** Absolute. The folder of the lock file and of the databases given by a relative name; it exists. */
  readonly dataFolder: string | undefined
  /** Connections at once, over all threads. */
  readonly connectionsMax: number
  /** Who may use DEBUG: nobody, clients on loopback, or everyone. */
  readonly debugCommand: DebugCommand
  /** How long requests under way may take to finish when the server closes. */
  readonly drainMs: number
  /** undefined: no snapshots. */
  readonly snapshot: SnapshotSettings | undefined
  readonly databases: readonly DatabaseSettings[]
  /** undefined: rows and other keys are in this server's memory alone. */
  readonly tier: TierSettings | undefined
  /** The memory for rows of other servers, of which this one is the tier; 0: it is none. */
  readonly tierMemoryBytes: number
  readonly keyspaces: readonly KeyspaceSettings[]
}

export type DebugCommand = 'no' | 'local' | 'yes'

export interface SnapshotSettings {
  /** Absolute; its folder exists. */
  readonly file: string
  /** 0: only when asked for, and at the end. */
  readonly everyMs: number
}

export type DatabaseSettings = SqliteSettings | PostgresSettings

export interface SqliteSettings {
  readonly kind: 'sqlite'
  /** How keyspaces refer to it. Unique among the databases. */
  readonly name: string
  /** Absolute. */
  readonly file: string
  /** How often writes of other processes are looked for. */
  readonly pollMs: number
  /** How long a write waits for another process's lock. */
  readonly busyTimeoutMs: number
}

export interface PostgresSettings {
  readonly kind: 'postgres'
  /** How keyspaces refer to it. Unique among the databases. */
  readonly name: string
  readonly connection: PostgresConnection
  readonly log: PostgresLog
  readonly connectionsMax: number
}

/** What is not there is as the PG* variables say. */
export interface PostgresConnection {
  /** Then the parts below are not there. */
  readonly url?: string
  readonly host?: string
  readonly port?: number
  readonly user?: string
  readonly password?: string
  readonly database?: string
  /** A file of certificates in PEM, absolute: connect with TLS to a server that these vouch for. */
  readonly ca?: string
}

/** Where rows and other keys are shared with other servers. */
export type TierSettings = TierPlace

/** What to answer with when no answer can be proved as fresh as `maxStalenessMs` asks for. */
export type WhenStale = 'source' | 'serve' | 'fail'

export interface KeyspaceSettings {
  /** The prefix of its keys, before the ':'. Unique among the keyspaces. */
  readonly name: string
  /** The name of one of the databases. */
  readonly database: string
  readonly table: string
  /** The columns to be seen, in any order; undefined: all of the table. Key columns are always among them. */
  readonly columns: readonly string[] | undefined
  /** Of Postgres: the rows are those of a SELECT, and `table` is only the keyspace's name. */
  readonly view?: PostgresView
  readonly maxStalenessMs: number
  readonly whenStale: WhenStale
  /** Each connection is a session: it sees what it wrote, and nothing older than what it has seen. */
  readonly session?: boolean
}
