// A server thread's cache, made of what the supervisor sent it: ports to the databases' threads, the lanes' table.
// Not for: how the cache reads and writes (cache/cache.ts).
import { systemRandom } from '../base/random.ts'
import { assert } from '../base/assert.ts'
import { Cache } from '../cache/cache.ts'
import type { Backing, KeyspaceOptions } from '../cache/keyspaces.ts'
import { TableProofs } from '../cache/proofs.ts'
import { RemoteSource } from '../cache/remote-source.ts'
import { StoreNear } from '../cache/store-near.ts'
import { EmbeddedTier } from '../tier/embedded-tier.ts'
import { LaneTable } from '../tier/lane-table.ts'
import { openTier } from '../tier/open-tier.ts'
import type { KeyspaceDescription } from '../source/source.ts'
import type { SharedTier } from '../tier/tier.ts'
import { CountedTier } from './counted-tier.ts'
import type { CacheParts, OpenCache } from './run-thread.ts'
import type { DatabaseLink } from './thread-messages.ts'

export async function openCache(parts: CacheParts): Promise<OpenCache> {
  const { start, store, metrics, clock } = parts
  const table = LaneTable.attach(start.laneTable, start.thread)
  const tier = await sharedTier(parts)
  // They come later: nothing is awaited between here and the cache.
  const described = (descriptions: readonly KeyspaceDescription[]): void => cache.describe(descriptions)
  const connected = new Map(start.databases.map(link => [link.database, connect(parts, table, link, tier, described)]))
  const keyspaces = start.settings.keyspaces.map((settings): KeyspaceOptions => {
    const database = connected.get(settings.database)
    const description = database?.link.descriptions.find(each => each.name === settings.name)
    assert(database !== undefined && description !== undefined, 'a keyspace has an open database')
    const { backing } = database
    const { maxStalenessMs, whenStale, session = false } = settings
    return { description, backing, maxStalenessMs, whenStale, session }
  })
  const counters = {
    hits: metrics.counterView('tidemark_hits_total'),
    misses: metrics.counterView('tidemark_misses_total'),
    loads: metrics.counterView('tidemark_loads_total'),
    loadErrors: metrics.counterView('tidemark_load_errors_total'),
    writes: metrics.counterView('tidemark_writes_total'),
  }
  const cache = new Cache({ store, table, keyspaces, counters, clock, random: systemRandom() })
  return {
    cache,
    sources: () => Promise.all([...connected.values()].map(({ source }) => source.status())),
    relink: databases => {
      for (const { database, epoch, port } of databases) connected.get(database)!.source.reconnect(epoch, port)
    },
    close: async () => {
      for (const { source } of connected.values()) await source.close()
      await tier?.close()
    },
  }
}

interface Connected {
  readonly link: DatabaseLink
  readonly source: RemoteSource
  readonly backing: Backing
}

async function sharedTier({ start, clock, metrics }: CacheParts): Promise<SharedTier | undefined> {
  const { tier } = start.settings
  if (tier === undefined || !start.databases.some(({ shared }) => shared)) return undefined
  // What there is to say of it, the database's thread says.
  return new CountedTier(await openTier(tier, { clock, random: systemRandom(), warn: () => {} }), metrics)
}

function connect(
  { start, store, clock }: CacheParts,
  table: LaneTable,
  link: DatabaseLink,
  shared: SharedTier | undefined,
  described: (descriptions: readonly KeyspaceDescription[]) => void,
): Connected {
  const numbers = new Map(start.settings.keyspaces.map(({ name }, number) => [name, number]))
  const { firstLane, lanes } = link
  const keyspaceOf = (key: string): number => numbers.get(key.slice(0, key.indexOf(':')))!
  const memory = { store, table, firstLane, lanes, clock, keyspaceOf }
  const source = new RemoteSource({ name: link.database, epoch: link.epoch }, link.port, clock, described)
  const proofs = new TableProofs(table, firstLane)
  if (!link.shared) return { link, source, backing: { source, tier: new EmbeddedTier(memory), proofs } }
  assert(shared !== undefined, 'a database behind a tier has one')
  return { link, source, backing: { source, tier: shared, near: new StoreNear(memory), proofs } }
}
