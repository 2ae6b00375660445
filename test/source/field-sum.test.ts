// Sums of columns: of every type that a column has, and what is refused.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { fieldSum } from '../../src/source/field-sum.ts'
import type { SqlValue } from '../../src/source/row-value.ts'
import type { ColumnDescription } from '../../src/source/source.ts'

function sum(type: ColumnDescription['type'], before: SqlValue, amount: string, as: 'integer' | 'float'): SqlValue {
  return fieldSum({ name: 'n', type, nullable: true, key: false }, before, { amount, as })
}

test('a column keeps its type, and a column of any type that of its number', () => {
  assert.equal(sum('integer', 5n, '-7', 'integer'), -2n)
  assert.equal(sum('integer', null, '7', 'integer'), 7n)
  assert.equal(sum('integer', 5n, '1.0', 'float'), 6n)
  assert.equal(sum('integer', 9_007_199_254_740_993n, '1', 'float'), 9_007_199_254_740_994n)
  assert.equal(sum('real', 0.1, '0.2', 'float'), 0.3)
  assert.equal(sum('real', 5, '1', 'integer'), 6)
  assert.equal(sum('real', null, '1e-20', 'float'), 1e-20)
  assert.equal(sum('real', 5e-324, '0', 'float'), 5e-324)
  assert.equal(sum('real', 1.7976931348623157e308, '-1', 'float'), 1.7976931348623157e308)
  assert.equal(sum('text', '5', '1', 'integer'), '6')
  assert.deepEqual(sum('blob', Buffer.from('5'), '1', 'integer'), Buffer.from('6'))
  assert.equal(sum('any', 5n, '1', 'integer'), 6n)
  assert.equal(sum('any', null, '1', 'integer'), 1n)
  assert.equal(sum('any', '5', '1', 'integer'), '6')
  assert.equal(sum('any', 5n, '0.5', 'float'), 5.5)
  assert.equal(sum('any', 0.5, '0.5', 'float'), 1)
  assert.equal(sum('any', '0.5', '0.5', 'float'), '1')
})

test('what is no number, and sums that the column does not take, are refused', () => {
  for (const [type, before, amount, as, error] of [
    ['text', 'abc', '1', 'integer', /"abc" is not an integer/],
    ['text', '', '1', 'integer', /is not an integer/],
    ['text', ' 5', '1', 'float', /is not a number/],
    ['real', 1.5, '1', 'integer', /"1.5" is not an integer/],
    ['integer', 2n ** 63n - 1n, '1', 'integer', /does not fit 64 bits/],
    ['integer', -(2n ** 63n), '-1', 'integer', /does not fit 64 bits/],
    ['integer', 5n, '0.5', 'float', /takes a whole number/],
    ['real', 1, '1e400', 'float', /does not fit a 64-bit float/],
    ['real', Infinity, '1', 'float', /is not a finite number/],
  ] as const) {
    assert.throws(() => sum(type, before, amount, as), { code: 'ROW_INVALID', message: error })
  }
})
