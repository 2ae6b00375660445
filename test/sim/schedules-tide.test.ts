// Schedules of the log, of transactions in parts, and of who carries them to the tier: each in a simulated deployment, step
// by step, with the simulator's checker looking at every answer. Not for: what the database does (schedules-database.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Faults } from './faults.ts'
import { calm, elsewhere, KEY, readsLatest, within } from './scene.ts'

test('one transaction that changes very many rows is applied in parts, and nothing in between is wrong', () =>
  within({ config: { plainKeys: 400 }, limits: { tideApplyChangesMax: 7 } }, async scene => {
    for (const key of scene.world.keys) await scene.read(0, key)
    const parts = scene.count('apply applied')
    const tx = scene.transaction()
    scene.change(tx, ...scene.world.keys)
    const committed = scene.commit(tx)
    let inside = 0
    for (let times = 0; times < 60; times++) {
      await scene.pass(0.5)
      if (scene.lane()!.mark.sub !== 0n) inside++
      await scene.read(times % 2, scene.world.keys[times * 6])
    }
    await scene.wait(committed)
    await scene.caughtUp()
    assert.ok(inside > 0, 'the lane was seen between two parts')
    assert.ok(scene.count('apply applied') - parts >= 400 / 7)
    await scene.settles(100)
  }))

test('a tide that is in the middle of a transaction, and is sent to a primary that is not as far, loses none of it', () =>
  within({ config: { plainKeys: 60 }, limits: { tideApplyChangesMax: 2 } }, async scene => {
    for (const key of scene.world.keys) await scene.read(0, key)
    await scene.pass(100)
    const tx = scene.transaction()
    scene.change(tx, ...scene.world.keys)
    void scene.commit(tx)
    await scene.until('some parts are applied', () => (scene.lane()?.mark.sub ?? 0n) > tx.changes[30]!.change)
    // It goes on where it is, until that has heard of the primary that took its place.
    const old = scene.primary()
    const next = scene.world.cluster.failOver(old, scene.world.time.nowMs, 3)
    assert.ok((next.lane(0)?.mark.sub ?? 0n) > 0n)
    old.demote()
    await scene.settles()
  }))

test('a failover of the tier between two parts of one transaction loses none of them', () =>
  within({ config: { plainKeys: 60 }, limits: { tideApplyChangesMax: 2 } }, async scene => {
    for (const key of scene.world.keys) await scene.read(0, key)
    await scene.pass(100)
    const tx = scene.transaction()
    scene.change(tx, ...scene.world.keys)
    void scene.commit(tx)
    await scene.until('some parts are applied', () => (scene.lane()?.mark.sub ?? 0n) > tx.changes[20]!.change)
    const old = scene.primary()
    old.process.die()
    scene.world.cluster.failOver(old, scene.world.time.nowMs, 3)
    assert.ok(scene.lane()!.mark.sub > 0n && scene.lane()!.mark.sub < tx.changes[40]!.change)
    await scene.settles()
  }))

test("a put that comes between two parts of its own transaction does not bring the first one's row back", () =>
  within(
    {
      config: { plainKeys: 40, tides: 2, source: { ...calm.source, hiddenTriggerOneIn: 1 } },
      limits: { tideApplyChangesMax: 1 },
    },
    async scene => {
      // prettier-ignore
      await elsewhere(scene)
      const { writer } = scene.nodes[0]!
      const writes = scene.world.keys.map(key => {
        const row = Buffer.from(`{"id":"${key.slice(2)}","v":${scene.world.newValue()}}`)
        return { key, operation: { kind: 'replace', row } as const }
      })
      const written = writer.write(writes)
      await scene.until('the lane is between two parts', () => (scene.lane()?.mark.sub ?? 0n) > 0n)
      await scene.wait(written)
      await scene.caughtUp()
      await scene.settles(100)
    },
  ))

test('two tides: what the one that was put out still does fails its comparison', () =>
  within({ config: { tides: 2, nodes: 2 } }, async scene => {
    const zombie = scene.holder()
    await scene.read(0)
    // It has read a change, and its step is on the way to the tier when it is stopped.
    const release = scene.hold(zombie.process, scene.primary().process)
    await scene.sql(KEY)
    await scene.pass(20)
    const goOn = zombie.process.stop()
    await scene.until('another one takes over', () => scene.nodes.some(node => node !== zombie && node.keeper?.isHolder === true), 2_000) // prettier-ignore
    await scene.caughtUp()
    await scene.sql(KEY)
    await scene.caughtUp()
    const mismatches = scene.count('apply mismatch')
    release()
    await scene.pass(20)
    goOn()
    await scene.pass(20)
    assert.ok(scene.count('apply mismatch') > mismatches)
    await scene.settles()
  }))

test('a holder of the log that is stopped is put out, and its successor takes over within two seconds', () =>
  within({ config: { tides: 2, nodes: 2 }, limits: { tideEvictMs: 1_000, tideStillMs: 300 } }, async scene => {
    const stopped = scene.holder()
    const { nowMs } = scene.world.time
    const goOn = stopped.process.stop()
    const other = scene.nodes.indexOf(scene.nodes.find(node => node !== stopped)!)
    await scene.until('another one takes over', () => scene.nodes[other]!.keeper!.isHolder, 2_000)
    await scene.caughtUp()
    assert.ok(scene.world.time.nowMs - nowMs < 2_100)
    goOn()
    await scene.settles()
  }))

