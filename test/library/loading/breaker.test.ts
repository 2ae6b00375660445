// The breaker as a state machine, and then over a source: timeouts, attempts, what counts as a failure.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TidemarkError } from '../../../src/base/errors.ts'
import { limits } from '../../../src/base/limits.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { Breaker } from '../../../src/library/breaker.ts'
import { Breakers, SourceBreaker } from '../../../src/library/breakers.ts'
import { GuardedSource, type Guards } from '../../../src/library/guarded-source.ts'
import { FunctionsSource } from '../../../src/source/functions-source.ts'
import { WrappedSource } from '../../../src/source/wrapped-source.ts'
import { ManualClock } from '../../../src/testing/clock.ts'
import { Backend } from './backend.ts'
import { turns } from './turns.ts'

const settings = { failures: 3, halfOpenAfterMs: 1_000 }

function fail(breaker: Breaker, nowMs: number, times = 1): void {
  for (let i = 0; i < times; i++) breaker.failed(breaker.enter(nowMs)!, nowMs)
}

await test('failures in a row open it; one success between them begins the count anew', () => {
  const breaker = new Breaker(settings)
  fail(breaker, 0, 2)
  breaker.succeeded(breaker.enter(0)!)
  fail(breaker, 0, 2)
  assert.notEqual(breaker.enter(0), undefined)
  assert.equal(breaker.waitMs(0), 0)
  fail(breaker, 0)
  assert.equal(breaker.enter(0), undefined)
  assert.equal(breaker.waitMs(400), 600)
})

await test('after its time one passes alone; its failure opens it again, its success closes it', () => {
  const breaker = new Breaker(settings)
  fail(breaker, 0, 3)
  assert.equal(breaker.enter(999), undefined)
  const first = breaker.enter(1_000)!
  assert.equal(breaker.enter(1_000), undefined)
  breaker.failed(first, 1_200)
  assert.equal(breaker.enter(2_199), undefined)
  const second = breaker.enter(2_200)!
  breaker.succeeded(second)
  assert.notEqual(breaker.enter(2_200), undefined)
  // It takes as many failures as at first.
  fail(breaker, 2_300, 2)
  assert.notEqual(breaker.enter(2_300), undefined)
})

await test('one that is not heard of is followed by another', () => {
  const breaker = new Breaker(settings)
  fail(breaker, 0, 3)
  const lost = breaker.enter(1_000)!
  assert.equal(breaker.enter(1_999), undefined)
  const next = breaker.enter(2_000)!
  breaker.failed(lost, 2_000)
  assert.equal(breaker.waitMs(2_000), 1_000)
  breaker.failed(next, 2_100)
  breaker.succeeded(lost)
  assert.equal(breaker.enter(3_099), undefined, 'what was found out last counts')
  breaker.succeeded(breaker.enter(3_100)!)
  assert.notEqual(breaker.enter(3_100), undefined)
})

await test('a source whose loads take longer than the time between two that find out is found again', () => {
  const breaker = new Breaker(settings)
  fail(breaker, 0, 3)
  const slow = breaker.enter(1_000)!
  const later = breaker.enter(2_000)!
  breaker.succeeded(slow)
  assert.notEqual(breaker.enter(2_500), undefined)
  // It is closed by then: this one is of the period before.
  breaker.failed(later, 2_600)
  fail(breaker, 2_700, 2)
  assert.notEqual(breaker.enter(2_700), undefined)
})

await test('while it is half-open, one that says nothing makes way for another; in other times it changes nothing', () => {
  const breaker = new Breaker(settings)
  fail(breaker, 0, 2)
  breaker.saidNothing(breaker.enter(0)!, 0)
  const late = breaker.enter(0)!
  fail(breaker, 0)
  breaker.saidNothing(late, 10)
  assert.equal(breaker.enter(999), undefined)
  const silent = breaker.enter(1_000)!
  breaker.saidNothing(silent, 1_100)
  const second = breaker.enter(1_100)!
  assert.equal(breaker.enter(1_100), undefined)
  // Its time is over.
  breaker.saidNothing(silent, 1_200)
  assert.equal(breaker.enter(1_200), undefined)
  breaker.failed(second, 1_300)
  assert.equal(breaker.enter(2_299), undefined)
  breaker.succeeded(breaker.enter(2_300)!)
  assert.notEqual(breaker.enter(2_300), undefined)
})

