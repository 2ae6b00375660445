// Writing behind, when nothing goes wrong: when a write is acknowledged, what reads see, what the source is sent, and in which
// order. Not for: failures (failures.test.ts), crashes (restarts.test.ts), tables (tables.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonCodec } from '../../../src/index.ts'
import { refused } from '../scene.ts'
import { BehindScene, settle } from './behind-scene.ts'

const fresh = { maxStaleness: 0 } as const
const stored = (scene: BehindScene): unknown[] => scene.functions.stores.map(entries => Object.fromEntries(entries))

test('a write is acknowledged before the source has it, and read by everybody in this process', async t => {
  const scene = new BehindScene(t, { a: 'old', b: 'b' })
  const { values } = scene.start()
  assert.equal(await values.get('a'), 'old')
  assert.equal(await values.set('a', 'new'), 'new')
  assert.equal(values.peek('a'), 'new')
  assert.equal(await values.get('a'), 'new')
  assert.deepEqual(await values.getMany(['a', 'b'], fresh), new Map([['a', 'new'], ['b', 'b']])) // prettier-ignore
  void values.clear()
  assert.equal(await values.get('a'), 'new', 'what waits is over the source')
  assert.equal(await values.update('a', value => `${String(value)}er`), 'newer')
  assert.equal(scene.functions.rows.get('a'), 'old')
  assert.deepEqual(stored(scene), [])
})

test('writes wait for others, and go together; of several for one key the last one goes', async t => {
  const scene = new BehindScene(t)
  const { values } = scene.start({ write: { maxDelay: '50ms' } })
  await values.set('a', 1)
  await scene.pass(30)
  await values.setMany([['b', 1], ['a', 2]]) // prettier-ignore
  await values.delete('c')
  await scene.pass(19)
  assert.deepEqual([stored(scene), scene.functions.removals], [[], []])
  await scene.pass(1)
  assert.deepEqual([stored(scene), scene.functions.removals], [[{ a: 2, b: 1 }], [['c']]])
  assert.equal(values.stats().behind!.pending, 0)
})

test('a full batch goes at once, and no batch is larger', async t => {
  const scene = new BehindScene(t)
  const { values } = scene.start({ write: { batch: 3, maxDelay: '1h' } })
  await values.setMany([1, 2, 3, 4, 5, 6, 7].map(at => [`k${at}`, at]))
  await settle()
  assert.deepEqual(stored(scene), [{ k1: 1, k2: 2, k3: 3 }, { k4: 4, k5: 5, k6: 6 }]) // prettier-ignore
  assert.equal(values.stats().behind!.pending, 1)
})

test('a value that is removed is gone at once, and null is a value', async t => {
  const scene = new BehindScene(t, { a: 1, b: 1 })
  const { values } = scene.start()
  await values.get('a')
  assert.equal(await values.delete('a'), true)
  await values.set('b', null)
  for (const options of [{}, fresh]) {
    assert.equal(await values.get('a', options), undefined)
    assert.equal(await values.get('b', options), null)
  }
  assert.equal(scene.functions.rows.has('a'), true)
  await values.set('a', 2)
  assert.equal(await values.get('a', fresh), 2, 'and may come again')
  await scene.pass(100)
  assert.deepEqual([...scene.functions.rows], [['a', 2], ['b', null]]) // prettier-ignore
})

test('the source never has two writes of a key at once, nor in another order', async t => {
  const scene = new BehindScene(t)
  const { values } = scene.start({ write: { batch: 1, maxDelay: 0 } })
  const release = scene.functions.hold()
  await values.set('a', 1)
  await settle()
  await values.set('a', 2)
  await values.set('a', 3)
  await scene.pass(1_000)
  assert.deepEqual(stored(scene), [{ a: 1 }])
  assert.equal(await values.get('a', fresh), 3)
  release()
  await settle()
  assert.deepEqual(stored(scene), [{ a: 1 }, { a: 3 }])
})

test('a load that is under way shows what was acknowledged before it, and after it, and never goes back', async t => {
  const scene = new BehindScene(t, { a: 'old', b: 'old', c: 'old' })
  const { values } = scene.start()
  await values.set('a', 'new')
  void values.clear()
  const releaseLoad = Promise.withResolvers<void>()
  const rows = new Map(scene.functions.rows)
  scene.functions.before = () => releaseLoad.promise
  const asked = values.getMany(['a', 'b', 'c'], fresh)
  await settle()
  assert.deepEqual(scene.functions.loads, [['b', 'c']], 'what waits is not asked for')
  scene.functions.before = () => Promise.resolve()
  const flushed = values.flush()
  await settle()
  await flushed
  await values.set('b', 'new')
  await settle()
  // What the source was asked for is as it was then.
  scene.functions.rows.clear()
  for (const [id, value] of rows) scene.functions.rows.set(id, value)
  releaseLoad.resolve()
  assert.deepEqual([...(await asked).values()], ['new', 'new', 'old'])
})

test('what the caller does with a value after that is not written', async t => {
  const scene = new BehindScene(t)
  const { values } = scene.start()
  const value = { list: [1] }
  await values.set('a', value)
  value.list.push(2)
  await scene.pass(100)
  assert.deepEqual(scene.functions.rows.get('a'), { list: [1] })
})

test('flush sends what was acknowledged before, and waits for that alone', async t => {
  const scene = new BehindScene(t)
  const { values } = scene.start({ write: { maxDelay: '1h', batch: 1 } })
  await values.flush()
  const release = scene.functions.hold()
  await values.set('a', 1)
  await settle()
  await values.setMany([['a', 2], ['b', 1]]) // prettier-ignore
  let done = false
  const flushed = values.flush().then(() => (done = true))
  await values.set('c', 1)
  release()
  await scene.pass(0)
  await flushed
  assert.ok(done)
  assert.equal(scene.functions.rows.get('a'), 2, 'the write that waited behind the one on its way is in')
  assert.equal(scene.functions.rows.get('b'), 1)
})

