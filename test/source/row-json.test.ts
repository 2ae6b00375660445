// Rows as JSON text: written, read back field by field, and taken from clients without losing a digit.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { JsonError, readMembers } from '../../src/source/json-scanner.ts'
import { encodeRow, rowField, rowFields } from '../../src/source/row-json.ts'
import { valueFromBytes, valueFromJson, type SqlValue } from '../../src/source/row-value.ts'
import type { ColumnDescription } from '../../src/source/source.ts'

type Type = ColumnDescription['type']

function column(name: string, type: Type, nullable = true): ColumnDescription {
  return { name, type, nullable, key: false }
}

function encodeOne(type: Type, value: SqlValue): string {
  return encodeRow([column('v', type)], [value], 0)
    .toString()
    .slice('{"v":'.length, -1)
}

function parseOne(type: Type, json: string): SqlValue {
  const members = readMembers(Buffer.from(`{"v":${json}}`))
  return valueFromJson(column('v', type), members[0]![1])
}

test('a row spells each storage class in one way, without losing anything', () => {
  assert.equal(encodeOne('integer', 9223372036854775807n), '9223372036854775807')
  assert.equal(encodeOne('real', 0.1), '0.1')
  assert.equal(encodeOne('real', 5), '5')
  assert.equal(encodeOne('real', 1e21), '1e+21')
  assert.equal(encodeOne('real', -0), '-0')
  assert.equal(encodeOne('real', Infinity), '9e999')
  assert.equal(encodeOne('real', -Infinity), '-9e999')
  assert.equal(encodeOne('any', 5), '5.0')
  assert.equal(encodeOne('any', 5n), '5')
  assert.equal(encodeOne('text', 'a"\n\u0000é'), '"a\\"\\n\\u0000é"')
  assert.equal(encodeOne('blob', Buffer.from([0, 255])), ' "AP8="')
  assert.equal(encodeOne('blob', Buffer.alloc(0)), ' ""')
  assert.equal(encodeOne('any', Buffer.from([0, 255])), '{"base64":"AP8="}')
  assert.equal(encodeOne('blob', 'AP8='), '{"text":"AP8="}')
  assert.equal(encodeOne('integer', 'abc'), '"abc"')
  assert.equal(encodeOne('text', null), 'null')
})

test('a row keeps the order of its columns and escapes their names', () => {
  const columns = [column('b"', 'integer'), column('a', 'text')]
  assert.equal(encodeRow(columns, [null, 1n, 'x'], 1).toString(), '{"b\\"":1,"a":"x"}')
})

test('the scanner refuses what is no flat JSON object, and says where', () => {
  const refused: [string, RegExp][] = [
    ['', /start with '\{', got the end/],
    ['5', /start with '\{', got "5"/],
    ['[1]', /start with '\{'/],
    ['{"a":1', /',' or '}' is expected, got the end/],
    ['{"a":1}x', /the end of the text is expected, got "x"/],
    ['{"a":1,}', /a member name in double quotes is expected/],
    ['{a:1}', /a member name in double quotes is expected/],
    ['{"a" 1}', /':' is expected/],
    ['{"a":}', /a value is expected/],
    ['{"a":01}', /a value is expected, got "01}"/],
    ['{"a":.5}', /a value is expected/],
    ['{"a":5.}', /a value is expected/],
    ['{"a":+5}', /a value is expected/],
    ['{"a":NaN}', /a value is expected/],
    ['{"a":nul}', /a value is expected/],
    ['{"a":"x}', /has no end/],
    ['{"a":"\\x"}', /has an escape that JSON does not know/],
    ['{"a":"\\ud800"}', /half of a surrogate pair/],
    ['{"a":"\n"}', /control character/],
    ['{"a":1,"a":2}', /"a" is given twice/],
    ['{"a":1,"\\u0061":2}', /"a" is given twice/],
    ['{"a":[1]}', /"a" is an array/],
    ['{"a":{"b":1}}', /"a" is an object/],
    ['{"a":{}}', /"a" is an object/],
    ['{"a":{"base64":1}}', /"a" is an object/],
    ['{"a":{"base64":"","b":1}}', /"a" is an object/],
  ]
  for (const [json, message] of refused) {
    assert.throws(
      () => readMembers(Buffer.from(json)),
      (thrown: unknown) => {
        assert.ok(thrown instanceof JsonError, json)
        assert.match(thrown.message, message)
        return true
      },
    )
  }
  assert.throws(() => readMembers(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), /not valid UTF-8/)
})

