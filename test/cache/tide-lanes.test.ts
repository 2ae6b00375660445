// What becomes of single lanes: tiers that go back in time, forget, or cannot be reached; transactions too large for one
// step; other tides that are late.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { keyOf, keysOf, LANES, settle, TideScene } from './tide-scene.ts'

const ALL = Array.from({ length: LANES }, (_, lane) => lane)

async function started(): Promise<TideScene> {
  const scene = new TideScene()
  scene.start()
  await scene.pass(0)
  scene.resets.length = 0
  return scene
}

await test('lanes that a failover takes back get what they lost again, and keep what they hold', async () => {
  const scene = await started()
  const { log, memory } = scene
  const kept = log.write([keyOf(0)])
  await scene.pass(100)
  const failOver = memory.checkpoint()
  const lost = [log.write([keyOf(0)]), log.write([keyOf(1)]), log.write([keyOf(0), keyOf(1)])]
  await scene.pass(100)
  failOver()
  const since = log.write([keyOf(1)])
  scene.messages.length = 0
  await scene.pass(100)
  assert.deepEqual(scene.appliedTo(0), [lost[0]!.lsn, lost[2]!.lsn])
  assert.deepEqual(scene.appliedTo(1), [lost[1]!.lsn, lost[2]!.lsn, since.lsn])
  assert.ok(!scene.appliedTo(0).includes(kept.lsn))
  assert.deepEqual(scene.resets, [])
  assert.ok(scene.marks().every(mark => mark >= since.lsn))
})

await test('a lane that is taken back past what the term has read ends it, and the next one reads from there', async () => {
  const scene = await started()
  const { log, memory } = scene
  const failOver = memory.checkpoint()
  const lost = log.write([keyOf(2)])
  await scene.pass(100)
  log.loseHold()
  await settle()
  const second = scene.start()
  await scene.pass(100)
  failOver()
  scene.messages.length = 0
  await scene.pass(limits.tideHeartbeatMs)
  assert.equal(second.end(), undefined, 'others of the same primary may follow')
  await scene.pass(limits.tideReplayDelayMs)
  assert.deepEqual(second.end(), { kind: 'behind' })
  scene.start()
  await scene.pass(50)
  assert.deepEqual(scene.appliedTo(2), [lost.lsn])
  assert.deepEqual(scene.resets, [])
})

await test('a term that ends while it waits for lanes to read again for leaves no timer behind', async () => {
  const scene = await started()
  const { log, memory, clock } = scene
  const failOver = memory.checkpoint()
  await scene.pass(100)
  log.loseHold()
  await settle()
  const second = scene.start()
  await scene.pass(100)
  failOver()
  await scene.pass(limits.tideHeartbeatMs)
  second.tide.stop()
  await settle()
  assert.equal(clock.pending, 0)
})

await test('a lane of another epoch that cannot be begun anew for a while is not taken for a contested one', async () => {
  const scene = new TideScene()
  const generation = { epoch: 6n, nonce: 1 }
  scene.memory.reset(1, { expected: undefined, to: 100n, generation })
  scene.unreachable.set(1, 'steps')
  const term = scene.start()
  await scene.pass(5000)
  assert.equal(term.end(), undefined)
  scene.unreachable.clear()
  await scene.pass(limits.tideLaneRetryMaxMs)
  assert.equal(scene.lane(1).generation.epoch, scene.log.epoch)
})

await test('a lane in which nothing has changed does not move with every change of another one', async () => {
  const scene = await started()
  const gate = Promise.withResolvers<void>()
  scene.held.set(0, gate.promise)
  scene.log.write([keyOf(0)])
  await settle()
  scene.log.write([keyOf(1)])
  await settle()
  scene.messages.length = 0
  scene.held.clear()
  gate.resolve()
  await settle()
  assert.deepEqual(
    scene.messages.map(({ lane, events }) => [lane, events.length]),
    [[0, 1]],
  )
})

