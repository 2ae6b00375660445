// One process of a deployment: the product's own reader, writer, near cache, sampler and tide keeper, over the simulated
// database and tier. Not for: what is asked of it (world.ts).
import { messageOf } from '../../src/base/errors.ts'
import { seededRandom, type Random } from '../../src/base/random.ts'
import { Keyspaces, type Backing } from '../../src/cache/keyspaces.ts'
import { MapNear } from '../../src/cache/map-near.ts'
import { NearSubscription } from '../../src/cache/near-subscription.ts'
import { Reader } from '../../src/cache/reader.ts'
import { Sampler } from '../../src/cache/sampler.ts'
import { TideKeeper } from '../../src/cache/tide-keeper.ts'
import type { TideObserver } from '../../src/cache/tide-observer.ts'
import { Writer } from '../../src/cache/writer.ts'
import type { Cluster } from './cluster.ts'
import type { LoglessNode } from './logless-node.ts'
import type { LoglessWorld } from './logless-world.ts'
import { SimProcess } from './machine.ts'
import type { Network } from './network.ts'
import type { Postgres } from './postgres.ts'
import { describeKeyspace, PLAIN, TRIGGERED } from './row.ts'
import { SimFeed } from './sim-feed.ts'
import { SimSource, type SourceShape } from './sim-source.ts'
import type { MessageFaults } from './sim-subscription.ts'
import { SimTier } from './sim-tier.ts'

export interface NodeOptions {
  readonly name: string
  readonly seed: number
  readonly network: Network
  readonly cluster: Cluster
  /** The primary at the time. */
  readonly postgres: Postgres
  readonly source: SourceShape
  readonly messages: MessageFaults
  readonly tierTimeoutMs: number
  readonly maxStalenessMs: number
  readonly nearEntries: number
  /** Whether it may run the tide. */
  readonly tide: boolean
  readonly formats: number
  readonly layout: string
  readonly logless: LoglessWorld | undefined
  readonly newValue: () => number
  readonly count: (what: string) => void
  readonly confirmed: (ageMs: number) => void
  /** What the product never is to reject with. */
  readonly broken: (what: string, error: unknown) => void
}

export class Node {
  readonly name: string
  readonly process: SimProcess
  readonly source: SimSource
  readonly tier: SimTier
  readonly reader: Reader
  readonly writer: Writer
  readonly near: MapNear
  readonly sampler: Sampler
  readonly keeper: TideKeeper | undefined
  readonly logless: LoglessNode | undefined
  /** The database server that new connections go to. */
  postgres: Postgres

  constructor(options: NodeOptions) {
    const { name, network, cluster, count, broken } = options
    const random = seededRandom(options.seed)
    this.name = name
    this.postgres = options.postgres
    this.process = new SimProcess(name, network.time, 1_000 + random.below(1_000_000))
    const { process } = this
    const { clock } = process
    const directory = { primary: () => this.postgres, lanes: cluster.shape.lanes, layout: options.layout }
    this.source = new SimSource({ process, network, directory, shape: options.source, random: fork(random), newValue: options.newValue }) // prettier-ignore
    this.tier = new SimTier({
      process,
      network,
      cluster,
      random: fork(random),
      timeoutMs: options.tierTimeoutMs,
      messages: options.messages,
      formats: options.formats,
      count,
    })
    this.near = new MapNear({ lanes: this.tier.lanes, clock, entriesMax: options.nearEntries })
    this.sampler = new Sampler({ source: this.source, clock, onSamples: samples => this.near.prove(samples) })
    const backing: Backing = { source: this.source, tier: this.tier, near: this.near, proofs: this.sampler }
    const whenStale = 'source'
    const keyspaces = new Keyspaces(
      [PLAIN, TRIGGERED].map(keyspace => {
        return { description: describeKeyspace(keyspace), backing, maxStalenessMs: options.maxStalenessMs, whenStale }
      }),
      clock,
      (rows, failed) => count(failed ? 'load failed' : 'load'),
    )
    this.reader = new Reader(keyspaces, clock, fork(random))
    this.writer = new Writer(keyspaces, clock, fork(random))
    this.sampler.start()
    NearSubscription.open({ tier: this.tier, near: this.near, clock }).catch((error: unknown) =>
      broken('subscription', error),
    )
    this.logless = options.logless?.newNode(process, options.formats)
    if (!options.tide) return
    const feedRandom = fork(random)
    this.keeper = new TideKeeper({
      tier: this.tier,
      source: this.source,
      feed: () => new SimFeed({ process, network, directory, timeoutMs: options.source.timeoutMs, random: feedRandom, confirmed: options.confirmed }), // prettier-ignore
      clock,
      random: fork(random),
      observer: observe(count),
    })
    this.keeper.run().catch((error: unknown) => broken('tide keeper', error))
  }

  /** Brings a rejection of the product to light only while the process is there to have one. */
  get running(): boolean {
    return this.process.running
  }
}

function fork(random: Random): Random {
  return seededRandom(random.uint32())
}

function observe(count: (what: string) => void): Partial<TideObserver> {
  return {
    opened: () => count('tide opened'),
    ended: end => count(`tide ended: ${end.kind}${end.kind === 'lost' ? `, ${messageOf(end.error)}` : ''}`),
    reset: (_lane, reason) => count(`tide reset: ${reason}`),
    mismatch: () => count('tide mismatch'),
  }
}
