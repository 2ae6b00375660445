// What a keyspace's session asks of answers: key by key, by tickets and values, of calls that overlap, and of more keys than it
// remembers. Not for: where answers come from (sessions.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LOGLESS_LOAD } from '../../src/coherence/logless-stamp.ts'
import type { Stamp } from '../../src/coherence/stamp.ts'
import { KeyspaceSession } from '../../src/library/keyspace-session.ts'
import { ProofClock } from '../../src/library/proof-clock.ts'
import { SessionSpace, type SessionSpaceParts } from '../../src/library/session-space.ts'
import { SuspendWatch } from '../../src/cache/suspend-watch.ts'
import { ObjectCache } from '../../src/near/object-cache.ts'
import { ManualClock } from '../../src/testing/clock.ts'

const at = (position: bigint, epoch = 1n) => ({ epoch, position })

function saw(session: KeyspaceSession, id: string, position: bigint, value: unknown = { position }): void {
  session.saw(id, session.of(id), at(position), value)
}

void test('each key has a ticket of its own, which never goes back', () => {
  const session = new KeyspaceSession()
  assert.equal(session.of('a'), undefined)
  saw(session, 'a', 5n)
  saw(session, 'b', 9n)
  assert.deepEqual([session.of('a'), session.of('b'), session.of('c')], [at(5n), at(9n), undefined])
  saw(session, 'b', 7n)
  assert.deepEqual(session.of('b'), at(9n))
})

void test('what was seen last is known again, by itself or by what it holds; what was seen before is not', () => {
  const session = new KeyspaceSession()
  const first = { v: [1] }
  saw(session, 'a', 5n, first)
  assert.equal(session.showsLatest('a', first), true)
  assert.equal(session.showsLatest('a', { v: [1] }), true)
  assert.equal(session.showsLatest('b', first), false)
  saw(session, 'a', 6n, { v: [2] })
  assert.equal(session.showsLatest('a', first), false)
  // Not known, as of a write that came to something else.
  saw(session, 'a', 7n, undefined)
  assert.equal(session.showsLatest('a', { v: [2] }), false)
  assert.equal(session.showsLatest('a', undefined), false)
})

void test('of calls that overlap and were answered otherwise, neither is the latest; answered alike, both are', () => {
  for (const [second, latest] of [[{ v: 1 }, true], [{ v: 2 }, false]] as const) {
    const session = new KeyspaceSession()
    saw(session, 'a', 3n)
    const called = session.of('a')
    session.saw('a', called, at(5n), { v: 1 })
    // Even where the ticket says nothing more than before.
    session.saw('a', called, at(2n), second)
    assert.deepEqual(session.of('a'), at(5n))
    assert.equal(session.showsLatest('a', second), latest)
    assert.equal(session.showsLatest('a', { v: 1 }), latest)
  }
}) // prettier-ignore

void test('calls that overlap and were answered from two epochs leave it to the source; one after another, to the later epoch', () => {
  const session = new KeyspaceSession()
  saw(session, 'a', 5n)
  const called = session.of('a')
  session.saw('a', called, at(1n, 2n), { v: 1 })
  assert.deepEqual(session.of('a'), at(1n, 2n))
  session.saw('a', called, at(6n), { v: 2 })
  assert.equal(session.of('a')!.epoch, 0n)
})

void test('keys that were seen longest ago are forgotten, and all that are not known must reflect what they did', () => {
  const session = new KeyspaceSession(2)
  saw(session, 'a', 9n)
  saw(session, 'b', 5n)
  saw(session, 'c', 6n)
  assert.equal(session.showsLatest('a', { position: 9n }), false)
  assert.deepEqual([session.of('a'), session.of('b'), session.of('new')], [at(9n), at(5n), at(9n)])
  // b was seen again, so that c leaves: it reaches less far.
  saw(session, 'b', 6n)
  saw(session, 'd', 6n)
  assert.deepEqual([session.of('c'), session.of('b')], [at(9n), at(6n)])
  saw(session, 'e', 12n)
  saw(session, 'f', 12n)
  saw(session, 'g', 12n)
  assert.deepEqual(session.of('b'), at(12n))
})

