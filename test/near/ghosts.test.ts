// The list of keys that left lately: remembers as many as it was made for, forgets the oldest, takes few for others.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ghosts, hashOfKey } from '../../src/near/ghosts.ts'

const hashes = (name: string, count: number): number[] =>
  Array.from({ length: count }, (_, i) => hashOfKey(`${name}:${i}`))

function remembered(ghosts: Ghosts, asked: readonly number[]): number {
  return asked.filter(hash => ghosts.take(hash)).length
}

test('what left lately is known once', () => {
  const ghosts = new Ghosts()
  assert.equal(ghosts.take(hashOfKey('a')), false)
  ghosts.resize(1_000)
  ghosts.add(hashOfKey('a'))
  assert.equal(ghosts.take(hashOfKey('a')), true)
  assert.equal(ghosts.take(hashOfKey('a')), false)
})

for (const size of [4, 100, 1_000, 50_000]) {
  test(`a list of ${size} knows most of the last ${size}, none from long before, and hardly any other`, () => {
    const ghosts = new Ghosts()
    ghosts.resize(size)
    const old = hashes('old', size)
    const lately = hashes('lately', size)
    for (const hash of old) ghosts.add(hash)
    for (const hash of hashes('between', Math.ceil(size * 0.2) + 1)) ghosts.add(hash)
    for (const hash of lately) ghosts.add(hash)
    assert.ok(remembered(ghosts, hashes('never', size)) <= size / 100)
    // Buckets fill unevenly: some of the older ones give way.
    assert.ok(remembered(ghosts, lately) >= size * 0.6, 'lately')
    assert.ok(remembered(ghosts, old) <= size / 100, 'old')
  })
}

test('a long time after, what was not overwritten is not taken for new', () => {
  const ghosts = new Ghosts()
  ghosts.resize(1_024)
  const once = hashes('once', 64)
  for (const hash of once) ghosts.add(hash)
  // As many ticks as the time in a cell counts, and one list less.
  for (const hash of hashes('after', 65_536 - 2_048)) ghosts.add(hash)
  assert.ok(remembered(ghosts, once) <= 1)
})

test('keys of any length that differ at either end have other hashes', () => {
  const long = 'x'.repeat(500)
  const keys = [
    '',
    'a',
    'b',
    'ab',
    'ba',
    long,
    `${long}x`,
    `a${long}`,
    `b${long}`,
    `${long}a`,
    `${long}b`,
    'ü',
    '\u{1f600}',
  ]
  assert.equal(new Set(keys.map(hashOfKey)).size, keys.length)
})
