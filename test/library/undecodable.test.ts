// Values of a tier that are of no use to a process: counted, told of now and then with their reason, and loaded anew.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { TidemarkError } from '../../src/base/errors.ts'
import { limits } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { Encryption } from '../../src/codec/encryption.ts'
import type { KeyspaceOptions, StandardSchema, TidemarkEvents, TidemarkOptions } from '../../src/index.ts'
import { jsonCodec } from '../../src/index.ts'
import { Events } from '../../src/library/events.ts'
import { RowCodec } from '../../src/library/payload-codecs.ts'
import { Counts } from '../../src/library/stats.ts'
import { Tidemark } from '../../src/library/tidemark.ts'
import { UndecodableValues } from '../../src/library/undecodable-values.ts'
import { SpeltRows } from '../../src/source/spelt-rows.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import { UNDECODABLE } from '../../src/tier/codec-tier.ts'
import { Functions, settle } from './scene.ts'

const LANES = 4

/** Processes over one tier, under one clock. */
class Tier {
  readonly clock: ManualClock = new ManualClock()
  readonly tier: MemoryTier = new MemoryTier({ clock: this.clock, lanes: LANES })
  readonly #t: TestContext
  #warn: ((message: string) => void) | undefined

  constructor(t: TestContext) {
    this.#t = t
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

  warn(message: string): void {
    this.#warn!(message)
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
  const values = new UndecodableValues(clock, events)
  const counts = new Counts()
  values.count('users', counts)
  for (let i = 0; i < 1_000; i++) values.tell(`users:${i}`, 'version')
  values.tell('users:x', 'damaged')
  values.tell('orders:1', 'version')
  assert.equal(counts.undecodable, 1_001)
  assert.equal(told.length, 3)
  assert.match(told[0]!, /^users: .*'users:0'/)
  assert.match(told[1]!, /'users:x'.*damaged$/)
  assert.match(told[2]!, /^undefined: .*'orders:1'/)
  clock.advance(limits.undecodableToldEveryMs - 1)
  values.tell('users:1', 'version')
  assert.equal(told.length, 3)
  clock.advance(1)
  values.tell('users:2', 'version')
  values.tell('users:3', 'version')
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

void test('what the tier has to say of itself is an error event', async t => {
  const tier = new Tier(t)
  const { users, errors } = tier.open({})
  await users.get('1')
  tier.warn('it has no maxmemory')
  assert.deepEqual(
    errors.map(({ error }) => (error as TidemarkError).message),
    ['it has no maxmemory'],
  )
})
