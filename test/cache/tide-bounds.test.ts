// What the tide keeps and for how long: memory for lanes that lag, and what it lets the database forget.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { keyOf, keysOf, settle, TideScene } from './tide-scene.ts'

async function started(): Promise<TideScene> {
  const scene = new TideScene()
  scene.start()
  await scene.pass(100)
  scene.resets.length = 0
  return scene
}

/** So many transactions of a hundred changes each, in one lane. */
function flood(scene: TideScene, lane: number, transactions: number): bigint {
  const keys = keysOf(lane, 100)
  for (let i = 1; i < transactions; i++) scene.log.write(keys)
  return scene.log.write(keys).lsn
}

const FLOOD = Math.ceil((1.2 * limits.tideMemoryChangesMax) / 100)

await test('a lane that cannot be reached while more changes than is kept begins anew when it comes back, it alone', async () => {
  const scene = await started()
  scene.unreachable.set(1, 'all')
  scene.log.write([keyOf(1)])
  await scene.pass(100)
  const last = flood(scene, 0, FLOOD)
  await scene.pass(100)
  assert.ok(scene.lane(0).mark.lsn >= last, 'the others are not held back')
  assert.deepEqual(scene.resets, [])
  scene.unreachable.clear()
  await scene.pass(limits.tideLaneRetryMaxMs)
  const reason = 'more was changed than is kept for a lane that cannot be reached'
  assert.deepEqual(scene.resets, [{ lane: 1, reason }])
  assert.ok(scene.lane(1).mark.lsn >= last)
})

await test('a lane that comes back before that goes on where it stood', async () => {
  const scene = await started()
  scene.unreachable.set(1, 'all')
  const missed = scene.log.write([keyOf(1)])
  flood(scene, 0, Math.floor(FLOOD / 2))
  await scene.pass(100)
  scene.unreachable.clear()
  await scene.pass(limits.tideLaneRetryMaxMs)
  assert.deepEqual(scene.resets, [])
  assert.deepEqual(scene.appliedTo(1), [missed.lsn])
})

await test('the log is read no further than lanes that answer, if slowly, can follow', async () => {
  const scene = await started()
  const gate = Promise.withResolvers<void>()
  scene.held.set(1, gate.promise)
  const slow = scene.log.write([keyOf(1)])
  const last = flood(scene, 0, FLOOD)
  await scene.pass(limits.tideLaneStuckMs / 2)
  const read = scene.appliedTo(0).length
  assert.ok(read >= limits.tideMemoryChangesMax - 1 && read <= limits.tideMemoryChangesMax + 10_000, `${read} changes`)
  scene.held.clear()
  gate.resolve()
  await scene.pass(100)
  assert.deepEqual(scene.appliedTo(1), [slow.lsn])
  assert.ok(scene.lane(0).mark.lsn >= last)
  assert.deepEqual(scene.resets, [])
})

await test('a lane whose tier does not answer at all holds the log back for a while only', async () => {
  const scene = await started()
  const gate = Promise.withResolvers<void>()
  scene.held.set(1, gate.promise)
  scene.log.write([keyOf(1)])
  const last = flood(scene, 0, FLOOD)
  await scene.pass(limits.tideLaneStuckMs + 200)
  assert.ok(scene.lane(0).mark.lsn >= last)
  scene.held.clear()
  gate.resolve()
  await scene.pass(100)
  assert.deepEqual(
    scene.resets.map(({ lane }) => lane),
    [1],
  )
})

await test('the log is not read on while too much of it is not visible yet', async () => {
  const scene = await started()
  const { xid } = scene.log.write([keyOf(1)], { visible: false })
  flood(scene, 0, 2 * FLOOD)
  await scene.pass(200)
  assert.deepEqual(scene.appliedTo(0), [])
  assert.ok(scene.feed.told <= FLOOD, `${scene.feed.told} transactions`)
  scene.log.show(xid)
  await scene.pass(200)
  assert.equal(scene.appliedTo(0).length, 2 * FLOOD * 100)
})

await test('a transaction larger than what is kept is carried all the same', async () => {
  const scene = await started()
  const keys = Array.from({ length: limits.tideMemoryChangesMax + 1000 }, (_, i) => `huge:${i}`)
  const { lsn } = scene.log.write(keys)
  const after = scene.log.write([keyOf(2)])
  await scene.pass(100)
  assert.equal(scene.counts.applied, keys.length + 1)
  assert.ok(scene.marks().every(mark => mark >= lsn))
  assert.equal(scene.appliedTo(2).at(-1), after.lsn)
})

await test('nothing is confirmed before a while has passed since all lanes had it', async () => {
  const scene = await started()
  const { log } = scene
  const { confirmed } = log
  const early = log.write([keyOf(0)])
  await scene.pass(limits.tideRetentionMs - 1000)
  assert.equal(log.confirmed, confirmed)
  const late = log.write([keyOf(0)])
  await scene.pass(3000)
  assert.ok(log.confirmed >= early.lsn && log.confirmed < late.lsn, `${log.confirmed}`)
  const confirmations = scene.feed.confirmations
  assert.ok(confirmations.every((each, i) => i === 0 || each > confirmations[i - 1]!))
  assert.ok(confirmations.length <= 5, `${confirmations.length} in three seconds`)
})

await test('a lane that cannot be reached holds back what is confirmed, until it is given up', async () => {
  const scene = await started()
  const { log } = scene
  const stood = scene.lane(1).mark.lsn
  scene.unreachable.set(1, 'all')
  await scene.pass(limits.tideRetentionMs - 500)
  log.write([keyOf(1)])
  assert.ok(log.confirmed <= stood)
  await scene.pass(limits.tideRetentionMs + 3000)
  assert.ok(log.confirmed > stood)
  scene.unreachable.clear()
  await scene.pass(limits.tideLaneRetryMaxMs)
  // What it needs is still in memory, since little was changed.
  assert.deepEqual(scene.resets, [])
  // And it is waited for again, as any lane that answers.
  const gate = Promise.withResolvers<void>()
  scene.held.set(1, gate.promise)
  log.write([keyOf(1)])
  flood(scene, 0, FLOOD)
  await scene.pass(limits.tideLaneStuckMs / 2)
  scene.held.clear()
  gate.resolve()
  await scene.pass(200)
  assert.deepEqual(scene.resets, [])
})

await test('a lane that could not be reached from the beginning begins anew, if more was changed than is kept', async () => {
  const scene = new TideScene()
  const first = scene.start()
  await scene.pass(100)
  first.tide.stop()
  await settle()
  scene.resets.length = 0
  scene.unreachable.set(1, 'all')
  const term = scene.start()
  await scene.pass(100)
  const last = flood(scene, 0, FLOOD)
  await scene.pass(100)
  assert.ok(scene.lane(0).mark.lsn >= last)
  scene.unreachable.clear()
  await scene.pass(limits.tideLaneRetryMaxMs)
  assert.equal(term.end(), undefined)
  assert.deepEqual(
    scene.resets.map(({ lane }) => lane),
    [1],
  )
})

await test('what a failover took back is not confirmed, however long ago it was applied first', async () => {
  const scene = await started()
  const { log, memory } = scene
  const failOver = memory.checkpoint()
  await scene.pass(5000)
  failOver()
  const back = scene.lane(1).mark.lsn
  for (const lane of [0, 1, 2, 3]) scene.unreachable.set(lane, 'steps')
  await scene.pass(limits.tideRetentionMs - 2000)
  assert.ok(log.confirmed <= back, `${log.confirmed} is past ${back}`)
})
