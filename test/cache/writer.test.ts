// The write path in front of a shared tier, with and without a log.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { limits } from '../../src/base/limits.ts'
import { EPOCH, settle, SharedScene } from './two-nodes.ts'

const KEY = 'users:1'

await test('a row that was written is in the tier when the write is acknowledged, for every node', async () => {
  const s = await SharedScene.open()
  await s.one.set(KEY, 'a')
  assert.deepEqual([await s.one.where(KEY), await s.two.where(KEY)], ['tier', 'tier'])
  assert.equal(await s.two.read(KEY), 'a')
  assert.deepEqual(s.database.loads, [])
})

await test('whoever wrote does not read the row of before, though no message has come', async () => {
  const s = await SharedScene.open()
  await s.one.set(KEY, 'a')
  await s.one.read(KEY)
  assert.equal(await s.one.where(KEY), 'near')
  const mend = s.tier.cutMessages()
  await s.one.set(KEY, 'b')
  assert.equal(await s.one.read(KEY), 'b')
  mend()
})

await test('a read that began before a write of the same node does not bring the old row back near', async () => {
  const s = await SharedScene.open()
  await s.two.set(KEY, 'a')
  const held = Promise.withResolvers<void>()
  s.one.network.held = held.promise
  const early = s.one.read(KEY)
  await settle()
  s.one.network.held = undefined
  await s.one.set(KEY, 'b')
  held.resolve()
  assert.equal(await early, 'a')
  assert.equal(s.one.near.find(KEY), undefined)
  assert.equal(await s.one.read(KEY), 'b')
})

await test('a session that wrote reads what it wrote, everywhere', async () => {
  const s = await SharedScene.open()
  await s.two.set(KEY, 'a')
  await s.two.read(KEY)
  const mend = s.tier.cutMessages()
  const { session } = await s.one.writer.write([{ key: KEY, operation: { kind: 'replace', row: Buffer.from('b') } }])
  assert.equal(await s.two.read(KEY), 'a', 'near, within the bound')
  assert.equal(await s.two.read(KEY, { session }), 'b')
  mend()
})

await test('a row that may not be what its transaction left behind is voided', async () => {
  const s = await SharedScene.open()
  await s.one.set(KEY, 'a')
  s.database.inexact = true
  await s.one.set(KEY, 'b')
  assert.equal(await s.one.where(KEY), 'source')
})

await test('of several writes of a row in one transaction the last one is kept', async () => {
  const s = await SharedScene.open()
  const write = (text: string) => ({ key: KEY, operation: { kind: 'replace', row: Buffer.from(text) } as const })
  const { outcomes } = await s.one.writer.write([write('a'), write('b')])
  assert.equal(outcomes.length, 2)
  assert.deepEqual([await s.two.where(KEY), await s.two.read(KEY)], ['tier', 'b'])
})

await test('a tier that hangs or fails does not fail a write, and the tide repairs what it missed', async () => {
  for (const state of ['hangs', 'fails'] as const) {
    const s = await SharedScene.open()
    await s.one.set(KEY, 'a')
    await s.two.read(KEY)
    s.one.network.state = state
    const written = s.one.set(KEY, 'b')
    await s.pass(limits.tierTimeoutMs + 50, false)
    await written
    assert.equal(await s.one.read(KEY), 'b')
    assert.equal(await s.two.read(KEY), 'a', 'within the bound')
    s.tide()
    assert.equal(await s.two.read(KEY), 'b')
  }
})

await test('a write of which nobody knows whether it took place leaves nothing of its keys in memory', async () => {
  const s = await SharedScene.open()
  await s.one.set(KEY, 'a')
  await s.one.read(KEY)
  s.database.set('1', 'b')
  s.database.failure = new TidemarkError('SOURCE_TIMEOUT', 'no answer')
  await assert.rejects(s.one.set(KEY, 'b'), { code: 'SOURCE_TIMEOUT' })
  s.database.failure = undefined
  assert.equal(await s.one.read(KEY), 'b')
  assert.equal(await s.two.read(KEY), 'b')
})

