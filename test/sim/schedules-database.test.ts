// Schedules in which the database, its log, or who reads that, is not what it was: each in a simulated deployment, step by
// step, with the simulator's checker looking at every answer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Faults } from './faults.ts'
import type { FaultKind } from './plan.ts'
import { calm, elsewhere, KEY, readsLatest, valueOf, within, type Scene } from './scene.ts'

function strike(scene: Scene, kind: FaultKind, ...dice: readonly number[]): Faults {
  const faults = new Faults(scene.world)
  faults.begin(kind, dice)
  return faults
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

for (const isolated of [false, true]) {
  test(`the database fails over and loses transactions${isolated ? ', and the old primary goes on answering' : ''}`, () =>
    within(
      {
        config: {
          tides: 2,
          nodes: 3,
          postgres: { ...calm.postgres, synchronousStandby: isolated, standbyLagMs: 60, runIsKnown: false },
        },
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

test('a load that the old primary still answers does not fill a lane of the new one', () =>
  within(
    {
      config: {
        tides: 2,
        postgres: { ...calm.postgres, synchronousStandby: true },
        source: { ...calm.source, connections: 40 },
      },
    },
    async scene => {
      // Some of the connections are open before, and stay with the old primary.
      const { epoch } = scene.lane()!.generation
      strike(scene, 'database is isolated', 0, 0, 0, 0.999)
      await scene.until('the lane is of the new one', () => (scene.lane()?.generation.epoch ?? epoch) !== epoch)
      await scene.sql(KEY)
      await scene.caughtUp()
      assert.ok(scene.world.isolated.size > 0)
      for (let times = 0; times < 20 && scene.world.isolated.size > 0; times++) {
        scene.primary().evict(0, KEY)
        for (const node of scene.nodes) node.near.drop(KEY)
        await scene.read(0)
        await scene.pass(1)
        await scene.read(1)
      }
      assert.ok(scene.count('fill other-epoch') > 0)
      await scene.settles()
    },
  ))

test('a put of a write that the database has lost is not taken', () =>
  within({ config: { tides: 2, postgres: { ...calm.postgres, standbyLagMs: 80 } } }, async scene => {
    await elsewhere(scene)
    const release = scene.hold(scene.nodes[0]!.process, scene.primary().process)
    const { epoch } = scene.lane()!.generation
    void scene.startWrite(0).catch(() => {})
    await scene.pass(5)
    strike(scene, 'database fails over', 0, 0, 0, 0)
    await scene.until('the lane is of the new one', () => (scene.lane()?.generation.epoch ?? epoch) !== epoch)
    release()
    await scene.until('the put is refused', () => scene.count('put other-epoch') === 1)
    await scene.settles()
  }))

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
    await scene.until('they do', () => scene.lane()!.mark.lsn === scene.postgres.wal)
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