test('the scanner takes what JSON.parse takes and means the same', () => {
  const scalar = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
  )
  const blank = fc.constantFrom('', ' ', '\n', '\t\r')
  fc.assert(
    fc.property(fc.dictionary(fc.string(), scalar, { maxKeys: 6 }), blank, (object, space) => {
      const body = Object.entries(object).map(
        ([name, value]) => JSON.stringify(name) + space + ':' + space + JSON.stringify(value),
      )
      const json = Buffer.from(`${space}{${space}${body.join(`${space},${space}`)}${space}}${space}`)
      const members = readMembers(json).map(([name, value]) => {
        const text = value.kind === 'null' ? 'null' : value.text
        return [name, value.kind === 'string' ? text : (JSON.parse(text) as unknown)]
      })
      assert.deepEqual(members, Object.entries(JSON.parse(json.toString()) as object))
    }),
    { numRuns: 1000, seed: 21 },
  )
})

test('the scanner refuses whatever JSON.parse refuses', () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '"',
    'a',
    ':',
    ',',
    '1',
    '-',
    '.',
    'e',
    '0',
    '\\',
    'u0041',
    'null',
    'true',
    ' ',
    '\n',
  )
  let good = 0
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), pieces => {
      const json = `{"a":${pieces.join('')}}`
      let refused = false
      try {
        JSON.parse(json)
      } catch {
        refused = true
      }
      if (refused) assert.throws(() => readMembers(Buffer.from(json)), JsonError)
      else good++
    }),
    { numRuns: 20_000, seed: 22 },
  )
  assert.ok(good > 100)
})

test('a value that does not fit its column is refused with what the column takes', () => {
  const refused: [Type, string][] = [
    ['integer', '"5"'], ['integer', '5.0'], ['integer', '5e0'], ['integer', '-0'], ['integer', 'true'],
    ['integer', '9223372036854775808'], ['integer', '-9223372036854775809'], ['integer', '123456789012345678901234567890'],
    ['real', '"5"'], ['real', '1e400'], ['real', '9e998'], ['real', 'false'],
    ['text', '5'], ['text', 'true'], ['text', '{"base64":""}'],
    ['blob', '5'], ['blob', '"a"'], ['blob', '"AP8"'], ['blob', '"AP9="'], ['blob', '"A P8="'], ['blob', '"-_8="'],
    ['any', 'true'], ['any', '9223372036854775808'], ['any', '1e400'], ['any', '{"base64":"x"}'],
  ] // prettier-ignore
  for (const [type, json] of refused) {
    assert.throws(
      () => parseOne(type, json),
      { code: 'ROW_INVALID', message: /^column "v" takes .*; got / },
      `${type} ${json}`,
    )
  }
  assert.throws(() => valueFromJson(column('v', 'text', false), { kind: 'null' }), { message: /NOT NULL/ })
  assert.throws(() => parseOne('integer', 'true'), { message: /no booleans: give 1 or 0/ })
})

test('fields given as bytes are read by the type of their column', () => {
  const read = (type: Type, text: string): SqlValue => valueFromBytes(column('v', type), Buffer.from(text))
  assert.equal(read('integer', '-9223372036854775808'), -(2n ** 63n))
  assert.equal(read('real', '5'), 5)
  assert.equal(read('real', '-9e999'), -Infinity)
  assert.equal(read('text', '12'), '12')
  assert.equal(read('any', '12'), '12')
  assert.deepEqual(valueFromBytes(column('v', 'blob'), Buffer.from([0xff, 0])), Buffer.from([0xff, 0]))
  for (const [
    type,
    text,
  ] of [
    ['integer', ''], ['integer', '05'], ['integer', '+5'], ['integer', '5.0'], ['integer', 'abc'], ['integer', ' 5'],
    ['integer', '9223372036854775808'], ['real', 'abc'], ['real', ''], ['real', '.5'], ['real', 'inf'], ['real', '0x10'], ['real', '1e400'],
  ] as const /* prettier-ignore */) {
    assert.throws(() => read(type, text), { code: 'ROW_INVALID' }, `${type} ${text}`)
  }
  for (const type of ['text', 'any', 'integer', 'real'] as const) {
    assert.throws(() => valueFromBytes(column('v', type), Buffer.from([0xff])), { message: /valid UTF-8/ })
  }
})

