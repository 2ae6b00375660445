// What a lane as read is proved by: the node's own samples, or what was known of it before it was read.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_PROOF } from '../../src/coherence/freshness.ts'
import type { LaneState } from '../../src/coherence/lane.ts'
import { proofOf, TableProofs } from '../../src/cache/proofs.ts'
import { EMBEDDED_SHARD, LaneTable } from '../../src/tier/lane-table.ts'

function lane(lsn: bigint, sub = 0n, nonce = 1): LaneState {
  return { generation: { epoch: 7n, nonce }, sequence: 3, mark: { lsn, sub } }
}

test('what was known of a lane holds for the same lane at the same mark or further on', () => {
  const known = { lane: lane(100n, 5n), asOfMs: 40 }
  assert.equal(proofOf(known, [], lane(100n, 5n)), 40)
  assert.equal(proofOf(known, [], lane(100n, 6n)), 40)
  assert.equal(proofOf(known, [], lane(101n)), 40)
})

test('it says nothing of a lane that was taken back meanwhile, or that has begun anew', () => {
  const known = { lane: lane(100n, 5n), asOfMs: 40 }
  assert.equal(proofOf(known, [], lane(100n, 4n)), NO_PROOF)
  assert.equal(proofOf(known, [], lane(99n)), NO_PROOF)
  assert.equal(proofOf(known, [], lane(200n, 0n, 2)), NO_PROOF)
  assert.equal(proofOf(undefined, [], lane(200n)), NO_PROOF)
})

test('the better of what was known and what the samples say counts', () => {
  const samples = [{ takenAtMs: 30, position: 90n, epoch: 7n }]
  assert.equal(proofOf({ lane: lane(80n), asOfMs: 20 }, samples, lane(100n)), 30)
  assert.equal(proofOf({ lane: lane(80n), asOfMs: 35 }, samples, lane(100n)), 35)
})

test('another thread publishes what is known in the lane table', () => {
  const table = LaneTable.create(3)
  const proofs = new TableProofs(table, 2)
  assert.equal(proofs.known(0), undefined)
  const recent = { changes: [], completeFrom: 0n }
  table.withLane(2, () => table.setHeader(2, { ...lane(100n), shard: EMBEDDED_SHARD, recent }))
  table.setAsOf(2, 40)
  assert.deepEqual(proofs.known(0), { lane: lane(100n), asOfMs: 40 })
})
