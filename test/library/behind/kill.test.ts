// A few rounds of `npm run test:journal -- --library`; see kill-rounds.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { behindKillRounds } from './kill-rounds.ts'

test('what a keyspace that writes behind has acknowledged is read, and comes to the database, after kill -9', async t => {
  const report = await behindKillRounds(3, 1, () => {})
  t.diagnostic(JSON.stringify(report))
  assert.ok(report.rounds === 3 && report.acknowledged >= 20 && report.reads >= 24 && report.stored === 12)
})
