// A client's subscriptions to the lanes' messages: one connection to each primary, pinged, taken up again elsewhere when a
// lane has moved or nobody answers. Messages may be lost, doubled or swapped on the way, where the seed says so.
import type { Random } from '../../src/base/random.ts'
import type { LaneMessage } from '../../src/coherence/operations.ts'
import type { LaneListener } from '../../src/tier/tier.ts'
import type { SimProcess } from './machine.ts'
import { Connection, ConnectionLost, type Network } from './network.ts'
import type { Subscriber, ValkeyNode } from './valkey.ts'

/** One message in so many; 0: none. */
export interface MessageFaults {
  readonly lostOneIn: number
  readonly doubledOneIn: number
  readonly swappedOneIn: number
}

export interface SimSubscriptionOptions {
  readonly process: SimProcess
  readonly network: Network
  readonly random: Random
  readonly faults: MessageFaults
  readonly lanes: number
  /** What the cluster calls the first of them. */
  readonly firstLane: number
  /** Says once more that messages were lost when a lane is subscribed again, as the product's tiers do. With a log it need not. */
  readonly tellsAgain: boolean
  readonly primaryOf: (lane: number) => ValkeyNode
  readonly lookAround: () => void
  readonly listener: LaneListener
}

const PING_EVERY_MS = 250
const PING_TIMEOUT_MS = 250
const RETRY_MS = 25

interface Link {
  readonly node: ValkeyNode
  readonly connection: Connection
}

export class SimSubscription {
  readonly #options: SimSubscriptionOptions
  /** The link that a lane's messages come by, once it is asked for them. */
  readonly #links: (Link | undefined)[]
  #retry = false
  #closed = false

  constructor(options: SimSubscriptionOptions) {
    this.#options = options
    this.#links = new Array<Link | undefined>(options.lanes).fill(undefined)
  }

  /** Resolves once every lane was asked for, whether that went well or not. */
  async begin(): Promise<void> {
    await this.#settle()
  }

  close(): void {
    this.#closed = true
    for (const link of this.#open()) link.connection.close()
  }

  /** The client believes a lane to be at another primary now. */
  moved(lane: number): void {
    const link = this.#links[lane]
    if (link === undefined || link.node === this.#options.primaryOf(lane)) return
    this.#lose([lane], link)
  }

  #open(): Set<Link> {
    return new Set(this.#links.filter(link => link !== undefined))
  }

  #lose(lanes: readonly number[], link: Link): void {
    const its = lanes.filter(lane => this.#links[lane] === link)
    if (its.length === 0) return
    for (const lane of its) this.#links[lane] = undefined
    if (this.#closed) return
    this.#options.listener.lost(its)
    this.#later()
  }

  #later(): void {
    if (this.#retry) return
    this.#retry = true
    this.#options.process.clock.timer(RETRY_MS, () => {
      this.#retry = false
      if (!this.#closed) void this.#settle().then(() => this.#again())
    })
  }

  /** Lanes that were asked for late may have told something in between. */
  #again(): void {
    if (this.#links.includes(undefined)) this.#later()
  }

  async #settle(): Promise<void> {
    const { primaryOf, process, network } = this.#options
    const wanted = new Map<ValkeyNode, number[]>()
    for (const [lane, link] of this.#links.entries()) {
      if (link !== undefined) continue
      const node = primaryOf(lane)
      wanted.set(node, [...(wanted.get(node) ?? []), lane])
    }
    await Promise.all(
      [...wanted].map(async ([node, lanes]) => {
        let link = [...this.#open()].find(open => open.node === node && open.connection.open)
        if (link === undefined) {
          link = { node, connection: new Connection(network, process, node.process) }
          this.#watch(link)
        }
        await this.#subscribe(link, lanes)
      }),
    )
  }

  async #subscribe(link: Link, lanes: readonly number[]): Promise<void> {
    const { node, connection } = link
    const { firstLane, tellsAgain, listener } = this.#options
    // From here on messages count: the first may come right behind the answer.
    for (const lane of lanes) this.#links[lane] = link
    try {
      const refused = await connection.call<readonly number[]>(PING_TIMEOUT_MS, answer => {
        const its = lanes.filter(lane => node.owned.has(firstLane + lane) && !node.down && !node.loading)
        for (const lane of its) this.#register(link, lane)
        answer(lanes.filter(lane => !its.includes(lane)))
      })
      if (tellsAgain && !this.#closed) listener.lost(lanes)
      if (refused.length > 0) {
        this.#options.lookAround()
        this.#lose(refused, link)
      }
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error
      this.#lose(lanes, link)
    }
  }

  /** In the server. */
  #register(link: Link, lane: number): void {
    const { node, connection } = link
    const { faults, random, firstLane } = this.#options
    const at = firstLane + lane
    let swapped: LaneMessage | undefined
    const tell: Subscriber = message => {
      const send = (sent: LaneMessage): void => connection.push(() => this.#deliver(link, lane, sent))
      if (oneIn(random, faults.lostOneIn)) return
      if (swapped === undefined && oneIn(random, faults.swappedOneIn)) {
        swapped = message
        return
      }
      send(message)
      if (swapped !== undefined) send(swapped)
      swapped = undefined
      if (oneIn(random, faults.doubledOneIn)) send(message)
    }
    let subscribers = node.subscribers.get(at)
    if (subscribers === undefined) node.subscribers.set(at, (subscribers = new Set()))
    subscribers.add(tell)
    connection.onCloseAtServer(() => subscribers.delete(tell))
    const away = (moved: number): void => {
      if (moved !== at) return
      subscribers.delete(tell)
      node.movedAway.delete(away)
      connection.push(() => {
        this.#options.lookAround()
        this.#lose([lane], link)
      })
    }
    node.movedAway.add(away)
    connection.onCloseAtServer(() => node.movedAway.delete(away))
  }

  #deliver(link: Link, lane: number, message: LaneMessage): void {
    if (!this.#closed && this.#links[lane] === link) this.#options.listener.message(lane, message)
  }

  #watch(link: Link): void {
    const { connection } = link
    const { process, lanes, lookAround } = this.#options
    connection.onClose(() => {
      if (this.#closed) return
      lookAround()
      this.#lose(
        Array.from({ length: lanes }, (_, lane) => lane),
        link,
      )
    })
    const ping = (): void => {
      if (!connection.open) return
      connection
        .call<void>(PING_TIMEOUT_MS, answer => answer(undefined))
        .then(
          () => process.clock.timer(PING_EVERY_MS, ping),
          () => {},
        )
    }
    process.clock.timer(PING_EVERY_MS, ping)
  }
}

function oneIn(random: Random, count: number): boolean {
  return count > 0 && random.below(count) === 0
}
