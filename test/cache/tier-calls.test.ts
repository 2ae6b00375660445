// Calls to a tier with a bounded wait. What the read path makes of them is in reader.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock, Timer } from '../../src/base/clock.ts'
import { limits } from '../../src/base/limits.ts'
import { TierCalls } from '../../src/cache/tier-calls.ts'
import { settle } from './two-nodes.ts'

/** Timers that run when the test says so, also those of the next turn. */
class StepClock implements Clock {
  nowMs = 1_000
  readonly timers: { dueMs: number; callback: () => void }[] = []

  monotonicMs(): number {
    return this.nowMs
  }

  wallMs(): number {
    return this.nowMs
  }

  timer(delayMs: number, callback: () => void): Timer {
    const entry = { dueMs: this.nowMs + delayMs, callback }
    this.timers.push(entry)
    return { cancel: () => void this.timers.splice(this.timers.indexOf(entry), 1) }
  }

  /** Runs what is due, and not what that sets up. */
  turn(ms: number): void {
    this.nowMs += ms
    for (const entry of this.timers.filter(({ dueMs }) => dueMs <= this.nowMs)) {
      this.timers.splice(this.timers.indexOf(entry), 1)
      entry.callback()
    }
  }
}

test('an answer that waits to be read when the time is over counts, since the thread itself may have been held up', async () => {
  const clock = new StepClock()
  const calls = new TierCalls(1, clock)
  const { promise, resolve } = Promise.withResolvers<string>()
  const answer = calls.call(0, () => promise)
  clock.turn(limits.tierTimeoutMs + 1_000)
  resolve('here')
  await settle()
  clock.turn(0)
  assert.equal(await answer, 'here')
  assert.equal(clock.timers.length, 0)
  assert.equal(
    calls.call(0, () => 'next'),
    'next',
  )
})

test('without an answer a turn later the call goes on without', async () => {
  const clock = new StepClock()
  const calls = new TierCalls(1, clock)
  const answer = calls.call(0, () => new Promise<string>(() => {}))
  clock.turn(limits.tierTimeoutMs)
  clock.turn(0)
  assert.equal(await answer, undefined)
  assert.equal(
    calls.call(0, () => 'asked'),
    undefined,
  )
})

test('what is not the tier being away is for the caller', async () => {
  const calls = new TierCalls(1, new StepClock())
  const broken = Promise.reject(new Error('a fault of this program'))
  await assert.rejects(async () => calls.call(0, () => broken), /a fault of this program/)
})
