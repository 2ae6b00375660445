// Functions with faults, behind a cache whose time is moved by hand.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { KeyspaceOptions, SourceFunctions } from '../../src/index.ts'
import type { Keyspace } from '../../src/library/keyspace.ts'
import { createTestTidemark, type FaultySource, faultySource, ManualClock } from '../../src/testing/index.ts'

interface Scene {
  readonly rows: Map<string, string>
  readonly clock: ManualClock
  readonly source: FaultySource<string>
  readonly users: Keyspace<string>
}

function scene(t: TestContext, options: KeyspaceOptions<string> = {}): Scene {
  const rows = new Map([['1', 'one'], ['2', 'two']]) // prettier-ignore
  const { tide, clock } = createTestTidemark()
  t.after(() => tide.close())
  const functions: SourceFunctions<string> = {
    load: ids => new Map(ids.filter(id => rows.has(id)).map(id => [id, rows.get(id)!])),
    store: entries => {
      for (const [id, value] of entries) rows.set(id, value)
    },
    remove: ids => {
      for (const id of ids) rows.delete(id)
    },
  }
  const source = faultySource(functions, { clock })
  return { rows, clock, source, users: tide.keyspace('users', { ttl: '1h', ...options, source }) }
}

void test('the next calls fail, so many of them, with the error that the test gives, or one that says so', async t => {
  const { source, users } = scene(t)
  source.fail(2)
  await assert.rejects(users.get('1'), /the test said so/)
  await assert.rejects(users.set('1', 'new'), /the test said so/)
  assert.equal(await users.get('1'), 'one')
  const error = new Error('no network')
  source.fail(1, { error, on: 'store' })
  assert.equal(await users.get('2'), 'two', 'loads do not fail')
  await assert.rejects(users.set('1', 'new'), error)
  assert.equal(await users.set('1', 'new'), 'new')
  const end = source.fail(Infinity)
  for (let i = 0; i < 5; i++) await assert.rejects(users.delete('1'), /the test said so/)
  end()
  end()
  assert.equal(await users.delete('1'), true)
})

void test('a call that fails after it has done its work has done it', async t => {
  const { source, users, rows } = scene(t)
  source.fail(1, { after: true, on: 'store' })
  await assert.rejects(users.set('1', 'new'), /the test said so/)
  assert.equal(rows.get('1'), 'new')
  assert.equal(await users.get('1'), 'new', 'nobody knows that it was not stored')
})

void test('calls are counted, with what they asked for and the signal that they were given', async t => {
  const { source, users, clock } = scene(t, { load: { timeout: '1s' } })
  await users.getMany(['1', '2', '9'])
  await users.set('1', 'new')
  await users.delete('2')
  assert.deepEqual(source.calls.map(({ name, keys }) => [name, ...keys]), [['load', '1', '2', '9'], ['store', '1'], ['remove', '2']]) // prettier-ignore
  assert.deepEqual([source.count(), source.count('load'), source.count('remove')], [3, 1, 1])
  source.hang()
  const call = assert.rejects(users.get('7'), { code: 'SOURCE_TIMEOUT' })
  await clock.pass('1s')
  await call
  assert.deepEqual(source.calls.map(({ signal }) => signal!.aborted), [false, false, false, true]) // prettier-ignore
})

void test('a source that hangs holds its callers until it is let go, and begins then', async t => {
  const { source, users, rows, clock } = scene(t)
  const release = source.hang({ on: 'load' })
  const call = users.get('1')
  await clock.pass('1s')
  rows.set('1', 'later')
  assert.equal(await users.set('2', 'stored'), 'stored', 'stores do not hang')
  release()
  assert.equal(await call, 'later')
  assert.equal(await users.get('9'), undefined)
  const releaseAnswer = source.hang({ after: true, times: 1 })
  const early = users.get('3')
  await clock.pass('1s')
  rows.set('3', 'too late')
  releaseAnswer()
  assert.equal(await early, undefined)
})

void test('a slow source looks later, and one that answers late has looked before', async t => {
  for (const how of ['delay', 'late'] as const) {
    const { source, users, rows, clock } = scene(t)
    source[how]('2s', { times: 1 })
    let answer: string | undefined
    void users.get('1').then(value => (answer = value))
    await clock.pass('1s')
    rows.set('1', 'changed')
    await clock.pass('999ms')
    assert.equal(answer, undefined, how)
    await clock.pass('1ms')
    assert.equal(answer, how === 'delay' ? 'changed' : 'one')
    assert.equal(await users.get('2'), 'two', 'the next one is not')
  }
})

void test('a load that answers late, after a write, is not kept', async t => {
  const { source, users, clock } = scene(t)
  source.late('2s', { on: 'load', times: 1 })
  const early = users.get('1')
  await clock.pass('1s')
  await users.set('1', 'new')
  await clock.pass('1s')
  await early
  assert.equal(await users.get('1'), 'new')
})

void test('a source answers for ids that nobody asked for, leaves some out, or answers nonsense', async t => {
  const { source, users } = scene(t)
  source.answer(found => new Map([...found, ['7', 'seven']]), { times: 1 })
  await assert.rejects(users.get('1'), { code: 'SOURCE_ANSWER' })
  source.answer(found => {
    found.delete('2')
    return found
  }, { times: 1 }) // prettier-ignore
  assert.deepEqual(await users.getMany(['1', '2']), new Map([['1', 'one']]))
  const end = source.answer(() => 'nonsense')
  await assert.rejects(users.get('3'), { code: 'SOURCE_ANSWER' })
  end()
  assert.equal(await users.get('3'), undefined)
})

void test('faults hold together, and healing ends them all and lets go whatever hangs', async t => {
  const { source, users, clock } = scene(t)
  source.delay('1s', { on: 'load' })
  source.hang()
  source.fail(Infinity, { on: 'store' })
  const call = users.get('1')
  await clock.pass('2s')
  source.heal()
  assert.equal(await users.set('2', 'new'), 'new')
  let answer: unknown
  void call.then(value => (answer = value))
  await clock.pass(0)
  assert.equal(answer, 'one')
})

void test('what the functions cannot do the faulty ones cannot either, and mistakes are said', () => {
  const source = faultySource({ load: () => ({}) }, { clock: new ManualClock() })
  assert.deepEqual([source.store, source.remove], [undefined, undefined])
  for (const mistake of [() => source.fail(0), () => source.hang({ times: NaN }), () => source.delay('1 day' as '1s')])
    assert.throws(mistake, { code: 'OPTION_INVALID' })
})
