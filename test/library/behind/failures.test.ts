// Writing behind before a source that is slow, fails, hangs, takes some of what it is given, or never takes one key; and on a
// disk that fails.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { once } from 'node:events'
import { noFault } from '../../journal/simulated-disk.ts'
import { Tidemark } from '../../../src/library/tidemark.ts'
import { TidemarkError } from '../../../src/base/errors.ts'
import { refused } from '../scene.ts'
import { BehindScene, settle, type Started } from './behind-scene.ts'

const fresh = { maxStaleness: 0 } as const
const retry = { first: '100ms', max: '1s', attempts: 3 } as const

function refuse(scene: BehindScene, keys: readonly string[], error: () => Error): void {
  scene.refused = new Map(keys.map(key => [key, error]))
}

const codes = ({ errors }: Started): string[] =>
  errors.map(({ error }) => (error instanceof TidemarkError ? error.code : (error as Error).message))

test('a source that is down is tried again, later each time, and gets all of it in the end', async t => {
  const scene = new BehindScene(t)
  const started = scene.start({ write: { retry: { first: '100ms', max: '8s', attempts: 3 }, batch: 2 } })
  const { values } = started
  scene.functions.before = () => Promise.reject(new Error('down'))
  await values.setMany([['a', 1], ['b', 1], ['c', 1]]) // prettier-ignore
  const calls: number[] = []
  for (let part = 0; part < 4; part++) {
    const before = scene.functions.stores.length
    for (let second = 0; second < 16; second++) await scene.pass(1_000)
    calls.push(scene.functions.stores.length - before)
  }
  assert.ok(calls[0]! >= 12, `at first often: ${calls.join(' ')}`)
  assert.ok(Math.max(...calls.slice(1)) <= 12, `then each key every 4 to 8 seconds: ${calls.join(' ')}`)
  assert.ok(Math.min(...calls.slice(1)) >= 3, `and on and on: ${calls.join(' ')}`)
  assert.deepEqual(new Set(codes(started)), new Set(['down']), 'nothing is given up')
  const { pending, retries, oldestPendingMs } = values.stats().behind!
  assert.ok(pending === 3 && retries > 15 && oldestPendingMs === 64_000, JSON.stringify(values.stats().behind))
  assert.deepEqual([await values.get('a', fresh), await values.get('c', fresh)], [1, 1])
  await values.set('a', 2)
  scene.functions.before = () => Promise.resolve()
  await scene.pass(8_000)
  assert.deepEqual(Object.fromEntries(scene.functions.rows), { a: 2, b: 1, c: 1 })
  assert.equal(values.stats().behind!.pending, 0)
})

test('a source that comes back now and then is no reason to give anything up', async t => {
  const scene = new BehindScene(t)
  const started = scene.start({ write: { retry, batch: 2 } })
  const { values } = started
  for (let outage = 0; outage < 5; outage++) {
    scene.functions.before = () => Promise.reject(new Error('down'))
    await values.setMany([['a', outage], ['b', outage], ['c', outage]]) // prettier-ignore
    for (let part = 0; part < 100; part++) await scene.pass(100)
    scene.functions.before = () => Promise.resolve()
    for (let part = 0; part < 11; part++) await scene.pass(100)
    assert.deepEqual(Object.fromEntries(scene.functions.rows), { a: outage, b: outage, c: outage })
  }
  assert.deepEqual(new Set(codes(started)), new Set(['down']))
})

