// The rules of a renewal, a lease beside the value that is answered meanwhile, and of holding a lease for longer than was said
// first. Part of the tier contract.
import assert from 'node:assert/strict'
import type { TierRules } from './tier-rules.ts'
import { bytesOf, EPOCH, LEASE_MS, type TierScene } from './tier-scene.ts'

/** What ends a renewal, each with what is there afterwards. */
const happenings: Record<string, readonly [happen: (s: TierScene) => unknown, value: string | null | undefined]> = {
  'a removal': [s => s.tier.voidKey(s.key), undefined],
  'a write': [s => s.put('b', s.write(9n, 900n)), 'b'],
  'a write whose row is older than what is there': [s => s.put('b', s.write(2n, 109n)), 'a'],
  'a write that comes late and finds what is newer': [
    async s => {
      await s.apply(200n)
      assert.equal(await s.put('b', s.write(2n, 109n)), 'newer')
    },
    'a',
  ],
  'a write under a fence': [s => s.putFenced(5n, 'b'), undefined],
  'a fence': [s => s.begin(5n), undefined],
  'a change that the value does not reflect': [s => s.apply(120n, [s.event(7n, 120n)]), undefined],
  'a change that the value reflects': [s => s.apply(120n, [s.event(1n, 110n, 105n)]), 'a'],
  'a lane that begins anew': [s => s.reset(300n), undefined],
}

