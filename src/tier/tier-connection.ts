// A connection to a server of a tier: requests in, exact replies out in the same order, pushes in between, and again whenever
// it is gone. Nothing is parsed that a client of the server need not know, and nothing is sent twice. A request that is under way when it goes rejects; one that is made while there is none rejects at once.
// A server that does not answer for too long is taken for gone, so that a half-open socket is noticed.
// Not for: what is asked (tidemark-tier.ts, plain-router.ts), the command line's connection (cli/connection.ts).
import type { Socket } from 'node:net'
import { nodeNet, nodeTls } from '../base/node-modules.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { ReplyParser } from '../wire/reply-parser.ts'
import { ReplyError, type Reply } from '../wire/reply.ts'
import { ReplyWriter } from '../wire/reply-writer.ts'

export interface TierAddress {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** Certificates in PEM that the server is to be known by. */
  readonly ca?: string
  readonly username?: string
  readonly password?: string
}

export interface TierConnectionOptions {
  readonly address: TierAddress
  readonly clock: Clock
  /** On every new connection, after the password: rejects when it is of no use. `send` goes to this connection. */
  readonly greet?: (send: Send) => Promise<void>
  readonly onPush?: (push: readonly Reply[]) => void
  /** The connection is gone: nothing is pushed until there is another one. */
  readonly onDown?: () => void
  /** Of the protocol; 3 unless said otherwise. */
  readonly resp?: 2 | 3
  /** A server that owes a reply for so long is gone; `limits.tierSilentMs` unless said otherwise. */
  readonly silentMs?: number
}

export type Send = (args: readonly (string | Uint8Array)[]) => Promise<Reply>

interface Waiter {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: unknown) => void
  readonly sentMs: number
}

/** One socket's life. */
interface Link {
  readonly socket: Socket
  readonly waiting: Waiter[]
  greeted: boolean
}

export class TierConnection {
  readonly #options: TierConnectionOptions
  readonly #clock: Clock
  readonly #out = new ReplyWriter(4096)
  readonly #first = Promise.withResolvers<void>()
  #link: Link | undefined
  #timer: Timer | undefined
  #pauseMs: number = limits.tierReconnectMs
  #failure: unknown
  #closed = false

  constructor(options: TierConnectionOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#first.promise.catch(() => {})
    this.#connect()
  }

  /** Resolves once the first connection stands; rejects when the first attempt failed (others follow). */
  ready(): Promise<void> {
    return this.#first.promise
  }

  /** Whether a request could be sent now. */
  get isOpen(): boolean {
    return this.#link?.greeted === true
  }

  /**
   * The exact reply, which may be a ReplyError. Rejects with TIER_UNAVAILABLE; then the request was not sent if there was no
   * connection (isOpen), else it is not known whether it was done.
   */
  send(args: readonly (string | Uint8Array)[]): Promise<Reply> {
    const link = this.#link
    return link?.greeted === true ? this.#send(link, args) : Promise.reject(this.#unavailable())
  }

  close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    this.#first.reject(this.#unavailable())
    const link = this.#link
    if (link === undefined) return Promise.resolve()
    return new Promise(resolve => {
      link.socket.once('close', () => resolve())
      link.socket.destroy()
    })
  }

  #unavailable(): TidemarkError {
    const { host, port } = this.#options.address
    const why = this.#failure === undefined ? '' : `: ${messageOf(this.#failure)}`
    if (this.#failure instanceof TidemarkError && this.#failure.code === 'TIER_MISMATCH') return this.#failure
    return new TidemarkError('TIER_UNAVAILABLE', `the tier at ${host}:${port} cannot be reached${why}`)
  }

  #connect(): void {
    const { host, port, tls, ca } = this.#options.address
    const socket = tls
      ? // An address is no name to ask for; certificates are held against it all the same.
        nodeTls().connect({
          host,
          port,
          ...(nodeNet().isIP(host) === 0 ? { servername: host } : {}),
          ...(ca === undefined ? {} : { ca }),
        })
      : nodeNet().connect({ host, port })
    const link: Link = { socket, waiting: [], greeted: false }
    this.#link = link
    const parser = new ReplyParser({
      exact: true,
      onReply: reply => link.waiting.shift()?.resolve(reply),
      onPush: push => this.#options.onPush?.(push),
    })
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      if (!parser.push(chunk)) socket.destroy(new Error(parser.error))
    })
    socket.once(tls ? 'secureConnect' : 'connect', () => void this.#greet(link))
    socket.on('error', error => {
      this.#failure = error
    })
    socket.once('close', () => this.#ended(link))
    const watch = (): void => this.#watch(link)
    this.#timer = this.#clock.timer(limits.tierConnectMs, watch, { unref: true })
  }

  async #greet(link: Link): Promise<void> {
    const { username = 'default', password } = this.#options.address
    const send: Send = async args => accepted(await this.#send(link, args))
    try {
      const auth = password === undefined ? [] : ['AUTH', username, password]
      await send(['HELLO', String(this.#options.resp ?? 3), ...auth])
      await this.#options.greet?.(send)
      link.greeted = true
      this.#failure = undefined
      this.#pauseMs = limits.tierReconnectMs
      this.#first.resolve()
    } catch (error) {
      this.#failure ??= error
      link.socket.destroy()
    }
  }

  #send(link: Link, args: readonly (string | Uint8Array)[]): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const out = this.#out
    out.array(args.length)
    for (const arg of args) {
      if (typeof arg === 'string') out.text(arg)
      else out.bulk(arg)
    }
    link.waiting.push({ resolve, reject, sentMs: this.#clock.monotonicMs() })
    link.socket.write(out.detach())
    return promise
  }

  // Asks for a sign of life, and takes a server that gives none for gone.
  #watch(link: Link): void {
    if (link !== this.#link || this.#closed) return
    const oldest = link.waiting[0]
    const patienceMs = this.#options.silentMs ?? limits.tierSilentMs
    const silentMs = oldest === undefined ? 0 : this.#clock.monotonicMs() - oldest.sentMs
    if (!link.greeted || silentMs >= patienceMs) {
      this.#failure ??= new Error(`it did not answer within ${patienceMs} ms`)
      link.socket.destroy()
      return
    }
    this.#send(link, ['PING']).catch(() => {})
    this.#timer = this.#clock.timer(limits.tierPingMs, () => this.#watch(link), { unref: true })
  }

  #ended(link: Link): void {
    this.#timer?.cancel()
    this.#link = undefined
    for (const waiter of link.waiting.splice(0)) waiter.reject(this.#unavailable())
    this.#first.reject(this.#unavailable())
    if (this.#closed) return
    if (link.greeted) this.#options.onDown?.()
    this.#timer = this.#clock.timer(this.#pauseMs, () => this.#connect(), { unref: true })
    this.#pauseMs = Math.min(limits.tierReconnectMaxMs, 2 * this.#pauseMs)
  }
}

/** The reply, unless it is an error; throws that as TIER_MISMATCH or TIER_UNAVAILABLE. */
export function accepted(reply: Reply): Reply {
  if (!(reply instanceof ReplyError)) return reply
  const text = reply.message
  const mismatch = /^TIER_MISMATCH (.*)$/.exec(text)?.[1]
  if (mismatch !== undefined) throw new TidemarkError('TIER_MISMATCH', mismatch)
  throw new TidemarkError('TIER_UNAVAILABLE', `the tier refuses: ${text}`)
}
