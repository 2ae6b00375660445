// One client's connection: cuts requests from the bytes that arrive, runs them in order, and hands over the replies, a
// batch at a time. Not for: what requests mean (dispatch.ts), when replies are sent (reply-queue.ts), how bytes travel (transport.ts).
//
//   received --> [pending bytes] --> parse, run, parse, run ... --> the thread's ReplyWriter --> write
//
//   ready     runs what arrives at once, from the shared receive buffer where it lies
//   waiting   a command's promise is out: later requests are kept, and rows they will read are asked for ahead
//   blocked   the client reads its replies too slowly: nothing is read or run until they are gone
//   yielded   has run long enough for one turn of the event loop; the others go first
//
// A request that is cut stays in a buffer of the session's own, with a parser of its own that remembers how far it got.
// The thread's ReplyWriter is used by all sessions in turn: what a session has put there it hands over before it lets go.
// Hot path (received, #execute, #flush): nothing is allocated for a request that is whole and answered at once.
import { limits } from '../base/limits.ts'
import { SessionTickets } from '../cache/session-tickets.ts'
import type { TierPart } from '../tier/tidemark-protocol.ts'
import type { RequestParser } from '../wire/request-parser.ts'
import { NEED_MORE, PROTOCOL_ERROR } from '../wire/request-parser.ts'
import type { Client } from './commands/server-call.ts'
import type { Respond } from './commands/command.ts'
import type { Pending } from './dispatch.ts'
import type { ReplySender } from './reply-queue.ts'
import type { SessionThread } from './session-thread.ts'
import type { SpecialState } from './special-state.ts'
import type { Connection, ConnectionEvents } from './transport.ts'

type State = 'ready' | 'waiting' | 'blocked' | 'yielded' | 'closed'

const NO_BYTES = Buffer.alloc(0)

export class Session implements Client, ConnectionEvents, ReplySender {
  readonly id: number
  readonly remoteAddress: string
  readonly localAddress: string
  readonly connectedAtMs: number
  activeAtMs: number
  resp: 2 | 3 = 2
  name = ''
  libraryName = ''
  libraryVersion = ''
  authenticated: boolean
  replies: Client['replies'] = 'on'
  closing = false
  replyWaits = false
  lastCommand = 'NULL'
  modes = 0
  special: SpecialState | undefined
  tierPart: TierPart = 'rows'
  readonly tickets: SessionTickets = new SessionTickets()

  #afterReply: (() => void)[] | undefined
  readonly #thread: SessionThread
  readonly #connection: Connection
  #state: State = 'ready'
  // Bytes received and not executed: pending[from, to).
  #pending: Buffer = NO_BYTES
  #from = 0
  #to = 0
  /** The parser of a request that is cut; it remembers how far it got. */
  #cut: RequestParser | undefined
  #paused = false
  #ended = false
  /** Pending bytes, from `from` on, that were searched for keys to load ahead. */
  #lookedAhead = 0

  constructor(thread: SessionThread, connection: Connection) {
    this.#thread = thread
    this.#connection = connection
    this.id = thread.nextClientId()
    this.authenticated = thread.passwordless
    this.remoteAddress = connection.remoteAddress
    this.localAddress = connection.localAddress
    this.connectedAtMs = thread.clock.monotonicMs()
    this.activeAtMs = this.connectedAtMs
    thread.sessions.set(this.id, this)
  }

  /** A command is waiting for its answer. */
  get waits(): boolean {
    return this.#state === 'waiting'
  }

  get inputBytes(): number {
    return this.#to - this.#from
  }

  get outputBytes(): number {
    return this.#connection.unsentBytes
  }

  // ConnectionEvents

