// Every setting there is: where it stands in the configuration file, its flag, its environment variable, its type, range and
// default, and what it is for. The file's checks, the flags, the environment, `help serve` and the reference page all
// derive from this table. The types that the editor shows for a file are in config.ts; a test holds the two together.
import { limits } from '../base/limits.ts'
import { parseSource, parseTable, parseTier, tierSchemes } from './addresses.ts'
import type { PostgresDependency, PostgresView } from '../source/postgres-options.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts'

export type SettingType =
  | { readonly kind: 'integer'; readonly min: number; readonly max: number }
  | { readonly kind: 'size'; readonly min: number; readonly max: number }
  | { readonly kind: 'duration'; readonly min: number; readonly max: number }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  | { readonly kind: 'text'; readonly secret?: boolean }
  /** Of something in Postgres that need not be quoted: lower case, at most 63 letters. */
  | { readonly kind: 'name' }
  | { readonly kind: 'prefix' }
  | { readonly kind: 'view' }
  /** A file or folder; relative to what, the setting's help says. */
  | { readonly kind: 'path' }
  /** A list of names. */
  | { readonly kind: 'texts' }
  | { readonly kind: 'function' }
  /** The database of record; may have a password in it. */
  | { readonly kind: 'source' }
  /** Where a shared tier is: one URL, or a list; may have a password in it. In a flag or variable, apart by commas. */
  | { readonly kind: 'tier' }
  /** Keyspaces and their tables; apart by commas. */
  | { readonly kind: 'tables' }

/** The types of which a flag may be given several times; each adds to the others. */
export const repeatable: readonly SettingType['kind'][] = ['tier', 'tables']

/** What a value of any type is once it has been read: sizes in bytes, durations in milliseconds. */
export type SettingValue = number | string | PostgresView | readonly string[] | ((...parameters: never[]) => unknown)

export interface Setting {
  /** Where it stands in the file; `*` is a name that the user chooses. '' for a setting that has no place there. */
  readonly path: string
  readonly type: SettingType
  /** In the form a user would write. */
  readonly default?: string | number
  /** What the default is, where it is no fixed value. */
  readonly defaultText?: string
  readonly required?: boolean
  /** The setting of the same name at the top is its default, and that one's flag and variable go before what stands here. */
  readonly inherits?: boolean
  /** For a database: the kind that it is a setting of. */
  readonly of?: 'sqlite' | 'postgres'
  /** Without the dashes. */
  readonly flag?: string
  readonly environment?: string
  readonly help: string
}

const dayMs = 86_400_000

/** Of the numbers that the store has for threads, one is the supervisor's; each database takes one more (resolve.ts). */
export const ownThreads = 1

