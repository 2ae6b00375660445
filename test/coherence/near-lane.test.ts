// Near lanes: each rule, and a world in which each of them is needed.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import * as nearRules from '../../src/coherence/near-lane.ts'
import { initialise, mayEnter, receive, staysNear } from '../../src/coherence/near-lane.ts'
import type { LaneState } from '../../src/coherence/lane.ts'
import { compareMarks, type Mark } from '../../src/coherence/mark.ts'
import type { LaneMessage } from '../../src/coherence/operations.ts'
import { NearWorld } from './near-world.ts'

const GENERATION = { epoch: 7n, nonce: 1 }
const OTHER = { epoch: 7n, nonce: 2 }

function lane(lsn: bigint, sub = 0n, sequence = 5, generation = GENERATION): LaneState {
  return { generation, sequence, mark: { lsn, sub } }
}

function message(prev: Mark, mark: Mark, sequence = 6, generation = GENERATION): LaneMessage {
  return { generation, sequence, mark, prev, events: [], voids: [] }
}

const MARK = { lsn: 100n, sub: 0n }
const NEXT = { lsn: 120n, sub: 0n }

void describe('a message', () => {
  void test('continues the lane when generation, sequence and mark do, and the lane moves on', () => {
    const step = receive(lane(100n), message(MARK, NEXT))
    assert.deepEqual(step, { lane: { generation: GENERATION, sequence: 6, mark: NEXT }, continues: true })
  })

  void test('of another generation, after a gap, a second time, or from another mark does not continue it', () => {
    const breaks: Record<string, LaneMessage> = {
      generation: message(MARK, NEXT, 6, OTHER),
      epoch: message(MARK, NEXT, 6, { ...GENERATION, epoch: 8n }),
      gap: message(MARK, NEXT, 7),
      again: message(MARK, NEXT, 5),
      mark: message({ lsn: 99n, sub: 0n }, NEXT),
      part: message({ lsn: 100n, sub: 3n }, NEXT),
    }
    for (const [why, broken] of Object.entries(breaks)) {
      const { generation, sequence, mark } = broken
      assert.deepEqual(receive(lane(100n), broken), { lane: { generation, sequence, mark }, continues: false }, why)
    }
  })

  void test('makes an unknown lane known, and continues nothing', () => {
    const step = receive(undefined, message(MARK, NEXT))
    assert.deepEqual(step, { lane: { generation: GENERATION, sequence: 6, mark: NEXT }, continues: false })
  })
})

void describe('what was read', () => {
  void test('enters under the same generation and a mark that is not behind the near one', () => {
    assert.ok(mayEnter(lane(100n), lane(100n)))
    assert.ok(mayEnter(lane(100n), lane(120n, 0n, 9)))
    assert.ok(mayEnter(lane(100n, 2n), lane(100n, 2n)))
    assert.ok(mayEnter(lane(100n, 2n), lane(100n, 3n)))
  })

  void test('does not enter an unknown lane, one of another generation, or one that is ahead, be it by a part', () => {
    assert.ok(!mayEnter(undefined, lane(100n)))
    assert.ok(!mayEnter(lane(100n, 0n, 5, OTHER), lane(100n)))
    assert.ok(!mayEnter(lane(101n), lane(100n)))
    assert.ok(!mayEnter(lane(100n, 2n), lane(100n)))
    assert.ok(!mayEnter(lane(100n, 3n), lane(100n, 2n)))
  })
})

void test('a header makes an unknown lane known, and says nothing of one that messages have come for', () => {
  assert.deepEqual(initialise(undefined, lane(100n)), lane(100n))
  assert.deepEqual(initialise(lane(120n), lane(100n)), lane(120n))
  assert.equal(initialise(undefined, undefined), undefined)
})

void test('an entry outlives a change that it reflects, and no other', () => {
  const stamp = { kind: 'write', xid: 3n, at: 110n, epoch: 7n, upto: 120n } as const
  assert.ok(staysNear(stamp, { key: 'a', xid: 3n, lsn: 120n, change: 109n }))
  assert.ok(staysNear(stamp, { key: 'a', xid: 2n, lsn: 105n, change: 104n }))
  assert.ok(!staysNear(stamp, { key: 'a', xid: 3n, lsn: 120n, change: 115n }))
  assert.ok(!staysNear(stamp, { key: 'a', xid: 4n, lsn: 130n, change: 125n }))
})

const steps = fc.array(fc.tuple(fc.nat(12), fc.nat(11), fc.nat(11)), { minLength: 40, maxLength: 160 })

interface Seen {
  admitted: number
  checked: number
}

function holdsWith(rules: typeof nearRules, seen: Seen): fc.IProperty<[[number, number, number][]]> {
  return fc.property(steps, all => {
    const world = new NearWorld(rules)
    for (const [which, a, b] of all) {
      world.step(which, a, b)
      assert.equal(world.violation(), undefined)
    }
    seen.admitted += world.admitted
    seen.checked += world.checked
  })
}

void test('whatever is held is true as of the near mark, whatever happens to messages, reads and the tier', () => {
  const seen = { admitted: 0, checked: 0 }
  fc.assert(holdsWith(nearRules, seen), { seed: 11, numRuns: 12_000 })
  assert.ok(seen.admitted > 2_000 && seen.checked > 30_000, JSON.stringify(seen))
})

void describe('a world without one of the rules finds what it is for', () => {
  const continues = (near: nearRules.NearLane, said: LaneMessage, part: keyof LaneMessage): boolean => {
    if (near === undefined) return false
    const right = { ...said, generation: near.generation, sequence: near.sequence + 1, prev: near.mark }
    return receive(near, { ...right, [part]: said[part], ...(part === 'mark' ? { mark: said.mark } : {}) }).continues
  }
  const without: Record<string, Partial<typeof nearRules>> = {
    'the chain of generations': {
      receive: (near, said) => ({
        ...receive(near, said),
        continues: continues(near, said, 'sequence') && continues(near, said, 'prev'),
      }),
    },
    'the chain of sequence and mark': {
      receive: (near, said) => ({ ...receive(near, said), continues: continues(near, said, 'generation') }),
    },
    'the generation of what enters': {
      mayEnter: (near, read) => near !== undefined && compareMarks(near.mark, read.mark) <= 0,
    },
    'the mark of what enters': {
      mayEnter: (near, read) => near !== undefined && near.generation.nonce === read.generation.nonce,
    },
    'the test of stamps': { staysNear: () => true },
    'being lost': {
      mayEnter: (near, read) => mayEnter(near ?? read, read),
      initialise: (near, header) => header ?? near,
    },
  }
  for (const [what, rules] of Object.entries(without)) {
    void test(what, () => {
      const result = fc.check(holdsWith({ ...nearRules, ...rules }, { admitted: 0, checked: 0 }), {
        seed: 5,
        numRuns: 20_000,
        endOnFailure: true,
      })
      assert.ok(result.failed, `${result.numRuns} runs found nothing`)
    })
  }
})
