// The progress of something long: a bar on a terminal, plain lines elsewhere.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Progress } from '../../src/cli/progress.ts'
import type { Clock } from '../../src/base/clock.ts'

interface Recorded {
  readonly progress: Progress
  readonly written: string[]
  passMs(ms: number): void
}

function record(terminal: { isTTY?: boolean; columns?: number }): Recorded {
  const written: string[] = []
  let nowMs = 0
  const clock: Clock = { monotonicMs: () => nowMs, wallMs: () => nowMs, timer: () => assert.fail('no timers') }
  const progress = new Progress({ ...terminal, write: text => written.push(text) }, clock, 'Creating x.db')
  return { progress, written, passMs: ms => (nowMs += ms) }
}

describe('elsewhere than on a terminal', () => {
  test('there is a line for every tenth, whole lines, and the last one', () => {
    const { progress, written } = record({})
    for (let done = 0; done <= 2000; done++) progress.update(done, 2000, 'rows')
    progress.close()
    assert.equal(written.length, 11)
    assert.equal(written[0], 'Creating x.db 0% (0 of 2,000 rows)\n')
    assert.equal(written[3], 'Creating x.db 30% (600 of 2,000 rows)\n')
    assert.equal(written[10], 'Creating x.db 100% (2,000 of 2,000 rows)\n')
  })
  test('going back, or past the end, says nothing more', () => {
    const { progress, written } = record({})
    for (const done of [50, 10, 55, 150, 200]) progress.update(done, 100, 'rows')
    assert.deepEqual(written, ['Creating x.db 50% (50 of 100 rows)\n', 'Creating x.db 100% (150 of 100 rows)\n'])
  })
  test('a total that is not known says nothing', () => {
    const { progress, written } = record({})
    progress.update(5, 0, 'rows')
    progress.update(5, Number.NaN, 'rows')
    progress.close()
    assert.deepEqual(written, [])
  })
})

describe('on a terminal', () => {
  test('the bar is drawn over itself, and its line ended once', () => {
    const { progress, written, passMs } = record({ isTTY: true, columns: 200 })
    progress.update(0, 10, 'rows')
    passMs(100)
    progress.update(5, 10, 'rows')
    progress.close()
    progress.close()
    assert.deepEqual(written, [
      `\r\u001b[KCreating x.db [${'-'.repeat(20)}] 0% (0 of 10 rows)`,
      `\r\u001b[KCreating x.db [${'#'.repeat(10)}${'-'.repeat(10)}] 50% (5 of 10 rows)`,
      '\n',
    ])
  })
  test('it is not drawn more often than can be seen, save for the end', () => {
    const { progress, written, passMs } = record({ isTTY: true, columns: 200 })
    for (let done = 0; done <= 1000; done++) {
      progress.update(done, 1000, 'rows')
      passMs(1)
    }
    assert.equal(written.length, 21)
    assert.match(written.at(-1)!, /100% /)
  })
  test('it never takes more than one row, or the next drawing would not cover it', () => {
    const { progress, written } = record({ isTTY: true, columns: 40 })
    progress.update(1, 2, 'rows with a very long description')
    assert.equal(written[0]!.length - '\r\u001b[K'.length, 39)
  })
})