export const schema: readonly Setting[] = [
  {
    path: '',
    type: { kind: 'path' },
    defaultText: 'tidemark.config.ts, .js or .mjs in the current folder, if there is one',
    flag: 'config',
    environment: 'TIDEMARK_CONFIG',
    help: 'The configuration file, or the folder that it is in. Without one the server is a plain cache.',
  },
  {
    path: 'host',
    type: { kind: 'text' },
    default: '127.0.0.1',
    flag: 'host',
    environment: 'TIDEMARK_HOST',
    help: 'The address that the Redis protocol is served on. Anything but loopback needs a password.',
  },
  {
    path: 'port',
    type: { kind: 'integer', min: 0, max: 65_535 },
    default: 6379,
    flag: 'port',
    environment: 'TIDEMARK_PORT',
    help: 'The port of the Redis protocol. 0 takes any free one.',
  },
  {
    path: 'adminHost',
    type: { kind: 'text' },
    default: '127.0.0.1',
    flag: 'admin-host',
    environment: 'TIDEMARK_ADMIN_HOST',
    help: 'The address that HTTP (/health, /ready, /metrics) is served on. Anything but loopback needs a password.',
  },
  {
    path: 'adminPort',
    type: { kind: 'integer', min: 0, max: 65_535 },
    default: 8379,
    flag: 'admin-port',
    environment: 'TIDEMARK_ADMIN_PORT',
    help: 'The port of HTTP. 0 takes any free one.',
  },
  {
    path: 'threads',
    type: { kind: 'integer', min: 1, max: limits.threadsMax - ownThreads },
    defaultText: 'the cores that the process may use',
    flag: 'threads',
    environment: 'TIDEMARK_THREADS',
    help: 'The threads that connections are spread over. All of them share one memory.',
  },
  {
    path: 'memory',
    type: { kind: 'size', min: limits.memoryBytesMin, max: limits.memoryBytesMax },
    default: '256mb',
    flag: 'memory',
    environment: 'TIDEMARK_MEMORY',
    help: 'The memory for keys and values, over all threads. When it is full, what was not read for long leaves first.',
  },
  {
    path: 'requirepass',
    type: { kind: 'text', secret: true },
    defaultText: 'none: only loopback is listened on',
    flag: 'requirepass',
    environment: 'TIDEMARK_REQUIREPASS',
    help: 'The password that clients give with AUTH. Prefer the environment variable: other users can see the flags of a process.',
  },
  {
    path: 'data',
    type: { kind: 'path' },
    defaultText: 'none',
    flag: 'data',
    environment: 'TIDEMARK_DATA',
    help:
      'The folder of databases that are given by a relative file name, made if it is not there. One server at a time uses it. ' +
      "Relative to the current folder; in a file, to the file's.",
  },
  {
    path: 'snapshot.path',
    type: { kind: 'path' },
    defaultText: 'none',
    flag: 'snapshot',
    environment: 'TIDEMARK_SNAPSHOT',
    help:
      'The file that keys other than rows are kept in over a restart: loaded at the start, written at the end, by SAVE and ' +
      "BGSAVE, and on SIGUSR2. Its folder has to be there. Relative to the current folder; in a file, to the file's.",
  },
  {
    path: 'snapshot.every',
    type: { kind: 'duration', min: 0, max: 7 * dayMs },
    default: '0',
    flag: 'snapshot-every',
    environment: 'TIDEMARK_SNAPSHOT_EVERY',
    help: 'How often a snapshot is written besides. 0: never.',
  },
  {
    path: 'maxConnections',
    type: { kind: 'integer', min: 1, max: limits.connectionsMax },
    default: limits.connectionsMax,
    flag: 'max-connections',
    environment: 'TIDEMARK_MAX_CONNECTIONS',
    help: 'Connections at once, over all threads. One more is answered with an error and closed.',
  },
  {
    path: 'enableDebugCommand',
    type: { kind: 'choice', choices: ['no', 'local', 'yes'] },
    default: 'no',
    flag: 'enable-debug-command',
    environment: 'TIDEMARK_ENABLE_DEBUG_COMMAND',
    help: 'Who may use DEBUG SLEEP, which holds up a server thread: nobody, clients on the same machine, or everyone.',
  },
  {
    path: 'drain',
    type: { kind: 'duration', min: 0, max: 600_000 },
    default: formatDuration(limits.drainMs),
    flag: 'drain',
    environment: 'TIDEMARK_DRAIN',
    help: 'How long requests under way may take to finish when the server closes.',
  },
  {
    path: 'poll',
    type: { kind: 'duration', min: 1, max: 60_000 },
    default: formatDuration(limits.sqlitePollMs),
    flag: 'poll',
    environment: 'TIDEMARK_POLL',
    help: 'How often SQLite databases are asked whether another process wrote to them. As a flag it holds for every database.',
  },
  {
    path: 'busyTimeout',
    type: { kind: 'duration', min: 0, max: 600_000 },
    default: formatDuration(limits.sqliteBusyTimeoutMs),
    flag: 'busy-timeout',
    environment: 'TIDEMARK_BUSY_TIMEOUT',
    help: "How long a write waits for another process's lock on a SQLite database. As a flag it holds for every database.",
  },
  {
    path: 'maxStaleness',
    type: { kind: 'duration', min: 0, max: dayMs },
    default: formatDuration(limits.maxStalenessMsDefault),
    flag: 'max-staleness',
    environment: 'TIDEMARK_MAX_STALENESS',
    help: 'The oldest that an answer may be, as can be proved. 0 reads the database every time. As a flag it holds for every keyspace.',
  },
  {
    path: 'whenStale',
    type: { kind: 'choice', choices: ['source', 'serve', 'fail'] },
    default: 'source',
    flag: 'when-stale',
    environment: 'TIDEMARK_WHEN_STALE',
    help:
      'What happens when no answer can be proved that fresh: the database is read (source), the answer is given all ' +
      'the same (serve), or an error is (fail). As a flag it holds for every keyspace.',
  },
  {
    path: 'source',
    type: { kind: 'source' },
    defaultText: 'none: the databases are those of `databases`',
    flag: 'source',
    environment: 'TIDEMARK_SOURCE',
    help:
      'The database of record, named `main`: `postgres://user:password@host:port/database`, or `sqlite:` and a file (relative ' +
      "to the current folder; in a configuration file, to the data folder or else the file's). As a flag it takes the place " +
      'of the url of `databases.main`. Other users can see the flags of a process: give a password by the variable.',
  },
  {
    path: '',
    type: { kind: 'tables' },
    defaultText: 'none: the keyspaces are those of `keyspaces`',
    flag: 'keyspace',
    environment: 'TIDEMARK_KEYSPACE',
    help:
      'A keyspace of the database `main`, and its table: `users=public.users`, or `users` where both have the same name. May ' +
      'be given several times, or several apart by commas.',
  },
  {
    path: 'tier.url',
    type: { kind: 'tier' },
    defaultText: "none: rows and other keys are in this server's memory alone",
    flag: 'tier',
    environment: 'TIDEMARK_TIER',
    help:
      'Where rows and other keys are shared with other servers: a Valkey or Redis Cluster, or a single one, as ' +
      '`valkey://user:password@host:port` (`valkeys://` with TLS), or a Tidemark server as `tidemark://host:port` ' +
      '(`tidemarks://`). May be given several times, or several apart by commas: nodes of one cluster, of which any finds ' +
      "the others. This server's memory then holds what it reads often, as long as it is proved to be fresh.",
  },
  {
    path: 'tier.lanes',
    type: { kind: 'integer', min: 1, max: limits.lanesMax },
    default: limits.lanesDefault,
    flag: 'tier-lanes',
    environment: 'TIDEMARK_TIER_LANES',
    help: 'The parts that the rows of the tier are divided into. The same for all servers that share it.',
  },
  {
    path: 'tier.prefix',
    type: { kind: 'prefix' },
    default: 'tm',
    flag: 'tier-prefix',
    environment: 'TIDEMARK_TIER_PREFIX',
    help: 'How the names of the keys begin that rows are kept under. Deployments that share a cluster take one each.',
  },
  {
    path: 'tier.ca',
    type: { kind: 'path' },
    defaultText: 'those that Node knows (NODE_EXTRA_CA_CERTS adds to them)',
    flag: 'tier-ca',
    environment: 'TIDEMARK_TIER_CA',
    help:
      'The certificates, in PEM, that the servers of the tier are to be known by. Relative to the current folder; in a file, ' +
      "to the file's.",
  },
  {
    path: 'tierMemory',
    type: { kind: 'size', min: limits.memoryBytesMin, max: limits.memoryBytesMax },
    defaultText: 'none: this server is the tier of no other',
    flag: 'tier-memory',
    environment: 'TIDEMARK_TIER_MEMORY',
    help: 'The memory for rows of other servers, which name this one as their tier (`--tier tidemark://host:port`).',
  },
  {
    path: 'databases.*.file',
    of: 'sqlite',
    type: { kind: 'path' },
    required: true,
    help: "The SQLite database. Relative to the data folder; without one, to the configuration file's folder.",
  },
  {
    path: 'databases.*.create',
    of: 'sqlite',
    type: { kind: 'function' },
    defaultText: 'none: the file has to be there',
    help:
      'Called with { file, progress, signal } when the database does not exist yet, to make it in `file`, which gets its ' +
      'own name only once all is done.',
  },
  {
    path: 'databases.*.poll',
    inherits: true,
    of: 'sqlite',
    type: { kind: 'duration', min: 1, max: 60_000 },
    defaultText: '`poll`',
    help: 'As `poll`, for this database.',
  },
  {
    path: 'databases.*.busyTimeout',
    inherits: true,
    of: 'sqlite',
    type: { kind: 'duration', min: 0, max: 600_000 },
    defaultText: '`busyTimeout`',
    help: 'As `busyTimeout`, for this database.',
  },
  {
    path: 'databases.*.url',
    of: 'postgres',
    type: { kind: 'source' },
    defaultText:
      '`host`, `port`, `user`, `password` and `database`, and for what of them is not set the variables PGHOST and so on',
    help: 'The Postgres database: `postgres://user:password@host:port/database`. Its primary: rows are written there.',
  },
  {
    path: 'databases.*.host',
    of: 'postgres',
    type: { kind: 'text' },
    defaultText: 'PGHOST, or localhost',
    help: 'The machine of the Postgres database, or the folder of its socket, where there is no `url`.',
  },
  {
    path: 'databases.*.port',
    of: 'postgres',
    type: { kind: 'integer', min: 1, max: 65_535 },
    defaultText: 'PGPORT, or 5432',
    help: 'Its port, where there is no `url`.',
  },
  {
    path: 'databases.*.user',
    of: 'postgres',
    type: { kind: 'text' },
    defaultText: 'PGUSER, or the name of who runs the server',
    help: 'The role to connect as, where there is no `url`.',
  },
  {
    path: 'databases.*.password',
    of: 'postgres',
    type: { kind: 'text', secret: true },
    defaultText: 'PGPASSWORD, or what ~/.pgpass says',
    help: 'Its password, where there is no `url`.',
  },
  {
    path: 'databases.*.database',
    of: 'postgres',
    type: { kind: 'text' },
    defaultText: 'PGDATABASE, or the name of the user',
    help: 'The name of the database on its server, where there is no `url`.',
  },
  {
    path: 'databases.*.ca',
    of: 'postgres',
    type: { kind: 'path' },
    defaultText: "none: TLS only as the url's `sslmode` says",
    help:
      'The certificates, in PEM, that the database server is to be known by: it is connected to with TLS. Relative to the ' +
      "configuration file's folder.",
  },
  {
    path: 'databases.*.slot',
    of: 'postgres',
    type: { kind: 'name' },
    default: 'tidemark',
    help:
      'The replication slot that changes are read from. It is made when it is not there. Servers that share a tier share ' +
      'the slot; others need one of their own.',
  },
  {
    path: 'databases.*.publication',
    of: 'postgres',
    type: { kind: 'name' },
    default: 'tidemark',
    help: "The publication of the keyspaces' tables. It is made, and tables are added to it, as far as the role may.",
  },
  {
    path: 'databases.*.outbox',
    of: 'postgres',
    type: { kind: 'name' },
    defaultText: 'none: changes are read from the log, by way of `publication` and `slot`',
    help:
      'For a database that grants no replication: the schema of a table that triggers write changes to, and that changes are ' +
      'read from. It is made where the role may.',
  },
  {
    path: 'databases.*.connections',
    of: 'postgres',
    type: { kind: 'integer', min: 1, max: 1000 },
    default: limits.postgresConnectionsMax,
    help: 'Connections for loads and writes. A few more carry positions and the log.',
  },
  {
    path: 'keyspaces.*.database',
    type: { kind: 'text' },
    required: true,
    help: 'The name, under `databases`, of the database that the rows are in.',
  },
  {
    path: 'keyspaces.*.table',
    type: { kind: 'text' },
    defaultText: "the keyspace's name",
    help: "The table whose rows are the values. The key is `<keyspace>:<id>`, the id being the table's primary key.",
  },
  {
    path: 'keyspaces.*.view',
    type: { kind: 'view' },
    defaultText: 'none: the rows are those of the table',
    help:
      'Rows that a SELECT computes, of Postgres and to be read only: `{ sql, keyColumns, dependsOn: [{ table, keyColumns }] }`. ' +
      "`keyColumns` are the columns of the SELECT that name a row; a change of a row of a table of `dependsOn` is one of the view's " +
      'row that its `keyColumns` name, in the same order.',
  },
  {
    path: 'keyspaces.*.columns',
    type: { kind: 'texts' },
    defaultText: 'all columns of the table',
    help: 'The columns to be seen. Key columns always are.',
  },
  {
    path: 'keyspaces.*.maxStaleness',
    inherits: true,
    type: { kind: 'duration', min: 0, max: dayMs },
    defaultText: '`maxStaleness`',
    help: 'As `maxStaleness`, for this keyspace.',
  },
  {
    path: 'keyspaces.*.whenStale',
    inherits: true,
    type: { kind: 'choice', choices: ['source', 'serve', 'fail'] },
    defaultText: '`whenStale`',
    help: 'As `whenStale`, for this keyspace.',
  },
  {
    path: 'keyspaces.*.session',
    type: { kind: 'choice', choices: ['none', 'connection'] },
    default: 'none',
    help:
      'With `connection`, each connection is a session: it sees what it wrote, and nothing older than what it has seen, ' +
      'whoever wrote it. After a write, or an answer from the database, the connection is answered from there until the ' +
      'lanes have caught up (some 50 ms), so reads cost more; they count as misses, wherever they are answered from.',
  },
]

