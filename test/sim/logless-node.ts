// The part of a process that has to do with sources without a log: the product's own source of functions, tier in front of the
// cluster's lanes, reader, writer and near cache. Not for: what is asked of it (logless-clients.ts).
import { AsyncLocalStorage } from 'node:async_hooks'
import { seededRandom } from '../../src/base/random.ts'
import { Keyspaces, type Backing } from '../../src/cache/keyspaces.ts'
import { LoglessTier } from '../../src/cache/logless-tier.ts'
import { MapNear } from '../../src/cache/map-near.ts'
import { NearSubscription } from '../../src/cache/near-subscription.ts'
import type { Proofs } from '../../src/cache/proofs.ts'
import { Reader } from '../../src/cache/reader.ts'
import { Writer, type CacheWrite, type WriteAnswer } from '../../src/cache/writer.ts'
import { FunctionsSource } from '../../src/source/functions-source.ts'
import type { KeyspaceDescription, Source } from '../../src/source/source.ts'
import type { SharedTier } from '../../src/tier/tier.ts'
import type { Cluster } from './cluster.ts'
import type { FunctionStore } from './function-store.ts'
import type { SimProcess } from './machine.ts'
import type { Network } from './network.ts'
import type { MessageFaults } from './sim-subscription.ts'
import { SimTier } from './sim-tier.ts'

export const FUNCTIONS = 'f'

const DESCRIPTION: KeyspaceDescription = { name: FUNCTIONS, table: FUNCTIONS, columns: [], keyColumns: [] }

/** What the tier said to a write as it went on. */
export class TierHeard {
  /** Fences that it put up: when it was asked for them. */
  readonly fencedMs = new Map<string, number>()
  /** Keys of which it has the value, or nothing any more. */
  readonly kept = new Set<string>()
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
}

const NO_PROOFS: Proofs = { known: () => undefined, samples: () => [] }

export class LoglessNode {
  readonly near: MapNear
  reader: Reader | undefined
  readonly #options: LoglessNodeOptions
  readonly #heard = new AsyncLocalStorage<TierHeard>()
  #writer: Writer | undefined

  constructor(options: LoglessNodeOptions) {
    this.#options = options
    const { clock } = options.process
    const { loglessLanes = 0 } = options.cluster.shape
    this.near = new MapNear({ lanes: loglessLanes, clock, entriesMax: options.nearEntries })
    this.#open(loglessLanes).catch((error: unknown) => options.broken('logless tier', error))
  }

  async #open(lanes: number): Promise<void> {
    const { process, network, cluster, store, ttlMs, count, broken } = this.#options
    const { clock } = process
    const random = seededRandom(this.#options.seed)
    const first = cluster.shape.lanes
    const simulated = new SimTier({
      process,
      network,
      cluster,
      lanes: { first, count: lanes },
      random,
      timeoutMs: this.#options.tierTimeoutMs,
      messages: this.#options.messages,
      formats: this.#options.formats,
      count: what => count(`logless: ${what}`),
    })
    const tier = await LoglessTier.open({
      tier: simulated,
      random,
      onMismatch: error => broken('logless lanes', error),
    })
    const functions = store.functions(process, network)
    // Users' values are bytes here, so that the cluster's model keeps them as it keeps rows.
    const source = new FunctionsSource({ name: FUNCTIONS, functions, clock }) as Source<unknown> as Source
    const backing: Backing = { source, tier: this.#listening(tier), near: this.near, proofs: NO_PROOFS }
    const keyspace = {
      description: DESCRIPTION,
      backing,
      maxStalenessMs: Infinity,
      whenStale: 'source',
      ttlMs,
    } as const
    const keyspaces = new Keyspaces([keyspace], clock, (_rows, failed) => count(failed ? 'logless: load failed' : 'logless: load')) // prettier-ignore
    this.reader = new Reader(keyspaces, clock, random)
    this.#writer = new Writer(keyspaces, clock, random)
    await NearSubscription.open({ tier, near: this.near, clock })
  }

  /** As the product's writer; `heard` is told what the tier says meanwhile. undefined: the process has only just begun. */
  write(writes: readonly CacheWrite[], heard: TierHeard): Promise<WriteAnswer> | undefined {
    const writer = this.#writer
    return writer && this.#heard.run(heard, () => writer.write(writes))
  }

  #listening(tier: LoglessTier): SharedTier {
    const { nowMs } = this.#options
    const heard = (): TierHeard | undefined => this.#heard.getStore()
    return new Proxy(tier, {
      get: (target, name) => {
        if (name === 'begin') {
          return async (...args: Parameters<LoglessTier['begin']>) => {
            const [at, askedMs] = [heard(), nowMs()]
            const outcome = await target.begin(...args)
            if (outcome === 'fenced') at?.fencedMs.set(args[0], askedMs)
            return outcome
          }
        }
        if (name === 'putFenced') {
          return async (...args: Parameters<LoglessTier['putFenced']>) => {
            const at = heard()
            const outcome = await target.putFenced(...args)
            if (outcome === 'stored' || outcome === 'voided') at?.kept.add(args[0])
            return outcome
          }
        }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
  }
}
