// Postgres' log of changes, read by logical replication: `pg`'s replication connection, the plugin pgoutput, one slot.
//
//   open     publication and slot made or mended; slot taken; then, and only then, what is confirmed is read: Postgres
//            forwards a start position below it without a word
//   next     transactions in the order of their commits, with the end of the commit as position. While nobody asks, the socket
//            is paused and the database waits
//   snapshot also looks whether it is still the same database with the same tables; if not, the hold is lost
//
// A message of our own in the log (pg_logical_emit_message) is the heartbeat: pgoutput tells no empty transactions.
// Not for: visibility, marks, what is confirmed and when (cache/tide.ts).
import type { Clock } from '../base/clock.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Position } from '../coherence/mark.ts'
import type { ChangeFeed, FeedItem, FeedSnapshot, FeedStart } from './change-feed.ts'
import { PostgresCatalogue } from './postgres-catalogue.ts'
import { isShutdown, SQLSTATE, sqlState, unreachable } from './postgres-errors.ts'
import type { PostgresFeedOptions } from './postgres-options.ts'
import { PostgresPool, type Session } from './postgres-pool.ts'
import { lsnSql } from './postgres-positions.ts'
import { ensurePublication } from './postgres-publication.ts'
import { ReplicationConnection } from './postgres-replication.ts'
import { createCommand, dropSlot, endReader, readSlot, setupError, startCommand, taken } from './postgres-slot.ts'
import { parseSnapshot } from './postgres-source.ts'
import { PostgresTransactions } from './postgres-transactions.ts'

type Waiter = {
  readonly resolve: (items: readonly FeedItem[]) => void
  readonly reject: (error: TidemarkError) => void
}

// Durable as a commit has to be before it is visible, whatever the role's default says.
const heartbeatSql = `
  SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply'
           ELSE 'on' END, true), pg_logical_emit_message(true, 'tidemark', '')`

export class PostgresFeed implements ChangeFeed {
  readonly #options: PostgresFeedOptions
  readonly #name: string
  readonly #slot: string
  readonly #publication: string
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #catalogue: PostgresCatalogue
  /** For snapshots, and for setting up. */
  readonly #control: PostgresPool
  /** A heartbeat may wait for a standby; snapshots do not wait with it. */
  readonly #heartbeats: PostgresPool
  #stream: ReplicationConnection | undefined
  #transactions: PostgresTransactions | undefined
  #epoch = 0n
  #items: FeedItem[] = []
  #readAhead = 0
  #waiter: Waiter | undefined
  #lost: TidemarkError | undefined
  #shapesSeen = 0
  #slotUseless = false

