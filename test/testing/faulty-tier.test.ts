// A shared tier with faults, of one process and of two, without a server. It is under the contract of tiers itself.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Tidemark } from '../../src/library/tidemark.ts'
import {
  createTestTidemark,
  faultyTier,
  ManualClock,
  MemoryTier,
  tierContract,
  type FaultyTier,
} from '../../src/testing/index.ts'

interface Scene {
  readonly clock: ManualClock
  /** Two processes, and what each reaches the tier by. */
  readonly a: Tidemark
  readonly b: Tidemark
  readonly toA: FaultyTier
  readonly toB: FaultyTier
}

async function scene(t: TestContext): Promise<Scene> {
  const clock = new ManualClock()
  const memory = new MemoryTier({ clock })
  const [toA, toB] = [faultyTier(memory, { clock }), faultyTier(memory, { clock })]
  const [a, b] = [toA, toB].map(tier => createTestTidemark({ tier }, { clock }).tide) as [Tidemark, Tidemark]
  t.after(() => Promise.all([a.close(), b.close()]))
  await a.set('key', 1)
  assert.equal(await b.get('key'), 1)
  await clock.pass(0)
  assert.equal(b.values.peek('key'), 1)
  return { clock, a, b, toA, toB }
}

tierContract('a FaultyTier without faults', () => {
  const clock = new ManualClock()
  return { tier: faultyTier(new MemoryTier({ clock }), { clock }), clock }
}, ['checkpoint', 'moveToShard']) // prettier-ignore

void test('a tier that is down for one process is there for the others, which hear of it afterwards', async t => {
  const { a, b, toB, clock } = await scene(t)
  const up = toB.down()
  await a.set('key', 2)
  assert.equal(b.values.peek('key'), 1, 'b cannot know')
  let builds = 0
  assert.equal(await b.getOrSet('other', () => ++builds), 1)
  assert.equal(await a.get('key'), 2)
  up()
  assert.equal(b.values.peek('key'), undefined, 'b knows that it missed something')
  await clock.pass('1s')
  assert.equal(await b.get('key'), 2)
})

void test('a tier that hangs, or answers later than anybody waits, holds nobody up', async t => {
  for (const how of ['hang', 'delay', 'late'] as const) {
    const { b, toB, clock } = await scene(t)
    if (how === 'hang') toB.hang()
    else toB[how]('1h')
    let answer: unknown
    void b.getOrSet('other', () => 'built').then(value => (answer = value))
    await clock.pass('2s')
    assert.equal(answer, 'built', how)
    toB.heal()
  }
})

void test('messages that are lost unnoticed are found out by the next one of the lane', async t => {
  const { a, b, toB } = await scene(t)
  const end = toB.loseMessages({ unnoticed: true })
  await a.set('key', 2)
  assert.equal(b.values.peek('key'), 1)
  end()
  assert.equal(b.values.peek('key'), 1, 'nobody told b')
  await a.set('key', 3)
  assert.equal(b.values.peek('key'), undefined)
  assert.equal(await b.get('key'), 3)
})

void test('messages that were lost are told of when they come again', async t => {
  const { a, b, toB } = await scene(t)
  const end = toB.loseMessages()
  await a.set('key', 2)
  assert.equal(b.values.peek('key'), 1)
  end()
  end()
  assert.equal(b.values.peek('key'), undefined)
})

void test('messages come late, in their order', async t => {
  const { a, b, toB, clock } = await scene(t)
  toB.delayMessages('5s')
  await a.set('key', 2)
  toB.delayMessages('1s')
  await a.set('key', 3)
  await clock.pass('4999ms')
  assert.equal(b.values.peek('key'), 1)
  await clock.pass('1ms')
  assert.equal(b.values.peek('key'), undefined)
  assert.equal(await b.get('key'), 3)
})

void test('messages that are under way when they are lost, or when the connection is closed, never come', async t => {
  const { a, b, toB, clock } = await scene(t)
  const heard: number[] = []
  await toB.subscribe({ message: lane => void heard.push(lane), lost: () => {} })
  toB.delayMessages('1s')
  await a.set('key', 2)
  const end = toB.loseMessages({ unnoticed: true })
  await clock.pass('1s')
  end()
  assert.equal(b.values.peek('key'), 1)
  await a.set('key', 3)
  await toB.close()
  await clock.pass('1s')
  assert.deepEqual(heard, [])
})

void test('a reply that is lost has had its effect', async t => {
  const { a, toA, clock } = await scene(t)
  toA.fail(1, { on: 'putFenced', after: true })
  await a.set('key', 5)
  await clock.pass('1s')
  assert.equal(await a.get('key'), 5)
  assert.ok(toA.count('putFenced') >= 2)
  assert.ok(toA.calls.some(({ name, keys }) => name === 'putFenced' && keys[0] === 'values:key'))
})

void test('healing ends everything', async t => {
  const { a, b, toB, clock } = await scene(t)
  toB.down()
  toB.hang()
  toB.delayMessages('1h')
  await a.set('key', 2)
  toB.heal()
  assert.equal(b.values.peek('key'), undefined)
  await clock.pass('1s')
  assert.equal(await b.get('key'), 2)
  await clock.pass(0)
  await a.set('key', 3)
  assert.equal(b.values.peek('key'), undefined)
})