await test('what began before it opened says nothing of what came after', () => {
  const breaker = new Breaker(settings)
  const passes = [1, 2, 3, 4, 5].map(() => breaker.enter(0)!)
  for (const pass of passes.slice(0, 3)) breaker.failed(pass, 0)
  breaker.succeeded(passes[3]!)
  assert.equal(breaker.enter(500), undefined)
  breaker.failed(passes[4]!, 900)
  assert.notEqual(breaker.enter(1_000), undefined)
})

const none: Guards = { timeoutMs: undefined, retries: 0, breaker: undefined }

function open(own: Partial<Guards>) {
  const clock = new ManualClock()
  const backend = new Backend(clock)
  const functions = new FunctionsSource({ name: 'k', functions: backend, clock, timeoutMs: 60_000 })
  const guards = new Map([['k', { ...none, ...own }]])
  const source = new GuardedSource({ source: functions, guards, clock, random: seededRandom(1) })
  const load = async (id = '1'): Promise<unknown> => (await source.load('k', [id])).rows[0]
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 10) {
      clock.advance(Math.min(10, left))
      await turns(2)
    }
  }
  backend.values.set('1', 'a')
  return { clock, backend, source, load, pass }
}

await test('a load that takes longer than its time fails, and the next one has all of it again', async () => {
  const { backend, load, pass } = open({ timeoutMs: 100 })
  backend.takesMs = Infinity
  const hanging = assert.rejects(load(), { code: 'SOURCE_TIMEOUT', message: /'k' took more than 100 ms/ })
  await pass(100)
  await hanging
  backend.takesMs = 90
  const slow = load()
  await pass(90)
  assert.equal(await slow, 'a')
})

await test('a load is tried again after growing pauses, and then fails as the last attempt did', async () => {
  const { clock, backend, load, pass } = open({ retries: 2 })
  backend.failure = new Error('first')
  const began = clock.monotonicMs()
  let ended: number | undefined
  const failing = load().catch((error: unknown) => {
    ended = clock.monotonicMs()
    return error
  })
  await turns()
  assert.equal(backend.asked.length, 1)
  await pass(limits.loadRetryMs)
  assert.equal(backend.asked.length, 2)
  backend.failure = new Error('last')
  await pass(limits.loadRetryMs * 2)
  assert.equal(backend.asked.length, 3)
  assert.equal(((await failing) as Error).message, 'last')
  // Half of each pause at least.
  assert.ok(ended! - began >= limits.loadRetryMs * 1.5)
})

await test('an attempt that goes well is the answer', async () => {
  const { backend, load, pass } = open({ retries: 2 })
  backend.failure = new Error('once')
  const loading = load()
  await turns()
  backend.failure = undefined
  await pass(limits.loadRetryMs)
  assert.equal(await loading, 'a')
})

await test('what would be answered alike is not tried again: a wrong answer, and a source that is left alone', async () => {
  const { backend, load } = open({ retries: 5, breaker: new SourceBreaker({ failures: 1, halfOpenAfterMs: 1_000 }) })
  backend.answer = () => new Map([['other', 1]])
  await assert.rejects(load(), { code: 'SOURCE_ANSWER' })
  await assert.rejects(load(), { code: 'SOURCE_BREAKER' })
  assert.equal(backend.asked.length, 1)
})

await test('a source that fails is left alone, and found again when it is back', async () => {
  const { backend, load, pass } = open({ breaker: new SourceBreaker({ failures: 2, halfOpenAfterMs: 1_000 }) })
  backend.failure = new Error('down')
  await assert.rejects(load(), /down/)
  await assert.rejects(load(), /down/)
  await assert.rejects(load(), (error: TidemarkError) => {
    assert.equal(error.code, 'SOURCE_BREAKER')
    assert.match(error.message, /'k' is left alone for 1000 ms more .* it failed last with: down/)
    assert.equal((error.cause as Error).message, 'down')
    return true
  })
  assert.equal(backend.asked.length, 2)
  await pass(1_000)
  backend.failure = undefined
  backend.takesMs = 100
  const probe = load()
  await assert.rejects(load(), { code: 'SOURCE_BREAKER' })
  await pass(100)
  assert.equal(await probe, 'a')
  backend.takesMs = 0
  assert.equal(await load(), 'a')
  assert.equal(backend.asked.length, 4)
})