/** What is allowed, as the end of a sentence: "allowed is ...". */
export function allowedText(type: SettingType): string {
  switch (type.kind) {
    case 'integer':
      return `a whole number from ${type.min} to ${type.max}`
    case 'size':
      return `a size from ${formatSize(type.min)} to ${formatSize(type.max)}, such as 64kb, 256mb or 1gb`
    case 'duration':
      return `a duration from ${formatDuration(type.min)} to ${formatDuration(type.max)}, such as 500ms, 10s or 5m`
    case 'choice':
      return `${type.choices.slice(0, -1).join(', ')} or ${type.choices.at(-1)}`
    case 'text':
      return 'a text that is not empty'
    case 'path':
      return 'the path of a file or folder'
    case 'texts':
      return 'a list of one or more different names'
    case 'function':
      return 'a function'
    case 'name':
      return 'up to 63 letters of a to z, digits and _, of which the first is no digit'
    case 'prefix':
      return '1 to 64 letters and digits'
    case 'view':
      return '{ sql, keyColumns, dependsOn: [{ table, keyColumns }, ...] }, all of them there and none empty'
    case 'source':
      return 'postgres://user:password@host:port/database, or sqlite: and a file'
    case 'tier':
      return `one or more different ones of ${tierSchemes.map(scheme => `${scheme}://host:port`).join(', ')}`
    case 'tables':
      return 'one or more different keyspaces, each as name=table, name=schema.table or name'
  }
}

