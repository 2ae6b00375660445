// How loads are gathered: in batches, within a window, so many at once; and the builds of `getOrSet`, each by itself.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SourceLoads, type LoadLimits } from '../../../src/cache/source-loads.ts'
import { limits } from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { Tidemark } from '../../../src/library/tidemark.ts'
import { FunctionsSource } from '../../../src/source/functions-source.ts'
import { ManualClock } from '../../../src/testing/clock.ts'
import { turns } from './turns.ts'

interface Scene {
  readonly clock: ManualClock
  readonly loads: SourceLoads<unknown>
  /** The queries so far, and how to let the first of those that are held go. */
  readonly queries: (readonly string[])[]
  readonly held: (() => void)[]
}

function open(own: LoadLimits, underWayMax?: number): Scene {
  const clock = new ManualClock()
  const queries: (readonly string[])[] = []
  const held: (() => void)[] = []
  const load = async (ids: readonly string[]): Promise<Map<string, unknown>> => {
    queries.push(ids)
    const { promise, resolve } = Promise.withResolvers<void>()
    held.push(resolve)
    await promise
    return new Map(ids.map(id => [id, id]))
  }
  const source = new FunctionsSource({ name: 's', functions: { load }, clock })
  const options = { limits: new Map([['k', own]]), ...(underWayMax === undefined ? {} : { underWayMax }) }
  return { clock, loads: new SourceLoads(source, clock, () => {}, options), queries, held }
}

await test('ids that are missed in one turn go in one query, at most batchMax in each', async () => {
  const { loads, queries, held } = open({ batchMax: 3 })
  const all = Promise.all(['1', '2', '3', '4', '5', '1'].map(id => loads.load('k', id)))
  await turns()
  assert.deepEqual(queries, [
    ['1', '2', '3'],
    ['4', '5'],
  ])
  for (const go of held) go()
  assert.deepEqual(
    (await all).map(({ row }) => row),
    ['1', '2', '3', '4', '5', '1'],
  )
})

await test('with a window, the first id waits for others until it is over, or the batch is full', async () => {
  const { clock, loads, queries } = open({ batchMax: 3, windowMs: 5 })
  void loads.load('k', '1')
  clock.advance(4)
  void loads.load('k', '2')
  await turns()
  assert.deepEqual(queries, [])
  clock.advance(1)
  assert.deepEqual(queries, [['1', '2']])
  for (const id of ['3', '4', '5']) void loads.load('k', id)
  await turns()
  assert.deepEqual(queries.at(-1), ['3', '4', '5'])
  // The window of the full batch is no window for what comes after it.
  clock.advance(4)
  void loads.load('k', '6')
  clock.advance(4)
  await turns()
  assert.equal(queries.length, 2)
  clock.advance(1)
  assert.deepEqual(queries.at(-1), ['6'])
})

await test('so many queries of a keyspace are under way; other keyspaces of the source go on', async () => {
  const { loads, queries, held } = open({ batchMax: 1, underWayMax: 2 })
  for (const id of ['1', '2', '3', '4']) void loads.load('k', id)
  void loads.load('other', 'a')
  await turns()
  assert.deepEqual(queries, [['1'], ['2'], ['a']])
  held[0]!()
  await turns()
  assert.deepEqual(queries.at(-1), ['3'])
})

await test('so many queries of a source are under way, of all its keyspaces together', async () => {
  const { loads, queries, held } = open({ batchMax: 1 }, 2)
  void loads.load('k', '1')
  void loads.load('other', 'a')
  await turns()
  assert.deepEqual(queries, [['1'], ['a']])
  void loads.load('other', 'b')
  // Whose query is sent is never joined.
  void loads.load('k', '1')
  await turns()
  assert.equal(queries.length, 2)
  held[1]!()
  await turns()
  assert.deepEqual(queries.slice(2), [['b']])
  held[0]!()
  await turns()
  assert.deepEqual(queries.slice(3), [['1']])
})

await test('ids past those that may wait are refused, and nobody else', async () => {
  const { loads, queries, held } = open({ batchMax: 1, underWayMax: 1, waitingMax: 2 })
  void loads.load('k', '1')
  await turns()
  const second = loads.load('k', '2')
  void loads.load('k', '3')
  await assert.rejects(loads.load('k', '4'), { code: 'SOURCE_OVERLOADED' })
  held[0]!()
  await turns()
  held[1]!()
  assert.equal((await second).row, '2')
  await turns()
  assert.deepEqual(queries, [['1'], ['2'], ['3']])
})

await test('a build that takes its time holds up no other, and many are under way at once', async () => {
  const clock = new ManualClock()
  const tide = new Tidemark({}, { clock, random: seededRandom(1) })
  const slow = Promise.withResolvers<string>()
  const reading = tide.getOrSet('slow', () => slow.promise)
  assert.equal(await tide.getOrSet('quick', () => 'q'), 'q')
  const many = limits.sourceWaitingRowsMax + 10
  let building = 0
  const builds = Array.from({ length: many }, (_, i) =>
    tide.getOrSet(`k${i}`, async () => {
      building++
      return slow.promise
    }),
  )
  await turns()
  assert.equal(building, many)
  slow.resolve('s')
  assert.equal(await reading, 's')
  assert.equal((await Promise.all(builds)).length, many)
  await tide.close()
})
