// Schedules of fills and of writes through the cache that once led, or might lead, to a stale answer: each in a simulated
// deployment, step by step. The checker of the simulator looks at every answer. Not for: failures of the tier
// (schedules-tier.test.ts) and of the database (schedules-database.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { calm, elsewhere, KEY, type Scene, valueOf, within } from './scene.ts'

/** A read that has the lease, and has loaded, and whose fill does not get through until the function returned is called. */
async function heldFill(scene: Scene): Promise<() => void> {
  const granted = scene.count('lease granted')
  const loads = scene.count('load')
  const answer = scene.ask(0)
  await scene.until('the lease is granted', () => scene.count('lease granted') > granted)
  await scene.until('the row is on its way back', () => scene.count('load') > loads)
  const release = scene.hold(scene.nodes[0]!.process, scene.primary().process)
  await scene.wait(answer)
  return release
}

/** The same, with what the database answers held up: the load is old when it comes. */
async function heldLoad(scene: Scene): Promise<() => void> {
  const granted = scene.count('lease granted')
  void scene.ask(0)
  await scene.until('the lease is granted', () => scene.count('lease granted') > granted)
  // The query is on its way, or there; the answer is not.
  await scene.pass(0.3)
  return scene.hold(scene.postgres.process, scene.nodes[0]!.process)
}

test('without a tide there is no lane, nothing is kept, and every answer comes from the database', () =>
  within({ config: { tides: 0 } }, async scene => {
    assert.equal(scene.lane(), undefined)
    for (let times = 0; times < 2; times++) assert.equal((await scene.read(0)).tier, 'source')
  }))

test('an old load that is paused across an invalidation is not filled', () =>
  within({ config: { tides: 2 } }, async scene => {
    // The tide is at the other node, whose way to the database stays free.
    await elsewhere(scene)
    const release = await heldLoad(scene)
    await scene.sql(KEY)
    await scene.caughtUp()
    release()
    await scene.until('the fill is refused', () => scene.count('fill refused') === 1)
    await scene.settles(100)
  }))

test('a fill that is held up across an invalidation is refused', () =>
  within({ config: { tides: 2 } }, async scene => {
    await elsewhere(scene)
    const release = await heldFill(scene)
    await scene.sql(KEY)
    await scene.caughtUp()
    release()
    await scene.until('the fill is refused', () => scene.count('fill refused') === 1)
    await scene.settles(100)
  }))

test('a fill that is held up across an invalidation is refused though its lease has expired', () =>
  within({ config: { tides: 2 }, limits: { leaseMs: 50 } }, async scene => {
    await elsewhere(scene)
    const release = await heldFill(scene)
    await scene.sql(KEY)
    await scene.caughtUp()
    await scene.pass(100)
    release()
    await scene.until('the fill is refused', () => scene.count('fill refused') === 1)
    await scene.settles(100)
  }))

test('a fill is refused once its lease has expired and another has the key', () =>
  within({ config: { tides: 2 }, limits: { leaseMs: 50 } }, async scene => {
    await elsewhere(scene)
    const release = await heldFill(scene)
    await scene.pass(100)
    const value = await scene.sql(KEY)
    await scene.caughtUp()
    assert.equal(valueOf((await scene.read(1)).value), value)
    release()
    await scene.until('the fill is refused', () => scene.count('fill refused') === 1)
    await scene.settles(100)
  }))

/** From here on the looks of a node take a lease along. */
async function missOften(scene: Scene, node: number): Promise<void> {
  for (let times = 0; times < limits.absentShareLooks; times++) {
    await scene.sql(KEY)
    await scene.caughtUp()
    await scene.read(node)
    await scene.until('it is filled', () => scene.primary().read(0, KEY, 1).record?.type === 'value')
  }
}

test('a read that takes a new lease along does not wait for a load under the lease of before', () =>
  within({ config: { tides: 2 } }, async scene => {
    await elsewhere(scene)
    await missOften(scene, 0)
    await scene.sql(KEY)
    await scene.caughtUp()
    const release = await heldLoad(scene)
    const value = await scene.sql(KEY)
    await scene.caughtUp()
    const granted = scene.count('lease granted')
    const looked = scene.count('lease leased') + scene.count('lease present')
    const later = scene.ask(0)
    await scene.until('the new lease is granted', () => scene.count('lease granted') > granted)
    release()
    assert.equal(valueOf((await scene.wait(later)).value), value)
    assert.equal(scene.count('lease leased') + scene.count('lease present'), looked)
    await scene.settles(100)
  }))

test('a key that is missed everywhere at once is one lease and one query', () =>
  within({ config: { tides: 2 } }, async scene => {
    for (const node of [0, 1]) await missOften(scene, node)
    await scene.sql(KEY)
    await scene.caughtUp()
    const [granted, loads] = [scene.count('lease granted'), scene.count('load')]
    const answers = Array.from({ length: 20 }, (_, i) => scene.ask(i % 2))
    await Promise.all(answers.map(answer => scene.wait(answer)))
    assert.equal(scene.count('lease granted'), granted + 1)
    assert.equal(scene.count('load'), loads + 1)
    assert.equal(scene.count('fill refused'), 0)
    await scene.settles(100)
  }))