/** The value of `raw`, as written in a file, a flag or a variable; undefined when it is not allowed. */
export function readValue(type: SettingType, raw: unknown): SettingValue | undefined {
  switch (type.kind) {
    case 'integer':
      return within(type, typeof raw === 'string' && /^\d{1,15}$/.test(raw) ? Number(raw) : raw)
    case 'size':
      return within(type, typeof raw === 'string' ? parseSize(raw) : raw)
    case 'duration':
      return within(type, typeof raw === 'string' ? parseDuration(raw) : raw === 0 ? 0 : undefined)
    case 'choice':
      return type.choices.find(choice => choice === raw)
    case 'text':
    case 'path':
      return typeof raw === 'string' && raw !== '' && !raw.includes('\0') ? raw : undefined
    case 'texts':
      return isNames(raw) ? raw : undefined
    case 'name':
      return typeof raw === 'string' && /^[a-z_][a-z0-9_]{0,62}$/.test(raw) ? raw : undefined
    case 'prefix':
      return typeof raw === 'string' && /^[A-Za-z0-9]{1,64}$/.test(raw) ? raw : undefined
    case 'view':
      return readView(raw)
    case 'source':
      return typeof raw === 'string' && parseSource(raw) !== undefined ? raw : undefined
    case 'tier':
      return listOf(raw, each => parseTier(each) !== undefined)
    case 'tables':
      return listOf(raw, each => parseTable(each) !== undefined)
    case 'function':
      return typeof raw === 'function' ? (raw as (...parameters: never[]) => unknown) : undefined
  }
}

