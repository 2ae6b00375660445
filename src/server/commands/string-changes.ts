// Handlers of the commands that change a string by what it holds: INCR and its family, APPEND. They keep the key's expiry
// and are not for row keys.
// INCR is on the hot path: no closure, no allocation while the numbers stay below 2^53; past it, BigInt. The old value
// and the new one stand in the unused room behind the reply's end.
import { INT64_MAX, INT64_MIN, parseDecimal, parseInt64, writeDecimal } from '../../base/bytes.ts'
import { addLongDoubles, formatLongDouble, parseLongDouble, type LongDouble } from '../../base/long-double.ts'
import { RecordType } from '../../store/layout.ts'
import type { PutOutcome } from '../../store/store-writer.ts'
import { CommandError, type Call } from './command.ts'
import {
  checkKeySize,
  checkValueSize,
  copyFound,
  findLocked,
  hashOf,
  NOT_AN_INTEGER,
  requireRoom,
  WRONG_TYPE,
  wrongType,
} from './lookup.ts'
import { refuseRowOperation } from './rows.ts'

const NO_BYTES = Buffer.alloc(0)
/** Longest spelling of a signed 64-bit number. */
const NUMBER_BYTES_MAX = 20
/** A record with such a key fits the smallest segment, so that its put never needs more than its own lock. */
const PLAIN_LOCK_KEY_BYTES_MAX = 1024
const OVERFLOW = 'ERR increment or decrement would overflow'

export function incr(call: Call): void {
  add(call, 1, 'INCR')
}

export function decr(call: Call): void {
  add(call, -1, 'DECR')
}

export function incrby(call: Call): void {
  const small = parseDecimal(call.buffer, call.start[2]!, call.end[2]!)
  add(call, Number.isNaN(small) ? parseDelta(call) : small, 'INCRBY')
}

export function decrby(call: Call): void {
  const small = parseDecimal(call.buffer, call.start[2]!, call.end[2]!)
  if (!Number.isNaN(small)) return add(call, -small, 'DECRBY')
  const delta = parseDelta(call)
  if (delta === INT64_MIN) throw new CommandError('ERR decrement would overflow')
  add(call, -delta, 'DECRBY')
}

function parseDelta(call: Call): bigint {
  const delta = parseInt64(call.buffer, call.start[2]!, call.end[2]!)
  if (delta === undefined) throw new CommandError(NOT_AN_INTEGER)
  return delta
}

function add(call: Call, delta: number | bigint, command: string): void {
  refuseRowOperation(call, 1, command, 'set one of its columns instead (HSET)')
  const keyBytes = call.end[1]! - call.start[1]!
  checkKeySize(keyBytes)
  const { store } = call
  const hash = hashOf(call, 1)
  call.out.reserve(2 * NUMBER_BYTES_MAX)
  const outcome =
    keyBytes > PLAIN_LOCK_KEY_BYTES_MAX
      ? store.withLock(hash, () => addLocked(call, hash, delta))
      : addLocking(call, hash, delta)
  requireRoom(store, outcome, NUMBER_BYTES_MAX)
}

function addLocking(call: Call, hash: number, delta: number | bigint): PutOutcome {
  call.store.lock(hash)
  try {
    return addLocked(call, hash, delta)
  } finally {
    call.store.unlock(hash)
  }
}

/** Replies the sum, or what is wrong with the value that is there; nothing for a record that does not fit. */
function addLocked(call: Call, hash: number, delta: number | bigint): PutOutcome {
  const { store, out } = call
  const type = findLocked(call, 1, hash)
  if (type === RecordType.hash) {
    out.error(WRONG_TYPE)
    return 'stored'
  }
  let old: number | bigint | undefined = 0
  let expiresAtMs = 0
  if (type === RecordType.string) {
    old = numberFound(call)
    expiresAtMs = store.foundExpiresAtMs
  }
  if (old === undefined) {
    out.error(NOT_AN_INTEGER)
    return 'stored'
  }
  const sum = sumOf(old, delta)
  if (sum === undefined) {
    out.error(OVERFLOW)
    return 'stored'
  }
  const at = out.length
  const end = typeof sum === 'number' ? writeDecimal(out.buffer, at, sum) : at + out.buffer.write(sum.toString(), at)
  const { buffer, start, end: ends, wallMs } = call
  const { string } = RecordType
  const outcome = store.put(buffer, start[1]!, ends[1]!, hash, string, out.buffer, at, end, expiresAtMs, wallMs)
  if (outcome === 'stored') out.integer(sum)
  return outcome
}

