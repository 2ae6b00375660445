// The lanes' messages: a sharded subscription of every lane at whoever serves its slot, over a connection of its own to each
// of these. A lane is `lost` when its connection goes, when its slot moves, and again once it is subscribed anew.
// Not for: what the messages mean (a near cache).
//
// node-redis forgets a server's own "you are not subscribed any more" when it comes while a command is under way. So what is
// asked of a connection now and then is how many subscriptions it has; too few, and it is opened again.
import { ErrorReply } from 'redis'
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import type { LaneListener } from './tier.ts'
import { decodeMessage } from './valkey-bytes.ts'
import { ValkeyConnection } from './valkey-connection.ts'
import type { ValkeyTemplate, ValkeyLink, ValkeyTimes } from './valkey-connection.ts'
import type { LaneNames } from './valkey-lanes.ts'
import type { ValkeyNode, ValkeyNodes } from './valkey-nodes.ts'

export interface ValkeySubscriptionsOptions {
  readonly nodes: ValkeyNodes
  readonly names: readonly LaneNames[]
  readonly template: ValkeyTemplate
  readonly clock: Clock
  readonly times: ValkeyTimes
}

/** The subscriptions at one server. */
interface Place {
  readonly node: ValkeyNode
  readonly connection: ValkeyConnection
  readonly lanes: Set<number>
  /** Those of `lanes` that the server has confirmed over the connection at hand. */
  readonly subscribed: Set<number>
}

export class ValkeySubscriptions {
  readonly #options: ValkeySubscriptionsOptions
  readonly #listeners = new Set<LaneListener>()
  readonly #places = new Map<ValkeyNode, Place>()
  /** Where each lane is subscribed, or about to be. */
  readonly #placeOf: (Place | undefined)[] = []
  /** Lanes that have been subscribed before, or are believed to be: what comes after that may have gaps. */
  readonly #begun = new Set<number>()
  readonly #waiting = new Set<() => void>()
  #open = false

