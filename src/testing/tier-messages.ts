// What a shared tier tells near caches, as tests: every change of a lane's content but loads, in sequence, each message
// continuing the one before. What a near cache makes of them is in coherence/near-lane.ts.
import assert from 'node:assert/strict'
import { generationsEqual } from '../coherence/generation.ts'
import type { LaneMessage } from '../coherence/operations.ts'
import type { LaneListener, LaneSubscription, SharedTier, Tier } from '../tier/tier.ts'
import type { TierRules } from './tier-rules.ts'
import type { TierScene } from './tier-scene.ts'

const SETTLES_MAX = 200

class Listener implements LaneListener {
  readonly messages: LaneMessage[] = []
  readonly #lane: number

  constructor(lane: number) {
    this.#lane = lane
  }

  message(lane: number, message: LaneMessage): void {
    if (lane === this.#lane) this.messages.push(message)
  }

  lost(): void {
    assert.fail('no messages are lost here')
  }
}

function isShared(tier: Tier): tier is SharedTier {
  return 'subscribe' in tier
}

async function listen(s: TierScene): Promise<{ heard: Listener; subscription: LaneSubscription }> {
  assert.ok(isShared(s.tier), 'a tier that cannot tell messages says so to the contract')
  const heard = new Listener(s.lane)
  return { heard, subscription: await s.tier.subscribe(heard) }
}

/** The messages heard, once there are so many of them; and no more come. */
async function arrived(s: TierScene, heard: Listener, count: number): Promise<readonly LaneMessage[]> {
  for (let turn = 0; turn < SETTLES_MAX && heard.messages.length < count; turn++) await s.fixture.settle?.()
  await s.fixture.settle?.()
  assert.equal(heard.messages.length, count)
  return heard.messages
}

export const messageRules: TierRules = {
  'each message continues the generation, the sequence and the mark of the one before': async s => {
    const { heard } = await listen(s)
    await s.put('a', s.write(1n, 110n))
    await s.apply(100n, [s.event(2n, 120n, 105n)], 105n)
    await s.tier.voidKey(s.key)
    await s.apply(150n)
    await s.begin(1n)
    await s.putFenced(1n, 'b')
    let before = { ...(await s.state()), sequence: 0, mark: { lsn: 100n, sub: 0n } }
    before = { ...before, sequence: (await s.state()).sequence - 6 }
    for (const message of await arrived(s, heard, 6)) {
      assert.ok(generationsEqual(message.generation, before.generation))
      assert.equal(message.sequence, before.sequence + 1)
      assert.deepEqual(message.prev, before.mark)
      before = message
    }
    const { generation, sequence, mark } = before
    assert.deepEqual({ generation, sequence, mark }, await s.state())
  },
  'a put tells its key with its transaction, an apply its events': async s => {
    const { heard } = await listen(s)
    const { key } = s
    await s.put('a', s.write(1n, 110n))
    await s.apply(150n, [s.event(1n, 120n, 109n), s.event(2n, 130n, 125n, s.neighbours[0])])
    const [put, apply] = await arrived(s, heard, 2)
    assert.deepEqual(put!.events, [{ key, xid: 1n, lsn: 110n, change: 110n }])
    assert.deepEqual(put!.voids, [])
    assert.deepEqual(apply!.events, [s.event(1n, 120n, 109n), s.event(2n, 130n, 125n, s.neighbours[0])])
  },
  'a put that is too late, or of which nobody knows, tells its key as well': async s => {
    const { heard } = await listen(s)
    const running = Array.from({ length: 20 }, (_, index) => BigInt(5 + index))
    await s.loadInto('a', s.load({ xmin: 5n, xmax: 40n, running }))
    await s.put('b', s.write(7n, 110n))
    await s.lease(3n)
    await s.put('c', s.write(8n, 90n))
    const told = await arrived(s, heard, 2)
    assert.deepEqual(
      told.map(message => message.events.map(event => event.key)),
      [[s.key], [s.key]],
    )
  },
  'what holds no position voids its key': async s => {
    const { heard } = await listen(s)
    await s.tier.voidKey(s.key)
    await s.begin(1n)
    await s.putFenced(2n, 'b')
    await s.begin(3n)
    await s.putFenced(3n, 'c')
    for (const message of await arrived(s, heard, 5)) {
      assert.deepEqual([message.events, message.voids], [[], [s.key]])
    }
  },
  'a part of a large transaction tells its position within it': async s => {
    const { heard } = await listen(s)
    await s.apply(100n, [s.event(2n, 120n, 105n)], 105n)
    await s.apply(120n)
    const [part, whole] = await arrived(s, heard, 2)
    assert.deepEqual(
      [part!.prev, part!.mark],
      [
        { lsn: 100n, sub: 0n },
        { lsn: 100n, sub: 105n },
      ],
    )
    assert.deepEqual(
      [whole!.prev, whole!.mark],
      [
        { lsn: 100n, sub: 105n },
        { lsn: 120n, sub: 0n },
      ],
    )
  },
  'a reset does not continue what was before': async s => {
    const before = await s.state()
    const { heard } = await listen(s)
    await s.reset(500n)
    const [reset] = await arrived(s, heard, 1)
    assert.ok(!generationsEqual(reset!.generation, before.generation))
    assert.deepEqual([reset!.mark.lsn, reset!.prev.lsn], [500n, 500n])
  },
  'leases, loads, and refusals that change nothing are not told': async s => {
    const { heard } = await listen(s)
    await s.loadInto('a', s.load())
    await s.fill(5n, 'b', s.load())
    await s.put('c', s.write(1n, 50n), s.neighbours[0])
    await s.put('c', s.write(1n, 110n, 99n))
    await s.lease(7n)
    const { generation, mark } = await s.state()
    const next = { lsn: mark.lsn + 1n, sub: 0n }
    await s.tier.apply(s.lane, { generation: { ...generation, nonce: 77 }, prev: mark, next, events: [] })
    await arrived(s, heard, 0)
  },
  'all who subscribed are told, until they close': async s => {
    const first = await listen(s)
    const second = await listen(s)
    await s.tier.voidKey(s.key)
    assert.deepEqual(await arrived(s, first.heard, 1), await arrived(s, second.heard, 1))
    await first.subscription.close()
    await s.tier.voidKey(s.key)
    await arrived(s, second.heard, 2)
    await arrived(s, first.heard, 1)
  },
}
