// Caches with nothing of the real world in them: their time, their chance, their journals, and several of them over one tier.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Tidemark } from '../../src/library/tidemark.ts'
import { postgres } from '../../src/postgres.ts'
import {
  createTestTidemark,
  faultyTier,
  ManualClock,
  MemoryStorage,
  MemoryTier,
  type TestTidemark,
  type TestSurroundings,
  type TestTidemarkOptions,
} from '../../src/testing/index.ts'

function open(t: TestContext, options?: TestTidemarkOptions, surroundings?: TestSurroundings): TestTidemark {
  const made = createTestTidemark(options, surroundings)
  t.after(() => made.tide.close())
  return made
}

/** Two caches over one tier. */
function two(t: TestContext): { a: Tidemark; b: Tidemark; clock: ManualClock; tier: MemoryTier } {
  const clock = new ManualClock()
  const tier = new MemoryTier({ clock })
  const [a, b] = [open(t, { tier }, { clock }).tide, open(t, { tier }, { clock }).tide]
  return { a, b, clock, tier }
}

void test('its clock moves what it keeps, by durations as options have them', async t => {
  const { tide, clock } = open(t)
  await tide.set('report', 1, { ttl: '10m' })
  clock.advance('9m')
  assert.equal(tide.values.peek('report'), 1)
  assert.equal(await tide.get('report'), 1)
  clock.advance('1m')
  assert.equal(tide.values.peek('report'), undefined)
  assert.equal(await tide.get('report'), undefined)
})

void test('time passes for what timers set going, at the time of each', async t => {
  const { tide, clock } = open(t)
  const asked: number[] = []
  const began = clock.monotonicMs()
  const load = (): Promise<never> => {
    asked.push(clock.monotonicMs() - began)
    return Promise.reject(new Error('down'))
  }
  const keyspace = tide.keyspace('rates', { source: { load }, load: { retries: 3 } })
  const call = assert.rejects(keyspace.get('EUR'), /down/)
  await clock.pass('1m')
  await call
  assert.equal(asked.length, 4)
  assert.equal(new Set(asked).size, 4, `at ${asked.join(', ')} ms`)
  assert.ok(asked.at(-1)! < 10_000, 'not all at the end')
})

void test('the same seed draws the same, another one does not, and no two caches of a clock do', async t => {
  // When times to live are over shows what was drawn.
  const lasting = async (made: TestTidemark): Promise<string> => {
    const keyspace = made.tide.keyspace('jittered', { ttl: '100s', ttlJitter: 1 })
    const keys = Array.from({ length: 50 }, (_, i) => String(i))
    for (const key of keys) await keyspace.set(key, key)
    let text = ''
    for (let i = 0; i < 10; i++) {
      made.clock.advance('10s')
      text += `${keys.filter(key => keyspace.peek(key) !== undefined).join(' ')};`
    }
    return text
  }
  const first = await lasting(open(t))
  assert.match(first, /^\d.*;;/)
  assert.equal(await lasting(open(t)), first)
  assert.equal(await lasting(open(t, {}, { seed: 1 })), first)
  assert.notEqual(await lasting(open(t, {}, { seed: 2 })), first)
  const clock = new ManualClock()
  open(t, {}, { clock })
  assert.notEqual(await lasting(open(t, {}, { clock })), first)
})

void test('what one cache over a tier writes all see, with tags and values of sources', async t => {
  const { a, b, clock } = two(t)
  const rows = new Map([['1', 'one']])
  const source = { load: (ids: readonly string[]) => new Map(ids.map(id => [id, rows.get(id)])) }
  const [users, others] = [a.keyspace('users', { source, ttl: '1h' }), b.keyspace('users', { source, ttl: '1h' })]
  assert.equal(await users.get('1'), 'one')
  rows.set('1', 'changed behind the back')
  await clock.pass(0)
  assert.equal(await others.get('1'), 'one', 'out of the tier')
  // A tag that is new is waited for until it is near.
  await clock.until(a.set('report', { n: 1 }, { tags: ['reports'] }))
  assert.deepEqual(await b.get('report'), { n: 1 })
  await clock.pass(0)
  assert.deepEqual(b.values.peek('report'), { n: 1 })
  await a.set('report', { n: 2 }, { tags: ['reports'] })
  assert.deepEqual(b.values.peek('report'), undefined, 'b was told')
  assert.deepEqual(await b.get('report'), { n: 2 })
  await b.deleteByTag('reports')
  assert.equal(await a.get('report'), undefined)
  let builds = 0
  const asked = await clock.until(Promise.all([a, b, a, b].map(tide => tide.getOrSet('once', () => ++builds))))
  assert.deepEqual(asked, [1, 1, 1, 1])
})

