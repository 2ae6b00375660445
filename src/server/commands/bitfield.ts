// Handlers of BITFIELD and BITFIELD_RO: whole numbers of 1 to 64 bits at any bit of a plain string. In BigInt, so that
// nothing overflows but what is asked to. Not for: single bits (bit-values.ts).
import { parseInt64 } from '../../base/bytes.ts'
import type { ReplyWriter } from '../../wire/reply-writer.ts'
import { changeString, refuseRowBits, stringAt } from './bit-values.ts'
import { CommandError, type Call } from './command.ts'
import { integerAt, syntaxError } from './lookup.ts'

const BAD_OFFSET = 'ERR bit offset is not an integer or out of range'
const BAD_TYPE = 'ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.'
const REDIS_VALUE_BYTES_MAX = 536_870_912n

type Overflow = 'wrap' | 'sat' | 'fail'

interface Field {
  readonly signed: boolean
  readonly bits: number
  readonly offset: number
}

interface Step extends Field {
  readonly kind: 'get' | 'set' | 'incrby'
  readonly operand: bigint
  readonly overflow: Overflow
}

export function bitfield(call: Call): void {
  const steps = parseSteps(call)
  refuseRowBits(call, 1, 'BITFIELD')
  const writes = steps.filter(step => step.kind !== 'get')
  if (writes.length === 0) return replyAll(call.out, run(steps, stringAt(call, 1).value))
  const bytes = Math.max(...writes.map(step => Math.floor((step.offset + step.bits - 1) / 8) + 1))
  let results: readonly (bigint | null)[] = []
  changeString(call, bytes, value => {
    results = run(steps, value)
  })
  replyAll(call.out, results)
}

export function bitfieldReadOnly(call: Call): void {
  const steps = parseSteps(call)
  refuseRowBits(call, 1, 'BITFIELD_RO')
  if (steps.some(step => step.kind !== 'get')) {
    throw new CommandError('ERR BITFIELD_RO only supports the GET subcommand')
  }
  replyAll(call.out, run(steps, stringAt(call, 1).value))
}

function replyAll(out: ReplyWriter, results: readonly (bigint | null)[]): void {
  out.array(results.length)
  for (const result of results) {
    if (result === null) out.nil()
    else out.integer(result)
  }
}

function parseSteps(call: Call): Step[] {
  const steps: Step[] = []
  let overflow: Overflow = 'wrap'
  for (let i = 2; i < call.argc;) {
    const left = call.argc - i - 1
    if (call.is(i, 'OVERFLOW') && left >= 1) {
      overflow = overflowAt(call, i + 1)
      i += 2
      continue
    }
    const kind = kindAt(call, i, left)
    const field = fieldAt(call, i + 1)
    const operand = kind === 'get' ? 0n : integerAt(call, i + 3)
    steps.push({ kind, ...field, operand, overflow })
    i += kind === 'get' ? 3 : 4
  }
  return steps
}

function kindAt(call: Call, i: number, left: number): Step['kind'] {
  if (call.is(i, 'GET') && left >= 2) return 'get'
  if (call.is(i, 'SET') && left >= 3) return 'set'
  if (call.is(i, 'INCRBY') && left >= 3) return 'incrby'
  throw syntaxError()
}

function overflowAt(call: Call, i: number): Overflow {
  if (call.is(i, 'WRAP')) return 'wrap'
  if (call.is(i, 'SAT')) return 'sat'
  if (call.is(i, 'FAIL')) return 'fail'
  throw new CommandError('ERR Invalid OVERFLOW type specified')
}

/** The type in argument i (`u8`, `i64`) and the offset after it (bits, or with `#` in the type's own width). */
function fieldAt(call: Call, i: number): Field {
  const sign = call.buffer[call.start[i]!]
  const signed = sign === 0x69
  const bits = Number(parseInt64(call.buffer, call.start[i]! + 1, call.end[i]!) ?? 0n)
  const known = call.end[i]! > call.start[i]! && (signed || sign === 0x75)
  if (!known || bits < 1 || bits > (signed ? 64 : 63)) throw new CommandError(BAD_TYPE)
  const start = call.start[i + 1]!
  const end = call.end[i + 1]!
  const counted = end > start && call.buffer[start] === 0x23
  const given = parseInt64(call.buffer, counted ? start + 1 : start, end)
  if (given === undefined) throw new CommandError(BAD_OFFSET)
  const offset = counted ? given * BigInt(bits) : given
  if (offset < 0n || offset >> 3n >= REDIS_VALUE_BYTES_MAX) throw new CommandError(BAD_OFFSET)
  return { signed, bits, offset: Number(offset) }
}

/** Does the steps, one after another, to `value`; null: overflowed, and nothing was done. */
function run(steps: readonly Step[], value: Buffer): (bigint | null)[] {
  return steps.map(step => {
    const old = readField(value, step)
    if (step.kind === 'get') return old
    const wanted = step.kind === 'set' ? operandOf(step) : old + step.operand
    const fitted = fit(step, wanted)
    if (fitted === undefined) return null
    writeField(value, step, fitted)
    return step.kind === 'set' ? old : fitted
  })
}

/** What SET is given; for an unsigned field a negative number is the 64 bits that it has. */
function operandOf(step: Step): bigint {
  return step.signed ? step.operand : BigInt.asUintN(64, step.operand)
}

function fit({ kind, signed, bits, overflow }: Step, n: bigint): bigint | undefined {
  const max = signed ? 2n ** BigInt(bits - 1) - 1n : 2n ** BigInt(bits) - 1n
  const min = signed ? -max - 1n : 0n
  if (n >= min && n <= max) return n
  if (overflow === 'fail') return undefined
  if (overflow === 'sat') return n > max || isFarBelow(kind, signed, bits, max - n) ? max : min
  return signed ? BigInt.asIntN(bits, n) : BigInt.asUintN(bits, n)
}

/** Redis reckons in 64 bits how far a number to SET is below the maximum: what they cannot hold counts as above it. */
function isFarBelow(kind: Step['kind'], signed: boolean, bits: number, below: bigint): boolean {
  return kind === 'set' && signed && bits < 64 && BigInt.asIntN(64, below) < 0n
}

/** The bytes that a field touches, as one number, and how far its lowest bit stands above that number's. */
function windowOf({ offset, bits }: Field): { first: number; last: number; shift: bigint } {
  const first = Math.floor(offset / 8)
  const last = Math.floor((offset + bits - 1) / 8)
  return { first, last, shift: BigInt((last + 1) * 8 - offset - bits) }
}

function readWindow(value: Buffer, first: number, last: number): bigint {
  let n = 0n
  for (let i = first; i <= last; i++) n = (n << 8n) | BigInt(value[i] ?? 0)
  return n
}

function readField(value: Buffer, field: Field): bigint {
  const { first, last, shift } = windowOf(field)
  const n = readWindow(value, first, last) >> shift
  return field.signed ? BigInt.asIntN(field.bits, n) : BigInt.asUintN(field.bits, n)
}

function writeField(value: Buffer, field: Field, n: bigint): void {
  const { first, last, shift } = windowOf(field)
  const mask = (2n ** BigInt(field.bits) - 1n) << shift
  let window = (readWindow(value, first, last) & ~mask) | ((n << shift) & mask)
  for (let i = last; i >= first; i--) {
    value[i] = Number(window & 0xffn)
    window >>= 8n
  }
}
