// The rules of a tier, one test each: what every operation does and what it refuses. The table "Operations" of
// docs/internals/coherence.md, as tests. Schedules of several parties are in tier-schedules.ts.
import assert from 'node:assert/strict'
import { limits } from '../base/limits.ts'
import { EPOCH, START, bytesOf, type TierScene } from './tier-scene.ts'

/** What only some tiers can do: be rolled back, run on another primary, have more than one lane, tell near caches. */
/** 'copies': it keeps a copy of what it is given. One that keeps objects does not. */
export type TierAbility = 'checkpoint' | 'moveToShard' | 'lanes' | 'messages' | 'copies'
export type TierRule = (scene: TierScene) => Promise<void>
/** Sentence -> test. The scene's lane has just been reset to START. */
export type TierRules = Readonly<Record<string, TierRule>>

/** The tests that are about an ability, by their sentences. */
export const needs: Readonly<Record<string, TierAbility>> = {
  'a reset of one lane leaves the others': 'lanes',
  'of two that find no header, one resets the lane': 'lanes',
  'the bytes given may be used again after the call': 'copies',
  'a failover that loses the first chunk makes the second one fail': 'checkpoint',
  'a failover takes mark and records back together, and the feed is applied again from there': 'checkpoint',
  'a header that was written on another primary is worth nothing until the lane is reset': 'moveToShard',
}

export const readRules: TierRules = {
  'a read answers in the order of the keys, each with its own lane': async s => {
    const other = s.neighbours[0]!
    await s.put('a', s.write(1n, 110n))
    await s.put('b', s.write(2n, 111n), other)
    const keys = s.stranger === undefined ? [other, s.key] : [other, s.stranger, s.key]
    const answers = await s.tier.read(keys)
    assert.equal(answers.length, keys.length)
    assert.deepEqual(valueOf(answers[0]!.record), bytesOf('b'))
    assert.deepEqual(valueOf(answers.at(-1)!.record), bytesOf('a'))
    assert.deepEqual(answers.at(-1)!.lane, await s.state())
    if (s.stranger !== undefined) assert.deepEqual(answers[1], { lane: undefined, record: undefined })
  },
  'a value that is known to be absent differs from no record, and from an empty value': async s => {
    assert.equal(await s.value(), undefined)
    await s.put(null, s.write(1n, 110n))
    assert.equal(await s.value(), null)
    await s.put('', s.write(2n, 111n))
    assert.equal(await s.value(), '')
  },
  'a record comes back with the stamp and the generation that it was stored with': async s => {
    const { generation } = await s.state()
    const write = { ...s.write(1n, 110n), upto: 115n }
    await s.put('a', write)
    assert.deepEqual(await s.record(), { type: 'value', generation, stamp: write, payload: (await payload(s))! })
    const load = s.load({ xmax: 9n, running: [4n, 6n], lsn: 100n, flush: 300n })
    await s.loadInto('b', load, s.neighbours[0])
    const record = await s.record(s.neighbours[0])
    assert.deepEqual(record?.type === 'value' && record.stamp, load)
  },
  'the bytes given may be used again after the call': async s => {
    const bytes = bytesOf('first')!
    await s.tier.put(s.key, { payload: bytes, stamp: s.write(1n, 110n) })
    bytes.fill(0x78)
    assert.equal(await s.value(), 'first')
  },
  'a value is gone once its time to live is over, and the key may be leased': async s => {
    await s.tier.put(s.key, { payload: bytesOf('a'), stamp: s.write(1n, 110n), ttlMs: 50 })
    s.fixture.clock.advance(49)
    assert.equal(await s.value(), 'a')
    s.fixture.clock.advance(1)
    assert.equal(await s.value(), undefined)
    assert.equal(await s.lease(1n), 'granted')
  },
}

export const fillRules: TierRules = {
  'a fill with the token of the lease is stored, once': async s => {
    await s.lease(1n)
    assert.equal(await s.fill(1n, 'a', s.load()), 'filled')
    assert.equal(await s.fill(1n, 'b', s.load()), 'refused')
    assert.equal(await s.value(), 'a')
  },
  'a fill with another token is refused, and the lease stays': async s => {
    await s.lease(1n)
    assert.equal(await s.fill(2n, 'b', s.load()), 'refused')
    assert.equal(await s.fill(1n, 'a', s.load()), 'filled')
  },
  'a fill without a lease is refused': async s => {
    assert.equal(await s.fill(1n, 'a', s.load()), 'refused')
    assert.equal(await s.value(), undefined)
  },
  'a load from another epoch than the lane is refused': async s => {
    await s.lease(1n)
    assert.equal(await s.fill(1n, 'a', s.load({ epoch: EPOCH + 1n })), 'other-epoch')
    assert.equal(await s.value(), undefined)
  },
  'a fill does not move the lane': async s => {
    const before = await s.state()
    await s.loadInto('a', s.load())
    assert.deepEqual(await s.state(), before)
  },
}

