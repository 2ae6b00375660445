// Handlers of the commands on a part of a string: GETRANGE (SUBSTR) and SETRANGE, and LCS over two strings. Reading works
// on a row's JSON text too; changing a part of it does not make sense.
import { TidemarkError } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import { RecordType } from '../../store/layout.ts'
import type { ReplyWriter } from '../../wire/reply-writer.ts'
import { CommandError, type Call, type Respond } from './command.ts'
import { longestSubsequence, type Subsequence } from './longest-subsequence.ts'
import {
  ASK_CACHE,
  checkKeySize,
  checkValueSize,
  findLocked,
  hashOf,
  integerAt,
  requireRoom,
  syntaxError,
  take,
  WRONG_TYPE,
  wrongType,
} from './lookup.ts'
import { refuseRowOperation, readRow, rowKey } from './rows.ts'

const NOTHING = Buffer.alloc(0)
/** Redis' own bound on a string, whatever ours is. */
const REDIS_VALUE_BYTES_MAX = 536_870_912n
const TOO_LONG = 'ERR string exceeds maximum allowed size (proto-max-bulk-len)'

export function getrange(call: Call): void | Promise<Respond> {
  const from = integerAt(call, 2)
  const to = integerAt(call, 3)
  const { type, value } = take(call, 1)
  const reply = (out: ReplyWriter, bytes: Uint8Array): void => {
    const { start, end } = rangeOf(from, to, bytes.length)
    out.bulk(bytes, start, end)
  }
  if (type === RecordType.hash) return call.out.error(WRONG_TYPE)
  if (type === ASK_CACHE) return readRow(call, 1, (out, json) => reply(out, json ?? NOTHING))
  reply(call.out, value)
}

/** The positions [start, end) that Redis' range from..to (inclusive, negative: from the end) means in `length` bytes. */
export function rangeOf(from: bigint, to: bigint, length: number): { start: number; end: number } {
  const total = BigInt(length)
  if (from < 0n && to < 0n && from > to) return { start: 0, end: 0 }
  let start = from < 0n ? from + total : from
  let last = to < 0n ? to + total : to
  if (start < 0n) start = 0n
  if (last < 0n) last = 0n
  if (last >= total) last = total - 1n
  return start > last ? { start: 0, end: 0 } : { start: Number(start), end: Number(last) + 1 }
}

export function setrange(call: Call): void {
  const offset = integerAt(call, 2)
  if (offset < 0n) throw new CommandError('ERR offset is out of range')
  refuseRowOperation(call, 1, 'SETRANGE', 'its value is the row as JSON; set one of its columns instead (HSET)')
  checkKeySize(call.end[1]! - call.start[1]!)
  const { store, buffer, wallMs } = call
  const part = buffer.subarray(call.start[3], call.end[3])
  const hash = hashOf(call, 1)
  let bytes = 0
  const outcome = store.withLock(hash, () => {
    const type = findLocked(call, 1, hash)
    if (type === RecordType.hash) throw wrongType()
    const exists = type === RecordType.string
    bytes = exists ? store.foundValueBytes : 0
    if (part.length === 0) return 'stored'
    if (offset + BigInt(part.length) > REDIS_VALUE_BYTES_MAX) throw new CommandError(TOO_LONG)
    const at = Number(offset)
    const length = Math.max(bytes, at + part.length)
    checkValueSize(store, length)
    const value = Buffer.alloc(length)
    if (exists) store.copyValue(value, 0)
    value.set(part, at)
    bytes = length
    const expiresAtMs = exists ? store.foundExpiresAtMs : 0
    const { string } = RecordType
    return store.put(buffer, call.start[1]!, call.end[1]!, hash, string, value, 0, length, expiresAtMs, wallMs)
  })
  requireRoom(store, outcome, bytes)
  call.out.integer(bytes)
}

interface LcsOptions {
  readonly length: boolean
  readonly indexes: boolean
  readonly matchLengthMin: bigint
  readonly withMatchLengths: boolean
}

function parseLcsOptions(call: Call): LcsOptions {
  let length = false
  let indexes = false
  let withMatchLengths = false
  let matchLengthMin = 0n
  for (let i = 3; i < call.argc; i++) {
    if (call.is(i, 'IDX')) indexes = true
    else if (call.is(i, 'LEN')) length = true
    else if (call.is(i, 'WITHMATCHLEN')) withMatchLengths = true
    else if (call.is(i, 'MINMATCHLEN') && i + 1 < call.argc) matchLengthMin = integerAt(call, ++i)
    else throw syntaxError()
  }
  if (indexes && length) {
    throw new CommandError('ERR If you want both the length and indexes, please just use IDX.')
  }
  return { length, indexes, matchLengthMin, withMatchLengths }
}

export function lcs(call: Call): void | Promise<Respond> {
  const a = take(call, 1)
  const b = take(call, 2)
  if (a.type === RecordType.hash || b.type === RecordType.hash) {
    throw new CommandError('ERR The specified keys must contain string values')
  }
  const options = parseLcsOptions(call)
  if (a.type !== ASK_CACHE && b.type !== ASK_CACHE) return replyLcs(call.out, a.value, b.value, options)
  return lcsAsking(
    call,
    a.type === ASK_CACHE ? undefined : a.value,
    b.type === ASK_CACHE ? undefined : b.value,
    options,
  )
}

async function lcsAsking(
  call: Call,
  a: Buffer | undefined,
  b: Buffer | undefined,
  options: LcsOptions,
): Promise<Respond> {
  const keys: string[] = []
  if (a === undefined) keys.push(rowKey(call, 1))
  if (b === undefined) keys.push(rowKey(call, 2))
  const rows = await call.cache.read(keys)
  const first = a ?? rows.shift() ?? NOTHING
  const second = b ?? rows.shift() ?? NOTHING
  return out => replyLcs(out, first, second, options)
}

function replyLcs(out: ReplyWriter, a: Uint8Array, b: Uint8Array, options: LcsOptions): void {
  if (a.length * b.length > limits.lcsCellsMax) {
    throw new TidemarkError(
      'VALUE_TOO_LARGE',
      `LCS of values of ${a.length} and ${b.length} bytes: it takes time and memory by their product, which may be up to ` +
        `${limits.lcsCellsMax} (lcsCellsMax)`,
    )
  }
  const found = longestSubsequence(a, b)
  if (options.indexes) replyMatches(out, found, options)
  else if (options.length) out.integer(found.bytes.length)
  else out.bulk(found.bytes)
}

function replyMatches(out: ReplyWriter, found: Subsequence, options: LcsOptions): void {
  const matches = found.matches.filter(match => BigInt(match.aEnd - match.aStart) >= options.matchLengthMin)
  out.map(2)
  out.text('matches')
  out.array(matches.length)
  for (const { aStart, aEnd, bStart } of matches) {
    const length = aEnd - aStart
    out.array(options.withMatchLengths ? 3 : 2)
    for (const start of [aStart, bStart]) {
      out.array(2)
      out.integer(start)
      out.integer(start + length - 1)
    }
    if (options.withMatchLengths) out.integer(length)
  }
  out.text('len')
  out.integer(found.bytes.length)
}
