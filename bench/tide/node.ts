// One process's read and write path in front of Postgres: over a tier on the cluster, or over one in this process's memory,
// with the tide that such a tier needs. It is made of the product's own parts, as a library in a service is.
import { systemClock } from '../../src/base/clock.ts'
import { limits } from '../../src/base/limits.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Keyspaces, type Backing } from '../../src/cache/keyspaces.ts'
import { MapNear } from '../../src/cache/map-near.ts'
import { NearSubscription } from '../../src/cache/near-subscription.ts'
import { OwnFeed } from '../../src/cache/own-feed.ts'
import { Reader, type ReadAnswer, type ReadOptions } from '../../src/cache/reader.ts'
import { Sampler } from '../../src/cache/sampler.ts'
import { TideKeeper } from '../../src/cache/tide-keeper.ts'
import { Writer } from '../../src/cache/writer.ts'
import { PostgresFeed } from '../../src/source/postgres-feed.ts'
import type { PostgresFeedOptions } from '../../src/source/postgres-options.ts'
import { PostgresSource } from '../../src/source/postgres-source.ts'
import { Store } from '../../src/store/store.ts'
import { EmbeddedTier } from '../../src/tier/embedded-tier.ts'
import { LaneTable } from '../../src/tier/lane-table.ts'
import type { SharedTier, Tier } from '../../src/tier/tier.ts'
import { ValkeyTier } from '../../src/tier/valkey-tier.ts'

export interface ValkeyPlace {
  readonly kind: 'valkey'
  readonly seeds: readonly { host: string; port: number }[]
  /** Where a server is reached that the cluster calls `host:port`, if not there. */
  readonly reach?: Readonly<Record<string, { host: string; port: number }>>
}

/** Plain data: it travels between processes. */
export interface NodePlace {
  readonly url: string
  /** Each a keyspace; `get` and `set` are of the first. */
  readonly tables: readonly string[]
  readonly tier: 'embedded' | ValkeyPlace
  readonly slot: string
  readonly connectionsMax?: number
}

const NEAR_ENTRIES_MAX = 100_000
const EMBEDDED_BYTES = 256 << 20
const BOUND_MS = 500

interface Parts {
  readonly tier: Tier
  readonly near?: MapNear
  close(): Promise<void>
}

export class TideNode {
  readonly tier: Tier
  readonly #table: string
  readonly #reader: Reader
  readonly #writer: Writer
  readonly #close: () => Promise<void>

  /** Resolves once it is connected; lanes in this process's memory are proved soon after. */
  static async open(place: NodePlace): Promise<TideNode> {
    const clock = systemClock()
    const random = systemRandom()
    const log = { kind: 'publication', publication: 'tidemark', slot: place.slot } as const
    const common: PostgresFeedOptions = {
      name: 'main',
      connection: { url: place.url },
      keyspaces: place.tables.map(table => ({ name: table, table })),
      log,
      lanes: limits.lanesDefault,
      clock,
      random,
    }
    const source = await PostgresSource.open({ ...common, connectionsMax: place.connectionsMax })
    const parts = place.tier === 'embedded' ? embedded(common, source) : await valkey(place.tier)
    const { tier, near } = parts
    const sampler = new Sampler({ source, clock, onSamples: samples => near?.prove(samples) })
    sampler.start()
    const backing: Backing = { source, tier, proofs: sampler, ...(near === undefined ? {} : { near }) }
    const behaviour = { backing, maxStalenessMs: BOUND_MS, whenStale: 'source' } as const
    const options = source.describe().map(description => ({ description, ...behaviour }))
    const keyspaces = new Keyspaces(options, clock, () => {})
    const reader = new Reader(keyspaces, clock, random)
    const writer = new Writer(keyspaces, clock, random)
    return new TideNode(tier, place.tables[0]!, reader, writer, async () => {
      sampler.stop()
      await parts.close()
      await source.close()
    })
  }

  private constructor(tier: Tier, table: string, reader: Reader, writer: Writer, close: () => Promise<void>) {
    this.tier = tier
    this.#table = table
    this.#reader = reader
    this.#writer = writer
    this.#close = close
  }

  key(id: number): string {
    return `${this.#table}:${id}`
  }

  get(id: number, options?: ReadOptions): Promise<ReadAnswer> {
    return this.#reader.read(this.key(id), options)
  }

  /** The whole row, as SET writes it. */
  async set(id: number, name: string, amount: number): Promise<void> {
    const row = Buffer.from(`{"name":${JSON.stringify(name)},"amount":${amount}}`)
    await this.#writer.write([{ key: this.key(id), operation: { kind: 'replace', row } }])
  }

  invalidate(ids: readonly number[]): Promise<void> {
    return this.#writer.invalidate(ids.map(id => this.key(id)))
  }

  /** Resolves once all lanes have a header. */
  async ready(): Promise<void> {
    for (let lane = 0; lane < this.tier.lanes; lane++) {
      while ((await this.tier.lane(lane)) === undefined) await new Promise(resolve => setTimeout(resolve, 10))
    }
  }

  close(): Promise<void> {
    return this.#close()
  }
}

function embedded(common: PostgresFeedOptions, source: PostgresSource): Parts {
  const { clock, random, lanes, name } = common
  const tier = new EmbeddedTier({
    store: Store.create({ memoryBytes: EMBEDDED_BYTES, threads: 1, seed: 1 }),
    table: LaneTable.create(lanes),
    firstLane: 0,
    lanes,
    clock,
    keyspaceOf: () => 0,
  })
  const feed = (): OwnFeed => new OwnFeed(new PostgresFeed(common), name)
  const keeper = new TideKeeper({ tier, source, feed, clock, random })
  const kept = keeper.run()
  return {
    tier,
    close: async () => {
      keeper.stop()
      await kept
    },
  }
}

async function valkey({ seeds, reach = {} }: ValkeyPlace): Promise<Parts> {
  const clock = systemClock()
  const tier: SharedTier = await ValkeyTier.connect({
    servers: seeds,
    nodeAddress: address => reach[address],
    warn: () => {},
  })
  const near = new MapNear({ lanes: tier.lanes, clock, entriesMax: NEAR_ENTRIES_MAX })
  const subscription = await NearSubscription.open({ tier, near, clock })
  return {
    tier,
    near,
    close: async () => {
      await subscription.close()
      await tier.close()
    },
  }
}