const sqlValues: Record<Type, fc.Arbitrary<SqlValue>> = {
  integer: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  real: fc.double({ noNaN: true }),
  text: fc.string({ unit: 'binary' }).filter(text => text.isWellFormed()),
  blob: fc.uint8Array({ maxLength: 12 }).map(bytes => Buffer.from(bytes)),
  any: fc.constant(null),
}
const anyValue = fc.oneof(sqlValues.integer, sqlValues.real, sqlValues.text, sqlValues.blob, fc.constant(null))
const types: Type[] = ['integer', 'real', 'text', 'blob', 'any']
const columnsAndValues = fc
  .uniqueArray(
    fc.oneof(
      fc.string({ unit: 'binary' }).filter(name => name.isWellFormed()),
      fc.constantFrom('a', 'b"', '}{,:'),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .chain(names =>
    fc.tuple(...names.map(name => fc.tuple(fc.constant(name), fc.constantFrom(...types), anyValue, fc.boolean()))),
  )

test('a value written as JSON reads back as the same value of the same type', () => {
  for (const type of types) {
    const values = type === 'any' ? anyValue : fc.oneof(sqlValues[type], fc.constant(null))
    fc.assert(
      fc.property(values, value => assert.deepEqual(parseOne(type, encodeOne(type, value)), value)),
      { numRuns: 1000, seed: 23 },
    )
  }
})

/** What a field must be, straight from the value. */
function fieldOf(type: Type, value: SqlValue): Buffer | undefined {
  if (value === null) return undefined
  if (typeof value === 'string') return Buffer.from(value)
  if (value instanceof Uint8Array) return Buffer.from(value)
  return Buffer.from(encodeOne(type, value))
}

test('fields of a row are its bytes, digits and text, and NULL columns are left out', () => {
  fc.assert(
    fc.property(columnsAndValues, rows => {
      // Any storage class in any column, as a table that is not STRICT holds.
      const columns = rows.map(([name, type]) => column(name, type))
      const json = encodeRow(
        columns,
        rows.map(row => row[2]),
        0,
      )
      const expected = rows
        .map(([name, type, value]) => [name, fieldOf(type, value)] as const)
        .filter(([, value]) => value !== undefined)
      assert.deepEqual(rowFields(json), expected)
      for (const [name, type, value] of rows) assert.deepEqual(rowField(json, name), fieldOf(type, value))
      assert.equal(rowField(json, 'no such column'), undefined)
      assert.doesNotThrow(() => JSON.parse(json.toString()) as unknown)
    }),
    { numRuns: 2000, seed: 24 },
  )
})

test('a row is read by what it says itself, whatever its table has become', () => {
  const columns = [column('a', 'integer'), column('photo', 'blob'), column('empty', 'blob'), column('name', 'text')]
  const json = encodeRow(columns, [1n, Buffer.from('abc'), Buffer.alloc(0), 'YWJj'], 0)
  assert.equal(json.toString(), '{"a":1,"photo": "YWJj","empty": "","name":"YWJj"}')
  assert.deepEqual(rowFields(new Uint8Array(json)), [
    ['a', Buffer.from('1')],
    ['photo', Buffer.from('abc')],
    ['empty', Buffer.alloc(0)],
    ['name', Buffer.from('YWJj')],
  ])
  assert.equal(rowField(json, 'new'), undefined)
})

test('bytes that are no row of ours stop the work instead of giving a wrong field', () => {
  assert.throws(() => rowFields(Buffer.from('{"a":1')), /encodeRow/)
  assert.throws(() => rowField(Buffer.from('[1]'), 'a'), /encodeRow/)
})
