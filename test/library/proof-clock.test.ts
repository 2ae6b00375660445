// The time that proofs are judged by: never early, and no proof of before a suspension counts after it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SuspendWatch } from '../../src/cache/suspend-watch.ts'
import { ProofClock } from '../../src/library/proof-clock.ts'
import { ManualClock } from '../../src/testing/clock.ts'

function scene() {
  const clock = new ManualClock()
  const jumps: number[] = []
  const proofs = new ProofClock(clock, new SuspendWatch(clock), () => jumps.push(clock.monotonicMs()))
  return { clock, jumps, proofs }
}

void test('it is now, or up to a millisecond later, whenever it is asked', () => {
  const { clock, proofs, jumps } = scene()
  for (const ms of [0, 1, 30, 60_000, 2]) {
    clock.advance(ms)
    const late = proofs.nowMs() - clock.monotonicMs()
    assert.ok(late >= 0 && late <= 1, `${late} ms after ${ms}`)
    assert.equal(proofs.trustedMs(500), 500)
  }
  assert.deepEqual(jumps, [])
})

void test('after a suspension nothing of before is within any bound, even if it is proved again', () => {
  const { clock, proofs, jumps } = scene()
  proofs.nowMs()
  const before = clock.monotonicMs()
  clock.jumpWall(3_600_000)
  const now = proofs.nowMs()
  assert.equal(jumps.length, 1)
  assert.ok(now - before > proofs.trustedMs(500), 'a proof of the moment before')
  clock.advance(300)
  const later = proofs.nowMs()
  assert.ok(later - before > proofs.trustedMs(500))
  assert.ok(later - (before + 2) <= proofs.trustedMs(500), 'a proof of the moment after')
  clock.advance(10_000)
  proofs.nowMs()
  assert.equal(proofs.trustedMs(500), 500)
  assert.equal(jumps.length, 1)
})