export const putRules: TierRules = {
  'a put after the mark is stored, and is a message of the lane': async s => {
    const before = await s.state()
    assert.equal(await s.put('a', s.write(1n, 101n)), 'stored')
    assert.equal(await s.value(), 'a')
    assert.deepEqual(await s.state(), { ...before, sequence: before.sequence + 1 })
  },
  'a put replaces an older write, and an older one does not replace it': async s => {
    await s.put('a', s.write(1n, 110n))
    assert.equal(await s.put('b', s.write(2n, 120n)), 'stored')
    assert.equal(await s.put('a', s.write(1n, 110n)), 'newer')
    assert.equal(await s.value(), 'b')
  },
  'a put replaces a lease, and the load that it was for is refused': async s => {
    await s.lease(1n)
    assert.equal(await s.put('a', s.write(1n, 110n)), 'stored')
    assert.equal(await s.fill(1n, 'old', s.load()), 'refused')
    assert.equal(await s.value(), 'a')
  },
  'a put replaces a load that did not see its transaction': async s => {
    await s.loadInto('old', s.load({ xmax: 9n, running: [5n] }))
    assert.equal(await s.put('new', s.write(5n, 110n)), 'stored')
    assert.equal(await s.value(), 'new')
  },
  'a put leaves a load that saw its transaction': async s => {
    await s.loadInto('as new', s.load({ xmax: 9n, running: [4n] }))
    assert.equal(await s.put('put', s.write(5n, 110n)), 'newer')
    assert.equal(await s.value(), 'as new')
  },
  'a put removes a load that may have seen its transaction': async s => {
    const running = Array.from({ length: limits.snapshotInProgressMax + 1 }, (_, index) => BigInt(10 + index))
    await s.loadInto('who knows', s.load({ xmin: 10n, xmax: 90n, running }))
    assert.equal(await s.put('put', s.write(50n, 110n)), 'uncertain')
    assert.equal(await s.record(), undefined)
  },
  'a put from another epoch has no effect': async s => {
    await s.put('a', s.write(1n, 110n))
    assert.equal(await s.put('b', s.write(2n, 120n, EPOCH + 1n)), 'other-epoch')
    assert.equal(await s.value(), 'a')
  },
  'a put at or below the sub-position of a transaction half applied is late, one above it is stored': async s => {
    await s.apply(START, [s.event(3n, 200n, 150n, s.neighbours[0])], 150n)
    assert.equal(await s.put('a', s.write(3n, 150n)), 'late')
    assert.equal(await s.value(), undefined)
    assert.equal(await s.put('a', s.write(3n, 151n)), 'stored')
  },
  'a put leaves a fence alone': async s => {
    await s.begin(1n)
    assert.equal(await s.put('a', s.write(1n, 110n)), 'fenced')
    assert.equal((await s.record())?.type, 'fence')
  },
}

