// Leases beside values, leases that are given back, and what is kept after its time: whatever happens to a key ends them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Token } from '../../src/coherence/record.ts'
import { ObjectCache } from '../../src/near/object-cache.ts'
import { ObjectPlaces } from '../../src/near/object-places.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { ObjectTier } from '../../src/tier/object-tier.ts'

const EPOCH = 7n
const KEY = 'k:1'
const one = 'a'.repeat(16) as unknown as Token
const two = 'b'.repeat(16) as unknown as Token
const lease = (token: Token) => ({ token, epoch: EPOCH, leaseMs: 1_000 })
const snapshot = { xmin: 0n, xmax: 0n, inProgress: [], exact: true } as const
const loaded = { kind: 'load', snapshot, flush: 0n, epoch: EPOCH, upto: 1n, lsn: 1n } as const
const written = { kind: 'write', xid: 5n, at: 10n, epoch: EPOCH, upto: 1n } as const
const generation = { epoch: EPOCH, nonce: 1 }

function open() {
  const clock = new ManualClock()
  const places = new ObjectPlaces(new ObjectCache<unknown>({ clock, lanes: 1 }), clock)
  places.keep('k', 5_000)
  const tier = new ObjectTier({ places, firstLane: 0, lanes: 1, clock })
  tier.reset(0, { expected: undefined, to: 1n, generation })
  const fill = (token: Token, payload: unknown) => tier.fill(KEY, token, { payload, stamp: loaded, ttlMs: 100 })
  const there = (): unknown => {
    const { record } = tier.read([KEY])[0]!
    return record?.type === 'value' ? record.payload : record?.type
  }
  const kept = (): boolean => places.space('k').findKept('1') >= 0
  tier.lease(KEY, lease(one))
  assert.equal(fill(one, 'old'), 'filled')
  return { clock, tier, fill, there, kept }
}

await test('a value is read while it is renewed, by one at a time, and then there is the new one', () => {
  const { tier, fill, there } = open()
  assert.equal(tier.renew(KEY, lease(one)).outcome, 'granted')
  assert.equal(tier.renew(KEY, lease(two)).outcome, 'leased')
  assert.equal(there(), 'old')
  assert.equal(fill(two, 'not mine'), 'refused')
  assert.equal(fill(one, 'new'), 'filled')
  assert.equal(there(), 'new')
  assert.equal(fill(one, 'again'), 'refused')
  assert.equal(tier.renew(KEY, { ...lease(one), epoch: 8n }).outcome, 'other-epoch')
})

await test('when its time is over meanwhile, the renewal is the lease that others wait for', () => {
  const { clock, tier, fill, there } = open()
  tier.renew(KEY, lease(one))
  clock.advance(100)
  assert.equal(there(), 'lease')
  const late = tier.lease(KEY, lease(two))
  assert.deepEqual([late.outcome, late.record?.type === 'lease' && late.record.token], ['leased', one])
  assert.equal(fill(one, 'new'), 'filled')
  assert.equal(there(), 'new')
})

await test('a renewal whose time is over is followed by a lease, or by another', () => {
  const { clock, tier, fill, kept } = open()
  tier.renew(KEY, lease(one))
  clock.advance(1_000)
  assert.equal(tier.renew(KEY, lease(two)).outcome, 'granted')
  assert.equal(fill(one, 'late'), 'refused')
  clock.advance(1_000)
  assert.equal(tier.lease(KEY, lease(one)).outcome, 'granted')
  assert.equal(fill(two, 'late'), 'refused')
  assert.equal(kept(), true)
  assert.equal(fill(one, 'new'), 'filled')
})

await test('whatever happens to the key ends a renewal', () => {
  const event = { key: KEY, hash: 0, xid: 9n, lsn: 5n, change: 5n }
  const happens: Record<string, (tier: ObjectTier) => unknown> = {
    void: tier => tier.voidKey(KEY),
    begin: tier => tier.begin(KEY, two, 1_000),
    put: tier => tier.put(KEY, { payload: 'put', stamp: written }),
    fenced: tier => tier.putFenced(KEY, two, { payload: 'put', stamp: written }),
    change: tier => {
      const { mark } = tier.lane(0)!
      return tier.apply(0, { generation, prev: mark, next: { lsn: 6n, sub: 0n }, events: [event] })
    },
    reset: tier => tier.reset(0, { expected: tier.lane(0)!, to: 9n, generation: { epoch: EPOCH, nonce: 2 } }),
    'given back': tier => tier.hold(KEY, one, 0),
    clear: tier => tier.giveUpLeases('k'),
  }
  for (const [name, happen] of Object.entries(happens)) {
    const { tier, fill, there } = open()
    tier.renew(KEY, lease(one))
    happen(tier)
    assert.equal(fill(one, 'outdated'), 'refused', name)
    assert.notEqual(there(), 'outdated', name)
  }
})

await test('a lease that is given back is for the next one, and what is kept stays', () => {
  const { clock, tier, there, kept } = open()
  clock.advance(100)
  tier.lease(KEY, lease(one))
  tier.hold(KEY, two, 0)
  assert.equal(there(), 'lease')
  tier.hold(KEY, one, 0)
  assert.deepEqual([there(), kept()], [undefined, true])
  assert.equal(tier.lease(KEY, lease(two)).outcome, 'granted')
})

await test('what is kept is gone with a change, a write and a void', () => {
  const event = { key: KEY, hash: 0, xid: 9n, lsn: 5n, change: 5n }
  for (const happen of [
    (tier: ObjectTier) =>
      tier.apply(0, { generation, prev: tier.lane(0)!.mark, next: { lsn: 6n, sub: 0n }, events: [event] }),
    (tier: ObjectTier) => tier.voidKey(KEY),
    (tier: ObjectTier) => tier.begin(KEY, two, 1_000),
    (tier: ObjectTier) => tier.putFenced(KEY, two, { payload: 'put', stamp: written }),
  ]) {
    const { clock, tier, kept } = open()
    clock.advance(100)
    assert.equal(kept(), true)
    happen(tier)
    assert.equal(kept(), false, happen.toString())
  }
})
