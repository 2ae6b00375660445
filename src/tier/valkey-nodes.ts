// The servers of a cluster, or the one there is: which of them serves a slot, a connection to each primary, and calls that
// follow the cluster wherever it goes, within their deadline. Not for: what is called (valkey-tier.ts).
//
// A call is sent again when a server says that it did not run it (MOVED, ASK, TRYAGAIN, LOADING, CLUSTERDOWN, READONLY, a
// missing function), and when its connection was lost, in which case it may have run: `uncertain` says so. All calls of the
// tier may run twice (docs/internals/valkey-tier.md says why of each).
import { ErrorReply } from 'redis'
import { sleep, type Clock } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { CLUSTER_SLOTS } from './valkey-lanes.ts'
import { ValkeyConnection } from './valkey-connection.ts'
import type {
  ValkeyAddress,
  ValkeyArguments,
  ValkeyTemplate,
  ValkeyLink,
  ValkeyReply,
  ValkeyTimes,
} from './valkey-connection.ts'
import { isFunctionMissing, type ServerFacts, type ValkeyFunctions } from './valkey-functions.ts'

export interface ValkeyNodesOptions {
  readonly seeds: readonly ValkeyAddress[]
  readonly template: ValkeyTemplate
  /** Where a server is reached that the cluster calls `host:port`; left out, there. */
  readonly nodeAddress?: ((address: string) => ValkeyAddress | undefined) | undefined
  readonly clock: Clock
  readonly random: Random
  readonly times: ValkeyTimes
  readonly timeoutMs: number
  readonly functions: ValkeyFunctions
}

/** A server with a connection for calls. */
export class ValkeyNode {
  /** As the cluster calls it. */
  readonly name: string
  readonly address: ValkeyAddress
  readonly connection: ValkeyConnection
  /** Of the server's process that the connection leads to; of the latest one while there is none. */
  facts: ServerFacts = { shard: '', serverMs: 0 }
  /** The server's time less this machine's monotonic time, as last heard. */
  clockOffsetMs = 0
  /** Since when it cannot be asked, in monotonic ms; undefined while it can. */
  downSinceMs: number | undefined

  constructor(name: string, address: ValkeyAddress, connect: (node: ValkeyNode) => ValkeyConnection, nowMs: number) {
    this.name = name
    this.address = address
    this.downSinceMs = nowMs
    this.connection = connect(this)
  }
}

export interface ValkeyCall {
  readonly slot: number
  readonly args: ValkeyArguments
  /** Bytes of `args` that take their time. */
  readonly bytes?: number
  /** It must not run twice: a lost connection is a rejection. */
  readonly once?: boolean
}

export interface ValkeyAnswer {
  readonly reply: ValkeyReply
  readonly node: ValkeyNode
  /** A connection was lost on the way: it may have run more than once. */
  readonly uncertain: boolean
}

interface Attempt {
  readonly call: ValkeyCall
  readonly deadlineMs: number
  uncertain: boolean
  redirects: number
  /** Where the cluster said to ask just once. */
  askAt: ValkeyNode | undefined
  cause: unknown
}

/** A call may take a millisecond longer for every so many bytes. */
const BYTES_PER_MS = 16_384
/** Servers that are asked side by side who serves what. */
const ASKED_AT_ONCE = 3

export class ValkeyNodes {
  readonly #options: ValkeyNodesOptions
  readonly #nodes = new Map<string, ValkeyNode>()
  readonly #owners: (ValkeyNode | undefined)[] = Array.from({ length: CLUSTER_SLOTS })
  /** Every server heard of, replicas too: whom to ask when no primary answers. */
  readonly #known = new Map<string, ValkeyAddress>()
  readonly #waiting = new Set<() => void>()
  readonly #onMoved = new Set<() => void>()
  #refreshing: Promise<void> | undefined
  #closed = false
  #refreshError: unknown
  /** undefined until a server has said so. */
  cluster: boolean | undefined

  constructor(options: ValkeyNodesOptions) {
    this.#options = options
    for (const seed of options.seeds) this.#known.set(nameOf(seed), seed)
  }

