// Keys of Postgres' types in ids: one spelling each, and there and back for every value.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatKey, parseKey, type KeyColumn } from '../../src/source/postgres-key.ts'

function column(keyType: string, scale = 0, labels?: readonly string[]): KeyColumn {
  return { name: keyType, keyType, scale, labels: labels && new Set(labels) }
}

const allowed: readonly (readonly [KeyColumn, readonly string[]])[] = [
  [column('int2'), ['0', '-32768', '32767']],
  [column('int4'), ['-2147483648', '2147483647']],
  [column('int8'), ['-9223372036854775808', '9223372036854775807']],
  [column('text'), ['', ' a:%3A😀 ', '05']],
  [column('bpchar'), ['nl', '']],
  [column('enum', 0, ['sad', 'o k']), ['sad', 'o k']],
  [column('uuid'), ['123e4567-e89b-12d3-a456-426614174000']],
  [column('numeric', 2), ['0.00', '-12.50', '123456789012345678901234567890.10']],
  [column('numeric', 0), ['0', '-7']],
  [column('bool'), ['t', 'f']],
  [column('date'), ['2024-02-29', '0001-01-01']],
  [column('timestamp'), ['2026-11-23 09:30:00', '2026-11-23 09:30:00.5', '2026-11-23 09:30:00.000001']],
  [column('timestamptz'), ['2026-11-23 09:30:00+00']],
  [column('bytea'), ['', '00ff']],
]

const refused: readonly (readonly [KeyColumn, readonly string[]])[] = [
  [column('int2'), ['32768', '-32769', '', '01', '-0', '+1', '1.0', ' 1', '٣']],
  [column('int4'), ['2147483648']],
  [column('int8'), ['9223372036854775808', '1e3']],
  [column('text'), ['a\0b', '\ud800']],
  [column('bpchar'), ['nl ']],
  [column('enum', 0, ['sad']), ['ok', 'SAD']],
  [column('uuid'), ['123E4567-e89b-12d3-a456-426614174000', '{123e4567-e89b-12d3-a456-426614174000}']],
  [column('numeric', 2), ['1', '1.5', '1.500', '-0.00', '01.00', 'NaN']],
  [column('bool'), ['true', '1', 'T']],
  [column('date'), ['2024-02-30', '2024-2-1', 'infinity', '0000-01-01', '2024-01-01 BC']],
  [column('timestamp'), ['2026-11-23T09:30:00', '2026-11-23 09:30:00.50', '2026-11-23 24:00:00', '2026-11-23']],
  [column('timestamptz'), ['2026-11-23 09:30:00', '2026-11-23 09:30:00+01', '2026-11-23 09:30:00+00:00']],
  [column('bytea'), ['0', 'FF', '\\x00']],
]

test('what Postgres writes is an id, and the value comes back as its type reads it', () => {
  for (const [key, ids] of allowed) {
    for (const id of ids) {
      const [value] = parseKey('k', [key], id)
      assert.equal(value, key.keyType === 'bytea' ? `\\x${id}` : id)
      assert.equal(formatKey([key], [value]), id)
    }
  }
  assert.equal(formatKey([column('bpchar')], ['nl   ']), 'nl')
  assert.equal(formatKey([column('text'), column('int4')], ['a', null]), undefined)
})

test('what it would read but write otherwise, or not read at all, is refused', () => {
  for (const [key, ids] of refused) {
    for (const id of ids)
      assert.throws(() => parseKey('k', [key], id), { code: 'ROW_KEY_INVALID' }, `${key.keyType} ${id}`)
  }
  assert.throws(() => parseKey('k', [column('text'), column('text')], 'a:b:c'), { code: 'ROW_KEY_INVALID' })
  assert.throws(() => parseKey('k', [column('text'), column('text')], 'a%3a:b'), { code: 'ROW_KEY_INVALID' })
})

test('ids of several parts are there and back, whatever the parts hold', () => {
  const text = fc.string({ unit: 'binary' }).filter(value => !value.includes('\0') && value.isWellFormed())
  const key = [column('text'), column('int8'), column('text')]
  fc.assert(
    fc.property(text, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), text, (a, n, b) => {
      const id = formatKey(key, [a, String(n), b])!
      assert.deepEqual(parseKey('k', key, id), [a, String(n), b])
    }),
    { seed: 4, numRuns: 300 },
  )
})
