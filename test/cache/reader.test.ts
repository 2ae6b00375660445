// The read path in front of a shared tier: near, tier, source, and what becomes of it when any of them is slow or gone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { limits } from '../../src/base/limits.ts'
import { BOUND_MS, EPOCH, settle, SharedScene } from './two-nodes.ts'

const KEY = 'users:1'

await test('a row comes from the source once, then from memory, and to another node from the tier', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  assert.deepEqual(await s.one.ask(KEY).then(({ text, tier, stale }) => [text, tier, stale]), ['a', 'source', false])
  await settle()
  assert.equal(await s.one.where(KEY), 'near')
  assert.equal(await s.two.where(KEY), 'tier')
  assert.equal(await s.two.where(KEY), 'near')
  assert.deepEqual(s.database.loads, [['1']])
})

await test('a row that does not exist is remembered as missing, near and in the tier', async () => {
  const s = await SharedScene.open()
  assert.equal(await s.one.read(KEY), null)
  await settle()
  assert.deepEqual([await s.one.where(KEY), await s.two.where(KEY)], ['near', 'tier'])
  assert.equal(await s.two.read(KEY), null)
})

await test('an answer says as of when it is proved, and a proof gets older with the clock alone', async () => {
  const s = await SharedScene.open()
  await s.one.read(KEY)
  await s.tick()
  const { asOfMs } = await s.one.ask(KEY)
  assert.ok(s.clock.monotonicMs() - asOfMs <= 110)
  await s.pass(200, false)
  const later = await s.one.ask(KEY)
  assert.equal(later.tier, 'near')
  assert.equal(later.asOfMs, asOfMs)
})

await test('a change from outside leaves both nodes with the tide, and is read by both', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  await s.one.read(KEY)
  await s.two.read(KEY)
  s.database.set('1', 'b')
  s.tide()
  assert.deepEqual([await s.one.read(KEY), await s.two.read(KEY)], ['b', 'b'])
  assert.equal(s.database.loads.length, 2)
})

await test('past the bound, with the tide at a standstill, the source is read, and nothing is served as fresh', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  await s.one.read(KEY)
  s.database.set('1', 'b')
  await s.pass(BOUND_MS + 200, false)
  const answer = await s.one.ask(KEY)
  assert.deepEqual([answer.text, answer.tier, answer.stale], ['b', 'source', false])
})

await test("past the bound 'serve' answers what is there and says so, and 'fail' fails", async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  await s.one.read(KEY)
  await s.pass(BOUND_MS + 200, false)
  const answer = await s.one.ask(KEY, { whenStale: 'serve' })
  assert.deepEqual([answer.text, answer.tier, answer.stale], ['a', 'tier', true])
  await assert.rejects(s.one.ask(KEY, { whenStale: 'fail' }), { code: 'STALE' })
})

await test('a call with a tighter bound than the keyspace reads the source where the proof is not that young', async () => {
  const s = await SharedScene.open()
  await s.one.read(KEY)
  await s.tick()
  await s.pass(100, false)
  assert.equal(await s.one.where(KEY), 'near')
  assert.equal(await s.one.where(KEY, { maxStalenessMs: 20 }), 'source')
})

await test('a call that allows no staleness never shares a query sent before it', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  const held = Promise.withResolvers<void>()
  s.database.held = held.promise
  const early = s.one.ask(KEY, { maxStalenessMs: 0 })
  await settle()
  s.database.set('1', 'b')
  s.database.held = undefined
  assert.equal(await s.one.read(KEY, { maxStalenessMs: 0 }), 'b')
  held.resolve()
  assert.equal((await early).text, 'a')
})

await test('concurrent misses in two nodes are one query', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  const held = Promise.withResolvers<void>()
  s.database.held = held.promise
  const reads = Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? s.one : s.two).read(KEY))
  await s.pass(100)
  held.resolve()
  await s.pass(100)
  for (const text of await Promise.all(reads)) assert.equal(text, 'a')
  assert.deepEqual(s.database.loads, [['1']])
})

await test('many who ask for keys of a lane in one turn ask the tier once; nobody shares a look begun before', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  await s.two.read(KEY)
  await settle()
  const other = Array.from({ length: 20 }, (_, i) => `users:${i + 2}`).find(key => s.laneOf(key) === s.laneOf(KEY))!
  await s.two.read(other)
  await settle()
  s.one.network.asked.length = 0
  const held = Promise.withResolvers<void>()
  s.one.network.held = held.promise
  const early = [...Array.from({ length: 100 }, () => s.one.read(KEY)), s.one.read(other)]
  await settle()
  assert.deepEqual(s.one.network.asked, ['read'])
  await s.two.set(KEY, 'b')
  s.one.network.held = undefined
  assert.equal(await s.one.read(KEY), 'b')
  assert.deepEqual(s.one.network.asked, ['read', 'read'])
  held.resolve()
  assert.deepEqual([...new Set(await Promise.all(early))], ['a', null])
  assert.equal(await s.one.read(KEY), 'b', 'the early ones bring nothing back near')
})

