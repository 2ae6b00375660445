// A ValkeyTier on a real cluster whose primaries are killed, stopped and replaced, and whose slots move under it.
// One cluster for all tests: each leaves it whole, though not as it was.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { LaneMessage } from '../../src/coherence/operations.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { TierScene } from '../../src/testing/tier-scene.ts'
import type { LaneListener, LaneSubscription } from '../../src/tier/tier.ts'
import { laneSlot } from '../../src/tier/valkey-lanes.ts'
import { ValkeyTier } from '../../src/tier/valkey-tier.ts'
import { RedisCluster, type ClusterNode } from '../support/redis-cluster.ts'
import { until } from '../support/redis-process.ts'
import { redisInstalled } from '../support/redis-server.ts'
import { tierOptions } from './valkey-scene.ts'

const LANES = 16
const TIMEOUT_MS = 250
const unavailable = { name: 'TidemarkError', code: 'TIER_UNAVAILABLE' }

/** The latest of what is told of each lane. */
class Ear implements LaneListener {
  readonly latest = new Map<number, LaneMessage>()
  readonly lostLanes = new Set<number>()

  message(lane: number, message: LaneMessage): void {
    this.latest.set(lane, message)
  }

  lost(lanes: readonly number[]): void {
    for (const lane of lanes) {
      this.lostLanes.add(lane)
      this.latest.delete(lane)
    }
  }
}

