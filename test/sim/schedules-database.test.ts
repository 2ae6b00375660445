// Schedules in which the database, its log, or who reads that, is not what it was: each in a simulated deployment, step by
// step, with the simulator's checker looking at every answer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Faults } from './faults.ts'
import type { FaultKind } from './plan.ts'
import { calm, elsewhere, KEY, valueOf, within, type Scene } from './scene.ts'

function strike(scene: Scene, kind: FaultKind, ...dice: readonly number[]): Faults {
  const faults = new Faults(scene.world)
  faults.begin(kind, dice)
  return faults
}

async function readsLatest(scene: Scene, times = 10): Promise<void> {
  for (let time = 0; time < times; time++) {
    await scene.pass(20)
    for (const [index, node] of scene.nodes.entries()) {
      if (node.process.running) await scene.read(index).catch(() => {})
    }
  }
}

for (const [what, change] of Object.entries({
  UPDATE: (scene: Scene) => scene.sql(KEY),
  DELETE: (scene: Scene) => scene.sqlDelete(KEY),
  'a cascade': (scene: Scene) => scene.sqlDelete('k:1', 'k:2', 'k:3'),
  COPY: (scene: Scene) => scene.sql('k:1', 'k:2', 'k:3'),
  TRUNCATE: async (scene: Scene) => {
    const tx = scene.transaction()
    tx.unknown = true
    for (const key of scene.world.keys) scene.postgres.lock(tx, key, () => scene.postgres.change(tx, key, null))
    await scene.wait(scene.commit(tx))
  },
  'a primary key that is changed': async (scene: Scene) => {
    const tx = scene.transaction()
    scene.postgres.lock(tx, KEY, () => scene.postgres.change(tx, KEY, null))
    scene.change(tx, 'k:2')
    await scene.wait(scene.commit(tx))
  },
})) {
  test(`${what} from outside is seen in every near cache`, () =>
    within({ config: { nodes: 3 } }, async scene => {
      for (const key of scene.world.keys) for (const node of [0, 1, 2, 0, 1, 2]) await scene.read(node, key)
      assert.equal((await scene.read(2)).tier, 'near')
      await change(scene)
      await scene.caughtUp()
      for (const key of scene.world.keys) {
        for (const node of [0, 1, 2])
          assert.equal(valueOf((await scene.read(node, key)).value), scene.world.truth.latest(key))
      }
      await scene.settles(200)
    }))
}

