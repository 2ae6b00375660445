// Connections to Postgres, kept open and used one call at a time. Statements of one call are sent without waiting for each
// other's answers; values come as the text that the server writes, unparsed, so that no digit is lost.
// Connect directly, or through a pooler that gives each connection a session of its own: statements are prepared.
// Not for: the replication protocol (postgres-replication.ts), what is asked.
import type { Writable } from 'node:stream'
import pg from 'pg'
import { TidemarkError } from '../base/errors.ts'
import { refusal, sqlState, unreachable } from './postgres-errors.ts'
import type { PostgresConnection } from './postgres-options.ts'

/** A value as text, or NULL. */
export type Cell = string | null

/** What is bound to $1, $2, ...: bytes as they are, everything else as text. */
export type Parameter = string | null | Buffer | readonly (string | null)[]

export interface Statement {
  readonly text: string
  readonly values?: readonly Parameter[]
  /** Prepared once per connection under this name, which no other text may have. */
  readonly name?: string | undefined
}

/**
 * How every connection spells values: the same on all servers, whatever their settings. Everything asked is rows by their
 * keys, for which one plan is as good as another, and making one takes longer than running it.
 */
export const sessionOptions: string =
  '-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex' +
  ' -c client_min_messages=warning -c standard_conforming_strings=on -c plan_cache_mode=force_generic_plan'

/**
 * SQL for the server's identity: the system's identifier, the timeline, and when the statistics were last reset, in
 * microseconds (why: postgres-catalogue.ts). Fails on a standby.
 */
export const serverSql: string = `(SELECT system_identifier FROM pg_control_system())::text
  || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
  || '/' || (extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()) * 1000000)::int8::text`

/**
 * SQL for the process that serves a connection. It lives within one uninterrupted run of its server, and costs next to
 * nothing to ask, so it stands for the server's identity once that was read on the same connection.
 */
export const backendSql = `pg_backend_pid() || '/' || pg_postmaster_start_time()`

// A write is acknowledged once it is durable, whatever the role's default says.
const greetingSql = `
  SELECT ${serverSql}, ${backendSql},
         CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END`

interface Greeting {
  readonly server: string
  readonly backend: string
}

const raw = {
  getTypeParser:
    () =>
    (text: unknown): unknown =>
      text,
}

export interface PoolOptions {
  readonly name: string
  readonly connection: PostgresConnection
  readonly connectionsMax: number
  readonly timeoutMs: number
  /** Told when the database ends a connection that nobody uses. */
  readonly onEnded?: (error: Error) => void
}

/** pg's own options for a connection. */
export function clientConfig(connection: PostgresConnection): pg.ClientConfig {
  const { url, host, port, user, password, database, caPem } = connection
  return {
    ...(url === undefined ? {} : { connectionString: url }),
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(database === undefined ? {} : { database }),
    ...(caPem === undefined ? {} : { ssl: { ca: caPem } }),
    application_name: 'tidemark',
    keepAlive: true,
    types: raw,
  }
}

/** One connection, held for one call. */
export class Session {
  /** The identity of the server behind it, as serverSql gives it. */
  readonly server: string
  readonly #backend: string
  readonly #client: pg.PoolClient

  constructor(client: pg.PoolClient, greeting: Greeting) {
    this.#client = client
    this.server = greeting.server
    this.#backend = greeting.backend
  }

  /** As `query`, for a statement whose first column is backendSql: what it says is of `server`, or it rejects. */
  async queryHere(statement: Statement): Promise<Cell[][]> {
    const rows = await this.query(statement)
    if (rows[0]?.[0] === this.#backend) return rows
    throw new TidemarkError('SOURCE_UNAVAILABLE', 'a pooler hands the connection around between servers: connect directly, or pool by session') // prettier-ignore
  }

  /** Sends at once; the rows come as arrays in the order of the statement's columns. Rejects with pg's own error. */
  async query(statement: Statement): Promise<Cell[][]> {
    const { text, values, name } = statement
    const result = await this.#client.query<Cell[]>({
      text,
      values: (values ?? []) as unknown[],
      ...(name === undefined ? {} : { name }),
      rowMode: 'array',
    })
    return result.rows
  }

  /** What `send` asks for leaves in one packet, and the server reads it at once: one system call and one wake-up less at each end. */
  inOnePacket<Result>(send: () => Result): Result {
    // pg sends on this stream, and has its types not say so.
    const { stream } = (this.#client as unknown as { readonly connection: { readonly stream: Writable } }).connection
    stream.cork()
    try {
      return send()
    } finally {
      stream.uncork()
    }
  }

  /** The types of the columns that `text` would give, by their numbers in pg_type. */
  async columnsOf(text: string): Promise<{ name: string; type: number; modifier: number }[]> {
    const { fields } = await this.#client.query({
      text: `SELECT * FROM (${text}\n) AS shown LIMIT 0`,
      rowMode: 'array',
    })
    return fields.map(field => ({ name: field.name, type: field.dataTypeID, modifier: field.dataTypeModifier }))
  }
}

export class PostgresPool {
  readonly #name: string
  readonly #pool: pg.Pool
  readonly #greetings = new WeakMap<pg.PoolClient, Greeting>()
  #closed = false

  constructor(options: PoolOptions) {
    const { timeoutMs } = options
    this.#name = options.name
    this.#pool = new pg.Pool({
      ...clientConfig(options.connection),
      max: options.connectionsMax,
      pipeline: true,
      options: sessionOptions,
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
      // The server gives up first, so that the connection stays usable and nothing was changed.
      statement_timeout: Math.max(1, Math.floor(timeoutMs * 0.9)),
      idleTimeoutMillis: 60_000,
    })
    // A connection that breaks while nobody uses it is replaced by the next call.
    this.#pool.on('error', error => options.onEnded?.(error))
    // And one that breaks in use rejects its queries.
    this.#pool.on('connect', client => client.on('error', () => {}))
  }

  /** Lends a connection for one call. Errors are TidemarkErrors; a connection that broke is thrown away. */
  async use<Result>(doing: 'load' | 'write', run: (session: Session) => Promise<Result>): Promise<Result> {
    try {
      return await this.raw(run)
    } catch (thrown) {
      throw refusal(thrown, this.#name, doing)
    }
  }

  /** As `use`, but rejects with Postgres' own errors once connected. */
  async raw<Result>(run: (session: Session) => Promise<Result>): Promise<Result> {
    const client = await this.#connect()
    let broken = false
    try {
      return await run(new Session(client, this.#greetings.get(client) ?? (await this.#greet(client))))
    } catch (thrown) {
      broken = !(thrown instanceof TidemarkError) && sqlState(thrown) === ''
      throw thrown
    } finally {
      client.release(broken)
    }
  }

  async #greet(client: pg.PoolClient): Promise<Greeting> {
    const { rows } = await client.query<[string, string, string]>({ text: greetingSql, rowMode: 'array' })
    const [server, backend] = rows[0]!
    const greeting = { server, backend }
    this.#greetings.set(client, greeting)
    return greeting
  }

  async query(statement: Statement): Promise<Cell[][]> {
    return this.use('load', session => session.query(statement))
  }

  async #connect(): Promise<pg.PoolClient> {
    if (this.#closed) throw new TidemarkError('SHUTTING_DOWN', `source ${this.#name} is closed`)
    try {
      return await this.#pool.connect()
    } catch (thrown) {
      throw unreachable(thrown, this.#name)
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#pool.end()
  }
}
