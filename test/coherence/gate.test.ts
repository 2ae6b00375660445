// Which transactions of a log may be applied, and when a first position is settled.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { unsettled, visibleAtHead } from '../../src/coherence/gate.ts'

const log = (...xids: bigint[]): { xid: bigint }[] => xids.map(xid => ({ xid }))

await test('a transaction in progress holds back itself and all behind it, not what is before it', () => {
  const snapshot = { xmin: 5n, xmax: 9n, inProgress: [5n, 7n] }
  assert.equal(visibleAtHead(log(3n, 6n, 4n), snapshot), 3)
  assert.equal(visibleAtHead(log(3n, 7n, 6n), snapshot), 1)
  assert.equal(visibleAtHead(log(9n, 3n), snapshot), 0, 'one that began after the snapshot is not seen')
  assert.equal(visibleAtHead(log(8n), snapshot), 1)
  assert.equal(visibleAtHead([], snapshot), 0)
})

await test('more transactions in progress than a stamp can name are all looked at', () => {
  const inProgress = Array.from({ length: 40 }, (_, i) => 100n + 2n * BigInt(i))
  const snapshot = { xmin: 100n, xmax: 200n, inProgress }
  assert.equal(visibleAtHead(log(101n, 103n, 178n, 105n), snapshot), 2)
})

await test('a position is settled once all that were in progress are over, however many began since', () => {
  let waiting: readonly bigint[] = [5n, 7n]
  waiting = unsettled(waiting, { xmin: 7n, xmax: 12n, inProgress: [7n, 9n] })
  assert.deepEqual(waiting, [7n])
  waiting = unsettled(waiting, { xmin: 9n, xmax: 15n, inProgress: [9n, 14n] })
  assert.deepEqual(waiting, [])
})

await test('whatever is let through is seen by the snapshot, and the next one is not', () => {
  const xid = fc.bigInt(1n, 40n)
  fc.assert(
    fc.property(fc.array(xid), fc.uniqueArray(fc.bigInt(10n, 30n)), fc.bigInt(0n, 5n), (xids, inProgress, more) => {
      const xmin = inProgress.reduce((least, each) => (each < least ? each : least), 30n)
      const xmax = 31n + more
      const seen = (id: bigint): boolean => id < xmax && !inProgress.includes(id)
      const visible = visibleAtHead(log(...xids), { xmin, xmax, inProgress })
      assert.ok(xids.slice(0, visible).every(seen))
      assert.ok(visible === xids.length || !seen(xids[visible]!))
    }),
    { seed: 1 },
  )
})
