// What is seen from outside of a tide that moves, or does not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { limits } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { TideWatch } from '../../src/cache/tide-watch.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'

const LANES = 64
const generation = { epoch: 1n, nonce: 1 }

class Scene {
  readonly clock = new ManualClock()
  readonly tier = new MemoryTier({ clock: this.clock, lanes: LANES })
  readonly looked = new Set<number>()
  readonly unreachable = new Set<number>()
  readonly watch: TideWatch

  constructor() {
    for (let lane = 0; lane < LANES; lane++) this.tier.reset(lane, { expected: undefined, to: 1n, generation })
    const look = this.tier.lane.bind(this.tier)
    this.tier.lane = lane => {
      this.looked.add(lane)
      if (this.unreachable.has(lane)) throw new TidemarkError('TIER_UNAVAILABLE', 'no way')
      return look(lane)
    }
    this.watch = new TideWatch(this.tier, this.clock, seededRandom(1))
  }

  move(lane: number): void {
    const { mark } = this.tier.lane(lane)!
    this.tier.apply(lane, { generation, prev: mark, next: { lsn: mark.lsn + 1n, sub: 0n }, events: [] })
  }

  look(): Promise<number> {
    this.clock.advance(limits.tideWatchMs)
    return this.watch.look()
  }
}

await test('a few lanes are looked at while they move', async () => {
  const scene = new Scene()
  for (let i = 0; i < 50; i++) {
    for (const lane of scene.looked) scene.move(lane)
    assert.ok((await scene.look()) <= limits.tideWatchMs)
  }
  assert.equal(scene.looked.size, limits.tideWatchLanes)
})

await test('when these stand still, all are looked at: one that moves shows that somebody is at work', async () => {
  const scene = new Scene()
  await scene.look()
  const other = Array.from({ length: LANES }, (_, lane) => lane).find(lane => !scene.looked.has(lane))!
  for (let i = 0; i < 50; i++) {
    scene.move(other)
    const stillMs = await scene.look()
    assert.ok(stillMs < limits.tideEvictMs, `still for ${stillMs} ms`)
  }
})

await test('lanes that stand still are seen to do so, with a header or without', async () => {
  const scene = new Scene()
  scene.tier.loseHeader(3)
  let stillMs = 0
  for (let i = 0; i < 20; i++) stillMs = await scene.look()
  assert.equal(stillMs, 20 * limits.tideWatchMs)
  scene.tier.reset(3, { expected: undefined, to: 1n, generation })
  assert.equal(await scene.look(), 0)
})

await test('nothing is known of lanes that cannot be reached; others are looked at in their place', async () => {
  const scene = new Scene()
  await scene.look()
  for (const lane of scene.looked) scene.unreachable.add(lane)
  assert.equal(await scene.look(), 0)
  scene.looked.clear()
  await scene.look()
  assert.ok([...scene.looked].some(lane => !scene.unreachable.has(lane)))
  for (let lane = 0; lane < LANES; lane++) scene.unreachable.add(lane)
  for (let i = 0; i < 20; i++) assert.equal(await scene.look(), 0)
})
