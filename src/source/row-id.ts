// Row ids: how the part of a cache key behind its keyspace's prefix spells a table's key columns. A key that names a row
// is a cache key, so each row has exactly one spelling: 05, +5 and 5.0 are refused, they are not 5.
//
//   integer     as parseInt64 takes it: digits, '-' in front of negative ones, no leading zero
//   text        valid UTF-8 without NUL, as it is; in a composite id '%' and ':' are %25 and %3A, and nothing else is
//               encoded
//   blob        lower-case hexadecimal
//   composite   the parts in the primary key's order, joined by ':'
//
// Not for: finding out which columns are the key (sqlite-mapping.ts).
import { parseInt64 } from '../base/bytes.ts'
import { TidemarkError } from '../base/errors.ts'
import type { SqlValue } from './row-value.ts'
import type { ColumnDescription, RowId } from './source.ts'

/** The values of the key columns that `id` spells; throws ROW_KEY_INVALID when it is not the one spelling of any. */
export function parseRowId(keyspace: string, key: readonly ColumnDescription[], id: RowId): SqlValue[] {
  const composite = key.length > 1
  const parts = composite ? id.split(':') : [id]
  const values: SqlValue[] = []
  if (parts.length === key.length) {
    for (const [i, part] of parts.entries()) {
      const value = parsePart(key[i]!, part, composite)
      if (value === undefined) break
      values.push(value)
    }
  }
  if (values.length === key.length) return values
  throw new TidemarkError(
    'ROW_KEY_INVALID',
    `${JSON.stringify(`${keyspace}:${id.slice(0, 80)}`)} is no key of keyspace ${keyspace}: expected ` +
      `${keyspace}:${rowIdShape(key)}`,
  )
}

/** The id of a row with these key values, or undefined when no id can spell them. */
export function formatRowId(key: readonly ColumnDescription[], values: readonly SqlValue[]): RowId | undefined {
  const composite = key.length > 1
  const parts: string[] = []
  for (const [i, column] of key.entries()) {
    const part = formatPart(column, values[i]!, composite)
    if (part === undefined) return undefined
    parts.push(part)
  }
  return parts.join(':')
}

/** For error messages and documents: `<country: text>:<id: integer>` and how each kind is spelt. */
export function rowIdShape(key: readonly ColumnDescription[]): string {
  const kinds = new Set(key.map(column => column.type))
  const rules: string[] = []
  if (kinds.has('integer')) rules.push('an integer is 64-bit, in digits, without leading zeros or +')
  if (kinds.has('text')) {
    rules.push(`text is UTF-8 without NUL${key.length > 1 ? ", with '%' as %25 and ':' as %3A" : ''}`)
  }
  if (kinds.has('blob')) rules.push('a blob is lower-case hexadecimal')
  return `${key.map(column => `<${column.name}: ${column.type}>`).join(':')} (${rules.join('; ')})`
}

function parsePart(column: ColumnDescription, part: string, composite: boolean): SqlValue | undefined {
  if (column.type === 'integer') {
    // Beyond ASCII the byte length differs from the text's; neither is a number.
    return /^-?[0-9]{1,19}$/.test(part) ? parseInt64(Buffer.from(part, 'latin1'), 0, part.length) : undefined
  }
  if (column.type === 'blob') return /^(?:[0-9a-f]{2})*$/.test(part) ? Buffer.from(part, 'hex') : undefined
  if (part.includes('\0') || !part.isWellFormed()) return undefined
  if (!composite) return part
  if (/%(?!25|3A)/.test(part)) return undefined
  return part.replaceAll('%3A', ':').replaceAll('%25', '%')
}

function formatPart(column: ColumnDescription, value: SqlValue, composite: boolean): string | undefined {
  if (column.type === 'integer') return typeof value === 'bigint' ? value.toString() : undefined
  if (column.type === 'blob') return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : undefined
  if (typeof value !== 'string' || value.includes('\0') || !value.isWellFormed()) return undefined
  return composite ? value.replaceAll('%', '%25').replaceAll(':', '%3A') : value
}
