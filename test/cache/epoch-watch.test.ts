// What is told of lanes that other servers have in an epoch that is not this one's.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EpochWatch } from '../../src/cache/epoch-watch.ts'
import { ManualClock } from '../../src/testing/index.ts'
import type { LaneState } from '../../src/coherence/lane.ts'

test('lanes of another epoch are told of once, when it has lasted, and not while they are only on their way', () => {
  const clock = new ManualClock()
  const log: string[] = []
  const epochs: (bigint | undefined)[] = [9n, 1n, undefined, 1n]
  const table = {
    state: (lane: number): LaneState | undefined => {
      const epoch = epochs[lane]
      return epoch === undefined
        ? undefined
        : { generation: { epoch, nonce: 0 }, sequence: 0, mark: { lsn: 0n, sub: 0n } }
    },
  }
  const watch = new EpochWatch({ name: 'main', table, firstLane: 1, lanes: 3, clock, log: line => void log.push(line) })
  const look = (epoch: bigint, ms: number): void => {
    for (let at = 0; at < ms; at += 50) {
      watch.look(epoch)
      clock.advance(50)
    }
  }
  look(1n, 10_000)
  look(2n, 2_000)
  look(1n, 50)
  look(2n, 2_000)
  assert.deepEqual([log, watch.trouble], [[], undefined])
  look(2n, 20_000)
  assert.equal(log.length, 1)
  assert.match(log[0]!, /^database 'main': 2 of 3 lanes of the tier are of another epoch: .*the same keyspaces/)
  assert.ok(log[0]!.endsWith(watch.trouble!))
  epochs[1] = 2n
  look(2n, 20_000)
  assert.equal(log.length, 1, 'some of them are still')
  epochs[3] = 2n
  look(2n, 50)
  assert.equal(watch.trouble, undefined)
  epochs.fill(1n)
  look(2n, 20_000)
  assert.equal(log.length, 2)
})
