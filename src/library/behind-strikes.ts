// Which writes may be at fault themselves when the source refuses them, and how often that was shown. A strike counts when the
// source says that it is the row, or when it has taken other writes since the one before: an outage, however long, counts
// nothing.
// Not for: what is done about it (behind-sender.ts).
import { TidemarkError, type ErrorCode } from '../base/errors.ts'

/** They are about the row: the source is well, and would say the same again. */
const refusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ROW_INVALID',
  'ROW_KEY_INVALID',
  'ROW_KEY_COLUMN',
  'ROW_OPERATION',
  'VALUE_TOO_LARGE',
  'VALUE_INVALID',
])
/** They are about the source: none of the writes is at fault. */
const outages: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SOURCE_UNAVAILABLE',
  'SOURCE_BUSY',
  'SOURCE_OVERLOADED',
  'SHUTTING_DOWN',
])

function isOf(codes: ReadonlySet<ErrorCode>, error: unknown): boolean {
  return error instanceof TidemarkError && codes.has(error.code)
}

/** Whether the error says that one of the writes is at fault. */
export function isRefusal(error: unknown): boolean {
  return isOf(refusals, error)
}

/** Whether it says that the source is. */
export function isOutage(error: unknown): boolean {
  return isOf(outages, error)
}

/** Whether parts of what was refused may be taken, so that it is worth trying. One that takes long is not tried again at once. */
export function isWorthHalving(error: unknown): boolean {
  return !isOutage(error) && !(error instanceof TidemarkError && error.code === 'SOURCE_TIMEOUT')
}

interface Strikes {
  count: number
  /** How many writes the source had taken by then. */
  taken: number
}

export class BehindStrikes {
  readonly #keys = new Map<string, Strikes>()
  #taken = 0

  /** Whether a write of the key failed by itself, and none has been taken since. */
  has(key: string): boolean {
    return this.#keys.has(key)
  }

  /** The source has taken these. */
  landed(writes: readonly { readonly key: string }[]): void {
    this.#taken += writes.length
    for (const { key } of writes) this.#keys.delete(key)
  }

  /** The write is given up. */
  forget(key: string): void {
    this.#keys.delete(key)
  }

  /** A write of the key failed by itself. Returns its strikes. */
  failed(key: string, error: unknown): number {
    const strikes = this.#keys.get(key) ?? { count: 0, taken: this.#taken }
    this.#keys.set(key, strikes)
    if (isRefusal(error) || strikes.taken < this.#taken) strikes.count++
    strikes.taken = this.#taken
    return strikes.count
  }
}
