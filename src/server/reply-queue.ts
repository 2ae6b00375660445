// When replies are sent. Those of one session's batch stand together in the thread's output; where many sessions are busy, the
// batches of one turn of the event loop are kept there one behind the other and sent at its end, or when the first has
// waited for HOLD_MS. A client that reads the replies of several connections is woken once for all of them; woken for each, it
// cost the server up to half of what a batch takes. A session that is busy alone is answered at once.
//
//   output:  | batch of A | batch of B | batch of C, being made ...
//                                      `- #end
//
// Not for: what is in a batch (session.ts), nor how bytes travel (transport.ts). Hot path: no allocation but for one timer a turn.
import { afterThisTurn } from '../base/turn.ts'
import type { ReplyWriter } from '../wire/reply-writer.ts'

export interface ReplySender {
  /** Whether a batch of it is in the queue; set by the queue, taken back by the sender. */
  replyWaits: boolean
  /** Sends buffer[start, end). False: the bytes' memory belongs to the connection from now on. */
  send(buffer: Buffer, start: number, end: number): boolean
}

/** Batches of two sessions that are no further apart than this are sent together. */
const TOGETHER_MS = 1
/** So long a batch may wait for others. */
const HOLD_MS = 0.3

export class ReplyQueue {
  readonly #out: ReplyWriter
  readonly #keptBytes: number
  readonly #senders: (ReplySender | undefined)[] = []
  readonly #ends: number[] = []
  #count = 0
  /** Where the first batch of the queue begins. */
  #start = 0
  /** Where the latest complete batch ends. */
  #end = 0
  /** A batch is being made behind it. */
  #making = false
  /** Some of the output's memory belongs to a connection. */
  #lent = false
  #timed = false
  #together = false
  #latest: ReplySender | undefined
  #latestMs = -Infinity
  #oldestMs = 0
  readonly #turnEnds = (): void => {
    this.#timed = false
    this.sendAll()
  }

  /** An output buffer that has grown larger than `keptBytes` is given back. */
  constructor(out: ReplyWriter, keptBytes: number) {
    this.#out = out
    this.#keptBytes = keptBytes
  }

  /** A batch of `sender` begins, at `nowMs` of the monotonic clock. */
  begin(sender: ReplySender, nowMs: number): void {
    if (this.#count > 0 && nowMs - this.#oldestMs > HOLD_MS) this.sendAll()
    this.#making = true
    this.#out.length = this.#end
    if (this.#latest !== sender) {
      this.#together = nowMs - this.#latestMs < TOGETHER_MS
      this.#latest = sender
    } else if (!sender.replyWaits) this.#together = false
    this.#latestMs = nowMs
    if (this.#count === 0) this.#oldestMs = nowMs
  }

  /** The batch that was begun is complete. With `more` another one of the same sender is likely to begin at once. */
  end(sender: ReplySender, bytesMax: number, more: boolean = false): void {
    this.#making = false
    this.#add(sender)
    if (this.#count === 0) return
    if ((!this.#together && !more) || this.#end >= bytesMax) this.sendAll()
    else if (!this.#timed) {
      this.#timed = true
      afterThisTurn(this.#turnEnds)
    }
  }

  /** What there is of the batch is sent now; more follows. */
  sendSoFar(sender: ReplySender): void {
    this.#making = false
    this.#add(sender)
    this.sendAll()
    this.#making = true
  }

  #add(sender: ReplySender): void {
    const { length } = this.#out
    if (length === this.#end) return
    this.#end = length
    if (sender.replyWaits && this.#senders[this.#count - 1] === sender) {
      this.#ends[this.#count - 1] = length
      return
    }
    sender.replyWaits = true
    this.#senders[this.#count] = sender
    this.#ends[this.#count++] = length
  }

  /** Sends all batches that are complete. */
  sendAll(): void {
    const out = this.#out
    const count = this.#count
    let start = this.#start
    for (let i = 0; i < count; i++) {
      const sender = this.#senders[i]!
      this.#senders[i] = undefined
      const end = this.#ends[i]!
      if (!sender.send(out.buffer, start, end)) this.#lent = true
      start = end
    }
    this.#count = 0
    this.#start = this.#end
    if (!this.#making) this.#startAnew()
  }

  #startAnew(): void {
    const out = this.#out
    if (this.#lent) out.detach()
    else if (out.buffer.length > this.#keptBytes) out.recycle()
    out.length = 0
    this.#start = 0
    this.#end = 0
    this.#lent = false
  }
}
