// Schedules of near caches, their messages, sessions, and of the processes and clocks that they live by: each in a simulated
// deployment, step by step, with the simulator's checker looking at every answer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calm, elsewhere, KEY, valueOf, within, type Scene } from './scene.ts'

const churn = async (scene: Scene, times: number): Promise<void> => {
  for (let time = 0; time < times; time++) {
    await scene.sql(scene.world.keys[time % scene.world.keys.length]!)
    for (const [node] of scene.nodes.entries()) for (const key of scene.world.keys) await scene.read(node, key)
  }
}

for (const [what, faults] of Object.entries({
  lost: { lostOneIn: 2, doubledOneIn: 0, swappedOneIn: 0 },
  doubled: { lostOneIn: 0, doubledOneIn: 1, swappedOneIn: 0 },
  'in another order': { lostOneIn: 0, doubledOneIn: 0, swappedOneIn: 2 },
})) {
  test(`messages to near caches that are ${what} lead to nothing old`, () =>
    within({ config: { messages: faults, nodes: 3 } }, scene => churn(scene, 60)))
}

test('a near cache that hears nothing keeps nothing past the bound', () =>
  within({ config: { tides: 2 } }, async scene => {
    await elsewhere(scene)
    await scene.read(0)
    await scene.read(0)
    const release = scene.hold(scene.primary().process, scene.nodes[0]!.process)
    await scene.sql(KEY)
    await scene.pass(700)
    const answer = scene.ask(0)
    await scene.pass(5)
    release()
    assert.notEqual((await scene.wait(answer)).tier, 'near')
    await scene.settles(300)
  }))

test('what was read from the tier before a change does not enter a near cache after it', () =>
  within({ config: { tides: 2 } }, async scene => {
    await elsewhere(scene)
    await scene.read(1)
    await scene.read(1)
    // The answer is under way while the messages, on a connection of their own, are not held up by it.
    const answer = scene.ask(0)
    await scene.pass(0.7)
    await scene.sql(KEY)
    await scene.caughtUp()
    await scene.wait(answer)
    assert.equal(valueOf((await scene.read(0)).value), scene.world.truth.latest(KEY))
    await scene.settles(100)
  }))

/** A replica that was behind has taken over, of which the first node's messages do not tell yet. */
async function takenBack(scene: Scene, lagMs: number): Promise<void> {
  const old = scene.primary()
  const next = scene.world.cluster.failOver(old, scene.world.time.nowMs, lagMs)
  for (const node of scene.nodes.slice(1)) scene.hold(node.process, next.process)
  old.down = true
  for (let times = 0; times < 40; times++) {
    await scene.read(0).catch(() => {})
    await scene.pass(3)
  }
}

test('a failover that takes the lane back does not let old records under a newer near mark', () =>
  within({ config: { tides: 2 }, limits: { tierRetryMs: 5 } }, async scene => {
    await elsewhere(scene)
    await scene.read(1)
    await scene.pass(60)
    const { nowMs } = scene.world.time
    await scene.sql(KEY)
    await scene.caughtUp()
    // Until it is proved that the near cache has had it.
    await scene.pass(200)
    await takenBack(scene, scene.world.time.nowMs - nowMs)
  }))

test('a session never goes back, wherever its user is answered', () =>
  within({ config: { nodes: 3, maxStalenessMs: 5_000 } }, async scene => {
    const [session] = scene.world.sessions
    for (let times = 0; times < 25; times++) {
      const writer = times % 3
      for (const node of [0, 1, 2]) await scene.read(node)
      const value = await scene.write(writer, KEY, session)
      for (const node of [(writer + 1) % 3, (writer + 2) % 3, writer]) {
        assert.equal(valueOf((await scene.read(node, KEY, {}, session)).value), value)
      }
    }
    assert.ok(scene.count('checked: session') >= 75)
  }))