await test('whoever waits too long for another node loads by itself, without filling', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  const held = Promise.withResolvers<void>()
  s.database.held = held.promise
  const first = s.one.read(KEY)
  await settle()
  s.database.held = undefined
  const second = s.two.ask(KEY)
  await s.pass(limits.fillWaitMs + 50)
  assert.deepEqual([(await second).text, (await second).tier], ['a', 'source'])
  assert.equal(s.two.network.asked.filter(method => method === 'fill').length, 0)
  // Pauses grow: some looks, not one a millisecond.
  assert.ok(s.two.network.asked.filter(method => method === 'read').length < 20)
  held.resolve()
  assert.equal(await first, 'a')
})

await test('a load in flight is not shared once something has happened to its key', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  const held = Promise.withResolvers<void>()
  s.database.held = held.promise
  const early = s.one.read(KEY)
  await settle()
  s.database.set('1', 'b')
  s.tide()
  s.database.held = undefined
  assert.equal(await s.one.read(KEY), 'b')
  held.resolve()
  assert.equal(await early, 'a')
  await settle()
  assert.equal(await s.one.read(KEY), 'b')
})

await test('a load in flight is not shared past the bound, where nothing vouches for the lane', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  const held = Promise.withResolvers<void>()
  s.database.held = held.promise
  const early = s.one.read(KEY)
  await settle()
  await s.pass(200, false)
  s.database.set('1', 'b')
  s.database.held = undefined
  const strict = s.one.read(KEY, { maxStalenessMs: 100 })
  const lax = s.one.read(KEY, { maxStalenessMs: 10_000 })
  await settle()
  held.resolve()
  assert.deepEqual(await Promise.all([early, strict, lax]), ['a', 'b', 'a'])
})

await test('a load in flight is not shared if it came from another database than the lane is of', async () => {
  const s = await SharedScene.open()
  await s.tick()
  const held = Promise.withResolvers<void>()
  s.database.held = held.promise
  const early = s.one.read(KEY)
  await settle()
  await s.pass(10)
  s.database.held = undefined
  s.database.answersAs = 6n
  const late = s.one.read(KEY)
  await settle()
  held.resolve()
  await Promise.all([early, late])
  assert.equal(s.database.loads.length, 2)
})

await test('a session does not share a load that may not have seen what it has', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  const held = Promise.withResolvers<void>()
  s.database.held = held.promise
  const early = s.one.read(KEY)
  await settle()
  s.database.set('1', 'b')
  s.database.held = undefined
  const { session } = await s.two.ask(KEY, { maxStalenessMs: 0 })
  const late = s.one.read(KEY, { session })
  await settle()
  held.resolve()
  assert.deepEqual(await Promise.all([early, late]), ['a', 'b'])
})

await test('a session is not answered by what may be older than what it has seen, near or in the tier', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  await s.one.read(KEY)
  await s.two.read(KEY)
  await settle()
  s.database.set('1', 'b')
  const seen = await s.one.ask(KEY, { maxStalenessMs: 0 })
  assert.equal(seen.text, 'b')
  assert.equal(await s.two.read(KEY), 'a', 'within the bound')
  assert.equal(await s.two.read(KEY, { session: seen.session }), 'b')
  s.tide()
  await s.two.read(KEY)
  await settle()
  assert.equal(await s.two.where(KEY, { session: seen.session }), 'near')
})

await test('a session of another epoch is answered by the source', async () => {
  const s = await SharedScene.open()
  await s.one.read(KEY)
  await s.tick()
  assert.equal(await s.one.where(KEY, { session: { epoch: 6n, position: 1n } }), 'source')
})

await test('messages lost: nothing near is served until the lane is known again', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  await s.one.read(KEY)
  await settle()
  const mend = s.tier.cutMessages()
  s.database.set('1', 'b')
  s.tide()
  assert.equal(await s.one.read(KEY), 'a', 'still proved within the bound')
  mend()
  assert.equal(s.one.near.find(KEY), undefined)
  assert.equal(await s.one.read(KEY), 'b')
  await s.tick()
  await s.one.read(KEY)
  assert.equal(await s.one.where(KEY), 'near')
})

