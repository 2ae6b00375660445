// The protocol under a few hundred seeds of a small world (world.ts), and the same world with one guard taken out at a time
// (mutations.ts): the first finds no stale proof, the others do, each within the number of seeds given here.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { allGuards, mutations } from './mutations.ts'
import { World } from './world.ts'

const SEEDS = 300

test(`no proof is stale in ${SEEDS} seeds, and everything that can go wrong did`, () => {
  const totals: Record<string, number> = {}
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { stale, counts } = new World(seed, allGuards).run()
    assert.equal(stale, undefined, `seed ${seed}: ${stale}`)
    for (const [what, times] of Object.entries(counts)) totals[what] = (totals[what] ?? 0) + times
  }
  const atLeast = {
    'read proved': 10_000,
    'fill filled': 1_500,
    'fill refused': 200,
    'fill other-epoch': 50,
    'put stored': 2_000,
    'put late': 100,
    'put newer': 50,
    'put uncertain': 100,
    'put other-epoch': 50,
    'apply applied': 3_000,
    'apply mismatch': 50,
    chunk: 500,
    'reset reset': 400,
    'tier rolled back': 500,
    'tide restarted': 500,
    'database failed over': 100,
  }
  for (const [what, times] of Object.entries(atLeast)) {
    assert.ok((totals[what] ?? 0) >= times, `'${what}' came ${totals[what] ?? 0} times, not ${times}`)
  }
})

describe('without one of its guards the protocol gives a stale proof', () => {
  for (const [what, { guards, faults, seeds }] of Object.entries(mutations)) {
    test(`without ${what}, within ${seeds} seeds`, () => {
      let found = 0
      for (let seed = 1; seed <= seeds && found === 0; seed++) {
        if (new World(seed, guards, faults).run().stale !== undefined) found = seed
      }
      assert.notEqual(found, 0, `no stale proof in seeds 1 to ${seeds}`)
    })
  }
})
