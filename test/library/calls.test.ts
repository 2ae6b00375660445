// What goes with a call: its signal, its session, and what is told and counted of it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventName } from '../../src/index.ts'
import type { Tidemark } from '../../src/library/tidemark.ts'
import { Functions, open, refused, settle } from './scene.ts'

const aborted = { name: 'AbortError' }

void test('a call that is aborted rejects with the reason, and what it began goes on for others', async t => {
  const { tide } = open(t)
  const functions = new Functions({ 1: 'one' })
  const users = tide.keyspace('users', { source: functions })
  const release = functions.hold()
  const controller = new AbortController()
  const mine = users.get('1', { signal: controller.signal })
  const others = users.get('1')
  await settle()
  const reason = new Error('enough')
  controller.abort(reason)
  await assert.rejects(mine, reason)
  release()
  assert.equal(await others, 'one')
  assert.deepEqual(functions.loads, [['1']])
  assert.equal(users.peek('1'), 'one')
})

void test('a call whose signal is aborted already begins nothing', async t => {
  const { tide } = open(t)
  const functions = new Functions({ 1: 'one' })
  const users = tide.keyspace('users', { source: functions })
  const signal = AbortSignal.abort()
  const build = () => assert.fail('built')
  for (const call of [
    () => users.get('1', { signal }),
    () => users.read('1', { signal }),
    () => users.getMany(['1'], { signal }),
    () => users.has('1', { signal }),
    () => users.set('1', 2, { signal }),
    () => users.setMany([['1', 2]], { signal }),
    () => users.update('1', build, { signal }),
    () => users.delete('1', { signal }),
    () => users.deleteMany(['1'], { signal }),
    () => users.getOrSet('1', build, { signal }),
    () => tide.getOrSet('1', build, { signal }),
    () => tide.set('1', 1, { signal }),
  ]) {
    await assert.rejects(call(), aborted)
  }
  await settle()
  assert.deepEqual([functions.loads, functions.stores, functions.removals], [[], [], []])
  // Memory answers all the same: nothing has to be given up for that.
  await tide.set('1', 1)
  assert.equal(await tide.getOrSet('1', build, { signal }), 1)
})

void test('a build goes on when whoever began it gives up, and those who wait in turn do not begin', async t => {
  const { tide } = open(t)
  const gate = Promise.withResolvers<string>()
  const controller = new AbortController()
  const { signal } = controller
  const mine = tide.getOrSet('a', () => gate.promise, { signal })
  await settle()
  const others = tide.getOrSet('a', () => 'not needed')
  controller.abort()
  await assert.rejects(mine, aborted)
  gate.resolve('built')
  assert.equal(await others, 'built')
  const users = tide.keyspace('users', { source: new Functions() })
  const slow = Promise.withResolvers<string>()
  const first = users.getOrSet('1', () => slow.promise)
  await settle()
  const second = new AbortController()
  const waiting = [
    users.getOrSet('1', () => assert.fail('built'), second),
    users.update('1', () => assert.fail(), second),
  ]
  second.abort()
  for (const each of waiting) await assert.rejects(each, aborted)
  slow.resolve('one')
  assert.equal(await first, 'one')
  await settle()
})

void test('a session sees what it wrote, in several keyspaces, with a log or without', async t => {
  const { tide } = open(t)
  const functions = new Functions({ 1: 'old', 2: 'old' })
  const users = tide.keyspace('users', { source: functions })
  const session = tide.session()
  const other = tide.keyspace('other', { source: functions })
  await users.set('1', 'new', { session })
  await other.set('2', 'new', { session })
  assert.equal(await users.get('1', { session }), 'new')
  assert.equal(await other.get('2', { session }), 'new')
  await tide.set('own', 1, { session })
  assert.equal(await tide.values.get('own', { session }), 1)
  assert.equal(await users.delete('1', { session }), true)
  assert.equal(await users.get('1', { session }), undefined)
  const fresh = tide.session()
  assert.equal(await users.get('2', { session: fresh }), 'new')
})

/** Names and keys of what is told. */
function listen(tide: Tidemark, names: readonly EventName[]): unknown[] {
  const heard: unknown[] = []
  for (const name of names) tide.on(name, event => heard.push([name, event]))
  return heard
}

