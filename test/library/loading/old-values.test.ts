// Values whose time is over: answered while they are loaded anew, or when that is slow or fails, and never past a bound.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Scene } from './scene.ts'
import { turns } from './turns.ts'

await test('swr: for so long a value is answered at once, while one load goes on behind it', async () => {
  const s = new Scene({ ttl: '10s', swr: '5s' })
  await s.loaded()
  s.backend.values.set('1', 'b')
  s.backend.takesMs = 100
  await s.jump(10_500)
  assert.equal(s.users.peek('1'), undefined)
  const [first, second] = await Promise.all([s.users.read('1'), s.users.read('1')])
  assert.deepEqual(first, { value: 'a', age: 10_500, tier: 'near', stale: true })
  assert.equal(second.value, 'a')
  assert.equal(await s.users.get('1'), 'a')
  assert.equal(s.loads, 2)
  await s.pass(100)
  assert.deepEqual(await s.users.read('1').then(({ value, stale }) => [value, stale]), ['b', false])
  assert.equal(s.loads, 2)
  const { stale, hits, misses } = s.users.stats()
  assert.deepEqual([stale, misses], [3, 1])
  assert.ok(hits >= 3)
  assert.deepEqual(s.stale[0], { keyspace: 'users', key: '1', ageMs: 10_500 })
})

await test('past swr the load is waited for', async () => {
  const s = new Scene({ ttl: '10s', swr: '5s' })
  await s.loaded()
  s.backend.values.set('1', 'b')
  await s.jump(15_010)
  assert.equal(await s.users.get('1'), 'b')
})

await test('without swr nothing old is answered', async () => {
  const s = new Scene({ ttl: '10s' })
  await s.loaded()
  s.backend.values.set('1', 'b')
  await s.jump(10_010)
  assert.equal(await s.users.get('1'), 'b')
})

await test('a load behind an answer that fails is told of, and is not tried again at once', async () => {
  const s = new Scene({ ttl: '10s', swr: '60s' })
  await s.loaded()
  await s.jump(10_500)
  s.backend.failure = new Error('down')
  assert.equal(await s.users.get('1'), 'a')
  await turns()
  assert.equal((s.errors[0] as Error).message, 'down')
  for (let i = 0; i < 5; i++) {
    assert.equal(await s.users.get('1'), 'a')
    await turns()
  }
  assert.equal(s.loads, 2)
  await s.pass(60)
  await s.users.get('1')
  await turns()
  assert.equal(s.loads, 3)
  // And longer each time.
  await s.pass(40)
  await s.users.get('1')
  assert.equal(s.loads, 3)
  s.backend.failure = undefined
  s.backend.values.set('1', 'b')
  await s.pass(100)
  await s.users.get('1')
  await turns()
  assert.equal(await s.users.get('1'), 'b')
})

await test('old values are not answered past an explicit bound, to sessions, nor where the bound is 0', async () => {
  const s = new Scene({ ttl: '10s', swr: '60s', staleIfError: '60s' })
  await s.loaded()
  await s.jump(12_000)
  s.backend.failure = new Error('down')
  assert.equal(await s.users.get('1', { maxStaleness: '13s' }), 'a')
  await turns()
  const refused = { message: 'down' }
  await s.pass(2_000)
  await assert.rejects(s.users.get('1', { maxStaleness: '13s' }), refused)
  await s.pass(2_000)
  await assert.rejects(s.users.get('1', { maxStaleness: 0 }), refused)
  await s.pass(2_000)
  await assert.rejects(s.users.get('1', { session: s.tide.session() }), refused)
  await s.pass(2_000)
  assert.equal(await s.users.get('1'), 'a')
})

await test("nor past the keyspace's bound", async () => {
  const s = new Scene({ ttl: '10s', swr: '60s', staleIfError: '60s', maxStaleness: '20s' })
  await s.loaded()
  s.backend.failure = new Error('down')
  await s.jump(19_000)
  assert.equal(await s.users.get('1'), 'a')
  await s.pass(2_000)
  await assert.rejects(s.users.get('1'), { message: 'down' })
})

await test('staleIfError: for so long a value is answered when its load fails, to all who waited for it', async () => {
  const s = new Scene({ ttl: '10s', staleIfError: '60s' })
  await s.loaded()
  await s.jump(10_500)
  s.backend.failure = new Error('down')
  s.backend.takesMs = 100
  const both = Promise.all([s.users.read('1'), s.users.get('1')])
  await s.pass(100)
  const [answer, value] = await both
  assert.deepEqual([answer.value, answer.stale, value, s.loads], ['a', true, 'a', 2])
  assert.equal((s.errors[0] as Error).message, 'down')
  // A moment ago it failed: nobody waits for it to do so again.
  assert.equal(await s.users.get('1'), 'a')
  assert.equal(s.loads, 2)
  s.backend.takesMs = 0
  await s.pass(59_300)
  assert.equal(await s.users.get('1'), 'a')
  await s.pass(200)
  await assert.rejects(s.users.get('1'), { message: 'down' })
})