void test('a call whose key was forgotten and seen by others meanwhile is not what was seen last', () => {
  const session = new KeyspaceSession(1)
  saw(session, 'a', 5n)
  const called = session.of('a')
  saw(session, 'a', 7n)
  saw(session, 'b', 1n)
  session.saw('a', called, at(6n), { v: 1 })
  assert.deepEqual(session.of('a'), at(7n))
  assert.equal(session.showsLatest('a', { v: 1 }), false)
})

void test('so it is where what all forgotten keys reach has not changed by it', () => {
  const session = new KeyspaceSession(1)
  saw(session, 'far', 100n)
  saw(session, 'b', 1n)
  const called = session.of('a')
  assert.deepEqual(called, at(100n))
  saw(session, 'a', 7n, { v: 2 })
  saw(session, 'c', 1n)
  session.saw('a', called, at(6n), { v: 1 })
  assert.equal(session.showsLatest('a', { v: 1 }), false)
})

void test('what forgotten keys reach in an epoch is known again after others of another epoch were forgotten', () => {
  const session = new KeyspaceSession(2)
  const called = session.of('late')
  saw(session, 'a', 50n)
  saw(session, 'known', 1n)
  saw(session, 'b', 1n)
  session.saw('late', called, at(200n, 2n), { v: 1 })
  // It was not forgotten, and knows nothing of those that were.
  saw(session, 'known', 5n)
  saw(session, 'c', 5n)
  assert.equal(session.of('a')!.epoch, 0n)
  saw(session, 'd', 5n)
  assert.deepEqual(session.of('a'), at(50n))
})

void test('of a key that was answered from two epochs at once, what it reaches in each of them is not forgotten', () => {
  const session = new KeyspaceSession(1)
  saw(session, 'a', 3n)
  const called = session.of('a')
  session.saw('a', called, at(90n), { v: 2 })
  session.saw('a', called, at(8n, 2n), { v: 1 })
  assert.equal(session.of('a')!.epoch, 0n)
  saw(session, 'b', 5n)
  assert.equal(session.of('a')!.epoch, 0n)
  saw(session, 'c', 5n)
  assert.deepEqual(session.of('a'), at(90n))
})

void test('what memory answers at once has been seen, and how far it may reach', () => {
  const clock = new ManualClock()
  const pool = new ObjectCache<unknown>({ clock })
  const space = pool.space('users')
  const session = new KeyspaceSession()
  const row = { v: 1 }
  const stamp: Stamp = { ...LOGLESS_LOAD, epoch: 1n, lsn: 3n, upto: 9n }
  const lane = { generation: { epoch: 1n, nonce: 1 }, sequence: 1, mark: { lsn: 5n, sub: 0n } }
  const find = (): unknown => ({ record: { type: 'value', payload: row, stamp }, lane, asOfMs: 0 })
  const backing = { near: { find } } as unknown as NonNullable<ReturnType<SessionSpaceParts['opened']>>['backing']
  let isOpen = false
  const opened = () => (isOpen ? { session, backing } : undefined)
  const proofClock = new ProofClock(clock, new SuspendWatch(clock), () => {})
  const memory = new SessionSpace({ pool, space, proofClock, boundMs: 1_000, opened })
  space.set('1', row)
  pool.asOfMs[0] = clock.monotonicMs()
  assert.equal(memory.get('1'), undefined)
  isOpen = true
  saw(session, '1', 6n)
  assert.equal(memory.get('1'), undefined)
  saw(session, '2', 4n)
  space.set('2', row)
  assert.equal(memory.get('2'), row)
  assert.deepEqual(session.of('2'), at(9n))
  clock.advance(1_001)
  assert.equal(memory.get('2'), undefined)
})