export const latePutRules: TierRules = {
  'a put behind the mark is stored when no other transaction has changed the key since': async s => {
    await s.apply(150n, [s.event(1n, 120n, 118n), s.event(2n, 130n, 129n, s.neighbours[0])])
    assert.equal(await s.put('a', s.write(1n, 119n)), 'stored')
    assert.equal(await s.value(), 'a')
  },
  'a put behind the mark is late when another transaction has changed the key since': async s => {
    await s.apply(150n, [s.event(1n, 120n, 118n), s.event(2n, 130n)])
    assert.equal(await s.put('a', s.write(1n, 119n)), 'late')
    assert.equal(await s.value(), undefined)
  },
  'a put behind the mark is late when its own transaction changed the key after returning the row': async s => {
    await s.apply(150n, [s.event(1n, 120n, 112n)])
    assert.equal(await s.put('before the trigger', s.write(1n, 111n)), 'late')
    assert.equal(await s.put('at the change', s.write(1n, 112n)), 'late')
    assert.equal(await s.put('after it', s.write(1n, 113n)), 'stored')
  },
  'a change before the put, or at it, does not make it late': async s => {
    await s.apply(150n, [s.event(9n, 110n), s.event(1n, 120n, 109n)])
    assert.equal(await s.put('a', s.write(1n, 110n)), 'stored')
  },
  'a put is late when the lane does not remember back to it, and not when it just does': async s => {
    const other = s.neighbours[0]!
    const many = limits.recentChangesMax + 1
    await s.apply(
      300n,
      Array.from({ length: many }, (_, index) => s.event(50n, 111n + BigInt(index), 105n, other)),
    )
    assert.equal(await s.put('a', s.write(1n, 110n)), 'late')
    assert.equal(await s.put('a', s.write(1n, 111n)), 'stored')
  },
  'a put behind the position that the lane was reset to is late': async s => {
    assert.equal(await s.put('a', s.write(1n, START - 1n)), 'late')
    assert.equal(await s.put('a', s.write(1n, START)), 'stored')
  },
  'a late put removes an older write': async s => {
    await s.put('a', s.write(1n, 110n))
    await s.apply(150n, [s.event(1n, 111n, 109n)])
    await s.apply(200n, [s.event(3n, 160n, 159n, s.neighbours[0])])
    await fillRecent(s, 300n)
    assert.equal(await s.value(), 'a')
    assert.equal(await s.put('b', s.write(2n, 112n)), 'late')
    assert.equal(await s.record(), undefined)
  },
  'a late put leaves a newer write, and the same one': async s => {
    await s.put('a', s.write(1n, 110n))
    await fillRecent(s, 300n)
    assert.equal(await s.put('older', s.write(2n, 105n)), 'late')
    assert.equal(await s.put('a', s.write(1n, 110n)), 'late')
    assert.equal(await s.value(), 'a')
  },
  'a late put removes a load that did not see it, and leaves one that did': async s => {
    await fillRecent(s, 300n)
    await s.loadInto('seen', s.load({ xmax: 9n, lsn: 300n }))
    assert.equal(await s.put('a', s.write(5n, 110n)), 'late')
    assert.equal(await s.value(), 'seen')
    const other = s.neighbours[1]!
    await s.loadInto('unseen', s.load({ xmax: 9n, running: [5n], lsn: 300n }), other)
    assert.equal(await s.put('a', s.write(5n, 110n), other), 'late')
    assert.equal(await s.record(other), undefined)
  },
  'a late put removes a load that may have seen it': async s => {
    await fillRecent(s, 300n)
    const running = Array.from({ length: limits.snapshotInProgressMax + 1 }, (_, index) => BigInt(10 + index))
    await s.loadInto('who knows', s.load({ xmin: 10n, xmax: 90n, running, lsn: 300n }))
    assert.equal(await s.put('a', s.write(50n, 110n)), 'late')
    assert.equal(await s.record(), undefined)
  },
  'a put after the mark is stored, whatever a transaction half applied made the lane forget': async s => {
    const other = s.neighbours[0]!
    const part = Array.from({ length: limits.recentChangesMax + 1 }, () => s.event(3n, 300n, 150n, other))
    await s.apply(START, part, 150n)
    assert.equal(await s.put('a', s.write(4n, 160n)), 'stored')
  },
  'a late put voids a lease': async s => {
    await fillRecent(s, 300n)
    await s.lease(1n)
    assert.equal(await s.put('a', s.write(1n, 110n)), 'late')
    assert.equal(await s.fill(1n, 'old', s.load()), 'refused')
  },
  'a late put that removes something is a message of the lane, one that does not is none': async s => {
    await fillRecent(s, 300n)
    const { sequence } = await s.state()
    await s.put('a', s.write(1n, 110n))
    assert.equal((await s.state()).sequence, sequence)
    await s.lease(1n)
    await s.put('a', s.write(1n, 110n))
    assert.equal((await s.state()).sequence, sequence + 1)
  },
}

