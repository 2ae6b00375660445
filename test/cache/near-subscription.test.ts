// How a near cache comes to know its lanes: by messages, or by headers read after the subscription stands.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { limits } from '../../src/base/limits.ts'
import type { LaneState } from '../../src/coherence/lane.ts'
import { MapNear } from '../../src/cache/map-near.ts'
import { NearSubscription } from '../../src/cache/near-subscription.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import { settle } from './two-nodes.ts'

class Subscribed {
  readonly clock = new ManualClock()
  readonly tier = new MemoryTier({ clock: this.clock, lanes: 1 })
  readonly near = new MapNear({ lanes: 1, clock: this.clock, entriesMax: 10 })
  /** Answers to questions for the header, in order; without one, the tier's own comes at once. */
  answers: Promise<LaneState | undefined>[] = []
  asked = 0
  subscription!: NearSubscription

  static async open(): Promise<Subscribed> {
    const s = new Subscribed()
    const { tier, near, clock } = s
    const reached = {
      lanes: 1,
      lane: (lane: number) => {
        s.asked++
        return s.answers.shift() ?? tier.lane(lane)
      },
      subscribe: tier.subscribe.bind(tier),
    }
    s.subscription = await NearSubscription.open({ tier: reached, near, clock })
    return s
  }

  reset(nonce: number): void {
    this.tier.reset(0, { expected: this.tier.lane(0), to: 100n, generation: { epoch: 7n, nonce } })
  }

  heartbeat(lsn: bigint): void {
    const { generation, mark } = this.tier.lane(0)!
    this.tier.apply(0, { generation, prev: mark, next: { lsn, sub: 0n }, events: [] })
  }
}

await test('a lane without messages becomes known by its header', async () => {
  const s = new Subscribed()
  s.reset(1)
  await NearSubscription.open({ tier: s.tier, near: s.near, clock: s.clock })
  await settle()
  assert.deepEqual(s.near.lane(0), s.tier.lane(0))
})

await test('a lane without a header is asked for again, ever more seldom, until it has one', async () => {
  const s = await Subscribed.open()
  await settle()
  assert.equal(s.asked, 1)
  for (let i = 0; i < 40; i++) {
    s.clock.advance(limits.sampleEveryMs)
    await settle()
  }
  assert.ok(s.asked > 3 && s.asked < 10, `asked ${s.asked} times in ${40 * limits.sampleEveryMs} ms`)
  // No message comes of it: nobody is told.
  const mend = s.tier.cutMessages()
  s.reset(1)
  s.clock.advance(limits.sampleTimeoutMs)
  await settle()
  assert.deepEqual(s.near.lane(0), s.tier.lane(0))
  mend()
})

await test('a lane that messages have made known is not asked for', async () => {
  const s = new Subscribed()
  const opened = NearSubscription.open({ tier: s.tier, near: s.near, clock: s.clock })
  s.reset(1)
  await opened
  await settle()
  assert.deepEqual(s.near.lane(0), s.tier.lane(0))
  s.heartbeat(120n)
  assert.equal(s.near.lane(0)?.mark.lsn, 120n)
})

await test('a question that fails is asked again', async () => {
  const s = new Subscribed()
  s.reset(1)
  let failures = 3
  const lane = (at: number): Promise<LaneState | undefined> => {
    if (failures-- > 0) return Promise.reject(new TidemarkError('TIER_UNAVAILABLE', 'gone'))
    return Promise.resolve(s.tier.lane(at))
  }
  const subscribe = s.tier.subscribe.bind(s.tier)
  await NearSubscription.open({ tier: { lanes: 1, lane, subscribe }, near: s.near, clock: s.clock })
  for (let i = 0; i < 10; i++) {
    await settle()
    s.clock.advance(limits.sampleTimeoutMs)
  }
  await settle()
  assert.deepEqual(s.near.lane(0), s.tier.lane(0))
})

await test('once messages may be lost the lane is asked for anew, and an answer of before does not count', async () => {
  const s = await Subscribed.open()
  s.reset(1)
  await settle()
  const before = s.tier.lane(0)
  const late = Promise.withResolvers<LaneState | undefined>()
  s.answers = [late.promise, new Promise(() => {})]
  s.tier.cutMessages()()
  await settle()
  assert.equal(s.near.lane(0), undefined)
  s.tier.cutMessages()()
  await settle()
  late.resolve(before)
  await settle()
  assert.equal(s.near.lane(0), undefined, 'that one was asked before the second loss')
  s.tier.cutMessages()()
  await settle()
  assert.deepEqual(s.near.lane(0), s.tier.lane(0))
})

await test('after it is closed nothing is known, and nothing comes to be', async () => {
  const s = await Subscribed.open()
  s.reset(1)
  await settle()
  await s.subscription.close()
  assert.equal(s.near.lane(0), undefined)
  s.heartbeat(120n)
  await settle()
  assert.equal(s.near.lane(0), undefined)
  assert.equal(s.clock.pending, 0)
})
