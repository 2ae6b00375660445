// Values that the cache alone has: built by whoever asks, or set, and given up by key, by tag or all together.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open, refused, settle } from './scene.ts'

void test('getOrSet builds once for all who ask meanwhile, and answers from memory after that', async t => {
  const { tide } = open(t)
  let builds = 0
  const build = async () => {
    builds++
    await settle()
    return { at: builds }
  }
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => tide.getOrSet('report', build)))
  assert.equal(builds, 1)
  assert.ok(answers.every(answer => answer === answers[0]))
  assert.equal(await tide.getOrSet('report', build), answers[0])
  assert.equal(await tide.get('report'), answers[0])
  assert.equal(tide.values.peek('report'), answers[0])
  assert.equal(builds, 1)
})

void test('a build that takes longer than a lease is one build all the same, and is kept', async t => {
  const { tide, clock } = open(t)
  let builds = 0
  const gate = Promise.withResolvers<string>()
  const build = () => {
    builds++
    return gate.promise
  }
  const waiting: Promise<string>[] = []
  for (let i = 0; i < 10; i++) {
    waiting.push(tide.getOrSet('slow', build))
    await settle()
    clock.advance(1_500)
  }
  gate.resolve('done')
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set(['done']))
  assert.equal(builds, 1)
  await settle()
  assert.equal(tide.values.peek('slow'), 'done')
})

void test('a build that fails fails for all who wait, is not kept, and the next one tries again', async t => {
  const { tide } = open(t)
  const trouble = new Error('no report today')
  let builds = 0
  const build = (): Promise<string> => {
    builds++
    return Promise.reject(trouble)
  }
  const asked = await Promise.allSettled([tide.getOrSet('report', build), tide.getOrSet('report', build)])
  assert.deepEqual(
    asked.map(each => each.status === 'rejected' && each.reason === trouble),
    [true, true],
  )
  assert.equal(builds, 1)
  assert.equal(await tide.getOrSet('report', () => 'better'), 'better')
  const throwing = () => {
    throw trouble
  }
  await assert.rejects(tide.getOrSet('other', throwing), trouble)
})

void test('a value that is set, deleted, invalidated or given up by its tag during a build goes before it', async t => {
  const { tide } = open(t)
  const changes: Record<string, () => unknown> = {
    set: () => tide.set('a', 'set'),
    delete: () => tide.delete('a'),
    invalidate: () => tide.values.invalidate('a'),
    tag: () => tide.deleteByTag('reports'),
    clear: () => tide.values.clear(),
  }
  for (const [name, change] of Object.entries(changes)) {
    const gate = Promise.withResolvers<string>()
    const building = tide.getOrSet('a', () => gate.promise, { tags: ['reports'] })
    await settle()
    await change()
    const after = tide.getOrSet('a', () => 'built anew')
    gate.resolve('old')
    assert.equal(await building, 'old', `${name}: whoever asked before gets what was built`)
    const expected = name === 'set' ? 'set' : 'built anew'
    assert.equal(await after, expected, `${name}: whoever asked after it does not`)
    await settle()
    assert.equal(tide.values.peek('a'), expected, name)
    await tide.values.clear()
  }
})

void test('what was deleted is built again, and was there only the first time', async t => {
  const { tide } = open(t)
  await tide.set('a', 1)
  assert.equal(await tide.delete('a'), true)
  assert.equal(await tide.delete('a'), false)
  assert.equal(await tide.delete('never'), false)
  assert.equal(await tide.get('a'), undefined)
  assert.equal(await tide.getOrSet('a', () => 2), 2)
  assert.equal(await tide.values.deleteMany(['a', 'a', 'b']), 1)
  assert.equal(await tide.getOrSet('a', () => 3), 3)
})

void test('null is a value that is kept; what a build makes of undefined is answered and not kept', async t => {
  const { tide } = open(t)
  let builds = 0
  const nothing = () => {
    builds++
    return null
  }
  assert.equal(await tide.getOrSet('null', nothing), null)
  assert.equal(await tide.getOrSet('null', nothing), null)
  assert.equal(builds, 1)
  assert.equal(await tide.get('null'), null)
  assert.equal(tide.values.peek('null'), null)
  assert.ok(await tide.values.has('null'))
  assert.equal(await tide.set('set', null), null)
  assert.deepEqual([...tide.values.entries()], [['null', null], ['set', null]]) // prettier-ignore
  const missing = () => {
    builds++
    return undefined
  }
  const both = [tide.getOrSet('undefined', missing), tide.getOrSet('undefined', missing)]
  assert.deepEqual(await Promise.all(both), [undefined, undefined])
  assert.equal(builds, 2)
  await settle()
  assert.equal(await tide.getOrSet('undefined', missing), undefined)
  assert.equal(builds, 3)
  assert.equal(await tide.getOrSet('undefined', () => 7), 7)
  await refused(() => tide.set('a', undefined), 'VALUE_INVALID', /'values:a'.*undefined.*null/)
})

