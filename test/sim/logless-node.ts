// The part of a process that has to do with sources without a log: the product's own source of functions, tier in front of the
// cluster's lanes, reader, writer and near cache. Not for: what is asked of it (logless-clients.ts).
import { seededRandom, type Random } from '../../src/base/random.ts'
import { Keyspaces, type Backing } from '../../src/cache/keyspaces.ts'
import { LoglessTier } from '../../src/cache/logless-tier.ts'
import { MapNear } from '../../src/cache/map-near.ts'
import { NearSubscription } from '../../src/cache/near-subscription.ts'
import type { Proofs } from '../../src/cache/proofs.ts'
import { NO_PROOF } from '../../src/coherence/freshness.ts'
import { Reader, type ReadAnswer, type ReadOptions } from '../../src/cache/reader.ts'
import { Writer, type CacheWrite } from '../../src/cache/writer.ts'
import { FunctionsSource } from '../../src/source/functions-source.ts'
import type { KeyspaceDescription, Source } from '../../src/source/source.ts'
import type { Cluster } from './cluster.ts'
import type { FunctionStore } from './function-store.ts'
import type { SimProcess } from './machine.ts'
import type { Network } from './network.ts'
import type { MessageFaults } from './sim-subscription.ts'
import { SimTier } from './sim-tier.ts'
import { HeardTier, type TierHeard } from './tier-heard.ts'

export const FUNCTIONS = 'f'

const DESCRIPTION: KeyspaceDescription = { name: FUNCTIONS, table: FUNCTIONS, columns: [], keyColumns: [] }

export interface LoglessAnswer extends Pick<ReadAnswer, 'value' | 'tier' | 'stale'> {
  /** Infinity: nobody knows. */
  readonly ageMs: number
}

/** What a process can be asked. undefined: it has only just begun. */
export interface LoglessPart {
  read(key: string, options: ReadOptions): Promise<LoglessAnswer> | undefined
  /** Loads it anew, as refreshAhead does. */
  renew(key: string): Promise<boolean> | undefined
  /** `heard` is told what the tier says meanwhile. */
  write(writes: readonly CacheWrite[], heard: TierHeard): Promise<unknown> | undefined
}

export interface LoglessNodeOptions {
  readonly process: SimProcess
  readonly network: Network
  readonly cluster: Cluster
  readonly store: FunctionStore
  readonly seed: number
  readonly ttlMs: number
  readonly nearEntries: number
  readonly tierTimeoutMs: number
  readonly messages: MessageFaults
  readonly formats: number
  readonly nowMs: () => number
  readonly count: (what: string) => void
  readonly broken: (what: string, error: unknown) => void
  /** What a user may be told, of his own functions too. */
  readonly failed: (what: string, error: unknown) => void
}

const NO_PROOFS: Proofs = { known: () => undefined, samples: () => [] }

export class LoglessNode implements LoglessPart {
  readonly #near: MapNear
  readonly #options: LoglessNodeOptions
  #tier: HeardTier | undefined
  #reader: Reader | undefined
  #writer: Writer | undefined

  constructor(options: LoglessNodeOptions) {
    this.#options = options
    const { clock } = options.process
    const { loglessLanes = 0 } = options.cluster.shape
    this.#near = new MapNear({ lanes: loglessLanes, clock, entriesMax: options.nearEntries })
    this.#open().catch((error: unknown) => options.broken('logless tier', error))
  }

  async #open(): Promise<void> {
    const { process, network, store, ttlMs, nowMs, count, broken } = this.#options
    const { clock } = process
    const random = seededRandom(this.#options.seed)
    const simulated = newLoglessTier(this.#options, random)
    const tier = await LoglessTier.open({
      tier: simulated,
      random,
      onMismatch: error => broken('logless lanes', error),
    })
    const heard = new HeardTier(tier, nowMs)
    this.#tier = heard
    const functions = store.functions(process, network)
    // Users' values are bytes here, so that the cluster's model keeps them as it keeps rows.
    const source = new FunctionsSource({ name: FUNCTIONS, functions, clock }) as Source<unknown> as Source
    const backing: Backing = { source, tier: heard, near: this.#near, proofs: NO_PROOFS }
    const keyspace = {
      description: DESCRIPTION,
      backing,
      maxStalenessMs: Infinity,
      whenStale: 'source',
      ttlMs,
    } as const
    const keyspaces = new Keyspaces([keyspace], clock, (_rows, failed) => count(failed ? 'logless: load failed' : 'logless: load')) // prettier-ignore
    this.#reader = new Reader(keyspaces, clock, random)
    this.#writer = new Writer(keyspaces, clock, random)
    await NearSubscription.open({ tier, near: this.#near, clock })
  }

  read(key: string, options: ReadOptions): Promise<LoglessAnswer> | undefined {
    return this.#reader?.read(key, options).then(answer => ({ ...answer, ageMs: this.#ageOf(answer) }))
  }

  // What comes from the source tells when that was asked; what comes from memory, how old it is by the clock that it is kept by.
  #ageOf({ asOfMs, tier }: ReadAnswer): number {
    const { process, nowMs } = this.#options
    if (tier === 'source') return nowMs() - process.worldMs(asOfMs)
    return asOfMs === NO_PROOF ? Infinity : process.clock.monotonicMs() - asOfMs
  }

  renew(key: string): Promise<boolean> | undefined {
    return this.#reader?.renew(key)
  }

  write(writes: readonly CacheWrite[], heard: TierHeard): Promise<unknown> | undefined {
    const writer = this.#writer
    return writer && this.#tier!.hear(heard, () => writer.write(writes))
  }
}

/** The lanes of such sources, as a process sees them. */
export function newLoglessTier(options: LoglessNodeOptions, random: Random): SimTier {
  const { process, network, cluster, tierTimeoutMs, messages, formats, count } = options
  const { lanes, loglessLanes = 0 } = cluster.shape
  return new SimTier({
    process,
    network,
    cluster,
    lanes: { first: lanes, count: loglessLanes },
    random,
    timeoutMs: tierTimeoutMs,
    messages,
    formats,
    count: what => count(`logless: ${what}`),
  })
}
