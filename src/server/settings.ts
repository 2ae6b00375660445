// What a server is started with: plain data, resolved and checked (src/config does that), with units in the names.
// Structured-cloneable, so that the supervisor hands it to its threads as it is. Not for: defaults, parsing, functions.

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
  /** How long requests under way may take to finish when the server closes. */
  readonly drainMs: number
  /** undefined: no snapshots. */
  readonly snapshot: SnapshotSettings | undefined
  readonly databases: readonly SqliteSettings[]
  readonly keyspaces: readonly KeyspaceSettings[]
}

export interface SnapshotSettings {
  /** Absolute; its folder exists. */
  readonly file: string
  /** 0: only when asked for, and at the end. */
  readonly everyMs: number
}

export interface SqliteSettings {
  /** How keyspaces refer to it. Unique among the databases. */
  readonly name: string
  /** Absolute. */
  readonly file: string
  /** How often writes of other processes are looked for. */
  readonly pollMs: number
  /** How long a write waits for another process's lock. */
  readonly busyTimeoutMs: number
}

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
  readonly maxStalenessMs: number
  readonly whenStale: WhenStale
}
