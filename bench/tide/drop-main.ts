// What the thread of a server does that has its source: the tide or the watch over it, samples, and the near cache's
// subscription, in a process of its own, with notes of when what came by. `node drop-main.ts PLAN`, PLAN being a NodePlace.
import { once } from 'node:events'
import { systemClock } from '../../src/base/clock.ts'
import { limits } from '../../src/base/limits.ts'
import { systemRandom } from '../../src/base/random.ts'
import { NearSubscription } from '../../src/cache/near-subscription.ts'
import { Sampler } from '../../src/cache/sampler.ts'
import { TideKeeper } from '../../src/cache/tide-keeper.ts'
import type { PostgresFeedOptions } from '../../src/source/postgres-options.ts'
import { PostgresSource } from '../../src/source/postgres-source.ts'
import { Store } from '../../src/store/store.ts'
import { LaneTable } from '../../src/tier/lane-table.ts'
import { ValkeyTier } from '../../src/tier/valkey-tier.ts'
import { DropNotes, NotedFeed, NotedNear } from './drop-notes.ts'
import type { NodePlace } from './node.ts'

const NEAR_BYTES = 16 << 20

const place = JSON.parse(process.argv[2]!) as NodePlace
if (place.tier === 'embedded') throw new Error('near caches are in front of a tier that is shared')
const clock = systemClock()
const random = systemRandom()
const notes = new DropNotes(clock)
const common: PostgresFeedOptions = {
  name: 'main',
  connection: { url: place.url },
  keyspaces: place.tables.map(table => ({ name: table, table })),
  log: { kind: 'publication', publication: 'tidemark', slot: place.slot },
  lanes: limits.lanesDefault,
  clock,
  random,
}
const source = await PostgresSource.open({ ...common, connectionsMax: 2 })
const tier = await ValkeyTier.connect({ servers: place.tier.seeds, warn: () => {} })
const store = Store.create({ memoryBytes: NEAR_BYTES, threads: 1, seed: 1 })
const table = LaneTable.create(tier.lanes)
const near = new NotedNear({ store, table, firstLane: 0, lanes: tier.lanes, clock, keyspaceOf: () => 0 }, notes)
const subscription = await NearSubscription.open({ tier, near, clock })
const sampler = new Sampler({ source, clock, onSamples: samples => near.prove(samples) })
sampler.start()
const feed = (): NotedFeed => new NotedFeed(common, notes)
const keeper = new TideKeeper({ tier: notes.watch(tier), source, feed, clock, random })
const kept = keeper.run()
for (let lane = 0; lane < tier.lanes; lane++) {
  while (near.lane(lane) === undefined) await new Promise(resolve => setTimeout(resolve, 10))
}
process.stdout.write('ready\n')
await once(process.stdin, 'data')
process.stdout.write(JSON.stringify(notes.report()))
process.stdin.destroy()
sampler.stop()
keeper.stop()
await kept
await subscription.close()
await tier.close()
await source.close()
