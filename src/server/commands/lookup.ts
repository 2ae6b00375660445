// How commands look at keys in memory: what kind of record a key is, whether it may be answered from memory at all, and
// copying it out without a lock. The rule of lock-free reading: nothing learnt since `store.find` counts before
// `store.confirm()` says so; if it does not, look again.
// `locate`, `settle` and `replyFound` are on the path of GET, MGET, EXISTS and HGET: they allocate nothing.
import { parseInt64 } from '../../base/bytes.ts'
import { limits } from '../../base/limits.ts'
import { TidemarkError } from '../../base/errors.ts'
import type { Store } from '../../store/store.ts'
import { HEADER_BYTES, RecordType, UNIT_BYTES } from '../../store/layout.ts'
import { CommandError, type Call } from './command.ts'

/** The key is a row's, and memory has nothing of it that may be answered now: the cache is to be asked. */
export const ASK_CACHE = -1

export const NOT_AN_INTEGER = 'ERR value is not an integer or out of range'
export const SYNTAX_ERROR = 'ERR syntax error'
export const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value'

export function wrongType(): CommandError {
  return new CommandError(WRONG_TYPE)
}

export function syntaxError(): CommandError {
  return new CommandError(SYNTAX_ERROR)
}

/** Argument i as a signed 64-bit number; `error` is the reply when it is none. */
export function integerAt(call: Call, i: number, error: string = NOT_AN_INTEGER): bigint {
  const n = parseInt64(call.buffer, call.start[i]!, call.end[i]!)
  if (n === undefined) throw new CommandError(error)
  return n
}

/**
 * What memory says of the key in argument i: `none`, `string`, `hash`, `row` or `absentRow`, with the store's cursor on
 * it, or ASK_CACHE. Not to be believed before `store.confirm()`, except ASK_CACHE, which is always a right answer for a
 * row key.
 */
export function locate(call: Call, i: number): number {
  const { store, buffer } = call
  const start = call.start[i]!
  const end = call.end[i]!
  const type = store.find(buffer, start, end, store.hash(buffer, start, end), call.wallMs)
  switch (type) {
    case RecordType.string:
    case RecordType.hash:
      return type
    case RecordType.row:
    case RecordType.absentRow:
      return call.cache.isServable(store) ? type : ASK_CACHE
    case RecordType.none:
      return call.cache.keyspaceOf(buffer, start, end) === undefined ? RecordType.none : ASK_CACHE
    default:
      return ASK_CACHE
  }
}

/** Counts a look-up. That there is no such row counts as a hit when memory could say so. */
export function count(call: Call, type: number): void {
  if (type === RecordType.none || type === ASK_CACHE) call.cache.misses[0]!++
  else call.cache.hits[0]!++
}

/** As `locate`, believable and counted; for commands that need no more than the type or `store.found...`. */
export function settle(call: Call, i: number): number {
  for (;;) {
    const type = locate(call, i)
    if (type !== ASK_CACHE && !call.store.confirm()) continue
    count(call, type)
    return type
  }
}

/** Writes the located value as a bulk string; false when it changed meanwhile, and then nothing is written. */
export function replyFound(call: Call): boolean {
  const { store, out } = call
  const mark = out.length
  const at = out.beginBulk(store.foundValueBytes)
  store.copyValue(out.buffer, at)
  if (store.confirm()) return true
  out.truncate(mark)
  return false
}

/** A copy of the value that the store's cursor is on. Under the key's lock it is right; elsewhere confirm it. */
export function copyFound(store: Store): Buffer {
  const value = Buffer.allocUnsafe(store.foundValueBytes)
  store.copyValue(value, 0)
  return value
}

export interface Taken {
  readonly type: number
  /** Empty for a type without a value. */
  readonly value: Buffer
}

const NOTHING = Buffer.alloc(0)

/** As `settle`, with a copy of the value. */
export function take(call: Call, i: number): Taken {
  for (;;) {
    const type = locate(call, i)
    const valued = type === RecordType.string || type === RecordType.hash || type === RecordType.row
    const value = valued ? copyFound(call.store) : NOTHING
    if (type !== ASK_CACHE && !call.store.confirm()) continue
    count(call, type)
    return { type, value }
  }
}

/** The key of argument i, hashed for the store. */
export function hashOf(call: Call, i: number): number {
  return call.store.hash(call.buffer, call.start[i]!, call.end[i]!)
}

/** `store.find` for the key of argument i; for use under its lock, where the answer is frozen. */
export function findLocked(call: Call, i: number, hash: number): number {
  return call.store.find(call.buffer, call.start[i]!, call.end[i]!, hash, call.wallMs)
}

export function isRowKey(call: Call, i: number): boolean {
  return call.cache.keyspaceOf(call.buffer, call.start[i]!, call.end[i]!) !== undefined
}

/** True when any of the arguments from `first` on, `step` apart, is a row key. */
export function anyRowKey(call: Call, first: number, step: number): boolean {
  for (let i = first; i < call.argc; i += step) if (isRowKey(call, i)) return true
  return false
}

export function checkKeySize(bytes: number): void {
  if (bytes > limits.keyBytesMax) {
    throw new TidemarkError(
      'VALUE_TOO_LARGE',
      `a key of ${bytes} bytes: keys may have up to ${limits.keyBytesMax} bytes (keyBytesMax)`,
    )
  }
}

/** Refuses a value that is over its limit, or that this memory could never take. */
export function checkValueSize(store: Store, bytes: number): void {
  if (bytes <= store.valueBytesMax) return
  const whence =
    store.valueBytesMax < limits.valueBytesMax
      ? `with this memory, 1/${limits.recordShareOfMemory} of which one record may take (--memory)`
      : '(valueBytesMax)'
  throw new TidemarkError(
    'VALUE_TOO_LARGE',
    `a value of ${bytes} bytes: values may have up to ${store.valueBytesMax} bytes ${whence}`,
  )
}

/** Refuses a key or a value over its limit before anything is done with it. */
export function checkSizes(call: Call, key: number, value: number): void {
  checkKeySize(call.end[key]! - call.start[key]!)
  checkValueSize(call.store, call.end[value]! - call.start[value]!)
}

/** Whether a plain record is larger than a segment, so that its put begins its change again (see store.withLocks). */
export function isLargeRecord(store: Store, keyBytes: number, valueBytes: number): boolean {
  return HEADER_BYTES + keyBytes + valueBytes > store.geometry.segmentUnits * UNIT_BYTES
}

/** Throws when `outcome` is a put's that did not store its value, of so many bytes; other outcomes are the caller's. */
export function requireRoom(store: Store, outcome: string, valueBytes: number): void {
  if (outcome === 'too-large') checkValueSize(store, valueBytes)
  if (outcome !== 'no-room' && outcome !== 'too-large') return
  throw new TidemarkError(
    'MEMORY_FULL',
    `a value of ${valueBytes} bytes: no room could be made for it in the ${store.geometry.memoryBytes} bytes of memory ` +
      '(--memory)',
  )
}
