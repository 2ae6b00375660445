// Tags among processes that share a tier: what one gives up, all have given up; what was filed under a tag of before is not
// there, wherever it was read, and however late it was stored. Each process is a Tidemark of its own over one redis-server.
import assert from 'node:assert/strict'
import { after, before, describe, test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { TidemarkError } from '../../src/base/errors.ts'
import { createTidemark, type Tidemark } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { FaultyTier } from '../../src/testing/faulty-tier.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import { createTestTidemark } from '../../src/testing/test-tidemark.ts'
import type { SharedTier } from '../../src/tier/tier.ts'
import { TierAround } from '../../src/tier/wrapped-tier.ts'
import { redisInstalled, startRedis, type RedisServer } from '../support/redis-server.ts'
import { settle } from './scene.ts'

describe('tags over a shared tier', { skip: !redisInstalled() }, () => {
  let redis: RedisServer
  const opened: Tidemark[] = []
  const open = async (): Promise<Tidemark> => {
    const tide = await createTidemark({ tier: `valkey://127.0.0.1:${redis.port}` })
    opened.push(tide)
    return tide
  }

  before(async () => {
    redis = (await startRedis())!
  })
  after(async () => {
    for (const tide of opened) await tide.close()
    await redis.stop()
  })

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (let i = 0; i < 500; i++) {
      if (await holds()) return
      await wait(10)
    }
    assert.fail(`never: ${what}`)
  }

  test('one process gives up what another holds near', async () => {
    const [a, b] = [await open(), await open()]
    const tags = ['reports', 'daily']
    assert.equal(await a.getOrSet('today', () => 'first', { tags }), 'first')
    await until('b finds it in the tier', async () => (await b.get('today')) === 'first')
    await until('b holds it near', async () => b.values.peek('today') === 'first')
    await a.deleteByTag('reports')
    assert.equal(a.values.peek('today'), undefined)
    await until('b has let it go', async () => b.values.peek('today') === undefined)
    assert.equal(await b.get('today'), undefined)
    assert.equal(await b.getOrSet('today', () => 'second', { tags }), 'second')
    await until('a finds that one', async () => (await a.get('today')) === 'second')
  })

  test('a value without the tag stays', async () => {
    const a = await open()
    await a.getOrSet('kept', () => 1, { tags: ['other'] })
    await a.deleteByTag('unknown')
    await until('it is stored', async () => (await a.get('kept')) === 1)
  })

  test('what is built while its tag is given up is not kept', async () => {
    const [a, b] = [await open(), await open()]
    const building = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const built = a.getOrSet(
      'slow',
      async () => {
        begun.resolve()
        await building.promise
        return 'old'
      },
      { tags: ['slow ones'] },
    )
    await begun.promise
    await b.deleteByTag('slow ones')
    building.resolve()
    assert.equal(await built, 'old')
    await wait(50)
    assert.equal(a.values.peek('slow'), undefined)
    assert.equal(await a.get('slow'), undefined)
    assert.equal(await b.get('slow'), undefined)
    assert.equal(await b.getOrSet('slow', () => 'new', { tags: ['slow ones'] }), 'new')
  })

  test('a value of its own time is over in all of them', async () => {
    const [a, b] = [await open(), await open()]
    await a.getOrSet('brief', () => 'x', { ttl: '300ms' })
    await until('b holds it near', async () => (await b.get('brief')) === 'x')
    await until(
      'and then no more',
      async () => b.values.peek('brief') === undefined && (await b.get('brief')) === undefined,
    )
    await until('nor does a', async () => (await a.get('brief')) === undefined)
  })

  test('a tag that the tier was not told of is not given up: whoever asked for it is told', async () => {
    const own = (await startRedis())!
    const tide = await createTidemark({ tier: `valkey://127.0.0.1:${own.port}` })
    try {
      await tide.getOrSet('today', () => 1, { tags: ['reports'] })
      await tide.deleteByTag('reports')
      await own.stop()
      await assert.rejects(tide.deleteByTag('reports'), { code: 'TIER_UNAVAILABLE' })
    } finally {
      await tide.close()
    }
  })
})

/** The part of it that tags are in does not answer. */
class TierWithoutTags extends TierAround {
  readonly stored: string[] = []

  override lease(...args: Parameters<SharedTier['lease']>) {
    if (args[0].startsWith('#tags:')) throw new TidemarkError('TIER_UNAVAILABLE', 'no tags')
    return super.lease(...args)
  }

