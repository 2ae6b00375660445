// One connection to one server, opened again whenever it is lost: a client of node-redis and a watch over it. What is lost with
// it rejects; nothing is sent twice here. Not for: which server to ask (valkey-nodes.ts).
//
// The watch is ours, because the client's own cannot see a half-open connection under load: its timeout counts from the last
// byte written too, and its ping waits for an answer without end (docs/decisions/0010). A connection that was silent for
// `pingMs` is asked something; one that stays silent for `silentMs` more is given up. A process that was itself asleep reads
// what has arrived before it judges.
import { createClient, ErrorReply, RESP_TYPES } from 'redis'
import type { RedisClientOptions } from 'redis'
import type { Clock, Timer } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import { limits } from '../base/limits.ts'

/** A client that is never connected: those that are, are made after it. */
export type ValkeyTemplate = ReturnType<typeof createClient>

/** What node-redis takes: TLS, credentials, name, database. Addresses, protocol and reconnecting are the tier's own affair. */
export type ValkeyClientOptions = Omit<RedisClientOptions, 'url' | 'RESP' | 'commandOptions' | 'clientSideCache'>

/** Bulk strings come as Buffers. */
export type ValkeyReply = Buffer | string | number | bigint | boolean | null | undefined | readonly ValkeyReply[]

export type ValkeyArguments = readonly (string | Buffer)[]

export interface ValkeyAddress {
  readonly host: string
  readonly port: number
}

/** Times of the watch over a connection, in ms. */
export interface ValkeyTimes {
  readonly pingMs: number
  readonly silentMs: number
  readonly connectMs: number
}

export interface ValkeyConnectionOptions {
  readonly address: ValkeyAddress
  readonly template: ValkeyTemplate
  readonly clock: Clock
  readonly times: ValkeyTimes
  /** What makes a fresh connection of use; when it rejects, the connection is given up and tried again. */
  readonly prepare: (link: ValkeyLink) => Promise<void>
  /** What is asked of a silent connection; its rejection gives the connection up. */
  readonly probe: (link: ValkeyLink) => Promise<unknown>
  /** It is asked every `pingMs`, silent or not. */
  readonly probeAlways?: boolean
  readonly onReady: () => void
  readonly onDown: () => void
}

/** A client of node-redis with one open connection. Once that is gone, so is the link. */
export class ValkeyLink {
  readonly client: ValkeyTemplate
  readonly #clock: Clock
  /** When the server was last heard of, in monotonic ms. */
  heardAtMs: number

  constructor(client: ValkeyTemplate, clock: Clock) {
    this.client = client
    this.#clock = clock
    this.heardAtMs = clock.monotonicMs()
  }

  /** Rejects with node-redis' ErrorReply for an error reply, with another error when the connection is lost. */
  async send(args: ValkeyArguments): Promise<ValkeyReply> {
    try {
      const reply: ValkeyReply = await this.client.sendCommand([...args])
      this.heard()
      return reply
    } catch (error) {
      if (error instanceof ErrorReply) this.heard()
      throw error
    }
  }

  heard(): void {
    this.heardAtMs = this.#clock.monotonicMs()
  }
}

export class ValkeyConnection {
  readonly address: ValkeyAddress
  readonly #options: ValkeyConnectionOptions
  #link: ValkeyLink | undefined
  #closed = false
  #attempts = 0
  #timer: Timer | undefined
  /** Ends the link at hand, and with it the attempt or the time of service that it is in. */
  #abandon: ((reason: Error) => void) | undefined
  #lastError: unknown

  constructor(options: ValkeyConnectionOptions) {
    this.address = options.address
    this.#options = options
    void this.#open()
  }

  /** The link when it can be used. */
  get link(): ValkeyLink | undefined {
    return this.#link
  }

  /** Why it is not there. */
  get lastError(): string {
    return this.#lastError === undefined ? 'not connected yet' : messageOf(this.#lastError)
  }