await test('attempts and timeouts count for the breaker, a closed source does not', async () => {
  const { backend, source, load, pass } = open({
    timeoutMs: 100,
    retries: 1,
    breaker: new SourceBreaker({ failures: 2, halfOpenAfterMs: 1_000 }),
  })
  backend.takesMs = Infinity
  const hanging = assert.rejects(load(), { code: 'SOURCE_TIMEOUT' })
  await pass(100 + limits.loadRetryMs + 100)
  await hanging
  await assert.rejects(load(), { code: 'SOURCE_BREAKER' })
  const other = open({ breaker: new SourceBreaker({ failures: 1, halfOpenAfterMs: 1_000 }) })
  await other.source.close()
  await assert.rejects(other.load(), { code: 'SHUTTING_DOWN' })
  await assert.rejects(other.load(), { code: 'SHUTTING_DOWN' })
  assert.ok(source.loadMs! >= 2 * 100)
})

await test('a load is waited for through all attempts of the slowest keyspace', () => {
  const clock = new ManualClock()
  const source = new FunctionsSource({ name: 'k', functions: new Backend(clock), clock, loadTimeoutMs: 20_000 })
  const guards = new Map([
    ['k', { ...none, retries: 2 }],
    ['l', none],
  ])
  const guarded = new GuardedSource({ source, guards, clock, random: seededRandom(1) })
  assert.ok(guarded.loadMs! >= 3 * 20_000)
})

await test('keyspaces of one source have one breaker; of two sources two; those that ask for none have none', () => {
  const breakers = new Breakers()
  const [one, other] = [{}, {}]
  const claims = [
    breakers.claim('a', one, settings),
    breakers.claim('b', one, { ...settings }),
    breakers.claim('c', other, settings),
  ]
  assert.equal(breakers.of('a'), undefined)
  // What was claimed and not taken is nobody's.
  breakers.claim('d', one, { failures: 1, halfOpenAfterMs: 1 })
  claims[0]!()
  claims[2]!()
  breakers.claim('b', one, { ...settings })()
  assert.equal(breakers.of('a'), breakers.of('b'))
  assert.notEqual(breakers.of('a'), breakers.of('c'))
  assert.equal(breakers.of('d'), undefined)
})

await test('settings of one source that differ are refused, naming both', () => {
  const breakers = new Breakers()
  const source = {}
  breakers.claim('a', source, settings)()
  const message =
    "keyspace 'b': load.breaker: got 'failures 4, halfOpenAfter 1000 ms', " +
    "allowed is failures 3, halfOpenAfter 1000 ms, as keyspace 'a' has it: their source is one, and so is its breaker"
  const other = { ...settings, failures: 4 }
  assert.throws(() => breakers.claim('b', source, other), { code: 'OPTION_INVALID', message })
  assert.throws(() => breakers.claim('b', source, { ...settings, halfOpenAfterMs: 2 }), { code: 'OPTION_INVALID' })
  breakers.claim('b', {}, other)()
})

await test('what a load of one keyspace finds out of a table of its own says nothing of the source', async () => {
  const { backend, load } = open({ breaker: new SourceBreaker({ failures: 1, halfOpenAfterMs: 1_000 }) })
  backend.failure = new TidemarkError('MAPPING_INVALID', 'no such table')
  await assert.rejects(load(), { code: 'MAPPING_INVALID' })
  await assert.rejects(load(), { code: 'MAPPING_INVALID' })
})

await test('a keyspace whose table does not fit does not keep the breaker from the others of its source', async () => {
  const clock = new ManualClock()
  const backend = new Backend(clock)
  backend.values.set('1', 'a')
  const functions = new FunctionsSource({ name: 'k', functions: backend, clock, timeoutMs: 60_000 })
  const inner = new WrappedSource(functions)
  inner.load = (keyspace, ids) =>
    keyspace === 'misfit'
      ? Promise.reject(new TidemarkError('MAPPING_INVALID', 'there is no such table'))
      : functions.load(keyspace, ids)
  const guard: Guards = { ...none, breaker: new SourceBreaker({ failures: 1, halfOpenAfterMs: 1_000 }) }
  const guards = new Map([['misfit', guard], ['fits', guard]]) // prettier-ignore
  const source = new GuardedSource({ source: inner, guards, clock, random: seededRandom(1) })
  backend.failure = new Error('down')
  await assert.rejects(source.load('fits', ['1']), /down/)
  backend.failure = undefined
  clock.advance(1_000)
  await assert.rejects(source.load('misfit', ['1']), { code: 'MAPPING_INVALID' })
  assert.deepEqual((await source.load('fits', ['1'])).rows, ['a'])
})
