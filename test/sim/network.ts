// The network between processes: connections keep their order, different ones do not; messages take their time; a cut in
// one direction holds what is sent until it heals. Whoever waits too long closes his connection, and what he had sent
// before may arrive all the same.
// Not for: what is said (the models).
import type { Random } from '../../src/base/random.ts'
import type { SimProcess } from './machine.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface NetworkShape {
  readonly delayMs: number
  /** One message in so many is slow (0: none), by up to `slowMs`. */
  readonly slowOneIn: number
  readonly slowMs: number
}

/** Rejects a call: it may have had its effect, or may still have it. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
}

export class Network {
  readonly time: VirtualTime
  readonly shape: NetworkShape
  readonly #random: Random
  readonly #cuts: Map<string, number>
  readonly #held: Map<string, (() => void)[]>

  /** `over`: another one's wires, with delays of its own, so that what one part sends changes nothing for another. */
  constructor(time: VirtualTime, shape: NetworkShape, random: Random, over?: Network) {
    this.time = time
    this.shape = shape
    this.#random = random
    this.#cuts = over === undefined ? new Map<string, number>() : over.#cuts
    this.#held = over === undefined ? new Map<string, (() => void)[]>() : over.#held
  }

  /** Nothing gets from one host to the other; the function returned heals it. */
  cut(from: string, to: string): () => void {
    const way = `${from}>${to}`
    this.#cuts.set(way, (this.#cuts.get(way) ?? 0) + 1)
    let healed = false
    return () => {
      if (healed) return
      healed = true
      const left = this.#cuts.get(way)! - 1
      if (left > 0) {
        this.#cuts.set(way, left)
        return
      }
      this.#cuts.delete(way)
      const held = this.#held.get(way) ?? []
      this.#held.delete(way)
      for (const deliver of held) this.time.after(0, deliver)
    }
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from}>${to}`)
  }

  delayMs(): number {
    const { delayMs, slowOneIn, slowMs } = this.shape
    const usualMs = delayMs * (0.5 + this.#random.fraction())
    return slowOneIn > 0 && this.#random.below(slowOneIn) === 0 ? usualMs + this.#random.fraction() * slowMs : usualMs
  }

  /** Now, or when the way is free. */
  pass(from: string, to: string, deliver: () => void): void {
    if (!this.isCut(from, to)) {
      deliver()
      return
    }
    const way = `${from}>${to}`
    const held = this.#held.get(way)
    if (held === undefined) this.#held.set(way, [deliver])
    else held.push(deliver)
  }
}

/** One direction of a connection: what is sent arrives in order, or not at all. */
class Way {
  readonly #network: Network
  readonly #from: SimProcess
  readonly #to: SimProcess
  readonly #queue: (() => void)[] = []
  #lastMs = 0
  #arrived = 0

  constructor(network: Network, from: SimProcess, to: SimProcess) {
    this.#network = network
    this.#from = from
    this.#to = to
  }

  send(deliver: () => void): void {
    const network = this.#network
    const { time } = network
    this.#queue.push(deliver)
    const atMs = Math.max(time.nowMs + network.delayMs(), this.#lastMs)
    this.#lastMs = atMs
    time.after(atMs - time.nowMs, () =>
      network.pass(this.#from.name, this.#to.name, () => {
        // A cut may have held an earlier one for longer: each arrival delivers the next in order.
        this.#arrived++
        this.#drain()
      }),
    )
  }

  #drain(): void {
    while (this.#arrived > 0) {
      this.#arrived--
      const deliver = this.#queue.shift()!
      this.#to.enter(deliver)
    }
  }
}

/** What a server does with a call, at once or later. */
export type Serve<T> = (answer: (value: T) => void, refuse: (error: Error) => void) => void

export class Connection {
  readonly client: SimProcess
  readonly server: SimProcess
  readonly #out: Way
  readonly #in: Way
  readonly #waiting = new Set<(error: Error) => void>()
  readonly #closings: (() => void)[] = []
  readonly #serverClosings: (() => void)[] = []
  #open = true
  #openAtServer = true

  constructor(network: Network, client: SimProcess, server: SimProcess) {
    this.client = client
    this.server = server
    this.#out = new Way(network, client, server)
    this.#in = new Way(network, server, client)
    server.onDeath(() => this.#in.send(() => this.#lost('the server has closed the connection')))
    client.onDeath(() => this.#out.send(() => this.#closeAtServer()))
    if (!server.alive) this.#in.send(() => this.#lost('nobody listens'))
  }

  get open(): boolean {
    return this.#open
  }

  /** Asks the server for something; rejects with ConnectionLost when no answer comes in time. */
  call<T>(timeoutMs: number, serve: Serve<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    if (!this.#open) {
      reject(new ConnectionLost('the connection is closed'))
      return promise
    }
    const timer = this.client.clock.timer(timeoutMs, () => this.close(`no answer within ${timeoutMs} ms`))
    const fail = (error: Error): void => {
      timer.cancel()
      this.#waiting.delete(fail)
      reject(error)
    }
    this.#waiting.add(fail)
    const reply = (settle: () => void): void =>
      this.#in.send(() => {
        if (!this.#waiting.delete(fail)) return
        timer.cancel()
        settle()
      })
    this.#out.send(() => {
      serve(
        value => reply(() => resolve(value)),
        error => reply(() => reject(error)),
      )
    })
    return promise
  }

  /** Something that nobody answers. */
  tell(serve: () => void): void {
    if (this.#open) this.#out.send(serve)
  }

  /** The server sends something by itself. */
  push(deliver: () => void): void {
    if (!this.#openAtServer) return
    this.#in.send(() => {
      if (this.#open) deliver()
    })
  }

  /** The server ends the connection. */
  endAtServer(): void {
    if (!this.#openAtServer) return
    this.#closeAtServer()
    this.#in.send(() => this.#lost('the server has ended the connection'))
  }

  close(why = 'closed'): void {
    if (!this.#open) return
    this.#lost(why)
    this.#out.send(() => this.#closeAtServer())
  }

  /** Called in the client once the connection is gone. */
  onClose(callback: () => void): void {
    this.#closings.push(callback)
  }

  /** Called in the server once it knows that the client is gone. */
  onCloseAtServer(callback: () => void): void {
    this.#serverClosings.push(callback)
  }

  #closeAtServer(): void {
    if (!this.#openAtServer) return
    this.#openAtServer = false
    for (const closing of this.#serverClosings.splice(0)) closing()
  }

  #lost(why: string): void {
    if (!this.#open) return
    this.#open = false
    for (const fail of this.#waiting) fail(new ConnectionLost(why))
    this.#waiting.clear()
    for (const closing of this.#closings.splice(0)) closing()
  }
}
