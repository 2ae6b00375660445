// One connection in Postgres' replication mode, over `pg`: commands first, then the stream of frames. The socket is paused
// when asked, which makes the database wait.
// Not for: what is in the frames (postgres-pgoutput.ts).
import type { Socket } from 'node:net'
import pg from 'pg'
import type { Clock, Timer } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import type { PostgresConnection } from './postgres-options.ts'
import { decodeFrame, encodeStatus, type Frame } from './postgres-pgoutput.ts'
import { clientConfig, sessionOptions } from './postgres-pool.ts'

/** What of pg's connection object is used; it has no types. */
interface Wire {
  readonly stream: Socket
  on(event: 'copyData', listener: (message: { readonly chunk: Buffer }) => void): void
  once(event: 'replicationStart', listener: () => void): void
  sendCopyFromChunk(chunk: Buffer): void
}

export interface StreamHandler {
  frame(frame: Frame & { readonly kind: 'data' }): void
  /** Once: the stream has ended, for whatever reason. */
  lost(cause: unknown): void
}

export class ReplicationConnection {
  readonly #client: pg.Client
  readonly #wire: Wire
  readonly #clock: Clock
  #received = 0n
  #confirmed = 0n
  #heardMs = 0
  #paused = false
  #timer: Timer | undefined
  #ended = false
  #lost: ((cause: unknown) => void) | undefined

  constructor(connection: PostgresConnection, clock: Clock, timeoutMs: number) {
    const config = {
      ...clientConfig(connection),
      replication: 'database',
      connectionTimeoutMillis: timeoutMs,
      // Making a slot waits for transactions in progress, however long they take.
      options: `${sessionOptions} -c statement_timeout=0`,
    }
    this.#clock = clock
    this.#client = new pg.Client(config)
    this.#wire = (this.#client as unknown as { readonly connection: Wire }).connection
    this.#client.on('error', error => this.#end(error))
    this.#client.on('end', () => this.#end(new Error('the connection was closed')))
  }

  async connect(): Promise<void> {
    await this.#client.connect()
  }

  /** Of the server's process that serves this connection. */
  get processId(): number {
    return (this.#client as unknown as { readonly processID: number }).processID
  }

  /** A command or a query, without parameters. */
  async command(text: string): Promise<(string | null)[][]> {
    return (await this.#client.query<(string | null)[]>({ text, rowMode: 'array' })).rows
  }

  /** Begins the stream; rejects with Postgres' error. From then on this connection does nothing else. */
  async start(command: string, handler: StreamHandler): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#wire.once('replicationStart', () => {
        this.#lost = cause => handler.lost(cause)
        this.#heardMs = this.#clock.monotonicMs()
        this.#schedule()
        resolve()
      })
      this.#wire.on('copyData', ({ chunk }) => this.#receive(chunk, handler))
      const ended = this.#client.query(command)
      ended.then(
        () => this.#end(new Error('the stream has ended')),
        (error: Error) => {
          reject(error)
          this.#end(error)
        },
      )
    })
  }

  #receive(chunk: Buffer, handler: StreamHandler): void {
    if (this.#ended) return
    const frame = decodeFrame(chunk)
    this.#heardMs = this.#clock.monotonicMs()
    if (frame.end > this.#received) this.#received = frame.end
    if (frame.kind === 'data') handler.frame(frame)
    else if (frame.reply) this.#sendStatus(false)
  }

  /** Nothing at or before it is needed again. */
  confirm(position: bigint): void {
    if (position <= this.#confirmed) return
    this.#confirmed = position
  }

  /** No frames come until `resume`, save those that have come already. */
  pause(): void {
    this.#paused = true
    this.#wire.stream.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#heardMs = this.#clock.monotonicMs()
    this.#wire.stream.resume()
  }

  /** A paused stream is no reason for the database to give up on us: it hears from us all the time. */
  #schedule(): void {
    this.#timer = this.#clock.timer(
      limits.feedStatusMs,
      () => {
        const silentMs = this.#clock.monotonicMs() - this.#heardMs
        if (!this.#paused && silentMs > limits.feedSilenceMs) {
          this.#end(new Error(`the database was silent for ${Math.round(silentMs)} ms`))
          return
        }
        this.#sendStatus(true)
        this.#schedule()
      },
      { unref: true },
    )
  }

  #sendStatus(reply: boolean): void {
    // `received` may be zero before the first frame: as far as is confirmed has certainly come.
    const received = this.#received > this.#confirmed ? this.#received : this.#confirmed
    this.#wire.sendCopyFromChunk(encodeStatus(received, this.#confirmed, this.#clock.wallMs(), reply))
  }

  #end(cause: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#timer?.cancel()
    this.#wire.stream.destroy()
    this.#lost?.(cause)
  }

  /** Lets the slot go. What was confirmed is told once more, so that it is not read again. */
  close(): void {
    if (this.#ended) return
    this.#ended = true
    this.#timer?.cancel()
    if (this.#lost === undefined) {
      this.#client.end().catch(() => {})
      return
    }
    this.#lost = undefined
    this.#sendStatus(false)
    this.#wire.stream.resume()
    this.#wire.stream.destroySoon()
  }
}
