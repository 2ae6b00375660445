// What is read off the time lines of probes: gaps and recovery.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { longestGapMs, recoveredMs } from './prober.ts'
import type { Probe } from './prober.ts'

function line(from: number, to: number, more: Partial<Probe> = {}): Probe[] {
  const count = (to - from) / 50
  return Array.from({ length: count }, (_, i) => ({
    sentMs: from + i * 50,
    doneMs: from + i * 50 + 2,
    answered: true,
    oldestMs: 80,
    loaded: 0,
    error: undefined,
    ...more,
  }))
}

test('answers that follow one another leave no gap', () => {
  assert.equal(longestGapMs(line(0, 5_000), 1_000, 4_000), 0)
})

test('the gap is from the last answer before to the first one after', () => {
  const probes = [...line(0, 1_000), ...line(1_000, 3_000, { answered: false }), ...line(3_000, 5_000)]
  assert.equal(longestGapMs(probes, 500, 4_500), 3_002 - 952)
})

test('a gap that does not end counts up to the end', () => {
  const probes = [...line(0, 1_000), ...line(1_000, 3_000, { answered: false })]
  assert.equal(longestGapMs(probes, 500, 3_000), 3_000 - 952)
})

test('recovered is once all is answered and fresh to the end', () => {
  const old = line(1_000, 2_000, { oldestMs: 501 })
  const probes = [...line(0, 1_000), ...old, ...line(2_000, 2_100), ...line(2_100, 2_200, { answered: false }), ...line(2_200, 4_000)] // prettier-ignore
  assert.equal(recoveredMs(probes, 1_000, 4_000, 500), 2_202)
  assert.equal(recoveredMs(old, 1_000, 4_000, 500), undefined)
})

test('what comes from the database is not recovered', () => {
  const loads = line(1_000, 2_000, { loaded: 5 })
  assert.equal(recoveredMs([...loads, ...line(2_000, 3_000, { loaded: 4 })], 1_000, 3_000, 500), 2_002)
})
