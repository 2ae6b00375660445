// The simulated Postgres' log as a ChangeFeed: one replication connection that holds the slot, and one beside it for
// snapshots and heartbeats, both to the same server.
import { TidemarkError } from '../../src/base/errors.ts'
import type { Random } from '../../src/base/random.ts'
import type { ChangeFeed, FeedItem, FeedSnapshot, FeedStart } from '../../src/source/change-feed.ts'
import { Connection, ConnectionLost, type Network } from './network.ts'
import type { SimProcess } from './machine.ts'
import type { Commit, Postgres, SlotHolder } from './postgres.ts'
import { epochOfServer, type Directory } from './sim-source.ts'

export interface SimFeedOptions {
  readonly process: SimProcess
  readonly network: Network
  readonly directory: Directory
  readonly slot: string
  readonly timeoutMs: number
  readonly random: Random
  /** Told of every position that is confirmed how long ago it was committed. */
  readonly confirmed?: (ageMs: number) => void
}

/** Holds of the log that were ended by `evict`, for the counts. */
export class SimFeed implements ChangeFeed {
  readonly #options: SimFeedOptions
  readonly #postgres: Postgres
  readonly #stream: Connection
  readonly #queries: Connection
  readonly #items: FeedItem[] = []
  #waiting:
    { readonly resolve: (items: readonly FeedItem[]) => void; readonly reject: (error: Error) => void } | undefined
  #lost: string | undefined

  constructor(options: SimFeedOptions) {
    this.#options = options
    const { network, process, directory } = options
    this.#postgres = directory.primary()
    this.#stream = new Connection(network, process, this.#postgres.process)
    this.#queries = new Connection(network, process, this.#postgres.process)
    this.#stream.onClose(() => this.#lose('the replication connection is gone'))
    this.#queries.onClose(() => this.#lose('the connection for queries is gone'))
  }

  open(from: bigint | undefined): Promise<FeedStart> {
    const postgres = this.#postgres
    const epoch = epochOfServer(postgres, this.#options.directory)
    return this.#call<FeedStart>(this.#stream, (answer, refuse) => {
      const { slot: name } = this.#options
      const slot = postgres.slots.get(name) ?? postgres.createSlot(name)
      if (slot.holder !== undefined) {
        refuse(new TidemarkError('FEED_TAKEN', 'the slot is active'))
        return
      }
      const holder: SlotHolder = {
        connection: this.#stream,
        deliver: commits => this.#stream.push(() => this.#receive(commits)),
        sent: from !== undefined && from > slot.confirmed ? from : slot.confirmed,
      }
      slot.holder = holder
      this.#stream.onCloseAtServer(() => {
        if (slot.holder === holder) slot.holder = undefined
      })
      answer({ epoch, confirmed: slot.confirmed, flushed: postgres.flushed })
      postgres.send()
    })
  }

  next(): Promise<readonly FeedItem[]> {
    if (this.#lost !== undefined) return Promise.reject(this.#error())
    if (this.#items.length > 0) return Promise.resolve(this.#take())
    const { promise, resolve, reject } = Promise.withResolvers<readonly FeedItem[]>()
    this.#waiting = { resolve, reject }
    return promise
  }

  snapshot(): Promise<FeedSnapshot> {
    return this.#call<FeedSnapshot>(this.#queries, answer => answer(this.#postgres.snapshot()))
  }

  heartbeat(): Promise<void> {
    const postgres = this.#postgres
    return this.#call<void>(this.#queries, answer => {
      const tx = postgres.begin()
      postgres.wal += 8n
      postgres.commit(tx, false, true, () => answer(undefined))
    })
  }

  confirm(position: bigint): void {
    const { random, confirmed, network, slot: name } = this.#options
    const slot = this.#postgres.slots.get(name)
    const committedAtMs = this.#postgres.committedAtMs(position)
    if (committedAtMs !== undefined) confirmed?.(network.time.nowMs - committedAtMs)
    this.#stream.tell(() => {
      if (slot === undefined || this.#postgres.slots.get(name) !== slot) return
      // The slot reaches the disk only now and then.
      if (random.below(4) === 0) slot.confirmedOnDisk = slot.confirmed
      if (position > slot.confirmed) slot.confirmed = position
    })
  }

  evict(): Promise<void> {
    return this.#call<void>(this.#queries, answer => {
      this.#postgres.slots.get(this.#options.slot)?.holder?.connection.endAtServer()
      answer(undefined)
    })
  }

  close(): Promise<void> {
    this.#stream.close()
    this.#queries.close()
    this.#lose('closed')
    return Promise.resolve()
  }

  #receive(commits: readonly Commit[]): void {
    for (const commit of commits) this.#items.push(itemOf(commit))
    const waiting = this.#waiting
    if (waiting === undefined) return
    this.#waiting = undefined
    waiting.resolve(this.#take())
  }

  /** All of it, or a part: how much comes at once is nobody's to rely on. */
  #take(): FeedItem[] {
    const { random } = this.#options
    return this.#items.splice(0, random.below(2) === 0 ? this.#items.length : 1 + random.below(this.#items.length))
  }

  #lose(why: string): void {
    if (this.#lost !== undefined) return
    this.#lost = why
    this.#stream.close()
    this.#queries.close()
    this.#waiting?.reject(this.#error())
    this.#waiting = undefined
  }

  #error(): TidemarkError {
    return new TidemarkError('FEED_LOST', `the simulated log: ${this.#lost}`)
  }

  async #call<T>(
    connection: Connection,
    serve: (answer: (value: T) => void, refuse: (error: Error) => void) => void,
  ): Promise<T> {
    if (this.#lost !== undefined) throw this.#error()
    try {
      return await connection.call<T>(this.#options.timeoutMs, serve)
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error
      this.#lose(error.message)
      throw this.#error()
    }
  }
}

function itemOf(commit: Commit): FeedItem {
  const { lsn, xid, changes, unknown } = commit
  if (unknown) return { kind: 'reset', xid, lsn, reason: 'the log does not say what changed' }
  const last = new Map<string, bigint>()
  for (const { key, change } of changes) last.set(key, change)
  const events = changes
    .filter(({ key, change }) => last.get(key) === change)
    .map(({ key, change }) => ({ key, xid, lsn, change }))
  return { kind: 'transaction', xid, lsn, events }
}
