// Postgres' errors, and those of the way to it, in Tidemark's words.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
import { messageOf, TidemarkError, type ErrorCode } from '../base/errors.ts'

export const SQLSTATE = {
  objectInUse: '55006',
  notInPrerequisiteState: '55000',
  undefinedColumn: '42703',
  undefinedTable: '42P01',
  undefinedObject: '42704',
  duplicateObject: '42710',
  featureNotSupported: '0A000',
  insufficientPrivilege: '42501',
  queryCanceled: '57014',
  lockNotAvailable: '55P03',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  uniqueViolation: '23505',
  raiseException: 'P0001',
  readOnlyTransaction: '25006',
} as const

/** Postgres' five letters, or '' when `thrown` is no error of its. */
export function sqlState(thrown: unknown): string {
  if (!(thrown instanceof Error) || !('code' in thrown) || !('severity' in thrown)) return ''
  return typeof thrown.code === 'string' ? thrown.code : ''
}

/** Nothing was changed, and the same call may succeed at once. */
export function isRetriable(thrown: unknown): boolean {
  const state = sqlState(thrown)
  return state === SQLSTATE.serializationFailure || state === SQLSTATE.deadlockDetected
}

/** The server is being stopped, or is not up yet, or someone ended the connection. */
export function isShutdown(thrown: unknown): boolean {
  return sqlState(thrown).startsWith('57P')
}

/** The tables look differently than when the statement was made. */
export function isSchemaMoved(thrown: unknown): boolean {
  const state = sqlState(thrown)
  if (state === SQLSTATE.featureNotSupported) return messageOf(thrown).includes('cached plan')
  return state === SQLSTATE.undefinedColumn || state === SQLSTATE.undefinedTable
}

// Client-side errors of pg, which have no code: their messages.
function isClientTimeout(thrown: unknown): boolean {
  const message = messageOf(thrown)
  return message === 'Query read timeout' || message === 'timeout expired'
}

function isPoolTimeout(thrown: unknown): boolean {
  return messageOf(thrown) === 'timeout exceeded when trying to connect'
}

/** The error to reject a call with. `doing` says which: after a lost connection nobody knows whether a write took place. */
export function refusal(thrown: unknown, source: string, doing: 'load' | 'write'): TidemarkError {
  if (thrown instanceof TidemarkError) return thrown
  const state = sqlState(thrown)
  const text = messageOf(thrown)
  const make = (code: ErrorCode, message: string): TidemarkError =>
    new TidemarkError(code, `${source}: ${message}`, { cause: thrown })
  if (isPoolTimeout(thrown)) return make('SOURCE_BUSY', 'no connection became free in time; raise connectionsMax')
  if (isClientTimeout(thrown)) return make('SOURCE_TIMEOUT', 'the database did not answer in time')
  if (state === '') {
    if (doing === 'load') return make('SOURCE_UNAVAILABLE', text === '' ? 'the connection was lost' : text)
    return make('SOURCE_TIMEOUT', `the connection was lost while writing, whether it took place is not known: ${text}`)
  }
  if (/^(?:22|23)/.test(state) || state === SQLSTATE.raiseException)
    return make('ROW_INVALID', `${text}${detail(thrown)}`)
  if (state === SQLSTATE.queryCanceled) return make('SOURCE_TIMEOUT', text)
  if (state === SQLSTATE.lockNotAvailable || isRetriable(thrown)) return make('SOURCE_BUSY', text)
  if (isStandby(thrown))
    return make('SOURCE_UNAVAILABLE', 'it is a standby, which is read-only; connect to the primary')
  if (isShutdown(thrown)) {
    return doing === 'write'
      ? make('SOURCE_TIMEOUT', `the connection was ended while writing, whether it took place is not known: ${text}`)
      : make('SOURCE_UNAVAILABLE', text)
  }
  if (/^(?:08|28|53|3D)/.test(state)) return make('SOURCE_UNAVAILABLE', text)
  return make('SOURCE_FAILED', `${text} (SQLSTATE ${state})`)
}

/** An error of connecting, when nothing was sent yet. */
export function unreachable(thrown: unknown, source: string): TidemarkError {
  if (thrown instanceof TidemarkError) return thrown
  if (isPoolTimeout(thrown)) return refusal(thrown, source, 'load')
  const why = isClientTimeout(thrown) ? 'no answer in time' : messageOf(thrown)
  return new TidemarkError('SOURCE_UNAVAILABLE', `${source}: cannot connect: ${why}`, { cause: thrown })
}

function isStandby(thrown: unknown): boolean {
  const state = sqlState(thrown)
  if (state === SQLSTATE.readOnlyTransaction) return true
  return state === SQLSTATE.notInPrerequisiteState && messageOf(thrown).includes('recovery is in progress')
}

function detail(thrown: unknown): string {
  const found = thrown as { readonly detail?: unknown }
  return typeof found.detail === 'string' && found.detail !== '' ? ` (${found.detail})` : ''
}