  /** Gives the connection up and opens another one. */
  abandon(reason: Error): void {
    this.#abandon?.(reason)
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.abandon(new Error('closed'))
  }

  async #open(): Promise<void> {
    const { clock, times, prepare, onReady } = this.#options
    const link = new ValkeyLink(this.#newClient(), clock)
    const { client } = link
    const lost = new Promise<never>((_, reject) => {
      this.#abandon = reject
      client.on('error', reject)
      client.once('end', () => reject(new Error('the connection was closed')))
    })
    const deadline = clock.timer(times.connectMs, () => this.abandon(new Error('no answer to the greeting')), {
      unref: true,
    })
    try {
      await Promise.race([this.#greet(link, prepare), lost])
      deadline.cancel()
      if (this.#closed) throw new Error('closed')
      this.#attempts = 0
      this.#link = link
      this.#watch(link)
      onReady()
      await lost
    } catch (error) {
      this.#lastError = error
    }
    deadline.cancel()
    client.destroy()
    this.#down(link)
  }

  async #greet(link: ValkeyLink, prepare: ValkeyConnectionOptions['prepare']): Promise<void> {
    await link.client.connect()
    await prepare(link)
    link.heard()
  }

  #down(link: ValkeyLink): void {
    const { clock, onDown } = this.#options
    this.#timer?.cancel()
    const wasReady = this.#link === link
    this.#link = undefined
    if (wasReady) onDown()
    if (this.#closed) return
    const delayMs = Math.min(limits.tierReconnectMs * 2 ** this.#attempts, limits.tierReconnectMaxMs)
    this.#attempts++
    // The first attempt follows at once: a server that closes idle connections, or was restarted, is there again.
    this.#timer = clock.timer(wasReady ? 0 : delayMs, () => void this.#open())
  }

  #watch(link: ValkeyLink): void {
    const { clock, times, probeAlways } = this.#options
    const quietMs = probeAlways === true ? 0 : clock.monotonicMs() - link.heardAtMs
    this.#timer = clock.timer(Math.max(1, times.pingMs - quietMs), () => this.#check(link), { unref: true })
  }

  #check(link: ValkeyLink): void {
    const { clock, times, probe, probeAlways } = this.#options
    const askedAtMs = clock.monotonicMs()
    if (probeAlways !== true && askedAtMs - link.heardAtMs < times.pingMs) return this.#watch(link)
    const judge = (): void => {
      if (link.heardAtMs > askedAtMs) this.#watch(link)
      else this.#giveUp(link, new Error(`silent for ${times.silentMs} ms`))
    }
    this.#timer = clock.timer(
      times.silentMs,
      () => {
        // Late because this process slept: what came meanwhile is read first.
        this.#timer = clock.timer(0, judge)
      },
      { unref: true },
    )
    probe(link).then(
      () => {
        if (this.#link !== link) return
        this.#timer?.cancel()
        this.#watch(link)
      },
      (error: unknown) => this.#giveUp(link, error),
    )
  }

  #giveUp(link: ValkeyLink, error: unknown): void {
    if (this.#link === link) this.abandon(error instanceof Error ? error : new Error(messageOf(error)))
  }

  #newClient(): ValkeyTemplate {
    const { template, address, times } = this.#options
    const socket: unknown = { connectTimeout: times.connectMs, ...template.options.socket, ...address }
    return template.duplicate({ socket: socket as NonNullable<RedisClientOptions['socket']> })
  }
}

/** node-redis builds a class for the options that it is given, which takes some ten milliseconds: once for all connections. */
export function createTemplate(options: ValkeyClientOptions): ValkeyTemplate {
  const settings: unknown = {
    ...options,
    // A lost connection is a new client: what it was prepared with has to be prepared again.
    socket: { ...options.socket, reconnectStrategy: false },
    RESP: 3,
    // The deadline of a call is the tier's; the client's ends when the command is written, and costs a timer each.
    commandOptions: { timeout: undefined, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
  }
  return createClient(settings as RedisClientOptions)
}
