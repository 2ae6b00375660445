// Who runs the tide: one process at a time, and another one within two seconds when that one is dead or stuck.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { limits } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { TideKeeper } from '../../src/cache/tide-keeper.ts'
import type { TermEnd } from '../../src/cache/tide-observer.ts'
import type { LaneState } from '../../src/coherence/lane.ts'
import type { ChangeFeed } from '../../src/source/change-feed.ts'
import type { Awaitable, Tier } from '../../src/tier/tier.ts'
import { ScriptedLog } from '../support/scripted-log.ts'
import { keyOf, LANES, settle, TideScene } from './tide-scene.ts'

/** A process that may run the tide. */
class Candidate {
  readonly keeper: TideKeeper
  readonly ends: TermEnd[] = []
  readonly run: Promise<void>
  /** While set, whatever it asks of the database or the tier waits for it, and so does everything it would do next. */
  stopped: Promise<void> | undefined
  tierFails = false
  databaseFails = false
  /** Lanes that are its own: whoever holds the log is left alone (own-feed.ts). */
  leavesAlone = false
  looks = 0
  readonly #scene: TideScene

  readonly #log: ScriptedLog

  constructor(scene: TideScene, seed: number, log: ScriptedLog = scene.log) {
    this.#scene = scene
    this.#log = log
    this.keeper = new TideKeeper({
      tier: this.#tier(),
      source: {
        epoch: log.epoch,
        position: async () => {
          if (this.databaseFails) throw new TidemarkError('SOURCE_UNAVAILABLE', 'no way to the database')
          await this.stopped
          return { position: log.insert, epoch: log.epoch }
        },
      },
      feed: () => this.#feed(),
      clock: scene.clock,
      random: seededRandom(seed),
      observer: { ...scene.observer, ended: end => void this.ends.push(end) },
    })
    this.run = this.keeper.run()
  }

  #tier(): Tier {
    const { tier } = this.#scene
    const ask = async <T>(what: () => Awaitable<T>): Promise<T> => {
      await this.stopped
      if (this.tierFails) throw new TidemarkError('TIER_UNAVAILABLE', 'no way to the tier')
      return what()
    }
    return Object.assign(Object.create(tier) as Tier, {
      lanes: LANES,
      lane: (lane: number): Promise<LaneState | undefined> => {
        this.looks++
        return ask(() => tier.lane(lane))
      },
      apply: (lane: number, request: Parameters<Tier['apply']>[1]) => ask(() => tier.apply(lane, request)),
      reset: (lane: number, options: Parameters<Tier['reset']>[1]) => ask(() => tier.reset(lane, options)),
    })
  }

  #feed(): ChangeFeed {
    const feed = this.#log.feed()
    const wait = async <T>(what: () => Promise<T>): Promise<T> => {
      await this.stopped
      const answer = await what()
      await this.stopped
      return answer
    }
    return {
      open: from => wait(() => feed.open(from)),
      next: () => wait(() => feed.next()),
      snapshot: () => wait(() => feed.snapshot()),
      heartbeat: () => wait(() => feed.heartbeat()),
      confirm: position => feed.confirm(position),
      evict: () =>
        this.leavesAlone
          ? Promise.reject(new TidemarkError('FEED_TAKEN', 'not to be put out'))
          : wait(() => feed.evict()),
      close: () => feed.close(),
    }
  }
}

async function candidates(t: TestContext, count: number): Promise<{ scene: TideScene; all: Candidate[] }> {
  const scene = new TideScene()
  const all: Candidate[] = []
  for (let i = 0; i < count; i++) {
    all.push(new Candidate(scene, i + 1))
    await scene.pass(10)
  }
  await scene.pass(1000)
  t.after(() => {
    for (const { keeper } of all) keeper.stop()
  })
  return { scene, all }
}

/** How long it takes until the change of a row is applied. */
async function msUntilApplied(scene: TideScene): Promise<number> {
  const { lsn } = scene.log.write([keyOf(1)])
  const beganMs = scene.clock.monotonicMs()
  while (scene.lane(1).mark.lsn < lsn && scene.clock.monotonicMs() - beganMs < 60_000) await scene.pass(10)
  return scene.clock.monotonicMs() - beganMs
}

