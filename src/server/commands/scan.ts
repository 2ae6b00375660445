// Handlers of SCAN and KEYS. Both see memory only: a row that was never read is not in it.
import { globMatches } from '../../base/glob.ts'
import { parseDecimal } from '../../base/bytes.ts'
import { CommandError, type Call } from './command.ts'
import { typeName } from './keys.ts'
import { NOT_AN_INTEGER, syntaxError } from './lookup.ts'

export const COUNT_DEFAULT = 10
/** KEYS looks at so many records between two looks at its own bookkeeping. */
const KEYS_STEP = 4096
const CURSOR_MAX = 2n ** 64n - 1n

/**
 * The cursor of argument i, as C's strtoul reads it: up to a NUL, with a sign; NaN for one that was never given out and
 * stands behind everything.
 */
export function parseCursor(call: Call, i: number): number {
  const text = call.text(i).split('\0', 1)[0]!
  if (text === '') return 0
  const digits = text.replace(/^[+-]/, '')
  const magnitude = /^\d+$/.test(digits) ? BigInt(digits) : undefined
  if (magnitude === undefined || magnitude > CURSOR_MAX) throw new CommandError('ERR invalid cursor')
  const cursor = Number(BigInt.asUintN(64, text.startsWith('-') ? -magnitude : magnitude))
  return Number.isSafeInteger(cursor) ? cursor : NaN
}

export function parseCount(call: Call, i: number): number {
  const count = parseDecimal(call.buffer, call.start[i]!, call.end[i]!)
  if (Number.isNaN(count)) throw new CommandError(NOT_AN_INTEGER)
  if (count < 1) throw syntaxError()
  return count
}

export function scan(call: Call): void {
  const cursor = parseCursor(call, 1)
  let count = COUNT_DEFAULT
  let pattern: Buffer | undefined
  let wanted = ''
  for (let i = 2; i < call.argc; i += 2) {
    if (i + 1 === call.argc) throw syntaxError()
    if (call.is(i, 'COUNT')) count = parseCount(call, i + 1)
    else if (call.is(i, 'MATCH')) pattern = patternOf(call, i + 1)
    else if (call.is(i, 'TYPE')) wanted = call.text(i + 1).toLowerCase()
    else throw syntaxError()
  }
  const keys: Buffer[] = []
  const visit = (key: Buffer, type: number): void => {
    const name = typeName(type)
    if (name === 'none' || (wanted !== '' && name !== wanted)) return
    if (pattern === undefined || globMatches(pattern, key)) keys.push(Buffer.from(key))
  }
  const next = Number.isNaN(cursor) ? 0 : call.store.scan(cursor, count, call.wallMs, visit)
  const { out } = call
  out.array(2)
  out.text(String(next))
  out.array(keys.length)
  for (const key of keys) out.bulk(key)
}

/** undefined for the pattern that matches everything, the empty key included. */
export function patternOf(call: Call, i: number): Buffer | undefined {
  const pattern = call.bytes(i)
  return pattern.length === 1 && pattern[0] === 0x2a ? undefined : pattern
}

export function keys(call: Call): void {
  const pattern = patternOf(call, 1)
  // Another thread's write in the middle may show a key to the scan twice.
  const found = new Map<string, Buffer>()
  const visit = (key: Buffer, type: number): void => {
    if (typeName(type) === 'none') return
    if (pattern === undefined || globMatches(pattern, key)) found.set(key.toString('latin1'), Buffer.from(key))
  }
  let cursor = 0
  do cursor = call.store.scan(cursor, KEYS_STEP, call.wallMs, visit)
  while (cursor !== 0)
  call.out.array(found.size)
  for (const key of found.values()) call.out.bulk(key)
}