  received(buffer: Buffer, end: number): void {
    if (this.closing) return
    this.#thread.countInput(end)
    // Of the bytes behind a cut request only those that it needs are copied: the rest is run where it is.
    let at = 0
    while (at < end && this.#state === 'ready' && !this.closing && this.inputBytes > 0) {
      const missing = Math.max(1, (this.#cut?.bytesNeeded ?? 0) - this.inputBytes)
      const taken = Math.min(missing, end - at)
      this.#keep(buffer, at, at + taken)
      at += taken
      if (taken === missing) this.#work(this.#pending, at < end)
    }
    if (this.closing) return
    if (at < end && this.#state === 'ready') {
      this.#from = at
      this.#to = end
      this.#work(buffer)
    } else if (at < end) {
      this.#keep(buffer, at, end)
      if (this.#state === 'waiting') this.#lookAhead()
    }
    if (this.#state === 'closed') return
    // The kernel has more of this connection at once, then: let the other connections have their turn.
    const full = end === buffer.length && end >= limits.receiveBufferBytes
    if (full && this.#state === 'ready') this.#yield()
    this.#pauseIfMuchIsKept()
  }

  drained(): void {
    if (this.#state !== 'blocked' || this.closing) return
    this.#state = 'ready'
    this.#goOn()
  }

  ended(): void {
    this.#ended = true
    this.#closeIfDone()
  }

  closed(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#dropPending()
    this.#thread.sessions.delete(this.id)
    this.#thread.sessionClosed(this)
  }

  /** Finishes the command that runs, sends its reply, and closes. */
  shutdown(): void {
    this.closing = true
    if (this.#state !== 'waiting') this.#close()
  }

  kill(): void {
    if (this.replyWaits) this.#thread.replies.sendAll()
    this.#connection.destroy()
  }

  push(bytes: Buffer): void {
    if (this.#state === 'closed' || this.closing) return
    const thread = this.#thread
    if (thread.current === this) return thread.append(bytes)
    if (this.replyWaits) thread.replies.sendAll()
    thread.countOutput(bytes.length)
    this.#connection.write(bytes)
    if (this.#connection.unsentBytes <= limits.messageBacklogBytesMax) return
    thread.slowListener(this)
    this.kill()
  }

  whenAnswered(run: () => void): void {
    if (this.#state === 'waiting') (this.#afterReply ??= []).push(run)
    else run()
  }

  // Executing

  /**
   * Runs what is complete of buffer[from, to) and keeps the rest. `buffer` is #pending or the receive buffer. With `more` there are
   * bytes behind it, whose replies can go along.
   */
  #work(buffer: Buffer, more = false): void {
    const thread = this.#thread
    this.activeAtMs = thread.begin(this)
    const end = this.#to
    const at = this.#execute(buffer, this.#from, end)
    thread.replies.end(this, thread.flushBytes, more)
    thread.current = undefined
    if (buffer === this.#pending && thread.batch.active) thread.batch.forget()
    if (at === end || this.closing) this.#dropPending()
    else if (buffer === this.#pending) {
      this.#lookedAhead = Math.max(0, this.#lookedAhead - (at - this.#from))
      this.#from = at
    } else {
      this.#from = this.#to = 0
      this.#lookedAhead = 0
      this.#keep(buffer, at, end)
    }
    if (this.closing && this.#state !== 'closed') this.#close()
    else if (this.#state === 'waiting') this.#lookAhead()
  }

  /** Returns the position after the last request that was run. */
  #execute(buffer: Buffer, at: number, end: number): number {
    const thread = this.#thread
    const { dispatcher, out } = thread
    let left = thread.commandsPerTurn
    let batched = 0
    for (let ran = 0; at < end;) {
      // Not before the password, and no longer than it holds: without, less may be sent.
      if (thread.batch.active && this.#cut === undefined) {
        if (!this.authenticated) batched = ran = 0
        else if (ran === batched) {
          batched = thread.batch.fill(buffer, at, end)
          ran = 0
        }
      }
      const ready = ran < batched
      const parser = ready ? thread.batch.parsers[ran]! : (this.#cut ?? thread.parser)
      let next: number
      if (ready) next = thread.batch.ends[ran++]!
      else {
        parser.authenticated = this.authenticated
        next = parser.parse(buffer, at, end)
      }
      if (next < 0) {
        if (next === NEED_MORE && this.#cut === undefined) this.#cut = thread.lendParser()
        else if (next === PROTOCOL_ERROR) this.#refuse(parser.error)
        return next === NEED_MORE ? at : end
      }
      if (dispatcher.pausedKind !== 0 && dispatcher.holds(this, parser)) {
        if (this.#cut !== undefined) this.#returnParser()
        this.#yieldFor(limits.pauseLookMs)
        return at
      }
      at = next
      if (parser.argc !== 0) {
        const pending = dispatcher.run(this, parser)
        if (pending !== undefined) this.#await(pending)
      }
      if (this.#cut !== undefined) this.#returnParser()
      if (this.#state !== 'ready') return at
      if (this.closing) return end
      if (--left === 0 && at < end) {
        this.#yield()
        return at
      }
      if (out.length >= thread.flushBytes) {
        thread.replies.sendSoFar(this)
        if (this.#state !== 'ready') return at
      }
    }
    return at
  }

  #refuse(error: string): void {
    this.#thread.protocolError()
    this.#thread.out.error(error)
    this.closing = true
  }

  #await(pending: Pending): void {
    this.#state = 'waiting'
    pending.reply.then(
      respond => this.#settled(pending, respond, undefined),
      (reason: unknown) => this.#settled(pending, undefined, reason),
    )
  }

  #settled(pending: Pending, respond: Respond | undefined, reason: unknown): void {
    if (this.#state === 'closed') return
    this.#thread.begin(this)
    this.#thread.dispatcher.complete(this, pending, respond, reason)
    this.#state = 'ready'
    if (this.#afterReply !== undefined) this.#runAfterReply(this.#afterReply)
    this.#flush()
    this.#thread.current = undefined
    if (this.closing) this.#close()
    else if (this.#state === 'ready') this.#goOn()
  }

  #runAfterReply(all: (() => void)[]): void {
    this.#afterReply = undefined
    for (const run of all) run()
  }

  /** Runs what was kept while the session could not go on, and reads on. */
  #goOn(): void {
    if (this.#to !== this.#from && !this.closing) this.#work(this.#pending)
    if (this.#state !== 'ready') return
    if (this.#paused && !this.#ended) {
      this.#paused = false
      this.#connection.resume()
    }
    this.#closeIfDone()
  }

  #yield(): void {
    this.#yieldFor(0)
  }

  #yieldFor(ms: number): void {
    this.#state = 'yielded'
    this.#pause()
    const goOn = (): void => {
      if (this.#state !== 'yielded' || this.closing) return
      this.#state = 'ready'
      this.#thread.replies.sendAll()
      this.#goOn()
    }
    if (ms === 0) this.#thread.defer(goOn)
    else this.#thread.clock.timer(ms, goOn, { unref: true })
  }

  /** After the client's end: what it asked before is still answered; a request that is cut never completes. */
  #closeIfDone(): void {
    if (this.#ended && this.#state === 'ready') this.#close()
  }

  // Replies

  #flush(): void {
    this.#thread.replies.end(this, this.#thread.flushBytes)
  }

  send(buffer: Buffer, start: number, end: number): boolean {
    this.replyWaits = false
    this.#thread.countOutput(end - start)
    const connection = this.#connection
    let free = true
    if (connection.unsentBytes !== 0) connection.write(Buffer.from(buffer.subarray(start, end)))
    else free = connection.write(buffer.subarray(start, end))
    if (this.#state === 'ready' && connection.unsentBytes > limits.replyBacklogBytesMax) {
      this.#state = 'blocked'
      this.#pause()
    }
    return free
  }

  /** Closes behind what is still to be sent. */
  #close(): void {
    if (this.replyWaits) this.#thread.replies.sendAll()
    this.#connection.close()
  }

  // Pending bytes

  #keep(buffer: Buffer, start: number, end: number): void {
    const kept = this.#to - this.#from
    const total = kept + end - start
    if (this.#to + end - start > this.#pending.length) {
      const before = this.#pending
      if (total > before.length) this.#pending = this.#thread.takeBuffer(this.#roomFor(total))
      before.copy(this.#pending, 0, this.#from, this.#to)
      if (before !== this.#pending) this.#thread.takeBufferBack(before)
      this.#from = 0
      this.#to = kept
    }
    buffer.copy(this.#pending, this.#to, start, end)
    this.#to += end - start
  }

  /** By doubling, but no more than a cut request needs: what a length line promises is only taken as it arrives. */
  #roomFor(bytes: number): number {
    const needed = this.#state === 'ready' ? (this.#cut?.bytesNeeded ?? 0) : 0
    const doubled = Math.max(bytes, 2 * this.#pending.length, this.#thread.pendingBytesMin)
    return needed >= bytes ? Math.min(needed, doubled) : doubled
  }

  #dropPending(): void {
    this.#thread.takeBufferBack(this.#pending)
    this.#pending = NO_BYTES
    this.#from = this.#to = 0
    this.#lookedAhead = 0
    if (this.#cut !== undefined) this.#returnParser()
  }

  #returnParser(): void {
    this.#thread.takeParserBack(this.#cut!)
    this.#cut = undefined
  }

  #pauseIfMuchIsKept(): void {
    if (this.#state !== 'ready' && this.inputBytes > this.#thread.keptBytesMax) this.#pause()
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#connection.pause()
  }

  #lookAhead(): void {
    if (this.inputBytes === this.#lookedAhead) return
    const from = this.#from + this.#lookedAhead
    this.#lookedAhead = this.#thread.lookahead.scan(this.#pending, from, this.#to) - this.#from
  }
}