  constructor(options: PostgresFeedOptions) {
    const { name, connection, log } = options
    if (log.kind !== 'publication') throw new TidemarkError('FEED_SETUP', `${name}: this feed reads a publication`)
    this.#options = options
    this.#name = name
    this.#slot = log.slot
    this.#publication = log.publication
    this.#clock = options.clock
    this.#timeoutMs = options.timeoutMs ?? limits.sourceTimeoutMs
    this.#catalogue = new PostgresCatalogue(options)
    const onEnded = (error: Error): void => this.#loseAtShutdown(error)
    const pool = { name, connection, timeoutMs: this.#timeoutMs, onEnded }
    this.#control = new PostgresPool({ ...pool, connectionsMax: 2 })
    this.#heartbeats = new PostgresPool({ ...pool, connectionsMax: 1 })
  }

  async open(from: Position | undefined): Promise<FeedStart> {
    if (this.#lost !== undefined) throw this.#lost
    await this.#control.use('load', session => this.#prepare(session))
    const stream = await this.#connect()
    try {
      const [identified] = await stream.command('IDENTIFY_SYSTEM')
      await this.#take(stream, from ?? 0n)
      return await this.#control.use('load', session => this.#begin(session, stream, identified!))
    } catch (thrown) {
      this.#lose(thrown)
      throw thrown
    }
  }

  /** Looks whether the slot is free, and makes sure that the publication and the tables are what they have to be. */
  async #prepare(session: Session): Promise<void> {
    const slot = await readSlot(session, this.#slot)
    if (slot?.activePid !== undefined) throw taken(this.#slot)
    const [recovery] = await session.query({ text: 'SELECT pg_is_in_recovery()' })
    if (recovery![0] === 't') {
      throw new TidemarkError('SOURCE_UNAVAILABLE', `${this.#name}: it is a standby; the log is read on the primary`)
    }
    const [standbys] = await session.query({ text: 'SHOW synchronous_standby_names' })
    if (standbys![0]!.includes('*')) {
      throw new TidemarkError('FEED_SETUP', `${this.#name}: synchronous_standby_names is ${standbys![0]}, and so commits would wait for this reader of the log; name the standbys there`) // prettier-ignore
    }
    await this.#catalogue.refresh(session)
    if (this.#catalogue.problem !== undefined) throw this.#catalogue.problem
    const publication = await ensurePublication(session, this.#publication, this.#catalogue.mappings)
    // A slot cannot be read with a publication that was made after where it stands.
    if (slot !== undefined && (slot.lost || publication === 'created')) await dropSlot(session, this.#slot)
    await this.#catalogue.refresh(session)
    const [row] = await session.query({ text: 'SELECT pg_snapshot_xmax(pg_current_snapshot())::text' })
    this.#transactions = new PostgresTransactions(this.#catalogue.mappings, BigInt(row![0]!), limits.transactionKeysMax)
  }

  async #connect(): Promise<ReplicationConnection> {
    const stream = new ReplicationConnection(this.#options.connection, this.#clock, this.#timeoutMs)
    this.#stream = stream
    try {
      await stream.connect()
      return stream
    } catch (thrown) {
      throw sqlState(thrown) === '' ? unreachable(thrown, this.#name) : setupError(this.#slot, thrown)
    }
  }

  async #take(stream: ReplicationConnection, from: Position): Promise<void> {
    try {
      const [row] = await stream.command(`SELECT count(*) FROM pg_replication_slots WHERE slot_name = '${this.#slot.replaceAll("'", "''")}'`) // prettier-ignore
      if (row![0] === '0') await stream.command(createCommand(this.#slot))
      const handler = {
        frame: (frame: { readonly message: Buffer; readonly start: bigint }) =>
          this.#receive(frame.message, frame.start),
        lost: (cause: unknown) => this.#lose(cause),
      }
      await stream.start(startCommand(this.#slot, this.#publication, from), handler)
      // Nothing is read before it is known which database this is.
      stream.pause()
    } catch (thrown) {
      if (sqlState(thrown) === SQLSTATE.duplicateObject) throw taken(this.#slot, thrown)
      throw setupError(this.#slot, thrown)
    }
  }

  async #begin(
    session: Session,
    stream: ReplicationConnection,
    identified: readonly (string | null)[],
  ): Promise<FeedStart> {
    const slot = await readSlot(session, this.#slot)
    const columns = lsnSql('pg_current_wal_flush_lsn()')
    const [row] = await session.query(this.#catalogue.statement('begin', columns))
    const [server, layout, flushed] = row!
    const [systemId, timeline] = server!.split('/')
    const sameServer = identified[0] === systemId && Number(identified[1]) === Number.parseInt(timeline!, 16)
    if (slot?.activePid !== stream.processId || !sameServer) {
      throw new TidemarkError(
        'SOURCE_UNAVAILABLE',
        `${this.#name}: its address leads to several servers, or it is failing over`,
      )
    }
    if (!this.#catalogue.isCurrent(layout)) {
      throw new TidemarkError('SOURCE_UNAVAILABLE', `${this.#name}: a table was altered meanwhile`)
    }
    this.#epoch = this.#catalogue.meet(server!)
    return { epoch: this.#epoch, confirmed: slot.confirmed, flushed: BigInt(flushed!) }
  }

  #receive(message: Buffer, position: bigint): void {
    const item = this.#transactions!.add(message, position)
    if (item === undefined) return
    this.#items.push(item)
    this.#readAhead += 1 + (item.kind === 'transaction' ? item.events.length : 0)
    if (this.#waiter !== undefined) this.#deliver()
    else if (this.#readAhead >= limits.feedReadAheadMax) this.#stream!.pause()
  }

  #deliver(): void {
    const waiter = this.#waiter!
    this.#waiter = undefined
    waiter.resolve(this.#takeItems())
  }

  #takeItems(): readonly FeedItem[] {
    const items = this.#items
    this.#items = []
    this.#readAhead = 0
    return items
  }

  next(): Promise<readonly FeedItem[]> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    this.#stream!.resume()
    if (this.#items.length > 0) return Promise.resolve(this.#takeItems())
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject }
    })
  }

  async snapshot(): Promise<FeedSnapshot> {
    if (this.#lost !== undefined) throw this.#lost
    return this.#guarded(async () => {
      const statement = this.#catalogue.statement('snapshot', 'pg_current_snapshot()::text')
      const [row] = await this.#control.query(statement)
      const [server, layout, snapshot] = row!
      if (this.#transactions!.shapesChanged !== this.#shapesSeen) await this.#lookAgain()
      const same = this.#catalogue.isCurrent(layout) && this.#catalogue.meet(server!) === this.#epoch
      if (!same)
        this.#lose(new Error('the database was started again after a crash, failed over, or its tables were altered'))
      if (this.#lost !== undefined) throw this.#lost
      return parseSnapshot(snapshot!)
    })
  }

  /** A table was told to look differently: is it still what the keyspaces are made for? */
  async #lookAgain(): Promise<void> {
    this.#shapesSeen = this.#transactions!.shapesChanged
    await this.#control.use('load', session => this.#catalogue.refresh(session))
    if (this.#catalogue.problem !== undefined) this.#lose(this.#catalogue.problem)
  }

  async heartbeat(): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost
    await this.#guarded(() => this.#heartbeats.query({ text: heartbeatSql, name: 'heartbeat' }))
  }

  /** A control connection that broke says nothing about the hold, unless that is gone as well. */
  async #guarded<Result>(run: () => Promise<Result>): Promise<Result> {
    try {
      return await run()
    } catch (thrown) {
      this.#loseAtShutdown(thrown instanceof TidemarkError ? thrown.cause : thrown)
      throw this.#lost ?? thrown
    }
  }

  /**
   * A server that is being stopped waits for the reader of its log to confirm all of it, which this one does much later. So it
   * lets go as soon as the server ends its other connections, which it does first.
   */
  #loseAtShutdown(cause: unknown): void {
    if (this.#stream !== undefined && isShutdown(cause)) this.#lose(cause)
  }

  confirm(position: Position): void {
    this.#stream?.confirm(position)
  }

  async evict(): Promise<void> {
    await this.#control.use('load', session => endReader(session, this.#slot))
  }

  async close(): Promise<void> {
    this.#lose(new Error('it was closed'))
    this.#stream?.close()
    try {
      // The next reader makes a new one.
      if (this.#slotUseless) await this.#control.use('load', session => dropSlot(session, this.#slot))
    } finally {
      await Promise.all([this.#control.close(), this.#heartbeats.close()])
    }
  }

  #lose(cause: unknown): void {
    if (this.#lost !== undefined) return
    this.#lost = new TidemarkError('FEED_LOST', `slot ${this.#slot}: ${messageOf(cause)}`, { cause })
    // The publication was dropped and made again: where the slot stands, there is none.
    this.#slotUseless = sqlState(cause) === SQLSTATE.undefinedObject && messageOf(cause).includes('publication')
    this.#items = []
    this.#stream?.close()
    this.#waiter?.reject(this.#lost)
    this.#waiter = undefined
  }
}
