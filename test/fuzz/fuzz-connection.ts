// Plays one case over a connection of its own, and says what was wrong with the answers.
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { Clock } from '../../src/base/clock.ts'
import { ReplyParser } from '../../src/wire/reply-parser.ts'
import type { Reply } from '../../src/wire/reply.ts'
import type { FuzzCase, Part } from './fuzz-case.ts'

/** No reply for so long is a hang: everything a case asks for takes milliseconds. */
export const HANG_MS = 60_000
const UNREAD_MS = 1_500

interface Expected {
  replies: number
  /** The markers' texts, by the reply's number. */
  readonly markers: Map<number, string>
  /** The most replies that may come. */
  most: number
}

function expectedOf({ kind, parts }: FuzzCase): Expected {
  const expected: Expected = { replies: 0, markers: new Map(), most: Infinity }
  if (kind === 'damaged' || kind === 'unread') return expected
  for (const { replies, marker } of parts) {
    if (marker !== undefined) expected.markers.set(expected.replies, marker)
    expected.replies += replies
  }
  expected.most = expected.replies
  return expected
}

function packetsOf(parts: readonly Part[], packetBytes: number, bytesSent: number): Buffer[] {
  const bytes = Buffer.concat(parts.map(part => part.bytes)).subarray(0, bytesSent)
  const packets: Buffer[] = []
  for (let at = 0; at < bytes.length; at += packetBytes) packets.push(bytes.subarray(at, at + packetBytes))
  return packets
}

function shown(reply: Reply): string {
  return JSON.stringify(Buffer.isBuffer(reply) ? reply.toString('latin1') : reply, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  ).slice(0, 200)
}

class FuzzConnection {
  readonly #played: FuzzCase
  readonly #expected: Expected
  readonly #socket: Socket
  readonly #parser: ReplyParser
  readonly #done: (flaw: string | undefined) => void
  readonly #clock: Clock
  #watch: { cancel(): void }
  #replies = 0
  #finished = false
  #sent = false

  constructor(port: number, played: FuzzCase, clock: Clock, done: (flaw: string | undefined) => void) {
    this.#played = played
    this.#expected = expectedOf(played)
    this.#done = done
    this.#parser = new ReplyParser({ exact: true, onReply: reply => this.#replied(reply) })
    this.#clock = clock
    this.#watch = this.#watchFor()
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
  }

  #watchFor(): { cancel(): void } {
    if (this.#played.kind === 'unread') return this.#clock.timer(UNREAD_MS, () => this.#finish(undefined))
    return this.#clock.timer(HANG_MS, () => this.#finish(`nothing more after ${this.#replies} replies: it hangs`))
  }

  start(): void {
    const socket = this.#socket
    const played = this.#played
    socket.on('connect', () => this.#send(packetsOf(played.parts, played.packetBytes, played.bytesSent), 0))
    // A server that closes on a malformed request resets what is still on its way.
    socket.on('error', () => {})
    if (played.kind !== 'unread') socket.on('data', (chunk: Buffer) => this.#received(chunk))
    socket.on('close', () => this.#closed())
  }

  #send(packets: readonly Buffer[], from: number): void {
    if (this.#finished || this.#socket.destroyed) return
    const { kind, packetBytes } = this.#played
    for (let i = from; i < packets.length; i++) {
      const taken = this.#socket.write(packets[i]!)
      // Small packets leave one by one, or they would be joined on the way.
      if (packetBytes < 1_000 && i % 3 === 0) return void setImmediate(() => this.#send(packets, i + 1))
      if (!taken && kind !== 'unread') return void this.#socket.once('drain', () => this.#send(packets, i + 1))
    }
    this.#sent = true
    if (kind === 'cut') this.#finish(undefined)
    else if (kind === 'half-closed' || kind === 'damaged') this.#socket.end()
    this.#finishIfAll()
  }

  #received(chunk: Buffer): void {
    if (this.#finished) return
    this.#watch.cancel()
    this.#watch = this.#watchFor()
    if (this.#parser.push(chunk)) this.#finishIfAll()
    // As in Redis, a transaction that subscribes has its pushes among the replies of EXEC: no client can read on.
    else if (this.#played.kind === 'damaged' && /push inside/.test(this.#parser.error)) this.#finish(undefined)
    else this.#finish(`after ${this.#replies} replies: ${this.#parser.error}`)
  }

  #replied(reply: Reply): void {
    const number = this.#replies++
    if (this.#replies > this.#expected.most) {
      this.#finish(`a reply more than the ${this.#expected.most} requests: ${shown(reply)}`)
      return
    }
    const marker = this.#expected.markers.get(number)
    if (marker === undefined) return
    const text = Buffer.isBuffer(reply) ? reply.toString() : reply
    if (text === marker || (this.#played.queues && text === 'QUEUED' && marker !== 'the end')) return
    this.#finish(`reply ${number} is ${shown(reply)} instead of ${marker}`)
  }

  #finishIfAll(): void {
    if (this.#sent && this.#played.kind === 'exact' && this.#replies >= this.#expected.replies) this.#finish(undefined)
  }

  #closed(): void {
    const { kind } = this.#played
    const counted = kind === 'exact' || kind === 'half-closed'
    if (counted && this.#replies < this.#expected.replies) {
      this.#finish(`closed after ${this.#replies} of ${this.#expected.replies} replies`)
    } else this.#finish(undefined)
  }

  #finish(flaw: string | undefined): void {
    if (this.#finished) return
    this.#finished = true
    this.#watch.cancel()
    if (this.#played.ending === 'reset') this.#socket.resetAndDestroy()
    else this.#socket.destroy()
    this.#done(flaw)
  }
}

/** Resolves with what was wrong, once the connection is over. */
export function playCase(port: number, played: FuzzCase, clock: Clock): Promise<string | undefined> {
  return new Promise(resolve => {
    const connection = new FuzzConnection(port, played, clock, resolve)
    connection.start()
  })
}
