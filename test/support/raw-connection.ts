// A connection whose replies and pushes are the bytes they were, one message after another, in the order they came: for
// scenarios with several clients that are compared byte by byte with Redis.
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { ReplyParser } from '../../src/wire/reply-parser.ts'
import { ReplyWriter } from '../../src/wire/reply-writer.ts'
import type { Argument } from './call.ts'

const WAIT_MS = 5_000

export class RawConnection {
  readonly #socket: Socket
  readonly #messages: string[] = []
  readonly #waiting: ((message: string) => void)[] = []
  #received: string[] = []
  closed = false

  private constructor(socket: Socket) {
    this.#socket = socket
    const whole = (): void => {
      const message = this.#received.join('')
      this.#received = []
      const waiter = this.#waiting.shift()
      if (waiter === undefined) this.#messages.push(message)
      else waiter(message)
    }
    const parser = new ReplyParser({ onReply: whole, onPush: whole })
    socket.on('data', (chunk: Buffer) => {
      for (let i = 0; i < chunk.length; i++) {
        const byte = Buffer.from(chunk.subarray(i, i + 1))
        this.#received.push(byte.toString('latin1'))
        if (!parser.push(byte)) throw new Error(parser.error)
      }
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      for (const waiter of this.#waiting.splice(0)) waiter('closed')
    })
  }

  static open(port: number): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new RawConnection(socket)))
      socket.setNoDelay(true)
      socket.once('error', reject)
    })
  }

  /** Sends commands in one packet, and waits for nothing. */
  send(...commands: readonly (readonly Argument[])[]): void {
    const out = new ReplyWriter()
    for (const command of commands) {
      out.array(command.length)
      for (const arg of command) out.bulk(typeof arg === 'object' ? arg : Buffer.from(String(arg)))
    }
    this.#socket.write(out.detach())
  }

  /** The next message, whatever it is; `closed` when the connection ends instead. */
  next(): Promise<string> {
    const message = this.#messages.shift()
    if (message !== undefined) return Promise.resolve(message)
    if (this.closed) return Promise.resolve('closed')
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no message came')), WAIT_MS)
      this.#waiting.push(received => {
        clearTimeout(timer)
        resolve(received)
      })
    })
  }

  /** How many messages have come that nobody has asked for. */
  get unread(): number {
    return this.#messages.length
  }

  /** Sends the words of a line; resolves with the next message. */
  line(line: string): Promise<string> {
    this.send(line.split(' '))
    return this.next()
  }

  /** Everything that has come and was not asked for, once a PING has been answered; without the PING's reply. */
  async rest(): Promise<string[]> {
    this.send(['PING', 'that-is-all'])
    const found: string[] = []
    for (;;) {
      const message = await this.next()
      if (message.includes('that-is-all')) return found
      found.push(message)
    }
  }

  close(): void {
    this.#socket.destroy()
  }
}
