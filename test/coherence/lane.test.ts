// Lanes and what their headers remember; marks, generations and tokens.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { limits } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { generationsEqual } from '../../src/coherence/generation.ts'
import {
  keyHash,
  laneOf,
  noRecentChanges,
  rememberChanges,
  unchangedSince,
  usableHeader,
  type LaneHeader,
} from '../../src/coherence/lane.ts'
import { compareMarks } from '../../src/coherence/mark.ts'
import { applyToLane, reset, type ApplyRequest } from '../../src/coherence/operations.ts'
import { randomToken } from '../../src/coherence/record.ts'
import type { ChangeEvent } from '../../src/coherence/stamp.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const event = (key: string, xid: bigint, lsn: bigint, change = lsn - 1n): ChangeEvent => ({ key, xid, lsn, change })
const generation = { epoch: 1n, nonce: 1 }

function header(): LaneHeader {
  const { header: made } = reset(undefined, { expected: undefined, to: 100n, generation, shard: 'here' })
  assert.ok(made !== 'keep')
  return made
}

test('marks compare as pairs', () => {
  assert.equal(compareMarks({ lsn: 1n, sub: 9n }, { lsn: 2n, sub: 0n }), -1)
  assert.equal(compareMarks({ lsn: 2n, sub: 1n }, { lsn: 2n, sub: 0n }), 1)
  assert.equal(compareMarks({ lsn: 2n, sub: 1n }, { lsn: 2n, sub: 1n }), 0)
})

test('generations are equal only in epoch and nonce', () => {
  assert.equal(generationsEqual(generation, { epoch: 1n, nonce: 1 }), true)
  assert.equal(generationsEqual(generation, { epoch: 2n, nonce: 1 }), false)
  assert.equal(generationsEqual(generation, { epoch: 1n, nonce: 2 }), false)
})

test("a key's hash is that of its bytes in UTF-8, and its lane lies in range and never changes", () => {
  // MurmurHash3_x86_32 with seed 0: the values that other implementations give.
  assert.equal(keyHash(''), 0)
  assert.equal(keyHash('test') >>> 0, 0xba6bd213)
  assert.equal(keyHash('Hello, world!') >>> 0, 0xc0363e43)
  assert.notEqual(keyHash('cities:é'), keyHash('cities:e'))
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: limits.lanesMax }), (key, lanes) => {
      const lane = laneOf(keyHash(key), lanes)
      assert.ok(Number.isInteger(lane) && lane >= 0 && lane < lanes)
    }),
  )
  assert.equal(laneOf(-1, 64), 63)
})

test('a header of another shard is not usable', () => {
  assert.equal(usableHeader(undefined, 'here'), undefined)
  assert.equal(usableHeader(header(), 'there'), undefined)
  assert.deepEqual(usableHeader(header(), 'here'), header())
})

test('what a header remembers proves nothing that all changes together would not', () => {
  const keys = ['a', 'b', 'c']
  const change = fc.record({ key: fc.constantFrom(...keys), xid: fc.bigInt(1n, 4n), step: fc.bigInt(0n, 2n) })
  const batches = fc.array(fc.array(change, { maxLength: 12 }), { maxLength: 12 })
  const property = fc.property(batches, fc.bigInt(0n, 120n), fc.bigInt(1n, 4n), (given, at, xid) => {
    let lsn = 10n
    let recent = noRecentChanges(lsn)
    const all: ChangeEvent[] = []
    for (const batch of given) {
      const events = batch.map(({ key, xid, step }) => event(key, xid, (lsn += step)))
      all.push(...events)
      recent = rememberChanges(recent, events)
      assert.ok(recent.changes.length <= limits.recentChangesMax)
    }
    for (const key of keys) {
      const changed = all.some(e => e.key === key && e.lsn > at && (e.xid !== xid || e.change >= at))
      if (unchangedSince(recent, keyHash(key), at, xid)) assert.ok(!changed && at >= 10n)
      else assert.ok(changed || at < recent.completeFrom)
    }
  })
  fc.assert(property, { numRuns: 500 })
})

test('an apply that goes back, or holds what does not belong to it, is a bug of the caller', () => {
  const apply = (next: ApplyRequest['next'], events: ChangeEvent[]): string =>
    applyToLane(header(), { generation, prev: { lsn: 100n, sub: 0n }, next, events }).outcome
  assert.equal(apply({ lsn: 110n, sub: 0n }, [event('a', 1n, 110n)]), 'applied')
  assert.throws(() => apply({ lsn: 100n, sub: 0n }, []), /forward/)
  assert.throws(() => apply({ lsn: 99n, sub: 5n }, []), /forward/)
  assert.throws(() => apply({ lsn: 110n, sub: 0n }, [event('a', 1n, 100n)]), /after the mark/)
  assert.throws(() => apply({ lsn: 110n, sub: 0n }, [event('a', 1n, 111n)]), /ends at its mark/)
  assert.throws(() => apply({ lsn: 100n, sub: 5n }, [event('a', 1n, 100n)]), /after the mark/)
  assert.equal(apply({ lsn: 100n, sub: 5n }, [event('a', 1n, 110n), event('b', 1n, 110n)]), 'applied')
  assert.throws(() => apply({ lsn: 100n, sub: 5n }, [event('a', 1n, 110n), event('b', 2n, 111n)]), /one transaction/)
})

test('a reset to a generation that the lane has already is a bug of the caller', () => {
  const lane = header()
  const request = { expected: lane, to: 200n, shard: 'here' }
  assert.throws(() => reset(lane, { ...request, generation }), /new generation/)
})

test('tokens are 64 bits and differ', () => {
  const random = seededRandom(1)
  const tokens = new Set(Array.from({ length: 1_000 }, () => randomToken(random)))
  assert.equal(tokens.size, 1_000)
  assert.ok([...tokens].every(token => token >= 0n && token < 1n << 64n))
  assert.ok([...tokens].some(token => token >= 1n << 63n))
})
