// Plain functions as a source: what they may answer, what is refused, and what comes of a function that fails or is late.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { LOGLESS_EPOCH } from '../../src/coherence/epoch.ts'
import { FunctionsSource, type SourceFunctions } from '../../src/source/functions-source.ts'
import { NULL_VALUE } from '../../src/base/null-value.ts'
import type { RowOperation } from '../../src/source/source.ts'
import { ManualClock } from '../../src/testing/clock.ts'

const TIMEOUT_MS = 1_000

function open(functions: Partial<SourceFunctions>): { clock: ManualClock; source: FunctionsSource } {
  const clock = new ManualClock()
  const whole = { load: () => new Map(), ...functions }
  return { clock, source: new FunctionsSource({ name: 'users', functions: whole, clock, timeoutMs: TIMEOUT_MS }) }
}

async function load(answer: unknown, ...ids: string[]): Promise<readonly unknown[]> {
  const { source } = open({ load: () => answer as never })
  return (await source.load('users', ids)).rows
}

function replace(row: unknown): RowOperation<unknown> {
  return { kind: 'replace', row }
}

const REMOVE = { kind: 'remove' } as const

async function write(source: FunctionsSource, ...writes: [id: string, operation: RowOperation<unknown>][]) {
  return source.write(writes.map(([id, operation]) => ({ keyspace: 'users', id, operation })))
}

describe('what load may answer', () => {
  const rows = ['one', null, 'three']
  const right: readonly [what: string, answer: unknown][] = [
    ['a Map', new Map(Object.entries({ 3: 'three', 1: 'one' }))],
    ['pairs', Object.entries({ 3: 'three', 1: 'one' })],
    ['an object', { 3: 'three', 1: 'one' }],
    ['a promise of one of them', Promise.resolve({ 3: 'three', 1: 'one' })],
  ]
  for (const [what, answer] of right) {
    test(`load may answer ${what}`, async () => assert.deepEqual(await load(answer, '1', '2', '3'), rows))
  }

  test('undefined stands for what is not there; null is a value', async () => {
    assert.deepEqual(await load({ 1: undefined, 2: null, 3: 0 }, '1', '2', '3', '4'), [null, NULL_VALUE, 0, null])
  })

  const wrong: readonly [what: string, answer: unknown, message: RegExp][] = [
    ['an id that was not asked for', new Map([['9', 1]]), /answered with the id '9', .* asked for '1', '2' /],
    ['an id of another type', new Map([[1, 'one']]), /the id the number 1, .*ids are strings/],
    ['nothing', undefined, /answered undefined; it is to answer a Map/],
    ['values without their ids', ['one', 'two'], /an array with a string in it/],
    ['a lone value', 'one', /answered a string/],
    ['an object of a class', new Date(0), /answered an object of class Date/],
  ]
  for (const [what, answer, message] of wrong) {
    test(`load may not answer ${what}`, () =>
      assert.rejects(load(answer, '1', '2'), { code: 'SOURCE_ANSWER', message }))
  }
})

test('an error of a function is passed on as it is, thrown or rejected', async () => {
  const own = new Error('their database is down')
  const throwing = open({
    load: () => {
      throw own
    },
  })
  const rejecting = open({ load: () => Promise.reject(own), store: () => Promise.reject(own) })
  await assert.rejects(throwing.source.load('users', ['1']), error => error === own)
  await assert.rejects(rejecting.source.load('users', ['1']), error => error === own)
  await assert.rejects(write(rejecting.source, ['1', replace('one')]), error => error === own)
})

test('a call that takes too long is aborted, and rejects whether the function heeds that or not', async () => {
  const signals: AbortSignal[] = []
  const { clock, source } = open({
    load: (_ids, { signal }) => {
      signals.push(signal)
      return new Promise(() => {})
    },
    store: () => new Promise(() => {}),
  })
  const loading = assert.rejects(source.load('users', ['1']), { code: 'SOURCE_TIMEOUT', message: /more than 1000 ms/ })
  const storing = assert.rejects(write(source, ['1', replace('one')]), { code: 'SOURCE_TIMEOUT' })
  clock.advance(TIMEOUT_MS - 1)
  assert.equal(signals[0]!.aborted, false)
  clock.advance(1)
  assert.equal(signals[0]!.aborted, true)
  assert.equal((signals[0]!.reason as TidemarkError).code, 'SOURCE_TIMEOUT')
  await Promise.all([loading, storing])
})

