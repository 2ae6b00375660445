// The simulated cluster as a SharedTier: a client that believes it knows which primary has which lane, follows
// redirections, gives up on nodes that do not answer, and looks around then. Not for: subscriptions (sim-subscription.ts).
import { TidemarkError } from '../../src/base/errors.ts'
import type { Random } from '../../src/base/random.ts'
import { keyHash, laneOf, type LaneState } from '../../src/coherence/lane.ts'
import type {
  ApplyOutcome,
  ApplyRequest,
  BeginOutcome,
  FillOutcome,
  HoldOutcome,
  PutFencedOutcome,
  PutOutcome,
  ResetOutcome,
  VoidOutcome,
} from '../../src/coherence/operations.ts'
import type { LoadStamp, WriteStamp } from '../../src/coherence/stamp.ts'
import type {
  LaneListener,
  LaneSubscription,
  LeaseOptions,
  RenewOptions,
  ResetOptions,
  SharedTier,
  TierLane,
  TierLease,
  TierRead,
  TierValue,
} from '../../src/tier/tier.ts'
import type { Cluster } from './cluster.ts'
import type { SimProcess } from './machine.ts'
import { Connection, ConnectionLost, type Network } from './network.ts'
import { SimSubscription, type MessageFaults } from './sim-subscription.ts'
import type { Redirect, ValkeyNode } from './valkey.ts'

export interface SimTierOptions {
  readonly process: SimProcess
  readonly network: Network
  readonly cluster: Cluster
  /** Which of the cluster's lanes are this client's; all of those that the tide carries unless said otherwise. */
  readonly lanes?: { readonly first: number; readonly count: number }
  readonly random: Random
  readonly timeoutMs: number
  readonly messages: MessageFaults
  /** The newest record format that this client's library knows. */
  readonly formats: number
  /** Told what every operation came to. */
  readonly count: (what: string) => void
}

const REDIRECTIONS_MAX = 4
const LOOK_AROUND_MS = 20
const SUBSCRIPTIONS_LEARN_WITHIN_MS = 300

export class SimTier implements SharedTier {
  readonly lanes: number
  readonly #options: SimTierOptions
  readonly #first: number
  /** Who the client believes to be the primary, by lane. */
  readonly #view: ValkeyNode[]
  readonly #connections = new Map<ValkeyNode, Connection>()
  readonly #subscriptions = new Set<SimSubscription>()
  #looking = false
  #closed = false

  constructor(options: SimTierOptions) {
    this.#options = options
    const { first, count } = options.lanes ?? { first: 0, count: options.cluster.shape.lanes }
    this.lanes = count
    this.#first = first
    this.#view = Array.from({ length: count }, (_, lane) => options.cluster.ownerOf(first + lane))
  }

