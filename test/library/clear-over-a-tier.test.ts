// `clear` of keyspaces whose values are in a shared tier: what one process gives up, all have given up, however late it was stored
// or heard of. Several processes over one tier in memory, by a clock that is moved by hand.
// Not for: tiers that are real (one-tier.test.ts), one process alone (own-values.test.ts, functions.test.ts).
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import type { Keyspace } from '../../src/library/keyspace.ts'
import type { Tidemark } from '../../src/library/tidemark.ts'
import { createTestTidemark, faultyTier, ManualClock, MemoryTier, type FaultyTier } from '../../src/testing/index.ts'
import { Functions, settle } from './scene.ts'

interface Process {
  readonly tide: Tidemark
  /** Its connection. */
  readonly link: FaultyTier
  readonly values: Keyspace
}

class Scene {
  readonly clock = new ManualClock()
  readonly tier = new MemoryTier({ clock: this.clock })
  readonly #t: TestContext

  constructor(t: TestContext) {
    this.#t = t
  }

  /** One that has asked for something, and whose near lanes are known. */
  async open(): Promise<Process> {
    const link = faultyTier(this.tier, { clock: this.clock })
    const { tide } = createTestTidemark({ tier: link }, { clock: this.clock })
    this.#t.after(() => tide.close())
    assert.equal(await tide.get('nothing'), undefined)
    await this.clock.pass(0)
    return { tide, link, values: tide.values }
  }

  async two(): Promise<[Process, Process]> {
    return [await this.open(), await this.open()]
  }

  /** What all of them hold near. */
  async near(key: string, value: unknown, ...processes: readonly Process[]): Promise<void> {
    for (const { values } of processes) {
      assert.equal(await values.get(key), value)
      assert.equal(values.peek(key), value, 'it is near')
    }
  }
}

/** Calls to the tier, of any kind, that `work` has made. */
async function callsOf({ link }: Process, work: () => Promise<unknown>): Promise<number> {
  const before = link.count()
  await work()
  await settle()
  return link.count() - before
}

/** How the tier is asked for the edition of the keyspace. */
function asked({ link }: Process): number {
  return link.calls.filter(({ name, keys }) => name === 'lease' && keys[0] === '#keyspaces:values').length
}

void test('what all processes hold is given up, near and in the tier; other keyspaces stay', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  const [others, othersOfB] = [a.tide.keyspace('others'), b.tide.keyspace('others')]
  await a.values.setMany([['1', 'one'], ['2', 'two']]) // prettier-ignore
  await others.set('1', 'other')
  await s.near('1', 'one', a, b)
  await a.values.clear()
  assert.equal(b.values.peek('1'), undefined, 'b was told')
  for (const { values } of [a, b]) {
    assert.equal(await values.get('1'), undefined)
    assert.equal(await values.get('2'), undefined, 'b never had it')
  }
  assert.equal(await othersOfB.get('1'), 'other')
  assert.equal(await b.values.getOrSet('1', () => 'new'), 'new')
  await settle()
  await s.near('1', 'new', a, b)
})

void test('a value that is set after it is there, and cleared by the next one', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  for (const [clearing, setting] of [
    [a, a],
    [a, b],
    [b, a],
    [b, b],
  ] as const) {
    await setting.values.set('key', 'before')
    await clearing.values.clear()
    await setting.values.set('key', 'after')
    await s.near('key', 'after', a, b)
  }
})

void test('in this process it is so when the call returns', async t => {
  const s = new Scene(t)
  const [a] = await s.two()
  await a.values.set('key', 1)
  await s.near('key', 1, a)
  const clearing = a.values.clear()
  assert.equal(a.values.peek('key'), undefined)
  await clearing
})

void test('what functions gave is loaded again, and that they had nothing is asked again', async t => {
  const s = new Scene(t)
  const source = new Functions({ 1: 'one' })
  const [a, b] = (await s.two()).map(({ tide }) => tide.keyspace('users', { source, ttl: '1h', missingTtl: '1h' }))
  for (const users of [a!, b!]) {
    assert.equal(await users.get('1'), 'one')
    await settle()
    assert.equal(await users.get('2'), undefined)
    await settle()
  }
  assert.equal(source.loads.length, 2)
  source.rows.set('1', 'other').set('2', 'new')
  await a!.clear()
  for (const users of [b!, a!]) {
    assert.equal(await users.get('1'), 'other')
    assert.equal(await users.get('2'), 'new')
    await settle()
  }
  assert.equal(source.loads.length, 4)
})

void test('a load that began before it is answered, and neither kept nor joined, in any process', async t => {
  const s = new Scene(t)
  const source = new Functions({ 1: 'old' })
  const [a, b] = (await s.two()).map(({ tide }) => tide.keyspace('users', { source, ttl: '1h' }))
  for (const [loading, clearing] of [
    [a!, b!],
    [b!, a!],
    [a!, a!],
  ] as const) {
    source.rows.set('1', 'old')
    const release = source.hold('after')
    const loaded = loading.get('1')
    await settle()
    source.rows.set('1', 'new')
    await clearing.clear()
    source.after = () => Promise.resolve()
    assert.equal(await loading.get('1'), 'new', 'it does not wait for the load of before')
    await settle()
    release()
    assert.equal(await loaded, 'old')
    await settle()
    for (const users of [loading, clearing]) assert.equal(await users.get('1'), 'new')
    await clearing.clear()
  }
})

