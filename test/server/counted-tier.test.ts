// What the metrics say of looks at the shared tier: a row that was looked for counts once, whether the look took a lease along
// or a lease came after it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EPOCH, TierScene } from '../../src/testing/tier-scene.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import { CountedTier } from '../../src/server/counted-tier.ts'
import { serverMetrics } from '../../src/server/metrics.ts'

test('hits and misses of the tier count each row that was looked for once, with a lease along or after it', async () => {
  const clock = new ManualClock()
  const metrics = serverMetrics([], 1, 0)
  const counted = new CountedTier(new MemoryTier({ clock, lanes: 1 }), metrics)
  const scene = new TierScene({ tier: counted, clock })
  await scene.reset()
  const counts = (): readonly number[] =>
    (['tidemark_tier_hits_total', 'tidemark_tier_misses_total'] as const).map(name => metrics.total(name, 0))
  const lease = { epoch: EPOCH, leaseMs: 1_000 }

  await counted.read([scene.key])
  await counted.lease(scene.key, { token: 1n, ...lease })
  assert.deepEqual(counts(), [0, 1], 'a look that found nothing, and the lease after it')
  await counted.lease(scene.neighbours[0]!, { token: 2n, ...lease })
  assert.deepEqual(counts(), [0, 2], 'a look that took a lease along')
  await counted.read([scene.key])
  assert.deepEqual(counts(), [0, 3], 'a look that found the lease of another')
  await scene.put('a', scene.write(1n, 110n))
  await counted.read([scene.key])
  await counted.lease(scene.key, { token: 3n, ...lease })
  assert.deepEqual(counts(), [2, 3], 'looks that found a value')
})
