// Glob patterns over bytes, as Redis' stringmatchlen reads them (KEYS, SCAN MATCH, ACL key patterns):
//   *  any bytes   ?  one byte   [abc] [^abc] [a-z]  one byte of (not of) a set   \x  the byte x itself
// An unclosed set ends with the pattern; `a-]` in a set is a range up to `]`. Only the last star is ever tried again, so
// that a match takes at most pattern x text steps, whatever the pattern. Bytes in ranges count as unsigned (Redis
// compares C chars: the same for ASCII, and otherwise whatever the machine's chars are).
// Not for: case-insensitive matching, or anything that knows of characters.

const STAR = 0x2a
const QUESTION = 0x3f
const OPEN = 0x5b
const BACKSLASH = 0x5c
const CLOSE = 0x5d
const CARET = 0x5e
const DASH = 0x2d

/** The position after the set whose bytes begin at `at`, after `[`. */
function afterSet(pattern: Uint8Array, at: number, end: number): number {
  if (at < end && pattern[at] === CARET) at++
  while (at < end && pattern[at] !== CLOSE) {
    const left = end - at
    if (left >= 2 && pattern[at] === BACKSLASH) at += 2
    else if (left >= 3 && pattern[at + 1] === DASH) at += 3
    else at++
  }
  return at < end ? at + 1 : end
}

function setHolds(pattern: Uint8Array, at: number, end: number, byte: number): boolean {
  const negated = at < end && pattern[at] === CARET
  if (negated) at++
  let holds = false
  while (at < end && pattern[at] !== CLOSE) {
    const left = end - at
    if (left >= 2 && pattern[at] === BACKSLASH) {
      if (pattern[at + 1] === byte) holds = true
      at += 2
    } else if (left >= 3 && pattern[at + 1] === DASH) {
      const from = pattern[at]!
      const to = pattern[at + 2]!
      if (from <= to ? byte >= from && byte <= to : byte >= to && byte <= from) holds = true
      at += 3
    } else {
      if (pattern[at] === byte) holds = true
      at++
    }
  }
  return holds !== negated
}

/** The position after the one-byte element at `at` if it matches `byte`, else -1. */
function afterElement(pattern: Uint8Array, at: number, end: number, byte: number): number {
  switch (pattern[at]) {
    case QUESTION:
      return at + 1
    case OPEN:
      return setHolds(pattern, at + 1, end, byte) ? afterSet(pattern, at + 1, end) : -1
    case BACKSLASH:
      if (end - at >= 2) at++
      break
    default:
      break
  }
  return pattern[at] === byte ? at + 1 : -1
}

/** True when the whole of `text` matches `pattern`. An empty text matches only an empty pattern, as in Redis. */
export function globMatches(pattern: Uint8Array, text: Uint8Array): boolean {
  const patternEnd = pattern.length
  const textEnd = text.length
  if (textEnd === 0) return patternEnd === 0
  let p = 0
  let t = 0
  let afterStar = -1
  let starText = 0
  while (t < textEnd) {
    if (p < patternEnd && pattern[p] === STAR) {
      afterStar = ++p
      starText = t
      if (p === patternEnd) return true
      continue
    }
    const next = p < patternEnd ? afterElement(pattern, p, patternEnd, text[t]!) : -1
    if (next !== -1) {
      p = next
      t++
      continue
    }
    if (afterStar === -1) return false
    p = afterStar
    t = ++starText
  }
  while (p < patternEnd && pattern[p] === STAR) p++
  return p === patternEnd
}