describe('a tier on a cluster', { skip: !redisInstalled() && 'redis-server is not installed' }, () => {
  let cluster: RedisCluster
  let tier: ValkeyTier
  let scene: TierScene
  let ear: Ear
  let subscription: LaneSubscription
  let slot: number

  before(async () => {
    cluster = (await RedisCluster.start({ primaries: 3, replicas: 1, nodeTimeoutMs: 500 }))!
    const ports = cluster.nodes.map(node => node.port)
    tier = await ValkeyTier.connect(tierOptions(ports, { lanes: LANES, timeoutMs: TIMEOUT_MS }))
    scene = new TierScene({ tier, clock: new ManualClock() })
    slot = laneSlot(scene.lane, LANES)
    ear = new Ear()
    subscription = await tier.subscribe(ear)
    for (let lane = 0; lane < LANES; lane++) await resetLane(lane)
  })
  after(async () => {
    await subscription.close()
    await tier.close()
    await cluster.close()
  })

  async function resetLane(lane: number): Promise<void> {
    await until(`lane ${lane} is reset`, async () => {
      try {
        const expected = await tier.lane(lane)
        const { outcome } = await tier.reset(lane, { expected, to: 100n, generation: scene.generation() })
        return outcome === 'reset'
      } catch (error) {
        assert.deepEqual({ ...unavailable }, { name: (error as Error).name, code: (error as { code: string }).code })
        return false
      }
    })
  }

  const lanesOf = async (node: ClusterNode): Promise<number[]> => {
    const own = (await node.sees()).find(seen => seen.id === node.id)!
    const lanes = Array.from({ length: LANES }, (_, lane) => lane)
    return lanes.filter(lane =>
      own.slots.some(([from, to]) => laneSlot(lane, LANES) >= from && laneSlot(lane, LANES) <= to),
    )
  }

  /** Moves every lane's mark until its message arrives: all subscriptions are where they should be. */
  async function assertAllHeard(): Promise<void> {
    for (let lane = 0; lane < LANES; lane++) {
      await until(`messages of lane ${lane} arrive`, async () => {
        const state = await tier.lane(lane).catch(() => undefined)
        if (state === undefined) return false
        const next = { lsn: state.mark.lsn + 1n, sub: 0n }
        const request = { generation: state.generation, prev: state.mark, next, events: [] }
        const reply = await tier.apply(lane, request).catch(() => undefined)
        if (reply?.outcome !== 'applied') return false
        return await until('it arrives', () => ear.latest.get(lane)?.mark.lsn === next.lsn, 50).catch(() => false)
      })
    }
  }

  test('reads of many lanes come together from all primaries', async () => {
    const keys = Array.from({ length: 50 }, (_, index) => `many:${index}`)
    for (const key of keys) assert.equal(await scene.put(key, scene.write(1n, 110n), key), 'stored')
    const reads = await tier.read(keys)
    assert.deepEqual(
      reads.map(({ record }) => (record?.type === 'value' ? Buffer.from(record.payload!).toString() : undefined)),
      keys,
    )
    await assertAllHeard()
  })

  test('a killed primary holds up no other; its lanes come back empty with the one that takes over', async () => {
    const primary = await cluster.primaryOf(slot)
    const lanes = await lanesOf(primary)
    const others = Array.from({ length: LANES }, (_, lane) => lane).filter(lane => !lanes.includes(lane))
    await scene.put('a', scene.write(1n, 110n))
    ear.lostLanes.clear()
    await primary.process.kill()
    await assert.rejects(scene.value(), unavailable)
    await until('its lanes are lost', () => lanes.every(lane => ear.lostLanes.has(lane)))
    assert.equal(lanes.length, ear.lostLanes.size)
    await cluster.successorOf(primary, slot)
    for (const lane of others) assert.ok(await until('others go on', () => tier.lane(lane).catch(() => undefined)))
    // The header has come along; as it was written on another primary it is worth nothing.
    assert.equal(
      await until('it answers', () =>
        tier
          .lane(scene.lane)
          .then(lane => lane ?? 'none')
          .catch(() => false),
      ),
      'none',
    )
    assert.equal(await scene.put('a', scene.write(1n, 110n)), 'no-lane')
    for (const lane of lanes) await resetLane(lane)
    assert.equal(await scene.record(), undefined)
    assert.equal(await scene.put('b', scene.write(1n, 110n)), 'stored')
    await assertAllHeard()
    await primary.process.restart()
    await cluster.ready()
  })

  test('a primary that stops in its tracks is succeeded likewise, and does no harm when it goes on', async () => {
    const killed = await cluster.primaryOf(slot)
    const paused = (await cluster.primaries()).find(node => node !== killed)!
    const [lane] = await lanesOf(paused)
    paused.process.pause()
    await assert.rejects(tier.lane(lane!), unavailable)
    await cluster.successorOf(paused, laneSlot(lane!, LANES))
    await resetLane(lane!)
    const state = await tier.lane(lane!)
    paused.process.resume()
    await until('it follows', async () => !(await paused.isPrimary().catch(() => true)))
    assert.deepEqual(await tier.lane(lane!), state)
    await cluster.ready()
    for (let lane = 0; lane < LANES; lane++) if ((await tier.lane(lane)) === undefined) await resetLane(lane)
    await assertAllHeard()
  })

  test('a slot that moves takes its lane along, which begins anew; its messages go on from there', async () => {
    const from = await cluster.primaryOf(slot)
    const to = (await cluster.primaries()).find(node => node !== from)!
    await scene.put('a', scene.write(1n, 110n))
    ear.lostLanes.clear()
    await cluster.migrateSlot(slot, to)
    assert.equal(
      await until('it answers', () =>
        tier
          .lane(scene.lane)
          .then(lane => lane ?? 'none')
          .catch(() => false),
      ),
      'none',
    )
    await until('its messages are lost', () => ear.lostLanes.has(scene.lane))
    await resetLane(scene.lane)
    assert.equal(await scene.record(), undefined)
    await assertAllHeard()
    assert.deepEqual([...ear.lostLanes], [scene.lane])
    await cluster.migrateSlot(slot, from)
    await resetLane(scene.lane)
  })

  test('an event whose record has moved already waits until the slot has, and finds the lane anew there', async () => {
    const from = await cluster.primaryOf(slot)
    const to = (await cluster.primaries()).find(node => node !== from)!
    const other = scene.neighbours[0]!
    await scene.put('a', scene.write(1n, 200n))
    await scene.put('b', scene.write(2n, 210n), other)
    const { generation, mark } = await scene.state()
    const migration = await cluster.beginMigration(slot, to)
    const key = (await migration.keysLeft()).find(name => name.endsWith(`k${scene.key}`))!
    await migration.moveKeys([key])
    const event = scene.event(3n, mark.lsn + 50n)
    const request = { generation, prev: mark, next: { lsn: mark.lsn + 60n, sub: 0n }, events: [event] }
    await assert.rejects(tier.apply(scene.lane, request), { ...unavailable, message: /TRYAGAIN/ })
    // Neither half did anything; what has all of its keys at the old end goes on.
    assert.deepEqual(await scene.state(), (await tier.read([other]))[0]!.lane)
    assert.equal(await scene.value(other), 'b')
    await assert.rejects(scene.value(), unavailable)
    // The header goes now, the last record stays: both ends together are still no lane.
    const header = (await migration.keysLeft()).filter(name => !name.endsWith(`k${other}`))
    await migration.moveKeys(header)
    await assert.rejects(tier.apply(scene.lane, { ...request, events: [{ ...event, key: other }] }), unavailable)
    assert.equal(await tier.lane(scene.lane), undefined)
    await migration.moveKeys()
    await migration.finish()
    assert.deepEqual(await tier.apply(scene.lane, request), { outcome: 'no-lane', lane: undefined })
    await resetLane(scene.lane)
    assert.deepEqual(
      (await tier.read([scene.key, other])).map(({ record }) => record),
      [undefined, undefined],
    )
    await assertAllHeard()
  })

  test('a migration that was called off leaves the lane as it was', async () => {
    const from = await cluster.primaryOf(slot)
    const to = (await cluster.primaries()).find(node => node !== from)!
    await scene.put('a', scene.write(1n, 900n))
    const migration = await cluster.beginMigration(slot, to)
    assert.equal(await scene.value(), 'a')
    await migration.abandon()
    assert.equal(await scene.value(), 'a')
    await assertAllHeard()
  })

  test('a new primary that nobody gave the functions gets them with the first call', async () => {
    for (const node of await cluster.primaries()) await node.command('FUNCTION', 'FLUSH')
    for (let lane = 0; lane < LANES; lane++) {
      const state = (await tier.lane(lane))!
      const next = { lsn: state.mark.lsn + 1n, sub: 0n }
      const request = { generation: state.generation, prev: state.mark, next, events: [] }
      assert.equal((await tier.apply(lane, request)).outcome, 'applied')
    }
  })
})