export const applyRules: TierRules = {
  'apply moves the mark and counts one message': async s => {
    const before = await s.state()
    const next = { lsn: 150n, sub: 0n }
    const request = { generation: before.generation, prev: before.mark, next, events: [] }
    const reply = await s.tier.apply(s.lane, request)
    assert.deepEqual(reply, { outcome: 'applied', lane: { ...before, mark: next, sequence: before.sequence + 1 } })
    assert.deepEqual(await s.state(), reply.lane)
  },
  'apply from another mark, sub-position or generation has no effect, and says where the lane is': async s => {
    await s.put('a', s.write(1n, 110n))
    const lane = await s.state()
    const { generation, mark } = lane
    const request = { next: { lsn: 200n, sub: 0n }, events: [s.event(2n, 150n)] }
    const mismatch = { outcome: 'mismatch', lane }
    const apply = async (from: Pick<typeof lane, 'generation'>, prev: typeof mark): Promise<unknown> =>
      await s.tier.apply(s.lane, { ...request, generation: from.generation, prev })
    assert.deepEqual(await apply({ generation }, { lsn: 101n, sub: 0n }), mismatch)
    assert.deepEqual(await apply({ generation }, { lsn: 99n, sub: 0n }), mismatch)
    assert.deepEqual(await apply({ generation }, { lsn: START, sub: 5n }), mismatch)
    assert.deepEqual(await apply({ generation: { ...generation, nonce: generation.nonce + 1 } }, mark), mismatch)
    assert.deepEqual(await apply({ generation: { ...generation, epoch: EPOCH + 1n } }, mark), mismatch)
    assert.equal(await s.value(), 'a')
  },
  'apply voids a lease': async s => {
    await s.lease(1n)
    await s.apply(150n, [s.event(1n, 120n)])
    assert.equal(await s.fill(1n, 'old', s.load()), 'refused')
    assert.equal(await s.value(), undefined)
  },
  'apply leaves the records and leases of other keys': async s => {
    const [other, third] = s.neighbours
    await s.put('a', s.write(1n, 110n), other)
    await s.lease(1n, third)
    await s.apply(150n, [s.event(2n, 120n)])
    assert.equal(await s.value(other), 'a')
    assert.equal(await s.fill(1n, 'b', s.load(), third), 'filled')
  },
  'apply removes an older write, and keeps one that was made after the change was committed': async s => {
    await s.put('a', s.write(1n, 119n))
    await s.apply(121n, [s.event(2n, 120n)])
    assert.equal(await s.value(), undefined)
    await s.put('b', s.write(3n, 140n))
    await s.apply(141n, [s.event(4n, 140n)])
    assert.equal(await s.value(), 'b')
  },
  'apply keeps the write of the same transaction': async s => {
    await s.put('a', s.write(1n, 110n))
    await s.apply(150n, [s.event(1n, 120n, 109n)])
    assert.equal(await s.value(), 'a')
  },
  'apply keeps a load under a lease at or after the change': async s => {
    await s.loadInto('a', s.load({ lsn: 120n, xmax: 1n }))
    await s.apply(150n, [s.event(5n, 120n)])
    assert.equal(await s.value(), 'a')
    await s.apply(160n, [s.event(6n, 151n)])
    assert.equal(await s.value(), undefined)
  },
  'apply keeps a load that saw the transaction, and removes one that did not or only may have': async s => {
    const [unseen, maybe] = s.neighbours
    await s.loadInto('seen', s.load({ xmax: 9n, running: [4n] }))
    await s.loadInto('unseen', s.load({ xmax: 9n, running: [5n] }), unseen)
    const running = Array.from({ length: limits.snapshotInProgressMax + 1 }, (_, index) => 3n + BigInt(index) * 3n)
    await s.loadInto('maybe', s.load({ xmax: 90n, running }), maybe)
    await s.apply(
      150n,
      [s.key, unseen!, maybe!].map(key => s.event(5n, 120n, 119n, key)),
    )
    assert.equal(await s.value(), 'seen')
    assert.equal(await s.value(unseen), undefined)
    assert.equal(await s.value(maybe), undefined)
  },
  'apply applies the events of one batch in their order': async s => {
    await s.put('a', s.write(1n, 110n))
    await s.apply(150n, [s.event(1n, 120n, 109n), s.event(2n, 130n)])
    assert.equal(await s.value(), undefined)
  },
  'apply leaves a fence alone': async s => {
    await s.begin(1n)
    await s.apply(150n, [s.event(1n, 120n)])
    assert.equal(await s.putFenced(1n, 'a'), 'stored')
  },
}