await test('a tier that hangs costs one bounded wait, and after that nothing until it is tried again', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  s.one.network.state = 'hangs'
  const first = s.one.ask(KEY)
  await settle()
  await s.pass(limits.tierTimeoutMs)
  assert.deepEqual([(await first).text, (await first).tier], ['a', 'source'])
  const before = s.one.network.asked.length
  assert.equal(await s.one.where(KEY), 'source', 'at once: no time has passed')
  assert.equal(s.one.network.asked.length, before)
  s.one.network.state = 'up'
  await s.pass(limits.tierRetryMs + 10)
  await s.one.read(KEY)
  await settle()
  assert.equal(await s.one.where(KEY), 'near')
})

await test('a tier that always answers too late is left alone like one that hangs', async () => {
  const s = await SharedScene.open()
  await s.tick()
  const held = Promise.withResolvers<void>()
  s.one.network.held = held.promise
  const first = s.one.where(KEY)
  await settle()
  await s.pass(limits.tierTimeoutMs)
  assert.equal(await first, 'source')
  s.one.network.asked.length = 0
  held.resolve()
  await settle()
  assert.equal(await s.one.where(KEY), 'source')
  assert.equal(s.one.network.asked.length, 0)
})

await test('a tier that fails is left alone, but for one call now and then, and each lane for itself', async () => {
  const s = await SharedScene.open()
  await s.tick()
  s.one.network.state = 'fails'
  s.one.network.asked.length = 0
  for (let i = 0; i < 20; i++) assert.equal(await s.one.where(KEY), 'source')
  assert.equal(s.one.network.asked.length, 1)
  const other = ['users:2', 'users:3', 'users:4', 'users:5'].find(key => s.laneOf(key) !== s.laneOf(KEY))!
  await s.one.read(other)
  assert.equal(s.one.network.asked.length, 2)
  await s.pass(limits.tierRetryMs + 10)
  for (let i = 0; i < 20; i++) await s.one.read(KEY)
  assert.equal(s.one.network.asked.length, 3)
})

await test('while the tier is gone, near entries are served within the bound, and past it where stale ones may be', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  await s.one.read(KEY)
  await s.tick()
  s.one.network.state = 'fails'
  assert.equal(await s.one.where(KEY), 'near')
  await s.pass(BOUND_MS + 200, false)
  const served = await s.one.ask(KEY, { whenStale: 'serve' })
  assert.deepEqual([served.text, served.tier, served.stale], ['a', 'near', true])
  assert.equal(await s.one.where(KEY), 'source')
})

await test('a lane without a header: the source answers, and nothing is stored', async () => {
  const s = await SharedScene.open()
  s.tier.loseHeader(s.laneOf(KEY))
  assert.equal(await s.one.where(KEY), 'source')
  assert.equal(await s.one.where(KEY), 'source')
})

await test('a load that fails rejects everyone, and the next reader need not wait for its lease', async () => {
  const s = await SharedScene.open()
  s.database.failure = new TidemarkError('SOURCE_FAILED', 'disk on fire')
  const reads = [s.one.read(KEY), s.two.read(KEY)]
  const all = Promise.allSettled(reads)
  await s.pass(limits.fillWaitMs + 50)
  for (const { status } of await all) assert.equal(status, 'rejected')
  s.database.failure = undefined
  await s.pass(limits.tierRetryMs)
  assert.equal(await s.two.read(KEY), null)
  await settle()
  assert.equal(await s.one.where(KEY), 'tier')
})

await test('queries under way are bounded; the rows that wait are gathered, and too many are refused', async () => {
  const s = await SharedScene.open()
  const held = Promise.withResolvers<void>()
  s.database.held = held.promise
  const strong = { maxStalenessMs: 0 }
  const reads: Promise<unknown>[] = []
  for (let i = 0; i < limits.sourceLoadsMax + 10; i++) {
    reads.push(s.one.read(`users:${i}`, strong))
    await settle()
  }
  assert.equal(s.database.loads.length, limits.sourceLoadsMax)
  const first = reads.length
  for (let i = 0; i < limits.sourceWaitingRowsMax; i++) reads.push(s.one.read(`users:${1_000 + i}`, strong))
  const outcomes = Promise.allSettled(reads)
  await settle()
  held.resolve()
  s.database.held = undefined
  const refused = (await outcomes).filter(outcome => outcome.status === 'rejected')
  assert.equal(refused.length, 10)
  for (const { reason } of refused) assert.equal((reason as TidemarkError).code, 'SOURCE_OVERLOADED')
  assert.ok(first > limits.sourceLoadsMax)
  for (const batch of s.database.loads) assert.ok(batch.length <= limits.loadBatchMax)
})

