// The tier of one process's objects, and a tier of bytes seen as one of objects, against the contract that every tier passes;
// what they are given is bytes, so that the contract can read it. And what only they have.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { ObjectCache } from '../../src/near/object-cache.ts'
import { ObjectPlaces } from '../../src/near/object-places.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import { tierContract, type TierFixture } from '../../src/testing/tier-contract.ts'
import { CodecTier, UNDECODABLE, type PayloadCodec } from '../../src/tier/codec-tier.ts'
import { ObjectTier } from '../../src/tier/object-tier.ts'
import type { Tier } from '../../src/tier/tier.ts'
import { SmallTier } from '../support/small-tier.ts'

const EPOCH = 7n
const LOADED = {
  kind: 'load',
  snapshot: { xmin: 0n, xmax: 0n, inProgress: [], exact: true },
  flush: 0n,
  lsn: 0n,
  epoch: EPOCH,
  upto: 0n,
} as const
const STAMP = { kind: 'write', xid: 1n, at: 0n, epoch: EPOCH, upto: 0n } as const

// Its memory is its process's: nothing brings an earlier state of it back, and there is no other primary. Objects are kept as
// they are.
const CANNOT = ['checkpoint', 'moveToShard', 'messages', 'copies'] as const

interface Own {
  readonly clock: ManualClock
  readonly pool: ObjectCache<unknown>
  readonly tier: ObjectTier
}

function own(firstLane = 0, lanes = 16, maxBytes?: number): Own {
  const clock = new ManualClock()
  const pool = new ObjectCache<unknown>({ clock, lanes: limits.lanesMax, maxBytes })
  const tier = new ObjectTier({ places: new ObjectPlaces(pool, clock), firstLane, lanes, clock })
  return { clock, pool, tier }
}

function ownFixture(firstLane: number): TierFixture {
  const { clock, pool, tier } = own(firstLane)
  return { tier: tier as unknown as Tier, clock, close: () => pool.check() }
}

/** Bytes, with one more in front: what has not been through it does not pass for what has. */
const marked: PayloadCodec = {
  encode: (_key, payload) => Buffer.concat([Buffer.from([7]), payload as Uint8Array]),
  decode: async (_key, bytes) => {
    await Promise.resolve()
    return bytes[0] === 7 ? bytes.subarray(1) : UNDECODABLE
  },
}

function codecFixture(): TierFixture {
  const clock = new ManualClock()
  const memory = new MemoryTier({ clock, lanes: 8 })
  const tier = new CodecTier(memory, marked) as unknown as Tier
  return { tier, clock, checkpoint: () => memory.checkpoint(), moveToShard: shard => memory.moveToShard(shard) }
}

tierContract('ObjectTier', () => ownFixture(0), CANNOT)
tierContract('ObjectTier beside the lanes of another source', () => ownFixture(100), CANNOT)
tierContract('CodecTier', codecFixture)

const generation = (nonce: number) => ({ epoch: EPOCH, nonce })

function withHeader(tier: ObjectTier | MemoryTier): void {
  for (let lane = 0; lane < tier.lanes; lane++) {
    void tier.reset(lane, { expected: undefined, to: 0n, generation: generation(lane + 1) })
  }
}

void test('an object is the one that was put there, and a lane that begins anew has none of before', () => {
  const { tier, pool } = own(3, 1)
  withHeader(tier)
  const value = { a: 1 }
  tier.begin('k:1', 9n, 1_000)
  assert.equal(tier.putFenced('k:1', 9n, { payload: value, stamp: STAMP }), 'stored')
  const [read] = tier.read(['k:1'])
  assert.ok(read?.record?.type === 'value')
  assert.equal(read.record.payload, value)
  tier.reset(0, { expected: tier.lane(0), to: 0n, generation: generation(99) })
  assert.equal(tier.read(['k:1'])[0]?.record, undefined)
  assert.equal(pool.asOfMs[3], -Infinity)
  pool.check()
})

void test('a proof of a generation that is over proves nothing', () => {
  const { tier } = own(0, 1)
  withHeader(tier)
  const { generation: before } = tier.lane(0)!
  tier.setAsOf(0, before, 5)
  assert.equal(tier.known(0)?.asOfMs, 5)
  tier.reset(0, { expected: tier.lane(0), to: 0n, generation: generation(99) })
  tier.setAsOf(0, before, 6)
  assert.equal(tier.known(0)?.asOfMs, -Infinity)
})

void test('what is larger than the room is refused, and what was there before is gone', () => {
  const { tier, pool } = own(0, 1, 10_000)
  withHeader(tier)
  tier.begin('k:1', 9n, 1_000)
  tier.putFenced('k:1', 9n, { payload: 'small', stamp: STAMP })
  tier.begin('k:1', 9n, 1_000)
  assert.equal(tier.putFenced('k:1', 9n, { payload: 'x'.repeat(20_000), stamp: STAMP }), 'too-large')
  assert.equal(tier.read(['k:1'])[0]?.record, undefined)
  pool.check()
})

void test('leases of one keyspace are given up, its fences and other leases are not', () => {
  const { tier } = own(0, 4)
  withHeader(tier)
  const options = { epoch: EPOCH, leaseMs: 1_000 }
  for (const [at, key] of ['k:1', 'kk:1', 'l:1'].entries()) tier.lease(key, { ...options, token: BigInt(at) })
  tier.begin('k:2', 5n, 1_000)
  tier.giveUpLeases('k')
  const types = tier.read(['k:1', 'kk:1', 'l:1', 'k:2']).map(({ record }) => record?.type)
  assert.deepEqual(types, [undefined, 'lease', 'lease', 'fence'])
})

