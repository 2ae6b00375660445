// Row ids: each row has exactly one spelling.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatRowId, parseRowId } from '../../src/source/row-id.ts'
import type { SqlValue } from '../../src/source/row-value.ts'
import type { ColumnDescription } from '../../src/source/source.ts'

type KeyType = 'integer' | 'text' | 'blob'

function key(...types: KeyType[]): ColumnDescription[] {
  return types.map((type, i) => ({ name: `k${i}`, type, nullable: false, key: true }))
}

function parse(columns: ColumnDescription[], id: string): SqlValue[] | undefined {
  try {
    return parseRowId('things', columns, id)
  } catch (thrown) {
    assert.equal((thrown as { code: string }).code, 'ROW_KEY_INVALID')
    return undefined
  }
}

test('an integer id is 64-bit digits without leading zeros, plus, blanks or fractions', () => {
  for (const id of ['0', '5', '-5', '9223372036854775807', '-9223372036854775808']) {
    assert.deepEqual(parse(key('integer'), id), [BigInt(id)])
  }
  const refused = [
    '',
    '-',
    '-0',
    '05',
    '+5',
    '5.0',
    '5e0',
    ' 5',
    '5 ',
    '5\n',
    '0x5',
    '٥',
    '5_0',
    '--5',
    '1'.repeat(400),
  ]
  for (const id of [...refused, '9223372036854775808', '-9223372036854775809', '18446744073709551621', '02643743']) {
    assert.equal(parse(key('integer'), id), undefined, JSON.stringify(id))
  }
})

test('a single text id is the text as it is, and never NUL or half a surrogate pair', () => {
  for (const id of ['', 'a:b', '100%', '%25', 'é😀', ' x ']) assert.deepEqual(parse(key('text'), id), [id])
  for (const id of ['a\0', '\ud800', 'x\udc00y']) assert.equal(parse(key('text'), id), undefined)
})

test('a blob id is lower-case hexadecimal', () => {
  assert.deepEqual(parse(key('blob'), '00ff'), [Buffer.from([0, 255])])
  assert.deepEqual(parse(key('blob'), ''), [Buffer.alloc(0)])
  for (const id of ['0', 'FF', '0x00', 'zz', '00 ']) assert.equal(parse(key('blob'), id), undefined, id)
})

test('a composite id encodes % and : in text, and nothing else', () => {
  const columns = key('text', 'integer', 'blob')
  assert.deepEqual(parse(columns, 'a%3Ab%25%20:5:ff'.replace('%20', ' ')), ['a:b% ', 5n, Buffer.from([255])])
  assert.deepEqual(parse(columns, ':5:'), ['', 5n, Buffer.alloc(0)])
  for (const id of ['a%20b:5:ff', 'a%3ab:5:ff', 'a%:5:ff', 'a:b:5:ff', 'a:5', 'a:05:ff', 'a:5:ff:', '']) {
    assert.equal(parse(columns, id), undefined, id)
  }
})

test('the refusal names the key that was got and what it must look like', () => {
  assert.throws(() => parseRowId('things', key('text', 'integer'), 'a:05'), {
    code: 'ROW_KEY_INVALID',
    message:
      '"things:a:05" is no key of keyspace things: expected things:<k0: text>:<k1: integer> (an integer is 64-bit, in' +
      " digits, without leading zeros or +; text is UTF-8 without NUL, with '%' as %25 and ':' as %3A)",
  })
})

const typesArbitrary = fc.array(fc.constantFrom<KeyType>('integer', 'text', 'blob'), { minLength: 1, maxLength: 4 })

function valueArbitrary(type: KeyType): fc.Arbitrary<SqlValue> {
  if (type === 'integer') return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  if (type === 'blob') return fc.uint8Array({ maxLength: 8 }).map(bytes => Buffer.from(bytes))
  const pieces = fc.constantFrom('%', ':', '%25', '%3A', '%3a', 'a', '5', 'é', '😀', ' ', '/')
  return fc
    .oneof(
      fc.array(pieces, { maxLength: 6 }).map(parts => parts.join('')),
      fc.string({ unit: 'binary' }),
    )
    .filter(text => !text.includes('\0') && text.isWellFormed())
}

test('every key has an id, and the id reads back as the key', () => {
  const arbitrary = typesArbitrary.chain(types => fc.tuple(fc.constant(types), fc.tuple(...types.map(valueArbitrary))))
  fc.assert(
    fc.property(arbitrary, ([types, values]) => {
      const columns = key(...types)
      const id = formatRowId(columns, values)
      assert.ok(id !== undefined)
      assert.deepEqual(parse(columns, id), values)
    }),
    { numRuns: 2000, seed: 11 },
  )
})

test('whatever id is accepted is the only spelling of its row', () => {
  const noise = fc.array(
    fc.constantFrom(
      '%',
      '25',
      '3A',
      '3a',
      ':',
      '0',
      '5',
      '-',
      '+',
      '.',
      'e',
      'a',
      'F',
      'f',
      '\0',
      ' ',
      'é',
      '9223372036854775807',
    ),
    { maxLength: 6 },
  )
  let accepted = 0
  fc.assert(
    fc.property(typesArbitrary, noise, (types, parts) => {
      const columns = key(...types)
      const id = parts.join('')
      const values = parse(columns, id)
      if (values === undefined) return
      accepted++
      assert.equal(formatRowId(columns, values), id)
    }),
    { numRuns: 20_000, seed: 12 },
  )
  assert.ok(accepted > 1000, `only ${accepted} ids were accepted`)
})
