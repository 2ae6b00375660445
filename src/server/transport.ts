// Connections: the one file that knows the inside of Node's sockets. Accepts on a port, hands each connection's bytes to
// its events, and takes bytes to send. Not for: what the bytes mean (session.ts).
//
// All connections of a thread receive into one buffer, and parse their requests right there: no buffer is made for a
// chunk. Node offers this (`onread` with a buffer) only for sockets that connect, not for accepted ones. So an accepted
// socket, paused before it read anything, is emptied of its handle, and a new socket is made around the handle:
//
//   net.Server -- accepts, paused --> raw socket ._handle --> new net.Socket({ handle, onread: { buffer, callback } })
//
// The server counts the raw sockets as open for ever, and server.close() would wait for them: connections are counted
// and drained here instead. `shared: false` is the plain path, with a buffer for each chunk (what TLS will need).
import net from 'node:net'
import { assert } from '../base/assert.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'

/** What a connection tells its owner. `buffer` is used again for the next chunk: keep a copy of what is not consumed. */
export interface ConnectionEvents {
  /** buffer[0, end) arrived. */
  received(buffer: Buffer, end: number): void
  /** Everything written has been taken by the kernel, after more than UNSENT_NOTICED_BYTES had been waiting. */
  drained(): void
  /** The other side sends no more, but may still read. */
  ended(): void
  /** Nothing more comes, for whatever reason. Exactly once, and last. */
  closed(): void
}

export interface Connection {
  /** `address:port` */
  readonly remoteAddress: string
  readonly localAddress: string
  /** Bytes given to `write` that the kernel has not taken. */
  readonly unsentBytes: number
  /**
   * Sends `bytes`. True: the kernel took all of them, and their memory is the caller's again. False: their memory belongs to
   * the connection now.
   */
  write(bytes: Uint8Array): boolean
  /** Stops reading; bytes wait in the kernel, and so does the end of the connection. */
  pause(): void
  resume(): void
  /** Closes after what was written has been taken. */
  close(): void
  /** Closes now. */
  destroy(): void
}

export interface ListenOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** Whether other threads of this process listen on the same port; the kernel spreads connections over them. */
  readonly reusePort: boolean
  /** The buffer that all connections receive into; without it each chunk has its own. */
  readonly receiveBuffer?: Buffer
  /** Makes the owner of a new connection; undefined refuses the connection (what was written is still sent). */
  readonly accept: (connection: Connection) => ConnectionEvents | undefined
  /** Errors of accepting (too many open files); the listener goes on. */
  readonly failed: (error: Error) => void
}

/** Idle peers that vanished are noticed after this time (Redis: tcp-keepalive). */
const KEEP_ALIVE_MS = 300_000
const BACKLOG = 511

/** The write side's high water mark: `drained` is said only after more than this was waiting. */
export const UNSENT_NOTICED_BYTES = 65_536

interface WithHandle {
  _handle: unknown
}

class SocketConnection implements Connection {
  readonly #socket: net.Socket
  events: ConnectionEvents | undefined

  constructor(raw: net.Socket, receiveBuffer: Buffer | undefined, closed: (connection: SocketConnection) => void) {
    const socket = receiveBuffer === undefined ? raw : this.#rewrap(raw, receiveBuffer)
    this.#socket = socket
    if (receiveBuffer === undefined) socket.on('data', (chunk: Buffer) => this.events?.received(chunk, chunk.length))
    socket.on('end', () => this.events?.ended())
    // The 'close' that follows says all that matters: peers reset connections at any time.
    socket.on('error', () => {})
    socket.on('close', () => {
      closed(this)
      this.events?.closed()
    })
    socket.on('drain', () => this.events?.drained())
  }

