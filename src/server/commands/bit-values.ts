// Handlers of the commands on single bits of plain strings. Bit 0 is the highest of the first byte; what lies past a
// value's end is zero. BITFIELD is in bitfield.ts, the commands' table in bitmaps.ts.
import { RecordType } from '../../store/layout.ts'
import { CommandError, type Call } from './command.ts'
import {
  checkKeySize,
  checkValueSize,
  copyFound,
  findLocked,
  hashOf,
  integerAt,
  requireRoom,
  syntaxError,
  take,
  wrongType,
} from './lookup.ts'
import { refuseRowOperation } from './rows.ts'

const BAD_OFFSET = 'ERR bit offset is not an integer or out of range'
const BAD_BIT = 'ERR bit is not an integer or out of range'
/** Redis' own bound on offsets, whatever ours on values is. */
const OFFSET_MAX = 2n ** 32n - 1n

export function refuseRowBits(call: Call, i: number, command: string): void {
  refuseRowOperation(
    call,
    i,
    command,
    'its value is the row as JSON, whose bits mean nothing; keep flags in a column instead',
  )
}

function offsetAt(call: Call, i: number): number {
  const offset = integerAt(call, i, BAD_OFFSET)
  if (offset < 0n || offset > OFFSET_MAX) throw new CommandError(BAD_OFFSET)
  return Number(offset)
}

/** The string of key i for reading; empty when there is none. */
export function stringAt(call: Call, i: number): { exists: boolean; value: Buffer } {
  const { type, value } = take(call, i)
  if (type === RecordType.hash) throw wrongType()
  return { exists: type === RecordType.string, value }
}

/**
 * Key 1's string, with zeros behind it up to `bytes`, changed in place by `change` and stored with the expiry that it had;
 * `change` may run twice. The size was checked by the time that it runs.
 */
export function changeString(call: Call, bytes: number, change: (value: Buffer) => void): void {
  checkKeySize(call.end[1]! - call.start[1]!)
  const { store, buffer, wallMs } = call
  const hash = hashOf(call, 1)
  let length = 0
  const outcome = store.withLock(hash, () => {
    const type = findLocked(call, 1, hash)
    if (type === RecordType.hash) throw wrongType()
    const exists = type === RecordType.string
    length = Math.max(exists ? store.foundValueBytes : 0, bytes)
    checkValueSize(store, length)
    const value = Buffer.alloc(length)
    if (exists) store.copyValue(value, 0)
    const expiresAtMs = exists ? store.foundExpiresAtMs : 0
    change(value)
    const { string } = RecordType
    return store.put(buffer, call.start[1]!, call.end[1]!, hash, string, value, 0, length, expiresAtMs, wallMs)
  })
  requireRoom(store, outcome, length)
}

export function setbit(call: Call): void {
  const offset = offsetAt(call, 2)
  const bit = integerAt(call, 3, BAD_BIT)
  if (bit !== 0n && bit !== 1n) throw new CommandError(BAD_BIT)
  refuseRowBits(call, 1, 'SETBIT')
  const at = Math.floor(offset / 8)
  const mask = 0x80 >>> (offset % 8)
  let old = 0
  changeString(call, at + 1, value => {
    old = (value[at]! & mask) === 0 ? 0 : 1
    value[at] = bit === 1n ? value[at]! | mask : value[at]! & ~mask
  })
  call.out.integer(old)
}

export function getbit(call: Call): void {
  const offset = offsetAt(call, 2)
  refuseRowBits(call, 1, 'GETBIT')
  const { value } = stringAt(call, 1)
  call.out.integer(bitOf(value, offset))
}

function bitOf(value: Uint8Array, offset: number): number {
  return ((value[Math.floor(offset / 8)] ?? 0) >>> (7 - (offset % 8))) & 1
}

/** Whether argument i, the unit of a range, is BIT; absent: BYTE. */
function isBitUnit(call: Call, i: number): boolean {
  if (i >= call.argc || call.is(i, 'BYTE')) return false
  if (call.is(i, 'BIT')) return true
  throw syntaxError()
}

/** The bits [start, end) that a range from..to (inclusive, negative: from the end) means, in a value of so many bytes. */
function bitRange(from: bigint, to: bigint, bytes: number, bits: boolean): { start: number; end: number } {
  const total = BigInt(bits ? bytes * 8 : bytes)
  let start = from < 0n ? from + total : from
  let last = to < 0n ? to + total : to
  if (start < 0n) start = 0n
  if (last < 0n) last = 0n
  if (last >= total) last = total - 1n
  if (start > last) return { start: 0, end: 0 }
  const unit = bits ? 1 : 8
  return { start: Number(start) * unit, end: (Number(last) + 1) * unit }
}