/** The lanes that move from now on until the next heartbeat is over, together where they do so in one millisecond. */
async function beat(scene: TideScene): Promise<number[][]> {
  const moved: number[][] = []
  for (let ms = 0; ms < limits.tideHeartbeatMs + LANES; ms++) {
    scene.messages.length = 0
    scene.clock.advance(1)
    await settle()
    if (scene.messages.length > 0) moved.push(scene.messages.map(({ lane }) => lane))
  }
  return moved
}

await test('while changes come the marks move in portions, and a change passes between them; in a quiet time all at once', async () => {
  const scene = await started()
  scene.log.write([keyOf(0)])
  await settle()
  assert.deepEqual(await beat(scene), [[1], [2], [3]], 'a change was applied in lane 0')
  scene.log.write([keyOf(0)])
  await settle()
  for (let ms = 0; scene.lane(1).mark.lsn < scene.lane(0).mark.lsn && ms < limits.tideHeartbeatMs; ms++) {
    scene.clock.advance(1)
    await settle()
  }
  assert.ok(scene.lane(2).mark.lsn < scene.lane(1).mark.lsn, 'lane 1 has moved, and lane 2 has not yet')
  const { lsn } = scene.log.write([keyOf(3)])
  await settle()
  assert.equal(scene.lane(3).mark.lsn, lsn)
  assert.ok(scene.lane(2).mark.lsn < scene.lane(1).mark.lsn)
  await scene.pass(limits.tidePortionsForMs + limits.tideHeartbeatMs)
  const quiet = await beat(scene)
  assert.ok(quiet.length > 0)
  for (const lanes of quiet) assert.deepEqual(new Set(lanes), new Set(ALL))
})

await test('several transactions are applied in one step, up to a size', async () => {
  const scene = await started()
  const gate = Promise.withResolvers<void>()
  scene.held.set(0, gate.promise)
  scene.log.write([keyOf(0)])
  await settle()
  const keys = keysOf(0, 200)
  const written = Array.from({ length: 5 }, () => scene.log.write(keys).lsn)
  await settle()
  scene.messages.length = 0
  scene.held.clear()
  gate.resolve()
  await settle()
  assert.deepEqual(scene.messages.map(({ mark, events }) => [mark.lsn, mark.sub, events.length]).slice(1), [
    [written[1], 0n, 400],
    [written[3], 0n, 400],
    [written[4], 0n, 200],
  ])
})

await test('where the log was read again just now, a lane that needs that begins anew instead', async () => {
  const scene = await started()
  const { log, memory, clock } = scene
  const failOver = memory.checkpoint()
  log.write([keyOf(2)])
  await scene.pass(100)
  log.loseHold()
  await settle()
  const second = scene.start({ readAgainFromMs: clock.monotonicMs() + 1000 })
  await scene.pass(100)
  failOver()
  await scene.pass(500)
  assert.equal(second.end(), undefined)
  assert.deepEqual(new Set(scene.resets.map(({ lane }) => lane)), new Set(ALL))
  assert.match(scene.resets[0]!.reason, /not kept/)
})

await test('a tier that has lost everything begins anew at a position that is visible', async () => {
  const scene = await started()
  const { log, memory } = scene
  const seen = log.write([keyOf(0)])
  await scene.pass(50)
  for (const lane of ALL) memory.loseHeader(lane)
  log.write([keyOf(1)])
  const unseen = log.write([keyOf(0)], { visible: false })
  await scene.pass(200)
  assert.deepEqual(new Set(scene.resets.map(({ lane }) => lane)), new Set(ALL))
  assert.ok(scene.marks().every(mark => mark >= seen.lsn && mark < unseen.lsn))
  log.show(unseen.xid)
  await scene.pass(50)
  assert.equal(scene.appliedTo(0).at(-1), unseen.lsn)
})

await test('what a tide does late, after another one has taken over, has no effect', async () => {
  for (const late of ['step', 'reset'] as const) {
    const scene = await started()
    const { log, memory, held } = scene
    if (late === 'reset') memory.loseHeader(1)
    const gate = Promise.withResolvers<void>()
    held.set(1, gate.promise)
    const first = log.write([keyOf(1)])
    await scene.pass(100)
    log.loseHold()
    await settle()
    held.delete(1)
    scene.start()
    await scene.pass(100)
    const second = log.write([keyOf(1)])
    await scene.pass(0)
    const before = scene.lane(1)
    assert.equal(before.mark.lsn, second.lsn)
    scene.messages.length = 0
    gate.resolve()
    await settle()
    assert.deepEqual(scene.lane(1), before)
    assert.deepEqual(scene.messages, [])
    assert.equal(scene.ends[0]?.kind, 'lost')
    assert.ok(late === 'reset' || first.lsn < before.mark.lsn)
  }
})

