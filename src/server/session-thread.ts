// What all sessions of one thread share: the output they write into in turn, the parser of whole requests, the
// dispatcher, and the counts. Not for: the thread's life (thread.ts).
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import { afterThisTurn } from '../base/turn.ts'
import { ReplyWriter } from '../wire/reply-writer.ts'
import { RequestParser } from '../wire/request-parser.ts'
import type { Client } from './commands/server-call.ts'
import { Dispatcher, type DispatcherParts } from './dispatch.ts'
import { Lookahead } from './lookahead.ts'
import { RequestBatch } from './request-batch.ts'
import { ReplyQueue, type ReplySender } from './reply-queue.ts'

/** Parsers kept for the next cut requests. */
const SPARE_PARSERS_MAX = 64
/** Buffers of one size, a power of two, kept for the next cut requests; larger ones are made and left as needed. */
const SPARE_BUFFERS_MAX = 32
const SPARE_BUFFER_BYTES_MAX = 65_536

export interface SessionThreadParts extends Omit<DispatcherParts, 'out'> {
  /** The sessions by their clients' ids; the server's view of its clients is the same map. */
  readonly sessions: Map<number, Client>
  readonly nextClientId: () => number
  readonly sessionClosed: (client: Client) => void
}

export class SessionThread {
  /** A session that has run so many requests in one turn lets the others go first. */
  readonly commandsPerTurn = 4096
  /** So many bytes of replies are sent without waiting for the end of the batch. */
  readonly flushBytes = 262_144
  /** An output buffer that grew larger is given back. */
  readonly outputKeptBytes = 1_048_576
  /** So much is read, and kept, from a connection whose earlier request waits. */
  readonly keptBytesMax = 262_144
  readonly pendingBytesMin = 1024

  readonly clock: Clock
  readonly sessions: Map<number, Client>
  readonly out: ReplyWriter = new ReplyWriter()
  readonly dispatcher: Dispatcher
  readonly lookahead: Lookahead
  readonly nextClientId: () => number
  readonly sessionClosed: (client: Client) => void
  /** Whose replies the output holds now. */
  current: Client | undefined
  parser: RequestParser = new RequestParser()
  /** Of the session that runs now. */
  readonly batch: RequestBatch

  readonly replies: ReplyQueue = new ReplyQueue(this.out, this.outputKeptBytes)

  readonly #parts: SessionThreadParts
  readonly #input: Float64Array
  readonly #output: Float64Array
  readonly #spareParsers: RequestParser[] = []
  readonly #spareBuffers = new Map<number, Buffer[]>()

  constructor(parts: SessionThreadParts) {
    this.#parts = parts
    this.clock = parts.clock
    this.sessions = parts.sessions
    this.nextClientId = parts.nextClientId
    this.sessionClosed = parts.sessionClosed
    this.dispatcher = new Dispatcher({ ...parts, out: this.out })
    this.lookahead = new Lookahead(parts.server.table, parts.cache)
    this.batch = new RequestBatch(parts.store)
    this.#input = parts.server.metrics.counterView('tidemark_input_bytes_total')
    this.#output = parts.server.metrics.counterView('tidemark_output_bytes_total')
  }

  get passwordless(): boolean {
    return this.#parts.server.live.password === ''
  }

  /** Readies the output for a session's batch, and reads the clocks. Returns the monotonic time. */
  begin(client: Client & ReplySender): number {
    const nowMs = this.dispatcher.tick(client)
    this.replies.begin(client, nowMs)
    this.out.resp = client.resp
    this.current = client
    return nowMs
  }

  countInput(bytes: number): void {
    this.#input[0]! += bytes
  }

  countOutput(bytes: number): void {
    this.#output[0]! += bytes
  }

  /** Writes a message into the output, among the replies to its current client. */
  append(bytes: Buffer): void {
    const { out } = this
    out.reserve(bytes.length)
    bytes.copy(out.buffer, out.length)
    out.length += bytes.length
  }

  /** A client is closed because it did not read its messages. */
  slowListener(client: Client): void {
    const { server, log } = this.#parts
    server.metrics.add('tidemark_slow_subscribers_closed_total', 1)
    const limit = `${limits.messageBacklogBytesMax} bytes (messageBacklogBytesMax)`
    log(`client ${client.id} (${client.remoteAddress}) is closed: more than ${limit} of messages wait for it`)
  }

  protocolError(): void {
    this.#parts.server.metrics.add('tidemark_protocol_errors_total', 1)
  }

  defer(callback: () => void): void {
    afterThisTurn(callback)
  }

  /**
   * A buffer of at least so many bytes for what a session has to keep. Those of common sizes are used again: made anew for each
   * cut request, they would keep the garbage collector at work.
   */
  takeBuffer(bytes: number): Buffer {
    if (bytes > SPARE_BUFFER_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes)
    const size = Math.max(this.pendingBytesMin, 2 ** Math.ceil(Math.log2(bytes)))
    return this.#spareBuffers.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size)
  }

  takeBufferBack(buffer: Buffer): void {
    if (buffer.length === 0 || buffer.length > SPARE_BUFFER_BYTES_MAX) return
    const spare = this.#spareBuffers.get(buffer.length)
    if (spare === undefined) this.#spareBuffers.set(buffer.length, [buffer])
    else if (spare.length < SPARE_BUFFERS_MAX) spare.push(buffer)
  }

  /** The thread's parser, for the rest of the request that it has begun; the thread goes on with another. */
  lendParser(): RequestParser {
    const lent = this.parser
    this.parser = this.#spareParsers.pop() ?? new RequestParser()
    return lent
  }

  takeParserBack(parser: RequestParser): void {
    parser.reset()
    if (this.#spareParsers.length < SPARE_PARSERS_MAX) this.#spareParsers.push(parser)
  }
}
