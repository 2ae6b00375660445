// Editions of keyspaces, each guard by itself: what a tier's answer is worth when something has happened while it was on its way.
// Not for: what users see of it (clear-over-a-tier.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import { LoglessTier } from '../../src/cache/logless-tier.ts'
import { keyHash, laneOf } from '../../src/coherence/lane.ts'
import { LOGLESS_LOAD, loadIn } from '../../src/coherence/logless-stamp.ts'
import type { NearLane } from '../../src/coherence/near-lane.ts'
import type { LoadStamp } from '../../src/coherence/stamp.ts'
import { Editions } from '../../src/library/editions.ts'
import { faultyTier, ManualClock, MemoryTier, type FaultyTier } from '../../src/testing/index.ts'
import { settle } from './scene.ts'

const EDITION = '#keyspaces:k'

class Scene {
  readonly clock = new ManualClock()
  readonly tier = new MemoryTier({ clock: this.clock })
  readonly link: FaultyTier = faultyTier(this.tier, { clock: this.clock })
  readonly heard: string[] = []
  readonly lane = laneOf(keyHash(EDITION), this.tier.lanes)
  editions!: Editions
  /** What is known near of the edition's lane: always the latest, unless it is nothing. */
  known = true

  static async make(): Promise<Scene> {
    const s = new Scene()
    const random = seededRandom(Number(process.env['TIDEMARK_SEED'] ?? 1))
    const tier = await LoglessTier.open({ tier: s.link, random, onMismatch: error => assert.fail(error) })
    const near = { lane: (lane: number): NearLane => (s.known ? s.tier.lane(lane) : undefined) }
    s.editions = new Editions({ tier, near, clock: s.clock, random })
    s.editions.follow('k', { lost: () => s.heard.push('lost'), ended: () => s.heard.push('ended') })
    return s
  }

  stamp(edition: bigint | undefined): LoadStamp {
    return { ...loadIn(edition!, LOGLESS_LOAD), lsn: 0n }
  }
}

void test('one that is held is near until messages may have been missed, and its holder is told', async () => {
  const s = await Scene.make()
  const edition = await s.editions.current('k')
  assert.equal(s.editions.mayBeNear('k:1', s.stamp(edition)), true)
  s.editions.lostLane(s.lane + 1)
  assert.equal(s.editions.mayBeNear('k:1', s.stamp(edition)), true, 'another lane')
  s.editions.lostLane(s.lane)
  assert.equal(s.editions.mayBeNear('k:1', s.stamp(edition)), false)
  assert.deepEqual(s.heard, ['lost'])
  assert.equal(await s.editions.current('k'), edition)
  assert.equal(s.editions.mayBeNear('k:1', s.stamp(edition)), true)
  assert.deepEqual(s.heard, ['lost'], 'it has not ended')
})

void test('none is held while nothing is known of its lane: no message would tell of its end', async () => {
  const s = await Scene.make()
  s.known = false
  const edition = await s.editions.current('k')
  assert.equal(s.editions.mayBeNear('k:1', s.stamp(edition)), false)
  assert.equal(await s.editions.standing('k:1', s.stamp(edition)), 'current')
})

void test('what the tier said before messages were lost is not held after that', async () => {
  const s = await Scene.make()
  const before = await s.editions.current('k')
  s.editions.lostLane(s.lane)
  const release = s.link.hang({ on: 'lease', after: true, times: 1 })
  const asking = s.editions.current('k')
  await settle()
  s.tier.voidKey(EDITION)
  s.editions.lostLane(s.lane)
  release()
  assert.notEqual(await asking, before)
  assert.equal(s.editions.mayBeNear('k:1', s.stamp(before)), false)
})

void test('a record is not held against an answer that was under way before the record was', async () => {
  const s = await Scene.make()
  const before = await s.editions.current('k')
  s.editions.lostLane(s.lane)
  const release = s.link.hang({ on: 'lease', after: true, times: 1 })
  const asking = s.editions.current('k')
  await settle()
  // Another process ends it, draws the next one, and stores under that; none of it has been heard of.
  const stored = { ...s.stamp(12345n), lsn: 0n }
  s.tier.voidKey(EDITION)
  s.tier.lease(EDITION, { token: 7n, epoch: LOGLESS_LOAD.epoch, leaseMs: 1_000 })
  assert.equal(s.tier.fill(EDITION, 7n, { payload: null, stamp: stored }), 'filled')
  const standing = s.editions.standing('k:1', stored)
  release()
  assert.equal(await asking, before)
  assert.equal(await standing, 'current')
  assert.equal(await s.editions.standing('k:1', s.stamp(before)), 'ended')
})

void test('what is learnt while it is being ended is not held after that', async () => {
  const s = await Scene.make()
  const before = await s.editions.current('k')
  const release = s.link.hang({ on: 'voidKey', times: 1 })
  const ending = s.editions.end('k')
  await settle()
  assert.equal(await s.editions.current('k'), before, 'it has not ended yet')
  s.heard.length = 0
  release()
  await ending
  assert.equal(s.editions.mayBeNear('k:1', s.stamp(before)), false)
  assert.deepEqual(s.heard, ['lost', 'ended'])
})