void test('a value lasts as long as it says, or as its keyspace says, or until it is evicted', async t => {
  const { tide, clock } = open(t)
  const short = tide.keyspace('short', { ttl: '10s' })
  await short.set('keyspace', 1)
  await short.set('longer', 1, { ttl: '20s' })
  await short.set('shorter', 1, { ttl: '5s' })
  await short.getOrSet('built', () => 1, { ttl: '15s' })
  await tide.set('forever', 1)
  const alive = () => [...short.keys()].sort()
  clock.advance(4_999)
  assert.deepEqual(alive(), ['built', 'keyspace', 'longer', 'shorter'])
  clock.advance(1)
  assert.equal(short.peek('shorter'), undefined)
  clock.advance(5_000)
  assert.deepEqual(alive(), ['built', 'longer'])
  assert.equal(await short.get('keyspace'), undefined)
  clock.advance(5_000)
  assert.deepEqual(alive(), ['longer'])
  assert.equal(await short.get('longer'), 1)
  assert.equal(await short.getOrSet('longer', () => 2), 1)
  clock.advance(5_000)
  assert.equal(await short.getOrSet('longer', () => 2), 2)
  clock.advance(3_600_000)
  assert.equal(await tide.get('forever'), 1)
})

void test('a tag gives up all that was filed under it until then, in every keyspace, and nothing else', async t => {
  const { tide } = open(t)
  const other = tide.keyspace('other')
  await tide.set('a', 1, { tags: ['x', 'y'] })
  await tide.set('b', 1, { tags: ['y'] })
  await tide.set('c', 1)
  await other.getOrSet('a', () => 1, { tags: ['x'] })
  await tide.deleteByTag('x')
  await tide.deleteByTag('nobody')
  assert.equal(await tide.get('a'), undefined)
  assert.equal(await other.get('a'), undefined)
  assert.deepEqual([...tide.values.keys()], ['b', 'c'])
  await tide.set('a', 2, { tags: ['x'] })
  assert.equal(await tide.get('a'), 2)
  // A value that is set anew has the tags of its last writing alone.
  await tide.set('b', 2)
  await tide.deleteByTag('y')
  assert.equal(await tide.get('b'), 2)
  await tide.deleteByTag('x')
  assert.equal(await tide.getOrSet('a', () => 3), 3)
})

void test('wrap answers a function from the cache, its errors as they are', async t => {
  const { tide } = open(t)
  const calls: string[] = []
  const greet = tide.values.wrap(
    (name: string, loud: boolean) => {
      calls.push(name)
      if (name === '') throw new RangeError('nobody')
      return loud ? name.toUpperCase() : name
    },
    { key: (name, loud) => `${name}/${loud}`, ttl: '1h', tags: ['greetings'] },
  )
  assert.equal(await greet('ann', true), 'ANN')
  assert.equal(await greet('ann', true), 'ANN')
  assert.equal(await greet('ann', false), 'ann')
  assert.deepEqual(calls, ['ann', 'ann'])
  await assert.rejects(greet('', true), RangeError)
  await tide.deleteByTag('greetings')
  assert.equal(await greet('ann', true), 'ANN')
  assert.equal(calls.length, 4)
  const keyless = tide.values.wrap((n: number) => n, {
    key: () => {
      throw new SyntaxError('no key')
    },
  })
  // As a rejection, not at once: whoever awaits catches it either way, whoever does not is not torn down.
  const answer = keyless(1)
  await assert.rejects(answer, SyntaxError)
})

void test('clear, keys and entries are of one keyspace', async t => {
  const { tide } = open(t)
  const one = tide.keyspace<number>('one')
  const two = tide.keyspace<number>('two')
  await one.setMany([['a', 1], ['b', 2], ['a', 3]]) // prettier-ignore
  await two.setMany([])
  await two.set('a', 4)
  assert.deepEqual(new Map(one.entries()), new Map([['a', 3], ['b', 2]])) // prettier-ignore
  await one.clear()
  assert.deepEqual([...one.keys()], [])
  assert.equal(await one.get('a'), undefined)
  assert.equal(await two.get('a'), 4)
  assert.equal(await one.update('a', value => (value ?? 0) + 1), 1)
})

void test('update sees what is there, and calls for one key take turns', async t => {
  const { tide } = open(t)
  const counts = tide.keyspace<number>('counts')
  const add = async (value: number | undefined) => {
    await settle()
    return (value ?? 0) + 1
  }
  const seen = await Promise.all(Array.from({ length: 20 }, () => counts.update('a', add)))
  assert.deepEqual(
    seen,
    Array.from({ length: 20 }, (_, i) => i + 1),
  )
  assert.equal(await counts.update('a', () => undefined), undefined)
  assert.equal(await counts.get('a'), undefined)
  assert.equal(await counts.update('a', () => undefined), undefined)
  await assert.rejects(
    counts.update('a', () => Promise.reject(new Error('no'))),
    /no/,
  )
  assert.equal(await counts.update('a', add), 1)
})