void test('a build that began before it is answered to those who wait, and not kept', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  for (const clearing of [a, b]) {
    const { promise, resolve } = Promise.withResolvers<string>()
    const building = a.values.getOrSet('key', () => promise)
    await settle()
    await clearing.values.clear()
    assert.equal(await a.values.getOrSet('key', () => 'new'), 'new')
    await settle()
    resolve('old')
    assert.equal(await building, 'old')
    await settle()
    assert.equal(await a.values.get('key'), 'new')
    assert.equal(await b.values.get('key'), 'new')
    await clearing.values.clear()
  }
})

void test('a build that fills the tier although it has not heard of it is found by nobody', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  const { promise, resolve } = Promise.withResolvers<string>()
  const building = b.values.getOrSet('key', () => promise)
  await settle()
  const end = b.link.loseMessages()
  await a.values.clear()
  resolve('old')
  assert.equal(await building, 'old')
  await settle()
  assert.equal(s.tier.read(['values:key'])[0]!.record?.type, 'value', 'it is in the tier')
  assert.equal(await a.values.get('key'), undefined)
  end()
  assert.equal(b.values.peek('key'), undefined)
  assert.equal(await b.values.get('key'), undefined)
})

void test('a write that began before it and ends after it is not kept', async t => {
  const s = new Scene(t)
  const source = new Functions()
  const [a, b] = (await s.two()).map(({ tide }) => tide.keyspace('users', { source, ttl: '1h' }))
  await a!.get('warm')
  const release = source.hold()
  const storing = a!.set('1', 'stored')
  await settle()
  await b!.clear()
  release()
  await storing
  await settle()
  source.rows.set('1', 'behind the back')
  assert.equal(a!.peek('1'), undefined)
  assert.equal(await a!.get('1'), 'behind the back')
})

void test('what was read before it and arrives after it is not near', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  await a.values.set('key', 'old')
  const release = b.link.hang({ on: 'read', after: true })
  const reading = b.values.get('key')
  await settle()
  await a.values.clear()
  release()
  await reading
  await settle()
  assert.equal(b.values.peek('key'), undefined)
  assert.equal(await b.values.get('key'), undefined)
})

void test('what filled the tier before it, and hears that after it, is not near', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  await b.values.set('other', 0)
  const release = b.link.hang({ on: 'fill', after: true, times: 1 })
  assert.equal(await b.values.getOrSet('key', () => 'old'), 'old')
  await settle()
  await a.values.clear()
  // It knows what has come after it.
  await b.values.set('other', 1)
  release()
  await settle()
  assert.equal(b.values.peek('key'), undefined)
  assert.equal(await b.values.get('key'), undefined)
})

void test('a load whose lease could not be given back is of the edition in which it began', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  const { promise, resolve } = Promise.withResolvers<string>()
  const building = b.values.getOrSet('key', () => promise)
  await settle()
  b.link.fail(1, { on: 'hold' })
  await a.values.clear()
  await s.clock.pass(limits.tierRetryMs)
  await b.values.set('other', 1)
  resolve('old')
  assert.equal(await building, 'old')
  await settle()
  assert.equal(s.tier.read(['values:key'])[0]!.record?.type, 'value', 'it is in the tier')
  for (const { values } of [a, b]) assert.equal(await values.get('key'), undefined)
})

void test('who has not heard of it and finds what came after it believes that, and gives up the rest', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  await a.values.setMany([['1', 'one'], ['2', 'two']]) // prettier-ignore
  await s.near('1', 'one', a, b)
  const end = b.link.loseMessages({ unnoticed: true })
  await a.values.clear()
  await a.values.set('2', 'new')
  assert.equal(b.values.peek('1'), 'one', 'it has not heard')
  assert.equal(await b.values.get('2'), 'new')
  assert.equal(await b.values.get('1'), undefined)
  end()
  assert.equal(await a.values.get('2'), 'new', 'b has not thrown it away')
})

void test('messages that are late are heard in the end', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  await a.values.set('key', 'old')
  await s.near('key', 'old', a, b)
  b.link.delayMessages('50ms')
  await a.values.clear()
  assert.equal(b.values.peek('key'), 'old')
  await s.clock.pass('50ms')
  assert.equal(b.values.peek('key'), undefined)
})

void test('who may have missed messages gives up all that it holds of the keyspace, and asks the tier each time until it hears again', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  await a.values.set('key', 'old')
  await s.near('key', 'old', a, b)
  const end = b.link.loseMessages()
  await a.values.clear()
  end()
  assert.equal(b.values.peek('key'), undefined)
  assert.equal(await b.values.get('key'), undefined)
  await a.values.set('key', 'new')
  await s.clock.pass(0)
  await s.near('key', 'new', a, b)
})

