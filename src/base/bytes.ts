// Bytes without strings: comparing, parsing and printing numbers in place, on the hot path. Text conversions for
// everywhere else are Buffer's own.

const ZERO = 0x30
const MINUS = 0x2d

type CopyBytes = (this: Uint8Array, target: Buffer, targetStart: number, start: number, end: number) => number
/** Buffer's copy takes any bytes as its source; only its declared type does not. The global name costs a look-up each time. */
export const copyBytes: CopyBytes = (Buffer.prototype as { copy: CopyBytes }).copy

/** True when a[aStart, aEnd) and b[bStart, bEnd) hold the same bytes. */
export function bytesEqual(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): boolean {
  const length = aEnd - aStart
  if (length !== bEnd - bStart) return false
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false
  return true
}

/** A number of decimal digits in [1, 16] for a whole `n` in [0, 2^53). */
export function decimalDigits(n: number): number {
  let digits = 1
  for (let power = 10; n >= power; power *= 10) digits++
  return digits
}

/** Writes a whole `n`, |n| < 2^53, in decimal at `at`; returns the position after its last byte. */
export function writeDecimal(out: Uint8Array, at: number, n: number): number {
  if (n < 0) {
    out[at++] = MINUS
    n = -n
  }
  const end = at + decimalDigits(n)
  let i = end
  while (n > 0x7fffffff) {
    const rest = Math.floor(n / 10)
    out[--i] = ZERO + (n - rest * 10)
    n = rest
  }
  do {
    const rest = (n / 10) | 0
    out[--i] = ZERO + (n - rest * 10)
    n = rest
  } while (i > at)
  return end
}

/**
 * The whole number that bytes[start, end) spell in decimal, as strictly as Redis does (no sign but '-', no leading
 * zero, no blanks), or NaN when they spell none or one outside |n| < 2^53 (see parseInt64 for those).
 */
export function parseDecimal(bytes: Uint8Array, start: number, end: number): number {
  let i = start
  if (i >= end) return NaN
  const negative = bytes[i] === MINUS
  if (negative) i++
  const digits = end - i
  if (digits === 0 || digits > 16) return NaN
  if (bytes[i] === ZERO) return digits === 1 && !negative ? 0 : NaN
  let n = 0
  for (; i < end; i++) {
    const digit = bytes[i]! - ZERO
    if (digit < 0 || digit > 9) return NaN
    n = n * 10 + digit
  }
  if (n > Number.MAX_SAFE_INTEGER) return NaN
  return negative ? -n : n
}

export const INT64_MIN: bigint = -(2n ** 63n)
export const INT64_MAX: bigint = 2n ** 63n - 1n

/** As parseDecimal, over the whole signed 64-bit range; undefined when the bytes spell no such number. */
export function parseInt64(bytes: Uint8Array, start: number, end: number): bigint | undefined {
  const small = parseDecimal(bytes, start, end)
  if (!Number.isNaN(small)) return BigInt(small)
  const first = bytes[start] === MINUS ? start + 1 : start
  if (end - first < 16 || end - first > 19 || bytes[first] === ZERO) return undefined
  let n = 0n
  for (let i = first; i < end; i++) {
    const digit = bytes[i]! - ZERO
    if (digit < 0 || digit > 9) return undefined
    n = n * 10n + BigInt(digit)
  }
  if (first !== start) n = -n
  return n >= INT64_MIN && n <= INT64_MAX ? n : undefined
}