  #rewrap(raw: net.Socket, buffer: Buffer): net.Socket {
    const owner = raw as unknown as WithHandle
    const handle = owner._handle
    assert(handle !== null && handle !== undefined, 'an accepted socket has a handle')
    owner._handle = null
    const options = {
      handle,
      allowHalfOpen: true,
      writableHighWaterMark: UNSENT_NOTICED_BYTES,
      onread: {
        buffer,
        callback: (length: number): boolean => {
          this.events?.received(buffer, length)
          return true
        },
      },
    }
    return new net.Socket(options as unknown as net.SocketConstructorOpts)
  }

  get remoteAddress(): string {
    return joinAddress(this.#socket.remoteAddress, this.#socket.remotePort)
  }

  get localAddress(): string {
    return joinAddress(this.#socket.localAddress, this.#socket.localPort)
  }

  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#socket
    if (!socket.writable) return true
    socket.write(bytes)
    return socket.writableLength === 0
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#socket.destroyed) this.#socket.resume()
  }

  close(): void {
    this.#socket.destroySoon()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

function joinAddress(address: string | undefined, port: number | undefined): string {
  if (address === undefined) return '?:0'
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** A port that is listened on, and its open connections. */
export class Listener {
  readonly #server: net.Server
  readonly #connections = new Set<SocketConnection>()
  readonly #options: ListenOptions
  #whenEmpty: (() => void) | undefined

  private constructor(options: ListenOptions) {
    this.#options = options
    this.#server = net.createServer(
      {
        pauseOnConnect: options.receiveBuffer !== undefined,
        highWaterMark: UNSENT_NOTICED_BYTES,
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_MS,
      },
      socket => this.#accept(socket),
    )
  }

  /** Rejects with ADDRESS_TAKEN or ADDRESS_REFUSED. */
  static listen(options: ListenOptions): Promise<Listener> {
    const listener = new Listener(options)
    const { host, port, reusePort } = options
    return new Promise((resolve, reject) => {
      const server = listener.#server
      const failed = (error: NodeJS.ErrnoException) => reject(listenError(host, port, error))
      server.once('error', failed)
      server.listen({ host, port, reusePort, backlog: BACKLOG, exclusive: true }, () => {
        server.off('error', failed)
        server.on('error', options.failed)
        resolve(listener)
      })
    })
  }

  get port(): number {
    return boundTo(this.#server).port
  }

  get host(): string {
    return boundTo(this.#server).address
  }

  get connections(): number {
    return this.#connections.size
  }

  #accept(raw: net.Socket): void {
    // A peer that is gone already leaves a socket without a handle.
    if ((raw as unknown as WithHandle)._handle === null) return
    const connection = new SocketConnection(raw, this.#options.receiveBuffer, gone => {
      this.#connections.delete(gone)
      if (this.#connections.size === 0) this.#whenEmpty?.()
    })
    this.#connections.add(connection)
    connection.events = this.#options.accept(connection)
    if (connection.events === undefined) connection.close()
  }

  /** Accepts no more; open connections stay. */
  stopAccepting(): void {
    this.#server.close()
  }

  /** Resolves once no connection is open. */
  empty(): Promise<void> {
    if (this.#connections.size === 0) return Promise.resolve()
    return new Promise(resolve => {
      this.#whenEmpty = resolve
    })
  }

  destroyConnections(): void {
    for (const connection of this.#connections) connection.destroy()
  }
}

function boundTo(server: net.Server): net.AddressInfo {
  const address = server.address()
  assert(address !== null && typeof address === 'object', 'a listening server has an address')
  return address
}

/** An error of listening, in words for the user. */
export function listenError(
  host: string,
  port: number,
  error: NodeJS.ErrnoException,
  setting = '--port, environment TIDEMARK_PORT',
): TidemarkError {
  if (error.code === 'EADDRINUSE') {
    const message = `${host}:${port} is taken by another process; stop it, or choose another port (${setting})`
    return new TidemarkError('ADDRESS_TAKEN', message, { cause: error })
  }
  const hostSetting = setting.replace('-port', '-host').replace('_PORT', '_HOST')
  const message = `cannot listen on ${host}:${port}: ${messageOf(error)} (set by ${hostSetting}; ${setting})`
  return new TidemarkError('ADDRESS_REFUSED', message, { cause: error })
}