export const resetRules: TierRules = {
  'after a reset the lane is at its new mark, under its new generation': async s => {
    const before = await s.state()
    const generation = s.generation()
    const reply = await s.tier.reset(s.lane, { expected: before, to: 500n, generation })
    const lane = { generation, mark: { lsn: 500n, sub: 0n }, sequence: before.sequence + 1 }
    assert.deepEqual(reply, { outcome: 'reset', lane })
    assert.deepEqual(await s.state(), lane)
  },
  'a reset may move the mark back': async s => {
    await s.apply(500n)
    assert.deepEqual((await s.reset(50n)).mark, { lsn: 50n, sub: 0n })
  },
  'after a reset every record reads as absent and every key may be leased': async s => {
    const [leased, fenced] = s.neighbours
    await s.put('a', s.write(1n, 110n))
    await s.lease(1n, leased)
    await s.tier.begin(fenced!, 2n, 10_000)
    await s.reset()
    for (const key of [s.key, leased!, fenced!]) {
      assert.equal(await s.record(key), undefined)
      assert.equal(await s.lease(3n, key), 'granted')
    }
  },
  'a reset from another mark or generation has no effect': async s => {
    await s.put('a', s.write(1n, 110n))
    const lane = await s.state()
    const mismatch = { outcome: 'mismatch', lane }
    const attempts = [
      { ...lane, mark: { lsn: START + 1n, sub: 0n } },
      { ...lane, mark: { lsn: START, sub: 1n } },
      { ...lane, generation: s.generation() },
      undefined,
    ]
    for (const expected of attempts) {
      assert.deepEqual(await s.tier.reset(s.lane, { expected, to: 500n, generation: s.generation() }), mismatch)
    }
    assert.equal(await s.value(), 'a')
  },
  'a reset of one lane leaves the others': async s => {
    assert.ok(s.stranger !== undefined)
    const lane = s.laneOf(s.stranger)
    await s.tier.reset(lane, { expected: undefined, to: START, generation: s.generation() })
    await s.put('a', s.write(1n, 110n), s.stranger)
    await s.reset()
    assert.equal(await s.value(s.stranger), 'a')
  },
}

export const voidRules: TierRules = {
  'voiding a key removes its value and is a message of the lane': async s => {
    await s.put('a', s.write(1n, 110n))
    const before = await s.state()
    assert.equal(await s.tier.voidKey(s.key), 'voided')
    assert.equal(await s.record(), undefined)
    assert.deepEqual(await s.state(), { ...before, sequence: before.sequence + 1 })
  },
  'voiding a key voids its lease': async s => {
    await s.lease(1n)
    await s.tier.voidKey(s.key)
    assert.equal(await s.fill(1n, 'old', s.load()), 'refused')
  },
  'voiding a key leaves a fence, which keeps others from loading': async s => {
    await s.begin(1n)
    await s.tier.voidKey(s.key)
    assert.equal(await s.lease(2n), 'fenced')
  },
}

export const fenceRules: TierRules = {
  'a fence takes the place of a value, and nobody may load while it lives': async s => {
    await s.put('a', s.write(1n, 110n))
    assert.equal(await s.begin(1n), 'fenced')
    assert.equal(await s.value(), undefined)
    assert.equal(await s.lease(2n), 'fenced')
    s.outlive()
    assert.equal(await s.lease(2n), 'granted')
  },
  'a fence voids a lease': async s => {
    await s.lease(1n)
    await s.begin(2n)
    assert.equal(await s.fill(1n, 'old', s.load()), 'refused')
  },
  'a put with its own fence is stored': async s => {
    await s.begin(1n)
    assert.equal(await s.putFenced(1n, 'a'), 'stored')
    assert.equal(await s.value(), 'a')
    await s.begin(2n)
    s.outlive()
    // A tier may also drop a fence whose time is over: then the put leaves nothing.
    const outcome = await s.putFenced(2n, 'b')
    assert.ok(outcome === 'stored' || outcome === 'voided')
    assert.equal(await s.value(), outcome === 'stored' ? 'b' : undefined)
  },
  'a put without its own fence removes what others put or loaded meanwhile': async s => {
    await s.begin(1n)
    s.outlive()
    await s.loadInto('loaded', s.load())
    assert.equal(await s.putFenced(1n, 'a'), 'voided')
    assert.equal(await s.record(), undefined)
  },
  'a fenced put from another epoch has no effect': async s => {
    await s.begin(1n)
    assert.equal(await s.putFenced(1n, 'a', s.write(1n, START, EPOCH + 1n)), 'other-epoch')
    assert.equal((await s.record())?.type, 'fence')
  },
  'begin and a fenced put are messages of the lane': async s => {
    const { sequence } = await s.state()
    await s.begin(1n)
    await s.putFenced(1n, 'a')
    assert.equal((await s.state()).sequence, sequence + 2)
  },
}

function valueOf(record: Awaited<ReturnType<TierScene['record']>>): Uint8Array | null | undefined {
  return record?.type === 'value' && record.payload !== null ? Uint8Array.from(record.payload) : undefined
}

async function payload(s: TierScene): Promise<Uint8Array | null | undefined> {
  const record = await s.record()
  return record?.type === 'value' ? record.payload : undefined
}

/** Makes the lane forget every change up to `lsn`. */
async function fillRecent(s: TierScene, lsn: bigint): Promise<void> {
  const other = s.neighbours.at(-1)!
  const events = Array.from({ length: limits.recentChangesMax + 1 }, () => s.event(77n, lsn, lsn - 1n, other))
  assert.equal(await s.apply(lsn, events), 'applied')
}