test('a session that has seen more than a load that was slower is not answered by that', () =>
  within({ config: { tides: 2, maxStalenessMs: 5_000, source: { ...calm.source, statementMs: 4 } } }, async scene => {
    await elsewhere(scene)
    const [session] = scene.world.sessions
    scene.hold(scene.nodes[1]!.process, scene.primary().process)
    for (let times = 0; times < 60; times++) {
      scene.primary().evict(0, KEY)
      const slower = scene.ask(0)
      await scene.pass(0.5 + (times % 14) / 2)
      const value = await scene.sql(KEY)
      assert.equal(valueOf((await scene.read(0, KEY, { maxStalenessMs: 0 }, session)).value), value)
      await scene.wait(slower)
      await scene.pass(2)
      assert.equal(valueOf((await scene.read(0, KEY, {}, session)).value), value)
    }
  }))

test('a session that was answered by the database is not answered by older memory after a failover of the tier', () =>
  within(
    { config: { cluster: { lanes: 1, shards: 1, shardIs: 'shard' }, tides: 2, maxStalenessMs: 5_000 } },
    async scene => {
      await elsewhere(scene)
      const [session] = scene.world.sessions
      await scene.read(1)
      await scene.pass(80)
      const value = await scene.sql(KEY)
      assert.equal(valueOf((await scene.read(0, KEY, { maxStalenessMs: 0 }, session)).value), value)
      await scene.caughtUp()
      const old = scene.primary()
      const diedMs = scene.world.time.nowMs
      old.process.die()
      // The tide cannot reach it, so that the lane stays where the replica was.
      for (const node of scene.nodes.slice(1)) scene.hold(node.process, { name: 'valkey-1' })
      scene.world.cluster.failOver(old, diedMs, 120)
      for (let times = 0; times < 10; times++) {
        await scene.pass(30)
        assert.equal(valueOf((await scene.read(0, KEY, {}, session)).value), value)
      }
    },
  ))

test('a suspended machine does not take what it had for fresh', () =>
  within({ config: { tides: 2 } }, async scene => {
    await elsewhere(scene)
    for (let times = 0; times < 3; times++) {
      await scene.read(0)
      await scene.pass(5)
    }
    assert.equal((await scene.read(0)).tier, 'near')
    const wake = scene.nodes[0]!.process.suspend()
    await scene.sql(KEY)
    await scene.pass(3_000)
    wake()
    // The first thing that runs is a read.
    const answer = await scene.read(0)
    assert.notEqual(answer.tier, 'near')
    assert.equal(valueOf(answer.value), scene.world.truth.latest(KEY))
    await scene.settles()
  }))

test('a process that was stopped, or blocked for a second, answers nothing from before', () =>
  within({ config: { tides: 2 } }, async scene => {
    await elsewhere(scene)
    for (const ms of [1_000, 5_000]) {
      await scene.read(0)
      await scene.read(0)
      const goOn = scene.nodes[0]!.process.stop()
      await scene.sql(KEY)
      await scene.pass(ms)
      goOn()
      const answer = await scene.read(0)
      assert.equal(valueOf(answer.value), scene.world.truth.latest(KEY))
      await scene.pass(300)
    }
    await scene.settles()
  }))

test('a wall clock that is set, either way, makes nothing fresh that is not', () =>
  within({ config: { tides: 2 } }, async scene => {
    await elsewhere(scene)
    for (const ms of [86_400_000, -86_400_000, 60, -60]) {
      await scene.read(0)
      await scene.read(0)
      scene.nodes[0]!.process.jumpWall(ms)
      await scene.sql(KEY)
      await scene.read(0)
      await scene.pass(400)
      await scene.read(0)
    }
    await scene.settles()
  }))

test('a process that dies and comes again knows nothing of before', () =>
  within({ config: { tides: 2 } }, async scene => {
    await scene.read(0)
    await scene.read(0)
    scene.nodes[0]!.process.die()
    await scene.sql(KEY)
    scene.world.nodes[0] = scene.world.newNode(0)
    assert.equal(valueOf((await scene.read(0)).value), scene.world.truth.latest(KEY))
    await scene.settles()
  }))
