// The embedded tier against the contract that every tier passes, over one thread's store and over two; and what only it has.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import { noRecentChanges } from '../../src/coherence/lane.ts'
import { LOGLESS_LOAD } from '../../src/coherence/logless-stamp.ts'
import { RecordType } from '../../src/store/layout.ts'
import { Store } from '../../src/store/store.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { tierContract, type TierFixture } from '../../src/testing/tier-contract.ts'
import { EmbeddedTier } from '../../src/tier/embedded-tier.ts'
import { EMBEDDED_SHARD, LaneTable } from '../../src/tier/lane-table.ts'

// Its memory is its process's: nothing brings an earlier state of it back, and there is no other primary.
const CANNOT = ['checkpoint', 'moveToShard', 'messages'] as const

const LOAD = { ...LOGLESS_LOAD, epoch: 1n, lsn: 10n } as const

function fixture(firstLane: number): TierFixture {
  const clock = new ManualClock()
  const store = Store.create({ memoryBytes: 4 * 1024 * 1024, seed: seededRandom(firstLane + 1).uint32() })
  const table = LaneTable.create(firstLane + 64)
  const tier = new EmbeddedTier({ store, table, firstLane, lanes: 64, clock, keyspaceOf: () => 1 })
  return { tier, clock, close: () => store.check() }
}

tierContract('EmbeddedTier', () => fixture(0), CANNOT)
tierContract('EmbeddedTier beside the lanes of another source', () => fixture(64), CANNOT)

await test('a record whose stamp is of another version reads as absent, and leaves memory', () => {
  const clock = new ManualClock()
  const store = Store.create({ memoryBytes: 4 * 1024 * 1024, seed: 1 })
  const table = LaneTable.create(1)
  const tier = new EmbeddedTier({ store, table, firstLane: 0, lanes: 1, clock, keyspaceOf: () => 1 })
  const generation = { epoch: 1n, nonce: 1 }
  tier.reset(0, { expected: undefined, to: 10n, generation })
  const key = Buffer.from('k:1')
  const hash = store.hash(key, 0, key.length)
  const coherent = { lane: 0, keyspace: 1, generation: table.tag(0), stamp: Uint8Array.of(200, 0, 1) }
  store.withLock(hash, () =>
    store.put(key, 0, key.length, hash, RecordType.row, key, 0, key.length, 0, clock.wallMs(), coherent),
  )
  const event = { key: 'k:1', xid: 1n, lsn: 11n, change: 11n }
  const mark = { lsn: 10n, sub: 0n }
  assert.equal(
    tier.apply(0, { generation, prev: mark, next: { lsn: 11n, sub: 0n }, events: [event] }).outcome,
    'applied',
  )
  assert.equal(store.find(key, 0, key.length, hash, clock.wallMs()), RecordType.none)
  assert.equal(tier.read(['k:1'])[0]?.record, undefined)
  store.check()
})

await test('a value that leaves no room beside it is not loaded anew, and stays', () => {
  const store = Store.create({ memoryBytes: 4 * 1024 * 1024, seed: 1 })
  const table = LaneTable.create(1)
  const tier = new EmbeddedTier({ store, table, firstLane: 0, lanes: 1, clock: new ManualClock(), keyspaceOf: () => 1 })
  tier.reset(0, { expected: undefined, to: 10n, generation: { epoch: 1n, nonce: 1 } })
  const stamp = { kind: 'write', xid: 5n, at: 11n, epoch: 1n, upto: 11n } as const
  const payload = new Uint8Array(store.valueBytesMax)
  assert.equal(tier.put('k:1', { payload, stamp }), 'stored')
  assert.equal(tier.renew('k:1', { token: 1n, epoch: 1n, leaseMs: 1_000 }).outcome, 'leased')
  assert.equal(tier.hold('k:1', 1n, 1_000), 'gone')
  const { record } = tier.read(['k:1'])[0]!
  assert.ok(record?.type === 'value' && record.renewal === undefined)
  assert.equal(record.payload?.length, payload.length)
  store.check()
})

await test('a value whose time ends while it is being renewed, held or left alone is one or the other throughout', () => {
  class TickingClock extends ManualClock {
    ticks = false
    override wallMs(): number {
      if (this.ticks) this.jumpWall(1)
      return super.wallMs()
    }
  }
  const stamp = { kind: 'write', xid: 5n, at: 11n, epoch: 1n, upto: 11n } as const
  const operations: Readonly<Record<string, (tier: EmbeddedTier) => readonly [outcome: string, isRenewed: boolean]>> = {
    renewed: tier => [tier.renew('k:1', { token: 1n, epoch: 1n, leaseMs: 1_000 }).outcome, true],
    held: tier => [tier.hold('k:1', 1n, 1_000), true],
    'given back': tier => [tier.hold('k:1', 1n, 0), false],
    'written over by an older one': tier => {
      const outcome = tier.put('k:1', { payload: Uint8Array.of(2), stamp: { ...stamp, xid: 4n, at: 10n }, ttlMs: 100 })
      return [outcome, false]
    },
  }
  for (const [name, operation] of Object.entries(operations)) {
    for (let leftMs = 0; leftMs < 8; leftMs++) {
      const clock = new TickingClock()
      const store = Store.create({ memoryBytes: 4 * 1024 * 1024, seed: 1 })
      const table = LaneTable.create(1)
      const tier = new EmbeddedTier({ store, table, firstLane: 0, lanes: 1, clock, keyspaceOf: () => 1 })
      tier.reset(0, { expected: undefined, to: 10n, generation: { epoch: 1n, nonce: 1 } })
      tier.put('k:1', { payload: Uint8Array.of(1), stamp, ttlMs: 100 })
      if (name !== 'renewed') tier.renew('k:1', { token: 1n, epoch: 1n, leaseMs: 1_000 })
      clock.jumpWall(100 - leftMs)
      clock.ticks = true
      const [outcome, isRenewed] = operation(tier)
      clock.ticks = false
      assert.ok(['granted', 'held', 'newer', 'stored'].includes(outcome), `${name}, ${leftMs} ms left: ${outcome}`)
      // Whoever has the renewal may fill it; after anything else nobody may.
      const filled = tier.fill('k:1', 1n, { payload: null, stamp: LOAD })
      assert.equal(filled, isRenewed ? 'filled' : 'refused', `${name}, ${leftMs} ms left`)
      store.check()
    }
  }
})

await test("a lane's messages are counted past 32 bits", () => {
  const table = LaneTable.create(1)
  const generation = { epoch: (1n << 64n) - 1n, nonce: 1 }
  for (const sequence of [2 ** 31, 2 ** 32, 2 ** 32 + 1]) {
    const mark = { lsn: 1n, sub: 0n }
    table.setHeader(0, { generation, sequence, mark, shard: EMBEDDED_SHARD, recent: noRecentChanges(1n) })
    assert.equal(table.header(0)?.sequence, sequence)
    assert.equal(table.header(0)?.generation.epoch, generation.epoch)
  }
})
