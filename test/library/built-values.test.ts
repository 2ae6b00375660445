// Builds that wait for one key, as the source of values that the cache alone has. Not for: all of it together (own-values.test.ts).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BuiltValues } from '../../src/library/built-values.ts'
import { valueOf } from '../../src/near/entry.ts'
import { Tags } from '../../src/near/tags.ts'

test('builds of before a tag was given up come last, and all who asked get something', async () => {
  const built = new BuiltValues('v')
  const tags = new Tags()
  const loaded = async () => valueOf((await built.load('v', ['1'])).rows[0])
  const tagged = built.expect('1', { build: () => 'tagged', tags: [tags.begin('t', 1n)] })
  const plain = built.expect('1', { build: () => 'plain' })
  assert.equal(plain.outdated, false)
  tags.giveUp('t')
  const later = built.expect('1', { build: () => 'later' })
  assert.equal(later.outdated, true)
  const last = built.expect('1', { build: () => 'last' })
  assert.equal(last.outdated, false, 'what was given up is given up once')
  assert.deepEqual([await loaded(), await loaded(), await loaded()], ['later', 'last', 'later'])
  later.forget()
  last.forget()
  assert.deepEqual([await loaded(), await loaded()], ['tagged', 'plain'])
  plain.forget()
  tagged.forget()
})