  override fill(...args: Parameters<SharedTier['fill']>) {
    this.stored.push(args[0])
    return super.fill(...args)
  }

  override putFenced(...args: Parameters<SharedTier['putFenced']>) {
    if (args[2].payload !== null) this.stored.push(args[0])
    return super.putFenced(...args)
  }
}

test('what cannot be filed under its tags is kept nowhere without them, not even for a moment', async t => {
  const clock = new ManualClock()
  const tier = new TierWithoutTags(new MemoryTier({ clock, lanes: 8 }))
  const { tide } = createTestTidemark({ tier }, { clock })
  t.after(() => tide.close())
  await tide.set('plain', 1)
  assert.ok(tier.stored.includes('values:plain'))
  const tags = ['reports']
  const done = Promise.all([
    tide.set('set', 1, { tags }),
    tide.getOrSet('built', () => 2, { tags }),
    // Whoever asks first builds, for this one too, which may be kept as far as it says itself.
    tide.getOrSet('built', () => 3),
  ])
  await during(clock, done)
  assert.deepEqual((await done).slice(0, 2), [1, 2])
  assert.ok(!tier.stored.includes('values:set'))
  assert.equal(await tide.get('set'), undefined)
  assert.notEqual(await tide.get('built'), 2)
})

async function during(clock: ManualClock, done: Promise<unknown>): Promise<void> {
  const over: unknown[] = []
  void done.finally(() => over.push(true))
  while (over.length === 0) {
    await settle()
    clock.advance(10)
  }
}

/** Processes over one tier, each with a link of its own. */
function processes(t: TestContext, count: number) {
  const clock = new ManualClock()
  const memory = new MemoryTier({ clock, lanes: 8 })
  const links = Array.from({ length: count }, () => new FaultyTier(memory, { clock }))
  const tides = links.map(tier => createTestTidemark({ tier }, { clock }).tide)
  t.after(async () => {
    for (const link of links) link.heal()
    for (const tide of tides) await tide.close()
  })
  return { clock, links, tides }
}

test('who cannot say what a tag is now finds nothing, and leaves it for others', async t => {
  const { clock, links, tides } = processes(t, 2)
  const [a, b] = tides
  await clock.until(a!.set('k', 1, { tags: ['t'] }))
  assert.equal(await clock.until(a!.get('k')), 1)
  links[1]!.delay('100ms', { on: 'lane' })
  assert.equal(await clock.until(b!.get('k')), undefined)
  await clock.pass(500)
  assert.equal(await clock.until(a!.get('k')), 1)
  links[1]!.heal()
  await clock.pass(500)
  assert.equal(await clock.until(b!.get('k')), 1)
})

test('what was set since a tag was given up is answered to who asks beside an outdated build', async t => {
  const { clock, tides } = processes(t, 2)
  const [a, b] = tides
  const gate = Promise.withResolvers<string>()
  const building = a!.getOrSet('k', () => gate.promise, { tags: ['t'] })
  await clock.pass(1)
  await b!.deleteByTag('t')
  await b!.set('k', 'set')
  assert.equal(await clock.until(a!.getOrSet('k', () => 'built')), 'set')
  assert.equal(await clock.until(b!.get('k')), 'set')
  gate.resolve('old')
  assert.equal(await building, 'old')
  await settle()
  assert.equal(await clock.until(b!.get('k')), 'set')
})

test('beside an outdated build others are built without the tier, when it is gone', async t => {
  const { clock, links, tides } = processes(t, 1)
  const [tide] = tides
  const gate = Promise.withResolvers<string>()
  const building = tide!.getOrSet('k', () => gate.promise, { tags: ['t'] })
  await clock.pass(1)
  links[0]!.down()
  await clock.until(assert.rejects(tide!.deleteByTag('t'), { code: 'TIER_UNAVAILABLE' }))
  assert.equal(await clock.until(tide!.getOrSet('k', () => 'built')), 'built')
  gate.resolve('old')
  assert.equal(await clock.until(building), 'old')
})

test('what cannot be kept takes nothing away that others have set meanwhile', async t => {
  const { clock, tides } = processes(t, 2)
  const [a, b] = tides
  const gate = Promise.withResolvers<unknown>()
  const building = a!.getOrSet('k', () => gate.promise)
  await clock.pass(1)
  await b!.set('k', 'set')
  gate.resolve(() => 'no bytes')
  await clock.until(building)
  await settle()
  assert.equal(await clock.until(b!.get('k')), 'set')
})
