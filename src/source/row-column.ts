// One column of a row in memory, found where it lies: the row's JSON text (row-json.ts) is walked in the store's own bytes, without a
// copy of it and without strings. For the ordinary: a name and a value that are spelt in JSON as they are. Everything else
// is told apart here, and left to rowField.
//
// The store is read without a lock, so a writer may change these bytes meanwhile. What comes back means nothing then, and the caller
// finds that out afterwards; but nothing outside of [start, end) is read, and every walk ends.
// Hot path: no allocation.

const BLANK = 0x20
const QUOTE = 0x22
const BACKSLASH = 0x5c
const BRACE_OPEN = 0x7b
const BRACE_CLOSE = 0x7d
const COMMA = 0x2c

/**
 * Where the value of the column name[nameStart, nameEnd) begins in the row at [start, end) of `json`, which has bytes up to
 * `end` at least; -1 when there is no such column or its name is spelt with escapes.
 */
export function findRowValue(
  json: DataView,
  start: number,
  end: number,
  name: Uint8Array,
  nameStart: number,
  nameEnd: number,
): number {
  const length = nameEnd - nameStart
  let at = start + 1
  while (at < end && json.getUint8(at) === QUOTE) {
    if (at + length + 3 < end && json.getUint8(at + 1 + length) === QUOTE) {
      let same = 0
      while (same < length && isSame(json.getUint8(at + 1 + same), name[nameStart + same]!)) same++
      if (same === length) return at + length + 3
    }
    const nameStop = skipString(json, at, end)
    at = skipValue(json, nameStop + 1, end) + 1
  }
  return -1
}

// A quote or a backslash that is in the name itself is spelt otherwise in JSON.
function isSame(stored: number, wanted: number): boolean {
  return stored === wanted && wanted !== QUOTE && wanted !== BACKSLASH
}

/**
 * Where the value at `at`, found by findRowValue, ends when it is a number, null, or a string without escapes, whose bytes are
 * then those between its quotes; else -1.
 */
export function plainValueEnd(json: DataView, at: number, end: number): number {
  const first = json.getUint8(at)
  if (first === BRACE_OPEN || first === BLANK) return -1
  if (first !== QUOTE) return skipValue(json, at, end)
  const i = quoteOrBackslash(json, at + 1, end)
  return i < end && json.getUint8(i) === QUOTE ? i + 1 : -1
}

/** The position of the next quote or backslash, or `end`; four bytes at a time. */
function quoteOrBackslash(json: DataView, at: number, end: number): number {
  for (; at + 4 <= end; at += 4) {
    const quotes = json.getInt32(at, true) ^ 0x22222222
    const slashes = quotes ^ 0x7e7e7e7e
    // A byte that is zero borrows from its highest bit.
    if (((((quotes - 0x01010101) & ~quotes) | ((slashes - 0x01010101) & ~slashes)) & 0x80808080) !== 0) break
  }
  while (at < end) {
    const byte = json.getUint8(at)
    if (byte === QUOTE || byte === BACKSLASH) break
    at++
  }
  return at
}

/** The position after the string that opens at `at`. */
function skipString(json: DataView, at: number, end: number): number {
  let i = quoteOrBackslash(json, at + 1, end)
  while (i < end && json.getUint8(i) !== QUOTE) i = quoteOrBackslash(json, i + 2, end)
  return i + 1
}

/** The position after the value at `at`: of a string, of bytes, of {"base64":"..."}, or up to the next comma or brace. */
function skipValue(json: DataView, at: number, end: number): number {
  if (at >= end) return end
  const first = json.getUint8(at)
  if (first === QUOTE) return skipString(json, at, end)
  if (first === BRACE_OPEN) return skipString(json, skipString(json, at + 1, end) + 1, end) + 1
  if (first === BLANK) return skipString(json, at + 1, end)
  while (at < end) {
    const byte = json.getUint8(at)
    if (byte === COMMA || byte === BRACE_CLOSE) break
    at++
  }
  return at
}