await test('a refused write leaves memory as it is', async () => {
  const s = await SharedScene.open()
  await s.one.set(KEY, 'a')
  await s.one.read(KEY)
  s.database.failure = new TidemarkError('ROW_INVALID', 'no')
  await assert.rejects(s.one.set(KEY, 'b'), { code: 'ROW_INVALID' })
  assert.equal(await s.one.where(KEY), 'near')
})

await test('an invalidation removes rows everywhere, and fails where the tier does not answer', async () => {
  const s = await SharedScene.open()
  await s.one.set(KEY, 'a')
  await s.two.read(KEY)
  await s.one.writer.invalidate([KEY])
  assert.equal(s.two.near.find(KEY), undefined)
  assert.equal(await s.two.where(KEY), 'source')
  s.one.network.state = 'fails'
  await assert.rejects(s.one.writer.invalidate([KEY]), { code: 'TIER_UNAVAILABLE' })
})

const LOGLESS = { maxStalenessMs: Infinity, ttlMs: 1_000 }

await test('without a log: rows are kept for their time to live, counted from the load, wherever they have been', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  s.database.set('1', 'a')
  const began = s.clock.monotonicMs()
  await s.one.read(KEY)
  await s.pass(600)
  assert.equal((await s.two.ask(KEY)).tier, 'tier')
  const near = await s.two.ask(KEY)
  assert.deepEqual([near.tier, near.asOfMs], ['near', began])
  s.database.set('1', 'b')
  await s.pass(390)
  assert.equal(await s.two.read(KEY), 'a')
  await s.pass(20)
  assert.equal(await s.two.read(KEY), 'b')
})

await test('without a log: what was long in coming is kept for what is left of its time, and not past it', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  const held = Promise.withResolvers<void>()
  s.database.held = held.promise
  const reading = s.one.read(KEY)
  await s.pass(700)
  held.resolve()
  await reading
  s.database.held = undefined
  await s.pass(290)
  assert.equal(await s.two.where(KEY), 'tier')
  await s.pass(20)
  assert.equal(s.tier.read([KEY])[0]!.record, undefined, 'nor does it keep others from keeping what they load')
  assert.equal(await s.two.where(KEY), 'source')
})

await test('without a log: what was long in being written is kept for what is left of its time', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  const held = Promise.withResolvers<void>()
  s.one.network.held = held.promise
  const writing = s.one.set(KEY, 'a')
  await s.pass(200)
  s.one.network.held = undefined
  held.resolve()
  await writing
  await s.pass(790)
  assert.equal(s.tier.read([KEY])[0]!.record?.type, 'value')
  await s.pass(20)
  assert.equal(s.tier.read([KEY])[0]!.record, undefined)
})

await test('without a log: a record that its tier keeps for too long is not read past its time', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  const upto = BigInt(s.clock.wallMs() - 990)
  const stamp = { kind: 'write', xid: 0n, at: 0n, epoch: EPOCH, upto } as const
  s.tier.begin(KEY, 5n, 1_000)
  s.tier.putFenced(KEY, 5n, { payload: Buffer.from('late'), stamp })
  assert.equal(await s.two.read(KEY), 'late')
  await s.pass(20)
  assert.equal(await s.one.where(KEY), 'source')
})

await test('without a log: what is near is not read past its time after the machine was suspended', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  await s.one.set(KEY, 'a')
  await s.one.read(KEY)
  assert.equal(await s.one.where(KEY), 'near')
  s.clock.jumpWall(1_001)
  assert.equal(await s.one.where(KEY), 'source')
})

await test('without a log: rows have a time to live though nobody gave them one', async () => {
  const s = await SharedScene.open({ maxStalenessMs: Infinity }, false)
  await s.one.set(KEY, 'a')
  s.clock.advance(limits.loglessTtlMsDefault - 10)
  assert.equal(await s.two.where(KEY), 'tier')
  s.clock.advance(20)
  assert.equal(await s.two.where(KEY), 'source')
})

await test('without a log: a bound counts from the load, where one is asked for', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  await s.one.read(KEY)
  await s.pass(300)
  assert.equal(await s.one.where(KEY, { maxStalenessMs: 301 }), 'near')
  assert.equal(await s.one.where(KEY, { maxStalenessMs: 299 }), 'source')
})

