// Stamps as bytes: they come back as they were, stay within their limit, and bytes that are no stamp are told apart.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { limits } from '../../src/base/limits.ts'
import { decodeStamp, encodeStamp, writeStamp } from '../../src/coherence/record-codec.ts'
import { boundedSnapshot, snapshotSees, type LoadStamp, type Stamp } from '../../src/coherence/stamp.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const MAX = 2n ** 64n - 1n
const uint64 = fc.bigInt(0n, MAX)
const numbers = { epoch: uint64, upto: uint64 }
const writeStamps: fc.Arbitrary<Stamp> = fc.record(
  {
    kind: fc.constant('write' as const),
    xid: uint64,
    at: uint64,
    ...numbers,
  },
  { noNullPrototype: true },
)
const snapshots = fc
  .tuple(fc.bigInt(0n, 2n ** 63n), fc.array(fc.bigInt(0n, 1000n), { maxLength: 20 }), fc.bigInt(1001n, 5000n))
  .map(([xmin, offsets, width]) =>
    boundedSnapshot(
      xmin,
      xmin + width,
      offsets.map(offset => xmin + offset),
    ),
  )
const loadStamps: fc.Arbitrary<Stamp> = fc.record(
  {
    kind: fc.constant('load' as const),
    snapshot: snapshots,
    flush: uint64,
    lsn: uint64,
    ...numbers,
  },
  { noNullPrototype: true },
)
const stamps = fc.oneof(writeStamps, loadStamps)

function load(inProgress: readonly bigint[], exact = true): LoadStamp {
  const snapshot = { xmin: 10n, xmax: 90n, inProgress, exact }
  return { kind: 'load', snapshot, flush: MAX, lsn: MAX, epoch: MAX, upto: MAX }
}

function decode(bytes: Uint8Array): Stamp | undefined {
  return decodeStamp(bytes, 0, bytes.length)
}

test('a stamp comes back as it was, from anywhere in a buffer', () => {
  fc.assert(
    fc.property(stamps, fc.nat(20), (stamp, at) => {
      const out = new Uint8Array(at + limits.stampBytesMax)
      const end = writeStamp(out, at, stamp)
      assert.ok(end - at <= limits.stampBytesMax)
      assert.deepEqual(decodeStamp(out, at, end), stamp)
    }),
  )
})

test('a write takes few bytes, and the largest stamp fits its limit', () => {
  const small = encodeStamp({ kind: 'write', xid: 700n, at: 5_000_000n, epoch: 1n, upto: 5_000_100n })
  assert.ok(small.length <= 16, `${small.length} bytes`)
  const many = Array.from({ length: limits.snapshotInProgressMax }, (_, index) => 2n ** 63n + BigInt(index))
  assert.ok(encodeStamp(load(many)).length <= limits.stampBytesMax)
})

test('a snapshot with more transactions in progress than the limit keeps xmin alone', () => {
  const many = Array.from({ length: limits.snapshotInProgressMax + 1 }, (_, index) => 10n + BigInt(index))
  assert.deepEqual(decode(encodeStamp(load(many))), load([], false))
  assert.deepEqual(boundedSnapshot(10n, 90n, many), load([], false).snapshot)
  assert.deepEqual(boundedSnapshot(10n, 90n, many.slice(1)), load(many.slice(1)).snapshot)
})

test('an inexact snapshot is sure only below xmin and from xmax on', () => {
  const snapshot = boundedSnapshot(
    10n,
    90n,
    Array.from({ length: 17 }, (_, index) => 10n + BigInt(index)),
  )
  assert.deepEqual(
    [9n, 10n, 89n, 90n].map(xid => snapshotSees(snapshot, xid)),
    ['yes', 'maybe', 'maybe', 'no'],
  )
  const exact = boundedSnapshot(10n, 90n, [10n, 20n])
  assert.deepEqual(
    [9n, 10n, 11n, 20n, 89n, 90n].map(xid => snapshotSees(exact, xid)),
    ['yes', 'no', 'yes', 'no', 'yes', 'no'],
  )
})

test('a stamp cut off anywhere is no stamp, and neither is one with more behind it', () => {
  fc.assert(
    fc.property(stamps, stamp => {
      const bytes = encodeStamp(stamp)
      for (let length = 0; length < bytes.length; length++) assert.equal(decodeStamp(bytes, 0, length), undefined)
      assert.equal(decode(Uint8Array.from([...bytes, 0])), undefined)
    }),
    { numRuns: 50 },
  )
})

test('another version, another kind and numbers past 64 bits are no stamp', () => {
  const bytes = encodeStamp({ kind: 'write', xid: 1n, at: 2n, epoch: 3n, upto: 4n })
  assert.ok(decode(bytes))
  assert.equal(decode(Uint8Array.from([2, ...bytes.slice(1)])), undefined)
  assert.equal(decode(Uint8Array.from([1, 9, ...bytes.slice(2)])), undefined)
  const tooLarge = [...Array.from({ length: 9 }, () => 0xff), 0x02]
  assert.equal(decode(Uint8Array.from([1, 0, ...tooLarge, 2, 3, 4])), undefined)
  assert.equal(decode(Uint8Array.from([1, 0, ...Array.from({ length: 40 }, () => 0x80), 0, 2, 3, 4])), undefined)
})

test('random bytes never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
      decode(bytes)
      decode(Uint8Array.from([1, bytes[0] === undefined ? 0 : bytes[0] % 3, ...bytes]))
    }),
  )
})

test('a number that does not fit 64 bits is a bug of the caller', () => {
  assert.throws(() => encodeStamp({ kind: 'write', xid: 1n << 64n, at: 2n, epoch: 3n, upto: 4n }))
  assert.throws(() => encodeStamp({ kind: 'write', xid: -1n, at: 2n, epoch: 3n, upto: 4n }))
})