test('a slot that is dropped, or invalidated, begins every lane anew: what came in between is not told', () =>
  within({ config: { tides: 1, nodes: 2 } }, async scene => {
    await scene.read(0)
    await scene.read(1)
    const { generation } = scene.lane()!
    const goOn = scene.holder().process.stop()
    scene.postgres.loseSlot()
    await scene.sql(KEY)
    await scene.pass(50)
    goOn()
    await readsLatest(scene, 20)
    await scene.settles()
    assert.notDeepEqual(scene.lane()!.generation, generation)
  }))

test('a lease from before the slot was lost fills nothing after it', () =>
  within({ config: { tides: 2, nodes: 2 } }, async scene => {
    await elsewhere(scene)
    const granted = scene.count('lease granted')
    const answer = scene.ask(0)
    await scene.until('the lease is granted', () => scene.count('lease granted') > granted)
    await scene.pass(0.3)
    const release = scene.hold(scene.postgres.process, scene.nodes[0]!.process)
    const goOn = scene.holder().process.stop()
    scene.postgres.loseSlot()
    await scene.sql(KEY)
    goOn()
    const { generation } = scene.lane()!
    await scene.until('the lane has begun anew', () => scene.lane()!.generation.nonce !== generation.nonce)
    release()
    await scene.wait(answer)
    await scene.until('the fill is refused', () => scene.count('fill refused') === 1)
    await scene.settles()
  }))

test('a first mark waits until all that was committed before it is visible', () =>
  within({ config: { postgres: { ...calm.postgres, visibleAfterMs: 200 }, tides: 1 } }, async scene => {
    for (let times = 0; times < 8; times++) {
      await scene.read(0)
      const tx = scene.transaction()
      scene.change(tx, KEY)
      const committed = scene.commit(tx)
      await scene.pass(2)
      // The new slot begins behind the commit, which nobody sees yet; a heartbeat may be seen before it.
      scene.postgres.loseSlot()
      const { generation } = scene.lane()!
      while (tx.state !== 'over') {
        assert.deepEqual(scene.lane()!.generation, generation, 'the lane does not begin yet')
        await scene.pass(1)
      }
      await scene.wait(committed)
      await readsLatest(scene, 15)
    }
    await scene.settles()
  }))

test('a log that goes on later than it was asked for, silently, begins the lanes that need more anew', () =>
  within({ config: { tides: 1, nodes: 2 } }, async scene => {
    await scene.read(0)
    await scene.pass(100)
    const { generation } = scene.lane()!
    const goOn = scene.holder().process.stop()
    await scene.sql(KEY)
    // Someone has moved the slot by hand.
    const { slot } = scene.postgres
    slot!.confirmed = scene.postgres.flushed
    slot!.holder?.connection.endAtServer()
    goOn()
    await readsLatest(scene, 15)
    await scene.settles()
    assert.notDeepEqual(scene.lane()!.generation, generation)
  }))

test('a log is not read from where lanes of another history are', () =>
  within(
    {
      config: { tides: 1, nodes: 1, postgres: { ...calm.postgres, standbyLagMs: 300 } },
      limits: { sampleEveryMs: 3_000 },
    },
    async scene => {
      const { epoch } = scene.lane()!.generation
      for (let times = 0; times < 20; times++) await scene.sql(...scene.world.keys)
      await scene.caughtUp()
      // What the lanes have had is lost, and nobody here has heard of another database yet.
      new Faults(scene.world).begin('database fails over', [0, 0, 0, 0])
      await scene.until('the lane is of the new one', () => (scene.lane()?.generation.epoch ?? epoch) !== epoch)
      assert.ok(scene.count('tide ended: elsewhere') > 0)
      assert.ok(scene.lane()!.mark.lsn <= scene.postgres.wal, 'the mark is not past the end of the log')
      await scene.settles()
    },
  ))

test('a reset that comes late, from a tide that was put out, fails its comparison', () =>
  within({ config: { tides: 2, nodes: 2 } }, async scene => {
    const zombie = scene.holder()
    await scene.read(0)
    await scene.until('there is nothing to do', () => scene.lane()!.mark.lsn === scene.postgres.wal)
    await scene.pass(1)
    const goOn = zombie.process.stop()
    const tx = scene.transaction()
    tx.unknown = true
    scene.change(tx, KEY)
    await scene.wait(scene.commit(tx))
    // It has heard of the TRUNCATE, and its reset is on the way.
    const release = scene.hold(zombie.process, scene.primary().process)
    goOn()
    await scene.pass(30)
    const again = zombie.process.stop()
    await scene.until('another one takes over', () => scene.nodes.some(node => node !== zombie && node.keeper?.isHolder === true), 2_000) // prettier-ignore
    await scene.caughtUp()
    const { generation } = scene.lane()!
    const mismatches = scene.count('reset mismatch')
    release()
    await scene.pass(2)
    again()
    await scene.pass(2)
    assert.ok(scene.count('reset mismatch') > mismatches)
    assert.deepEqual(scene.lane()!.generation, generation, 'nothing begins anew once more')
    await scene.settles()
  }))

test('TRUNCATE, or a table that is rewritten, of which the log names no rows, begins every lane anew', () =>
  within({ config: { cluster: { lanes: 3, shards: 2, shardIs: 'shard' } } }, async scene => {
    const before = [0, 1, 2].map(lane => scene.world.cluster.ownerOf(lane).lane(lane)!.generation)
    const tx = scene.transaction()
    tx.unknown = true
    scene.change(tx, KEY)
    await scene.wait(scene.commit(tx))
    await scene.settles(300)
    for (const lane of [0, 1, 2]) {
      assert.notDeepEqual(scene.world.cluster.ownerOf(lane).lane(lane)!.generation, before[lane])
    }
  }))