function within(range: { readonly min: number; readonly max: number }, value: unknown): number | undefined {
  const fits = typeof value === 'number' && Number.isSafeInteger(value) && value >= range.min && value <= range.max
  return fits ? value : undefined
}

function readView(raw: unknown): PostgresView | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined
  const { sql, keyColumns, dependsOn, ...others } = raw as Readonly<Record<string, unknown>>
  if (Object.keys(others).length > 0 || typeof sql !== 'string' || sql === '' || !isNames(keyColumns)) return undefined
  if (!Array.isArray(dependsOn) || dependsOn.length === 0) return undefined
  const tables: PostgresDependency[] = []
  for (const each of dependsOn as readonly unknown[]) {
    if (typeof each !== 'object' || each === null) return undefined
    const { table, keyColumns: columns, ...more } = each as Readonly<Record<string, unknown>>
    if (Object.keys(more).length > 0 || typeof table !== 'string' || table === '' || !isNames(columns)) return undefined
    if (columns.length !== keyColumns.length) return undefined
    tables.push({ table, keyColumns: columns })
  }
  return { sql, keyColumns, dependsOn: tables }
}

/** A list, or one text with commas. */
function listOf(raw: unknown, allowed: (each: string) => boolean): readonly string[] | undefined {
  const list = typeof raw === 'string' ? raw.split(',').map(each => each.trim()) : raw
  return isNames(list) && list.every(allowed) ? list : undefined
}

function isNames(raw: unknown): raw is readonly string[] {
  if (!Array.isArray(raw) || raw.length === 0 || new Set(raw).size !== raw.length) return false
  return raw.every(name => typeof name === 'string' && name !== '')
}
