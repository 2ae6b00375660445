// Schedules of several parties that once gave a stale answer, as far as a single tier can show them. Each is closed by a
// rule of the operations; docs/internals/coherence.md says which.
import assert from 'node:assert/strict'
import { EPOCH, START, bytesOf, type TierScene } from './tier-scene.ts'
import type { TierRules } from './tier-rules.ts'

export const writeSchedules: TierRules = {
  'a row that its own transaction changed again after returning it is removed by the change': async s => {
    await s.put('before the trigger', s.write(1n, 110n))
    await s.apply(150n, [s.event(1n, 120n, 112n)])
    assert.equal(await s.value(), undefined)
    // `at` is where the log stood after the change: at the very position of the change it is before it.
    await s.put('at the change', s.write(2n, 160n))
    await s.apply(200n, [s.event(2n, 170n, 160n)])
    assert.equal(await s.value(), undefined)
  },
  'a slow writer does not overwrite a later one whose change was applied and whose row was evicted': async s => {
    await s.apply(150n, [s.event(1n, 110n, 108n), s.event(2n, 120n, 118n)])
    await s.tier.voidKey(s.key)
    assert.equal(await s.put('first', s.write(1n, 109n)), 'late')
    assert.equal(await s.put('second', s.write(2n, 119n)), 'stored')
  },
  'the first of two writes in one transaction does not come back once the second is applied and evicted': async s => {
    assert.equal(await s.put('second', s.write(1n, 112n)), 'stored')
    await s.apply(150n, [s.event(1n, 120n, 111n)])
    await s.tier.voidKey(s.key)
    assert.equal(await s.put('first', s.write(1n, 110n)), 'late')
    assert.equal(await s.put('second', s.write(1n, 112n)), 'stored')
  },
  'writes stay in memory while others commit: the lane remembers that nobody changed their keys': async s => {
    for (let round = 0n; round < 8n; round++) {
      const at = 110n + round * 10n
      await s.apply(at + 5n, [s.event(round, at + 1n, at - 1n), s.event(100n + round, at + 2n, at, s.neighbours[0])])
      assert.equal(await s.put(`round ${round}`, s.write(round, at)), 'stored')
    }
  },
  'a reader that loaded before a write and fills after it is refused': async s => {
    await s.lease(1n)
    await s.put('new', s.write(5n, 110n))
    await s.apply(150n, [s.event(5n, 120n, 109n)])
    assert.equal(await s.fill(1n, 'old', s.load()), 'refused')
    assert.equal(await s.value(), 'new')
  },
  'a change applied between lease and fill refuses the fill, also when another lease was taken since': async s => {
    await s.lease(1n)
    await s.apply(150n, [s.event(5n, 120n)])
    assert.equal(await s.lease(2n), 'granted')
    assert.equal(await s.fill(1n, 'old', s.load()), 'refused')
    assert.equal(await s.fill(2n, 'new', s.load({ lsn: 150n })), 'filled')
    assert.equal(await s.value(), 'new')
  },
  'a transaction id that a crash gave out twice does not keep a load: what it saw was never flushed': async s => {
    await s.loadInto('of the first 729', s.load({ xmax: 730n, flush: 110n }))
    await s.apply(150n, [s.event(729n, 111n)])
    assert.equal(await s.value(), undefined)
    await s.loadInto('flushed', s.load({ xmax: 731n, flush: 160n }), s.neighbours[0])
    await s.apply(200n, [s.event(730n, 160n, 159n, s.neighbours[0])])
    assert.equal(await s.value(s.neighbours[0]), 'flushed')
  },
}