export const renewRules: TierRules = {
  'a value is read while it is renewed, by one at a time, until the new one takes its place': async s => {
    await s.put('a', s.write(1n, 110n))
    assert.equal(await s.renew(1n), 'granted')
    assert.equal(await s.renew(2n), 'leased')
    assert.equal(await s.lease(3n), 'present')
    assert.equal(await s.value(), 'a')
    assert.equal(await s.fill(2n, 'theirs', s.load()), 'refused')
    assert.equal(await s.fill(1n, 'b', s.load()), 'filled')
    assert.equal(await s.value(), 'b')
    assert.equal(await s.fill(1n, 'c', s.load()), 'refused')
    assert.equal(await s.renew(2n), 'granted')
  },
  'a renewal comes with its lane, and leaves the value as it is': async s => {
    const load = s.load({ xmax: 9n, running: [4n, 6n], lsn: 100n, flush: 300n })
    for (const text of [null, '', 'a']) {
      await s.reset()
      await s.loadInto(text, load)
      const before = await s.record()
      const { outcome, lane, record } = await s.tier.renew(s.key, s.leaseOptions(1n))
      assert.deepEqual({ outcome, lane, record }, { outcome: 'granted', lane: await s.state(), record: undefined })
      const after = await s.record()
      assert.ok(after?.type === 'value')
      const { renewal, ...value } = after
      assert.deepEqual(value, before)
      assert.equal(renewal?.token, 1n)
    }
  },
  'one that is asked for twice is granted twice': async s => {
    await s.put('a', s.write(1n, 110n))
    assert.equal(await s.renew(1n), 'granted')
    assert.equal(await s.renew(1n), 'granted')
    assert.equal(await s.value(), 'a')
    assert.equal(await s.fill(1n, 'b', s.load()), 'filled')
  },
  'another value than the one that the caller has is not renewed, and comes back': async s => {
    const [first, second] = [s.write(1n, 110n), s.load({ xmax: 9n, running: [4n], lsn: 130n })]
    await s.put('a', first)
    assert.equal(await s.renew(1n, first), 'granted')
    assert.equal(await s.fill(1n, 'b', second), 'filled')
    const { outcome, record } = await s.tier.renew(s.key, { ...s.leaseOptions(2n), than: first })
    assert.deepEqual({ outcome, record }, { outcome: 'present', record: await s.record() })
    assert.equal(record?.type, 'value')
    for (const other of [{ ...second, upto: 1n }, { ...second, epoch: EPOCH + 1n }, s.load({ xmax: 9n, lsn: 130n })]) {
      assert.equal(await s.renew(2n, other), 'present')
    }
    assert.equal(await s.renew(2n, second), 'granted')
  },
  'where no value is, it is a lease as any other': async s => {
    const { outcome, record } = await s.tier.renew(s.key, { ...s.leaseOptions(1n), than: s.load() })
    assert.deepEqual([outcome, record?.type === 'lease' && record.token], ['granted', 1n])
    assert.equal(await s.renew(2n), 'leased')
    assert.equal(await s.lease(2n), 'leased')
    assert.equal(await s.fill(1n, 'a', s.load()), 'filled')
    await s.begin(3n)
    assert.equal(await s.renew(4n), 'fenced')
    assert.equal(await s.putFenced(3n, 'b'), 'stored')
  },
  'when the value is over before it is filled, the renewal is the lease that others wait for': async s => {
    await s.tier.put(s.key, { payload: bytesOf('a'), stamp: s.write(1n, 110n), ttlMs: 50 })
    assert.equal(await s.renew(1n), 'granted')
    s.fixture.clock.advance(51)
    const record = await s.record()
    assert.equal(record?.type === 'lease' && record.token, 1n)
    assert.equal(await s.lease(2n), 'leased')
    assert.equal(await s.renew(2n), 'leased')
    assert.equal(await s.fill(2n, 'theirs', s.load()), 'refused')
    assert.equal(await s.fill(1n, 'b', s.load()), 'filled')
    assert.equal(await s.value(), 'b')
  },
  'a value is over when it would have been without its renewal': async s => {
    await s.tier.put(s.key, { payload: bytesOf('a'), stamp: s.write(1n, 110n), ttlMs: 50 })
    await s.renew(1n)
    assert.equal(await s.tier.hold(s.key, 1n, 0), 'held')
    assert.equal(await s.value(), 'a')
    s.fixture.clock.advance(51)
    assert.equal(await s.record(), undefined)
    assert.equal(await s.lease(2n), 'granted')
  },
  'a renewal that has run out is followed by another, or by a lease': async s => {
    await s.tier.put(s.key, { payload: bytesOf('a'), stamp: s.write(1n, 110n), ttlMs: 3 * LEASE_MS })
    await s.renew(1n)
    s.outlive()
    assert.equal(await s.value(), 'a')
    assert.equal(await s.renew(2n), 'granted')
    assert.equal(await s.fill(1n, 'late', s.load()), 'refused')
    s.outlive()
    s.outlive()
    assert.equal(await s.lease(3n), 'granted')
    assert.equal(await s.fill(2n, 'late', s.load()), 'refused')
    assert.equal(await s.fill(3n, 'b', s.load()), 'filled')
  },
  'whatever happens to the key ends it, and what is loaded is refused': async s => {
    for (const [name, [happen, value]] of Object.entries(happenings)) {
      await s.reset()
      await s.put('a', s.write(1n, 110n))
      assert.equal(await s.renew(1n), 'granted', name)
      await happen(s)
      assert.equal(await s.value(), value, name)
      assert.equal(await s.tier.hold(s.key, 1n, LEASE_MS), 'gone', name)
      assert.equal(await s.fill(1n, 'outdated', s.load()), 'refused', name)
      assert.equal(await s.value(), value, name)
    }
  },
  'what was renewed before the lane began anew stays gone, whatever comes late': async s => {
    await s.put('a', s.write(1n, 110n))
    await s.renew(1n)
    await s.reset(200n)
    assert.equal(await s.put('b', s.write(2n, 150n)), 'late')
    assert.equal(await s.tier.hold(s.key, 1n, 0), 'gone')
    assert.equal(await s.record(), undefined)
    assert.equal(await s.lease(2n), 'granted')
  },
  'a renewal for a load from another epoch has no effect': async s => {
    await s.put('a', s.write(1n, 110n))
    assert.equal((await s.tier.renew(s.key, { ...s.leaseOptions(1n), epoch: EPOCH + 1n })).outcome, 'other-epoch')
    assert.equal(await s.renew(2n), 'granted')
    assert.equal(await s.fill(2n, 'b', s.load({ epoch: EPOCH + 1n })), 'other-epoch')
  },
}

