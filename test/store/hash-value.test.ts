// The encoding of plain hashes, against a Map.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  findHashField,
  firstHashField,
  getHashFields,
  hashFieldCount,
  hashFields,
  hashNameEnd,
  hashNameStart,
  hashValueStart,
  nextHashField,
  removeHashFields,
  setHashFields,
} from '../../src/store/hash-value.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

function decoded(value: Uint8Array): [string, string][] {
  return hashFields(value).map(([name, content]) => [
    Buffer.from(name).toString('latin1'),
    Buffer.from(content).toString('latin1'),
  ])
}

test('a hash is laid out as drawn', () => {
  const { value, fields } = setHashFields(undefined, [[Buffer.from('ab'), Buffer.from('c')]])
  assert.equal(fields, 1)
  assert.deepEqual([...value], [1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0x61, 0x62, 0x63])
})

test('fields are found in place, wherever the hash begins', () => {
  const { value } = setHashFields(undefined, [
    [Buffer.from('a'), Buffer.from('1')],
    [Buffer.from(''), Buffer.from('')],
    [Buffer.from('b'.repeat(300)), Buffer.from('2'.repeat(70_000))],
  ])
  const bytes = Buffer.concat([Buffer.alloc(7, 0xff), value, Buffer.alloc(5, 0xff)])
  const end = 7 + value.length
  assert.equal(hashFieldCount(bytes, 7), 3)
  assert.equal(findHashField(bytes, 7, end, Buffer.from('a'), 0, 1), firstHashField(7))
  assert.equal(findHashField(bytes, 7, end, Buffer.from('b'), 0, 1), -1)
  const field = findHashField(bytes, 7, end, Buffer.from(`x${'b'.repeat(300)}`), 1, 301)
  assert.equal(hashNameEnd(bytes, field) - hashNameStart(field), 300)
  assert.equal(nextHashField(bytes, field) - hashValueStart(bytes, field), 70_000)
  assert.equal(nextHashField(bytes, field), end)
})

// Names and values of few bytes, so that they meet; more of them than are looked for one by one.
const name = fc.uint8Array({ maxLength: 2, max: 3 }).map(bytes => Buffer.from(bytes))
const value = fc.uint8Array({ maxLength: 20 }).map(bytes => Buffer.from(bytes))
const step = fc.oneof(
  fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 20 }).map(fields => ({ set: fields })),
  fc.array(name, { minLength: 1, maxLength: 20 }).map(names => ({ remove: names })),
)

test('any sequence of changes gives what a Map gives, in its order, with the same counts', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), steps => {
      const model = new Map<string, string>()
      let hash: Buffer | undefined
      for (const change of steps) {
        const before = model.size
        if ('set' in change) {
          for (const [name, value] of change.set) model.set(name.toString('latin1'), value.toString('latin1'))
          const result = setHashFields(hash, change.set)
          hash = result.value
          assert.equal(result.fields, model.size - before)
        } else if (hash !== undefined) {
          for (const name of change.remove) model.delete(name.toString('latin1'))
          const result = removeHashFields(hash, change.remove)
          hash = result.value
          assert.equal(result.fields, before - model.size)
        }
        if (hash === undefined) continue
        assert.equal(hashFieldCount(hash, 0), model.size)
        assert.deepEqual(decoded(hash), [...model])
        const names = [...model.keys(), 'absent'].map(text => Buffer.from(text, 'latin1'))
        const expected = [...model.values(), undefined]
        assert.deepEqual(texts(getHashFields(hash, names)), expected)
        assert.deepEqual(texts(getHashFields(hash, names.slice(-3))), expected.slice(-3))
      }
    }),
    { numRuns: 300 },
  )
})

function texts(values: readonly (Uint8Array | undefined)[]): (string | undefined)[] {
  return values.map(value => (value === undefined ? undefined : Buffer.from(value).toString('latin1')))
}

test('setting and removing many thousand fields at once is not quadratic', () => {
  const many = Array.from({ length: 60_000 }, (_, i) => [Buffer.from(`field ${i}`), Buffer.from('v')] as const)
  const { value, fields } = setHashFields(undefined, many)
  assert.equal(fields, 60_000)
  assert.equal(
    getHashFields(
      value,
      many.map(field => field[0]),
    ).filter(found => found === undefined).length,
    0,
  )
  const removed = removeHashFields(
    value,
    many.slice(1).map(field => field[0]),
  )
  assert.equal(removed.fields, 59_999)
  assert.deepEqual(decoded(removed.value), [['field 0', 'v']])
})