test('a flush ends with its signal; a keyspace that writes through has nothing to flush', async t => {
  const scene = new BehindScene(t)
  const { values, tide } = scene.start()
  const release = scene.functions.hold()
  await values.set('a', 1)
  const stop = new AbortController()
  const flushed = values.flush({ signal: stop.signal })
  await settle()
  stop.abort(new Error('enough'))
  await assert.rejects(flushed, /enough/)
  release()
  await settle()
  await tide.keyspace('others', { source: { load: () => [] } }).flush()
})

test('there is room for so many keys; past it writes are refused, all of one call or none', async t => {
  const scene = new BehindScene(t)
  const { values } = scene.start({ write: { maxPending: 3, maxDelay: '1h' } })
  await values.setMany([['a', 1], ['b', 1]]) // prettier-ignore
  await refused(() => values.setMany([['c', 1], ['d', 1]]), 'JOURNAL_FULL', /2 writes to 'items', of which 2 wait.*3 may \(maxPending\)/) // prettier-ignore
  assert.equal(await values.get('c', fresh), undefined)
  await values.set('a', 2)
  await values.set('c', 1)
  await refused(() => values.set('d', 1), 'JOURNAL_FULL')
  const flushed = values.flush()
  await scene.pass(0)
  await flushed
  await values.set('d', 1)
  assert.deepEqual([...scene.functions.rows], [['a', 2], ['b', 1], ['c', 1]]) // prettier-ignore
})

test('statistics tell how much waits, and since when', async t => {
  const scene = new BehindScene(t)
  const { values, tide } = scene.start()
  await values.set('a', 1)
  await scene.pass(60)
  await values.set('b', 1)
  await scene.pass(10)
  const { journalBytes, ...rest } = values.stats().behind!
  assert.deepEqual(rest, { pending: 2, oldestPendingMs: 70, retries: 0, givenUp: 0 })
  assert.ok(journalBytes > 0)
  assert.deepEqual(tide.stats().behind, values.stats().behind)
  await scene.pass(30)
  assert.deepEqual({ ...values.stats().behind, journalBytes: 0 }, { pending: 0, oldestPendingMs: 0, retries: 0, givenUp: 0, journalBytes: 0 }) // prettier-ignore
  assert.equal(tide.keyspace('others', { source: { load: () => [] } }).stats().behind, undefined)
})

test('a value may have a time and tags of its own, which end what is in memory, not what waits', async t => {
  const scene = new BehindScene(t)
  const { values, tide } = scene.start({ write: { maxDelay: '1h' } })
  await values.set('a', 'a', { ttl: '10s', tags: ['t'] })
  await values.set('b', 'b', { ttl: '10s' })
  await tide.deleteByTag('t')
  assert.equal(values.peek('a'), undefined)
  await scene.pass(10_001)
  assert.equal(values.peek('b'), undefined)
  assert.deepEqual([await values.get('a'), await values.get('b')], ['a', 'b'])
})

test('what cannot be kept is refused, and not acknowledged', async t => {
  const scene = new BehindScene(t)
  const { values, tide } = scene.start({ keyspace: { codec: jsonCodec() } })
  await refused(() => values.set('a', { big: 1n }), 'VALUE_UNENCODABLE')
  await refused(() => values.set('a', undefined), 'VALUE_INVALID')
  assert.equal(values.stats().behind!.pending, 0)
  const noRemove = tide.keyspace('keeps', {
    source: { load: () => [], store: () => {} },
    write: 'behind',
  })
  await refused(() => noRemove.delete('a'), 'ROW_OPERATION', /no function 'remove'/)
})

test('a value is checked before it is acknowledged, and as it is read', async t => {
  const scene = new BehindScene(t)
  const schema = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value: unknown) =>
        typeof value === 'string' ? { value: value.trim() } : { issues: [{ message: 'no text' }] },
    },
  } as const
  const { values } = scene.start({ keyspace: { schema } })
  await refused(() => values.set('a', 1), 'VALUE_INVALID', /no text/)
  assert.equal(await values.set('a', ' text '), 'text')
  await scene.pass(100)
  assert.deepEqual(stored(scene), [{ a: 'text' }])
})

test('a session reads what it wrote, whatever is in memory', async t => {
  const scene = new BehindScene(t, { a: 'old' })
  const { values, tide } = scene.start()
  const session = tide.session()
  await values.set('a', 'new', { session })
  assert.equal(await values.get('a', { session }), 'new')
  await values.flush()
  assert.equal(await values.get('a', { session }), 'new')
})

test('what getOrSet builds is written behind, once', async t => {
  const scene = new BehindScene(t)
  const { values } = scene.start()
  let builds = 0
  const build = (): number => ++builds
  assert.deepEqual(await Promise.all([values.getOrSet('a', build), values.getOrSet('a', build)]), [1, 1])
  void values.clear()
  assert.equal(await values.getOrSet('a', build), 1)
  await scene.pass(100)
  assert.deepEqual(stored(scene), [{ a: 1 }])
})

test('events tell of writes when they are acknowledged, and of loads of the source alone', async t => {
  const scene = new BehindScene(t)
  const { values, tide } = scene.start()
  const told: string[] = []
  tide.on('write', ({ keys }) => told.push(`write ${keys.join()}`))
  tide.on('load', ({ keys }) => told.push(`load ${keys.join()}`))
  await values.set('a', 1)
  await values.getMany(['a', 'b'], fresh)
  assert.deepEqual(told, ['write a', 'load b'])
})
