// Schedules in which the tier fails: each in a simulated deployment, step by step, with the simulator's checker looking at
// every answer. Not for: messages to near caches (schedules-near.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calm, elsewhere, KEY, valueOf, within, type Scene } from './scene.ts'

const replicated = { shardIs: 'shard', lanes: 1, shards: 1 } as const
const byPrimary = { shardIs: 'primary', lanes: 1, shards: 1 } as const
const twoShards = { shardIs: 'primary', lanes: 2, shards: 2 } as const

/** The primary dies, and a replica takes over that was so far behind. */
async function failOver(scene: Scene, lagMs: number, downMs = 50): Promise<void> {
  const old = scene.primary()
  const diedMs = scene.world.time.nowMs
  old.process.die()
  await scene.pass(downMs)
  scene.world.cluster.failOver(old, diedMs, lagMs)
}

/** A lane of the other shard's, and a key in it. */
function keyOfLane(scene: Scene, lane: number): string {
  const key = scene.world.keys.find(other => scene.laneOf(other) === lane)
  assert.ok(key !== undefined, `a key is in lane ${lane}`)
  return key
}

test('a removal that was acknowledged and is lost by a failover is made again', () =>
  within({ config: { cluster: replicated } }, async scene => {
    await scene.read(0)
    await scene.pass(100)
    const value = await scene.sql(KEY)
    await scene.caughtUp()
    // The replica has the record that was removed since, and the mark of then.
    await failOver(scene, 90)
    await scene.until('the lane goes on', () => (scene.lane()?.mark.lsn ?? 0n) >= scene.postgres.log.at(-2)!.lsn)
    assert.equal(valueOf((await scene.read(1)).value), value)
    await scene.settles()
  }))

test('what a failover takes back within the retention is applied again, without beginning anew', () =>
  within(
    { config: { cluster: replicated }, limits: { tideMemoryTransactionsMax: 1, tideMemoryChangesMax: 1 } },
    async scene => {
      await scene.read(0)
      for (let times = 0; times < 6; times++) await scene.sql('k:2')
      await scene.sql(KEY)
      await scene.caughtUp()
      const { generation } = scene.lane()!
      await failOver(scene, 60)
      await scene.settles()
      assert.deepEqual(scene.lane()!.generation, generation)
    },
  ))

test('a lease that was voided on the lost suffix comes back with its token, and its fill does not count', () =>
  within({ config: { tides: 2, cluster: replicated } }, async scene => {
    await elsewhere(scene)
    await scene.sqlDelete('k:2')
    const granted = scene.count('lease granted')
    const answer = scene.ask(0)
    await scene.until('the lease is granted', () => scene.count('lease granted') > granted)
    const release = scene.hold(scene.postgres.process, scene.nodes[0]!.process)
    await scene.pass(20)
    const value = await scene.sql(KEY)
    await scene.pass(30)
    assert.ok(scene.lane()!.mark.lsn >= scene.postgres.log.findLast(commit => commit.changes.length > 0)!.lsn)
    await failOver(scene, 40, 20)
    release()
    await scene.wait(answer)
    await scene.settles()
    assert.equal(valueOf((await scene.read(0)).value), value)
  }))

test('a tide that does not know of a failover does not advance a mark that was taken back', () =>
  within({ config: { cluster: replicated } }, async scene => {
    await scene.read(0)
    await scene.sql(KEY)
    await scene.caughtUp()
    const mismatches = scene.count('apply mismatch')
    // The same node, the same connections to be made again, an older state.
    const old = scene.primary()
    old.process.die()
    scene.world.cluster.restart(old, 120)
    await scene.until(
      'the compare fails',
      () => scene.count('apply mismatch') > mismatches || scene.count('tide opened') > 1,
    )
    await scene.settles()
  }))