test('a fill whose lease was evicted is refused', () =>
  within({ config: { tides: 2 } }, async scene => {
    await elsewhere(scene)
    const release = await heldFill(scene)
    scene.primary().evict(0, KEY)
    await scene.sql(KEY)
    await scene.caughtUp()
    release()
    await scene.until('the fill is refused', () => scene.count('fill refused') === 1)
    await scene.settles(100)
  }))

test('a writer that dies before its commit leaves nothing behind', () =>
  within({ config: { tides: 2, source: { ...calm.source, statementMs: 3 } } }, async scene => {
    await elsewhere(scene)
    const before = scene.world.truth.latest(KEY)
    void scene.startWrite(0).catch(() => {})
    await scene.until('the row is locked', () =>
      [...scene.postgres.running.values()].some(tx => tx.locks.includes(KEY)),
    )
    scene.nodes[0]!.process.die()
    await scene.pass(200)
    assert.equal(valueOf((await scene.read(1)).value), before)
    assert.equal([...scene.postgres.running.values()].filter(tx => tx.locks.length > 0).length, 0)
  }))

test('a writer that dies after its commit and before its put is read from the log', () =>
  within({ config: { tides: 2 } }, async scene => {
    await elsewhere(scene)
    const before = scene.world.truth.latest(KEY)
    await scene.read(1)
    await scene.read(1)
    void scene.startWrite(0).catch(() => {})
    await scene.until('the commit is visible', () => scene.world.truth.latest(KEY) !== before)
    // The answer is on its way.
    scene.nodes[0]!.process.die()
    await scene.caughtUp()
    assert.equal(scene.count('put stored'), 0)
    const { value, tier } = await scene.read(1)
    assert.equal(valueOf(value), scene.world.truth.latest(KEY))
    assert.equal(tier, 'source')
    await scene.settles(100)
  }))

test('a put that comes after a later write and its event is late', () =>
  within({ config: { tides: 2, nodes: 3 } }, async scene => {
    await elsewhere(scene)
    const release = scene.hold(scene.nodes[0]!.process, scene.primary().process)
    const late = scene.startWrite(0)
    await scene.caughtUp()
    await scene.sql(KEY)
    await scene.caughtUp()
    release()
    await scene.wait(late)
    assert.equal(scene.count('put late'), 1)
    await scene.settles(100)
  }))

test('a put while others commit is taken: the recent changes tell that its key was not touched since', () =>
  within({ config: { tides: 2, nodes: 3 } }, async scene => {
    await elsewhere(scene)
    const release = scene.hold(scene.nodes[0]!.process, scene.primary().process)
    const slow = scene.startWrite(0)
    await scene.pass(5)
    await scene.sql('k:2', 'k:3')
    await scene.caughtUp()
    release()
    await scene.wait(slow)
    assert.equal(scene.count('put stored'), 1)
    assert.equal((await scene.read(1)).tier, 'tier')
    await scene.settles(100)
  }))

test('a put that comes after its own transaction was applied, which had changed the row again, is late', () =>
  within({ config: { tides: 2, source: { ...calm.source, hiddenTriggerOneIn: 1 } } }, async scene => {
    await elsewhere(scene)
    const release = scene.hold(scene.nodes[0]!.process, scene.primary().process)
    const slow = scene.startWrite(0)
    await scene.pass(5)
    await scene.caughtUp()
    release()
    await scene.wait(slow)
    assert.equal(scene.count('put late'), 1)
    await scene.settles(100)
  }))

test('a put is late where the recent changes do not reach back to it', () =>
  within({ config: { tides: 2 }, limits: { recentChangesMax: 1 } }, async scene => {
    await elsewhere(scene)
    const release = scene.hold(scene.nodes[0]!.process, scene.primary().process)
    const slow = scene.startWrite(0)
    await scene.pass(5)
    await scene.sql(KEY)
    await scene.sql('k:2')
    await scene.caughtUp()
    release()
    await scene.wait(slow)
    assert.equal(scene.count('put late'), 1)
    await scene.settles(100)
  }))

test('a writer that dies with its put on the way brings no old row back', () =>
  within({ config: { tides: 2 } }, async scene => {
    await elsewhere(scene)
    const before = scene.world.truth.latest(KEY)
    const release = scene.hold(scene.nodes[0]!.process, scene.primary().process)
    void scene.startWrite(0).catch(() => {})
    await scene.until('the commit is visible', () => scene.world.truth.latest(KEY) !== before)
    await scene.pass(5)
    scene.nodes[0]!.process.die()
    const value = await scene.sql(KEY)
    await scene.caughtUp()
    release()
    await scene.pass(5)
    assert.ok(!scene.primary().keysOf(0).includes(KEY), 'it is late')
    assert.equal(valueOf((await scene.read(1)).value), value)
    await scene.settles(100)
  }))

