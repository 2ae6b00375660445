// A source without a log, under seeds: writers that fence, readers that load, a tier that fails over to a replica that was
// behind (and is reset then, as another primary's lane must be). Once all writers are done, what memory holds is what the
// source holds. With each of the guards taken out it sometimes is not.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import * as coherence from '../../src/coherence/operations.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier, type Operations } from '../../src/testing/memory-tier.ts'

const SEEDS = 300
const STEPS = 1_500
const EPOCH = 1n
const FENCE_MS = 400
const encoder = new TextEncoder()
const decoder = new TextDecoder()

interface FenceWorld {
  readonly operations: Operations
  /** Whether a failover is followed by a reset. */
  readonly resets: boolean
}

const whole: FenceWorld = { operations: coherence, resets: true }

type Actor = Generator<undefined, undefined>

/** What memory held in the end that was not in the source any more; undefined when nothing was. `hits` counts reads from memory. */
function run(seed: number, world: FenceWorld): { stale: string | undefined; hits: number } {
  const random = seededRandom(seed)
  const clock = new ManualClock(0)
  const tier = new MemoryTier({ clock, lanes: 1, operations: world.operations })
  const checkpoints: (() => void)[] = []
  const actors: Actor[] = []
  let [source, values, tokens, nonces, writing, hits] = [0, 0, 0n, 0, 0, 0]
  let stale: string | undefined

  function* wait(steps: number, long: number): Actor {
    for (let left = random.below(random.below(5) === 0 ? long : steps); left > 0; left--) yield
  }
  function reset(): void {
    tier.reset(0, { expected: tier.lane(0), to: 0n, generation: { epoch: EPOCH, nonce: ++nonces } })
  }
  function failOver(): void {
    const back = 1 + random.below(Math.min(4, checkpoints.length))
    checkpoints.splice(checkpoints.length - back + 1)
    checkpoints.at(-1)!()
    if (world.resets) reset()
  }
  function* writer(): Actor {
    writing++
    const id = ++tokens
    tier.begin('k', id, FENCE_MS)
    yield* wait(10, 10)
    const value = (source = ++values)
    yield* wait(6, 60)
    const stamp = { kind: 'write', xid: 0n, at: 0n, epoch: EPOCH, upto: 0n } as const
    tier.putFenced('k', id, { payload: encoder.encode(`${value}`), stamp })
    writing--
  }
  function* reader(): Actor {
    yield
    const [answer] = tier.read(['k'])
    if (answer!.record?.type === 'value') hits++
    const token = ++tokens
    if (tier.lease('k', { token, epoch: EPOCH, leaseMs: FENCE_MS }).outcome !== 'granted') return
    yield* wait(5, 5)
    const value = source
    yield* wait(6, 50)
    const snapshot = { xmin: 0n, xmax: 0n, inProgress: [], exact: true }
    const stamp = { kind: 'load', snapshot, flush: 0n, lsn: 0n, epoch: EPOCH, upto: 0n } as const
    tier.fill('k', token, { payload: encoder.encode(`${value}`), stamp })
  }

  reset()
  for (let step = 0; step < STEPS && stale === undefined; step++) {
    clock.advance(1)
    if (step % 5 === 0) checkpoints.push(tier.checkpoint())
    if (random.below(8) === 0 && actors.length < 6) actors.push(random.below(3) === 0 ? writer() : reader())
    if (random.below(150) === 0) failOver()
    if (actors.length > 0) {
      const index = random.below(actors.length)
      if (actors[index]!.next().done === true) actors.splice(index, 1)
    }
    const [answer] = tier.read(['k'])
    if (writing > 0 || answer!.record?.type !== 'value') continue
    const held = Number(decoder.decode(answer!.record.payload!))
    if (held !== source) stale = `at step ${step} memory held ${held}, the source ${source}`
  }
  return { stale, hits }
}

test(`after the last writer memory holds what the source holds, in ${SEEDS} seeds`, () => {
  let hits = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = run(seed, whole)
    assert.equal(result.stale, undefined, `seed ${seed}: ${result.stale}`)
    hits += result.hits
  }
  assert.ok(hits > 5 * SEEDS, `only ${hits} reads were answered from memory`)
})

const lostFenceLeavesRecord: Operations['putFenced'] = (header, record, request) => {
  const decision = coherence.putFenced(header, record, request)
  return decision.outcome === 'voided' ? { ...decision, record: 'keep' } : decision
}

const fenceOfAnyGeneration: Operations['putFenced'] = (header, record, request) => {
  const renewed = header !== undefined && record !== undefined ? { ...record, generation: header.generation } : record
  return coherence.putFenced(header, renewed, request)
}

describe('without one of its guards memory keeps an old value', () => {
  // `seeds`: the first seed, from 1 on, that shows it. That a fence has an id of its own is in the contract suite.
  const mutations: Record<string, { world: FenceWorld; seeds: number }> = {
    'the removal by a put that lost its fence': {
      world: { ...whole, operations: { ...coherence, putFenced: lostFenceLeavesRecord } },
      seeds: 1,
    },
    'the generation of a fence': {
      world: { ...whole, operations: { ...coherence, putFenced: fenceOfAnyGeneration } },
      seeds: 283,
    },
    'the reset after a failover': { world: { ...whole, resets: false }, seeds: 8 },
  }
  for (const [what, { world, seeds }] of Object.entries(mutations)) {
    test(`without ${what}, within ${seeds} seeds`, () => {
      let found = 0
      for (let seed = 1; seed <= seeds && found === 0; seed++) if (run(seed, world).stale !== undefined) found = seed
      assert.notEqual(found, 0, `no old value in seeds 1 to ${seeds}`)
    })
  }
})
