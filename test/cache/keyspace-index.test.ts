// The keyspace that a key names, with few keyspaces and with many: the two are looked up in different ways.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyspaceIndex } from '../../src/cache/keyspace-index.ts'

function found(names: readonly string[], key: string): string | undefined {
  const index = new KeyspaceIndex(names.map(name => ({ description: { name } })))
  // The key lies in a buffer with other bytes around it.
  const bytes = Buffer.from(`user${key}s:9`)
  return index.of(bytes, 4, 4 + Buffer.byteLength(key))?.description.name
}

const few = ['users', 'user', 'u', 'orders', 'o.r-d_3']
const many = [...few, ...Array.from({ length: 40 }, (_, i) => `table${i}`)]

for (const [which, names] of Object.entries({ few, many })) {
  test(`a key names the keyspace before its first colon, out of ${which}`, () => {
    for (const name of names) {
      assert.equal(found(names, `${name}:7`), name)
      assert.equal(found(names, `${name}:`), name)
      assert.equal(found(names, `${name}:${name}:7`), name)
      for (const plain of [name, `${name}x:7`, `x${name}:7`, `:${name}:7`, `${name.toUpperCase()}:7`]) {
        assert.equal(found(names, plain), undefined, plain)
      }
    }
    for (const plain of ['', ':', 'use', 'usert:7', 'x'.repeat(500)])
      assert.equal(found(names, plain), undefined, plain)
  })
}

test('without keyspaces all keys are plain', () => {
  assert.equal(found([], 'users:7'), undefined)
})
