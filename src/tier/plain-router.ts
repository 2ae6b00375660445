// Keys that are no rows, on the servers of a tier: sends a command to the server that has its key, follows a cluster's
// redirections, and gives back exactly what was answered, errors too. A command is sent again only when a server said that
// it did not run it. Not for: rows (valkey-tier.ts, tidemark-tier.ts), and which commands may be sent (server/pass-through.ts).
import { sleep, type Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { ReplyError, type Reply } from '../wire/reply.ts'
import { credentialsOf, type TierPlace } from './open-tier.ts'
import { TierConnection } from './tier-connection.ts'
import { textOf } from './tidemark-protocol.ts'
import { CLUSTER_SLOTS, slotOf } from './valkey-lanes.ts'

export type PlainArguments = readonly (string | Uint8Array)[]

/** Said by a server that did not run the command and may do so soon. */
const LATER = /^(TRYAGAIN|CLUSTERDOWN|LOADING|MASTERDOWN) /

export class PlainRouter {
  readonly #place: TierPlace
  readonly #clock: Clock
  readonly #resp: 2 | 3
  readonly #connections = new Map<string, TierConnection>()
  /** `host:port` of each slot's server; empty where there is no cluster. */
  #owners: readonly (string | undefined)[] = []
  #refreshing: Promise<void> | undefined
  #known = false

  /** Replies are those of this version of the protocol. Connects when there is something to send. */
  constructor(place: TierPlace, clock: Clock, resp: 2 | 3) {
    this.#place = place
    this.#clock = clock
    this.#resp = resp
  }

  /** The reply, which may be a ReplyError. Without a key any server will do. Rejects with TIER_UNAVAILABLE. */
  async send(key: Uint8Array | undefined, args: PlainArguments): Promise<Reply> {
    const deadlineMs = this.#clock.monotonicMs() + limits.plainTimeoutMs
    if (!this.#known) await this.#refresh()
    let redirects = 0
    let connection = await this.#reachable(key, deadlineMs)
    for (;;) {
      const reply = await connection.send(args)
      if (!(reply instanceof ReplyError)) return reply
      const [word, , address] = reply.message.split(' ')
      if (word === 'MOVED' || word === 'ASK') {
        if (++redirects > limits.tierRedirectsMax) return reply
        if (word === 'MOVED') void this.#refresh()
        connection = this.#at(address!)
        await this.#open(connection, deadlineMs)
        // Nothing comes between the two.
        if (word === 'ASK') void connection.send(['ASKING'])
        continue
      }
      if (!LATER.test(reply.message) || this.#clock.monotonicMs() + limits.tierTryAgainMs >= deadlineMs) return reply
      await sleep(this.#clock, limits.tierTryAgainMs)
      if (word !== 'LOADING') await this.#refresh()
      connection = await this.#reachable(key, deadlineMs)
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#connections.values()].map(connection => connection.close()))
  }

  /** The connection for the key, open; looks again where the cluster may have changed. */
  async #reachable(key: Uint8Array | undefined, deadlineMs: number): Promise<TierConnection> {
    for (;;) {
      const owner = key === undefined ? undefined : this.#owners[slotOf(key)]
      const connection = owner === undefined ? this.#any() : this.#at(owner)
      if (connection.isOpen) return connection
      await connection.ready().catch(() => {})
      if (connection.isOpen) return connection
      if (this.#clock.monotonicMs() >= deadlineMs) throw this.#unavailable()
      await sleep(this.#clock, limits.tierReconnectMs)
      await this.#refresh()
    }
  }

  async #open(connection: TierConnection, deadlineMs: number): Promise<void> {
    while (!connection.isOpen) {
      await connection.ready().catch(() => {})
      if (connection.isOpen) return
      if (this.#clock.monotonicMs() >= deadlineMs) throw this.#unavailable()
      await sleep(this.#clock, limits.tierReconnectMs)
    }
  }

  #unavailable(): TidemarkError {
    const shown = this.#place.seeds.map(({ host, port }) => `${host}:${port}`).join(', ')
    const message = `the tier (${shown}) has no server for this key that answers within ${limits.plainTimeoutMs} ms`
    return new TidemarkError('TIER_UNAVAILABLE', message)
  }

  #any(): TierConnection {
    for (const connection of this.#connections.values()) if (connection.isOpen) return connection
    const { host, port } = this.#place.seeds[0]!
    return this.#at(`${host}:${port}`)
  }

  #at(address: string): TierConnection {
    let connection = this.#connections.get(address)
    if (connection === undefined) {
      const colon = address.lastIndexOf(':')
      const place = { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) }
      connection = new TierConnection({
        address: { ...place, ...credentialsOf(this.#place) },
        clock: this.#clock,
        resp: this.#resp,
        silentMs: limits.plainTimeoutMs,
      })
      this.#connections.set(address, connection)
    }
    return connection
  }

  /** Asks who serves which slot; calls at the same time share one answer. */
  #refresh(): Promise<void> {
    this.#refreshing ??= this.#askSlots().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #askSlots(): Promise<void> {
    const seeds = this.#place.seeds.map(({ host, port }) => `${host}:${port}`)
    for (const address of new Set([...this.#connections.keys(), ...seeds])) {
      const connection = this.#at(address)
      try {
        await connection.ready().catch(() => {})
        if (!connection.isOpen) continue
        const reply = this.#place.kind === 'valkey' ? await connection.send(['CLUSTER', 'SLOTS']) : []
        this.#known = true
        // A single server says that it is no cluster.
        this.#owners = reply instanceof ReplyError ? [] : ownersIn(reply, address)
        await this.#forgetOthers(seeds)
        return
      } catch (error) {
        if (!(error instanceof TidemarkError)) throw error
      }
    }
  }

  // Servers that have left the cluster.
  async #forgetOthers(seeds: readonly string[]): Promise<void> {
    const kept = new Set([...this.#owners, ...seeds])
    for (const [address, connection] of this.#connections) {
      if (kept.has(address)) continue
      this.#connections.delete(address)
      await connection.close()
    }
  }
}

/** Out of CLUSTER SLOTS; a server that does not know its own address is where it was asked. */
function ownersIn(reply: Reply, asked: string): (string | undefined)[] {
  if (!Array.isArray(reply) || reply.length === 0) return []
  const owners: (string | undefined)[] = Array.from({ length: CLUSTER_SLOTS })
  for (const range of reply) {
    if (!Array.isArray(range) || !Array.isArray(range[2])) continue
    const [host, port] = range[2]
    const name = textOf(host) ?? ''
    const address = `${name === '' ? asked.slice(0, asked.lastIndexOf(':')) : name}:${Number(port)}`
    owners.fill(address, Number(range[0]), Number(range[1]) + 1)
  }
  return owners
}