await test('a lane that another one has moved or begun anew is carried on from where it is', async () => {
  const scene = await started()
  const { log, memory } = scene
  const { generation, mark } = scene.lane(3)
  const nonce = generation.nonce ^ 1
  memory.reset(3, { expected: { generation, mark }, to: mark.lsn, generation: { epoch: log.epoch, nonce } })
  const { lsn } = log.write([keyOf(3)])
  await scene.pass(100)
  assert.deepEqual(scene.appliedTo(3), [lsn])
  assert.deepEqual(scene.resets, [])
  assert.equal(scene.lane(3).generation.nonce, nonce)
  assert.ok(scene.counts.mismatches >= 1)
})

await test('lanes of another epoch begin anew when the term begins, and once more when a failover brings them back', async () => {
  const scene = new TideScene()
  const generation = { epoch: 6n, nonce: 1 }
  for (const lane of ALL) scene.memory.reset(lane, { expected: undefined, to: 500n, generation })
  const failOver = scene.memory.checkpoint()
  const term = scene.start()
  await scene.pass(100)
  const reason = 'it is of another epoch of the database'
  assert.deepEqual(
    scene.resets,
    ALL.map(lane => ({ lane, reason })),
  )
  assert.ok(ALL.every(lane => scene.lane(lane).generation.epoch === scene.log.epoch))
  failOver()
  await scene.pass(100)
  assert.equal(scene.resets.length, 2 * LANES)
  assert.equal(term.end(), undefined)
  failOver()
  await scene.pass(100)
  assert.deepEqual(term.end(), { kind: 'superseded' }, 'two tides of two databases do not fight over the lanes')
})

await test('a lane whose mark the log does not reach back to begins anew, at once or when a failover takes it there', async () => {
  const scene = await started()
  const { log, memory } = scene
  const failOver = memory.checkpoint()
  log.write(ALL.map(lane => keyOf(lane)))
  await scene.pass(100)
  log.loseHold()
  await settle()
  log.confirmed = scene.marks().reduce((a, b) => (a < b ? a : b))
  scene.start()
  await scene.pass(100)
  assert.deepEqual(scene.resets, [], 'marks at what is confirmed and past it are good')
  failOver()
  await scene.pass(100)
  const reason = 'its mark is before what is confirmed of the log'
  assert.deepEqual(new Set(scene.resets), new Set(ALL.map(lane => ({ lane, reason }))))
})

await test('a log is not read from where lanes of another history are: what lies between would be missed', async () => {
  for (const other of [
    { epoch: 6n, lsn: 500n },
    { epoch: 7n, lsn: 500n },
  ]) {
    const scene = new TideScene()
    const generation = { epoch: other.epoch, nonce: 1 }
    for (const lane of ALL) scene.memory.reset(lane, { expected: undefined, to: other.lsn, generation })
    const misled = scene.start({ epoch: other.epoch })
    assert.deepEqual(await misled.over, { kind: 'elsewhere' })
    assert.equal(scene.log.holder, undefined)
    scene.start({ epoch: undefined })
    await scene.pass(50)
    assert.equal(scene.resets.length, LANES)
    const { lsn } = scene.log.write([keyOf(1)])
    await scene.pass(50)
    assert.deepEqual(scene.appliedTo(1), [lsn])
  }
})

await test('a lane whose mark is past the end of the log is of a history that is lost, and begins anew', async () => {
  const scene = await started()
  const { log, memory } = scene
  log.loseHold()
  await settle()
  const { generation, mark } = scene.lane(1)
  memory.apply(1, { generation, prev: mark, next: { lsn: log.insert + 1000n, sub: 0n }, events: [] })
  scene.start()
  await scene.pass(100)
  assert.deepEqual(scene.resets, [{ lane: 1, reason: "its mark is past the end of the database's log" }])
  assert.ok(scene.lane(1).mark.lsn <= log.insert)
})

