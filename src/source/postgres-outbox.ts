// The log of changes of a database whose write-ahead log cannot be read: an outbox that triggers fill (postgres-outbox-setup.ts),
// read in the order of transaction ids.
//
// Only transactions below a snapshot's xmin are told: all of these are over, so none can turn up later among those that were
// told. So a transaction that runs long, whatever it writes in this database server, holds back all after it; proofs grow
// older meanwhile, never false. NOTIFY says that there is something; without it the outbox is looked at regularly.
//
// There is one reader at a time: whoever holds an advisory lock, on the connection that listens.
// Not for: positions (postgres-positions.ts), visibility beyond the above, marks (cache/tide.ts).
import pg from 'pg'
import { sleep, type Clock } from '../base/clock.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Position } from '../coherence/mark.ts'
import type { ChangeEvent } from '../coherence/stamp.ts'
import type { ChangeFeed, FeedItem, FeedSnapshot, FeedStart } from './change-feed.ts'
import { PostgresCatalogue } from './postgres-catalogue.ts'
import { isShutdown, sqlState, SQLSTATE, unreachable } from './postgres-errors.ts'
import { formatKey } from './postgres-key.ts'
import type { KeyspaceMapping } from './postgres-mapping.ts'
import type { PostgresFeedOptions } from './postgres-options.ts'
import { ensureOutbox, outboxName } from './postgres-outbox-setup.ts'
import { clientConfig, PostgresPool, sessionOptions, type Cell, type Session } from './postgres-pool.ts'
import { OUTBOX_SHIFT } from './postgres-positions.ts'
import { parseSnapshot } from './postgres-source.ts'
import { quoteName } from './postgres-statements.ts'

/** A transaction of which not all is read yet. */
interface Unfinished {
  readonly xid: bigint
  /** Key to its last change's number within the transaction. */
  readonly changes: Map<string, number>
  rows: number
  reset: string | undefined
}

const LOCK = `hashtextextended($1, 0)`

export class PostgresOutbox implements ChangeFeed {
  readonly #options: PostgresFeedOptions
  readonly #name: string
  readonly #schema: string
  readonly #clock: Clock
  readonly #catalogue: PostgresCatalogue
  readonly #pool: PostgresPool
  #listener: pg.Client | undefined
  #epoch = 0n
  /** Everything up to this transaction was told. */
  #told = 0n
  #open: Unfinished | undefined
  /** Of the last row read, of the transaction that is open. */
  #number = '0'
  #alarmed = false
  #wake: (() => void) | undefined
  #lost: TidemarkError | undefined
  /** Once it is lost: the connection that held it is closed. */
  #ended: Promise<void> | undefined
  #confirmed = 0n
  #pruning = false

  constructor(options: PostgresFeedOptions) {
    const { name, connection, log } = options
    if (log.kind !== 'outbox') throw new TidemarkError('FEED_SETUP', `${name}: this feed reads an outbox`)
    this.#options = options
    this.#name = name
    this.#schema = log.schema
    this.#clock = options.clock
    this.#catalogue = new PostgresCatalogue(options)
    const timeoutMs = options.timeoutMs ?? limits.sourceTimeoutMs
    this.#pool = new PostgresPool({ name, connection, connectionsMax: 4, timeoutMs })
  }