void test('events tell what happened, to those who listen', async t => {
  const { tide, clock } = open(t, { near: { maxEntries: 3 } })
  const functions = new Functions({ 1: 'one' })
  const k = tide.keyspace('k', { source: functions, ttl: '10s', maxStaleness: '1s' })
  const heard = listen(tide, ['hit', 'miss', 'write', 'invalidate', 'stale'])
  const expect = (...events: unknown[]) => assert.deepEqual(heard.splice(0), events)
  const keyspace = 'k'
  await k.get('1')
  expect(['miss', { keyspace, key: '1' }])
  await k.get('1')
  await k.get('1', {})
  expect(['hit', { keyspace, key: '1' }], ['hit', { keyspace, key: '1' }])
  k.peek('1')
  expect()
  await k.set('2', 'two')
  await k.setMany([['3', 3], ['4', 4]]) // prettier-ignore
  await k.deleteMany(['3', '4'])
  expect(['write', { keyspace, keys: ['2'] }], ['write', { keyspace, keys: ['3', '4'] }], ['write', { keyspace, keys: ['3', '4'] }]) // prettier-ignore
  await k.set('2', 'two')
  heard.length = 0
  clock.advance(2_000)
  await k.get('2', { whenStale: 'serve' })
  expect(['stale', { keyspace, key: '2', ageMs: 2_000 }], ['hit', { keyspace, key: '2' }])
  await k.invalidate('2')
  await k.invalidateMany(['a', 'b'])
  await k.clear()
  expect(['invalidate', { keyspace, keys: ['2'] }], ['invalidate', { keyspace, keys: ['a', 'b'] }], ['invalidate', { keyspace, keys: [] }]) // prettier-ignore
  const evicted = listen(tide, ['evict'])
  for (let i = 0; i < 5; i++) await tide.set(`v${i}`, i)
  assert.equal(evicted.length, 2)
  assert.deepEqual(evicted[0], ['evict', { keyspace: 'values', key: 'v0', reason: 'room' }])
})

void test('who stops listening hears no more; who throws holds up nobody, and is told of', async t => {
  const { tide } = open(t)
  const heard: string[] = []
  const listener = (event: { readonly key: string }) => void heard.push(event.key)
  const [first, second] = [tide.on('miss', listener), tide.on('miss', listener)]
  const trouble = new Error('listener')
  const errors: unknown[] = []
  tide.on('error', ({ error }) => errors.push(error))
  tide.on('miss', () => {
    throw trouble
  })
  await tide.get('a')
  first()
  first()
  await tide.get('b')
  second()
  await tide.get('c')
  assert.deepEqual(heard, ['a', 'a', 'b'])
  assert.deepEqual(errors, [trouble, trouble, trouble])
})

void test('stats count what happened, by keyspace and together', async t => {
  const { tide } = open(t)
  const functions = new Functions({ 1: 'one', 2: 'two' })
  const k = tide.keyspace('k', { source: functions })
  const pick = ({ hits, misses, loads, loadErrors, writes, entries }: ReturnType<Tidemark['stats']>) => ({ hits, misses, loads, loadErrors, writes, entries }) // prettier-ignore
  assert.ok(Number.isNaN(k.stats().hitRatio))
  await Promise.all([k.get('1'), k.get('1'), k.get('2')])
  await k.get('1')
  await k.read('1')
  assert.deepEqual(pick(k.stats()), { hits: 2, misses: 3, loads: 2, loadErrors: 0, writes: 0, entries: 2 })
  assert.equal(k.stats().hitRatio, 0.4)
  functions.before = () => Promise.reject(new Error('down'))
  await Promise.allSettled([k.get('3'), k.set('4', 4)])
  assert.deepEqual(pick(k.stats()), { hits: 2, misses: 4, loads: 2, loadErrors: 1, writes: 0, entries: 2 })
  await tide.getOrSet('a', () => 1)
  await tide.getOrSet('a', () => 1)
  await tide.set('b', 1)
  assert.deepEqual(pick(tide.values.stats()), { hits: 1, misses: 1, loads: 1, loadErrors: 0, writes: 1, entries: 2 })
  assert.deepEqual(pick(tide.stats()), { hits: 3, misses: 5, loads: 3, loadErrors: 1, writes: 1, entries: 4 })
})

void test('refusals of one call leave the next one alone', async t => {
  const { tide } = open(t)
  const users = tide.keyspace('users', { source: new Functions({ 1: 1 }) })
  await refused(() => users.get('1', { whenStale: 'never' as never }), 'OPTION_INVALID')
  assert.equal(await users.get('1'), 1)
})
