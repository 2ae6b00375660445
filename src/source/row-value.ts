// Whether a value fits a column, and what is stored then. The check is ours: SQLite itself stores 'abc' in an INTEGER
// column of a table that is not STRICT, and turns the text '12' into a number where it can.
// Not for: constraints (NOT NULL by omission, UNIQUE, CHECK, foreign keys), which the database checks itself.
import { isUtf8 } from 'node:buffer'
import { parseInt64 } from '../base/bytes.ts'
import { TidemarkError } from '../base/errors.ts'
import { numberPattern, type JsonValue } from './json-scanner.ts'
import type { ColumnDescription } from './source.ts'

/** A value as the database knows it: integers as bigint, reals as number. */
export type SqlValue = null | bigint | number | string | Uint8Array

const takes: Readonly<Record<ColumnDescription['type'], string>> = {
  integer: 'a whole number from -9223372036854775808 to 9223372036854775807, in digits alone',
  real: 'a number that a 64-bit float can hold',
  text: 'a string',
  blob: 'a string of base64 (RFC 4648, with padding)',
  any: 'a number, a string or {"base64": "..."}',
}

/** The value of a member of a row's JSON. Throws ROW_INVALID when the column does not take it. */
export function valueFromJson(column: ColumnDescription, json: JsonValue): SqlValue {
  if (json.kind === 'null') {
    if (!column.nullable) throw misfit(column, takes[column.type], 'null, and the column is NOT NULL')
    return null
  }
  const value = json.kind === 'boolean' ? undefined : convert(column.type, json.kind, json.text)
  if (value !== undefined) return value
  const hint = json.kind === 'boolean' ? ' (SQLite has no booleans: give 1 or 0)' : ''
  throw misfit(column, takes[column.type], spelling(json) + hint)
}

function convert(
  type: ColumnDescription['type'],
  kind: 'number' | 'string' | 'base64',
  text: string,
): SqlValue | undefined {
  switch (type) {
    case 'integer':
      return kind === 'number' ? integer(text) : undefined
    case 'real':
      return kind === 'number' ? real(text) : undefined
    case 'text':
      return kind === 'string' ? text : undefined
    case 'blob':
      return kind === 'number' ? undefined : base64(text)
    case 'any':
      if (kind === 'string') return text
      if (kind === 'base64') return base64(text)
      return /[.eE]/.test(text) ? real(text) : integer(text)
  }
}

function integer(text: string): bigint | undefined {
  return parseInt64(Buffer.from(text, 'latin1'), 0, text.length)
}

function real(text: string): number | undefined {
  const value = Number(text)
  return Number.isFinite(value) || text === '9e999' || text === '-9e999' ? value : undefined
}

function base64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/**
 * The value of a field given as bytes (HSET): an integer or real column takes a number's text, a text column UTF-8, a
 * blob column the bytes themselves; an 'any' column takes the bytes as text. Throws ROW_INVALID.
 */
export function valueFromBytes(column: ColumnDescription, bytes: Uint8Array): SqlValue {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (column.type === 'blob') return Buffer.from(buffer)
  if (!isUtf8(buffer)) throw misfit(column, 'valid UTF-8', 'bytes that are none')
  const text = buffer.toString()
  if (column.type === 'text' || column.type === 'any') return text
  const value = numberPattern.test(text) ? convert(column.type, 'number', text) : undefined
  if (value !== undefined) return value
  throw misfit(column, takes[column.type], JSON.stringify(clip(text)))
}

function misfit(column: ColumnDescription, takes: string, got: string): TidemarkError {
  return new TidemarkError('ROW_INVALID', `column ${JSON.stringify(column.name)} takes ${takes}; got ${got}`)
}

function spelling(json: JsonValue): string {
  if (json.kind === 'null') return 'null'
  if (json.kind === 'string') return `the string ${JSON.stringify(clip(json.text))}`
  if (json.kind === 'base64') return `{"base64": ${JSON.stringify(clip(json.text))}}`
  return clip(json.text)
}

function clip(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 40)}...`
}