  async open(from: Position | undefined): Promise<FeedStart> {
    if (this.#lost !== undefined) throw this.#lost
    await this.#listen()
    try {
      return await this.#pool.use('load', session => this.#begin(session, from))
    } catch (thrown) {
      this.#lose(thrown)
      throw thrown
    }
  }

  /** Takes the lock, on the connection that is told when there is something. */
  async #listen(): Promise<void> {
    const listener = new pg.Client({ ...clientConfig(this.#options.connection), options: sessionOptions })
    listener.on('error', error => this.#lose(error))
    listener.on('end', () => this.#lose(new Error('the connection was closed')))
    listener.on('notification', () => this.#ring())
    this.#listener = listener
    const name = outboxName(this.#schema)
    let locked: boolean
    try {
      await listener.connect()
      const { rows } = await listener.query<[string]>({ text: `SELECT pg_try_advisory_lock(${LOCK})`, values: [name], rowMode: 'array' }) // prettier-ignore
      locked = rows[0]![0] === 't'
      if (locked) await listener.query(`LISTEN ${quoteName(name)}`)
    } catch (thrown) {
      throw unreachable(thrown, this.#name)
    }
    if (!locked) throw new TidemarkError('FEED_TAKEN', `outbox ${this.#schema} is read by another process`)
  }

  async #begin(session: Session, from: Position | undefined): Promise<FeedStart> {
    await this.#catalogue.refresh(session)
    if (this.#catalogue.problem !== undefined) throw this.#catalogue.problem
    await ensureOutbox(session, this.#schema, this.#catalogue.mappings)
    await this.#catalogue.refresh(session)
    const columns = `(SELECT confirmed::text FROM ${quoteName(this.#schema)}.reader), pg_current_snapshot()::text`
    const [row] = await session.query(this.#catalogue.statement('begin', columns))
    const [server, layout, confirmed, snapshot] = row!
    if (confirmed === null)
      throw new TidemarkError('FEED_SETUP', `outbox ${this.#schema}: its table reader is empty; drop the schema`)
    if (!this.#catalogue.isCurrent(layout)) throw new TidemarkError('SOURCE_UNAVAILABLE', `${this.#name}: a table was altered meanwhile`) // prettier-ignore
    this.#epoch = this.#catalogue.meet(server!)
    this.#confirmed = BigInt(confirmed!)
    const wanted = from === undefined ? 0n : from >> OUTBOX_SHIFT
    this.#told = wanted > this.#confirmed ? wanted : this.#confirmed
    const { xmax } = parseSnapshot(snapshot!)
    return { epoch: this.#epoch, confirmed: this.#confirmed << OUTBOX_SHIFT, flushed: (xmax - 1n) << OUTBOX_SHIFT }
  }

  async next(): Promise<readonly FeedItem[]> {
    for (;;) {
      if (this.#lost !== undefined) throw this.#lost
      const items = await this.#read()
      if (items.length > 0) return items
      await this.#wait()
    }
  }

  /** What is there to tell now. */
  async #read(): Promise<FeedItem[]> {
    this.#alarmed = false
    const read = limits.feedReadAheadMax
    const from = this.#open === undefined ? [String(this.#told + 1n), '0'] : [String(this.#open.xid), this.#number]
    // Without a row the snapshot comes alone. All that is below its xmin is visible to it, or was rolled back.
    const text = `
      SELECT pg_snapshot_xmin(pg_current_snapshot())::text, c.xid::text, c.number::text, c.relation::text, c.keys::text
        FROM (SELECT 1) AS one LEFT JOIN LATERAL (
          SELECT * FROM ${quoteName(this.#schema)}.changes
           WHERE (xid, number) > ($1::xid8, $2::bigint) AND xid < pg_snapshot_xmin(pg_current_snapshot())
           ORDER BY xid, number LIMIT ${read}) AS c ON true`
    let rows: Cell[][]
    try {
      rows = await this.#pool.query({ text, values: from, name: 'changes' })
    } catch (thrown) {
      throw this.#lose(thrown)
    }
    const items: FeedItem[] = []
    for (const row of rows) if (row[1] !== null) this.#addRow(row, items)
    // With a full page the last transaction may go on.
    if (rows.length < read || rows[0]![1] === null) {
      this.#finish(items)
      const below = BigInt(rows[0]![0]!) - 1n
      if (below > this.#told) {
        this.#told = below
        items.push({ kind: 'transaction', xid: below, lsn: below << OUTBOX_SHIFT, events: [] })
      }
    }
    return items
  }

  #addRow(row: readonly Cell[], items: FeedItem[]): void {
    const [, xidText, number, relation, keys] = row
    const xid = BigInt(xidText!)
    if (this.#open?.xid !== xid) {
      this.#finish(items)
      this.#open = { xid, changes: new Map(), rows: 0, reset: undefined }
    }
    this.#number = number!
    const open = this.#open
    open.rows++
    if (open.reset !== undefined) return
    if (keys === null) open.reset = 'a table was truncated'
    else addKeys(open.changes, this.#catalogue.mappings, Number(relation), JSON.parse(keys!) as KeyRow[], open.rows)
    if (open.changes.size > limits.transactionKeysMax) open.reset = `a transaction changed more than ${limits.transactionKeysMax} keys` // prettier-ignore
    if (open.reset !== undefined) open.changes.clear()
  }

  #finish(items: FeedItem[]): void {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    const { xid, changes, reset } = open
    this.#told = xid
    const lsn = xid << OUTBOX_SHIFT
    if (reset !== undefined) {
      items.push({ kind: 'reset', xid, lsn, reason: reset })
      return
    }
    // A transaction that is never applied in parts says that all its changes lie before what was returned of it. That is so:
    // rows that could be changed again after being returned are not put (their table has other triggers).
    const whole = changes.size <= limits.tideApplyChangesMax
    const first = (xid - 1n) << OUTBOX_SHIFT
    const events = Array.from(changes, ([key, at]): ChangeEvent => ({ key, xid, lsn, change: whole ? 1n : first + BigInt(at) })) // prettier-ignore
    items.push({ kind: 'transaction', xid, lsn, events })
  }

  async #wait(): Promise<void> {
    if (this.#alarmed || this.#lost !== undefined) return
    const alarm = new Promise<void>(resolve => {
      this.#wake = resolve
    })
    await Promise.race([alarm, sleep(this.#clock, limits.outboxPollMs)])
  }

  #ring(): void {
    this.#alarmed = true
    this.#wake?.()
  }

  async snapshot(): Promise<FeedSnapshot> {
    if (this.#lost !== undefined) throw this.#lost
    try {
      const [row] = await this.#pool.query(this.#catalogue.statement('snapshot', 'pg_current_snapshot()::text'))
      const [server, layout, snapshot] = row!
      if (!this.#catalogue.isCurrent(layout) || this.#catalogue.meet(server!) !== this.#epoch) {
        throw this.#lose(
          new Error('the database was started again after a crash, failed over, or its tables were altered'),
        )
      }
      return parseSnapshot(snapshot!)
    } catch (thrown) {
      if (isShutdown(thrown instanceof TidemarkError ? thrown.cause : thrown)) this.#lose(thrown)
      throw this.#lost ?? thrown
    }
  }

  async heartbeat(): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost
    // It writes to the log, so that it waits for a standby where commits do.
    await this.#pool.query({ text: `SELECT pg_logical_emit_message(true, 'tidemark', '')`, name: 'heartbeat' })
    this.#ring()
  }

  confirm(position: Position): void {
    const xid = position >> OUTBOX_SHIFT
    if (xid <= this.#confirmed || this.#lost !== undefined) return
    this.#confirmed = xid
    if (!this.#pruning) void this.#prune()
  }

  /** Forgets what is confirmed. What it fails to forget, the next one does. */
  async #prune(): Promise<void> {
    this.#pruning = true
    const schema = quoteName(this.#schema)
    const text = `WITH told AS (UPDATE ${schema}.reader SET confirmed = greatest(confirmed, $1::xid8))
      DELETE FROM ${schema}.changes WHERE xid <= $1::xid8`
    try {
      await this.#pool.query({ text, values: [String(this.#confirmed)], name: 'prune' })
      await sleep(this.#clock, limits.feedStatusMs)
    } catch (thrown) {
      if (!(thrown instanceof TidemarkError)) throw thrown
    } finally {
      this.#pruning = false
    }
  }

  async evict(): Promise<void> {
    const text = `SELECT pg_terminate_backend(l.pid) FROM pg_locks l, (SELECT ${LOCK} AS id) AS ours
      WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid::bigint << 32 | l.objid::bigint = ours.id`
    try {
      await this.#pool.raw(session => session.query({ text, values: [outboxName(this.#schema)] }))
    } catch (thrown) {
      if (sqlState(thrown) !== SQLSTATE.insufficientPrivilege) throw unreachable(thrown, this.#name)
      const text = `outbox ${this.#schema}: its reader is stuck and may not be ended: run every Tidemark as the same role, or GRANT pg_signal_backend`
      throw new TidemarkError('FEED_SETUP', text, { cause: thrown })
    }
  }

  async close(): Promise<void> {
    this.#lose(new Error('it was closed'))
    // Another may have it only when the server has let go of it.
    await this.#ended
    await this.#pool.close()
  }

  #lose(cause: unknown): TidemarkError {
    if (this.#lost !== undefined) return this.#lost
    this.#lost = new TidemarkError('FEED_LOST', `outbox ${this.#schema}: ${messageOf(cause)}`, { cause })
    this.#ended = this.#listener?.end().catch(() => {})
    this.#ring()
    return this.#lost
  }
}

/** Key columns of one row, as text. */
type KeyRow = Readonly<Record<string, string | null>>

function addKeys(
  changes: Map<string, number>,
  mappings: readonly KeyspaceMapping[],
  relation: number,
  rows: readonly KeyRow[],
  number: number,
): void {
  for (const mapping of mappings) {
    for (const dependency of mapping.dependencies) {
      if (dependency.relation !== relation) continue
      for (const row of rows) {
        // As text a boolean is 'true' or 'false'; everything else is as the log tells it.
        const cells = mapping.key.map(({ keyType }, part) => {
          const cell = row[dependency.keyColumns[part]!] ?? null
          return keyType === 'bool' && cell !== null ? cell.charAt(0) : cell
        })
        const id = formatKey(mapping.key, cells)
        if (id !== undefined) changes.set(`${mapping.keyspace}:${id}`, number)
      }
    }
  }
}