test('a primary that starts again from an old snapshot is carried on from there', () =>
  within({ config: { cluster: byPrimary } }, async scene => {
    await scene.read(0)
    await scene.pass(300)
    await scene.sql(KEY)
    await scene.caughtUp()
    const old = scene.primary()
    old.process.die()
    await scene.pass(20)
    scene.world.cluster.restart(old, 300)
    const { value } = await scene.read(1, KEY, { maxStalenessMs: 50 })
    assert.equal(valueOf(value), scene.world.truth.latest(KEY))
    await scene.settles()
  }))

test('a primary that starts again from a snapshot older than what the log keeps begins anew', () =>
  within(
    { config: { cluster: byPrimary }, limits: { tideRetentionMs: 100, tideMemoryTransactionsMax: 2 } },
    async scene => {
      await scene.read(0)
      await scene.pass(100)
      for (let times = 0; times < 10; times++) {
        await scene.sql(KEY, 'k:2')
        await scene.pass(60)
      }
      const { generation } = scene.lane()!
      const old = scene.primary()
      old.process.die()
      scene.world.cluster.restart(old, 700)
      await scene.settles()
      assert.notDeepEqual(scene.lane()!.generation, generation)
    },
  ))

test('a client that is stranded with an isolated primary sees its proofs age, and reads the database', () =>
  within({ config: { cluster: byPrimary, tides: 2 } }, async scene => {
    await elsewhere(scene)
    await scene.read(0)
    const old = scene.primary()
    // Cut off from everybody but the first node, and replaced.
    const [, other] = scene.nodes
    scene.hold(old.process, other!.process)
    scene.hold(other!.process, old.process)
    await scene.pass(30)
    scene.world.cluster.failOver(old, scene.world.time.nowMs, 10)
    await scene.pass(700)
    const value = await scene.sql(KEY)
    for (let times = 0; times < 20; times++) {
      await scene.pass(40)
      const { tier } = await scene.read(0)
      if (times > 15) assert.equal(tier, 'source')
    }
    assert.equal(valueOf((await scene.read(0)).value), value)
    old.process.die()
    await scene.settles()
  }))

test('a one-way blackhole, either way, makes answers older and never wrong', async () => {
  for (const way of ['there', 'back'] as const) {
    await within({ config: { tides: 2 }, limits: { tierTimeoutMs: 80, sampleTimeoutMs: 100 } }, async scene => {
      await elsewhere(scene)
      await scene.read(0)
      const node = scene.nodes[0]!.process
      const tier = scene.primary().process
      const heal = way === 'there' ? scene.hold(node, tier) : scene.hold(tier, node)
      for (let times = 0; times < 10; times++) {
        await scene.sql(KEY)
        await scene.pass(150)
        await scene.read(0)
      }
      assert.equal((await scene.read(0)).tier, 'source')
      heal()
      await scene.settles()
    })
  }
})

test('a lane that migrates while changes come is behind for as long, and begins anew at its target', () =>
  within({ config: { cluster: twoShards, plainKeys: 8 } }, async scene => {
    const { cluster } = scene.world
    const key = keyOfLane(scene, 0)
    await scene.read(0, key)
    await scene.read(0, key)
    const { generation } = scene.lane(key)!
    const from = cluster.ownerOf(0)
    const to = cluster.ownerOf(1)
    assert.ok(cluster.beginMigration(0, to))
    // The header has moved, the record has not.
    from.moveKey(0, undefined, to)
    const value = await scene.sql(key)
    await scene.pass(700)
    assert.equal((await scene.read(1, key)).tier, 'source')
    assert.ok(scene.count('tier tryagain') > 0)
    while (cluster.migrateOne(0));
    assert.equal(cluster.ownerOf(0), to)
    assert.equal(valueOf((await scene.read(1, key)).value), value)
    await scene.settles()
    assert.notDeepEqual(scene.lane(key)!.generation, generation)
  }))

