// The reference tier under the contract that all tiers pass, with one lane and with several.
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import { tierContract, type TierFixture } from '../../src/testing/tier-contract.ts'

function fixture(lanes: number): TierFixture {
  const clock = new ManualClock()
  const tier = new MemoryTier({ clock, lanes })
  return {
    tier,
    clock,
    checkpoint: () => tier.checkpoint(),
    moveToShard: shard => {
      tier.moveToShard(shard)
    },
  }
}

tierContract('MemoryTier with one lane', () => fixture(1), ['lanes'])
tierContract('MemoryTier with eight lanes', () => fixture(8))