export const chunkSchedules: TierRules = {
  "a transaction's put that comes after the chunk of its own key is late": async s => {
    await s.apply(START, [s.event(3n, 300n, 110n)], 110n)
    assert.equal(await s.put('first statement', s.write(3n, 108n)), 'late')
    await s.apply(START, [s.event(3n, 300n, 200n, s.neighbours[0])], 200n)
    assert.equal(await s.put('returned', s.write(3n, 111n)), 'late')
    assert.equal(await s.apply(300n), 'applied')
    assert.equal(await s.put('returned', s.write(3n, 111n)), 'stored')
  },
  'a chunk is not applied over a chunk that is missing': async s => {
    await s.put('a', s.write(1n, 105n))
    const { generation } = await s.state()
    const second = {
      generation,
      prev: { lsn: START, sub: 110n },
      next: { lsn: 300n, sub: 0n },
      events: [s.event(3n, 300n, 200n, s.neighbours[0])],
    }
    assert.equal((await s.tier.apply(s.lane, second)).outcome, 'mismatch')
    assert.equal(await s.apply(START, [s.event(3n, 300n, 110n)], 110n), 'applied')
    assert.equal((await s.tier.apply(s.lane, second)).outcome, 'applied')
    assert.deepEqual((await s.state()).mark, { lsn: 300n, sub: 0n })
    assert.equal(await s.value(), undefined)
  },
  'a chunk remembers its changes: a late put of an earlier transaction is refused': async s => {
    await s.apply(120n, [])
    await s.apply(120n, [s.event(3n, 300n, 105n)], 105n)
    assert.equal(await s.put('earlier', s.write(2n, 110n)), 'late')
  },
  'a failover that loses the first chunk makes the second one fail': async s => {
    assert.ok(s.fixture.checkpoint !== undefined)
    await s.put('a', s.write(1n, 105n))
    const restore = await s.fixture.checkpoint()
    await s.apply(START, [s.event(3n, 300n, 110n)], 110n)
    const { generation, mark } = await s.state()
    await restore()
    const second = { generation, prev: mark, next: { lsn: 300n, sub: 0n }, events: [] }
    assert.equal((await s.tier.apply(s.lane, second)).outcome, 'mismatch')
    assert.equal(await s.apply(START, [s.event(3n, 300n, 110n)], 110n), 'applied')
    assert.equal(await s.value(), undefined)
  },
}

export const lossSchedules: TierRules = {
  'a failover takes mark and records back together, and the feed is applied again from there': async s => {
    assert.ok(s.fixture.checkpoint !== undefined)
    await s.put('a', s.write(1n, 105n))
    const restore = await s.fixture.checkpoint()
    await s.apply(150n, [s.event(2n, 120n)])
    const { generation, mark } = await s.state()
    await restore()
    assert.equal(await s.value(), 'a')
    const later = { generation, prev: mark, next: { lsn: 200n, sub: 0n }, events: [] }
    const reply = await s.tier.apply(s.lane, later)
    assert.equal(reply.outcome, 'mismatch')
    assert.deepEqual(reply.lane?.mark, { lsn: START, sub: 0n })
    await s.apply(200n, [s.event(2n, 120n)])
    assert.equal(await s.value(), undefined)
  },
  'a lease that a failover brought back cannot fill once the lane was reset': async s => {
    await s.lease(1n)
    await s.reset(500n)
    assert.equal(await s.fill(1n, 'old', s.load()), 'refused')
    assert.equal(await s.lease(1n), 'granted')
  },
  'a load from the old primary cannot fill under a lease of the new one': async s => {
    await s.reset(500n, EPOCH + 1n)
    assert.equal(await s.lease(1n, s.key, EPOCH + 1n), 'granted')
    assert.equal(await s.fill(1n, 'old', s.load({ epoch: EPOCH })), 'other-epoch')
    assert.equal(await s.put('lost', s.write(5n, 900n, EPOCH)), 'other-epoch')
    assert.equal(await s.value(), undefined)
  },
  'a reset that comes late does not undo a later one': async s => {
    const seen = await s.state()
    const { generation } = await s.reset(500n)
    const late = await s.tier.reset(s.lane, { expected: seen, to: START, generation: s.generation() })
    assert.equal(late.outcome, 'mismatch')
    assert.deepEqual((await s.state()).generation, generation)
  },
  'of two that find no header, one resets the lane': async s => {
    assert.ok(s.stranger !== undefined)
    const lane = s.laneOf(s.stranger)
    const attempt = async (): Promise<string> =>
      (await s.tier.reset(lane, { expected: undefined, to: 500n, generation: s.generation() })).outcome
    assert.deepEqual([await attempt(), await attempt()], ['reset', 'mismatch'])
  },
  'a batch of an old feed has no effect once another one has moved the mark or reset the lane': async s => {
    const { generation, mark } = await s.state()
    const zombie = { generation, prev: mark, next: { lsn: 120n, sub: 0n }, events: [s.event(2n, 120n)] }
    await s.apply(150n, [s.event(2n, 120n)])
    await s.put('new', s.write(3n, 160n))
    assert.equal((await s.tier.apply(s.lane, zombie)).outcome, 'mismatch')
    await s.reset(START)
    assert.equal((await s.tier.apply(s.lane, zombie)).outcome, 'mismatch')
    assert.deepEqual((await s.state()).mark, { lsn: START, sub: 0n })
  },
  'a header that was written on another primary is worth nothing until the lane is reset': async s => {
    assert.ok(s.fixture.moveToShard !== undefined)
    await s.put('orphan', s.write(1n, 110n))
    await s.fixture.moveToShard('elsewhere')
    await nothingHasAnyEffect(s)
    const generation = s.generation()
    const reply = await s.tier.reset(s.lane, { expected: undefined, to: 500n, generation })
    assert.equal(reply.outcome, 'reset')
    assert.equal(await s.record(), undefined)
  },
}