export function bitcount(call: Call): void {
  refuseRowBits(call, 1, 'BITCOUNT')
  const { exists, value } = stringAt(call, 1)
  if (!exists) return call.out.integer(0)
  if (call.argc === 2) return call.out.integer(countBits(value, 0, value.length * 8))
  if (call.argc !== 4 && call.argc !== 5) throw syntaxError()
  const from = integerAt(call, 2)
  const to = integerAt(call, 3)
  // Before the unit is looked at, as in Redis.
  if (from < 0n && to < 0n && from > to) return call.out.integer(0)
  const { start, end } = bitRange(from, to, value.length, isBitUnit(call, 4))
  call.out.integer(countBits(value, start, end))
}

function countBits(value: Uint8Array, start: number, end: number): number {
  let count = 0
  let bit = start
  for (; bit < end && bit % 8 !== 0; bit++) count += bitOf(value, bit)
  for (; bit + 8 <= end; bit += 8) {
    let byte = value[bit / 8]!
    byte -= (byte >>> 1) & 0x55
    byte = (byte & 0x33) + ((byte >>> 2) & 0x33)
    count += (byte + (byte >>> 4)) & 0x0f
  }
  for (; bit < end; bit++) count += bitOf(value, bit)
  return count
}

export function bitpos(call: Call): void {
  const bit = integerAt(call, 2)
  if (bit !== 0n && bit !== 1n) throw new CommandError('ERR The bit argument must be 1 or 0.')
  refuseRowBits(call, 1, 'BITPOS')
  const wanted = Number(bit)
  const { exists, value } = stringAt(call, 1)
  if (!exists) return call.out.integer(wanted === 1 ? -1 : 0)
  if (call.argc > 6) throw syntaxError()
  const from = call.argc > 3 ? integerAt(call, 3) : 0n
  const bits = isBitUnit(call, 5)
  const to = call.argc > 4 ? integerAt(call, 4) : BigInt(value.length - 1)
  const { start, end } = bitRange(from, to, value.length, bits)
  if (start === end) return call.out.integer(-1)
  const found = firstBit(value, start, end, wanted)
  // Without an end the value goes on in zeros.
  call.out.integer(found < end ? found : wanted === 0 && call.argc <= 4 ? value.length * 8 : -1)
}

/** The first bit in [start, end) that is `wanted`, else `end`. */
function firstBit(value: Uint8Array, start: number, end: number, wanted: number): number {
  const other = wanted === 1 ? 0 : 0xff
  let bit = start
  while (bit < end) {
    if (bit % 8 === 0 && bit + 8 <= end && value[bit / 8] === other) bit += 8
    else if (bitOf(value, bit) === wanted) return bit
    else bit++
  }
  return end
}

type Operation = 'AND' | 'OR' | 'XOR' | 'NOT'

function operationAt(call: Call, i: number): Operation {
  for (const operation of ['AND', 'OR', 'XOR', 'NOT'] as const) if (call.is(i, operation)) return operation
  throw syntaxError()
}

export function bitop(call: Call): void {
  const operation = operationAt(call, 1)
  if (operation === 'NOT' && call.argc !== 4) {
    throw new CommandError('ERR BITOP NOT must be called with a single source key.')
  }
  for (let i = 2; i < call.argc; i++) refuseRowBits(call, i, 'BITOP')
  checkKeySize(call.end[2]! - call.start[2]!)
  const { store, buffer, wallMs } = call
  const start = call.start[2]!
  const end = call.end[2]!
  const hashes: number[] = []
  for (let i = 2; i < call.argc; i++) hashes.push(hashOf(call, i))
  let bytes = 0
  const outcome = store.withLocks(hashes, () => {
    const sources: Buffer[] = []
    for (let i = 3; i < call.argc; i++) {
      const type = findLocked(call, i, hashes[i - 2]!)
      if (type === RecordType.hash) throw wrongType()
      sources.push(type === RecordType.string ? copyFound(store) : Buffer.alloc(0))
    }
    const result = combine(operation, sources)
    bytes = result.length
    if (bytes > 0) return store.put(buffer, start, end, hashes[0]!, RecordType.string, result, 0, bytes, 0, wallMs)
    store.remove(buffer, start, end, hashes[0]!)
    return 'stored'
  })
  requireRoom(store, outcome, bytes)
  call.out.integer(bytes)
}

/** As long as the longest source; shorter ones go on in zeros. */
function combine(operation: Operation, sources: readonly Buffer[]): Buffer {
  const [first = Buffer.alloc(0), ...others] = sources
  const result = Buffer.alloc(Math.max(...sources.map(source => source.length)))
  first.copy(result)
  if (operation === 'NOT') for (let i = 0; i < result.length; i++) result[i] = ~result[i]!
  for (const source of others) {
    for (let i = 0; i < result.length; i++) {
      const byte = source[i] ?? 0
      if (operation === 'AND') result[i] = result[i]! & byte
      else if (operation === 'OR') result[i] = result[i]! | byte
      else result[i] = result[i]! ^ byte
    }
  }
  return result
}
