// SQLite's errors in Tidemark's words. https://www.sqlite.org/rescode.html
import { messageOf, TidemarkError } from '../base/errors.ts'
import type { TableMapping } from './sqlite-mapping.ts'

const BUSY = 5
const LOCKED = 6
const READONLY = 8
const CANTOPEN = 14
const TOOBIG = 18
const CONSTRAINT = 19
const MISMATCH = 20
const CONSTRAINT_FOREIGNKEY = 787

/** SQLite's extended result code, or 0 when `thrown` is no error of SQLite's. */
function resultCode(thrown: unknown): number {
  if (!(thrown instanceof Error) || !('errcode' in thrown)) return 0
  return typeof thrown.errcode === 'number' ? thrown.errcode : 0
}

export function isSqliteError(thrown: unknown): boolean {
  return resultCode(thrown) !== 0
}

/** Someone else holds a lock: the same call may succeed later. */
export function isBusy(thrown: unknown): boolean {
  const primary = resultCode(thrown) & 0xff
  return primary === BUSY || primary === LOCKED
}

export function isReadOnly(thrown: unknown): boolean {
  return (resultCode(thrown) & 0xff) === READONLY
}

export function isConstraint(thrown: unknown): boolean {
  return (resultCode(thrown) & 0xff) === CONSTRAINT
}

/** The error to reject a call with. `mapping` is the table written, where it is known. */
export function refusal(thrown: unknown, file: string, mapping?: TableMapping): TidemarkError {
  if (thrown instanceof TidemarkError) return thrown
  const code = resultCode(thrown)
  const primary = code & 0xff
  const text = messageOf(thrown)
  const options = { cause: thrown }
  if (primary === CONSTRAINT || primary === MISMATCH || primary === TOOBIG) {
    const where = mapping === undefined ? '' : `table ${mapping.table}: `
    const keys = code === CONSTRAINT_FOREIGNKEY && mapping !== undefined ? mapping.foreignKeys : []
    const which = keys.length > 0 ? ` (${keys.join('; ')}, or a row elsewhere that refers to this one)` : ''
    return new TidemarkError('ROW_INVALID', `${where}${text}${which}`, options)
  }
  if (primary === CANTOPEN) return new TidemarkError('SOURCE_UNAVAILABLE', `cannot open ${file}: ${text}`, options)
  return new TidemarkError(
    'SOURCE_FAILED',
    `${file}: ${text}${code === 0 ? '' : ` (SQLite result code ${code})`}`,
    options,
  )
}
