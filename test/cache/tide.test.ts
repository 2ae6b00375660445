// The tide over a scripted log: what it waits for, what it applies, and where a term ends.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { TidemarkError } from '../../src/base/errors.ts'
import { keyOf, LANES, settle, TideScene } from './tide-scene.ts'

await test('lanes without a header begin with the first heartbeat, and a change moves the mark of its lane at once', async () => {
  const scene = new TideScene()
  scene.start()
  await scene.pass(0)
  assert.deepEqual(scene.marks(), [101n, 101n, 101n, 101n])
  const { lsn } = scene.log.write([keyOf(2)])
  await scene.pass(0)
  assert.deepEqual(scene.marks(), [101n, 101n, lsn, 101n])
  assert.deepEqual(scene.appliedTo(2), [lsn])
  // One portion of the lanes after the other, each in a step of the test's clock.
  await scene.pass(50 + 5 * LANES)
  assert.ok(scene.marks().every(mark => mark >= lsn))
  assert.equal(scene.counts.applied, 1)
})

await test('no lane begins where no heartbeat is committed: a primary that was replaced may be asked for a new log', async () => {
  const scene = new TideScene()
  scene.log.heartbeatFailure = new TidemarkError('SOURCE_UNAVAILABLE', 'its standbys do not answer')
  scene.start()
  await scene.pass(0)
  scene.log.write([keyOf(2)])
  await scene.pass(500)
  for (let lane = 0; lane < LANES; lane++) assert.equal(scene.memory.lane(lane), undefined)
  scene.log.heartbeatFailure = undefined
  await scene.pass(100)
  const { lsn } = scene.log.items.at(-2)!
  assert.ok(scene.marks().every(mark => mark >= lsn))
})

await test('a commit that others do not see yet holds back its mark and all behind it, and nothing before it', async () => {
  const scene = await started()
  const { log } = scene
  const before = log.write([keyOf(0)])
  const late = log.write([keyOf(1)], { visible: false })
  const behind = log.write([keyOf(2)])
  await scene.pass(300)
  assert.deepEqual(scene.marks(), [before.lsn, before.lsn, before.lsn, before.lsn])
  assert.deepEqual(scene.appliedTo(2), [])
  log.show(late.xid)
  await scene.pass(limits.tideGateRetryMaxMs)
  assert.deepEqual(scene.appliedTo(1), [late.lsn])
  assert.deepEqual(scene.appliedTo(2), [behind.lsn])
  await scene.pass(limits.tideHeartbeatMs)
  assert.ok(scene.marks().every(mark => mark >= behind.lsn))
})

await test('snapshots are taken less and less often while a commit stays invisible', async () => {
  const scene = await started()
  const { log } = scene
  const late = log.write([keyOf(1)], { visible: false })
  await scene.pass(1000)
  assert.ok(log.counts.snapshots <= 1000 / limits.tideGateRetryMaxMs + 30, `${log.counts.snapshots} snapshots`)
  log.show(late.xid)
  await scene.pass(limits.tideGateRetryMaxMs)
  assert.deepEqual(scene.appliedTo(1), [late.lsn])
  const next = log.write([keyOf(1)], { visible: false })
  await scene.pass(5)
  log.show(next.xid)
  await scene.pass(5)
  assert.equal(scene.appliedTo(1).at(-1), next.lsn, 'and soon again after it has become visible')
})

await test('what was told before the place from which the log was asked for is passed over', async () => {
  const scene = new TideScene()
  const first = scene.start()
  await scene.pass(0)
  scene.log.write([keyOf(0)])
  scene.log.write([keyOf(1)])
  await scene.pass(60)
  first.tide.stop()
  await settle()
  scene.log.tellsAgain = 2
  scene.messages.length = 0
  const { lsn } = scene.log.write([keyOf(2)])
  scene.start()
  await scene.pass(60)
  assert.deepEqual([scene.appliedTo(0), scene.appliedTo(1), scene.appliedTo(2)], [[], [], [lsn]])
})

await test('no lane begins before all transactions are over that were under way when the log was opened', async () => {
  const scene = new TideScene()
  // Its commit is in the log before the place from which the log is told, and nobody sees it yet.
  const early = scene.log.begin()
  scene.log.commit(early, [{ key: keyOf(0), change: scene.log.change() }])
  scene.log.beginAnew()
  const idle = scene.log.begin()
  scene.start()
  await scene.pass(200)
  assert.equal(scene.memory.lane(0), undefined)
  assert.equal(scene.counts.unsettled, 2)
  // What begins later is not waited for.
  scene.log.begin()
  scene.log.show(early)
  await scene.pass(100)
  assert.equal(scene.memory.lane(0), undefined)
  assert.equal(scene.counts.unsettled, 1)
  scene.log.show(idle)
  await scene.pass(100)
  assert.ok(scene.marks().every(mark => mark >= 100n))
})

