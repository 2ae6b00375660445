// A few rounds of `npm run test:journal`, always of the same seed; see kill-rounds.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { killRounds } from './kill-rounds.ts'

test('what a process was told to be in the journal is there after kill -9', async t => {
  const report = await killRounds(5, 1, () => {})
  t.diagnostic(JSON.stringify(report))
  assert.equal(report.rounds, 5)
  assert.ok(report.acknowledged > 100 && report.replayed > 100)
})
