// Keys: strings as they are, numbers and bigints spelt out, several parts as row ids spell them; and keys that are no keys.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Key } from '../../src/index.ts'
import { Functions, open, refused, throwsWith } from './scene.ts'

const strange = [
  '__proto__',
  'constructor',
  'toString',
  '',
  ' ',
  ':',
  '%',
  'a:b',
  '\0',
  'é',
  '\ud800',
  'x'.repeat(100_000),
]

void test('every string is a key of its own', async t => {
  const { tide } = open(t)
  const functions = new Functions()
  const loaded = tide.keyspace('loaded', { source: functions })
  const own = tide.keyspace('own')
  for (const key of strange) functions.rows.set(key, `value of ${key}`)
  const found = await loaded.getMany(strange)
  assert.deepEqual([...found.keys()], strange)
  for (const key of strange) {
    assert.equal(loaded.peek(key), `value of ${key}`)
    assert.equal(await own.getOrSet(key, () => key), key)
  }
  for (const key of strange) assert.equal(own.peek(key), key)
  assert.deepEqual([...own.keys()], strange)
  for (const key of strange) assert.equal(await own.delete(key), true)
  assert.deepEqual([...own.keys()], [])
})

void test('numbers, bigints and parts are spelt as one id each', async t => {
  const { tide } = open(t)
  const own = tide.keyspace<number, Key>('own')
  await own.setMany([[1, 1], [2n, 2], [['eu', 7], 3], [['a:b', 'c'], 4], [['a', 'b:c'], 5], [-5, 6], [['x:y'], 7]]) // prettier-ignore
  assert.deepEqual([...own.keys()], ['1', '2', 'eu:7', 'a%3Ab:c', 'a:b%3Ac', '-5', 'x:y'])
  assert.equal(own.peek('1'), 1)
  assert.equal(await own.get(['eu', 7n]), 3)
  assert.equal(await own.get('eu:7'), 3)
  const key = ['a:b', 'c'] as const
  assert.deepEqual(await own.getMany([1, '1', key]), new Map<Key, number>([[1, 1], ['1', 1], [key, 4]])) // prettier-ignore
})

void test('what is no key is refused by a promise where there is one', async t => {
  const { tide } = open(t)
  const own = tide.keyspace<number, never>('own')
  for (const wrong of [
    null,
    undefined,
    1.5,
    NaN,
    Infinity,
    2 ** 53,
    true,
    {},
    [],
    [null],
    [['a']],
    Symbol('s'),
    () => 1,
  ]) {
    const key = wrong as never
    throwsWith(() => own.peek(key), 'KEY_INVALID', /keyspace 'own'.*not /)
    for (const call of [
      () => own.get(key),
      () => own.read(key),
      () => own.has(key),
      () => own.getMany([key]),
      () => own.set(key, 1),
      () => own.setMany([[key, 1]]),
      () => own.update(key, () => 1),
      () => own.delete(key),
      () => own.deleteMany([key]),
      () => own.invalidate(key),
      () => own.getOrSet(key, () => 1),
      () => own.wrap(() => 1, { key: () => key })(),
    ]) {
      await refused(call, 'KEY_INVALID', /string, a whole number/)
    }
  }
})