test('a record that a migration has left behind does not come back with the header', () =>
  within({ config: { cluster: { ...twoShards, shardIs: 'shard' }, plainKeys: 8 } }, async scene => {
    const { cluster } = scene.world
    const key = keyOfLane(scene, 0)
    await scene.read(0, key)
    await scene.pass(50)
    const from = cluster.ownerOf(0)
    const to = cluster.ownerOf(1)
    assert.ok(cluster.beginMigration(0, to))
    from.moveKey(0, key, to)
    // The source fails over to a replica that still has the record; the event removes it there.
    const died = scene.world.time.nowMs
    from.process.die()
    const next = cluster.failOver(from, died, 5)
    assert.ok(next.keysOf(0).includes(key), 'the record is there again')
    const value = await scene.sql(key)
    await scene.until('the event has removed it', () => !next.keysOf(0).includes(key))
    assert.ok(to.keysOf(0).includes(key), 'the target has an orphan')
    while (cluster.migrateOne(0));
    for (let times = 0; times < 10; times++) {
      await scene.pass(20)
      assert.equal(valueOf((await scene.read(1, key)).value), value)
    }
    await scene.settles()
  }))

test('everything is flushed: nothing is answered from memory before a lane begins anew', () =>
  within({ config: { plainKeys: 3 } }, async scene => {
    await scene.read(0)
    const { generation } = scene.lane()!
    scene.primary().flush()
    const { tier } = await scene.read(1)
    assert.equal(tier, 'source')
    await scene.settles()
    assert.notDeepEqual(scene.lane()!.generation, generation)
  }))

test('a header that is evicted takes its records along', () =>
  within({}, async scene => {
    await scene.read(0)
    await scene.pass(100)
    scene.primary().loseHeader(0)
    assert.ok(scene.primary().keysOf(0).includes(KEY), 'the record is there still')
    const value = await scene.sql(KEY)
    await scene.settles(500)
    assert.equal(valueOf((await scene.read(1)).value), value)
  }))

test('a cold start over entries of long ago serves none of them', () =>
  within({ config: { nodes: 1, tides: 1 }, limits: { tideRetentionMs: 50 } }, async scene => {
    await scene.read(0)
    await scene.read(0)
    const { generation } = scene.lane()!
    // All processes end; the database is written, its log is dropped; the tier has everything.
    scene.nodes[0]!.process.die()
    await scene.pass(100)
    await scene.sql(KEY)
    scene.postgres.loseSlot()
    await scene.pass(1_000)
    scene.world.nodes[0] = scene.world.newNode(0)
    for (let times = 0; times < 10; times++) {
      await scene.pass(30)
      assert.equal(valueOf((await scene.read(0)).value), scene.world.truth.latest(KEY))
    }
    await scene.settles()
    assert.notDeepEqual(scene.lane()!.generation, generation)
  }))

test('a tier without memory takes no values, and its marks move', () =>
  within({}, async scene => {
    scene.primary().full = true
    const { mark } = scene.lane()!
    await scene.read(0)
    await scene.sql(KEY)
    await scene.caughtUp()
    assert.ok(scene.lane()!.mark.lsn > mark.lsn)
    assert.equal(scene.count('lease granted'), 0)
    scene.primary().full = false
    await scene.settles()
  }))

test('records of two formats: what a library does not know reads as absent, and does not outlive a change', () =>
  within({ config: { mixedFormats: true } }, async scene => {
    // The second node writes the newer format, which the first does not read.
    const written = await scene.write(1)
    await scene.pass(20)
    const { value } = await scene.read(0)
    assert.equal(valueOf(value), written)
    await scene.write(1)
    const changed = await scene.sql(KEY)
    await scene.caughtUp()
    assert.ok(!scene.primary().keysOf(0).includes(KEY), 'the old library has removed what it cannot read')
    for (const node of [1, 0, 1]) assert.equal(valueOf((await scene.read(node)).value), changed)
  }))

test('a database that is far away is asked once a key and lease, not once a caller', () =>
  within({ config: { source: { ...calm.source, statementMs: 20 } } }, async scene => {
    const loads = scene.count('load')
    const answers = Array.from({ length: 50 }, () => scene.ask(0))
    for (const answer of answers) await scene.wait(answer)
    assert.equal(scene.count('load'), loads + 1)
  }))
