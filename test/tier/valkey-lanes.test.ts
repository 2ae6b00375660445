// Where lanes lie: their slots are those that the servers compute, and spread evenly whatever their number.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CLUSTER_SLOTS, LaneNames, laneSlot, laneTags, slotOf } from '../../src/tier/valkey-lanes.ts'

describe('lanes in slots', () => {
  test('a slot is what Redis says: of the whole key, or of what stands in the first braces', () => {
    // From CLUSTER KEYSLOT of a Redis server.
    const slots = {
      '': 0,
      a: 15_495,
      '123456789': 12_739,
      'foo{bar}baz': 5_061,
      bar: 5_061,
      'foo{}{bar}': 8_363,
      '{}x': 10_595,
    }
    for (const [key, slot] of Object.entries(slots)) assert.equal(slotOf(Buffer.from(key)), slot, key)
  })

  for (const lanes of [1, 2, 3, 7, 64, 100, 1_000, 4_096]) {
    test(`${lanes} lanes have tags whose slots are as far apart as can be`, () => {
      const tags = laneTags(lanes)
      assert.equal(tags.length, lanes)
      const slots = tags.map(tag => slotOf(Buffer.from(`{${tag}}`)))
      for (const [lane, slot] of slots.entries()) assert.equal(slot, laneSlot(lane, lanes))
      for (let lane = 1; lane < lanes; lane++) {
        const gap = slots[lane]! - slots[lane - 1]!
        assert.ok(Math.abs(gap - CLUSTER_SLOTS / lanes) < 1, `a gap of ${gap} slots`)
      }
    })

    test(`${lanes} lanes are shared out evenly among any number of equal primaries`, () => {
      for (const primaries of [1, 2, 3, 5, 6, 16]) {
        const counts = Array.from({ length: primaries }, () => 0)
        for (let lane = 0; lane < lanes; lane++)
          counts[Math.floor((laneSlot(lane, lanes) * primaries) / CLUSTER_SLOTS)]!++
        assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join())
      }
    })
  }

  test('the tags of 64 lanes never change: other processes find the same keys', () => {
    assert.deepEqual(laneTags(64).slice(0, 4), ['t45383', 't16699', 't15595', 't9058'])
  })

  test('all names of a lane are in one slot, whatever the key holds', () => {
    const names = new LaneNames('tm', 't1')
    for (const name of [names.header, names.recent, names.record('{x}y'), Buffer.from(names.channel)]) {
      assert.equal(slotOf(name), names.slot)
    }
    assert.equal(names.record('users:1').toString(), 'tm:{t1}:kusers:1')
  })
})
