// What the log says of rows that cannot be proved to be fresh.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Readiness } from '../../src/server/database-report.ts'
import { ReadinessLog } from '../../src/server/readiness-log.ts'
import { ManualClock } from '../../src/testing/index.ts'

const FRESH: Readiness = { unready: [], degraded: [] }
const SLOW: Readiness = { unready: [], degraded: ['2 lanes are not proved'] }
const DOWN: Readiness = { unready: ['it does not answer'], degraded: [] }

function scene(): { clock: ManualClock; lines: string[]; log: ReadinessLog; now: { readiness: Readiness } } {
  const clock = new ManualClock()
  const lines: string[] = []
  const now = { readiness: FRESH }
  const log = new ReadinessLog({ clock, log: line => void lines.push(line), readiness: () => now.readiness })
  return { clock, lines, log, now }
}

test('what is over within a moment is not told', () => {
  const { clock, lines, now } = scene()
  clock.advance(10_000)
  for (const readiness of [SLOW, FRESH, DOWN, FRESH]) {
    now.readiness = readiness
    clock.advance(1_500)
  }
  clock.advance(10_000)
  assert.deepEqual(lines, [])
})

test('what lasts is told once, and so are its getting worse and its end', () => {
  const { clock, lines, now } = scene()
  clock.advance(10_000)
  now.readiness = SLOW
  clock.advance(60_000)
  assert.deepEqual(lines.splice(0), ['2 lanes are not proved; they are read from the database'])
  now.readiness = DOWN
  clock.advance(1_000)
  assert.deepEqual(lines, [])
  clock.advance(59_000)
  assert.deepEqual(lines.splice(0), ['it does not answer'])
  now.readiness = SLOW
  clock.advance(60_000)
  assert.deepEqual(lines.splice(0), ['2 lanes are not proved; they are read from the database'])
  now.readiness = FRESH
  clock.advance(500)
  assert.deepEqual(lines.splice(0), ['all rows are proved to be fresh again, after 180.0 s'])
  clock.advance(60_000)
  assert.deepEqual(lines, [])
})

test('it looks no more once it is stopped', () => {
  const { clock, lines, now, log } = scene()
  log.stop()
  now.readiness = DOWN
  clock.advance(60_000)
  assert.deepEqual([lines, clock.pending], [[], 0])
})
