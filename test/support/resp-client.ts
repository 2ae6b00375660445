// A plain Redis client for tests: replies in the order of the requests, so many commands may be sent before the first
// reply. An error reply is a ReplyError value, not a rejection. What is sent with `raw` gets its replies by `reply()`.
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { ReplyParser } from '../../src/wire/reply-parser.ts'
import { ReplyWriter } from '../../src/wire/reply-writer.ts'

export interface RespClientOptions {
  readonly host?: string
  /** Of this end. */
  readonly localAddress?: string
  /** Sends AUTH first. */
  readonly password?: string
  /** 3 sends HELLO 3 first. */
  readonly resp?: 2 | 3
  /** Keeps types apart: bulk strings as Buffer, integers as bigint (see Reply in wire/reply.ts). */
  readonly exact?: boolean
}

interface Waiter {
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: Error) => void
}

export class RespClient {
  /** Messages that answered no request, as they came. */
  readonly pushes: unknown[][] = []
  /** Resolves once the connection is gone, whoever closed it. */
  readonly closed: Promise<void>
  readonly #socket: Socket
  readonly #parser: ReplyParser
  readonly #waiting: Waiter[] = []
  readonly #unread: unknown[] = []
  readonly #writer = new ReplyWriter(1_024)
  #flushScheduled = false
  #ended: Error | undefined

  private constructor(socket: Socket, exact: boolean) {
    this.#socket = socket
    this.#parser = new ReplyParser({
      exact,
      onReply: reply => this.#received(reply),
      onPush: message => void this.pushes.push(message),
    })
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      if (!this.#parser.push(chunk)) this.#end(new Error(this.#parser.error))
    })
    socket.on('error', error => this.#end(error))
    this.closed = new Promise(resolve => {
      socket.on('close', () => {
        this.#end(new Error('the connection is closed'))
        resolve()
      })
    })
  }

  static async connect(port: number, options: RespClientOptions = {}): Promise<RespClient> {
    const { host = '127.0.0.1', localAddress } = options
    const socket = connect({ port, host, ...(localAddress === undefined ? {} : { localAddress }) })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => {
        socket.removeListener('error', reject)
        resolve()
      })
      socket.once('error', reject)
    })
    const client = new RespClient(socket, options.exact === true)
    const greeting: Promise<unknown>[] = []
    if (options.password !== undefined) greeting.push(client.command('AUTH', options.password))
    if (options.resp === 3) greeting.push(client.command('HELLO', 3))
    for (const reply of await Promise.all(greeting)) if (reply instanceof Error) throw reply
    return client
  }

  /** Sends a command; resolves with its reply. Commands of one turn of the event loop leave in one packet. */
  command(...args: readonly (string | Buffer | number)[]): Promise<unknown> {
    this.#writer.array(args.length)
    for (const arg of args) {
      if (typeof arg === 'object') this.#writer.bulk(arg)
      else this.#writer.text(String(arg))
    }
    if (!this.#flushScheduled) {
      this.#flushScheduled = true
      queueMicrotask(() => this.#flush())
    }
    return this.reply()
  }

  /** Sends bytes as they are, after the commands before it. */
  raw(bytes: string | Uint8Array): void {
    this.#flush()
    this.#socket.write(bytes)
  }

  /** The next reply that nobody waits for; rejects when the connection ends first. */
  reply(): Promise<unknown> {
    if (this.#unread.length > 0) return Promise.resolve(this.#unread.shift())
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
    })
  }

  /** Sends no more (the server sees the end of the stream); replies are still read. */
  end(): void {
    this.#flush()
    this.#socket.end()
  }

  close(): void {
    this.#socket.destroy()
  }

  #flush(): void {
    this.#flushScheduled = false
    if (this.#writer.length > 0) this.#socket.write(this.#writer.detach())
  }

  #received(reply: unknown): void {
    const waiter = this.#waiting.shift()
    if (waiter === undefined) this.#unread.push(reply)
    else waiter.resolve(reply)
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#ended)
    this.#socket.destroy()
  }
}