test('a write that is at fault is found, keeps up nobody, and is given up after some attempts, loudly', async t => {
  const scene = new BehindScene(t, { bad: 'old' })
  const started = scene.start({ write: { retry } })
  const { values, errors } = started
  refuse(scene, ['bad'], () => new TidemarkError('ROW_INVALID', 'not this one'))
  await values.setMany('abcdefg'.split('').map(key => [key, 1] as const))
  await values.set('bad', { why: 'not' })
  await values.setMany('hijklmn'.split('').map(key => [key, 1] as const))
  await scene.pass(100)
  assert.equal(scene.functions.rows.size, 15, 'all others are in at once')
  assert.equal(values.stats().behind!.pending, 1)
  assert.deepEqual(await values.get('bad', fresh), { why: 'not' })
  const flushed = assert.rejects(values.flush(), (error: TidemarkError) => error.code === 'WRITE_GIVEN_UP')
  for (let part = 0; part < 10; part++) await scene.pass(100)
  await flushed
  const last = errors.at(-1)!
  assert.deepEqual({ ...last, error: undefined }, { keyspace: 'items', key: 'bad', value: { why: 'not' }, error: undefined }) // prettier-ignore
  const given = last.error as TidemarkError
  assert.equal(given.code, 'WRITE_GIVEN_UP')
  assert.match(given.message, /'items:bad' was refused by its source 3 times.*not this one/)
  assert.equal((given.cause as Error).message, 'not this one')
  assert.deepEqual({ ...values.stats().behind, journalBytes: 0 }, { pending: 0, oldestPendingMs: 0, retries: 2, givenUp: 1, journalBytes: 0 }) // prettier-ignore
  assert.equal(await values.get('bad'), 'old', 'what the source has is what is read')
  assert.ok(scene.refusals < 15, `${scene.refusals} calls in vain`)
  scene.kill()
  assert.equal(await scene.start().values.get('bad', fresh), 'old', 'and stays given up')
})

test('what is lost while nobody listens is told to the process', async t => {
  const scene = new BehindScene(t)
  const tide = new Tidemark(
    { journal: { directory: 'j' } },
    { clock: scene.clock, storage: scene.disk.start(noFault).storage },
  )
  const values = tide.keyspace('items', {
    source: { load: () => [], store: () => Promise.reject(new TidemarkError('ROW_INVALID', 'never')) },
    write: { mode: 'behind', retry: { attempts: 1 } },
  })
  const warned = once(process, 'warning')
  await values.set('a', 1)
  await refused(() => Promise.all([values.flush(), scene.pass(100)]), 'WRITE_GIVEN_UP')
  const [warning] = (await warned) as [TidemarkError]
  assert.equal(warning.code, 'WRITE_GIVEN_UP')
  await tide.close()
})

test('of a source that says little, a write is given up only while others are taken', async t => {
  const scene = new BehindScene(t)
  const started = scene.start({ write: { retry } })
  const { values } = started
  refuse(scene, ['bad'], () => new Error('no'))
  await values.set('bad', 1)
  for (let part = 0; part < 100; part++) await scene.pass(100)
  assert.deepEqual(new Set(codes(started)), new Set(['no']), 'alone, it may be the source that is at fault')
  for (let at = 0; at < 30; at++) {
    await values.set(`k${at}`, at)
    await scene.pass(300)
  }
  assert.equal(codes(started).filter(code => code === 'WRITE_GIVEN_UP').length, 1)
  assert.equal(scene.functions.rows.size, 30)
})

test('several writes at fault among many', async t => {
  const scene = new BehindScene(t)
  const started = scene.start({ write: { retry, batch: 64 } })
  const { values } = started
  const bad = ['k3', 'k9', 'k40', 'k41']
  refuse(scene, bad, () => new Error('no'))
  await values.setMany(Array.from({ length: 64 }, (_, at) => [`k${at}`, at] as const))
  for (let part = 0; part < 30; part++) await scene.pass(100)
  assert.equal(scene.functions.rows.size, 60)
  for (let at = 0; at < 30; at++) {
    await values.set(`more${at}`, at)
    await scene.pass(300)
  }
  const lost = started.errors.map(({ key }) => key).filter(key => key !== undefined)
  assert.deepEqual(new Set(lost), new Set(bad))
  assert.equal(lost.length, bad.length)
  assert.equal(values.stats().behind!.pending, 0)
})

test('a write that is at fault and not given up yet makes nobody wait', async t => {
  const scene = new BehindScene(t)
  const { values } = scene.start({ write: { retry: { first: '100ms', max: '1m', attempts: Infinity } } })
  refuse(scene, ['bad'], () => new Error('no'))
  await values.set('bad', 1)
  for (let minute = 0; minute < 10; minute++) await scene.pass(60_000)
  assert.ok(scene.refusals > 5)
  for (let at = 0; at < 10; at++) {
    await values.set('good', at)
    await scene.pass(100)
    assert.equal(scene.functions.rows.get('good'), at)
    await scene.pass(20_000)
  }
})

