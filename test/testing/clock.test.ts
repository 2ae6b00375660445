// The clock that tests move by hand.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/testing/clock.ts'

test('a manual clock runs timers in the order of their time, each at its own time', () => {
  const clock = new ManualClock(100, 5000)
  const seen: [string, number, number][] = []
  const note = (name: string) => () => seen.push([name, clock.monotonicMs(), clock.wallMs()])
  clock.timer(20, note('b'))
  clock.timer(10, () => {
    note('a')()
    clock.timer(5, note('nested'))
  })
  clock.timer(20, note('c'))
  const cancelled = clock.timer(15, note('never'))
  cancelled.cancel()
  clock.advance(9)
  assert.deepEqual(seen, [])
  clock.advance(11)
  assert.deepEqual(seen, [
    ['a', 110, 5010],
    ['nested', 115, 5015],
    ['b', 120, 5020],
    ['c', 120, 5020],
  ])
  assert.equal(clock.pending, 0)
})

test('a timer of no delay runs by itself, but not inside the call', async () => {
  const clock = new ManualClock()
  let runs = 0
  clock.timer(0, () => runs++)
  const cancelled = clock.timer(0, () => (runs += 100))
  cancelled.cancel()
  assert.equal(runs, 0)
  await Promise.resolve()
  assert.equal(runs, 1)
  clock.advance(10)
  assert.equal(runs, 1)
})

test('the wall clock jumps alone', () => {
  const clock = new ManualClock(100, 5000)
  clock.jumpWall(-1000)
  assert.deepEqual([clock.monotonicMs(), clock.wallMs()], [100, 4000])
  assert.throws(() => clock.advance(-1), /time goes forward/)
})

test('time is given as durations, and nothing else', () => {
  const clock = new ManualClock(100, 5000)
  clock.advance('1.5s')
  assert.equal(clock.monotonicMs(), 1600)
  for (const by of ['10', '-1s', NaN] as unknown as '1s'[]) {
    assert.throws(() => clock.advance(by), { code: 'OPTION_INVALID', message: /jumpWall/ }, by)
  }
})

test('time that passes waits, at each timer, for what it sets going', async () => {
  const seen: number[] = []
  const tries = async (clock: ManualClock): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      await new Promise<void>(resolve => void clock.timer(10, resolve))
      await new Promise(resolve => void setImmediate(resolve))
      seen.push(clock.monotonicMs())
    }
  }
  const clock = new ManualClock(100)
  void tries(clock)
  await clock.pass('1s')
  assert.deepEqual(seen, [110, 120, 130])
  assert.equal(clock.monotonicMs(), 1100)
})

test('time passes until a call has settled, and no longer', async () => {
  const clock = new ManualClock(0)
  clock.timer(5_000, () => assert.fail('too far'))
  const call = new Promise<string>(resolve => void clock.timer(700, () => resolve('done')))
  assert.equal(await clock.until(call), 'done')
  assert.equal(clock.monotonicMs(), 700)
  await assert.rejects(clock.until(Promise.reject(new Error('as it is'))), /as it is/)
  await assert.rejects(clock.until(new Promise(() => {}), '2s'), /still under way after 2s/)
  assert.equal(clock.monotonicMs(), 2_700)
})
