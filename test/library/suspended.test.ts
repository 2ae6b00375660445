// Times to live on a machine that was suspended: the clock that they go by stood still meanwhile, the wall clock did not.
// Not for: proofs (proof-clock.test.ts), old values (loading/tables.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestTidemark } from '../../src/testing/index.ts'

const HOUR_MS = 3_600_000

await test('a value of functions does not outlive its time to live by the time that the machine was suspended', async () => {
  const { tide, clock } = createTestTidemark()
  let loads = 0
  const load = (ids: readonly string[]) => ids.map(id => [id, ++loads] as const)
  const values = tide.keyspace<number>('items', { source: { load }, ttl: '10m' })
  assert.equal(await values.get('a'), 1)
  // A reading of the clock counts for a moment.
  clock.advance(10)
  assert.equal(values.peek('a'), 1)
  clock.jumpWall(HOUR_MS)
  clock.advance(10)
  assert.equal(values.peek('a'), undefined)
  assert.equal(await values.get('a'), 2)
  clock.advance(10)
  assert.equal(values.peek('a'), 2, 'what came after it has all of its time')
  await tide.close()
})

await test('nor does one that the cache alone has; a wall clock that is set back lets nothing live longer', async () => {
  const { tide, clock } = createTestTidemark()
  await tide.set('kept', 1, { ttl: '10m' })
  await tide.set('for good', 1)
  clock.advance(10)
  clock.jumpWall(-HOUR_MS)
  clock.advance(10)
  assert.equal(tide.values.peek('kept'), 1)
  clock.jumpWall(HOUR_MS)
  clock.advance(10)
  assert.equal(tide.values.peek('kept'), undefined)
  assert.equal(tide.values.peek('for good'), 1)
  await tide.close()
})

await test('an old value is past its time by the time that the machine was suspended, too', async () => {
  const { tide, clock } = createTestTidemark()
  let fails = false
  const load = async (ids: readonly string[]) => {
    if (fails) throw new Error('down')
    return ids.map(id => [id, 'loaded'] as const)
  }
  const values = tide.keyspace<string>('items', { source: { load }, ttl: '10m', staleIfError: '2h' })
  await values.get('a')
  fails = true
  clock.jumpWall(HOUR_MS)
  clock.advance(10)
  assert.equal((await values.read('a')).stale, true)
  clock.jumpWall(2 * HOUR_MS)
  clock.advance(60_000)
  await assert.rejects(values.read('a'), /down/)
  await tide.close()
})