test('a newer write of a key that is given up is sent all the same', async t => {
  const scene = new BehindScene(t)
  const { values, errors } = scene.start({ write: { retry: { ...retry, attempts: 1 } } })
  const gate = Promise.withResolvers<void>()
  scene.functions.before = () => gate.promise
  await values.set('a', 'bad')
  await scene.pass(100)
  await values.set('a', 'good')
  const flushed = values.flush()
  scene.functions.before = () => Promise.resolve()
  gate.reject(new TidemarkError('ROW_INVALID', 'bad'))
  await scene.pass(100)
  assert.deepEqual([errors.map(({ value }) => value), scene.functions.rows.get('a')], [['bad'], 'good'])
  assert.equal(await values.get('a'), 'good')
  await flushed
})

test('once a source that was down takes writes again, it gets full batches', async t => {
  const scene = new BehindScene(t)
  const { values } = scene.start({ write: { retry, batch: 10 } })
  scene.functions.before = () => Promise.reject(new Error('down'))
  await values.setMany(Array.from({ length: 20 }, (_, at) => [`k${at}`, at] as const))
  for (let part = 0; part < 50; part++) await scene.pass(100)
  scene.functions.before = () => Promise.resolve()
  for (let part = 0; part < 20; part++) await scene.pass(100)
  assert.equal(scene.functions.rows.size, 20)
  const calls = scene.functions.stores.length
  await values.setMany(Array.from({ length: 20 }, (_, at) => [`k${at}`, -at] as const))
  await settle()
  assert.deepEqual(scene.functions.stores.slice(calls).map(({ size }) => size), [10, 10]) // prettier-ignore
})

test('attempts: Infinity gives nothing up', async t => {
  const scene = new BehindScene(t)
  const started = scene.start({ write: { retry: { ...retry, attempts: Infinity } } })
  refuse(scene, ['bad'], () => new TidemarkError('ROW_INVALID', 'bad'))
  await started.values.set('bad', 1)
  for (let part = 0; part < 200; part++) await scene.pass(100)
  assert.deepEqual(new Set(codes(started)), new Set(['ROW_INVALID']))
  assert.equal(await started.values.get('bad', fresh), 1)
})

test('a source that hangs is left after its time, and asked again', async t => {
  const scene = new BehindScene(t)
  const started = scene.start({ write: { retry } })
  const { values } = started
  scene.functions.before = () => new Promise(() => {})
  await values.setMany([['a', 1], ['b', 1]]) // prettier-ignore
  await scene.pass(100)
  await values.set('a', 2)
  scene.functions.before = () => Promise.resolve()
  await scene.pass(9_999)
  assert.equal(scene.functions.stores.length, 1)
  assert.equal(await values.get('a', fresh), 2)
  await scene.pass(1)
  await scene.pass(1_000)
  assert.deepEqual(codes(started), ['SOURCE_TIMEOUT'])
  assert.deepEqual(Object.fromEntries(scene.functions.rows), { a: 2, b: 1 })
})

test('a source that took a part of what it was given gets it again', async t => {
  const scene = new BehindScene(t, { b: 1 })
  const started = scene.start({ write: { retry } })
  const { values } = started
  const { remove } = scene.functions
  let down = true
  Object.assign(scene.functions, {
    remove: (ids: readonly string[]) => (down ? Promise.reject(new Error('no removals')) : remove(ids)),
  })
  scene.kill()
  const again = scene.start({ write: { retry } }).values
  void values
  await again.set('a', 1)
  await again.delete('b')
  await scene.pass(100)
  assert.deepEqual([...scene.functions.rows], [['b', 1], ['a', 1]]) // prettier-ignore
  assert.equal(await again.get('b', fresh), undefined)
  down = false
  await scene.pass(1_000)
  assert.deepEqual([...scene.functions.rows], [['a', 1]])
})