void test('a cache that is closed takes no other with it', async t => {
  const { a, b } = two(t)
  const third = two(t)
  await Promise.all([a.set('key', 1), b.get('key'), third.a.get('key')])
  await a.close()
  await b.set('key', 2)
  assert.equal(await b.get('key'), 2)
  assert.equal(await third.a.get('key'), undefined, 'another tier')
  await assert.rejects(a.get('key'), { code: 'SHUTTING_DOWN' })
})

void test('after a cache is closed the others are still told', async t => {
  const { a, b, tier, clock } = two(t)
  const { tide: c } = open(t, { tier }, { clock })
  await Promise.all([a, b, c].map(tide => tide.get('key')))
  await b.set('key', 1)
  await c.get('key')
  await clock.pass(0)
  assert.equal(c.values.peek('key'), 1)
  await a.close()
  await b.set('key', 2)
  assert.equal(c.values.peek('key'), undefined)
})

void test('what the tier itself goes through, all caches go through', async t => {
  const { a, b, clock, tier } = two(t)
  await a.set('key', 1)
  const restore = tier.checkpoint()
  await a.set('key', 2)
  tier.evict('values:key')
  await a.values.invalidate('key')
  assert.equal(await b.get('key'), undefined)
  restore()
  assert.equal(await b.get('key'), 1)
  tier.moveToShard('another')
  const { tide: fresh } = open(t, { tier }, { clock })
  assert.equal(await fresh.getOrSet('key', () => 3), 3, 'what was on the other primary is gone')
})

void test('values and rows have lanes of their own, and one tier alone has none for rows', async t => {
  const clock = new ManualClock()
  const [rows, values] = [new MemoryTier({ clock }), new MemoryTier({ clock })].map(tier => faultyTier(tier, { clock }))
  const { tide } = open(t, { tier: { rows: rows!, values: values! } }, { clock })
  await tide.set('key', 1)
  assert.ok(values!.count() > 0)
  assert.equal(rows!.count(), 0)
  const { tide: alone } = open(t, { tier: values! }, { clock })
  const users = alone.keyspace('users', { source: postgres('postgres://127.0.0.1:1/nowhere').table('users') })
  await assert.rejects(users.get('1'), { code: 'OPTION_INVALID', message: /\{ rows, values \}/ })
})

void test('journals are in memory, and found by a cache that is opened again', async t => {
  const storage = new MemoryStorage()
  const clock = new ManualClock()
  const stored: [string, unknown][] = []
  let down = true
  const source = {
    load: () => ({}),
    store: (entries: ReadonlyMap<string, unknown>) => {
      if (down) throw new Error('down')
      stored.push(...entries)
    },
  }
  const begin = (): TestTidemark => {
    const made = createTestTidemark({ journal: { directory: 'journal' } }, { clock, storage })
    t.after(() => made.tide.close())
    return made
  }
  const first = begin()
  const users = first.tide.keyspace('users', { source, write: 'behind' })
  await users.set('1', 'one')
  assert.equal(await users.get('1'), 'one')
  const closing = first.tide.close()
  await clock.pass('1m')
  await closing
  assert.deepEqual(stored, [])
  down = false
  const again = begin().tide.keyspace('users', { source, write: 'behind' })
  assert.equal(await again.get('1'), 'one')
  await clock.pass('1m')
  assert.deepEqual(stored, [['1', 'one']])
})

void test('one journal has one cache at a time', async t => {
  const storage = new MemoryStorage()
  const options = { journal: { directory: 'journal' } }
  const source = { load: () => ({}), store: () => {} }
  const [a, b] = [open(t, options, { storage }).tide, open(t, options, { storage }).tide]
  await a.keyspace('users', { source, write: 'behind' }).set('1', 1)
  await assert.rejects(b.keyspace('users', { source, write: 'behind' }).set('1', 2), { code: 'JOURNAL_LOCKED' })
})

void test('mistakes are said', () => {
  // @ts-expect-error An address is of the real world.
  assert.throws(() => createTestTidemark({ tier: 'valkey://127.0.0.1:6379' }), { code: 'OPTION_INVALID' })
  const clock = new ManualClock()
  const tier = new MemoryTier({ clock })
  const refused = (options: TestTidemarkOptions, surroundings: TestSurroundings, message: RegExp): void => {
    assert.throws(() => createTestTidemark(options, surroundings), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'OPTION_INVALID')
      assert.match(error.message, message)
      return true
    }) // prettier-ignore
  }
  refused({}, { seed: -1 }, /^seed: got -1/)
  refused({}, { seed: 2 ** 32 }, /^seed/)
  refused({ tier }, {}, /^clock: got undefined, allowed is the clock that the tier was made with/)
  refused({ tier: {} as MemoryTier }, { clock }, /^tier/)
  const rows = new MemoryTier({ clock, lanes: 8 })
  refused({ tier: { rows, values: tier } }, { clock }, /^tier\.rows: got '8 lanes', .*64$/)
  refused({ neer: {} } as TestTidemarkOptions, {}, /neer/)
})
