// A server thread's cache, made of what the supervisor sent it: ports to the databases' threads, the lanes' table.
// Not for: how the cache reads and writes (cache/cache.ts).
import { systemRandom } from '../base/random.ts'
import { assert } from '../base/assert.ts'
import { Cache } from '../cache/cache.ts'
import type { Backing, KeyspaceOptions } from '../cache/keyspaces.ts'
import { TableProofs } from '../cache/proofs.ts'
import { RemoteSource } from '../cache/remote-source.ts'
import { EmbeddedTier } from '../tier/embedded-tier.ts'
import { LaneTable } from '../tier/lane-table.ts'
import type { CacheParts, OpenCache } from './run-thread.ts'
import type { DatabaseLink } from './thread-messages.ts'

export function openCache(parts: CacheParts): Promise<OpenCache> {
  const { start, store, metrics, clock } = parts
  const table = LaneTable.attach(start.laneTable, start.thread)
  const connected = new Map(start.databases.map(link => [link.database, connect(parts, table, link)]))
  const keyspaces = start.settings.keyspaces.map((settings): KeyspaceOptions => {
    const database = connected.get(settings.database)
    const description = database?.link.descriptions.find(each => each.name === settings.name)
    assert(database !== undefined && description !== undefined, 'a keyspace has an open database')
    const { backing } = database
    const { maxStalenessMs, whenStale } = settings
    return { description, backing, maxStalenessMs, whenStale }
  })
  const counters = {
    hits: metrics.counterView('tidemark_hits_total'),
    misses: metrics.counterView('tidemark_misses_total'),
    loads: metrics.counterView('tidemark_loads_total'),
    loadErrors: metrics.counterView('tidemark_load_errors_total'),
    writes: metrics.counterView('tidemark_writes_total'),
  }
  return Promise.resolve({
    cache: new Cache({ store, table, keyspaces, counters, clock, random: systemRandom() }),
    sources: () => Promise.all([...connected.values()].map(({ source }) => source.status())),
    close: async () => {
      for (const { source } of connected.values()) await source.close()
    },
  })
}

interface Connected {
  readonly link: DatabaseLink
  readonly source: RemoteSource
  readonly backing: Backing
}

function connect({ start, store, clock }: CacheParts, table: LaneTable, link: DatabaseLink): Connected {
  const numbers = new Map(start.settings.keyspaces.map(({ name }, number) => [name, number]))
  const tier = new EmbeddedTier({
    store,
    table,
    firstLane: link.firstLane,
    lanes: link.lanes,
    clock,
    keyspaceOf: key => numbers.get(key.slice(0, key.indexOf(':')))!,
  })
  const source = new RemoteSource(link.database, link.epoch, link.port, clock)
  return { link, source, backing: { source, tier, proofs: new TableProofs(table, link.firstLane) } }
}