export const fenceSchedules: TierRules = {
  'of two writers at once neither leaves a value: their order at the source is not known': async s => {
    await s.begin(1n)
    await s.begin(2n)
    assert.equal(await s.putFenced(1n, 'first'), 'voided')
    assert.equal(await s.putFenced(2n, 'second'), 'voided')
    assert.equal(await s.record(), undefined)
    assert.equal(await s.lease(3n), 'granted')
  },
  'a writer whose fence made way for a later one removes what that one left': async s => {
    await s.begin(1n)
    await s.begin(2n)
    assert.equal(await s.putFenced(2n, 'second'), 'stored')
    assert.equal(await s.putFenced(1n, 'first'), 'voided')
    assert.equal(await s.record(), undefined)
  },
  'a fence that a failover brought back takes no put once the lane was reset': async s => {
    await s.begin(1n)
    await s.reset(500n)
    assert.equal(await s.putFenced(1n, 'of before'), 'voided')
    assert.equal(await s.record(), undefined)
  },
}

/** Every operation but `reset`, on a lane whose header is missing or not usable. */
export async function nothingHasAnyEffect(s: TierScene): Promise<void> {
  const write = s.write(1n, 110n)
  assert.deepEqual(await s.tier.read([s.key]), [{ lane: undefined, record: undefined }])
  assert.equal(await s.tier.lane(s.lane), undefined)
  const leased = await s.tier.lease(s.key, { token: 1n, epoch: EPOCH, leaseMs: 10 })
  assert.deepEqual(leased, { outcome: 'no-lane', lane: undefined, record: undefined })
  assert.deepEqual(await s.tier.renew(s.key, s.leaseOptions(1n)), leased)
  assert.equal(await s.tier.hold(s.key, 1n, 10), 'no-lane')
  assert.equal(await s.fill(1n, 'a', s.load()), 'no-lane')
  assert.equal(await s.put('a', write), 'no-lane')
  assert.equal(await s.tier.voidKey(s.key), 'no-lane')
  assert.equal(await s.begin(1n), 'no-lane')
  assert.equal(await s.tier.putFenced(s.key, 1n, { payload: bytesOf('a'), stamp: write }), 'no-lane')
  const next = { lsn: 150n, sub: 0n }
  const request = { generation: s.generation(), prev: { lsn: START, sub: 0n }, next, events: [] }
  assert.deepEqual(await s.tier.apply(s.lane, request), { outcome: 'no-lane', lane: undefined })
}
