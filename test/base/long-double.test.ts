// Long doubles: what C's strtold reads and printf's %.17Lf prints, in examples taken from a machine with 80-bit ones.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { addLongDoubles, formatLongDouble, parseLongDouble } from '../../src/base/long-double.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

function sum(a: string, b: string): string | undefined {
  const result = addLongDoubles(parseLongDouble(a)!, parseLongDouble(b)!)
  return result === undefined ? undefined : formatLongDouble(result)
}

test('sums are those of 64 bits of mantissa, printed with 17 decimals and no trailing zeros', () => {
  for (const [a, b, result] of [
    ['10.5', '0.1', '10.6'],
    ['5.0e3', '2.0e2', '5200'],
    ['0.1', '0.2', '0.3'],
    ['3', '-5', '-2'],
    ['0', '-0', '0'],
    ['9223372036854775807', '1', '9223372036854775808'],
    ['18446744073709551615', '1', '18446744073709551616'],
    ['18446744073709551616', '1', '18446744073709551616'],
    ['18446744073709551616', '3', '18446744073709551620'],
    ['36893488147419103232', '1', '36893488147419103232'],
    ['0x10', '0x.8p1', '17'],
    ['1e-17', '0', '0.00000000000000001'],
    ['-1e-18', '0', '0'],
    ['.5', '5.', '5.5'],
    ['1e4932', '1e4932', undefined],
    ['inf', '1', undefined],
    ['inf', '-inf', undefined],
  ] as const) {
    assert.equal(sum(a, b), result, `${a} + ${b}`)
  }
})

test('what is no number, or none that a long double holds, is refused', () => {
  for (const text of [
    '',
    ' 1',
    '1 ',
    '1x',
    '.',
    'e5',
    '1e',
    '0x',
    '0x.',
    'nan',
    '1e5000',
    '1e-5000',
    '1e99999',
    '1\0',
  ]) {
    assert.equal(parseLongDouble(text), undefined, JSON.stringify(text))
  }
  assert.equal(parseLongDouble('1'.repeat(5_120)), undefined)
  assert.notEqual(parseLongDouble(`0.${'1'.repeat(5_117)}`), undefined)
})

test('whole numbers of up to 64 bits are exact, and adding undoes itself', () => {
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  fc.assert(
    fc.property(int64, int64, (a, b) => {
      assert.equal(formatLongDouble(parseLongDouble(String(a))!), String(a))
      const total = a + b
      if (total >= -(2n ** 64n) && total <= 2n ** 64n) assert.equal(sum(String(a), String(b)), String(total))
    }),
  )
})

test('numbers below 64 with six decimals survive being read and printed', () => {
  fc.assert(
    fc.property(fc.integer({ min: -63_999_999, max: 63_999_999 }), n => {
      const text = (n / 1e6).toFixed(6)
      const trimmed = text.replace(/\.?0+$/, '')
      assert.equal(formatLongDouble(parseLongDouble(text)!), trimmed)
    }),
  )
})