await test('when the source is back, what it has is the answer', async () => {
  const s = new Scene({ ttl: '10s', staleIfError: '60s' })
  await s.loaded()
  await s.jump(10_500)
  s.backend.failure = new Error('down')
  assert.equal(await s.users.get('1'), 'a')
  s.backend.failure = undefined
  s.backend.values.set('1', 'b')
  await s.pass(100)
  assert.deepEqual(await s.users.read('1').then(({ value, stale }) => [value, stale]), ['b', false])
})

await test('what was written, given up, cleared or removed since is not answered', async () => {
  const down = new Error('down')
  const steps: ((s: Scene) => unknown)[] = [
    s => s.users.invalidate('1'),
    s => s.users.clear(),
    s => s.users.delete('1'),
  ]
  for (const step of steps) {
    const s = new Scene({ ttl: '10s', swr: '60s', staleIfError: '60s' })
    await s.loaded()
    await s.jump(10_500)
    await step(s)
    s.backend.failure = down
    const answer = await s.users.get('1').catch((error: unknown) => error)
    // That it was removed is known.
    assert.ok(answer === down || answer === undefined, step.toString())
  }
  const s = new Scene({ ttl: '10s', swr: '60s' })
  await s.loaded()
  await s.jump(10_500)
  await s.users.set('1', 'b')
  assert.equal(await s.users.get('1'), 'b')
})

await test('what was given up while its load failed is not answered either', async () => {
  const s = new Scene({ ttl: '10s', staleIfError: '60s' })
  await s.loaded()
  await s.jump(10_500)
  s.backend.failure = new Error('down')
  s.backend.takesMs = 100
  const failing = assert.rejects(s.users.get('1'), { message: 'down' })
  await turns()
  await s.users.invalidate('1')
  await s.pass(100)
  await failing
})

await test('that a key was not there is no old value', async () => {
  const s = new Scene({ ttl: '10s', swr: '60s', staleIfError: '60s' })
  await s.users.get('nobody')
  await s.jump(10_500)
  s.backend.values.set('nobody', 'x')
  assert.equal(await s.users.get('nobody'), 'x')
})

await test('softTimeout: who has waited for so long gets the old value, and the load goes on', async () => {
  const s = new Scene({ ttl: '10s', staleIfError: '60s', load: { softTimeout: '50ms' } })
  await s.loaded()
  s.backend.values.set('1', 'b')
  await s.jump(10_500)
  s.backend.takesMs = 200
  const answered: unknown[] = []
  void s.users.read('1').then(answer => answered.push(answer))
  await s.pass(40)
  assert.deepEqual(answered, [])
  await s.pass(10)
  assert.deepEqual(answered[0], { value: 'a', age: 10_550, tier: 'near', stale: true })
  await s.pass(150)
  assert.deepEqual(await s.users.read('1').then(({ value, stale }) => [value, stale]), ['b', false])
  assert.equal(s.loads, 2)
})

await test('a load that is quicker than softTimeout is the answer, and one that fails later is told of', async () => {
  const s = new Scene({ ttl: '10s', staleIfError: '60s', load: { softTimeout: '50ms' } })
  await s.loaded()
  s.backend.values.set('1', 'b')
  await s.jump(10_500)
  s.backend.takesMs = 30
  const quick = s.users.get('1')
  await s.pass(30)
  assert.equal(await quick, 'b')
  await s.jump(10_500)
  s.backend.takesMs = 100
  s.backend.failure = new Error('late')
  const slow = s.users.get('1')
  await s.pass(50)
  assert.equal(await slow, 'b')
  assert.equal(s.errors.length, 0)
  await s.pass(50)
  assert.equal((s.errors[0] as Error).message, 'late')
})

await test('a source that hangs is given up after timeout, with its signal aborted', async () => {
  const s = new Scene({ ttl: '10s', load: { timeout: '100ms' } })
  s.backend.takesMs = Infinity
  const hanging = assert.rejects(s.users.get('1'), { code: 'SOURCE_TIMEOUT' })
  await s.pass(100)
  await hanging
  assert.equal(s.backend.signals[0]!.aborted, true)
  s.backend.takesMs = 0
  assert.equal(await s.users.get('1'), 'a')
})

await test('an answer that comes too late is not kept', async () => {
  const s = new Scene({ load: { timeout: '100ms' } })
  s.backend.takesMs = 150
  const late = assert.rejects(s.users.get('1'), { code: 'SOURCE_TIMEOUT' })
  await s.pass(100)
  await late
  await s.pass(100)
  assert.equal(s.users.peek('1'), undefined)
})