  /** Resolves once a server has said who serves what, and the primaries that can be reached are connected. */
  async connect(): Promise<void> {
    const { clock, times } = this.#options
    const deadlineMs = clock.monotonicMs() + 2 * times.connectMs
    await this.refresh()
    if (this.cluster === undefined) throw this.#unavailable('no server answers', this.#refreshError)
    while ([...this.#nodes.values()].some(node => node.connection.link === undefined)) {
      if (clock.monotonicMs() >= deadlineMs) break
      await this.#change(Math.max(1, deadlineMs - clock.monotonicMs()))
    }
    const nodes = [...this.#nodes.values()]
    if (nodes.every(node => node.connection.link === undefined)) {
      throw this.#unavailable('no primary can be reached', nodes[0]?.connection.lastError)
    }
    void this.#keepAsking()
  }

  /** Who serves slots, as far as is known. */
  primaries(): ValkeyNode[] {
    return [...this.#nodes.values()]
  }

  owner(slot: number): ValkeyNode | undefined {
    return this.#owners[slot]
  }

  /** Calls `moved` whenever slots may have moved. */
  onMoved(moved: () => void): void {
    this.#onMoved.add(moved)
  }

  close(): void {
    this.#closed = true
    for (const node of this.#nodes.values()) node.connection.close()
    this.#nodes.clear()
    this.#changed()
  }

  /** The reply, or a rejection with TIER_UNAVAILABLE, or with the server's own ErrorReply where it refused the call for good. */
  async send(call: ValkeyCall): Promise<ValkeyAnswer> {
    const { clock, timeoutMs } = this.#options
    const allowedMs = timeoutMs + (call.bytes ?? 0) / BYTES_PER_MS
    const attempt: Attempt = {
      call,
      deadlineMs: clock.monotonicMs() + allowedMs,
      uncertain: false,
      redirects: 0,
      askAt: undefined,
      cause: undefined,
    }
    const late = Promise.withResolvers<never>()
    const giveUp = (): void => {
      late.reject(this.#unavailable(`no answer within ${allowedMs.toFixed(0)} ms (timeoutMs)`, attempt.cause))
    }
    // When this process slept, the answer may be here and only has to be read.
    let timer = clock.timer(allowedMs, () => {
      timer = clock.timer(0, giveUp)
    })
    try {
      return await Promise.race([this.#attempt(attempt), late.promise])
    } finally {
      timer.cancel()
    }
  }

  async #attempt(attempt: Attempt): Promise<ValkeyAnswer> {
    const { clock } = this.#options
    for (;;) {
      const node = attempt.askAt ?? this.#owners[attempt.call.slot]
      const link = node?.connection.link
      if (node === undefined || link === undefined) {
        await this.#waitFor(node, attempt)
        continue
      }
      try {
        const reply = await this.#ask(link, attempt)
        return { reply, node, uncertain: attempt.uncertain }
      } catch (error) {
        attempt.cause = error
        attempt.askAt = undefined
        if (error instanceof ErrorReply) await this.#redirect(error, node, link, attempt)
        else if (attempt.call.once === true) throw this.#unavailable('the connection was lost', error)
        else attempt.uncertain = true
      }
      if (clock.monotonicMs() >= attempt.deadlineMs) throw this.#unavailable('no answer in time', attempt.cause)
    }
  }

  #ask(link: ValkeyLink, attempt: Attempt): Promise<ValkeyReply> {
    if (attempt.askAt !== undefined) {
      // Both are queued in one go, and so nothing comes between them on the connection.
      link.send(['ASKING']).catch(() => {})
    }
    return link.send(attempt.call.args)
  }

  /** Waits for a server that is not connected; not at all when it has been gone for longer than a call may take. */
  async #waitFor(node: ValkeyNode | undefined, attempt: Attempt): Promise<void> {
    const { clock, timeoutMs } = this.#options
    const nowMs = clock.monotonicMs()
    const leftMs = attempt.deadlineMs - nowMs
    const goneMs = node?.downSinceMs === undefined ? 0 : nowMs - node.downSinceMs
    if (this.#closed || leftMs <= 0 || goneMs > timeoutMs) {
      const cause = attempt.cause ?? node?.connection.lastError
      throw this.#unavailable(`${node?.name ?? `the primary of slot ${attempt.call.slot}`} cannot be reached`, cause)
    }
    if (node === undefined) this.#refreshSoon()
    await this.#change(leftMs)
  }

  // What a server says that did not run the call. Whatever else it says is its answer.
  async #redirect(error: ErrorReply, node: ValkeyNode, link: ValkeyLink, attempt: Attempt): Promise<void> {
    if (this.#closed) throw this.#unavailable('the tier is closed', error)
    const [word, slot, target] = error.message.split(' ')
    if ((word === 'MOVED' || word === 'ASK') && target !== undefined) {
      if (++attempt.redirects > limits.tierRedirectsMax) throw this.#unavailable('redirected again and again', error)
      const to = this.#nodeAt(this.#targetName(target, node))
      if (word === 'ASK') attempt.askAt = to
      else this.#moved(Number(slot), to)
      return
    }
    if (isFunctionMissing(error)) return await this.#options.functions.load(link)
    if (word === 'CLUSTERDOWN' || word === 'READONLY' || word === 'MASTERDOWN') this.#refreshSoon()
    else if (word !== 'TRYAGAIN' && word !== 'LOADING' && word !== 'BUSY') throw error
    const leftMs = attempt.deadlineMs - this.#options.clock.monotonicMs()
    await this.#change(Math.min(limits.tierTryAgainMs, Math.max(1, leftMs)))
  }

  /** `MOVED 1 :7001` means the host that said so. */
  #targetName(target: string, node: ValkeyNode): string {
    const port = target.slice(target.lastIndexOf(':') + 1)
    const host = target.slice(0, target.lastIndexOf(':'))
    return `${host === '' ? node.name.slice(0, node.name.lastIndexOf(':')) : host}:${port}`
  }

  #moved(slot: number, to: ValkeyNode): void {
    if (this.#owners[slot] !== to) {
      this.#owners[slot] = to
      this.#changed()
      for (const moved of this.#onMoved) moved()
    }
    this.#refreshSoon()
  }

  #nodeAt(name: string): ValkeyNode {
    const known = this.#nodes.get(name)
    if (known !== undefined) return known
    const nowMs = this.#options.clock.monotonicMs()
    const node = new ValkeyNode(name, this.#know(name), node => this.#connectTo(node), nowMs)
    this.#nodes.set(name, node)
    return node
  }

  #connectTo(node: ValkeyNode): ValkeyConnection {
    const { template, clock, times, functions } = this.#options
    return new ValkeyConnection({
      address: node.address,
      template,
      clock,
      times,
      prepare: async link => {
        node.facts = await functions.about(link)
        node.clockOffsetMs = node.facts.serverMs - clock.monotonicMs()
      },
      probe: link => link.send(['PING']),
      onReady: () => {
        node.downSinceMs = undefined
        this.#changed()
      },
      onDown: () => {
        node.downSinceMs = clock.monotonicMs()
        this.#changed()
        this.#refreshSoon()
      },
    })
  }

  // Who serves what.

  #refreshSoon(): void {
    void this.refresh()
  }

  /** Asks who serves what, one server after the other until one answers; one such round at a time. Never rejects. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refreshOnce().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refreshOnce(): Promise<void> {
    if (this.#closed) return
    const nodes = [...this.#nodes.values()].filter(node => node.connection.link !== undefined)
    this.#shuffle(nodes)
    // Several at once, the first answer counts: one that hangs, or has been cut off, is not waited for.
    const asked = nodes.slice(0, ASKED_AT_ONCE).map(node => this.#slotsOf(node.connection.link!, node.name))
    const slots = await Promise.any(asked).catch(() => undefined)
    if (slots !== undefined) return this.#learn(slots)
    const others = [...this.#known.values()]
    try {
      this.#learn(await Promise.any(others.map(address => this.#askStranger(address))))
    } catch (error) {
      this.#refreshError = error instanceof AggregateError ? (error.errors[0] as unknown) : error
    }
  }

  /** Over a connection for this alone. */
  async #askStranger(address: ValkeyAddress): Promise<Slots> {
    const { template, clock, times } = this.#options
    const { promise, resolve, reject } = Promise.withResolvers<Slots>()
    const connection = new ValkeyConnection({
      address,
      template,
      clock,
      times,
      prepare: link =>
        this.#slotsOf(link, nameOf(address)).then(resolve, (error: unknown) => {
          reject(error instanceof Error ? error : new Error(messageOf(error)))
        }),
      probe: async () => {},
      onReady: () => {},
      onDown: () => {},
    })
    const timer = clock.timer(times.connectMs, () => reject(new Error(connection.lastError)), { unref: true })
    try {
      return await promise
    } finally {
      timer.cancel()
      connection.close()
    }
  }

  async #slotsOf(link: ValkeyLink, name: string): Promise<Slots> {
    try {
      const ranges = (await link.send(['CLUSTER', 'SLOTS'])) as SlotRanges
      if (ranges.length === 0) throw new Error(`${name} is of a cluster without slots`)
      return { name, ranges }
    } catch (error) {
      if (!messageOf(error).includes('cluster support disabled')) throw error
      return { name, ranges: undefined }
    }
  }

  #learn({ name, ranges }: Slots): void {
    if (this.#closed) return
    this.cluster = ranges !== undefined
    const at = name.lastIndexOf(':')
    const only: SlotNode = [name.slice(0, at), Number(name.slice(at + 1))]
    let moved = false
    for (const [from, to, primary, ...replicas] of ranges ?? [[0, CLUSTER_SLOTS - 1, only]]) {
      const node = this.#nodeAt(placeOf(primary, name))
      for (const replica of replicas) this.#know(placeOf(replica, name))
      for (let slot = from; slot <= to; slot++) {
        if (this.#owners[slot] === node) continue
        this.#owners[slot] = node
        moved = true
      }
    }
    if (!moved) return
    const serving = new Set(this.#owners)
    for (const [key, node] of this.#nodes) {
      if (serving.has(node)) continue
      node.connection.close()
      this.#nodes.delete(key)
    }
    this.#changed()
    for (const tell of this.#onMoved) tell()
  }

  /** Where a server is, by the name that the cluster has for it. */
  #know(name: string): ValkeyAddress {
    const at = name.lastIndexOf(':')
    const address = this.#options.nodeAddress?.(name) ?? { host: name.slice(0, at), port: Number(name.slice(at + 1)) }
    this.#known.set(nameOf(address), address)
    return address
  }

  /** Goes on asking: often while a primary cannot be reached, now and then otherwise. */
  async #keepAsking(): Promise<void> {
    const { clock } = this.#options
    while (!this.#closed) {
      const trouble = [...this.#nodes.values()].some(node => node.connection.link === undefined)
      await this.#change(trouble ? limits.tierSlotsRetryMs : limits.tierSlotsMs)
      const askedAtMs = clock.monotonicMs()
      await this.refresh()
      const leftMs = limits.tierSlotsRetryMs - (clock.monotonicMs() - askedAtMs)
      if (leftMs > 0) await sleep(clock, leftMs)
    }
  }

  // Waiting for something to change.

  #changed(): void {
    for (const wake of this.#waiting) wake()
  }

  /** Resolves when a connection comes or goes or a slot moves, after `ms` at the latest. */
  #change(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = (): void => {
      this.#waiting.delete(wake)
      timer.cancel()
      resolve()
    }
    const timer = this.#options.clock.timer(ms, wake, { unref: true })
    this.#waiting.add(wake)
    return promise
  }

  #shuffle<T>(items: T[]): void {
    for (let index = items.length - 1; index > 0; index--) {
      const other = this.#options.random.below(index + 1)
      ;[items[index], items[other]] = [items[other]!, items[index]!]
    }
  }

  #unavailable(what: string, cause: unknown): TidemarkError {
    const because = cause === undefined ? '' : `: ${messageOf(cause)}`
    return new TidemarkError('TIER_UNAVAILABLE', `${what}${because}`, { cause })
  }
}

/** What CLUSTER SLOTS says, and who said it; no ranges where there is no cluster. */
interface Slots {
  readonly name: string
  readonly ranges: SlotRanges | undefined
}
type SlotRanges = readonly (readonly [number, number, SlotNode, ...SlotNode[]])[]
type SlotNode = readonly [Buffer | string | null, number, ...unknown[]]

/** `host:port` of a server in CLUSTER SLOTS; one without a host is where the answer came from. */
function placeOf([host, port]: SlotNode, asked: string): string {
  const text = host === null ? '' : host.toString()
  return `${text === '' || text === '?' ? asked.slice(0, asked.lastIndexOf(':')) : text}:${port}`
}

export function nameOf({ host, port }: ValkeyAddress): string {
  return `${host}:${port}`
}
