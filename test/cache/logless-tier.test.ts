// Lanes of sources without a log: who gives them their headers, when, and when not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TidemarkError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { LoglessTier } from '../../src/cache/logless-tier.ts'
import { LOGLESS_EPOCH } from '../../src/coherence/epoch.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import { Network } from './two-nodes.ts'

const LANES = 3
const FENCE_MS = 1_000
const LEASE = { token: 5n, epoch: LOGLESS_EPOCH, leaseMs: 1_000 }
const STAMP = { kind: 'write', xid: 0n, at: 0n, epoch: LOGLESS_EPOCH, upto: 1n } as const

interface Process {
  readonly network: Network
  readonly tier: LoglessTier
  readonly mismatches: TidemarkError[]
}

async function join(memory: MemoryTier, seed: number): Promise<Process> {
  const network = new Network()
  const mismatches: TidemarkError[] = []
  const tier = await LoglessTier.open({
    tier: network.over(memory),
    random: seededRandom(seed),
    onMismatch: error => void mismatches.push(error),
  })
  return { network, tier, mismatches }
}

function generationOf(memory: MemoryTier, lane = 0): number | undefined {
  return memory.lane(lane)?.generation.nonce
}

function memoryTier(): MemoryTier {
  return new MemoryTier({ clock: new ManualClock(), lanes: LANES })
}

/** Resets all lanes to an epoch of a database. */
function takeOver(memory: MemoryTier): void {
  for (let lane = 0; lane < LANES; lane++) {
    memory.reset(lane, { expected: memory.lane(lane), to: 77n, generation: { epoch: 9n, nonce: lane } })
  }
}

test('the first process gives all lanes their headers, and those that follow leave them', async () => {
  const memory = memoryTier()
  await join(memory, 1)
  const before = [0, 1, 2].map(lane => memory.lane(lane))
  for (const state of before) assert.deepEqual([state!.generation.epoch, state!.mark], [LOGLESS_EPOCH, { lsn: 0n, sub: 0n }]) // prettier-ignore
  await join(memory, 2)
  assert.deepEqual([0, 1, 2].map(lane => memory.lane(lane)), before) // prettier-ignore
})

test('two processes that find a lane without a header at once make one of it', async () => {
  const memory = memoryTier()
  const [one, two] = [await join(memory, 1), await join(memory, 2)]
  memory.loseHeader(0)
  const seen = await Promise.all([one.tier.lane(0), two.tier.lane(0)])
  assert.notEqual(generationOf(memory), undefined)
  assert.deepEqual([seen[0]!.generation.nonce, seen[1]!.generation.nonce], [generationOf(memory), generationOf(memory)])
})

test('a tier that does not answer at first gets its headers when lanes are used', async () => {
  const memory = memoryTier()
  const network = new Network()
  network.state = 'fails'
  const tier = await LoglessTier.open({ tier: network.over(memory), random: seededRandom(1), onMismatch: assert.fail })
  assert.equal(generationOf(memory), undefined)
  network.state = 'up'
  assert.equal((await tier.lease('a', LEASE)).outcome, 'granted')
})

test('what a primary held that was lost is void on the next one, and its fences and leases are given out anew', async () => {
  for (const ask of ['lease', 'begin'] as const) {
    const memory = memoryTier()
    const { tier } = await join(memory, 1)
    await tier.begin('a', 1n, FENCE_MS)
    await tier.putFenced('a', 1n, { payload: Buffer.from('old'), stamp: STAMP })
    memory.moveToShard('another')
    if (ask === 'lease') assert.equal((await tier.lease('a', LEASE)).outcome, 'granted')
    else assert.equal(await tier.begin('a', 2n, FENCE_MS), 'fenced')
    assert.equal((await tier.read(['a']))[0]!.record?.type, ask === 'lease' ? 'lease' : 'fence')
  }
})

test('a read that finds no header answers nothing, and the lane has one soon', async () => {
  const memory = memoryTier()
  const { tier } = await join(memory, 1)
  memory.moveToShard('another')
  assert.deepEqual(await tier.read(['a']), [{ lane: undefined, record: undefined }])
  const [again] = await tier.read(['a'])
  assert.equal(again!.lane?.generation.epoch, LOGLESS_EPOCH)
})

test('lanes of a database with a log are refused when they are found at first', async () => {
  const memory = memoryTier()
  takeOver(memory)
  await assert.rejects(join(memory, 1), { code: 'TIER_MISMATCH', message: /belongs to a database with a log/ })
})

test('lanes that a database takes later are left to it, read as nothing, and are told of once each', async () => {
  const memory = memoryTier()
  const { tier, mismatches } = await join(memory, 1)
  takeOver(memory)
  const states = [0, 1, 2].map(lane => memory.lane(lane))
  for (let round = 0; round < 2; round++) {
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) {
      assert.deepEqual(await tier.read([key]), [{ lane: undefined, record: undefined }])
      assert.equal((await tier.lease(key, LEASE)).outcome, 'no-lane')
      assert.equal(await tier.begin(key, 1n, FENCE_MS), 'no-lane')
    }
    for (let lane = 0; lane < LANES; lane++) assert.equal(await tier.lane(lane), undefined)
  }
  assert.deepEqual([0, 1, 2].map(lane => memory.lane(lane)), states, 'not even a message') // prettier-ignore
  assert.equal(mismatches.length, LANES)
  for (let lane = 0; lane < LANES; lane++) memory.loseHeader(lane)
  assert.equal((await tier.lease('a', LEASE)).outcome, 'granted', 'once they are free')
})
