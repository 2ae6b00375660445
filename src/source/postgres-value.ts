// Values of Postgres' types as the row JSON and HSET spell them, without losing a digit, and back as parameters.
//
//   smallint, integer, bigint, oid    digits
//   real, double precision            the shortest text that reads back as the same number; 9e999 and -9e999 are the
//                                     infinities, and "NaN" a string
//   numeric                           a number with all its digits, trailing zeros included; "NaN" and "Infinity" strings.
//                                     Taken as a string too, as objects have what a double does not hold (json-source.ts)
//   boolean                           true, false
//   bytea                             base64 string after a blank (row-json.ts)
//   everything else                   a string, as Postgres writes it: text, uuid, date and time (ISO, UTC), enums, json and
//                                     jsonb (their text), arrays ({1,2}), ranges, addresses, composite types
//
// Parameters are text for the column's type to read; bytes go as they are.
// Not for: key columns in ids (postgres-key.ts), how fields are read from the JSON (row-json.ts).
import { TidemarkError } from '../base/errors.ts'
import { fieldSum, type Addition } from './field-sum.ts'
import { numberPattern, type JsonValue } from './json-scanner.ts'
import type { Cell } from './postgres-pool.ts'
import { bytesText } from './row-json.ts'
import { valueFromBytes, valueFromJson, type SqlValue } from './row-value.ts'
import type { ColumnDescription } from './source.ts'

export type ValueKind = 'integer' | 'real' | 'numeric' | 'boolean' | 'bytes' | 'text'

export interface ValueColumn extends ColumnDescription {
  readonly kind: ValueKind
}

const kinds: ReadonlyMap<string, ValueKind> = new Map([
  ['int2', 'integer'],
  ['int4', 'integer'],
  ['int8', 'integer'],
  ['oid', 'integer'],
  ['float4', 'real'],
  ['float8', 'real'],
  ['numeric', 'numeric'],
  ['bool', 'boolean'],
  ['bytea', 'bytes'],
])

const described: Readonly<Record<ValueKind, ColumnDescription['type']>> = {
  integer: 'integer',
  real: 'real',
  numeric: 'any',
  boolean: 'any',
  bytes: 'blob',
  text: 'text',
}

/** Of a type of the catalogue's own schema, by its name there. */
export function kindOf(typeName: string): ValueKind {
  return kinds.get(typeName) ?? 'text'
}

export function describedType(kind: ValueKind): ColumnDescription['type'] {
  return described[kind]
}

/** The row as JSON, values in the order of the columns from `first` on. */
export function encodeCells(columns: readonly ValueColumn[], cells: readonly Cell[], first: number): Buffer {
  let json = ''
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i]!
    json += `${i === 0 ? '{' : ','}${JSON.stringify(column.name)}:${jsonOf(column.kind, cells[first + i]!)}`
  }
  return Buffer.from(json + '}')
}

function jsonOf(kind: ValueKind, cell: Cell): string {
  if (cell === null) return 'null'
  switch (kind) {
    case 'integer':
      return cell
    case 'real':
      return realText(cell)
    case 'numeric':
      return numberPattern.test(cell) ? cell : JSON.stringify(cell)
    case 'boolean':
      return cell === 't' ? 'true' : 'false'
    case 'bytes':
      return bytesText(Buffer.from(cell.slice(2), 'hex').toString('base64'))
    case 'text':
      return JSON.stringify(cell)
  }
}

function realText(cell: string): string {
  if (cell === 'NaN') return '"NaN"'
  if (cell === 'Infinity') return '9e999'
  if (cell === '-Infinity') return '-9e999'
  return cell === '-0' ? '-0' : String(Number(cell))
}

/** What a member of a row's JSON becomes. Throws ROW_INVALID when the column's kind does not take it. */
export function parameterFromJson(column: ValueColumn, json: JsonValue): string | Buffer | null {
  if (json.kind === 'null') {
    if (!column.nullable) throw misfit(column, 'a value', 'null, and the column is NOT NULL')
    return null
  }
  const { kind, text } = json
  switch (column.kind) {
    case 'boolean':
      if (kind === 'boolean') return text
      throw misfit(column, 'true or false', shown(json))
    case 'numeric':
      if (kind === 'number' || (kind === 'string' && (isSpecialNumber(text) || numberPattern.test(text)))) return text
      throw misfit(column, 'a number', shown(json))
    case 'real':
      if (kind === 'string' && text === 'NaN') return text
      break
    default:
  }
  if (kind === 'boolean') throw misfit(column, `a value of type ${column.type}`, text)
  return parameterOf(valueFromJson(column, json))
}

/** What a field given as bytes (HSET) becomes. Throws ROW_INVALID when the column's kind does not take it. */
export function parameterFromBytes(column: ValueColumn, bytes: Uint8Array): string | Buffer | null {
  const value = valueFromBytes(column, bytes)
  if (column.kind === 'numeric' && !(numberPattern.test(value as string) || isSpecialNumber(value as string))) {
    throw misfit(column, 'a number', JSON.stringify(clip(value as string)))
  }
  if (column.kind === 'boolean' && !/^(?:true|false|t|f|1|0)$/.test(value as string)) {
    throw misfit(column, 'true or false', JSON.stringify(clip(value as string)))
  }
  return parameterOf(value)
}

/** What a number in the column becomes when something is added to it. Throws ROW_INVALID. */
export function parameterOfSum(column: ValueColumn, before: Cell, addition: Addition): string | Buffer | null {
  if (column.kind === 'boolean') throw misfit(column, 'true or false', 'a number to add')
  return parameterOf(fieldSum(column, sqlValue(column.kind, before), addition))
}

function sqlValue(kind: ValueKind, cell: Cell): SqlValue {
  if (cell === null) return null
  if (kind === 'integer') return BigInt(cell)
  if (kind === 'real') return Number(cell)
  return kind === 'bytes' ? Buffer.from(cell.slice(2), 'hex') : cell
}

function parameterOf(value: SqlValue): string | Buffer | null {
  if (value === null || typeof value === 'string') return value
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return Object.is(value, -0) ? '-0' : String(value)
}

function isSpecialNumber(text: string): boolean {
  return text === 'NaN' || text === 'Infinity' || text === '-Infinity'
}

function misfit(column: ColumnDescription, takes: string, got: string): TidemarkError {
  return new TidemarkError('ROW_INVALID', `column ${JSON.stringify(column.name)} takes ${takes}; got ${got}`)
}

function shown(json: Exclude<JsonValue, { kind: 'null' }>): string {
  if (json.kind === 'string') return `the string ${JSON.stringify(clip(json.text))}`
  return json.kind === 'base64' ? '{"base64": ...}' : clip(json.text)
}

function clip(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 40)}...`
}
