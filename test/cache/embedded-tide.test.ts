// The decisions of an embedded database's tide, over the embedded tier.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import { EmbeddedTide } from '../../src/cache/embedded-tide.ts'
import { NO_PROOF } from '../../src/coherence/freshness.ts'
import { Store } from '../../src/store/store.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { EmbeddedTier } from '../../src/tier/embedded-tier.ts'
import { LaneTable } from '../../src/tier/lane-table.ts'

const EPOCH = 7n
const LANES = 4

function scene(): { tier: EmbeddedTier; tide: EmbeddedTide } {
  const store = Store.create({ memoryBytes: 1 << 20, seed: 1 })
  const table = LaneTable.create(LANES)
  const clock = new ManualClock()
  const tier = new EmbeddedTier({ store, table, firstLane: 0, lanes: LANES, clock, keyspaceOf: () => 0 })
  return { tier, tide: new EmbeddedTide({ tier, epoch: EPOCH, position: 10n, random: seededRandom(1) }) }
}

function laneKey(tier: EmbeddedTier, lane: number): string {
  for (let id = 0; ; id++) if (tier.laneOf(`k:${id}`) === lane) return `k:${id}`
}

await test('a lane is proved as of the latest sample that lies strictly before its mark', () => {
  const { tier, tide } = scene()
  assert.equal(tier.asOf(0), NO_PROOF)
  tide.sample(1000, 10n)
  tide.changes(11n, [])
  assert.equal(tier.asOf(0), 1000)
  tide.sample(2000, 12n)
  tide.changes(12n, [])
  assert.equal(tier.asOf(0), 1000, 'the mark is not past the second sample yet')
  tide.changes(13n, [])
  assert.equal(tier.asOf(0), 2000)
})

await test('a change moves the mark of its own lane at once and of the others with the next heartbeat', () => {
  const { tier, tide } = scene()
  tide.changes(20n, [{ key: laneKey(tier, 2), xid: 15n, lsn: 20n, change: 16n }])
  assert.deepEqual(
    [0, 1, 2, 3].map(lane => tier.lane(lane)?.mark.lsn),
    [10n, 10n, 20n, 10n],
  )
  tide.changes(21n, [])
  assert.deepEqual(
    [0, 1, 2, 3].map(lane => tier.lane(lane)?.mark.lsn),
    [21n, 21n, 21n, 21n],
  )
})

await test('a lane that someone else has moved is begun anew, since what it missed is not known', () => {
  const { tier, tide } = scene()
  const { generation, mark } = tier.lane(1)!
  tier.apply(1, { generation, prev: mark, next: { lsn: 11n, sub: 0n }, events: [] })
  tide.changes(20n, [])
  assert.notEqual(tier.lane(1)?.generation.nonce, generation.nonce)
  assert.equal(tier.lane(1)?.mark.lsn, 20n)
})

await test('a reset gives every lane another generation, proved only by samples from then on', () => {
  const { tier, tide } = scene()
  tide.sample(1000, 10n)
  tide.changes(11n, [])
  const before = [0, 1, 2, 3].map(lane => tier.lane(lane)!.generation.nonce)
  tide.reset(12n, 'another process wrote')
  for (const lane of [0, 1, 2, 3]) {
    assert.notEqual(tier.lane(lane)?.generation.nonce, before[lane])
    assert.equal(tier.asOf(lane), NO_PROOF)
  }
})
