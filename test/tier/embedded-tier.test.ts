// The embedded tier against the contract that every tier passes, over one thread's store and over two.
import { seededRandom } from '../../src/base/random.ts'
import { Store } from '../../src/store/store.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { tierContract, type TierFixture } from '../../src/testing/tier-contract.ts'
import { EmbeddedTier } from '../../src/tier/embedded-tier.ts'
import { LaneTable } from '../../src/tier/lane-table.ts'

// Its memory is its process's: nothing brings an earlier state of it back, and there is no other primary.
const CANNOT = ['checkpoint', 'moveToShard'] as const

function fixture(firstLane: number): TierFixture {
  const clock = new ManualClock()
  const store = Store.create({ memoryBytes: 4 * 1024 * 1024, seed: seededRandom(firstLane + 1).uint32() })
  const table = LaneTable.create(firstLane + 64)
  const tier = new EmbeddedTier({ store, table, firstLane, lanes: 64, clock, keyspaceOf: () => 1 })
  return { tier, clock, close: () => store.check() }
}

tierContract('EmbeddedTier', () => fixture(0), CANNOT)
tierContract('EmbeddedTier beside the lanes of another source', () => fixture(64), CANNOT)
