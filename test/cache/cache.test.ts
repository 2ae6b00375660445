// The read path, the write path and the tide over a real SQLite file, with the clock in the test's hands.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { HEAD_DOUBLES } from '../../src/tier/lane-table.ts'
import { BOUND_MS, Scene } from './scene.ts'

const ADA = { id: 1, name: 'Ada', city: 'London' }

/** Lets everything go on that waits for no clock. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
}

await test('a row is loaded once and then answered from memory', async () => {
  await using scene = await Scene.open()
  assert.equal(scene.hit('users:1'), undefined)
  assert.deepEqual(await scene.read('users:1'), ADA)
  assert.deepEqual(scene.hit('users:1'), ADA)
  assert.deepEqual(await scene.read('users:1'), ADA)
  assert.deepEqual(scene.source.loads, [['1']])
  assert.equal(scene.counters.loads[0], 1)
})

await test('a row that does not exist is remembered as missing', async () => {
  await using scene = await Scene.open()
  assert.equal(await scene.read('users:99'), null)
  assert.equal(scene.hit('users:99'), null)
  assert.equal(await scene.read('users:99'), null)
  assert.equal(scene.source.loads.length, 1)
})

await test('a row that is inserted after it was found missing is seen at once', async () => {
  await using scene = await Scene.open()
  assert.equal(await scene.read('users:9'), null)
  await scene.set('users:9', { name: 'Barbara' })
  assert.deepEqual(scene.hit('users:9'), { id: 9, name: 'Barbara', city: null })
})

await test('a write is in the database and in memory when it is acknowledged, without another load', async () => {
  await using scene = await Scene.open()
  await scene.set('users:1', { city: 'Paris' })
  const row = scene.other.prepare('SELECT city FROM users WHERE id = 1').get()
  assert.equal(row?.['city'], 'Paris')
  assert.deepEqual(scene.hit('users:1'), { ...ADA, city: 'Paris' })
  assert.deepEqual(scene.source.loads, [])
})

await test('a removed row is known to be missing', async () => {
  await using scene = await Scene.open()
  await scene.read('users:1')
  const [outcome] = await scene.cache.write([{ key: 'users:1', operation: { kind: 'remove' } }])
  assert.equal(outcome?.changed, true)
  assert.equal(scene.hit('users:1'), null)
})

await test('a refused write changes neither the database nor memory', async () => {
  await using scene = await Scene.open()
  await scene.read('users:1')
  await assert.rejects(scene.set('users:1', { nonsense: 'x' }), { code: 'ROW_INVALID' })
  assert.deepEqual(scene.hit('users:1'), ADA)
})

await test('concurrent misses of one key are one load, also across threads', async () => {
  await using scene = await Scene.open()
  const second = scene.secondThread()
  const reads = Array.from({ length: 1000 }, (_, i) => scene.read('users:1', i % 2 === 0 ? scene.cache : second.cache))
  await settle()
  scene.clock.advance(1)
  for (const row of await Promise.all(reads)) assert.deepEqual(row, ADA)
  assert.deepEqual(scene.source.loads, [['1']])
})

await test('misses of many keys in one turn are one query', async () => {
  await using scene = await Scene.open()
  const rows = await Promise.all(['users:1', 'users:2', 'users:3', 'users:4'].map(key => scene.read(key)))
  assert.deepEqual(
    rows.map(row => row?.['name']),
    ['Ada', 'Grace', 'Alan', undefined],
  )
  assert.deepEqual(scene.source.loads, [['1', '2', '3', '4']])
})

await test('an id that spells no key is refused alone, without a question to the database', async () => {
  await using scene = await Scene.open()
  const good = scene.read('users:1')
  await assert.rejects(scene.read('users:01'), { code: 'ROW_KEY_INVALID' })
  assert.deepEqual(await good, ADA)
})

await test('a load that was under way when its row was written is not stored, and later readers do not get it', async () => {
  await using scene = await Scene.open()
  const held = Promise.withResolvers<void>()
  scene.source.held = held.promise
  const early = scene.read('users:1')
  await settle()
  assert.equal(scene.source.loads.length, 1)
  await scene.set('users:1', { city: 'Paris' })
  scene.source.held = undefined
  assert.deepEqual(await scene.read('users:1'), { ...ADA, city: 'Paris' })
  held.resolve()
  assert.deepEqual(await early, ADA)
  assert.deepEqual(scene.hit('users:1'), { ...ADA, city: 'Paris' })
})

await test('a reader does not join a load that began before a removal it may know of', async () => {
  await using scene = await Scene.open()
  const held = Promise.withResolvers<void>()
  scene.source.held = held.promise
  const early = scene.read('users:1')
  await settle()
  await scene.cache.write([{ key: 'users:1', operation: { kind: 'remove' } }])
  const late = scene.read('users:1')
  assert.equal(await late, null)
  held.resolve()
  assert.deepEqual(await early, ADA)
  assert.equal(scene.hit('users:1'), null)
})

await test('a reader does not join its own load whose lease has passed to another thread', async () => {
  await using scene = await Scene.open()
  const second = scene.secondThread()
  const held = Promise.withResolvers<void>()
  scene.source.held = held.promise
  const early = scene.read('users:1')
  await settle()
  scene.other.exec("UPDATE users SET city = 'Turin' WHERE id = 1")
  scene.sqlite.poll()
  const held2 = Promise.withResolvers<void>()
  scene.source.held = held2.promise
  const second1 = scene.read('users:1', second.cache)
  const late = scene.read('users:1')
  await settle()
  held.resolve()
  assert.deepEqual(await early, ADA)
  held2.resolve()
  await settle()
  scene.clock.advance(1)
  assert.equal((await second1)?.['city'], 'Turin')
  assert.equal((await late)?.['city'], 'Turin')
})

await test('a row that may not be what its transaction left behind is voided, not put', async () => {
  await using scene = await Scene.open()
  scene.source.inexact = true
  await scene.set('users:1', { city: 'Paris' })
  assert.equal(scene.hit('users:1'), undefined)
})

await test('a load that fails rejects everyone who waits, stores nothing, and the next reader tries again', async () => {
  await using scene = await Scene.open()
  scene.source.failure = new TidemarkError('SOURCE_FAILED', 'disk on fire')
  const reads = [scene.read('users:1'), scene.read('users:1')]
  for (const read of reads) await assert.rejects(read, { code: 'SOURCE_FAILED' })
  scene.source.failure = undefined
  assert.deepEqual(await scene.read('users:1'), ADA)
  assert.equal(scene.counters.loadErrors[0], 1)
})

await test('whoever waits too long for another thread loads by itself, without filling', async () => {
  await using scene = await Scene.open()
  const second = scene.secondThread()
  const held = Promise.withResolvers<void>()
  scene.source.held = held.promise
  const first = scene.read('users:1')
  await settle()
  scene.source.held = undefined
  const waiting = scene.read('users:1', second.cache)
  for (let ms = 0; ms < 300; ms++) {
    scene.clock.advance(1)
    await Promise.resolve()
  }
  await settle()
  assert.deepEqual(await waiting, ADA)
  assert.equal(scene.source.loads.length, 2)
  assert.equal(scene.hit('users:1'), undefined)
  held.resolve()
  await first
  assert.deepEqual(scene.hit('users:1'), ADA)
})

await test('a row changed by another process is seen at the next poll, and not served from memory after it', async () => {
  await using scene = await Scene.open()
  await scene.read('users:1')
  scene.other.exec("UPDATE users SET city = 'Turin' WHERE id = 1")
  assert.deepEqual(scene.hit('users:1'), ADA, 'the change is younger than the last poll')
  scene.clock.advance(25)
  scene.sqlite.poll()
  assert.equal(scene.hit('users:1'), undefined)
  assert.equal(scene.resets.length, 1)
  assert.deepEqual(await scene.read('users:1'), { ...ADA, city: 'Turin' })
  assert.deepEqual(scene.hit('users:1'), { ...ADA, city: 'Turin' })
})

await test('a poll that sees nothing leaves memory alone', async () => {
  await using scene = await Scene.open()
  await scene.read('users:1')
  for (let i = 0; i < 200; i++) {
    scene.clock.advance(25)
    scene.sqlite.poll()
    assert.deepEqual(scene.hit('users:1'), ADA)
  }
  assert.equal(scene.source.loads.length, 1)
})

await test('our own writes do not reset the lanes, nor do they hide that another process wrote', async () => {
  await using scene = await Scene.open()
  await scene.read('users:2')
  await scene.set('users:1', { city: 'Paris' })
  scene.sqlite.poll()
  assert.equal(scene.resets.length, 0)
  scene.other.exec("UPDATE users SET city = 'Arlington' WHERE id = 2")
  await scene.set('users:1', { city: 'Rome' })
  scene.sqlite.poll()
  assert.equal(scene.resets.length, 1)
  assert.equal((await scene.read('users:2'))?.['city'], 'Arlington')
})

await test('a load from before another process wrote cannot fill a lane that was reset since', async () => {
  await using scene = await Scene.open()
  const held = Promise.withResolvers<void>()
  scene.source.held = held.promise
  const early = scene.read('users:1')
  await settle()
  scene.other.exec("UPDATE users SET city = 'Turin' WHERE id = 1")
  scene.sqlite.poll()
  held.resolve()
  assert.deepEqual(await early, ADA)
  assert.equal(scene.hit('users:1'), undefined)
})

await test('when polls stop, answers from memory end with the bound', async () => {
  await using scene = await Scene.open()
  await scene.read('users:1')
  scene.clock.advance(BOUND_MS)
  assert.deepEqual(scene.hit('users:1'), ADA)
  scene.clock.advance(1)
  assert.equal(scene.hit('users:1'), undefined)
  scene.other.exec("UPDATE users SET city = 'Turin' WHERE id = 1")
  assert.equal((await scene.read('users:1'))?.['city'], 'Turin', 'the database is asked')
})

await test("past the bound a keyspace set to 'serve' answers what it has, and one set to 'fail' says how old that is", async () => {
  await using serving = await Scene.open({ whenStale: 'serve' })
  await serving.read('users:1')
  serving.clock.advance(BOUND_MS + 1)
  assert.deepEqual(await serving.read('users:1'), ADA)
  assert.equal(serving.source.loads.length, 1)

  await using failing = await Scene.open({ whenStale: 'fail' })
  await failing.read('users:1')
  failing.clock.advance(BOUND_MS + 1)
  await assert.rejects(failing.read('users:1'), {
    code: 'STALE',
    message: /501 ms ago.*allows 500 ms \(maxStaleness\)/,
  })
})

await test('several writes of one row in one transaction leave the last one in memory', async () => {
  await using scene = await Scene.open()
  const fields = (city: string): [string, Buffer][] => [['city', Buffer.from(city)]]
  await scene.cache.write([
    { key: 'users:1', operation: { kind: 'update', fields: fields('Paris') } },
    { key: 'users:2', operation: { kind: 'remove' } },
    { key: 'users:1', operation: { kind: 'update', fields: fields('Rome') } },
  ])
  assert.equal(scene.hit('users:1')?.['city'], 'Rome')
  assert.equal(scene.hit('users:2'), null)
  assert.equal(scene.source.writes, 1)
})

await test('a row of a table with a trigger is never put, only loaded', async () => {
  const schema = `CREATE TRIGGER upper AFTER UPDATE ON users WHEN new.city <> upper(new.city)
    BEGIN UPDATE users SET city = upper(new.city) WHERE id = new.id; END`
  await using scene = await Scene.open({ schema })
  await scene.set('users:1', { city: 'Paris' })
  assert.equal((await scene.read('users:1'))?.['city'], 'PARIS')
})

await test('rows that are asked for ahead are loaded together, and a reader of one finds it there', async () => {
  await using scene = await Scene.open()
  scene.cache.prefetch(['users:1', 'users:2', 'users:nonsense'])
  assert.deepEqual(await scene.read('users:2'), { id: 2, name: 'Grace', city: null })
  assert.deepEqual(scene.source.loads, [['1', '2']])
  assert.deepEqual(scene.hit('users:1'), ADA)
})

await test('emptying memory loses no row, and what was being loaded then is not stored', async () => {
  await using scene = await Scene.open()
  const held = Promise.withResolvers<void>()
  scene.source.held = held.promise
  const read = scene.read('users:1')
  await settle()
  scene.store.clear()
  held.resolve()
  assert.deepEqual(await read, ADA)
  assert.equal(scene.hit('users:1'), undefined)
  assert.deepEqual(await scene.read('users:1'), ADA)
})

await test('a lane whose header died with a thread proves nothing until the tide has begun it anew', async () => {
  await using scene = await Scene.open()
  await scene.read('users:1')
  const words = new Int32Array(scene.table.shared)
  const laneWords = (scene.table.shared.byteLength / 8 - HEAD_DOUBLES) / 64
  for (let lane = 0; lane < 64; lane++) words[2 * HEAD_DOUBLES + lane * laneWords * 2] = 2
  assert.equal(scene.table.recover(1), 64)
  assert.equal(scene.hit('users:1'), undefined)
  assert.deepEqual(await scene.read('users:1'), ADA, 'loaded, and not stored')
  assert.equal(scene.hit('users:1'), undefined)
  scene.sqlite.poll()
  scene.sqlite.poll()
  await scene.read('users:1')
  assert.deepEqual(scene.hit('users:1'), ADA)
})

await test('the path of a hit trusts nothing that was proved before the machine was suspended', async () => {
  await using scene = await Scene.open()
  await scene.read('users:1')
  assert.deepEqual(scene.hit('users:1'), ADA)
  scene.clock.jumpWall(60_000)
  assert.equal(scene.hit('users:1'), undefined)
  scene.clock.advance(25)
  scene.sqlite.poll()
  scene.sqlite.poll()
  assert.deepEqual(scene.hit('users:1'), ADA)
})