test('a load that had too many transactions to tell apart is not kept by one that it may not have seen', () =>
  within(
    {
      config: { postgres: { ...calm.postgres, visibleAfterMs: 60 } },
      limits: { snapshotInProgressMax: 1 },
    },
    async scene => {
      for (let times = 0; times < 6; times++) {
        const others = [scene.transaction(), scene.transaction()]
        const tx = scene.transaction()
        scene.change(tx, KEY)
        const committed = scene.commit(tx)
        // On disk, and not visible.
        await scene.pass(3)
        scene.primary().evict(0, KEY)
        await scene.read(1)
        await scene.wait(committed)
        for (const other of others) scene.postgres.abort(other)
        await scene.caughtUp()
        assert.equal(valueOf((await scene.read(1)).value), scene.world.truth.latest(KEY))
      }
    },
  ))

test('a row that its transaction changes again is not kept by the transaction alone', () =>
  within({ config: { source: { ...calm.source, hiddenTriggerOneIn: 1 } } }, async scene => {
    await scene.wait(scene.startWrite(0))
    await scene.caughtUp()
    const { value } = await scene.read(1)
    assert.equal(valueOf(value), scene.world.truth.latest(KEY))
    await scene.settles(100)
  }))

test('a table with a trigger is voided, not put', () =>
  within({ config: { triggeredKeys: 1 } }, async scene => {
    await scene.read(1, 't:1')
    await scene.wait(scene.startWrite(0, 't:1'))
    assert.equal(scene.count('put stored'), 0)
    assert.equal(scene.count('void voided'), 1)
    assert.equal(valueOf((await scene.read(1, 't:1', { maxStalenessMs: 0 })).value), scene.world.truth.latest('t:1'))
    await scene.settles(200)
  }))

test('a statement that is rolled back to a savepoint is neither put nor told', () =>
  within({}, async scene => {
    const before = scene.world.truth.latest(KEY)
    const tx = scene.transaction()
    scene.change(tx, KEY)
    scene.postgres.rollBackTo(tx, 0)
    scene.change(tx, 'k:2')
    await scene.wait(scene.commit(tx))
    await scene.caughtUp()
    assert.equal(valueOf((await scene.read(1)).value), before)
    await scene.settles(100)
  }))

test('a commit that waits for its standby while a fill runs: what is not visible yet is not applied', () =>
  within({ config: { postgres: { ...calm.postgres, synchronousStandby: true } } }, async scene => {
    await scene.read(0)
    const goOn = scene.postgres.stallStandby()
    const tx = scene.transaction()
    scene.change(tx, KEY)
    const committed = scene.commit(tx)
    await scene.pass(200)
    const { mark } = scene.lane()!
    assert.ok(mark.lsn < scene.postgres.log.at(-1)!.lsn, 'the mark waits')
    scene.primary().evict(0, KEY)
    await scene.read(1)
    await scene.pass(50)
    goOn()
    await scene.wait(committed)
    await scene.settles(200)
  }))

test('an absence that is cached ends with an insert, through the cache or around it', () =>
  within({}, async scene => {
    await scene.sqlDelete(KEY)
    await scene.caughtUp()
    assert.equal((await scene.read(1)).value, null)
    const again = await scene.read(1)
    assert.equal(again.value, null)
    assert.notEqual(again.tier, 'source')
    const value = await scene.sql(KEY)
    await scene.caughtUp()
    assert.equal(valueOf((await scene.read(1)).value), value)
    await scene.sqlDelete(KEY)
    await scene.caughtUp()
    assert.equal((await scene.read(1)).value, null)
    const written = await scene.write(0)
    await scene.pass(20)
    assert.equal(valueOf((await scene.read(1)).value), written)
  }))

test('a row that is deleted and inserted again is the new one, in one transaction too', () =>
  within({}, async scene => {
    await scene.read(0)
    await scene.sqlDelete(KEY)
    const tx = scene.transaction()
    scene.change(tx, KEY)
    scene.postgres.change(tx, KEY, null)
    const value = scene.change(tx, KEY)
    await scene.wait(scene.commit(tx))
    await scene.caughtUp()
    assert.equal(valueOf((await scene.read(0)).value), value)
    await scene.settles(100)
  }))

test('a strong read does not join a load that began before it', () =>
  within({ config: { tides: 2 } }, async scene => {
    await elsewhere(scene)
    const release = await heldLoad(scene)
    const value = await scene.sql(KEY)
    const strong = scene.ask(0, KEY, { maxStalenessMs: 0 })
    await scene.pass(20)
    release()
    assert.equal(valueOf((await scene.wait(strong)).value), value)
  }))

test('of all readers of a key that is not there, in all processes, one asks the database', () =>
  within({ config: { nodes: 3 } }, async scene => {
    const loads = scene.count('load')
    const answers = [0, 1, 2, 0, 1, 2].map(node => scene.ask(node))
    for (const answer of answers) await scene.wait(answer)
    assert.equal(scene.count('load'), loads + 1)
  }))
