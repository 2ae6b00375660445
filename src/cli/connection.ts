// The command line client's connection to a server: requests in, replies out in the same order. Not a client library: one
// socket, no retries, no TLS.
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { ReplyParser } from '../wire/reply-parser.ts'
import { ReplyWriter } from '../wire/reply-writer.ts'
import type { Reply } from '../wire/reply.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

interface Waiter {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

/** Why no connection came about, for people. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'

  constructor(address: Address, cause: Error & { readonly code?: string }) {
    const reasons: Record<string, string> = {
      ECONNREFUSED: 'nothing listens there',
      ENOTFOUND: 'there is no such host',
      EAI_AGAIN: 'the name of the host cannot be looked up',
      ETIMEDOUT: 'the host does not answer',
      EHOSTUNREACH: 'the host cannot be reached',
    }
    const reason = reasons[cause.code ?? ''] ?? (cause.message || 'no reason given')
    super(
      `cannot connect to ${address.host}:${address.port}: ${reason}; ` +
        `start a server with \`tidemark serve --port ${address.port}\`, or name another with -h and -p`,
      { cause },
    )
  }
}

export class Connection {
  readonly #socket: Socket
  readonly #waiting: Waiter[] = []
  readonly #parser: ReplyParser
  #ended: Error | undefined

  private constructor(socket: Socket, onMessage: (message: Reply) => void) {
    this.#socket = socket
    this.#parser = new ReplyParser({
      exact: true,
      onReply: reply => {
        const waiter = this.#waiting.shift()
        // In RESP2 the messages of a subscription look like replies.
        if (waiter === undefined) onMessage(reply)
        else waiter.resolve(reply)
      },
      onPush: onMessage,
    })
    socket.on('data', (chunk: Buffer) => {
      if (!this.#parser.push(chunk)) this.#end(new Error(this.#parser.error))
    })
    socket.on('error', error => this.#end(error))
    socket.on('close', () => this.#end(new Error('the server closed the connection')))
  }

  /** `onMessage` gets what answers no request. Rejects with a ConnectionError. */
  static connect(address: Address, onMessage: (message: Reply) => void): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: address.host, port: address.port, noDelay: true })
      const failed = (error: Error): void => reject(new ConnectionError(address, error))
      socket.once('error', failed)
      socket.once('connect', () => {
        socket.removeListener('error', failed)
        resolve(new Connection(socket, onMessage))
      })
    })
  }

  get isOpen(): boolean {
    return this.#ended === undefined
  }

  /** Resolves with the reply, which may be a ReplyError; rejects when the connection ends before it. */
  send(args: readonly (string | Buffer)[]): Promise<Reply> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    const request = new ReplyWriter(256)
    request.array(args.length)
    for (const arg of args) {
      if (typeof arg === 'string') request.text(arg)
      else request.bulk(arg)
    }
    this.#socket.write(request.detach())
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
    })
  }

  close(): void {
    this.#end(new Error('the connection is closed'))
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#ended)
    this.#socket.destroy()
  }
}