test('when the source fails to load, what waits is shown all the same', async t => {
  const scene = new BehindScene(t, { b: 1 })
  const { values } = scene.start({ write: { maxDelay: '1h' } })
  await values.set('a', 1)
  void values.clear()
  scene.functions.before = () => Promise.reject(new Error('down'))
  const [a, b] = await Promise.allSettled([values.get('a', fresh), values.get('b', fresh)])
  assert.deepEqual(a, { status: 'fulfilled', value: 1 })
  assert.equal(b.status, 'rejected')
  scene.functions.before = () => Promise.resolve()
})

test('closing sends what waits; a source that does not take it in time is left, and the next start sends it', async t => {
  const scene = new BehindScene(t)
  const first = scene.start({ write: { maxDelay: '1h', closeTimeout: '2s' } })
  await first.values.set('a', 1)
  await first.tide.close()
  assert.deepEqual([...scene.functions.rows], [['a', 1]])
  await refused(() => first.values.set('a', 2), 'SHUTTING_DOWN')

  const second = scene.start({ write: { maxDelay: '1h', closeTimeout: '2s', retry } })
  await second.values.set('a', 2)
  scene.functions.before = () => Promise.reject(new Error('down'))
  let closed = false
  const closing = second.tide.close().then(() => (closed = true))
  for (let part = 0; part < 19; part++) await scene.pass(100)
  assert.equal(closed, false, 'it is tried until the time is over')
  assert.ok(scene.functions.stores.length > 4)
  await scene.pass(101)
  await closing
  assert.deepEqual([...scene.functions.rows], [['a', 1]])
  const calls = scene.functions.stores.length
  await scene.pass(10_000)
  assert.equal(scene.functions.stores.length, calls, 'closed is closed')

  scene.functions.before = () => Promise.resolve()
  const third = scene.start()
  assert.equal(await third.values.get('a'), 2)
  await third.values.flush()
  assert.deepEqual([...scene.functions.rows], [['a', 2]])
})

test('closing waits for what is on its way, so that the next process is not overtaken by it', async t => {
  const scene = new BehindScene(t)
  const { tide, values } = scene.start({ write: { maxDelay: 0, closeTimeout: '1s' } })
  const release = scene.functions.hold()
  await values.set('a', 1)
  await settle()
  let closed = false
  const closing = tide.close().then(() => (closed = true))
  await scene.pass(5_000)
  assert.equal(closed, false)
  release()
  await settle()
  await closing
  assert.equal(scene.functions.rows.get('a'), 1)
})

test('a source that is not to be tried again in time is not waited for', async t => {
  const scene = new BehindScene(t)
  const { tide, values } = scene.start({
    write: { closeTimeout: '1s', retry: { first: '1m', max: '1m' } },
  })
  scene.functions.before = () => Promise.reject(new Error('down'))
  await values.set('a', 1)
  await scene.pass(100)
  await tide.close()
  scene.functions.before = () => Promise.resolve()
})

test('a disk that fails refuses writes, and takes them again when it does not; what was acknowledged goes to the source meanwhile', async t => {
  const scene = new BehindScene(t)
  const started = scene.start({ write: { maxDelay: '1s', retry } })
  const { values } = started
  await values.set('a', 1)
  scene.syncsFail = true
  await refused(() => values.set('b', 1), 'JOURNAL_FAILED', /EIO: by the test/)
  await refused(() => values.set('c', 1), 'JOURNAL_FAILED')
  assert.equal(await values.get('a', fresh), 1)
  assert.equal(await values.get('b'), undefined)
  for (let part = 0; part < 30; part++) await scene.pass(100)
  assert.equal(scene.functions.rows.get('a'), 1)
  assert.ok(codes(started).length > 2 && codes(started).every(code => code === 'JOURNAL_FAILED'), codes(started).join())
  scene.syncsFail = false
  for (let part = 0; part < 10; part++) await scene.pass(100)
  await values.set('c', 2)
  await scene.pass(1_000)
  assert.equal(scene.functions.rows.get('c'), 2)
  const read = await values.get('b')
  assert.equal(
    scene.functions.rows.get('b'),
    read,
    'what was not acknowledged came, or it did not: to readers and source alike',
  )
})
