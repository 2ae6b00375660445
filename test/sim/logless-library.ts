// The part of a process that has to do with sources without a log, where that is a service with the library in it: the product's own
// Tidemark over the cluster's lanes, with a keyspace of functions, and one of values that the cache alone has.
// Not for: what is asked of it (logless-world.ts, values-world.ts).
import type { ReadOptions } from '../../src/cache/reader.ts'
import type { CacheWrite } from '../../src/cache/writer.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { Keyspace } from '../../src/library/keyspace.ts'
import { Tidemark } from '../../src/library/tidemark.ts'
import type { SourceFunctions } from '../../src/source/functions-source.ts'
import { durationOf, idOf } from './library-node.ts'
import { FUNCTIONS, newLoglessTier, type LoglessAnswer, type LoglessNodeOptions, type LoglessPart } from './logless-node.ts' // prettier-ignore
import { HeardTier, type TierHeard } from './tier-heard.ts'

/** The keyspace of values that nobody keeps but the cache. */
export const VALUES = 'v'

const FOR_LONG = '1h'

export class LoglessLibrary implements LoglessPart {
  readonly tide: Tidemark
  readonly values: Keyspace<number>
  readonly functions: Keyspace<Uint8Array>
  readonly #tier: HeardTier

  constructor(options: LoglessNodeOptions) {
    const { process, network, store, ttlMs, nearEntries, nowMs, failed } = options
    const { clock } = process
    const random = seededRandom(options.seed)
    const tier = new HeardTier(newLoglessTier(options, random), nowMs)
    this.#tier = tier
    this.tide = new Tidemark(
      { near: { maxEntries: nearEntries } },
      { clock, random, tier: { lanes: tier.lanes, open: () => Promise.resolve(tier) } },
    )
    this.tide.on('error', ({ error }) => failed('logless library', error))
    const source = store.functions(process, network) as SourceFunctions<Uint8Array>
    this.functions = this.tide.keyspace<Uint8Array>(FUNCTIONS, { source, ttl: durationOf(ttlMs) })
    this.values = this.tide.keyspace<number>(VALUES, { ttl: FOR_LONG })
  }

  async read(key: string, { maxStalenessMs }: ReadOptions): Promise<LoglessAnswer> {
    const bound = maxStalenessMs === undefined ? {} : { maxStaleness: durationOf(maxStalenessMs) }
    const { value, age, tier, stale } = await this.functions.read(idOf(key), bound)
    return { value: value ?? null, ageMs: age, tier, stale }
  }

  /** The library does so by itself, and here not at all. */
  renew(): undefined {}

  write(writes: readonly CacheWrite[], heard: TierHeard): Promise<unknown> {
    const rows = writes.flatMap(({ key, operation }) =>
      operation.kind === 'replace' ? [[idOf(key), operation.row] as const] : [],
    )
    const removed = writes.filter(({ operation }) => operation.kind === 'remove').map(({ key }) => idOf(key))
    return this.hear(heard, async () => {
      const [first] = rows
      if (rows.length === 1) await this.functions.set(first![0], first![1])
      else if (rows.length > 1) await this.functions.setMany(rows)
      if (removed.length > 0) await this.functions.deleteMany(removed)
    })
  }

  /** What the tier says to the calls of `write` is noted. */
  hear<T>(heard: TierHeard, write: () => T): T {
    return this.#tier.hear(heard, write)
  }
}
