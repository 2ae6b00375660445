// Where a Tidemark server is reached by the load, and a connection to it that comes again by itself: a request that is not
// answered in time ends the connection, and the next one makes a new one.
// Not for: reads in bulk (bulk-reader.ts).
import type { Clock } from '../../src/base/clock.ts'
import { RespClient } from '../support/resp-client.ts'

export interface Endpoint {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly password: string | undefined
  readonly localAddress: string | undefined
}

export class Line {
  readonly endpoint: Endpoint
  readonly #clock: Clock
  readonly #timeoutMs: number
  #client: RespClient | undefined
  #closed = false

  constructor(endpoint: Endpoint, clock: Clock, timeoutMs: number) {
    this.endpoint = endpoint
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /** Makes the connection where there is none; false: nobody is there. */
  async open(): Promise<boolean> {
    if (this.#client !== undefined) return true
    const { host, port, password, localAddress } = this.endpoint
    const secret = password === undefined ? {} : { password }
    const local = localAddress === undefined ? {} : { localAddress }
    const connecting = RespClient.connect(port, { host, ...secret, ...local })
    const client = await this.#within(connecting).catch(() => undefined)
    if (client === undefined) {
      connecting.then(late => late.close()).catch(() => {})
      return false
    }
    if (this.#closed) {
      client.close()
      return false
    }
    this.#client = client
    return true
  }

  /** Sends commands in one packet; undefined: not all of them were answered. Error replies are Errors. To be called when open. */
  async ask(commands: readonly (readonly (string | number)[])[]): Promise<unknown[] | undefined> {
    const client = this.#client
    if (client === undefined) return undefined
    try {
      return await this.#within(Promise.all(commands.map(command => client.command(...command))))
    } catch {
      client.close()
      if (this.#client === client) this.#client = undefined
      return undefined
    }
  }

  close(): void {
    this.#closed = true
    this.#client?.close()
  }

  async #within<T>(work: Promise<T>): Promise<T> {
    let timer: { cancel(): void } | undefined
    const late = new Promise<never>((_, reject) => {
      timer = this.#clock.timer(this.#timeoutMs, () => reject(new Error(`no answer within ${this.#timeoutMs} ms`)))
    })
    try {
      return await Promise.race([work, late])
    } finally {
      timer!.cancel()
    }
  }
}
