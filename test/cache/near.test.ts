// All near caches: what they have in common, and what each does besides. That no rule is missing is for the world of
// test/coherence/near-lane.test.ts; threads are in near-threads.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MapNear } from '../../src/cache/map-near.ts'
import type { NearCache } from '../../src/cache/near-cache.ts'
import { ObjectNear } from '../../src/cache/object-near.ts'
import { StoreNear } from '../../src/cache/store-near.ts'
import { ObjectCache } from '../../src/near/object-cache.ts'
import { ObjectPlaces } from '../../src/near/object-places.ts'
import { RecordType } from '../../src/store/layout.ts'
import { Store } from '../../src/store/store.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { LaneTable } from '../../src/tier/lane-table.ts'
import { nearContract, type NearFixture } from './near-rules.ts'

const GENERATION = { epoch: 7n, nonce: 1 }
const LANE = { generation: GENERATION, sequence: 1, mark: { lsn: 100n, sub: 0n } }

function record(text: string, at = 90n) {
  const stamp = { kind: 'write', xid: at, at, epoch: 7n, upto: at } as const
  return { type: 'value', generation: GENERATION, stamp, payload: Buffer.from(text) } as const
}

function storeFixture(firstLane: number): NearFixture & { store: Store; table: LaneTable; near: StoreNear } {
  const clock = new ManualClock()
  const store = Store.create({ memoryBytes: 1 << 20, seed: 9 })
  const table = LaneTable.create(firstLane + 1)
  const near = new StoreNear({ store, table, firstLane, lanes: 1, clock, keyspaceOf: () => 3 })
  return { clock, near, store, table, check: () => store.check() }
}

// Of objects; what it is given here is bytes, so that the contract can read it.
function objectFixture(
  firstLane: number,
): NearFixture & { objects: ObjectNear; pool: ObjectCache<unknown>; gone: string[]; admitted: unknown[] } {
  const clock = new ManualClock()
  const pool = new ObjectCache<unknown>({ clock, lanes: firstLane + 1, maxBytes: 1 << 20 })
  const gone: string[] = []
  const admitted: unknown[] = []
  const objects = new ObjectNear({
    places: new ObjectPlaces(pool, clock),
    firstLane,
    lanes: 1,
    gone: { key: key => gone.push(key), lane: lane => gone.push(`lane ${lane}`) },
    admitted: payload => admitted.push(payload),
  })
  return {
    clock,
    near: objects as NearCache<unknown> as NearCache,
    objects,
    pool,
    gone,
    admitted,
    check: () => pool.check(),
  }
}

nearContract('MapNear', () => {
  const clock = new ManualClock()
  return { clock, near: new MapNear({ lanes: 1, clock, entriesMax: 100 }) }
})
nearContract('StoreNear', () => storeFixture(0))
nearContract('StoreNear beside the lanes of another source', () => storeFixture(5))
nearContract('ObjectNear', () => objectFixture(0))
nearContract('ObjectNear beside the lanes of another source', () => objectFixture(5))

void test('a full MapNear gives up what was admitted first', () => {
  const near = new MapNear({ lanes: 1, clock: new ManualClock(), entriesMax: 2 })
  near.initialise(0, LANE)
  for (const key of ['w:1', 'w:2', 'w:3']) {
    assert.ok(near.admit(key, { ticket: near.begin(key), lane: LANE, record: record(key) }))
  }
  assert.equal(near.size, 2)
  assert.equal(near.find('w:1'), undefined)
  assert.ok(near.find('w:2') !== undefined && near.find('w:3') !== undefined)
})

void test('an entry of StoreNear is a record such as the path of a hit looks at', () => {
  const { near, store, table, clock } = storeFixture(2)
  near.prove([{ takenAtMs: 5, position: 50n, epoch: 7n }])
  near.initialise(0, LANE)
  near.admit('w:1', { ticket: near.begin('w:1'), lane: LANE, record: record('{"a":1}') })
  const key = Buffer.from('w:1')
  assert.equal(store.find(key, 0, 3, store.hash(key, 0, 3), clock.wallMs()), RecordType.row)
  assert.deepEqual([store.foundLane, store.foundKeyspace], [2, 3])
  assert.equal(store.foundGeneration, table.tag(2))
  assert.equal(table.asOf(2), 5)
  near.lost([0])
  assert.notEqual(store.foundGeneration, table.tag(2))
  assert.equal(table.asOf(2), -Infinity)
})

void test('a value too large for StoreNear leaves nothing of the one before', () => {
  const { near, store } = storeFixture(0)
  near.initialise(0, LANE)
  near.admit('w:1', { ticket: near.begin('w:1'), lane: LANE, record: record('small') })
  const large = record('x'.repeat(1 << 20))
  assert.ok(!near.admit('w:1', { ticket: near.begin('w:1'), lane: LANE, record: large }))
  assert.equal(near.find('w:1'), undefined)
  store.check()
})

void test('an entry of ObjectNear is the object itself, where the path of a hit looks for it', () => {
  const { objects, pool, clock } = objectFixture(2)
  objects.prove([{ takenAtMs: 5, position: 50n, epoch: 7n }])
  objects.initialise(0, LANE)
  const payload = { a: 1 }
  const lane = LANE
  assert.ok(objects.admit('w:1', { ticket: objects.begin('w:1'), lane, record: { ...record(''), payload } }))
  assert.equal(objects.find('w:1')?.record.payload, payload)
  assert.equal(pool.asOfMs[2], 5)
  assert.equal(objects.find('w:1')?.asOfMs, 5)
  objects.lost([0])
  assert.equal(pool.asOfMs[2], -Infinity)
  assert.equal(objects.find('w:1'), undefined)
  clock.advance(1)
  pool.check()
})

void test('ObjectNear tells of payloads that it has taken in, and of none that it has not', () => {
  const { objects, admitted } = objectFixture(0)
  const ticket = objects.begin('w:1')
  assert.equal(objects.admit('w:1', { ticket, lane: LANE, record: record('a') }), false)
  objects.initialise(0, LANE)
  objects.drop('w:1')
  assert.equal(objects.admit('w:1', { ticket, lane: LANE, record: record('a') }), false)
  assert.deepEqual(admitted, [])
  const entry = record('b')
  assert.equal(objects.admit('w:1', { ticket: objects.begin('w:1'), lane: LANE, record: entry }), true)
  assert.deepEqual(admitted, [entry.payload])
})

void test('ObjectNear tells of keys and lanes that are gone, and of nothing else', () => {
  const { objects, gone } = objectFixture(0)
  objects.initialise(0, LANE)
  objects.admit('w:1', { ticket: objects.begin('w:1'), lane: LANE, record: record('a') })
  assert.deepEqual(gone, [])
  objects.drop('w:1')
  const next = { ...LANE, sequence: 2, prev: LANE.mark, events: [] }
  objects.message(0, { ...next, voids: ['w:2'] })
  assert.deepEqual(gone, ['w:1', 'w:2'])
  objects.message(0, { ...next, sequence: 4, voids: [] })
  objects.lost([0])
  assert.deepEqual(gone, ['w:1', 'w:2', 'lane 0', 'lane 0'])
})

void test('a value too large for ObjectNear leaves nothing of the one before', () => {
  const { objects, pool } = objectFixture(0)
  objects.initialise(0, LANE)
  const admit = (payload: unknown) =>
    objects.admit('w:1', { ticket: objects.begin('w:1'), lane: LANE, record: { ...record(''), payload } })
  assert.ok(admit('small'))
  assert.ok(!admit('x'.repeat(1 << 20)))
  assert.equal(objects.find('w:1'), undefined)
  pool.check()
})
