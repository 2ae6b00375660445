// The part of a process that is a server: the product's own reader, writer, near cache, sampler and tide keeper, of rows as bytes.
// Not for: the library (library-node.ts), sources without a log (logless-node.ts).
import { messageOf } from '../../src/base/errors.ts'
import type { Random } from '../../src/base/random.ts'
import { Keyspaces, type Backing } from '../../src/cache/keyspaces.ts'
import { MapNear } from '../../src/cache/map-near.ts'
import { NearSubscription } from '../../src/cache/near-subscription.ts'
import { Reader } from '../../src/cache/reader.ts'
import { Sampler } from '../../src/cache/sampler.ts'
import { TideKeeper } from '../../src/cache/tide-keeper.ts'
import type { TideObserver } from '../../src/cache/tide-observer.ts'
import { Writer } from '../../src/cache/writer.ts'
import type { ChangeFeed } from '../../src/source/change-feed.ts'
import type { SimProcess } from './machine.ts'
import { COUNTERS, describeKeyspace, PLAIN, TRIGGERED } from './row.ts'
import type { SimSource } from './sim-source.ts'
import type { SimTier } from './sim-tier.ts'

export interface ServerNodeOptions {
  readonly process: SimProcess
  readonly source: SimSource
  readonly tier: SimTier
  readonly feed: () => ChangeFeed
  readonly fork: () => Random
  readonly maxStalenessMs: number
  readonly nearEntries: number
  readonly count: (what: string) => void
  /** What the product never is to reject with. */
  readonly broken: (what: string, error: unknown) => void
}

export class ServerNode {
  readonly reader: Reader
  readonly writer: Writer
  readonly near: MapNear
  keeper: TideKeeper | undefined
  readonly #options: ServerNodeOptions

  constructor(options: ServerNodeOptions) {
    const { process, source, tier, fork, maxStalenessMs, count, broken } = options
    const { clock } = process
    this.#options = options
    this.near = new MapNear({ lanes: tier.lanes, clock, entriesMax: options.nearEntries })
    const sampler = new Sampler({ source, clock, onSamples: samples => this.near.prove(samples) })
    const backing: Backing = { source, tier, near: this.near, proofs: sampler }
    const keyspaces = new Keyspaces(
      [PLAIN, TRIGGERED, COUNTERS].map(keyspace => {
        return { description: describeKeyspace(keyspace), backing, maxStalenessMs, whenStale: 'source' }
      }),
      clock,
      (_rows, failed) => count(failed ? 'load failed' : 'load'),
    )
    this.reader = new Reader(keyspaces, clock, fork())
    this.writer = new Writer(keyspaces, clock, fork())
    sampler.start()
    NearSubscription.open({ tier, near: this.near, clock }).catch((error: unknown) => broken('subscription', error))
  }

  runTide(): void {
    const { process, source, tier, feed, fork, count, broken } = this.#options
    const { clock } = process
    this.keeper = new TideKeeper({ tier, source, feed, clock, random: fork(), observer: observe(count) })
    this.keeper.run().catch((error: unknown) => broken('tide keeper', error))
  }
}

function observe(count: (what: string) => void): Partial<TideObserver> {
  return {
    opened: () => count('tide opened'),
    ended: end => count(`tide ended: ${end.kind}${end.kind === 'lost' ? `, ${messageOf(end.error)}` : ''}`),
    reset: (_lane, reason) => count(`tide reset: ${reason}`),
    mismatch: () => count('tide mismatch'),
  }
}
