// One connection that reads rows in bulk, by pipelined GET and MGET, and hands every answer to the history. It connects
// again when the server is gone or silent for too long, and counts what it could not read.
// Not for: reads that say how old they are, and sessions (asking-reader.ts).
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import { ReplyWriter } from '../../src/wire/reply-writer.ts'
import { keyspace, pickKey } from './demo-table.ts'
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
  /**
   * Where it is `steady`: from one batch to the next, and longer with a server that takes its time, as clients do that back
   * off: the load is not to keep a server down that a fault has slowed. Else at most so long after an answer, at random.
   */
  readonly everyMs: number
  readonly steady: boolean
}

/** Requests made once, and the keys that their replies are about. */
export interface Batch {
  readonly bytes: Uint8Array
  readonly keys: Uint32Array
  /** For each reply: how many of the keys come before it. */
  readonly begins: Uint32Array
}

/** A batch on its way. */
interface Asked {
  readonly batch: Batch
  readonly sentMs: number
}

const RECONNECT_MS = 100
const SILENCE_MS = 8_000
const BACK_OFF = 0.5

/** Half of the commands are GET, and half MGET of `width` keys: 16 commands read 8 + 8 * width rows. */
export function makeBatch(random: Random, keys: number, commands: number, width: number): Batch {
  const out = new ReplyWriter(1_024)
  const asked: number[] = []
  const begins = new Uint32Array(commands)
  for (let command = 0; command < commands; command++) {
    const count = command % 2 === 0 ? 1 : width
    begins[command] = asked.length
    out.array(1 + count)
    out.text(count === 1 ? 'GET' : 'MGET')
    for (let i = 0; i < count; i++) {
      const key = pickKey(random, keys)
      asked.push(key)
      out.text(`${keyspace}:${key}`)
    }
  }
  return { bytes: out.detach(), keys: Uint32Array.from(asked), begins }
}

export class BulkReader {
  errors = 0
  readonly #options: BulkReaderOptions
  readonly #from: string
  #socket: Socket | undefined
  #scanner: RowScanner | undefined
  #asked: Asked | undefined
  #receivedMs = 0
  #replies = 0
  #row = 0
  #pause: Timer | undefined
  #silence: Timer | undefined
  #closed = false

  constructor(options: BulkReaderOptions) {
    this.#options = options
    this.#from = options.endpoint.name
    this.#connect()
  }

  close(): void {
    this.#closed = true
    this.#rest()
    this.#socket?.destroy()
  }

  #rest(): void {
    this.#pause?.cancel()
    this.#silence?.cancel()
  }

  #connect(): void {
    const { endpoint, clock } = this.#options
    const { host, port, localAddress, password } = endpoint
    const socket = connect({ host, port, ...(localAddress === undefined ? {} : { localAddress }) })
    this.#socket = socket
    this.#scanner = new RowScanner({
      row: (id, version, seal, writer) => this.#saw(id, version, seal, writer),
      absent: () => this.#absent(),
      // Where the next reply begins is known all the same. The greeting is answered with a text too.
      error: text => void (this.errors += text.startsWith('-') ? 1 : 0),
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
      if (this.#asked !== undefined) this.errors++
      this.#rest()
      this.#pause = clock.timer(RECONNECT_MS, () => this.#connect())
    })
    // Its reply is taken like that of a batch without rows.
    const greeting = password === undefined ? ['PING'] : ['AUTH', password]
    const out = new ReplyWriter(64)
    out.array(greeting.length)
    for (const word of greeting) out.text(word)
    this.#send({ bytes: out.detach(), keys: new Uint32Array(0), begins: new Uint32Array(1) })
  }

  #send(batch: Batch): void {
    const { clock } = this.#options
    this.#replies = 0
    this.#row = 0
    this.#silence?.cancel()
    this.#silence = clock.timer(SILENCE_MS, () => this.#socket?.destroy())
    this.#asked = { batch, sentMs: clock.monotonicMs() }
    this.#socket!.write(batch.bytes)
  }

  #saw(id: number, version: number, seal: number, writer: number): void {
    const { history, boundMs } = this.#options
    const { batch, sentMs } = this.#asked!
    const sighting = { sentMs, receivedMs: this.#receivedMs, boundMs, from: this.#from }
    history.sawRow(batch.keys[this.#row++]!, id, version, seal, writer, sighting)
  }

  #absent(): void {
    const { history, boundMs } = this.#options
    const { batch, sentMs } = this.#asked!
    const key = batch.keys[this.#row++]!
    history.saw({ key, row: undefined, sentMs, receivedMs: this.#receivedMs, boundMs, from: this.#from })
  }

  #replyEnd(): void {
    const { clock, random, batches, everyMs, steady } = this.#options
    const asked = this.#asked
    if (asked === undefined || this.#closed) return
    const { begins } = asked.batch
    if (++this.#replies < begins.length) {
      this.#row = begins[this.#replies]!
      return
    }
    this.#asked = undefined
    this.#rest()
    const tookMs = clock.monotonicMs() - asked.sentMs
    const idleMs = steady ? Math.max(everyMs - tookMs, BACK_OFF * tookMs) : random.below(everyMs)
    this.#pause = clock.timer(idleMs, () => this.#send(batches[random.below(batches.length)]!))
  }
}
