// The rules of a lease, which is a look as well: what it takes, what it leaves, and what it finds. Part of the tier contract.
import assert from 'node:assert/strict'
import type { TierRules } from './tier-rules.ts'
import { EPOCH, bytesOf } from './tier-scene.ts'

export const leaseRules: TierRules = {
  'a lease on an absent key is granted, with the lane as it is then': async s => {
    const { outcome, lane } = await s.look(1n)
    assert.deepEqual({ outcome, lane }, { outcome: 'granted', lane: await s.state() })
    const record = await s.record()
    assert.equal(record?.type === 'lease' && record.token, 1n)
  },
  'a lease that is granted comes back as what is there now': async s => {
    const { record } = await s.look(1n)
    assert.deepEqual(record, await s.record())
    assert.equal(record?.type === 'lease' && record.token, 1n)
  },
  'a lease is a read of the value that is there, which stays': async s => {
    await s.put('a', s.write(1n, 110n))
    assert.deepEqual(await s.look(1n), { outcome: 'present', ...(await s.tier.read([s.key]))[0]! })
    assert.equal(await s.value(), 'a')
    const load = s.load({ xmax: 9n, running: [4n, 6n], lsn: 100n, flush: 300n })
    await s.loadInto(null, load, s.neighbours[0])
    const { outcome, record } = await s.look(1n, s.neighbours[0])
    const { generation } = await s.state()
    assert.deepEqual({ outcome, record }, { outcome: 'present', record: { type: 'value', generation, stamp: load, payload: null } }) // prettier-ignore
  },
  'a lease is a read of the lease or the fence of another, which stays': async s => {
    await s.lease(1n)
    const other = await s.look(2n)
    assert.equal(other.outcome, 'leased')
    assert.equal(other.record?.type === 'lease' && other.record.token, 1n)
    await s.begin(3n)
    const fenced = await s.look(4n)
    assert.equal(fenced.outcome, 'fenced')
    assert.equal(fenced.record?.type === 'fence' && fenced.record.id, 3n)
    assert.equal(await s.putFenced(3n, 'a'), 'stored')
  },
  'a lease is granted where a value, a lease or a fence is over': async s => {
    await s.tier.put(s.key, { payload: bytesOf('a'), stamp: s.write(1n, 110n), ttlMs: 50 })
    s.fixture.clock.advance(51)
    const { outcome, record } = await s.look(1n)
    assert.equal(outcome, 'granted')
    assert.equal(record?.type === 'lease' && record.token, 1n)
    await s.begin(2n)
    s.outlive()
    assert.equal(await s.lease(3n), 'granted')
    s.outlive()
    assert.equal(await s.lease(4n), 'granted')
    assert.equal(await s.fill(4n, 'b', s.load()), 'filled')
  },
  'a lease does not find what was there before the lane began anew': async s => {
    await s.put('a', s.write(1n, 110n))
    const lane = await s.reset(200n)
    const { outcome, lane: now } = await s.look(1n)
    assert.deepEqual({ outcome, lane: now }, { outcome: 'granted', lane })
  },
  'a lease is refused while a value is there, even one that says absent': async s => {
    await s.put(null, s.write(1n, 110n))
    assert.equal(await s.lease(1n), 'present')
    assert.equal(await s.value(), null)
  },
  'a lease is refused while another one lives, which stays good': async s => {
    assert.equal(await s.lease(1n), 'granted')
    assert.equal(await s.lease(2n), 'leased')
    assert.equal(await s.fill(1n, 'a', s.load()), 'filled')
  },
  'a lease that has run out is given to the next, and the first one cannot fill any more': async s => {
    await s.lease(1n)
    s.outlive()
    assert.equal(await s.lease(2n), 'granted')
    assert.equal(await s.fill(1n, 'old', s.load()), 'refused')
    assert.equal(await s.fill(2n, 'new', s.load()), 'filled')
    assert.equal(await s.value(), 'new')
  },
  'a lease for a load from another epoch has no effect': async s => {
    const { outcome, record, lane } = await s.look(1n, s.key, EPOCH + 1n)
    assert.deepEqual({ outcome, record, lane }, { outcome: 'other-epoch', record: undefined, lane: await s.state() })
    assert.equal(await s.record(), undefined)
  },
  'a lease for a load from another epoch finds the value that is there all the same': async s => {
    await s.put('a', s.write(1n, 110n))
    const { outcome, record } = await s.look(1n, s.key, EPOCH + 1n)
    assert.equal(outcome, 'other-epoch')
    assert.deepEqual(record, await s.record())
    assert.equal(record?.type, 'value')
  },
}
