// Splits a line into arguments by Redis' quoting rules (sdssplitargs), for inline requests and for the command line
// client's prompt: words between blanks; "double quotes" with the escapes \n \r \t \b \a \xHH and \<any>; 'single quotes'
// with \' alone. A closing quote must be followed by a blank or the end of the line.
//
// Arguments are unescaped one after another into a buffer of the caller's, which has to be as long as the line; they
// never get longer than they are written. Nothing is allocated.

const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const BLANK = 0x20
const DOUBLE_QUOTE = 0x22
const SINGLE_QUOTE = 0x27
const BACKSLASH = 0x5c
const LOWER_X = 0x78

/** What `next` returns. */
export const INLINE_END = 0
export const INLINE_ARGUMENT = 1
export const INLINE_UNBALANCED = 2

// C's isspace(): what may stand between arguments. What ends an unquoted argument is fewer (no VT, no FF), as in Redis.
function isSpace(byte: number | undefined): boolean {
  return byte === BLANK || (byte !== undefined && byte >= TAB && byte <= CR)
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1
}

function escaped(byte: number): number {
  if (byte === 0x6e) return LF // \n
  if (byte === 0x72) return CR // \r
  if (byte === 0x74) return TAB // \t
  if (byte === 0x62) return 0x08 // \b
  if (byte === 0x61) return 0x07 // \a
  return byte
}

export class InlineSplitter {
  /** The range of `out` that the latest argument took. */
  start = 0
  end = 0
  #at = 0

  /** Starts with the line at `at`; its arguments go to the front of `out`. */
  begin(at: number): void {
    this.#at = at
    this.start = 0
    this.end = 0
  }

  /** Unescapes the next argument of the line that ends at `lineEnd` to out[start, end). */
  next(line: Uint8Array, lineEnd: number, out: Uint8Array): number {
    this.start = this.end
    while (this.#at < lineEnd && isSpace(line[this.#at])) this.#at++
    if (this.#at >= lineEnd) return INLINE_END
    while (this.#at < lineEnd) {
      const byte = line[this.#at++]!
      if (byte === DOUBLE_QUOTE) return this.#doubleQuoted(line, lineEnd, out)
      if (byte === SINGLE_QUOTE) return this.#singleQuoted(line, lineEnd, out)
      if (byte === BLANK || byte === TAB || byte === CR || byte === LF) break
      out[this.end++] = byte
    }
    return INLINE_ARGUMENT
  }

  #doubleQuoted(line: Uint8Array, lineEnd: number, out: Uint8Array): number {
    while (this.#at < lineEnd) {
      const byte = line[this.#at++]!
      if (byte === DOUBLE_QUOTE) return this.#closed(line, lineEnd)
      if (byte !== BACKSLASH || this.#at >= lineEnd) {
        out[this.end++] = byte
        continue
      }
      const next = line[this.#at++]!
      const high = next === LOWER_X && this.#at + 1 < lineEnd ? hexDigit(line[this.#at]) : -1
      const low = high >= 0 ? hexDigit(line[this.#at + 1]) : -1
      if (low >= 0) this.#at += 2
      out[this.end++] = low >= 0 ? high * 16 + low : escaped(next)
    }
    return INLINE_UNBALANCED
  }

  #singleQuoted(line: Uint8Array, lineEnd: number, out: Uint8Array): number {
    while (this.#at < lineEnd) {
      let byte = line[this.#at++]!
      if (byte === SINGLE_QUOTE) return this.#closed(line, lineEnd)
      if (byte === BACKSLASH && this.#at < lineEnd && line[this.#at] === SINGLE_QUOTE) byte = line[this.#at++]!
      out[this.end++] = byte
    }
    return INLINE_UNBALANCED
  }

  #closed(line: Uint8Array, lineEnd: number): number {
    return this.#at >= lineEnd || isSpace(line[this.#at]) ? INLINE_ARGUMENT : INLINE_UNBALANCED
  }
}