await test('a lane that cannot be reached holds back itself alone, and goes on where it stood', async () => {
  const scene = await started()
  const { log, unreachable } = scene
  for (const how of ['all', 'steps'] as const) {
    unreachable.set(1, how)
    const stood = scene.lane(1).mark
    const missed = log.write([keyOf(1)])
    const other = log.write([keyOf(2)])
    await scene.pass(5000)
    assert.deepEqual(scene.lane(1).mark, stood)
    assert.ok([0, 2, 3].every(lane => scene.lane(lane).mark.lsn > other.lsn))
    const { retries } = scene.counts
    assert.ok(retries > 0 && retries < 40, `${retries} attempts`)
    scene.counts.retries = 0
    unreachable.clear()
    await scene.pass(limits.tideLaneRetryMaxMs)
    assert.ok(scene.appliedTo(1).includes(missed.lsn))
    assert.deepEqual(scene.resets, [])
  }
})

await test('a transaction too large for one step is applied in parts, each at a sub-position of its own', async () => {
  const scene = await started()
  const { log } = scene
  const before = log.write([keyOf(0)])
  await scene.pass(0)
  scene.messages.length = 0
  const xid = log.begin()
  const keys = keysOf(0, 1300)
  const changes = keys.map(key => ({ key, change: log.change() }))
  const lsn = log.commit(xid, changes.toReversed())
  log.show(xid)
  const after = log.write([keyOf(0)])
  await scene.pass(0)
  const parts = scene.messages.filter(({ lane }) => lane === 0)
  assert.deepEqual(
    parts.map(({ mark, events }) => [mark.lsn, mark.sub, events.length]),
    [
      [before.lsn, changes[511]!.change, 512],
      [before.lsn, changes[1023]!.change, 512],
      [after.lsn, 0n, 277],
    ],
  )
  assert.deepEqual(
    parts.flatMap(({ events }) => events.map(event => event.key)),
    [...keys, keyOf(0)],
  )
  for (const { events, mark } of parts.slice(0, 2)) {
    assert.ok(events.every(event => event.xid === xid && event.lsn === lsn && event.change <= mark.sub))
  }
})

await test('changes at one position of the log are not torn apart', async () => {
  const scene = await started()
  const { log } = scene
  const keys = keysOf(0, 700)
  const [first, many, last] = [log.change(), log.change(), log.change()]
  const xid = log.begin()
  log.commit(
    xid,
    keys.map((key, i) => ({ key, change: i < 10 ? first : i < 690 ? many : last })),
  )
  log.show(xid)
  scene.messages.length = 0
  await scene.pass(0)
  const parts = scene.messages.filter(({ lane }) => lane === 0).map(({ mark, events }) => [mark.sub, events.length])
  assert.deepEqual(parts, [
    [many, 690],
    [0n, 10],
  ])
})

await test('a transaction of which a part was applied goes on behind that part, also in another term', async () => {
  const scene = await started()
  const { log, memory } = scene
  const keys = keysOf(0, 1300)
  const xid = log.begin()
  log.commit(
    xid,
    keys.map(key => ({ key, change: log.change() })),
  )
  log.show(xid)
  const apply = memory.apply.bind(memory)
  let steps = 0
  memory.apply = (lane, request) => {
    if (lane === 0 && ++steps === 2) scene.held.set(0, new Promise(() => {}))
    return apply(lane, request)
  }
  await scene.pass(0)
  log.loseHold()
  await settle()
  scene.held.clear()
  assert.notEqual(scene.lane(0).mark.sub, 0n)
  const applied = scene.appliedTo(0).length
  assert.ok(applied >= 512 && applied < 1300)
  scene.start()
  await scene.pass(100)
  assert.equal(scene.lane(0).mark.sub, 0n)
  assert.equal(scene.appliedTo(0).length, 1300, 'nothing is applied twice, nothing is left out')
  assert.deepEqual(scene.resets, [])
})