await test('one of several runs the tide, and the others leave it alone', async t => {
  const { scene, all } = await candidates(t, 3)
  const looks = all[1]!.looks
  await scene.pass(10_000)
  assert.deepEqual(
    all.map(({ keeper }) => keeper.isHolder),
    [true, false, false],
  )
  assert.equal(scene.log.counts.opened, 1)
  assert.equal(scene.log.counts.evictions, 0)
  assert.ok(all[1]!.looks - looks <= 10 * 10 * limits.tideWatchLanes)
})

await test('when the one that runs it is killed, another one has taken over within two seconds', async t => {
  const { scene, all } = await candidates(t, 3)
  all[0]!.keeper.stop()
  await all[0]!.run
  const ms = await msUntilApplied(scene)
  assert.ok(ms <= 1000, `${ms} ms`)
  assert.equal(scene.log.counts.evictions, 0, 'the log was free')
  assert.equal(all.filter(({ keeper }) => keeper.isHolder).length, 1)
})

await test('when the one that runs it is stopped and keeps the log, it is put out within two seconds', async t => {
  const { scene, all } = await candidates(t, 3)
  const resumed = Promise.withResolvers<void>()
  all[0]!.stopped = resumed.promise
  await settle()
  const ms = await msUntilApplied(scene)
  assert.ok(ms <= 2000, `${ms} ms`)
  assert.ok(scene.log.counts.evictions >= 1)
  await scene.pass(5000)
  const { opened, evictions } = scene.log.counts
  all[0]!.stopped = undefined
  resumed.resolve()
  await scene.pass(5000)
  assert.equal(all[0]!.ends[0]?.kind, 'lost')
  assert.deepEqual([scene.log.counts.opened, scene.log.counts.evictions], [opened, evictions])
  assert.equal(all[0]!.keeper.isHolder, false)
  assert.ok((await msUntilApplied(scene)) <= 50)
  assert.equal(scene.resets.length, LANES, 'only those of the first start')
})

await test('one that puts nobody out takes the log when it is free at last', async t => {
  const { scene, all } = await candidates(t, 2)
  const resumed = Promise.withResolvers<void>()
  all[1]!.leavesAlone = true
  all[0]!.stopped = resumed.promise
  await scene.pass(10_000)
  assert.equal(all[1]!.keeper.isHolder, false)
  all[0]!.keeper.stop()
  resumed.resolve()
  const ms = await msUntilApplied(scene)
  assert.ok(ms <= 1000, `${ms} ms`)
  assert.deepEqual([all[1]!.keeper.isHolder, scene.log.counts.evictions], [true, 0])
})

await test('one that was put out and takes a moment to go is waited for', async t => {
  const { scene, all } = await candidates(t, 2)
  scene.log.letGo = end => void scene.clock.timer(60, end)
  all[0]!.stopped = new Promise(() => {})
  while (scene.log.counts.evictions === 0) await scene.pass(5)
  await scene.pass(60 + 2 * limits.tideReopenMs)
  assert.equal(all[1]!.keeper.isHolder, true)
  assert.equal(scene.log.counts.evictions, 1)
})

await test('tides of two databases over one tier do not fight over its lanes without end', async t => {
  const scene = new TideScene()
  const all = [new Candidate(scene, 1), new Candidate(scene, 2, new ScriptedLog({ epoch: 8n, insert: 5000n }))]
  t.after(() => {
    for (const { keeper } of all) keeper.stop()
  })
  await scene.pass(60_000)
  assert.ok(all.some(({ ends }) => ends.some(({ kind }) => kind === 'superseded')))
  const terms = all[0]!.ends.length + all[1]!.ends.length
  assert.ok(terms <= 30, `${terms} terms in a minute`)
})

await test('who cannot reach the tier, or the database, puts nobody out', async t => {
  for (const cannot of ['tierFails', 'databaseFails'] as const) {
    const { scene, all } = await candidates(t, 2)
    all[1]![cannot] = true
    all[0]!.stopped = new Promise(() => {})
    await scene.pass(10_000)
    assert.equal(scene.log.counts.evictions, 0)
    all[1]![cannot] = false
    assert.ok((await msUntilApplied(scene)) <= 5000)
  }
})