test('a call that is over leaves no timer', async () => {
  const { clock, source } = open({})
  await source.load('users', ['1'])
  assert.equal(clock.pending, 0)
})

describe('writes', () => {
  test('are one call of store and one of remove; of one id the last counts', async () => {
    const calls: unknown[] = []
    const { source } = open({
      store: entries => void calls.push(['store', [...entries]]),
      remove: ids => void calls.push(['remove', ids]),
    })
    const { outcomes, stamp } = await write(
      source,
      ['1', replace('one')],
      ['2', REMOVE],
      ['1', REMOVE],
      ['3', replace(NULL_VALUE)],
      ['2', replace('two')],
    )
    assert.deepEqual(calls, [
      ['store', [['3', null], ['2', 'two']]], // prettier-ignore
      ['remove', ['1']],
    ])
    assert.deepEqual(
      outcomes.map(({ after }) => after),
      ['one', null, null, NULL_VALUE, 'two'],
    )
    for (const outcome of outcomes) assert.deepEqual({ ...outcome, after: 0 }, { changed: true, before: null, after: 0, fields: 0, exact: true }) // prettier-ignore
    assert.equal(stamp.epoch, LOGLESS_EPOCH)
  })

  test('keep the receiver of the functions', async () => {
    class Users implements SourceFunctions {
      readonly rows = new Map<string, unknown>()
      load(ids: readonly string[]): [string, unknown][] {
        return ids.filter(id => this.rows.has(id)).map(id => [id, this.rows.get(id)])
      }
      store(entries: ReadonlyMap<string, unknown>): void {
        for (const [id, value] of entries) this.rows.set(id, value)
      }
      remove(ids: readonly string[]): void {
        for (const id of ids) this.rows.delete(id)
      }
    }
    const { source } = {
      source: new FunctionsSource({ name: 'users', functions: new Users(), clock: new ManualClock() }),
    }
    await write(source, ['1', replace('one')], ['2', replace('two')])
    await write(source, ['2', REMOVE])
    assert.deepEqual((await source.load('users', ['1', '2'])).rows, ['one', null])
  })

  test('that functions cannot do are refused before anything is called', async () => {
    let called = 0
    const { source } = open({ store: () => void called++ })
    const refused: readonly [RowOperation<unknown>, RegExp][] = [
      [REMOVE, /has no function 'remove'/],
      [{ kind: 'replace', row: 1, condition: 'absent' }, /takes no condition \('absent'\)/],
      [{ kind: 'unset', fields: ['a'] }, /takes whole values, not the operation 'unset'/],
    ]
    for (const [operation, message] of refused) {
      await assert.rejects(write(source, ['1', replace('one')], ['2', operation]), { code: 'ROW_OPERATION', message })
    }
    await assert.rejects(write(open({}).source, ['1', replace('one')]), /has no function 'store'/)
    assert.equal(called, 0)
  })

  test('of which the store went well and the removal did not say so', async () => {
    const cause = new TidemarkError('ROW_INVALID', 'no')
    const { source } = open({ store: () => {}, remove: () => Promise.reject(cause) })
    await assert.rejects(write(source, ['2', REMOVE]), error => error === cause)
    await assert.rejects(write(source, ['1', replace('one')], ['2', REMOVE]), {
      code: 'SOURCE_PARTLY',
      message: "1 values were stored in 'users', then 'remove' of 1 others failed: no",
      cause,
    })
  })
})

test('a session that was answered is answered by the functions alone: no memory vouches for as much', async () => {
  const { source } = open({ store: () => {} })
  const { stamp } = await source.load('users', ['1'])
  const written = await write(source, ['1', replace('one')])
  for (const upto of [stamp.upto, written.stamp.upto]) assert.ok(upto > (await source.position()).position)
})

test('a source that is closed takes no more calls', async () => {
  const { source } = open({ store: () => {} })
  await source.close()
  await assert.rejects(source.load('users', ['1']), { code: 'SHUTTING_DOWN' })
  await assert.rejects(write(source, ['1', replace('one')]), { code: 'SHUTTING_DOWN' })
})
