// One connection that reads rows in bulk, by pipelined GET and MGET, and hands every answer to the history. It connects again
// when the server is gone or does not answer, and counts what it could not read.
// Not for: reads that say how old they are, and sessions (asking-reader.ts).
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import { ReplyWriter } from '../../src/wire/reply-writer.ts'
import { keyspace } from './demo-table.ts'
import type { Endpoint } from './endpoint.ts'
import type { History } from './history.ts'
import { RowScanner } from './row-scanner.ts'

export interface BulkReaderOptions {
  readonly endpoint: Endpoint
  readonly history: History
  readonly batches: readonly Batch[]
  readonly clock: Clock
  readonly random: Random
  readonly boundMs: number
  /** Between the end of a batch and the next. */
  readonly pauseMs: number
}

/** Requests made once, and the keys that their replies are about. */
export interface Batch {
  readonly bytes: Uint8Array
  readonly keys: Uint32Array
  readonly replies: number
}

const RECONNECT_MS = 100
const SILENCE_MS = 8_000

/** Half of the commands are GET, and half MGET of `width` keys: each batch reads 8 + 8 * width rows. */
export function makeBatch(random: Random, keys: number, width: number): Batch {
  const out = new ReplyWriter(1_024)
  const asked: number[] = []
  const replies = 16
  for (let command = 0; command < replies; command++) {
    const count = command % 2 === 0 ? 1 : width
    out.array(1 + count)
    out.text(count === 1 ? 'GET' : 'MGET')
    for (let i = 0; i < count; i++) {
      const key = random.below(keys)
      asked.push(key)
      out.text(`${keyspace}:${key}`)
    }
  }
  return { bytes: out.detach(), keys: Uint32Array.from(asked), replies }
}

export class BulkReader {
  errors = 0
  readonly #options: BulkReaderOptions
  readonly #from: string
  #socket: Socket | undefined
  #scanner: RowScanner | undefined
  #batch: Batch | undefined
  #sentMs = 0
  #receivedMs = 0
  #replies = 0
  #rows = 0
  #failed = false
  #timer: Timer | undefined
  #silence: Timer | undefined
  #closed = false

  constructor(options: BulkReaderOptions) {
    this.#options = options
    this.#from = options.endpoint.name
    this.#connect()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#silence?.cancel()
    this.#socket?.destroy()
  }

  #connect(): void {
    const { endpoint, clock } = this.#options
    const { host, port, localAddress, password } = endpoint
    const socket = connect({ host, port, ...(localAddress === undefined ? {} : { localAddress }) })
    this.#socket = socket
    this.#scanner = new RowScanner({
      row: (id, version, seal, writer) => this.#row(id, version, seal, writer),
      absent: () => this.#absent(),
      error: text => this.#error(text),
      replyEnd: () => this.#replyEnd(),
    })
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      this.#receivedMs = clock.monotonicMs()
      this.#scanner!.push(chunk)
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (this.#socket !== socket || this.#closed) return
      if (this.#batch !== undefined) this.errors++
      this.#batch = undefined
      this.#silence?.cancel()
      this.#timer?.cancel()
      this.#timer = clock.timer(RECONNECT_MS, () => this.#connect())
    })
    // Its reply is taken like that of a batch without rows.
    const greeting = password === undefined ? ['PING'] : ['AUTH', password]
    const out = new ReplyWriter(64)
    out.array(greeting.length)
    for (const word of greeting) out.text(word)
    this.#send({ bytes: out.detach(), keys: new Uint32Array(0), replies: 1 })
  }

  #send(batch: Batch): void {
    const { clock } = this.#options
    this.#batch = batch
    this.#replies = 0
    this.#rows = 0
    this.#failed = false
    this.#silence?.cancel()
    this.#silence = clock.timer(SILENCE_MS, () => this.#socket?.destroy())
    this.#sentMs = clock.monotonicMs()
    this.#socket!.write(batch.bytes)
  }

  #row(id: number, version: number, seal: number, writer: number): void {
    if (this.#batch === undefined) return
    const { history, boundMs } = this.#options
    const sighting = { sentMs: this.#sentMs, receivedMs: this.#receivedMs, boundMs, from: this.#from }
    history.sawRow(this.#batch.keys[this.#rows++]!, id, version, seal, writer, sighting)
  }

  #absent(): void {
    if (this.#batch === undefined) return
    const { history, boundMs } = this.#options
    const key = this.#batch.keys[this.#rows++]!
    history.saw({ key, version: undefined, sentMs: this.#sentMs, receivedMs: this.#receivedMs, boundMs, from: this.#from }) // prettier-ignore
  }

  #error(text: string): void {
    // What rows the rest of the replies are about is not known any more: the batch ends with the connection.
    if (text.startsWith('+')) return
    this.errors++
    this.#failed = true
  }

  #replyEnd(): void {
    const { clock, random, batches, pauseMs } = this.#options
    if (this.#batch === undefined) return
    this.#replies++
    if (this.#failed) {
      this.#batch = undefined
      this.#socket?.destroy()
      return
    }
    if (this.#replies < this.#batch.replies) return
    this.#batch = undefined
    this.#timer = clock.timer(pauseMs, () => {
      if (!this.#closed) this.#send(batches[random.below(batches.length)]!)
    })
  }
}
