// A source that lives in another thread, seen from a server thread. Requests are numbered and answered in any order; one
// that is not answered in time rejects, and its answer is then ignored.
import type { MessagePort } from 'node:worker_threads'
import type { Clock, Timer } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Position } from '../coherence/mark.ts'
import type { FeedHandler } from '../source/pushed-feed.ts'
import type {
  KeyspaceDescription,
  LoadResult,
  RowId,
  RowWrite,
  Source,
  SourcePosition,
  WriteResult,
} from '../source/source.ts'
import {
  ownBytes,
  unpackOutcomes,
  unpackRows,
  type FeedNews,
  type SourceNews,
  type SourceReply,
  type SourceRequest,
} from './source-messages.ts'
import type { SourceStatus } from './source-status.ts'

interface Waiting {
  readonly resolve: (reply: SourceReply) => void
  readonly reject: (error: unknown) => void
  readonly timer: Timer
}

/** Makes what follows a feed from its beginning, which may be a new one: of another epoch. */
export type FeedFollower = (epoch: bigint, position: Position) => FeedHandler

export class RemoteSource implements Source {
  readonly name: string
  #epoch: bigint
  readonly #described: (descriptions: readonly KeyspaceDescription[]) => void
  #port: MessagePort
  readonly #clock: Clock
  readonly #feed: FeedFollower | undefined
  #handler: FeedHandler | undefined
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  #closed = false

  /**
   * `described` is told how its keyspaces look whenever that may have changed. `feed` follows the feed of a thread that tells
   * it: all that was changed before an answer was given is told before the answer is.
   */
  constructor(
    { name, epoch }: { readonly name: string; readonly epoch: bigint },
    port: MessagePort,
    clock: Clock,
    described: (descriptions: readonly KeyspaceDescription[]) => void,
    feed?: FeedFollower,
  ) {
    this.name = name
    this.#epoch = epoch
    this.#port = port
    this.#clock = clock
    this.#described = described
    this.#feed = feed
    this.#listen(port)
  }

  /** Another thread has the source from now on. */
  reconnect(epoch: bigint, port: MessagePort): void {
    this.#fail()
    this.#port.close()
    this.#port = port
    this.#epoch = epoch
    this.#closed = false
    this.#listen(port)
  }

  #listen(port: MessagePort): void {
    port.on('message', (message: SourceReply | SourceNews | FeedNews) => {
      if (port !== this.#port) return
      if ('id' in message) return this.#receive(message)
      if (message.kind !== 'described') return this.#follow(message)
      this.#epoch = message.epoch
      this.#described(message.descriptions)
    })
    port.on('close', () => {
      if (port === this.#port) this.#fail()
    })
    port.unref()
  }

  get epoch(): bigint {
    return this.#epoch
  }

  async load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult> {
    const reply = await this.#ask({ id: ++this.#lastId, kind: 'load', keyspace, ids })
    if (reply.kind !== 'loaded') throw this.#unexpected(reply)
    return { rows: unpackRows(reply.rows), stamp: reply.stamp }
  }

  async write(writes: readonly RowWrite[]): Promise<WriteResult> {
    const reply = await this.#ask({ id: ++this.#lastId, kind: 'write', writes: ownBytes(writes) })
    if (reply.kind !== 'written') throw this.#unexpected(reply)
    return { outcomes: unpackOutcomes(reply.outcomes), stamp: reply.stamp }
  }

  async position(): Promise<SourcePosition> {
    const reply = await this.#ask({ id: ++this.#lastId, kind: 'position' })
    if (reply.kind !== 'position') throw this.#unexpected(reply)
    const { position, epoch } = reply
    return { position, epoch }
  }

  /** What the source's thread tells of itself. */
  async status(): Promise<SourceStatus> {
    const reply = await this.#ask({ id: ++this.#lastId, kind: 'status' })
    if (reply.kind !== 'status') throw this.#unexpected(reply)
    return reply.status
  }

  close(): Promise<void> {
    this.#port.close()
    return Promise.resolve()
  }

  #ask(request: SourceRequest): Promise<SourceReply> {
    if (this.#closed) return Promise.reject(this.#gone())
    const { promise, resolve, reject } = Promise.withResolvers<SourceReply>()
    const timer = this.#clock.timer(limits.sourceTimeoutMs, () => this.#giveUp(request), { unref: true })
    this.#waiting.set(request.id, { resolve, reject, timer })
    this.#port.postMessage(request)
    return promise
  }

  #follow(news: FeedNews): void {
    if (news.kind === 'begins') {
      this.#epoch = news.epoch
      this.#handler = this.#feed?.(news.epoch, news.position)
    } else if (news.kind === 'changes') this.#handler?.changes(news.position, news.changes)
    else if (news.kind === 'reset') this.#handler?.reset(news.position, news.reason)
    else this.#handler?.sample(news.takenAtMs, news.position)
  }

  #receive(reply: SourceReply): void {
    const waiting = this.#waiting.get(reply.id)
    if (waiting === undefined) return
    this.#waiting.delete(reply.id)
    waiting.timer.cancel()
    if (reply.kind === 'failed') return waiting.reject(TidemarkError.fromJSON(reply.error))
    this.#epoch =
      reply.kind === 'position' ? reply.epoch : reply.kind === 'status' ? reply.status.epoch : reply.stamp.epoch
    waiting.resolve(reply)
  }

  #giveUp(request: SourceRequest): void {
    const waiting = this.#waiting.get(request.id)
    this.#waiting.delete(request.id)
    const doubt = request.kind === 'write' ? '; whether the write took place is not known' : ''
    const message = `database '${this.name}' did not answer within ${limits.sourceTimeoutMs} ms${doubt}`
    waiting?.reject(new TidemarkError('SOURCE_TIMEOUT', message))
  }

  // The other side is gone: what was sent may or may not have been done.
  #fail(): void {
    this.#closed = true
    for (const waiting of this.#waiting.values()) {
      waiting.timer.cancel()
      waiting.reject(this.#gone())
    }
    this.#waiting.clear()
  }

  #gone(): TidemarkError {
    const doubt = 'whether a write that was under way took place is not known'
    return new TidemarkError('SOURCE_UNAVAILABLE', `the thread of database '${this.name}' has ended; ${doubt}`)
  }

  #unexpected(reply: SourceReply): TidemarkError {
    return new TidemarkError('SOURCE_FAILED', `database '${this.name}' gave an answer of another kind: ${reply.kind}`)
  }
}