await test('a lane that stands still alone is no reason to put anybody out', async t => {
  const scene = new TideScene()
  for (const lane of [1, 2, 3]) scene.unreachable.set(lane, 'steps')
  const all = [new Candidate(scene, 1)]
  await scene.pass(200)
  all.push(new Candidate(scene, 2))
  t.after(() => {
    for (const { keeper } of all) keeper.stop()
  })
  await scene.pass(10_000)
  assert.equal(scene.log.counts.evictions, 0)
  assert.equal(all[0]!.keeper.isHolder, true)
})

await test('where it is the database that stands still, holders are put out more and more rarely', async t => {
  const { scene, all } = await candidates(t, 3)
  const { xid } = scene.log.write([keyOf(0)], { visible: false })
  await scene.pass(60_000)
  assert.ok(scene.log.counts.evictions <= 20, `${scene.log.counts.evictions} times in a minute`)
  const { evictions } = scene.log.counts
  await scene.pass(60_000)
  assert.ok(scene.log.counts.evictions - evictions <= 6, `${scene.log.counts.evictions - evictions} in the next one`)
  scene.log.show(xid)
  await scene.pass(1000)
  for (const candidate of all) if (candidate.keeper.isHolder) candidate.stopped = new Promise(() => {})
  const ms = await msUntilApplied(scene)
  assert.ok(ms <= 2000, `${ms} ms: one that is stuck does not profit from that`)
})

await test('a hold that is lost is taken again at once, and where that fails, more and more rarely', async t => {
  const { scene, all } = await candidates(t, 1)
  for (const opened of [2, 3, 4, 5, 6]) {
    scene.log.loseHold()
    await scene.pass(100)
    assert.equal(scene.log.counts.opened, opened)
  }
  assert.ok((await msUntilApplied(scene)) <= 50)
  scene.log.openFailure = new TidemarkError('SOURCE_UNAVAILABLE', 'the database is gone')
  scene.log.loseHold()
  const before = all[0]!.ends.length
  await scene.pass(60_000)
  const attempts = all[0]!.ends.length - before
  assert.ok(attempts >= 60_000 / limits.tideReopenMaxMs && attempts <= 150, `${attempts} attempts in a minute`)
  scene.log.openFailure = undefined
  await scene.pass(limits.tideReopenMaxMs)
  assert.ok((await msUntilApplied(scene)) <= 50)
})

await test('lanes that a failover takes back too far are carried on, and begin anew when that comes too often', async t => {
  const { scene, all } = await candidates(t, 1)
  const failOver = scene.memory.checkpoint()
  const lost = scene.log.write([keyOf(2)])
  await scene.pass(100)
  scene.log.loseHold()
  await scene.pass(500)
  scene.resets.length = 0
  scene.messages.length = 0
  failOver()
  await scene.pass(500)
  assert.deepEqual(scene.appliedTo(2), [lost.lsn])
  assert.equal(all[0]!.ends.at(-1)?.kind, 'behind')
  const { opened } = scene.log.counts
  scene.log.loseHold()
  await scene.pass(500)
  failOver()
  await scene.pass(1000)
  assert.equal(scene.log.counts.opened, opened + 1)
  assert.ok((await msUntilApplied(scene)) <= 50)
})

await test('a database that has failed over is another epoch, and its log is read from its own confirmed place', async t => {
  const { scene } = await candidates(t, 1)
  const old = scene.log.epoch
  for (let i = 0; i < 50; i++) scene.log.write([keyOf(0)])
  await scene.pass(200)
  scene.log.epoch = old + 1n
  scene.log.items.length = 0
  scene.log.insert = 120n
  scene.log.beginAnew()
  await scene.pass(500)
  assert.ok([0, 1, 2, 3].every(lane => scene.lane(lane).generation.epoch === old + 1n))
  assert.ok((await msUntilApplied(scene)) <= 50)
})

await test('a keeper that is stopped ends its term, and leaves no timer behind', async t => {
  const { scene, all } = await candidates(t, 2)
  for (const { keeper } of all) keeper.stop()
  await Promise.all(all.map(({ run }) => run))
  await settle()
  assert.equal(scene.log.holder, undefined)
  assert.equal(scene.clock.pending, 0)
})