await test('a lane begins anew at once, whatever is under way, where a mark shows that all before it is visible', async () => {
  const scene = new TideScene()
  const first = scene.start()
  await scene.pass(100)
  first.tide.stop()
  await scene.pass(0)
  scene.log.begin()
  scene.memory.loseHeader(3)
  scene.start()
  await scene.pass(0)
  assert.deepEqual(scene.resets.at(-1), { lane: 3, reason: 'nothing was there' })
  assert.ok(scene.lane(3).mark.lsn >= 100n)
})

await test('a mark of another epoch, or past the end of the log, shows nothing of what is visible', async () => {
  for (const other of [
    { epoch: 8n, lsn: 100n },
    { epoch: 7n, lsn: 1000n },
  ]) {
    const scene = new TideScene()
    const generation = { epoch: other.epoch, nonce: 1 }
    for (const lane of [0, 1, 2, 3]) scene.memory.reset(lane, { expected: undefined, to: other.lsn, generation })
    scene.log.begin()
    scene.start({ epoch: undefined })
    await scene.pass(200)
    assert.deepEqual(scene.resets, [])
    assert.equal(scene.counts.unsettled, 1)
  }
})

await test('a mark before the place where a new log begins shows nothing of what is visible between the two', async () => {
  const scene = new TideScene()
  const first = scene.start()
  await scene.pass(100)
  first.tide.stop()
  await settle()
  const early = scene.log.write([keyOf(0)], { visible: false })
  scene.log.beginAnew()
  scene.start()
  scene.resets.length = 0
  await scene.pass(200)
  assert.deepEqual(scene.resets, [])
  scene.log.show(early.xid)
  await scene.pass(50)
  assert.deepEqual(new Set(scene.resets.map(({ lane }) => lane)), new Set([0, 1, 2, 3]))
})

await test('a quiet log is kept moving by heartbeats, a busy one is not', async () => {
  const scene = await started()
  const { log } = scene
  const { heartbeats } = log.counts
  const before = scene.marks()
  await scene.pass(1000)
  const quiet = log.counts.heartbeats - heartbeats
  assert.ok(quiet >= 15 && quiet <= 20, `${quiet} heartbeats in a second`)
  assert.ok(scene.marks().every((mark, lane) => mark > before[lane]!))
  const beat = log.items.at(-1)!.lsn
  assert.ok(
    scene.marks().every(mark => mark === beat),
    'the marks move when the heartbeat comes, not with the next one',
  )
  for (let i = 0; i < 40; i++) {
    log.write([keyOf(0)])
    await scene.pass(25)
  }
  assert.ok(log.counts.heartbeats - heartbeats - quiet <= 1)
  const { lsn } = log.items.at(-3)!
  assert.ok(
    scene.marks().every(mark => mark >= lsn),
    'lanes in which nothing changes move all the same',
  )
})

await test('transactions that change nothing do not move every lane each', async () => {
  const scene = await started()
  scene.messages.length = 0
  for (let i = 0; i < 200; i++) {
    scene.log.write([])
    await scene.pass(5)
  }
  const perLane = scene.messages.length / LANES
  assert.ok(perLane >= 20 && perLane <= 60, `${perLane} steps a lane in a second`)
})

await test('while the database takes no commits, the term goes on; once the hold is gone, it ends', async () => {
  const scene = new TideScene()
  const { log } = scene
  const term = scene.start()
  await scene.pass(100)
  log.heartbeatFailure = new TidemarkError('SOURCE_TIMEOUT', 'a standby does not answer')
  await scene.pass(500)
  assert.equal(term.end(), undefined)
  assert.ok(scene.counts.retries >= 5)
  log.heartbeatFailure = undefined
  const { lsn } = log.write([keyOf(1)])
  await scene.pass(50)
  assert.deepEqual(scene.appliedTo(1), [lsn])
  log.loseHold()
  await scene.pass(0)
  assert.equal(term.end()?.kind, 'lost')
  assert.equal(log.holder, undefined)
})

