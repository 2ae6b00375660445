// The fingerprint of a database and of how it is cut into lanes and keyspaces.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochOf, LOGLESS_EPOCH, type EpochKeyspace, type EpochParts } from '../../src/coherence/epoch.ts'

const users: EpochKeyspace = {
  name: 'users',
  table: 'public.users',
  columns: [
    { name: 'id', type: 'bigint' },
    { name: 'name', type: 'text' },
  ],
  keyColumns: ['id'],
}
const orders: EpochKeyspace = { ...users, name: 'orders', table: 'public.orders' }
const parts: EpochParts = {
  systemId: '7301234567890',
  timeline: 1,
  run: '2026-01-01',
  lanes: 64,
  keyspaces: [users, orders],
  publication: 'tidemark',
}

await test('equal parts have one epoch, in whatever order their keyspaces are declared', () => {
  assert.equal(epochOf(parts), epochOf({ ...parts, keyspaces: [{ ...orders }, { ...users }] }))
  assert.ok(epochOf(parts) >= 0n && epochOf(parts) < 1n << 64n)
})

await test('the epoch of these parts is the same in every version', () => {
  assert.equal(epochOf(parts), 1568394063492948525n)
})

await test('whatever differs, the epoch differs', () => {
  const [id, name] = users.columns
  const withUsers = (change: Partial<EpochKeyspace>): EpochParts => ({
    ...parts,
    keyspaces: [{ ...users, ...change }, orders],
  })
  const others: EpochParts[] = [
    { ...parts, systemId: '7301234567891' },
    { ...parts, timeline: 2 },
    { ...parts, run: '2026-01-02' },
    { ...parts, lanes: 65 },
    { ...parts, publication: 'tidemark2' },
    { ...parts, keyspaces: [users] },
    { ...parts, keyspaces: [] },
    withUsers({ name: 'people' }),
    withUsers({ table: 'other.users' }),
    withUsers({ columns: [id!] }),
    withUsers({ columns: [name!, id!] }),
    withUsers({ columns: [id!, { name: 'name', type: 'jsonb' }] }),
    withUsers({ keyColumns: ['name'] }),
    withUsers({ keyColumns: ['id', 'name'] }),
    withUsers({ definition: 'SELECT 1' }),
  ]
  const epochs = new Set([parts, ...others].map(epochOf))
  assert.equal(epochs.size, others.length + 1)
})

test('the epoch of sources without a log is that of nothing, as it was written down', () => {
  const nothing = { systemId: 'no log', timeline: 0, run: '', lanes: 0, keyspaces: [], publication: '' }
  assert.equal(LOGLESS_EPOCH, epochOf(nothing))
})
