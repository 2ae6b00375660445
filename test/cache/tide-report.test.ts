// What people are told of the tide: why it stopped in words, and no trouble that is over.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { ResetLog } from '../../src/cache/running-source.ts'
import { SourceGauges } from '../../src/cache/source-gauges.ts'
import { TideReport } from '../../src/cache/tide-report.ts'
import { ManualClock } from '../../src/testing/index.ts'

function scene(): { report: TideReport; log: string[]; gauges: SourceGauges; clock: ManualClock; resets: string[] } {
  const log: string[] = []
  const resets: string[] = []
  const events = {
    log: (line: string) => void log.push(line),
    altered: () => {},
    told: () => {},
    reset: (lanes: number, reason: string) => void resets.push(`${lanes} ${reason}`),
  }
  const [clock, gauges] = [new ManualClock(), new SourceGauges()]
  return {
    report: new TideReport({ name: 'main', lanes: 4, clock, gauges, resets: new ResetLog(), events }),
    log,
    gauges,
    clock,
    resets,
  }
}

test('a term that ends is told with its reason in words, and only where there was one', () => {
  const { report, log, gauges } = scene()
  report.opened()
  assert.equal(gauges.get('tideHeld'), 1)
  report.ended({ kind: 'elsewhere' })
  report.opened()
  report.ended({ kind: 'lost', error: new TidemarkError('FEED_LOST', 'the slot is gone') })
  report.ended({ kind: 'behind' })
  assert.equal(gauges.get('tideHeld'), 0)
  report.opened()
  report.ended({ kind: 'stopped' })
  assert.deepEqual(log, [
    "database 'main': the tide runs here",
    "database 'main': the tide stopped here: the database is of another epoch now; the log is read anew",
    "database 'main': the tide runs here",
    "database 'main': the tide stopped here: the slot is gone",
    "database 'main': the tide runs here",
  ])
})

test('trouble is over when another process has the tide, and stays when that is the trouble', () => {
  const { report, log } = scene()
  report.ended({ kind: 'lost', error: new TidemarkError('SOURCE_UNAVAILABLE', 'cannot connect') })
  assert.equal(report.trouble, 'cannot connect')
  report.ended({ kind: 'taken' })
  assert.deepEqual([report.taken, report.trouble], [true, undefined])
  report.retry(undefined, new TidemarkError('FEED_TAKEN', 'a slot each'))
  report.ended({ kind: 'taken' })
  report.retry(undefined, new TidemarkError('FEED_TAKEN', 'a slot each'))
  assert.equal(report.trouble, 'a slot each')
  report.opened()
  assert.equal(report.trouble, undefined)
  assert.deepEqual(log, [
    "database 'main': no tide: cannot connect",
    "database 'main': the tide runs in another process",
    'a slot each',
    "database 'main': the tide runs here",
  ])
})

test('lanes that begin anew for one reason are told at once', () => {
  const { report, resets, clock } = scene()
  for (let lane = 0; lane < 4; lane++) report.reset(lane, 'lost')
  report.reset(0, 'altered')
  assert.deepEqual(resets, [])
  clock.advance(1_000)
  assert.deepEqual(resets, ['4 lost', '1 altered'])
})
