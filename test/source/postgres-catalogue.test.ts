// What the epoch of a database depends on, and what not. Not for: what a database says of itself (postgres-source.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PostgresCatalogue } from '../../src/source/postgres-catalogue.ts'
import type { PostgresLog } from '../../src/source/postgres-options.ts'

const SERVER = '7651234567890123456/00000001/1795000000123456'

function epochWith(log: PostgresLog): bigint {
  return new PostgresCatalogue({ name: 'db', keyspaces: [], log, lanes: 64 }).meet(SERVER)
}

test('a log is the same one in whatever order its parts were written down: servers and services share lanes', () => {
  const [publication, slot] = ['changes', 'cache'] as const
  const log = { kind: 'publication', publication, slot } as const
  assert.equal(epochWith(log), epochWith({ slot, publication, kind: 'publication' }))
})

test('another publication, another slot, and an outbox are other logs', () => {
  const logs: readonly PostgresLog[] = [
    { kind: 'publication', publication: 'changes', slot: 'cache' },
    { kind: 'publication', publication: 'cache', slot: 'changes' },
    { kind: 'publication', publication: 'changes', slot: 'other' },
    { kind: 'publication', publication: 'other', slot: 'cache' },
    { kind: 'outbox', schema: 'changes' },
    { kind: 'outbox', schema: 'other' },
  ]
  assert.equal(new Set(logs.map(epochWith)).size, logs.length)
})