test('TRUNCATE, of which the log names no rows, begins every lane anew', () =>
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

for (const isolated of [false, true]) {
  test(`the database fails over and loses transactions${isolated ? ', and the old primary goes on answering' : ''}`, () =>
    within(
      {
        config: { tides: 2, nodes: 3, postgres: { ...calm.postgres, synchronousStandby: isolated, standbyLagMs: 60 } },
      },
      async scene => {
        // prettier-ignore
        for (const node of [0, 1, 2]) await scene.read(node)
        // On its way to the standby when that takes over.
        const tx = scene.transaction()
        scene.change(tx, KEY)
        const committed = scene.commit(tx)
        await scene.pass(10)
        for (const node of [0, 1, 2]) await scene.read(node)
        const { epoch } = scene.lane()!.generation
        const faults = strike(scene, isolated ? 'database is isolated' : 'database fails over', 0, 0.1, 0.2, 0.8)
        await scene.pass(45)
        await scene.sql(KEY)
        await readsLatest(scene, 40)
        void committed
        faults.heal()
        await scene.settles()
        assert.notEqual(scene.lane()!.generation.epoch, epoch)
      },
    ))
}

test('positions and transactions come again after a crash that forgot commits which others had seen', () =>
  within(
    {
      config: { tides: 2, nodes: 2, postgres: { ...calm.postgres, walWriterMs: 2_000 } },
      limits: { tideHeartbeatMs: 200 },
    },
    async scene => {
      await elsewhere(scene)
      // A while after the last heartbeat, which puts everything on disk, and before the next.
      await scene.pass(60)
      const before = scene.world.truth.latest(KEY)
      const tx = scene.transaction()
      scene.change(tx, KEY)
      // Visible at once, on disk later.
      await scene.wait(scene.commit(tx, true))
      const lost = valueOf((await scene.read(0, KEY, { maxStalenessMs: 0 })).value)
      assert.notEqual(lost, before)
      await scene.read(1)
      strike(scene, 'database crashes', 0, 0)
      await scene.pass(30)
      assert.equal(scene.world.truth.latest(KEY), before, 'it is forgotten')
      await scene.sql('k:2', 'k:3')
      await readsLatest(scene, 20)
      await scene.settles()
      assert.equal(valueOf((await scene.read(1)).value), before)
    },
  ))

test('a transaction id that comes again after a crash does not vouch for a load that saw its first bearer', () =>
  within(
    {
      config: { tides: 2, nodes: 2, postgres: { ...calm.postgres, runIsKnown: false, walWriterMs: 200 } },
      limits: { tideHeartbeatMs: 200 },
    },
    async scene => {
      // prettier-ignore
      await elsewhere(scene)
      // A while after the last heartbeat, which puts everything on disk, and before the next.
      await scene.pass(60)
      const { xid } = { xid: scene.postgres.snapshot().xmax }
      const tx = scene.transaction()
      scene.change(tx, 'k:2')
      scene.postgres.abort(tx)
      await scene.read(0)
      const loaded = scene.primary().keysOf(0).includes(KEY)
      strike(scene, 'database crashes', 0, 0)
      await scene.pass(25)
      assert.ok(loaded && scene.postgres.snapshot().xmax <= xid, 'the id comes again')
      await scene.sql(KEY)
      await readsLatest(scene, 20)
      await scene.settles()
    },
  ))

test('an old primary whose log stands still where the marks do proves nothing', () =>
  within({ config: { tides: 1, nodes: 2, postgres: { ...calm.postgres, synchronousStandby: true } } }, async scene => {
    await scene.read(0)
    await scene.read(1)
    // The tide is gone, and nothing is written: mark and log end at one position.
    scene.holder().process.die()
    await scene.pass(100)
    strike(scene, 'database is isolated', 0, 0, 0.999, 0.999)
    await scene.pass(30)
    await scene.sql(KEY)
    for (let times = 0; times < 30; times++) {
      await scene.pass(25)
      const { tier } = await scene.read(1)
      if (times > 25) assert.equal(tier, 'source', 'no proof is younger than the last mark')
    }
  }))

test('a log that is begun anew on a primary that was replaced makes nothing fresh: it commits nothing any more', () =>
  within(
    {
      config: { tides: 1, nodes: 2, maxStalenessMs: 5_000, postgres: { ...calm.postgres, synchronousStandby: true } },
    },
    async scene => {
      const [node] = scene.nodes
      assert.equal(scene.holder(), node)
      // The tide stays with the first primary for as long as that lasts, and goes from there to the second, which it has
      // heard of; that was replaced meanwhile, too.
      strike(scene, 'database is isolated', 0, 0, 0, 0.3)
      await scene.pass(40)
      const between = scene.postgres
      strike(scene, 'database is isolated', 0, 0, 0.999, 0.999)
      await scene.pass(40)
      assert.notEqual(scene.postgres, between)
      const epoch = scene.lane()?.generation.epoch
      const written = scene.sql(KEY)
      await scene.until('the tide is at the primary of between', () => between.slot !== undefined)
      await scene.wait(written)
      const { nowMs } = scene.world.time
      while (scene.world.time.nowMs < nowMs + 250) {
        await scene.pass(20)
        await scene.read(0)
      }
      assert.ok(between.process.alive)
      assert.equal(scene.lane()?.generation.epoch, epoch, 'no lane begins anew there')
    },
  ))

test('a node whose keyspaces are laid out otherwise proves nothing of the lanes of others', () =>
  within({ config: { nodes: 2, tides: 1 }, layoutOf: node => `layout ${node}` }, async scene => {
    await scene.read(0)
    for (let times = 0; times < 5; times++) {
      const { tier } = await scene.read(1)
      assert.equal(tier, 'source')
    }
    assert.ok(scene.count('lease other-epoch') + scene.count('load') >= 5)
    assert.equal((await scene.read(0)).tier, 'near')
  }))

test('two databases of one cluster of memory: positions of the one say nothing of the other', () =>
  within({ config: { nodes: 2, tides: 2 }, layoutOf: node => `database ${node}` }, async scene => {
    for (let times = 0; times < 10; times++) {
      await scene.sql(KEY)
      await readsLatest(scene, 3)
    }
    // One of the two tides has the lanes, the other gives way.
    assert.ok(scene.lane() !== undefined)
  }))

test('the database stands still: answers get older, then nobody is answered, then all is well', () =>
  within({ config: { tides: 2 } }, async scene => {
    await scene.read(0)
    const goOn = scene.postgres.process.stop()
    await scene.pass(100)
    assert.equal((await scene.read(0)).tier, 'near')
    await scene.pass(800)
    const waits = scene.ask(0)
    await scene.pass(50)
    goOn()
    assert.equal((await scene.wait(waits)).tier, 'source')
    await scene.settles()
  }))
