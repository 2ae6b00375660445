// Closing a cache over a shared tier: what it has answered is there for others, and what it was loading is not waited for.
// Not for: processes that die (test/sim), tiers that are real (one-tier.test.ts).
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Tidemark } from '../../src/library/tidemark.ts'
import { createTestTidemark, faultyTier, ManualClock, MemoryTier } from '../../src/testing/index.ts'
import { settle } from './scene.ts'

interface Processes {
  readonly clock: ManualClock
  readonly tier: MemoryTier
  open(): Tidemark
}

function processes(t: TestContext): Processes {
  const clock = new ManualClock()
  const tier = new MemoryTier({ clock })
  const open = (): Tidemark => {
    const { tide } = createTestTidemark({ tier }, { clock })
    t.after(() => tide.close())
    return tide
  }
  return { clock, tier, open }
}

void test('what was built just before is in the tier when close() has resolved', async t => {
  const { clock, tier, open } = processes(t)
  const link = faultyTier(tier, { clock })
  const one = createTestTidemark({ tier: link }, { clock }).tide
  assert.equal(await one.getOrSet('warm', () => 'one'), 'one')
  await settle()

  link.delay('100ms', { on: 'fill' })
  assert.equal(await one.getOrSet('report', () => 'by one'), 'by one')
  let isClosed = false
  const closing = one.close().then(() => (isClosed = true))
  await settle()
  assert.equal(isClosed, false)
  await clock.pass('100ms')
  await closing
  assert.equal(await open().getOrSet('report', () => 'by two'), 'by one')
})

void test('a tier that does not answer is not waited for when it closes, longer than a call is', async t => {
  const { clock, tier } = processes(t)
  const link = faultyTier(tier, { clock })
  const { tide } = createTestTidemark({ tier: link }, { clock })
  await tide.getOrSet('warm', () => 1)
  await settle()
  link.hang({ on: 'fill' })
  await tide.getOrSet('report', () => 1)
  const begunMs = clock.monotonicMs()
  await clock.until(tide.close())
  assert.ok(clock.monotonicMs() - begunMs <= 300)
})

void test('who closes while it loads leaves nobody waiting, and its caller is answered', async t => {
  const { clock, open } = processes(t)
  const one = open()
  const two = open()
  await one.get('nothing')
  await two.get('nothing')
  const slow = Promise.withResolvers<string>()
  const building = one.getOrSet('report', () => slow.promise)
  await settle()
  await one.close()
  const begunMs = clock.monotonicMs()
  assert.equal(await clock.until(two.getOrSet('report', () => 'by two')), 'by two')
  assert.ok(clock.monotonicMs() - begunMs < 100)
  slow.resolve('by one')
  assert.equal(await building, 'by one')
  await settle()
  assert.equal(await two.get('report'), 'by two')
})