void test('nothing is asked for it in the steady state', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  await a.values.set('key', 1)
  await s.near('key', 1, a, b)
  assert.equal(await callsOf(b, async () => b.values.get('key')), 0, 'a hit')
  await a.values.set('another', 1)
  assert.equal(await callsOf(b, async () => b.values.get('another')), 1, 'one read')
  assert.equal(await callsOf(b, async () => b.values.set('another', 2)), 2, 'a fence and what takes its place')
  assert.equal(await callsOf(b, async () => b.values.getOrSet('third', () => 3)), 3, 'a look, a lease and a fill')
  assert.equal(await callsOf(b, async () => b.values.clear()), 1, 'one word, whatever there is')
})

void test('records of before cost one question in all, and not one each', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  const keys = Array.from({ length: 20 }, (_, i) => String(i))
  await a.values.setMany(keys.map(key => [key, key] as const))
  await a.values.clear()
  const before = asked(b)
  for (const key of keys) assert.equal(await b.values.get(key), undefined)
  assert.equal(asked(b) - before, 1)
})

void test('a tier that makes room for others keeps it: it is asked for now and then, and put back', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  await a.values.set('key', 'kept')
  await s.near('key', 'kept', a, b)
  s.tier.evict('#keyspaces:values')
  await s.clock.pass(limits.editionSeenEveryMs)
  await a.values.getOrSet('other', () => 1)
  await settle()
  const third = await s.open()
  await s.near('key', 'kept', a, b, third)
  await third.values.clear()
  for (const { values } of [a, b, third]) assert.equal(await values.get('key'), undefined)
})

void test('nobody puts back what was cleared and has not been heard of', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  await a.values.set('key', 'old')
  await s.near('key', 'old', a, b)
  b.link.delayMessages('20ms')
  await s.clock.pass(limits.editionSeenEveryMs)
  await a.values.clear()
  // It is due to look, finds nothing, and has not heard why.
  const looking = b.values.getOrSet('other', () => 1)
  await settle()
  await s.clock.pass('100ms')
  await looking
  const third = await s.open()
  for (const { values } of [third, a, b]) assert.equal(await values.get('key'), undefined)
})

void test('if it is lost before anybody sees that, values of before are not there, and all agree again', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  await a.values.set('key', 'old')
  await s.near('key', 'old', a)
  s.tier.evict('#keyspaces:values')
  const third = await s.open()
  assert.equal(await third.values.get('key'), undefined)
  await third.values.set('key', 'new')
  await s.near('key', 'new', a, b, third)
  await b.values.clear()
  for (const { values } of [a, b, third]) assert.equal(await values.get('key'), undefined)
})

void test('a failover that takes the lanes along begins anew', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  await a.values.set('key', 'old')
  await s.near('key', 'old', a, b)
  s.tier.moveToShard('another')
  assert.equal(await a.values.getOrSet('other', () => 1), 1)
  await s.clock.pass('1s')
  await a.values.set('key', 'new')
  assert.equal(await b.values.get('key'), 'new')
  await a.values.clear()
  assert.equal(await b.values.get('key'), undefined)
})

void test('a tier that is gone: this process gives up what it holds, others are not told, and whoever asked is', async t => {
  const s = new Scene(t)
  const [a, b] = await s.two()
  await a.values.set('key', 'old')
  await s.near('key', 'old', a, b)
  const up = a.link.down()
  const clearing = assert.rejects(a.values.clear(), { code: 'TIER_UNAVAILABLE' })
  assert.equal(a.values.peek('key'), undefined)
  await clearing
  assert.equal(b.values.peek('key'), 'old')
  up()
  await s.clock.pass('1s')
  await a.values.clear()
  assert.equal(b.values.peek('key'), undefined)
  assert.equal(await b.values.get('key'), undefined)
})

void test('a tier that hangs holds it up no longer than any call', async t => {
  const s = new Scene(t)
  const [a] = await s.two()
  const release = a.link.hang({ on: 'voidKey' })
  let ended = false
  const clearing = assert.rejects(a.values.clear(), { code: 'TIER_UNAVAILABLE' }).finally(() => {
    ended = true
  })
  await s.clock.pass(limits.tierTimeoutMs - 1)
  assert.equal(ended, false)
  await s.clock.pass(1)
  await clearing
  release()
})

void test('a tier that cannot say of which edition a keyspace is answers nothing of it, and loses nothing either', async t => {
  const s = new Scene(t)
  const [a] = await s.two()
  await a.values.set('key', 'kept')
  const b = await s.open()
  const lost = b.link.loseMessages()
  lost()
  const failing = b.link.fail(Infinity, { on: 'lease' })
  assert.equal(await b.values.get('key'), undefined)
  assert.equal(await b.values.getOrSet('key', () => 'built'), 'built')
  failing()
  await s.clock.pass('1s')
  assert.equal(await b.values.get('key'), 'kept')
  assert.equal(await a.values.get('key'), 'kept')
})

void test('after the cache is closed it rejects', async t => {
  const s = new Scene(t)
  const [a] = await s.two()
  await a.tide.close()
  await assert.rejects(a.values.clear(), { code: 'SHUTTING_DOWN' })
})
