// What a number in one column becomes when something is added to it (HINCRBY, HINCRBYFLOAT): computed on the value's text,
// as those commands do on a plain hash, inside the transaction that then stores it. NULL, or no row, counts as 0.
// Not for: whether the column may be written (sqlite-write.ts).
import { INT64_MAX, INT64_MIN, parseInt64 } from '../base/bytes.ts'
import { TidemarkError } from '../base/errors.ts'
import {
  addLongDoubles,
  formatLongDouble,
  longDoubleToNumber,
  parseLongDouble,
  type LongDouble,
} from '../base/long-double.ts'
import { valueFromBytes, type SqlValue } from './row-value.ts'
import type { ColumnDescription } from './source.ts'

export interface Addition {
  readonly amount: string
  /** `integer`: both are whole and of at most 64 bits; `float`: 64 bits of mantissa, and as a column of reals rounds. */
  readonly as: 'integer' | 'float'
}

/** Throws ROW_INVALID when what is there is no number, or the column does not take the sum. */
export function fieldSum(column: ColumnDescription, before: SqlValue, addition: Addition): SqlValue {
  const old = textOf(before)
  if (addition.as === 'integer') {
    const sum = integerSum(column, old, addition)
    // A column of any type keeps the type that the number had.
    if (column.type === 'any' && !isText(before)) return typeof before === 'number' ? Number(sum) : sum
    return valueFromBytes(column, Buffer.from(sum.toString()))
  }
  const sum = floatSum(column, old, addition)
  // Not by way of the text, which has no more than 17 decimals.
  const real = column.type === 'real' || (column.type === 'any' && !isText(before))
  if (!real) return valueFromBytes(column, Buffer.from(formatLongDouble(sum)))
  const nearest = longDoubleToNumber(sum)
  if (!Number.isFinite(nearest)) throw refused(column, old, `plus ${addition.amount} does not fit a 64-bit float`)
  return nearest
}

function isText(value: SqlValue): boolean {
  return typeof value === 'string' || value instanceof Uint8Array
}

function textOf(value: SqlValue): string {
  if (value === null) return '0'
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
  return String(value)
}

function integerSum(column: ColumnDescription, old: string, { amount }: Addition): bigint {
  const bytes = Buffer.from(old)
  const n = parseInt64(bytes, 0, bytes.length)
  if (n === undefined) throw refused(column, old, 'is not an integer')
  const sum = n + BigInt(amount)
  if (sum > INT64_MAX || sum < INT64_MIN) throw refused(column, old, `plus ${amount} does not fit 64 bits`)
  return sum
}

function floatSum(column: ColumnDescription, old: string, { amount }: Addition): LongDouble {
  const n = parseLongDouble(old)
  if (n === undefined) throw refused(column, old, 'is not a number')
  const sum = addLongDoubles(n, parseLongDouble(amount)!)
  if (sum === undefined) throw refused(column, old, `plus ${amount} is not a finite number`)
  return sum
}

function refused(column: ColumnDescription, old: string, why: string): TidemarkError {
  const shown = old.length <= 40 ? old : `${old.slice(0, 40)}...`
  return new TidemarkError('ROW_INVALID', `column ${JSON.stringify(column.name)}: ${JSON.stringify(shown)} ${why}`)
}
