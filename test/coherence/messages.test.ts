// What is published to near caches: every change of a lane's content but loads, in sequence, each message continuing the
// one before.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generationsEqual } from '../../src/coherence/generation.ts'
import type { LaneMessage } from '../../src/coherence/operations.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import { TierScene } from '../../src/testing/tier-scene.ts'

async function scene(): Promise<{ s: TierScene; messages: LaneMessage[] }> {
  const messages: LaneMessage[] = []
  const clock = new ManualClock()
  const tier = new MemoryTier({ clock, lanes: 1, publish: (_lane, message) => messages.push(message) })
  const s = new TierScene({ tier, clock })
  await s.reset()
  return { s, messages }
}

test('each message continues the generation, the sequence and the mark of the one before', async () => {
  const { s, messages } = await scene()
  await s.put('a', s.write(1n, 110n))
  await s.apply(100n, [s.event(2n, 120n, 105n)], 105n)
  await s.tier.voidKey(s.key)
  await s.apply(150n)
  await s.begin(1n)
  await s.putFenced(1n, 'b')
  assert.equal(messages.length, 7)
  for (const [index, message] of messages.slice(1).entries()) {
    const before = messages[index]!
    assert.ok(generationsEqual(message.generation, before.generation))
    assert.equal(message.sequence, before.sequence + 1)
    assert.deepEqual(message.prev, before.mark)
  }
  assert.deepEqual(messages.at(-1)!.mark, { lsn: 150n, sub: 0n })
})

test('a put names its key with its transaction, an apply its events, and what holds no position voids', async () => {
  const { s, messages } = await scene()
  const { key } = s
  await s.put('a', s.write(1n, 110n))
  assert.deepEqual(messages.at(-1)!.events, [{ key, xid: 1n, lsn: 110n, change: 110n }])
  await s.apply(150n, [s.event(1n, 120n, 109n)])
  assert.deepEqual(messages.at(-1)!.events, [s.event(1n, 120n, 109n)])
  await s.tier.voidKey(key)
  assert.deepEqual(messages.at(-1)!.voids, [key])
  await s.begin(1n)
  assert.deepEqual(messages.at(-1)!.voids, [key])
  await s.putFenced(2n, 'b')
  assert.deepEqual(messages.at(-1)!.voids, [key])
})

test('a reset does not continue what was before', async () => {
  const { s, messages } = await scene()
  await s.reset(500n)
  const [first, second] = messages
  assert.ok(!generationsEqual(first!.generation, second!.generation))
  assert.deepEqual([second!.mark.lsn, second!.prev.lsn], [500n, 500n])
})

test('leases, loads and refusals that change nothing are not published', async () => {
  const { s, messages } = await scene()
  await s.loadInto('a', s.load())
  await s.fill(5n, 'b', s.load())
  await s.put('c', s.write(1n, 50n), s.neighbours[0])
  await s.put('c', s.write(1n, 110n, 99n))
  await s.lease(7n)
  assert.equal(messages.length, 1)
})
