// What a record proves to a session, and what a session has seen by an answer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { meetsTicket, mergeTickets, ticketAfter } from '../../src/coherence/session.ts'
import type { LaneState } from '../../src/coherence/lane.ts'
import type { LoadStamp, WriteStamp } from '../../src/coherence/stamp.ts'

const EPOCH = 7n

function lane(lsn: bigint, epoch: bigint = EPOCH): LaneState {
  return { generation: { epoch, nonce: 1 }, sequence: 1, mark: { lsn, sub: 0n } }
}

function write(at: bigint, epoch: bigint = EPOCH): WriteStamp {
  return { kind: 'write', xid: 1n, at, epoch, upto: at + 50n }
}

function load(lsn: bigint): LoadStamp {
  const snapshot = { xmin: 9n, xmax: 9n, inProgress: [], exact: true }
  return { kind: 'load', snapshot, flush: lsn + 40n, lsn, epoch: EPOCH, upto: lsn + 50n }
}

const ticket = { epoch: EPOCH, position: 200n }

test('a lane whose mark has reached the ticket vouches for every record of it', () => {
  assert.ok(meetsTicket(ticket, lane(200n), load(100n)))
  assert.ok(!meetsTicket(ticket, lane(199n), load(100n)))
})

test('a written row vouches for what was committed before its statement, and not for what came up to its acknowledgement', () => {
  assert.ok(meetsTicket(ticket, lane(100n), write(200n)))
  assert.ok(!meetsTicket(ticket, lane(100n), write(199n)))
})

test('a load vouches for the mark at its lease, and not for all that it may have seen', () => {
  assert.ok(meetsTicket(ticket, lane(100n), load(200n)))
  assert.ok(!meetsTicket(ticket, lane(100n), load(199n)))
})

test('positions of another epoch say nothing', () => {
  assert.ok(!meetsTicket(ticket, lane(900n, 8n), write(900n, 8n)))
  assert.ok(!meetsTicket(ticket, lane(100n), write(900n, 8n)))
})

test('without a ticket every record will do', () => {
  assert.ok(meetsTicket(undefined, lane(0n), load(0n)))
})

test('a session has seen all up to a position read after the answer, and never less than before', () => {
  assert.deepEqual(ticketAfter(undefined, load(100n)), { epoch: EPOCH, position: 150n })
  assert.deepEqual(ticketAfter(ticket, load(100n)), ticket)
  assert.deepEqual(ticketAfter(ticket, write(180n)), { epoch: EPOCH, position: 230n })
  assert.deepEqual(ticketAfter(ticket, write(10n, 8n)), { epoch: 8n, position: 60n })
})

test('calls that overlap give the later of two tickets, and of two epochs one that asks the database', () => {
  const [first, second] = [
    { epoch: 1n, position: 10n },
    { epoch: 1n, position: 20n },
  ]
  const elsewhere = { epoch: 2n, position: 5n }
  assert.deepEqual(mergeTickets(undefined, undefined, first), first)
  assert.deepEqual(mergeTickets(first, undefined, second), second)
  assert.deepEqual(mergeTickets(second, undefined, first), second)
  // One after the other: the database is another one now.
  assert.deepEqual(mergeTickets(first, first, elsewhere), elsewhere)
  // Called before the session knew of the other epoch, and answered after it: what it wrote there is not forgotten.
  const unclear = mergeTickets(elsewhere, first, second)
  assert.ok(unclear.epoch !== 1n && unclear.epoch !== 2n)
  assert.deepEqual(mergeTickets(unclear, first, second), unclear)
  assert.deepEqual(mergeTickets(unclear, unclear, elsewhere), elsewhere)
})
