// What callers get of an object that is in memory: itself, a copy, or itself frozen.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Functions, open, refused } from './scene.ts'

class Money {
  readonly cents: number

  constructor(cents: number) {
    this.cents = cents
  }
}

const inner = () => ({ list: [{ a: 1 }], map: new Map([['k', { b: 1 }]]), set: new Set([{ c: 1 }]), at: new Date(0) })

void test("'none' gives the object itself, to all", async t => {
  const { tide } = open(t)
  const keyspace = tide.keyspace<{ a: number }>('k')
  const value = { a: 1 }
  assert.equal(await keyspace.set('1', value), value)
  value.a = 2
  assert.equal((await keyspace.get('1'))?.a, 2)
  assert.equal(keyspace.peek('1'), value)
  const money = new Money(5)
  const built = tide.keyspace<Money>('money')
  assert.equal(await built.getOrSet('1', () => money), money)
})

void test("'structured' gives each caller a copy, and keeps one of its own", async t => {
  const { tide } = open(t)
  const keyspace = tide.keyspace<ReturnType<typeof inner>>('k', { clone: 'structured' })
  const given = inner()
  await keyspace.set('1', given)
  given.list[0]!.a = 2
  const ways = [() => keyspace.peek('1')!, async () => (await keyspace.get('1'))!, async () => (await keyspace.read('1')).value!, () => keyspace.getOrSet('1', inner), async () => [...keyspace.entries()][0]![1], async () => (await keyspace.getMany(['1'])).get('1')!] // prettier-ignore
  for (const way of ways) {
    const got = await way()
    assert.deepEqual(got, inner())
    got.list[0]!.a = 3
    got.map.get('k')!.b = 3
    got.at.setTime(3)
  }
  assert.deepEqual(keyspace.peek('1'), inner())
  const built = await keyspace.getOrSet('2', inner)
  built.list.length = 0
  assert.deepEqual(keyspace.peek('2'), inner())
})

void test('what has no structured clone is refused, by a promise', async t => {
  const { tide } = open(t)
  const own = tide.keyspace('own', { clone: 'structured' })
  const uncloneable = { call: () => 1 }
  await refused(() => own.set('1', uncloneable), 'VALUE_UNENCODABLE', /clone: 'structured'/)
  await refused(() => own.getOrSet('1', () => uncloneable), 'VALUE_UNENCODABLE', /clone/)
  await refused(() => own.get('1').then(value => assert.equal(value, undefined)).then(() => own.getOrSet('1', () => uncloneable)), 'VALUE_UNENCODABLE') // prettier-ignore
  const loaded = tide.keyspace('loaded', { clone: 'structured', source: new Functions({ 1: uncloneable }) })
  await refused(() => loaded.get('1'), 'VALUE_UNENCODABLE')
  await refused(() => loaded.get('1'), 'VALUE_UNENCODABLE')
})

void test("'freeze' gives the object itself, frozen all the way down", async t => {
  const { tide } = open(t)
  const keyspace = tide.keyspace('k', { clone: 'freeze' })
  const given = inner()
  const got = (await keyspace.set('1', given)) as ReturnType<typeof inner>
  assert.equal(got, given)
  assert.equal(keyspace.peek('1'), given)
  assert.throws(() => {
    got.list[0]!.a = 2
  }, TypeError)
  assert.throws(() => got.list.push({ a: 2 }), TypeError)
  // What a Map and a Set hold is frozen; they themselves, dates and bytes cannot be.
  assert.ok(Object.isFrozen(got.map.get('k')))
  assert.ok(Object.isFrozen([...got.set][0]))
  assert.doesNotThrow(() => got.at.setTime(1))
})

void test("'freeze' goes on below what was frozen before, round a circle, through symbols, and leaves bytes alone", async t => {
  const { tide } = open(t)
  const keyspace = tide.keyspace('k', { clone: 'freeze' })
  const shallow = Object.freeze({ deep: { a: 1 } })
  await keyspace.set('shallow', shallow)
  assert.ok(Object.isFrozen(shallow.deep))
  const circle: { self?: unknown; more: object } = { more: {} }
  circle.self = circle
  await keyspace.set('circle', circle)
  assert.ok(Object.isFrozen(circle) && Object.isFrozen(circle.more))
  const hidden = { [Symbol.for('x')]: { a: 1 } }
  await keyspace.set('symbol', hidden)
  assert.ok(Object.isFrozen(hidden[Symbol.for('x') as never]))
  const bytes = new Uint8Array([1])
  assert.equal(await keyspace.set('bytes', { bytes }).then(value => (value as { bytes: Uint8Array }).bytes), bytes)
  assert.doesNotThrow(() => bytes.fill(2))
  for (const plain of [null, 1, 'x', true, 5n, Symbol.iterator]) assert.equal(await keyspace.set('plain', plain), plain)
})
