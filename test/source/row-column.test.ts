// One column of a row found in memory's own bytes: the same as rowField finds in a copy, and never a byte beyond the row, whatever a
// writer has made of it meanwhile.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { findRowValue, plainValueEnd } from '../../src/source/row-column.ts'
import { encodeRow, rowField } from '../../src/source/row-json.ts'
import type { SqlValue } from '../../src/source/row-value.ts'
import type { ColumnDescription } from '../../src/source/source.ts'

const PADDING = 24
const LOWER_N = 0x6e
const QUOTE = 0x22

/** Bytes of which only those in [start, end) may be read; `reads` counts. */
function guarded(bytes: Buffer, start: number, end: number): { json: DataView; reads: () => number } {
  const all = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const json = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let reads = 0
  const allow = (at: number, length: number): void => {
    assert.ok(at >= start && at + length <= end, `${at} is not in [${start}, ${end})`)
    reads++
  }
  json.getUint8 = at => {
    allow(at, 1)
    return all.getUint8(at)
  }
  json.getInt32 = (at, littleEndian) => {
    allow(at, 4)
    return all.getInt32(at, littleEndian)
  }
  return { json, reads: () => reads }
}

interface Found {
  readonly kind: 'value' | 'null' | 'unclear'
  readonly value?: Buffer
}

/** What HGET makes of a row that stands at `start` of `bytes`. */
function findColumn(bytes: Buffer, start: number, end: number, name: Buffer): Found {
  const { json, reads } = guarded(bytes, start, end)
  const asked = Buffer.concat([Buffer.from('HGET'), name, Buffer.from('"')])
  const at = findRowValue(json, start, end, asked, 4, 4 + name.length)
  const valueEnd = at === -1 ? -1 : plainValueEnd(json, at, end)
  // A row's bytes are looked at once, and those of its names twice for a name that is asked for.
  assert.ok(reads() <= 3 * (end - start) + 8, `${reads()} reads of ${end - start} bytes`)
  if (valueEnd === -1) return { kind: 'unclear' }
  assert.ok(at > start && valueEnd >= at && valueEnd <= end)
  if (bytes[at] === LOWER_N) return { kind: 'null' }
  const quotes = bytes[at] === QUOTE ? 1 : 0
  return { kind: 'value', value: bytes.subarray(at + quotes, valueEnd - quotes) }
}

function padded(json: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(PADDING, '"'), json, Buffer.alloc(PADDING, '"')])
}

const text = fc.oneof(
  fc.string({ unit: 'binary' }).filter(each => each.isWellFormed()),
  fc.string(),
  fc.constantFrom('', '"', '\\', 'a"b', '},{', 'a\\', '":', 'x'.repeat(37)),
)
const value: fc.Arbitrary<SqlValue> = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double({ noNaN: true }),
  text,
  fc.uint8Array({ maxLength: 12 }).map(bytes => Buffer.from(bytes)),
  fc.constant(null),
)
const columnName = fc.oneof(text, fc.constantFrom('a', 'ab', 'abc', 'b', 'größe', 'naïve 名', '\u2028'))
const type = fc.constantFrom<ColumnDescription['type'][]>('integer', 'real', 'text', 'blob', 'any')
const row = fc
  .uniqueArray(columnName, { minLength: 1, maxLength: 6 })
  .chain(names => fc.tuple(...names.map(name => fc.tuple(fc.constant(name), type, value))))

function encoded(cells: readonly (readonly [string, ColumnDescription['type'], SqlValue])[]): { json: Buffer } {
  const columns = cells.map(([name, type]) => ({ name, type, nullable: true, key: false }))
  const values = cells.map(cell => cell[2])
  return { json: encodeRow(columns, values, 0) }
}

test('every column that is found has the value that rowField finds, and ordinary ones are found', () => {
  let plain = 0
  fc.assert(
    fc.property(row, fc.array(columnName, { maxLength: 3 }), (cells, others) => {
      const { json } = encoded(cells)
      const bytes = padded(json)
      for (const name of [...cells.map(([name]) => name), ...others]) {
        const found = findColumn(bytes, PADDING, PADDING + json.length, Buffer.from(name))
        const cell = cells.find(each => each[0] === name)
        const expected = rowField(json, name)
        if (found.kind === 'null') assert.ok(cell !== undefined && expected === undefined, name)
        if (found.kind === 'value') assert.deepEqual(found.value, expected, name)
        if (cell === undefined) assert.equal(found.kind, 'unclear')
        else if (
          isOrdinary(name) &&
          (typeof cell[2] !== 'string' || (isOrdinary(cell[2]) && cell[1] !== 'blob')) &&
          !ArrayBuffer.isView(cell[2])
        ) {
          assert.notEqual(found.kind, 'unclear', `${name} of ${json.toString()}`)
          plain++
        }
      }
    }),
    { numRuns: 3000, seed: 25 },
  )
  assert.ok(plain > 1000, `${plain} ordinary columns`)
})

/** Spelt in JSON as it is. */
function isOrdinary(text: string): boolean {
  return JSON.stringify(text) === `"${text}"`
}

test('a row that a writer has torn is read to its end at most, and no endless time', () => {
  const tearing = fc.array(fc.tuple(fc.nat(400), fc.oneof(fc.constantFrom(...Buffer.from('"\\{},:n0')), fc.nat(255))), {
    maxLength: 12,
  })
  fc.assert(
    fc.property(row, tearing, fc.nat(400), columnName, (cells, tears, cut, other) => {
      const { json } = encoded(cells)
      for (const [at, byte] of tears) json[at % json.length] = byte
      const bytes = padded(json)
      const end = PADDING + 1 + (cut % json.length)
      for (const name of [...cells.map(([name]) => name), other, '"', '\\']) {
        findColumn(bytes, PADDING, PADDING + json.length, Buffer.from(name))
        findColumn(bytes, PADDING, end, Buffer.from(name))
      }
    }),
    { numRuns: 3000, seed: 26 },
  )
})
