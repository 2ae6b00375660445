// Values that a tier and a process cannot hand each other: counted, told of now and then with their reason, and loaded anew.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { TidemarkError } from '../../src/base/errors.ts'
import { limits } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { Encryption } from '../../src/codec/encryption.ts'
import type { KeyspaceOptions, StandardSchema, TidemarkEvents, TidemarkOptions } from '../../src/index.ts'
import { jsonCodec } from '../../src/index.ts'
import { Events } from '../../src/library/events.ts'
import { RowCodec } from '../../src/library/payload-codecs.ts'
import { Counts } from '../../src/library/stats.ts'
import { Tidemark } from '../../src/library/tidemark.ts'
import { ValueReports } from '../../src/library/value-reports.ts'
import { SpeltRows } from '../../src/source/spelt-rows.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import { UNDECODABLE } from '../../src/tier/codec-tier.ts'
import type { SharedTier } from '../../src/tier/tier.ts'
import { SmallTier } from '../support/small-tier.ts'
import { Functions, settle } from './scene.ts'

const LANES = 4

/** Processes over one tier, under one clock. */
class Tier {
  readonly clock: ManualClock = new ManualClock()
  readonly tier: SharedTier
  readonly #t: TestContext
  #warn: ((warning: TidemarkError) => void) | undefined

  constructor(t: TestContext, bytesMax = Infinity) {
    this.#t = t
    this.tier = new SmallTier(new MemoryTier({ clock: this.clock, lanes: LANES }), bytesMax)
  }

  open(options: KeyspaceOptions<unknown>, whole: TidemarkOptions = {}) {
    const { tier } = this
    const tide = new Tidemark(whole, {
      clock: this.clock,
      random: seededRandom(1),
      tier: {
        lanes: LANES,
        open: ({ warn }) => {
          this.#warn = warn
          return Promise.resolve(tier)
        },
      },
    })
    this.#t.after(() => tide.close())
    const errors: TidemarkEvents['error'][] = []
    tide.on('error', event => errors.push(event))
    const source = new Functions({ 1: { v: 1 }, 2: { v: 2 }, 3: { v: 3 } })
    return { tide, errors, source, users: tide.keyspace('users', { source, ttl: '1h', ...options }) }
  }

  warn(warning: TidemarkError): void {
    this.#warn!(warning)
  }
}

void test('a value of another codec, version, key or shape is loaded anew, counted, and told of with its reason', async t => {
  const keys = { 1: Buffer.alloc(32, 1), 2: Buffer.alloc(32, 2) }
  const sealed = (current: '1' | '2') => ({ encryption: { current, keys: { [current]: keys[current] } } })
  const refuses: StandardSchema<unknown> = {
    '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'never' }] }) },
  }
  const cases: Record<string, [KeyspaceOptions<unknown>, TidemarkOptions, KeyspaceOptions<unknown>, TidemarkOptions, RegExp]> = {
    codec: [{}, {}, { codec: jsonCodec() }, {}, /'users:1'.*another codec wrote it$/],
    version: [{ version: 1 }, {}, { version: 2 }, {}, /version/],
    key: [{}, sealed('1'), {}, sealed('2'), /key that is not in the ring/],
    plain: [{}, {}, {}, sealed('2'), /not encrypted/],
    schema: [{}, {}, { schema: refuses }, {}, /not as the schema says/],
  } // prettier-ignore
  for (const [what, [first, firstWhole, second, secondWhole, message]] of Object.entries(cases)) {
    const tier = new Tier(t)
    const a = tier.open(first, firstWhole)
    assert.deepEqual(await a.users.get('1'), { v: 1 })
    await settle()
    const b = tier.open(second, secondWhole)
    if (what === 'schema') await assert.rejects(b.users.get('1'), { code: 'VALUE_INVALID' })
    else assert.deepEqual(await b.users.get('1'), { v: 1 }, what)
    assert.equal(b.source.loads.length, 1, what)
    assert.equal(b.users.stats().undecodable, 1, what)
    assert.equal(b.tide.stats().undecodable, 1, what)
    const told = b.errors.filter(({ error }) => (error as TidemarkError).code === 'VALUE_UNDECODABLE')
    assert.equal(told.length, 1, what)
    assert.equal(told[0]!.keyspace, 'users')
    assert.match((told[0]!.error as TidemarkError).message, message)
    assert.equal(a.users.stats().undecodable, 0, what)
  }
}) // prettier-ignore