await test('a machine that was suspended serves nothing on the strength of what was proved before', async () => {
  const s = await SharedScene.open()
  s.database.set('1', 'a')
  await s.tick()
  await s.one.read(KEY)
  assert.equal(await s.one.where(KEY), 'near')
  s.database.set('1', 'b')
  s.clock.jumpWall(3_600_000)
  assert.equal(await s.one.read(KEY), 'b')
  assert.deepEqual(s.one.sampler.samples(), [])
  await s.tick()
  await s.one.read(KEY)
  await settle()
  assert.equal(await s.one.where(KEY), 'near')
})

/** Keys of one lane that no test has asked for yet. */
function strangers(s: SharedScene, count: number): string[] {
  const keys = Array.from({ length: 40 * count }, (_, i) => `users:${100 + i}`)
  return keys.filter(key => s.laneOf(key) === s.laneOf(KEY)).slice(0, count)
}

/** From here on the node's looks take a lease along. */
async function missOften(s: SharedScene): Promise<void> {
  for (const key of strangers(s, limits.absentShareLooks)) await s.one.read(key)
  await settle()
  s.one.network.asked.length = 0
}

await test('where looks often find nothing, a miss is one trip to the tier, and a load', async () => {
  const s = await SharedScene.open()
  const [first] = strangers(s, 1)
  s.one.network.asked.length = 0
  await s.one.read(first!)
  await settle()
  assert.deepEqual(s.one.network.asked, ['read', 'lease', 'fill'])
  await missOften(s)
  s.database.set('1', 'a')
  s.tide()
  assert.equal(await s.one.read(KEY), 'a')
  await settle()
  assert.deepEqual(s.one.network.asked, ['lease', 'fill'])
  assert.deepEqual([await s.one.where(KEY), await s.two.where(KEY)], ['near', 'tier'])
})

await test('where looks find what they look for, they take no lease along any more', async () => {
  const s = await SharedScene.open()
  await s.tick()
  await missOften(s)
  const keys = strangers(s, 2 * limits.absentShareLooks).slice(limits.absentShareLooks)
  for (const key of keys) await s.two.read(key)
  await settle()
  for (const key of keys) assert.equal(await s.one.where(key), 'tier')
  const { asked } = s.one.network
  assert.equal(asked[0], 'lease')
  assert.equal(asked.at(-1), 'read')
  // What a look finds is all that is asked for, in either way.
  assert.equal(asked.length, keys.length)
})

await test('all who miss a key in one turn have one lease between them, and one query; a value that is there is had by all', async () => {
  const s = await SharedScene.open()
  await s.tick()
  await missOften(s)
  const held = Promise.withResolvers<void>()
  s.database.set('1', 'a')
  s.tide()
  s.database.loads.length = 0
  s.database.held = held.promise
  const reads = Array.from({ length: 100 }, () => s.one.read(KEY))
  await settle()
  assert.deepEqual(s.one.network.asked, ['lease'])
  const later = [s.one.read(KEY), s.two.read(KEY)]
  await settle()
  held.resolve()
  await s.pass(100)
  assert.deepEqual([...new Set(await Promise.all([...reads, ...later]))], ['a'])
  assert.deepEqual(s.database.loads, [['1']])
  assert.equal(s.one.network.asked.filter(method => method === 'fill').length, 1)
})

await test('a lease that was taken along is void when its load fails, and lapses when its look was given up', async () => {
  const s = await SharedScene.open()
  await missOften(s)
  s.database.failure = new TidemarkError('SOURCE_FAILED', 'disk on fire')
  await assert.rejects(s.one.read(KEY), { code: 'SOURCE_FAILED' })
  await settle()
  assert.equal(s.tier.read([KEY])[0]!.record, undefined)
  s.database.failure = undefined
  const held = Promise.withResolvers<void>()
  s.one.network.held = held.promise
  const given = s.one.where(KEY)
  await settle()
  await s.pass(limits.tierTimeoutMs)
  assert.equal(await given, 'source')
  assert.equal(s.tier.read([KEY])[0]!.record?.type, 'lease')
  s.one.network.held = undefined
  held.resolve()
  await s.pass(limits.leaseMs)
  await s.two.read(KEY)
  await settle()
  assert.equal(s.tier.read([KEY])[0]!.record?.type, 'value')
})

await test('a look that takes a lease along finds the lane of another epoch, and what is there: it loads, and fills nothing', async () => {
  const s = await SharedScene.open()
  await missOften(s)
  const lane = s.laneOf(KEY)
  const expected = s.tier.lane(lane)
  s.tier.reset(lane, { expected, to: 1_000n, generation: { epoch: EPOCH + 1n, nonce: 99 } })
  assert.equal(await s.one.where(KEY), 'source')
  await settle()
  assert.deepEqual(s.one.network.asked, ['lease'])
  assert.equal(s.tier.read([KEY])[0]!.record, undefined)
})
