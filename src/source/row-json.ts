// A row as JSON text, and the fields of that text. The text is what memory holds and what GET answers: one object with
// the keyspace's columns in the table's order, written here and nowhere else, so that reading a field back (HGET) is a walk over
// bytes instead of JSON.parse, which would round 64-bit integers anyway.
//
//   NULL      null
//   INTEGER   all digits                          9223372036854775807
//   REAL      the shortest text that reads back as the same double: 0.1, 1e+21, -0; 9e999 and -9e999 are the infinities
//             (valid JSON, and SQLite's own spelling of them). Outside a REAL column, and from
//             2^53 on, always with '.' or 'e': 5.0
//   TEXT      string; in a BLOB column {"text":"..."}, so that it is not mistaken for base64
//   BLOB      base64 string in a BLOB column, after a blank: "photo": "YWJj"; in any other {"base64":"..."}. So neither is
//             mistaken for text
//
// There are no other blanks. A row says by itself what its values are: threads and servers share rows, and when a table is
// altered some of them have heard of it and some have not.
//
// Fields (HGET, HGETALL): text and blobs as their bytes, numbers as spelt above, NULL columns left out.
// Not for: JSON that a client wrote (json-scanner.ts) and whether its values fit (row-value.ts).
import { assert } from '../base/assert.ts'
import type { ColumnDescription } from './source.ts'
import type { SqlValue } from './row-value.ts'

const BLANK = 0x20
const QUOTE = 0x22
const BACKSLASH = 0x5c
const BRACE_OPEN = 0x7b
const BRACE_CLOSE = 0x7d
const LOWER_B = 0x62
const LOWER_N = 0x6e
const COMMA = 0x2c

/** The JSON text of a row whose values are `values[first + i]` for column i. */
export function encodeRow(columns: readonly ColumnDescription[], values: readonly SqlValue[], first: number): Buffer {
  let json = ''
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i]!
    json += `${i === 0 ? '{' : ','}${JSON.stringify(column.name)}:${valueText(column.type, values[first + i]!)}`
  }
  return Buffer.from(json + '}')
}

function valueText(type: ColumnDescription['type'], value: SqlValue): string {
  if (value === null) return 'null'
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') return realText(value, type !== 'real')
  if (typeof value === 'string') return type === 'blob' ? `{"text":${JSON.stringify(value)}}` : JSON.stringify(value)
  const base64 = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  return type === 'blob' ? bytesText(base64) : `{"base64":"${base64}"}`
}

/** A value of a column for bytes, in base64, as it stands behind the colon. */
export function bytesText(base64: string): string {
  return ` "${base64}"`
}

function realText(value: number, marked: boolean): string {
  if (value === Infinity) return '9e999'
  if (value === -Infinity) return '-9e999'
  const text = Object.is(value, -0) ? '-0' : String(value)
  if (/[.e]/.test(text)) return text
  // As many digits as a large integer has would look like one.
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) return value.toExponential()
  return marked ? `${text}.0` : text
}

/**
 * All fields of a row in the order of its JSON text, which must be encodeRow's. Values may be views of `json`: copy them
 * before its bytes are used for something else.
 */
export function rowFields(json: Uint8Array): [name: string, value: Buffer][] {
  const bytes = bufferOf(json)
  const fields: [string, Buffer][] = []
  let at = 1
  while (bytes[at] === QUOTE) {
    const nameEnd = stringEnd(bytes, at)
    const name = stringText(bytes, at, nameEnd).toString()
    const end = valueEnd(bytes, nameEnd + 1)
    const value = fieldValue(bytes, nameEnd + 1, end)
    if (value !== undefined) fields.push([name, value])
    at = bytes[end] === COMMA ? end + 1 : end
  }
  assert(bytes[at] === BRACE_CLOSE, 'a row in memory is JSON that encodeRow wrote')
  return fields
}

/** One field of a row, or undefined when it is NULL or no column of the row. May be a view of `json`. */
export function rowField(json: Uint8Array, name: string): Buffer | undefined {
  const bytes = bufferOf(json)
  const wanted = Buffer.from(JSON.stringify(name))
  let at = 1
  while (bytes[at] === QUOTE) {
    const nameEnd = stringEnd(bytes, at)
    const end = valueEnd(bytes, nameEnd + 1)
    if (nameEnd - at === wanted.length && sameBytes(bytes, at, wanted)) {
      return fieldValue(bytes, nameEnd + 1, end)
    }
    at = bytes[end] === COMMA ? end + 1 : end
  }
  assert(bytes[at] === BRACE_CLOSE, 'a row in memory is JSON that encodeRow wrote')
  return undefined
}

function bufferOf(json: Uint8Array): Buffer {
  return Buffer.isBuffer(json) ? json : Buffer.from(json.buffer, json.byteOffset, json.byteLength)
}

function sameBytes(bytes: Buffer, at: number, wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false
  return true
}

/** The position after the string that opens at `at`. */
function stringEnd(bytes: Buffer, at: number): number {
  const length = bytes.length
  for (let i = at + 1; i < length; i++) {
    const byte = bytes[i]
    if (byte === QUOTE) return i + 1
    if (byte === BACKSLASH) i++
  }
  return length
}

/** The position after the value at `at`: of a string, of bytes, of {"base64":"..."}, or up to the next comma or brace. */
function valueEnd(bytes: Buffer, at: number): number {
  if (bytes[at] === QUOTE) return stringEnd(bytes, at)
  if (bytes[at] === BLANK) return stringEnd(bytes, at + 1)
  if (bytes[at] === BRACE_OPEN) return stringEnd(bytes, stringEnd(bytes, at + 1) + 1) + 1
  let i = at
  while (i < bytes.length && bytes[i] !== COMMA && bytes[i] !== BRACE_CLOSE) i++
  return i
}

function fieldValue(bytes: Buffer, start: number, end: number): Buffer | undefined {
  const first = bytes[start]
  if (first === LOWER_N) return undefined
  if (first === QUOTE) return stringText(bytes, start, end)
  if (first === BLANK) return base64Bytes(bytes, start + 1, end)
  if (first !== BRACE_OPEN) return bytes.subarray(start, end)
  const inner = stringEnd(bytes, start + 1) + 1
  return bytes[start + 2] === LOWER_B ? base64Bytes(bytes, inner, end - 1) : stringText(bytes, inner, end - 1)
}

function base64Bytes(bytes: Buffer, start: number, end: number): Buffer {
  return Buffer.from(bytes.toString('latin1', start + 1, end - 1), 'base64')
}

/** The text of the string in [start, end), its quotes included, as UTF-8. */
function stringText(bytes: Buffer, start: number, end: number): Buffer {
  for (let i = start + 1; i < end - 1; i++) {
    if (bytes[i] === BACKSLASH) return Buffer.from(JSON.parse(bytes.toString('utf8', start, end)) as string)
  }
  return bytes.subarray(start + 1, end - 1)
}