void test('of a flood one is told of in a minute, for each reason and keyspace, with how many there were besides', () => {
  const clock = new ManualClock()
  const events = new Events()
  const told: string[] = []
  events.on('error', ({ keyspace, error }) => told.push(`${keyspace}: ${(error as Error).message}`))
  const values = new ValueReports(clock, events)
  const counts = new Counts()
  values.count('users', counts)
  for (let i = 0; i < 1_000; i++) values.undecodable(`users:${i}`, 'version')
  values.undecodable('users:x', 'damaged')
  values.undecodable('orders:1', 'version')
  assert.equal(counts.undecodable, 1_001)
  assert.equal(told.length, 3)
  assert.match(told[0]!, /^users: .*'users:0'/)
  assert.match(told[1]!, /'users:x'.*damaged$/)
  assert.match(told[2]!, /^undefined: .*'orders:1'/)
  clock.advance(limits.valueToldEveryMs - 1)
  values.undecodable('users:1', 'version')
  assert.equal(told.length, 3)
  clock.advance(1)
  values.undecodable('users:2', 'version')
  values.undecodable('users:3', 'version')
  assert.equal(told.length, 4)
  assert.match(told[3]!, /'users:2'.*; so were 1000 others since the last one told$/)
})

void test('rows that are no JSON, not as their schema says, or not sealed as they should be, are told of too', async () => {
  const told: string[] = []
  const tell = (key: string, reason: string): void => void told.push(`${key} ${reason}`)
  const refuses: StandardSchema<unknown> = {
    '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'never' }] }) },
  }
  const encryption = new Encryption({ current: '1', keys: { 1: Buffer.alloc(32, 1) } }, seededRandom(1))
  const plain = new RowCodec(new Map([['orders', refuses]]), new SpeltRows(), undefined, tell)
  const sealed = new RowCodec(new Map(), new SpeltRows(), encryption, tell)
  const row = Buffer.from('{"id":1}')
  assert.deepEqual(await plain.decode('users:1', row), { id: 1 })
  assert.deepEqual(told, [])
  assert.equal(await plain.decode('users:1', Buffer.from('{')), UNDECODABLE)
  assert.equal(await plain.decode('orders:1', row), UNDECODABLE)
  assert.equal(await sealed.decode('users:1', row), UNDECODABLE)
  assert.deepEqual(told, ['users:1 value', 'orders:1 schema', 'users:1 format'])
})

void test('values that the tier does not keep are answered, counted, and one of them told of, loaded or written', async t => {
  const tier = new Tier(t, 1_000)
  const { tide, users, source, errors } = tier.open({ missingTtl: '1h' })
  const told = () => errors.map(({ keyspace, error }) => `${keyspace} ${(error as TidemarkError).code}`)
  source.rows.set('large', 'x'.repeat(2_000))
  assert.deepEqual(await users.get('1'), { v: 1 })
  assert.equal(await users.get('absent'), undefined)
  await settle()
  assert.equal(users.stats().unkept, 0)
  assert.equal(await users.get('large'), 'x'.repeat(2_000))
  await settle()
  assert.deepEqual(told(), ['users VALUE_REFUSED'])
  assert.match((errors[0]!.error as TidemarkError).message, /'users:large' \(20\d\d bytes\)/)
  await users.set('other', 'y'.repeat(3_000))
  assert.equal(users.stats().unkept, 2)
  assert.deepEqual(told(), ['users VALUE_REFUSED'])
  // Of a keyspace without a source it is the only copy, and no failure: a cache may forget.
  await tide.set('own', 'z'.repeat(4_000))
  assert.equal(await tide.get('own'), undefined)
  assert.deepEqual(told(), ['users VALUE_REFUSED', 'values VALUE_REFUSED'])
  assert.equal(tide.stats().unkept, 3)
})

void test('values without bytes are counted, and one of them told of', async t => {
  const { users, source, errors } = new Tier(t).open({})
  for (const key of ['f', 'g', 'h']) source.rows.set(key, { call: () => key })
  for (const key of ['f', 'g', 'h']) assert.equal(((await users.get(key)) as { call: () => string }).call(), key)
  await settle()
  assert.equal(users.stats().unkept, 3)
  assert.deepEqual(
    errors.map(({ error }) => (error as TidemarkError).code),
    ['VALUE_UNENCODABLE'],
  )
})

void test('what the tier has to say of itself is an error event', async t => {
  const tier = new Tier(t)
  const { users, errors } = tier.open({})
  await users.get('1')
  const advice = new TidemarkError('TIER_SETUP', 'it has no maxmemory')
  tier.warn(advice)
  assert.deepEqual(
    errors.map(({ error }) => error),
    [advice],
  )
})
