// Numbers as INCRBYFLOAT and HINCRBYFLOAT count them: the 80-bit "long double" of x86 (a mantissa of 64 bits, rounded half
// to even), which is what Redis uses there, in BigInt. A double would answer 5.7000000000000002 where Redis answers 5.7.
// Parsing is that of C's strtold, printing that of printf's %.17Lf without trailing zeros.
// Not for: anything fast, or anything that the database counts.
import { assert } from './assert.ts'

const MANTISSA_BITS = 64
/** Of the last bit of the smallest number. */
const EXPONENT_MIN = -16_445
/** Numbers are below two to this. */
const EXPONENT_MAX = 16_384
const DECIMALS = 17
/** Redis takes no longer text for a number. */
const TEXT_LENGTH_MAX = 5_119
/** Numbers from 10 to this on are infinite, and such small ones are nothing. */
const DECIMAL_EXPONENT_MAX = 5_000

/** mantissa * 2 ** exponent; an infinite one has an infinite exponent. */
export interface LongDouble {
  readonly mantissa: bigint
  readonly exponent: number
}

const ZERO: LongDouble = { mantissa: 0n, exponent: 0 }

function bitLength(n: bigint): number {
  return n === 0n ? 0 : n.toString(2).length
}

/** n / d as a whole number, halves to the even one; n is not negative. */
function divideRounding(n: bigint, d: bigint): bigint {
  const quotient = n / d
  const rest = 2n * (n - quotient * d)
  if (rest > d || (rest === d && (quotient & 1n) === 1n)) return quotient + 1n
  return quotient
}

/** (negative ? -1 : 1) * n / d * 2 ** exponent, rounded to what a long double can hold. */
function rounded(negative: boolean, n: bigint, d: bigint, exponent: number): LongDouble {
  if (n === 0n) return ZERO
  // So that the quotient has as many bits as a mantissa, or one more or less; then once more for exactly as many.
  let shift = MANTISSA_BITS - (bitLength(n) - bitLength(d))
  for (;;) {
    if (exponent - shift < EXPONENT_MIN) shift = exponent - EXPONENT_MIN
    const up = shift > 0 ? n << BigInt(shift) : n
    const down = shift < 0 ? d << BigInt(-shift) : d
    if (bitLength(up / down) > MANTISSA_BITS) {
      shift--
      continue
    }
    const mantissa = divideRounding(up, down)
    const at = exponent - shift
    if (bitLength(mantissa) + at > EXPONENT_MAX) return { mantissa: negative ? -1n : 1n, exponent: Infinity }
    return { mantissa: negative ? -mantissa : mantissa, exponent: at }
  }
}

/** The number that the whole of `text` spells, or undefined. `inf` is one. */
export function parseLongDouble(text: string): LongDouble | undefined {
  if (text.length > TEXT_LENGTH_MAX) return undefined
  const special = /^([+-]?)inf(?:inity)?$/i.exec(text)
  if (special !== null) return { mantissa: special[1] === '-' ? -1n : 1n, exponent: Infinity }
  const value = parseDecimalText(text) ?? parseHexadecimalText(text)
  // A finite text that is too large for a long double is refused, as one that is too small is.
  return value === undefined || value.exponent === Infinity ? undefined : value
}

function parseDecimalText(text: string): LongDouble | undefined {
  const parts = /^([+-]?)(?:(\d+)\.?(\d*)|\.(\d+))(?:e([+-]?\d+))?$/i.exec(text)
  if (parts === null) return undefined
  const fraction = parts[3] ?? parts[4] ?? ''
  const digits = BigInt((parts[2] ?? '') + fraction)
  if (digits === 0n) return ZERO
  const exponent = Number(parts[5] ?? 0) - fraction.length
  const negative = parts[1] === '-'
  const magnitude = exponent + digits.toString().length
  if (magnitude > DECIMAL_EXPONENT_MAX || magnitude < -DECIMAL_EXPONENT_MAX) return undefined
  const scale = 10n ** BigInt(Math.abs(exponent))
  return nonzero(exponent >= 0 ? rounded(negative, digits * scale, 1n, 0) : rounded(negative, digits, scale, 0))
}

function parseHexadecimalText(text: string): LongDouble | undefined {
  const parts = /^([+-]?)0x(?:([\da-f]+)\.?([\da-f]*)|\.([\da-f]+))(?:p([+-]?\d+))?$/i.exec(text)
  if (parts === null) return undefined
  const fraction = parts[3] ?? parts[4] ?? ''
  const digits = BigInt(`0x${parts[2] ?? ''}${fraction}`)
  if (digits === 0n) return ZERO
  const exponent = Number(parts[5] ?? 0) - 4 * fraction.length
  const magnitude = exponent + bitLength(digits)
  if (magnitude > 2 * EXPONENT_MAX || magnitude < -2 * EXPONENT_MAX) return undefined
  return nonzero(rounded(parts[1] === '-', digits, 1n, exponent))
}

function nonzero(value: LongDouble): LongDouble | undefined {
  return value.mantissa === 0n ? undefined : value
}

/** The sum, rounded; undefined when it is infinite or no number at all. */
export function addLongDoubles(a: LongDouble, b: LongDouble): LongDouble | undefined {
  if (a.exponent === Infinity || b.exponent === Infinity) return undefined
  const exponent = Math.min(a.exponent, b.exponent)
  const sum = (a.mantissa << BigInt(a.exponent - exponent)) + (b.mantissa << BigInt(b.exponent - exponent))
  const result = rounded(sum < 0n, sum < 0n ? -sum : sum, 1n, exponent)
  return result.exponent === Infinity ? undefined : result
}

/** The nearest double. */
export function longDoubleToNumber({ mantissa, exponent }: LongDouble): number {
  // In two steps, of which neither leaves the doubles' range before the result does.
  const half = Math.trunc(exponent / 2)
  return mantissa === 0n ? 0 : Number(mantissa) * 2 ** half * 2 ** (exponent - half)
}

/** Up to 17 decimals, no trailing zeros, never an exponent. */
export function formatLongDouble({ mantissa, exponent }: LongDouble): string {
  assert(exponent !== Infinity, 'only a finite number is printed')
  const magnitude = (mantissa < 0n ? -mantissa : mantissa) * 10n ** BigInt(DECIMALS)
  const scaled = exponent >= 0 ? magnitude << BigInt(exponent) : divideRounding(magnitude, 1n << BigInt(-exponent))
  const digits = scaled.toString().padStart(DECIMALS + 1, '0')
  const decimals = digits.slice(-DECIMALS).replace(/0+$/, '')
  const whole = digits.slice(0, -DECIMALS)
  const text = decimals === '' ? whole : `${whole}.${decimals}`
  return mantissa < 0n && text !== '0' ? `-${text}` : text
}
