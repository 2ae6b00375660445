// What threads see of each other's headers: each keeps what it last read or stored of a lane's recent changes, and may not go
// on with that once another thread has stored others.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { limits } from '../../src/base/limits.ts'
import { rememberChanges, type LaneHeader } from '../../src/coherence/lane.ts'
import { EMBEDDED_SHARD, LaneTable } from '../../src/tier/lane-table.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const LANES = 2

function header(position: bigint, nonce = 1): LaneHeader {
  return {
    generation: { epoch: 2n ** 63n + 5n, nonce },
    sequence: 0,
    mark: { lsn: position, sub: 0n },
    shard: EMBEDDED_SHARD,
    recent: { changes: [], completeFrom: position },
  }
}

function moved(before: LaneHeader, lsn: bigint, keys: readonly string[]): LaneHeader {
  const events = keys.map(key => ({ key, xid: lsn, lsn, change: lsn }))
  const recent = rememberChanges(before.recent, events)
  return { ...before, mark: { lsn, sub: 0n }, sequence: before.sequence + 1, recent }
}

test('every thread reads the header that was stored last, whichever thread stored it', () => {
  const step = fc.record({
    thread: fc.nat(2),
    lane: fc.nat(LANES - 1),
    what: fc.oneof(
      { weight: 6, arbitrary: fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 40 }) },
      { weight: 1, arbitrary: fc.constant('begin anew' as const) },
      { weight: 1, arbitrary: fc.constant('forget' as const) },
    ),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const first = LaneTable.create(LANES)
      const tables = [first, LaneTable.attach(first.shared, 1), LaneTable.attach(first.shared, 2)]
      const stored: (LaneHeader | undefined)[] = [undefined, undefined]
      for (const [i, { thread, lane, what }] of steps.entries()) {
        const table = tables[thread]!
        const position = BigInt(i + 1)
        const before = table.withLane(lane, () => table.header(lane))
        const next = what === 'begin anew' || before === undefined ? header(position, i + 1) : undefined
        stored[lane] = what === 'forget' ? undefined : (next ?? moved(before!, position, what as string[]))
        table.withLane(lane, () => {
          if (stored[lane] === undefined) table.forget(lane)
          else table.setHeader(lane, stored[lane])
        })
        // Not all of them look each time, so that some go on with what is older.
        for (const other of tables.slice(0, 1 + (i % 3))) {
          const read = other.withLane(lane, () => other.header(lane))
          assert.deepEqual(read, stored[lane])
          assert.ok((read?.recent.changes.length ?? 0) <= limits.recentChangesMax)
        }
      }
    }),
  )
})

test('a header that only moves on leaves the recent changes as they are, and the same object for who reads on', () => {
  const table = LaneTable.create(LANES)
  table.withLane(0, () => table.setHeader(0, moved(header(1n), 2n, ['a'])))
  const { recent } = table.withLane(0, () => table.header(0))!
  table.withLane(0, () => table.setHeader(0, moved(table.header(0)!, 3n, [])))
  const after = table.withLane(0, () => table.header(0))!
  assert.equal(after.recent, recent)
  assert.equal(after.mark.lsn, 3n)
})
