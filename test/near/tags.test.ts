// Tags, and that they are forgotten with the last value that has them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Tags, type TagToken } from '../../src/near/tags.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

test('a tag is the same until it is given up, and then another one', () => {
  const tags = new Tags()
  assert.equal(tags.get('a'), undefined)
  const first = tags.begin('a', 1n)
  assert.equal(tags.get('a'), first)
  tags.giveUp('b')
  tags.giveUp('a')
  assert.equal(first.alive, false)
  assert.equal(tags.get('a'), undefined)
  const second = tags.begin('a', 2n)
  const third = tags.begin('a', 3n)
  assert.deepEqual([second.alive, third.alive], [false, true])
  assert.deepEqual([...tags.names()], ['a'])
})

test('tags that nobody has any more are forgotten as others begin, and no tag that somebody has', async () => {
  const tags = new Tags()
  const held: TagToken[] = []
  const begin = (from: number, every: number): void => {
    for (let i = from; i < from + 1_000; i++) {
      const token = tags.begin(`tag ${i}`, 1n)
      if (i % every === 0) held.push(token)
    }
  }
  begin(0, 100)
  for (let turns = 0; turns < 3; turns++) {
    await nextTurn()
    collect()
  }
  begin(1_000, 1)
  assert.equal(held.length, 1_010)
  assert.ok([...tags.names()].length <= held.length + 1, `${[...tags.names()].length} are left`)
  for (const token of held) assert.equal(tags.get(token.name), token)
})
