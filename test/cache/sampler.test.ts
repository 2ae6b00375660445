// The sampler: samples are as old as their questions, whatever happens to the answers.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { limits } from '../../src/base/limits.ts'
import type { Sample } from '../../src/coherence/freshness.ts'
import { Sampler } from '../../src/cache/sampler.ts'
import type { SourcePosition } from '../../src/source/source.ts'
import { ManualClock } from '../../src/testing/clock.ts'

async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
}

class Asked {
  readonly clock = new ManualClock(1_000)
  readonly questions: PromiseWithResolvers<SourcePosition>[] = []
  readonly told: (readonly Sample[])[] = []
  readonly sampler = new Sampler({
    clock: this.clock,
    source: {
      position: () => {
        const question = Promise.withResolvers<SourcePosition>()
        this.questions.push(question)
        return question.promise
      },
    },
    onSamples: samples => void this.told.push(samples),
  })

  async answer(position: bigint, epoch = 7n): Promise<void> {
    this.questions.at(-1)!.resolve({ position, epoch })
    await settle()
  }
}

await test('a sample is as old as its question, and the next is asked a period after the one before', async () => {
  const s = new Asked()
  s.sampler.start()
  s.clock.advance(20)
  await s.answer(5n)
  assert.deepEqual(s.sampler.samples(), [{ takenAtMs: 1_000, position: 5n, epoch: 7n }])
  s.clock.advance(limits.sampleEveryMs - 21)
  assert.equal(s.questions.length, 1)
  s.clock.advance(1)
  assert.equal(s.questions.length, 2)
  await s.answer(9n)
  assert.equal(s.sampler.samples()[1]!.takenAtMs, 1_000 + limits.sampleEveryMs)
  assert.equal(s.told.length, 2)
})

await test('an answer slower than the period is followed by the next question at once', async () => {
  const s = new Asked()
  s.sampler.start()
  s.clock.advance(limits.sampleEveryMs * 3)
  assert.equal(s.questions.length, 1)
  await s.answer(5n)
  assert.equal(s.questions.length, 2)
})

await test('a question without an answer is asked again, and an answer that comes too late is not taken', async () => {
  const s = new Asked()
  s.sampler.start()
  s.clock.advance(limits.sampleTimeoutMs)
  assert.equal(s.questions.length, 2)
  s.questions[0]!.resolve({ position: 5n, epoch: 7n })
  await settle()
  assert.deepEqual(s.sampler.samples(), [])
  await s.answer(6n)
  assert.deepEqual(
    s.sampler.samples().map(sample => sample.takenAtMs),
    [1_000 + limits.sampleTimeoutMs],
  )
})

await test('a source that cannot be reached is asked again', async () => {
  const s = new Asked()
  s.sampler.start()
  s.questions[0]!.reject(new TidemarkError('SOURCE_UNAVAILABLE', 'gone'))
  await settle()
  s.clock.advance(limits.sampleEveryMs)
  assert.equal(s.questions.length, 2)
  assert.deepEqual(s.sampler.samples(), [])
})

await test('after a jump of the clocks no sample of before counts, nor one that was asked for before', async () => {
  const s = new Asked()
  s.sampler.start()
  await s.answer(5n)
  s.clock.advance(limits.sampleEveryMs)
  assert.equal(s.questions.length, 2)
  s.clock.jumpWall(60_000)
  assert.deepEqual(s.sampler.samples(), [])
  assert.deepEqual(s.told.at(-1), [])
  s.clock.advance(1)
  await s.answer(6n)
  assert.deepEqual(s.sampler.samples(), [])
  s.clock.advance(limits.sampleEveryMs)
  await s.answer(7n)
  assert.equal(s.sampler.samples().length, 1)
})

await test('clocks that drift apart by less than a jump drop nothing', async () => {
  const s = new Asked()
  s.sampler.start()
  await s.answer(5n)
  s.clock.jumpWall(limits.clockJumpMs)
  assert.equal(s.sampler.samples().length, 1)
  s.clock.jumpWall(-2 * limits.clockJumpMs)
  assert.equal(s.sampler.samples().length, 1)
})

await test('a stopped sampler asks no more and takes nothing more', async () => {
  const s = new Asked()
  s.sampler.start()
  s.sampler.stop()
  await s.answer(5n)
  s.clock.advance(10_000)
  assert.equal(s.questions.length, 1)
  assert.deepEqual(s.sampler.samples(), [])
  assert.equal(s.clock.pending, 0)
})