  constructor(options: ValkeySubscriptionsOptions) {
    this.#options = options
    options.nodes.onMoved(() => this.#place())
  }

  /** Tells `listener` of every lane from now on. Resolves when all lanes are subscribed whose servers can be reached. */
  async add(listener: LaneListener): Promise<void> {
    this.#listeners.add(listener)
    this.#open = true
    this.#place()
    const { clock, times, names } = this.#options
    const { promise, resolve } = Promise.withResolvers<void>()
    const complete = (): void => {
      if (this.#subscribed() === names.length) resolve()
    }
    this.#waiting.add(complete)
    const timer = clock.timer(times.connectMs, resolve)
    complete()
    await promise
    timer.cancel()
    this.#waiting.delete(complete)
    // A listener takes all lanes for subscribed from here on: those that were not have gaps.
    for (const lane of names.keys()) this.#begun.add(lane)
  }

  remove(listener: LaneListener): void {
    this.#listeners.delete(listener)
    if (this.#listeners.size === 0) this.close()
  }

  /** Nobody is told anything any more. */
  close(): void {
    this.#open = false
    this.#listeners.clear()
    for (const place of this.#places.values()) place.connection.close()
    this.#places.clear()
    this.#placeOf.length = 0
    this.#begun.clear()
    for (const wake of this.#waiting) wake()
  }

  /** Lanes whose messages arrive. */
  #subscribed(): number {
    let count = 0
    for (const place of this.#places.values()) count += place.subscribed.size
    return count
  }

  /** Puts every lane where its slot is served. */
  #place(): void {
    if (!this.#open) return
    const { names, nodes } = this.#options
    const moved: number[] = []
    for (const [lane, { slot }] of names.entries()) {
      const node = nodes.owner(slot)
      const before = this.#placeOf[lane]
      if (node === undefined || before?.node === node) continue
      if (before !== undefined) {
        before.lanes.delete(lane)
        before.subscribed.delete(lane)
      }
      const place = this.#places.get(node) ?? this.#connect(node)
      place.lanes.add(lane)
      this.#placeOf[lane] = place
      if (this.#begun.has(lane)) moved.push(lane)
      this.#subscribeSoon(place, lane)
    }
    for (const [node, place] of this.#places) {
      if (place.lanes.size > 0) continue
      place.connection.close()
      this.#places.delete(node)
    }
    this.#lost(moved)
  }

  #connect(node: ValkeyNode): Place {
    const { template, clock, times } = this.#options
    const connection = new ValkeyConnection({
      address: node.address,
      template,
      clock,
      times,
      prepare: async link => {
        link.client.on('sharded-channel-moved', (channel: string) => this.#ended(place, link, channel))
        await Promise.all([...place.lanes].map(lane => this.#subscribe(place, link, lane)))
      },
      probe: link => this.#probe(place, link),
      probeAlways: true,
      onReady: () => {
        // Lanes that came while the others were subscribed.
        for (const lane of place.lanes) if (!place.subscribed.has(lane)) this.#subscribeSoon(place, lane)
      },
      onDown: () => {
        const lanes = [...place.subscribed]
        place.subscribed.clear()
        this.#lost(lanes)
        void this.#options.nodes.refresh()
      },
    })
    const place: Place = { node, connection, lanes: new Set(), subscribed: new Set() }
    this.#places.set(node, place)
    return place
  }

  async #subscribe(place: Place, link: ValkeyLink, lane: number): Promise<void> {
    const { names, nodes } = this.#options
    try {
      await link.client.sSubscribe(names[lane]!.channel, bytes => this.#hear(place, link, lane, bytes), true)
    } catch (error) {
      if (!(error instanceof ErrorReply) || !error.message.startsWith('MOVED')) throw error
      // The lane has gone elsewhere: the others of this server are not held up by it.
      void nodes.refresh().then(() => this.#subscribeSoon(place, lane))
      return
    }
    link.heard()
    if (!place.lanes.has(lane)) return
    place.subscribed.add(lane)
    if (this.#begun.has(lane)) this.#lost([lane])
    this.#begun.add(lane)
    for (const wake of this.#waiting) wake()
  }

  /** Unless the lane has moved on by then. */
  #subscribeSoon(place: Place, lane: number): void {
    this.#options.clock.timer(limits.tierTryAgainMs, () => {
      const { link } = place.connection
      if (link === undefined || !place.lanes.has(lane) || place.subscribed.has(lane)) return
      // A connection that fails takes up all of its lanes when it is there again.
      this.#subscribe(place, link, lane).catch(() => {})
    })
  }

  /** The server has ended a subscription: its slot has moved. */
  #ended(place: Place, link: ValkeyLink, channel: string): void {
    const { names, nodes } = this.#options
    const lane = names.findIndex(name => name.channel === channel)
    if (place.connection.link !== link || !place.subscribed.delete(lane)) return
    this.#lost([lane])
    void nodes.refresh().then(() => this.#subscribeSoon(place, lane))
  }

  #hear(place: Place, link: ValkeyLink, lane: number, bytes: Buffer): void {
    link.heard()
    // A server that a lane has left may still pass on what it hears.
    if (this.#placeOf[lane] !== place) return
    const message = decodeMessage(bytes)
    if (message === undefined) return this.#lost([lane])
    for (const listener of this.#listeners) listener.message(lane, message)
  }

  #lost(lanes: readonly number[]): void {
    if (lanes.length === 0) return
    for (const listener of this.#listeners) listener.lost(lanes)
  }

  /** Rejects when the server has fewer subscriptions of this connection than it has confirmed. */
  async #probe(place: Place, link: ValkeyLink): Promise<void> {
    const expected = place.subscribed.size
    const info = String(await link.send(['CLIENT', 'INFO']))
    const has = /\bssub=(\d+)/.exec(info)?.[1]
    if (has !== undefined && Number(has) < Math.min(expected, place.subscribed.size)) {
      throw new Error(`${has} of ${expected} subscriptions are left`)
    }
  }
}