void test('what is loaded anew is not stored after its key was given up, nor after its keyspace was', () => {
  const { tier } = own(0, 4)
  withHeader(tier)
  const forget = [() => tier.giveUpPending('k', '1'), () => tier.giveUpLeases('k')]
  for (const [at, giveUp] of forget.entries()) {
    const token = BigInt(at) + 1n
    tier.begin('k:1', 9n, 1_000)
    tier.putFenced('k:1', 9n, { payload: 'written', stamp: STAMP })
    assert.equal(tier.renew('k:1', { token, epoch: EPOCH, leaseMs: 1_000 }).outcome, 'granted')
    giveUp()
    const outcome = tier.fill('k:1', token, { payload: 'built before', stamp: LOADED })
    assert.equal(outcome, 'refused')
    const record = tier.read(['k:1'])[0]?.record
    assert.ok(record?.type === 'value' && record.payload === 'written')
  }
})

void test('fences that nobody asks for again do not pile up', () => {
  const { tier, clock } = own(0, 4)
  withHeader(tier)
  for (let i = 0; i < 20_000; i++) {
    tier.begin(`k:${i}`, 5n, 1_000)
    clock.advance(1)
  }
  assert.ok(tier.pending < 5_000, `${tier.pending} are left of 1,000 that stand`)
  assert.equal(tier.read(['k:19999'])[0]?.record?.type, 'fence')
})

void test('bytes that are no value here are removed, read as absent, and leased to whoever asks', async () => {
  const clock = new ManualClock()
  const memory = new MemoryTier({ clock, lanes: 2 })
  withHeader(memory)
  const tier = new CodecTier(memory, marked)
  const put = (key: string, bytes: Uint8Array) => {
    memory.begin(key, 9n, 1_000)
    memory.putFenced(key, 9n, { payload: bytes, stamp: STAMP })
  }
  put('k:1', Buffer.from('other'))
  put('k:2', Buffer.from('other'))
  put('k:3', Buffer.from([7, 65]))
  const [one, three] = await tier.read(['k:1', 'k:3'])
  assert.equal(one?.record, undefined)
  assert.ok(three?.record?.type === 'value')
  assert.deepEqual(Buffer.from(three.record.payload as Uint8Array).toString(), 'A')
  assert.equal(memory.read(['k:1'])[0]?.record, undefined)
  const leased = await tier.lease('k:2', { token: 3n, epoch: EPOCH, leaseMs: 1_000 })
  assert.equal(leased.outcome, 'granted')
  assert.ok(leased.record?.type === 'lease' && leased.record.token === 3n)
})

void test('a value that has no bytes is not stored, leaves nothing behind, and rejects nothing', async () => {
  const clock = new ManualClock()
  const memory = new MemoryTier({ clock, lanes: 2 })
  withHeader(memory)
  const told: unknown[][] = []
  const trouble = new Error('no bytes')
  const encode = () => {
    throw trouble
  }
  const tier = new CodecTier(
    memory,
    { ...marked, encode },
    {
      unencodable: (...what) => void told.push(what),
      refused: () => assert.fail('it never got there'),
    },
  )
  await tier.lease('k:1', { token: 3n, epoch: EPOCH, leaseMs: 1_000 })
  assert.equal(await tier.fill('k:1', 3n, { payload: 'x', stamp: LOADED }), 'too-large')
  assert.equal((await tier.read(['k:1']))[0]?.record, undefined)
  await tier.begin('k:1', 9n, 1_000)
  assert.equal(await tier.putFenced('k:1', 9n, { payload: 'x', stamp: STAMP }), 'too-large')
  assert.equal((await tier.read(['k:1']))[0]?.record, undefined)
  await tier.lease('k:1', { token: 4n, epoch: EPOCH, leaseMs: 1_000 })
  assert.equal(await tier.put('k:1', { payload: 'x', stamp: { ...STAMP, at: 5n } }), 'too-large')
  assert.equal((await tier.read(['k:1']))[0]?.record, undefined)
  assert.deepEqual(told, [
    ['k:1', trouble],
    ['k:1', trouble],
    ['k:1', trouble],
  ])
})

test('a value that the tier of bytes does not take is told of, with how many those are', async () => {
  const clock = new ManualClock()
  const memory = new MemoryTier({ clock, lanes: 2 })
  withHeader(memory)
  const told: unknown[][] = []
  const tier = new CodecTier(new SmallTier(memory, 10), marked, {
    unencodable: () => assert.fail('it has bytes'),
    refused: (...what) => void told.push(what),
  })
  const [fits, not] = [Buffer.alloc(9), Buffer.alloc(10)]
  const lease = (token: bigint) => tier.lease('k:1', { token, epoch: EPOCH, leaseMs: 1_000 })
  await lease(3n)
  assert.equal(await tier.fill('k:1', 3n, { payload: fits, stamp: LOADED }), 'filled')
  await tier.voidKey('k:1')
  assert.deepEqual(told, [])
  await lease(4n)
  assert.equal(await tier.fill('k:1', 4n, { payload: not, stamp: LOADED }), 'too-large')
  assert.equal(await tier.put('k:1', { payload: not, stamp: STAMP }), 'too-large')
  await tier.begin('k:1', 9n, 1_000)
  assert.equal(await tier.putFenced('k:1', 9n, { payload: not, stamp: STAMP }), 'too-large')
  assert.deepEqual(told, [
    ['k:1', 11],
    ['k:1', 11],
    ['k:1', 11],
  ])
})