await test('while the database gives no snapshots nothing moves, and nothing is lost either', async () => {
  const scene = new TideScene()
  const { log } = scene
  const term = scene.start()
  await scene.pass(100)
  log.snapshotFailure = new TidemarkError('SOURCE_TIMEOUT', 'no answer')
  const { lsn } = log.write([keyOf(1)])
  await scene.pass(2000)
  assert.equal(term.end(), undefined)
  assert.deepEqual(scene.appliedTo(1), [])
  assert.ok(scene.counts.retries >= 50 && scene.counts.retries <= 150, `${scene.counts.retries} attempts`)
  log.snapshotFailure = undefined
  await scene.pass(50)
  assert.deepEqual(scene.appliedTo(1), [lsn])
  log.snapshotFailure = new TidemarkError('FEED_LOST', 'somebody else has it')
  log.write([])
  await scene.pass(50)
  assert.equal(term.end()?.kind, 'lost')
})

await test('a heartbeat that tells that the hold is gone ends the term', async () => {
  const scene = new TideScene()
  const term = scene.start()
  await scene.pass(100)
  const error = new TidemarkError('FEED_LOST', 'somebody else has it')
  scene.log.heartbeatFailure = error
  await scene.pass(100)
  assert.deepEqual(term.end(), { kind: 'lost', error })
})

await test('a log that takes heartbeats and does not tell them is lost', async () => {
  const scene = new TideScene()
  const term = scene.start()
  await scene.pass(100)
  scene.log.isMute = true
  await scene.pass(limits.tideStallMs - 100)
  assert.equal(term.end(), undefined)
  await scene.pass(300)
  assert.equal(term.end()?.kind, 'lost')
})

await test('a log that another one reads, or that cannot be opened, is told as such', async () => {
  const scene = new TideScene()
  scene.start()
  await scene.pass(0)
  assert.deepEqual(await scene.start().over, { kind: 'taken' })
  const error = new TidemarkError('SOURCE_UNAVAILABLE', 'no such database')
  scene.log.openFailure = error
  assert.deepEqual(await scene.start().over, { kind: 'lost', error })
})

await test('a tier that is not the one meant ends the term', async () => {
  const scene = new TideScene()
  const error = new TidemarkError('TIER_MISMATCH', '64 lanes, not 4')
  scene.memory.reset = () => {
    throw error
  }
  assert.deepEqual(await scene.start().over, { kind: 'refused', error })
})

await test('a fault of the program is not taken for a tier that cannot be reached', async () => {
  const scene = new TideScene()
  scene.memory.reset = () => {
    throw new TypeError('a bug')
  }
  await assert.rejects(scene.start().over, { name: 'TypeError', message: 'a bug' })
  assert.equal(scene.log.holder, undefined)
})

await test('a transaction of which nobody knows what it changed resets all lanes once it is visible, and not before', async () => {
  const scene = await started()
  const { log } = scene
  const generations = [0, 1, 2, 3].map(lane => scene.lane(lane).generation.nonce)
  scene.resets.length = 0
  const { xid, lsn } = log.truncate('users was truncated', { visible: false })
  await scene.pass(500)
  assert.deepEqual(scene.resets, [])
  assert.ok(scene.marks().every(mark => mark < lsn))
  log.show(xid)
  await scene.pass(limits.tideGateRetryMaxMs)
  assert.deepEqual(
    scene.resets,
    [0, 1, 2, 3].map(lane => ({ lane, reason: 'users was truncated' })),
  )
  for (const lane of [0, 1, 2, 3]) {
    assert.ok(scene.lane(lane).mark.lsn >= lsn)
    assert.notEqual(scene.lane(lane).generation.nonce, generations[lane])
  }
})

await test('the age of what waits is told, and none when nothing does', async () => {
  const scene = await started()
  const { log } = scene
  assert.equal(scene.counts.lagMs, 0)
  const { xid } = log.write([keyOf(0)], { visible: false })
  await scene.pass(300)
  assert.ok(scene.counts.lagMs >= 250 && scene.counts.lagMs <= 300, `${scene.counts.lagMs}`)
  log.show(xid)
  await scene.pass(100)
  assert.equal(scene.counts.lagMs, 0)
  scene.unreachable.set(2, 'all')
  log.write([keyOf(2)])
  await scene.pass(300)
  assert.ok(scene.counts.lagMs >= 250, `${scene.counts.lagMs}`)
})

await test('a term that is stopped gives up the log at once, and leaves no timer behind', async () => {
  const scene = new TideScene()
  const { tide, over } = scene.start()
  await scene.pass(120)
  scene.unreachable.set(1, 'all')
  await scene.pass(80)
  tide.stop()
  assert.deepEqual(await over, { kind: 'stopped' })
  await settle()
  assert.equal(scene.log.holder, undefined)
  assert.equal(scene.clock.pending, 0)
})

async function started(): Promise<TideScene> {
  const scene = new TideScene()
  scene.start()
  await scene.pass(0)
  return scene
}