export const holdRules: TierRules = {
  'a lease that is held lasts on, and what is loaded under it is kept': async s => {
    await s.lease(1n)
    for (let i = 0; i < 4; i++) {
      s.fixture.clock.advance(LEASE_MS / 2)
      assert.equal(await s.tier.hold(s.key, 1n, LEASE_MS), 'held')
    }
    assert.equal(await s.lease(2n), 'leased')
    assert.equal(await s.fill(1n, 'a', s.load()), 'filled')
    assert.equal(await s.value(), 'a')
  },
  'one that is not held any more is over in the time that was said last': async s => {
    await s.lease(1n)
    await s.tier.hold(s.key, 1n, 3 * LEASE_MS)
    s.outlive()
    assert.equal(await s.lease(2n), 'leased')
    s.outlive()
    s.outlive()
    assert.equal(await s.lease(2n), 'granted')
    assert.equal(await s.tier.hold(s.key, 1n, LEASE_MS), 'gone')
  },
  'a renewal is held, also past the time of its value': async s => {
    await s.tier.put(s.key, { payload: bytesOf('a'), stamp: s.write(1n, 110n), ttlMs: LEASE_MS })
    await s.renew(1n)
    for (let i = 0; i < 4; i++) {
      assert.equal(await s.value(), i < 2 ? 'a' : undefined)
      s.fixture.clock.advance(LEASE_MS / 2)
      assert.equal(await s.tier.hold(s.key, 1n, LEASE_MS), 'held')
    }
    assert.equal(await s.lease(2n), 'leased')
    assert.equal(await s.fill(1n, 'b', s.load()), 'filled')
    assert.equal(await s.value(), 'b')
  },
  'a lease that is given back is for whoever comes next': async s => {
    await s.lease(1n)
    assert.equal(await s.tier.hold(s.key, 2n, 0), 'gone')
    assert.equal(await s.lease(2n), 'leased')
    assert.equal(await s.tier.hold(s.key, 1n, 0), 'held')
    assert.equal(await s.record(), undefined)
    assert.equal(await s.fill(1n, 'a', s.load()), 'refused')
    assert.equal(await s.lease(2n), 'granted')
  },
  'a renewal that is given back leaves the value, and another may be taken': async s => {
    await s.put('a', s.write(1n, 110n))
    const before = await s.record()
    await s.renew(1n)
    assert.equal(await s.tier.hold(s.key, 2n, 0), 'gone')
    assert.equal(await s.tier.hold(s.key, 1n, 0), 'held')
    assert.deepEqual(await s.record(), before)
    assert.equal(await s.fill(1n, 'late', s.load()), 'refused')
    assert.equal(await s.renew(2n), 'granted')
    assert.equal(await s.fill(2n, 'b', s.load()), 'filled')
  },
  'nobody holds a value, a fence, or what is not there': async s => {
    assert.equal(await s.tier.hold(s.key, 1n, LEASE_MS), 'gone')
    await s.put('a', s.write(1n, 110n))
    assert.equal(await s.tier.hold(s.key, 1n, LEASE_MS), 'gone')
    assert.equal(await s.tier.hold(s.key, 1n, 0), 'gone')
    assert.equal(await s.value(), 'a')
    await s.begin(1n)
    assert.equal(await s.tier.hold(s.key, 1n, 0), 'gone')
    assert.equal(await s.putFenced(1n, 'b'), 'stored')
  },
  'a lease from before the lane began anew is held by nobody': async s => {
    await s.lease(1n)
    await s.reset(200n)
    assert.equal(await s.tier.hold(s.key, 1n, LEASE_MS), 'gone')
    assert.equal(await s.lease(2n), 'granted')
  },
}