await test('without a log: a written row is read by all nodes, and a load from before the write is not kept', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  s.database.set('1', 'a')
  const held = Promise.withResolvers<void>()
  s.database.held = held.promise
  const early = s.two.read(KEY)
  await settle()
  await s.one.set(KEY, 'b')
  held.resolve()
  assert.equal(await early, 'a')
  await settle()
  for (const node of [s.one, s.two]) assert.deepEqual([await node.where(KEY), await node.read(KEY)], ['tier', 'b'])
})

await test('without a log: while a key is being written, others load it and keep nothing', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  await s.one.set(KEY, 'a')
  await s.two.read(KEY)
  s.tier.begin(KEY, 5n, 1_000)
  assert.equal(await s.two.where(KEY), 'source')
  assert.equal(await s.two.where(KEY), 'source')
})

await test('without a log: a write that was refused leaves no fence, one that may yet take place leaves it up', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  s.database.failure = new TidemarkError('ROW_INVALID', 'no')
  await assert.rejects(s.one.set(KEY, 'b'), { code: 'ROW_INVALID' })
  assert.equal(s.tier.read([KEY])[0]!.record, undefined)
  s.database.failure = new TidemarkError('SOURCE_TIMEOUT', 'no answer')
  await assert.rejects(s.one.set(KEY, 'b'), { code: 'SOURCE_TIMEOUT' })
  assert.equal(s.tier.read([KEY])[0]!.record?.type, 'fence')
  s.database.failure = undefined
  assert.equal(await s.one.where(KEY), 'source')
  await s.pass(limits.fenceMs)
  await s.one.read(KEY)
  await settle()
  assert.equal(await s.two.where(KEY), 'tier')
})

await test('without a log: a fence that comes up late lets nothing in: others may have written meanwhile', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  const { tier, source } = s.one.keyspace.backing
  const { begin } = tier
  const { write } = source
  const [late, slow] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  tier.begin = async (...args) => {
    await late.promise
    return begin(...args)
  }
  source.write = async writes => {
    const result = await write(writes)
    await slow.promise
    return result
  }
  const first = s.one.set(KEY, 'a')
  await s.pass(limits.tierTimeoutMs + 10)
  await s.two.set(KEY, 'b')
  late.resolve()
  await s.pass(limits.tierRetryMs + 10)
  assert.equal(s.tier.read([KEY])[0]!.record?.type, 'fence')
  slow.resolve()
  await first
  assert.equal(await s.two.read(KEY), 'b', 'what the database has')
})

await test("without a log: a function's own error says nothing of what was changed, so the fence stands", async () => {
  for (const failure of [new Error('theirs'), new TidemarkError('SOURCE_PARTLY', 'some of it')]) {
    const s = await SharedScene.open(LOGLESS, false)
    s.database.failure = failure
    await assert.rejects(s.one.set(KEY, 'b'), error => error === failure)
    assert.equal(s.tier.read([KEY])[0]!.record?.type, 'fence')
  }
})

await test('without a log: a fence stands for as long as the source asks for', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  Object.assign(s.one.keyspace.backing.source, { fenceMs: 300 })
  s.database.failure = new TidemarkError('SOURCE_TIMEOUT', 'no answer')
  await assert.rejects(s.one.set(KEY, 'b'))
  await s.pass(290)
  assert.equal(s.tier.read([KEY])[0]!.record?.type, 'fence')
  await s.pass(20)
  assert.equal(s.tier.read([KEY])[0]!.record, undefined)
})

await test('without a log: of two writers the one whose fence is gone keeps nothing', async () => {
  const s = await SharedScene.open(LOGLESS, false)
  const held = Promise.withResolvers<void>()
  s.one.network.held = held.promise
  const first = s.one.set(KEY, 'a')
  await settle()
  await s.two.set(KEY, 'b')
  assert.equal(await s.two.where(KEY), 'tier')
  s.one.network.held = undefined
  held.resolve()
  await first
  assert.equal(await s.two.read(KEY), 'a', 'what the database has')
})
