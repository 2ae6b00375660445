// One process of a deployment, over the simulated database and tier: a server, or a service with the library in it.
// Not for: what is asked of it (world.ts).
import assert from 'node:assert/strict'
import { seededRandom, type Random } from '../../src/base/random.ts'
import type { MapNear } from '../../src/cache/map-near.ts'
import type { ReadAnswer, ReadOptions, Reader } from '../../src/cache/reader.ts'
import type { TideKeeper } from '../../src/cache/tide-keeper.ts'
import type { CacheWrite, Writer } from '../../src/cache/writer.ts'
import { NO_PROOF } from '../../src/coherence/freshness.ts'
import type { SessionTicket } from '../../src/coherence/session.ts'
import type { JournalStorage } from '../../src/journal/storage.ts'
import type { Tidemark } from '../../src/library/tidemark.ts'
import type { Told } from './checker.ts'
import type { Cluster } from './cluster.ts'
import { LibraryNode } from './library-node.ts'
import type { OldConfig } from './library-plan.ts'
import type { LoglessPart } from './logless-node.ts'
import type { LoglessWorld } from './logless-world.ts'
import { SimProcess } from './machine.ts'
import type { Network } from './network.ts'
import { TIDE_SLOT, type Postgres } from './postgres.ts'
import { valueOf } from './row.ts'
import { ServerNode } from './server-node.ts'
import type { ServiceNode } from './service-world.ts'
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
  /** Whether it is a service with the library in it. */
  readonly library: boolean
  /** Of its rows, if it has the library in it. */
  readonly old: OldConfig | undefined
  /** With the library in it, and by itself: its lanes are in its own memory, and it reads the log for itself, by this slot. */
  readonly ownSlot: string | undefined
  /** Whether it may run the tide. */
  readonly tide: boolean
  readonly formats: number
  readonly layout: string
  readonly logless: LoglessWorld | undefined
  /** Keyspaces of functions in a process that shares no tier. */
  readonly service: ServiceParts | undefined
  readonly newValue: () => number
  readonly count: (what: string) => void
  readonly confirmed: (ageMs: number) => void
  /** What the product never is to reject with. */
  readonly broken: (what: string, error: unknown) => void
}

export interface ServiceParts {
  readonly storage: (process: SimProcess) => JournalStorage
  readonly open: (process: SimProcess, tide: Tidemark) => ServiceNode
  /** Told what is no call's. */
  readonly failed: (what: string, error: unknown) => void
}

export class Node {
  readonly name: string
  readonly process: SimProcess
  readonly source: SimSource
  readonly tier: SimTier
  readonly library: LibraryNode | undefined
  readonly logless: LoglessPart | undefined
  readonly ownSlot: string | undefined
  readonly service: ServiceNode | undefined
  readonly #server: ServerNode | undefined
  /** The database server that new connections go to. */
  postgres: Postgres

  constructor(options: NodeOptions) {
    const {
      name,
      network,
      cluster,
      count,
      broken,
      maxStalenessMs,
      nearEntries,
      tide,
      ownSlot: slot = TIDE_SLOT,
    } = options
    const random = seededRandom(options.seed)
    this.name = name
    this.ownSlot = options.ownSlot
    this.postgres = options.postgres
    this.process = new SimProcess(name, network.time, 1_000 + random.below(1_000_000))
    const { process } = this
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
    const { source, tier } = this
    let feedRandom = random
    const feed = (): SimFeed =>
      new SimFeed({ process, network, directory, slot, timeoutMs: options.source.timeoutMs, random: feedRandom, confirmed: options.confirmed }) // prettier-ignore
    const common = { process, source, feed, maxStalenessMs, nearEntries, broken }
    if (options.library) {
      const nowMs = (): number => network.time.nowMs
      const shared = options.ownSlot === undefined ? tier : undefined
      const storage = options.service?.storage(process)
      this.library = new LibraryNode({ ...common, tier: shared, nowMs, random: fork(random), tide, old: options.old, storage, failed: options.service?.failed }) // prettier-ignore
      this.service = options.service?.open(process, this.library.tide)
    } else this.#server = new ServerNode({ ...common, tier, fork: () => fork(random), count })
    this.logless = options.logless?.newNode(process, options.formats)
    if (!tide) return
    feedRandom = fork(random)
    this.#server?.runTide()
  }

  get reader(): Reader {
    return this.#own().reader
  }

  get writer(): Writer {
    return this.#own().writer
  }

  get near(): MapNear {
    return this.#own().near
  }

  get keeper(): TideKeeper | undefined {
    return this.#server?.keeper
  }

  /** Brings a rejection of the product to light only while the process is there to have one. */
  get running(): boolean {
    return this.process.running
  }

  async read(key: string, options: ReadOptions, inSession: boolean): Promise<Told> {
    if (this.library !== undefined) return this.library.read(key, options, inSession)
    return toldBy(this, await this.reader.read(key, options))
  }

  /** Returns a session's ticket after it. */
  async write(writes: readonly CacheWrite[], session: SessionTicket | undefined): Promise<SessionTicket | undefined> {
    if (this.library !== undefined) return this.library.write(writes, session)
    return (await this.writer.write(writes)).session
  }

  #own(): ServerNode {
    assert.ok(this.#server !== undefined, `${this.name} is a server`)
    return this.#server
  }
}

/** What a server's reader answered, for the checker. */
export function toldBy({ process }: Node, { value, asOfMs, tier, stale, session }: ReadAnswer): Told {
  return {
    value: valueOf(value),
    asOfMs: asOfMs === NO_PROOF ? -Infinity : process.worldMs(asOfMs),
    tier,
    stale,
    session,
  }
}

function fork(random: Random): Random {
  return seededRandom(random.uint32())
}