  read(keys: readonly string[]): Promise<readonly TierRead[]> {
    const { formats } = this.#options
    return Promise.all(
      keys.map(key =>
        this.#onKey(
          'read',
          key,
          (node, lane) => node.read(lane, key, formats),
          () => '',
        ),
      ),
    )
  }

  lease(key: string, options: LeaseOptions): Promise<TierLease> {
    const { formats } = this.#options
    const run = (node: ValkeyNode, lane: number): TierLease => node.lease(lane, key, options, formats)
    return this.#onKey('lease', key, run, ({ outcome }) => outcome)
  }

  renew(key: string, options: RenewOptions): Promise<TierLease> {
    const { formats } = this.#options
    const run = (node: ValkeyNode, lane: number): TierLease => node.renew(lane, key, options, formats)
    return this.#onKey('renew', key, run, ({ outcome }) => outcome)
  }

  hold(key: string, token: bigint, leaseMs: number): Promise<HoldOutcome> {
    return this.#onKey('hold', key, (node, lane) => node.hold(lane, key, token, leaseMs, this.#options.formats))
  }

  fill(key: string, token: bigint, value: TierValue<LoadStamp>): Promise<FillOutcome> {
    const kept = { ...value, payload: value.payload?.slice() ?? null }
    return this.#onKey('fill', key, (node, lane) => node.fill(lane, key, token, kept, this.#options.formats))
  }

  put(key: string, value: TierValue<WriteStamp>): Promise<PutOutcome> {
    const kept = { ...value, payload: value.payload?.slice() ?? null }
    return this.#onKey('put', key, (node, lane) => node.put(lane, key, kept, this.#options.formats))
  }

  voidKey(key: string): Promise<VoidOutcome> {
    return this.#onKey('void', key, (node, lane) => node.voidKey(lane, key, this.#options.formats))
  }

  begin(key: string, id: bigint, fenceMs: number): Promise<BeginOutcome> {
    return this.#onKey('begin', key, (node, lane) => node.begin(lane, key, id, fenceMs, this.#options.formats))
  }

  putFenced(key: string, id: bigint, value: TierValue<WriteStamp>): Promise<PutFencedOutcome> {
    const kept = { ...value, payload: value.payload?.slice() ?? null }
    return this.#onKey('fenced put', key, (node, lane) => node.putFenced(lane, key, id, kept, this.#options.formats))
  }

  lane(lane: number): Promise<LaneState | undefined> {
    return this.#run(
      'lane',
      lane,
      [],
      node => node.lane(this.#first + lane),
      () => '',
    )
  }

  apply(lane: number, request: ApplyRequest): Promise<TierLane<ApplyOutcome>> {
    const keys = [...new Set(request.events.map(event => event.key))]
    return this.#run(
      'apply',
      lane,
      keys,
      node => node.apply(this.#first + lane, request, this.#options.formats),
      ({ outcome }) => outcome,
    )
  }

  reset(lane: number, options: ResetOptions): Promise<TierLane<ResetOutcome>> {
    return this.#run(
      'reset',
      lane,
      [],
      node => node.reset(this.#first + lane, options),
      ({ outcome }) => outcome,
    )
  }

  async subscribe(listener: LaneListener): Promise<LaneSubscription> {
    const { process, network, random, messages } = this.#options
    const subscription = new SimSubscription({
      process,
      network,
      random,
      faults: messages,
      lanes: this.lanes,
      firstLane: this.#first,
      tellsAgain: this.#options.lanes !== undefined,
      primaryOf: lane => this.#view[lane]!,
      lookAround: () => this.#lookAround(),
      listener,
    })
    this.#subscriptions.add(subscription)
    await subscription.begin()
    return {
      close: () => {
        this.#subscriptions.delete(subscription)
        subscription.close()
      },
    }
  }

  close(): Promise<void> {
    this.#closed = true
    for (const subscription of this.#subscriptions) subscription.close()
    for (const connection of this.#connections.values()) connection.close()
    return Promise.resolve()
  }

  // ---- one call

  #onKey<T>(
    what: string,
    key: string,
    run: (node: ValkeyNode, lane: number) => T,
    outcomeOf: (result: T) => string = String,
  ): Promise<T> {
    const lane = laneOf(keyHash(key), this.lanes)
    return this.#run(what, lane, [key], node => run(node, this.#first + lane), outcomeOf)
  }

  async #run<T>(
    what: string,
    lane: number,
    keys: readonly string[],
    run: (node: ValkeyNode) => T,
    outcomeOf: (result: T) => string,
  ): Promise<T> {
    const { cluster, count } = this.#options
    const at = this.#first + lane
    let node = this.#view[lane]!
    let asking = false
    for (let hops = 0; hops < REDIRECTIONS_MAX; hops++) {
      const target = node
      const redirected = await this.#ask(target, (answer: (value: { result: T } | Redirect) => void) => {
        const redirect = target.redirect(at, keys, asking, () => cluster.ownerOf(at)) ?? outOfMemory(target, what)
        answer(redirect ?? { result: run(target) })
      })
      if ('result' in redirected) {
        const outcome = outcomeOf(redirected.result)
        if (outcome !== '') count(`${what} ${outcome}`)
        return redirected.result
      }
      count(`tier ${redirected.kind}`)
      if (redirected.kind !== 'moved' && redirected.kind !== 'ask') {
        this.#lookAround()
        throw new TidemarkError('TIER_UNAVAILABLE', `the simulated cluster: ${redirected.kind}`)
      }
      asking = redirected.kind === 'ask'
      node = redirected.to
      if (!asking) this.#learn(lane, node)
    }
    throw new TidemarkError('TIER_UNAVAILABLE', 'the simulated cluster: too many redirections')
  }

  async #ask<T>(node: ValkeyNode, serve: (answer: (value: T) => void) => void): Promise<T> {
    const { process, network, timeoutMs, count } = this.#options
    let connection = this.#connections.get(node)
    if (connection?.open !== true) {
      connection = new Connection(network, process, node.process)
      this.#connections.set(node, connection)
    }
    try {
      if (this.#closed) throw new ConnectionLost('closed')
      return await connection.call<T>(timeoutMs, serve)
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error
      count('tier unreachable')
      this.#lookAround()
      throw new TidemarkError('TIER_UNAVAILABLE', `the simulated cluster: ${error.message}`, { cause: error })
    }
  }

  // ---- who is who

  #learn(lane: number, node: ValkeyNode): void {
    if (this.#view[lane] === node) return
    this.#view[lane] = node
    // Subscriptions have connections of their own, and learn it in their own time.
    const { process, random } = this.#options
    process.clock.timer(random.fraction() * SUBSCRIPTIONS_LEARN_WITHIN_MS, () => {
      for (const subscription of this.#subscriptions) subscription.moved(lane)
    })
  }

  /** Asks some node of the cluster, a little later; one in the majority, if any can be reached. */
  #lookAround(): void {
    if (this.#looking || this.#closed) return
    this.#looking = true
    const { process, network, cluster } = this.#options
    process.clock.timer(LOOK_AROUND_MS, () => {
      this.#looking = false
      const reachable = cluster
        .primaries()
        .some(
          ({ id, process: node }) => node.alive && !network.isCut(process.name, id) && !network.isCut(id, process.name),
        )
      if (!reachable) return
      for (let lane = 0; lane < this.lanes; lane++) this.#learn(lane, cluster.ownerOf(this.#first + lane))
    })
  }
}

const takesMemory = new Set(['lease', 'fill', 'put', 'fenced put'])

function outOfMemory(node: ValkeyNode, what: string): Redirect | undefined {
  return node.full && takesMemory.has(what) ? { kind: 'oom' } : undefined
}
