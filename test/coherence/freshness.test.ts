// The freshness proof: what a sample and a mark prove together, and what they do not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { limits } from '../../src/base/limits.ts'
import { addSample, asOfMs, isFresh, NO_PROOF, type Sample } from '../../src/coherence/freshness.ts'
import type { LaneState } from '../../src/coherence/lane.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

function lane(lsn: bigint, sub = 0n, epoch = 1n): LaneState {
  return { generation: { epoch, nonce: 1 }, sequence: 0, mark: { lsn, sub } }
}

const sample = (takenAtMs: number, position: bigint, epoch = 1n): Sample => ({ takenAtMs, position, epoch })

test('a lane is true as of the latest sample before its mark', () => {
  const samples = [sample(10, 100n), sample(20, 110n), sample(30, 120n)]
  assert.equal(asOfMs(samples, lane(115n)), 20)
  assert.equal(asOfMs(samples, lane(500n)), 30)
})

test('a sample at the mark proves nothing: an isolated primary stands still at it', () => {
  assert.equal(asOfMs([sample(10, 305n)], lane(305n)), NO_PROOF)
  assert.equal(asOfMs([sample(10, 305n)], lane(306n)), 10)
})

test('a sub-position proves nothing: the transaction is only half applied', () => {
  assert.equal(asOfMs([sample(10, 305n)], lane(305n, 900n)), NO_PROOF)
})

test('a sample of another epoch proves nothing', () => {
  assert.equal(asOfMs([sample(10, 960n, 2n)], lane(1000n)), NO_PROOF)
  assert.equal(asOfMs([sample(5, 900n), sample(10, 960n, 2n)], lane(1000n)), 5)
})

test('without a header or a sample there is no proof', () => {
  assert.equal(asOfMs([sample(10, 1n)], undefined), NO_PROOF)
  assert.equal(asOfMs([], lane(100n)), NO_PROOF)
})

test('a sample that arrives late does not take back a better proof', () => {
  assert.equal(asOfMs([sample(20, 110n), sample(10, 100n)], lane(200n)), 20)
})

test('an answer is fresh up to its bound, at it included, and never without a proof', () => {
  assert.equal(isFresh(1000, 1500, 500), true)
  assert.equal(isFresh(1000, 1500.5, 500), false)
  assert.equal(isFresh(1000, 1000, 0), true)
  assert.equal(isFresh(NO_PROOF, 1000, Infinity), false)
  assert.throws(() => isFresh(1000, 1000, -1))
})

test('a full list stays within its limit, keeps its newer half whole and reaches far back in growing steps', () => {
  const max = limits.freshnessSamplesMax
  const half = max / 2
  const everyMs = 50
  let samples: readonly Sample[] = []
  for (let i = 0; i < 20_000; i++) {
    samples = addSample(samples, sample(i * everyMs, BigInt(i)))
    assert.ok(samples.length <= max)
  }
  const newest = samples.slice(-half).map(({ takenAtMs }) => takenAtMs / everyMs)
  assert.deepEqual(
    newest,
    Array.from({ length: half }, (_, index) => 20_000 - half + index),
  )
  const nowMs = 19_999 * everyMs
  const ages = samples.map(({ takenAtMs }) => nowMs - takenAtMs)
  assert.ok(ages[0]! <= limits.freshnessReachMs + everyMs)
  assert.ok(ages[0]! > limits.freshnessReachMs / 2, `reaches back ${ages[0]} ms`)
  for (const [index, age] of ages.slice(1, half).entries()) {
    assert.ok(ages[index]! <= 2 * age, `a proof of ${age} ms becomes one of ${ages[index]} ms`)
  }
})

test('a shorter list never proves more than all samples do', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { maxLength: 300 }), fc.nat(1000), (steps, mark) => {
      const all: Sample[] = []
      let kept: readonly Sample[] = []
      for (const [index, step] of steps.entries()) {
        const next = sample(index, (all.at(-1)?.position ?? 0n) + BigInt(step))
        all.push(next)
        kept = addSample(kept, next)
      }
      assert.ok(asOfMs(kept, lane(BigInt(mark))) <= asOfMs(all, lane(BigInt(mark))))
    }),
  )
})