function numberFound(call: Call): number | bigint | undefined {
  const { store, out } = call
  const bytes = store.foundValueBytes
  if (bytes > NUMBER_BYTES_MAX) return undefined
  store.copyValue(out.buffer, out.length)
  const small = parseDecimal(out.buffer, out.length, out.length + bytes)
  return Number.isNaN(small) ? parseInt64(out.buffer, out.length, out.length + bytes) : small
}

/** The sum, exactly, or undefined when it does not fit 64 bits. */
function sumOf(a: number | bigint, b: number | bigint): number | bigint | undefined {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b
    if (Number.isSafeInteger(sum)) return sum
  }
  const sum = BigInt(a) + BigInt(b)
  return sum >= INT64_MIN && sum <= INT64_MAX ? sum : undefined
}

export const NOT_A_FLOAT = 'ERR value is not a valid float'
export const NOT_FINITE = 'ERR increment would produce NaN or Infinity'

/** Argument i as a number of INCRBYFLOAT. */
export function floatAt(call: Call, i: number): LongDouble {
  const number = parseLongDouble(call.buffer.toString('latin1', call.start[i], call.end[i]))
  if (number === undefined) throw new CommandError(NOT_A_FLOAT)
  return number
}

export function incrbyfloat(call: Call): void {
  refuseRowOperation(call, 1, 'INCRBYFLOAT', 'add to one of its columns instead (HINCRBYFLOAT)')
  checkKeySize(call.end[1]! - call.start[1]!)
  const { store, buffer, wallMs } = call
  const hash = hashOf(call, 1)
  let sum = NO_BYTES
  const outcome = store.withLock(hash, () => {
    const type = findLocked(call, 1, hash)
    if (type === RecordType.hash) throw wrongType()
    const exists = type === RecordType.string
    const old = parseLongDouble(exists ? copyFound(store).toString('latin1') : '0')
    if (old === undefined) throw new CommandError(NOT_A_FLOAT)
    const result = addLongDoubles(old, floatAt(call, 2))
    if (result === undefined) throw new CommandError(NOT_FINITE)
    sum = Buffer.from(formatLongDouble(result))
    const expiresAtMs = exists ? store.foundExpiresAtMs : 0
    const { string } = RecordType
    return store.put(buffer, call.start[1]!, call.end[1]!, hash, string, sum, 0, sum.length, expiresAtMs, wallMs)
  })
  requireRoom(store, outcome, sum.length)
  call.out.bulk(sum)
}

export function append(call: Call): void {
  refuseRowOperation(call, 1, 'APPEND', 'its value is the row as JSON; set one of its columns instead (HSET)')
  checkKeySize(call.end[1]! - call.start[1]!)
  const { store, buffer } = call
  const start = call.start[1]!
  const end = call.end[1]!
  const hash = hashOf(call, 1)
  const tail = buffer.subarray(call.start[2], call.end[2])
  let bytes = 0
  const outcome = store.withLock(hash, () => {
    const type = findLocked(call, 1, hash)
    if (type === RecordType.hash) return 'wrong-type'
    const exists = type === RecordType.string
    bytes = tail.length + (exists ? store.foundValueBytes : 0)
    checkValueSize(store, bytes)
    const expiresAtMs = exists ? store.foundExpiresAtMs : 0
    const value = exists ? Buffer.concat([copyFound(store), tail]) : tail
    return store.put(buffer, start, end, hash, RecordType.string, value, 0, bytes, expiresAtMs, call.wallMs)
  })
  if (outcome === 'wrong-type') throw wrongType()
  requireRoom(store, outcome, bytes)
  call.out.integer(bytes)
}
