// Requests of the Redis protocol, parsed where they lie: an argument is a range of the buffer, and no string or object is
// made for a request. Parses RESP arrays of bulk strings and inline lines; says what Redis 7.0 says of malformed ones.
// Not for replies (reply-parser.ts) and not for what a command means (server/commands).
//
//   *2\r\n  $3\r\n  GET\r\n  $5\r\n  a:123\r\n
//   count   length  |  |     length  |    |
//                 start end        start  end
//
// A request may be cut at any byte: parse() then says NEED_MORE and is called again with more bytes and the same request
// start, at whatever offset that has by then. What was parsed of it is kept relative to its start, so a huge request
// is read once, not once a chunk. One parser serves one connection, or all connections of a thread if each cut request is
// finished by a parser of its own (or started anew, after reset()).
//
// As in Redis, the byte after a CR and the two bytes after an argument are skipped unread.
// Hot path: plain loops, no closures, no allocation.
import { assert } from '../base/assert.ts'
import { parseDecimal, parseInt64 } from '../base/bytes.ts'
import { limits } from '../base/limits.ts'
import { INLINE_END, INLINE_UNBALANCED, InlineSplitter } from './inline-splitter.ts'

/** The request is not complete; parse again once there are more bytes. */
export const NEED_MORE = -1
/** The request is malformed; `error` says how. */
export const PROTOCOL_ERROR = -2

const STAR = 0x2a
const DOLLAR = 0x24
const ZERO = 0x30
const CR = 0x0d
const LF = 0x0a

const NO_BYTES = Buffer.alloc(0)
/** Requests of more arguments than this grow the arrays, and reset() gives the memory back. */
const ARGUMENTS_INITIAL = 16
/** Numbers of at most nine digits are read in the fast loop; nine digits cannot overflow 31 bits. */
const FAST_LENGTH_MAX = 99_999_999
/** Of #lineEnd: the line is longer than any count or length. */
const TOO_LONG = -2

export interface RequestParserOptions {
  /** Arguments of one request, the command's name included. */
  readonly argumentsMax?: number
  readonly argumentBytesMax?: number
  /** Bytes of an inline request, or of a line that holds a count or a length. */
  readonly inlineBytesMax?: number
  /** Bytes of one whole request. */
  readonly requestBytesMax?: number
}

export class RequestParser {
  /** Arguments of the request that was parsed; 0 for an empty request, which gets no reply. */
  argc = 0
  /** Argument i is buffer[start[i], end[i]). Both arrays are replaced as they grow: read them after each parse(). */
  start: Int32Array = new Int32Array(ARGUMENTS_INITIAL)
  end: Int32Array = new Int32Array(ARGUMENTS_INITIAL)
  /** Where the arguments lie: the buffer that was given, or for inline requests one of the parser's own. */
  buffer: Buffer = NO_BYTES
  /** After PROTOCOL_ERROR: the error reply's text, in Redis' words. */
  error = ''
  /** After NEED_MORE: parsing again is of no use with fewer bytes than this, counted from the request's start. */
  bytesNeeded = 1
  /** Before a client has authenticated, the much lower bounds of Redis hold: 10 arguments of 16 KiB. */
  authenticated = true

  readonly #argumentsMax: number
  /** The largest count of one digit that is allowed. */
  readonly #fastCountMax: number
  readonly #argumentBytesMax: number
  readonly #inlineBytesMax: number
  readonly #requestBytesMax: number
  readonly #splitter = new InlineSplitter()
  #scratch: Buffer = NO_BYTES

  // Of a cut request, all relative to its start: where the first length line (or the count) not yet used begins, up to
  // where a line's end was looked for in vain, the arguments it has and those parsed. #cutAt is where the request lay.
  #cut = false
  #cutAt = 0
  #next = 0
  #scanned = 0
  #count = -1
  #filled = 0

  constructor(options: RequestParserOptions = {}) {
    this.#argumentsMax = options.argumentsMax ?? limits.argumentsMax
    this.#fastCountMax = Math.min(9, this.#argumentsMax)
    this.#argumentBytesMax = options.argumentBytesMax ?? limits.argumentBytesMax
    this.#inlineBytesMax = options.inlineBytesMax ?? limits.inlineBytesMax
    this.#requestBytesMax = options.requestBytesMax ?? limits.requestBytesMax
    assert(this.#requestBytesMax < 1_000_000_000, 'positions in a request, and lengths of nine digits, fit in 31 bits')
    assert(this.#argumentBytesMax <= this.#requestBytesMax, 'an argument fits a request')
  }

  /**
   * Parses the one request that starts at `at`; bytes at `end` and after it are not there yet. Returns the position after
   * the request, NEED_MORE or PROTOCOL_ERROR. After an error the bytes that follow mean nothing: close the connection.
   */
  parse(buffer: Buffer, at: number, end: number): number {
    this.argc = 0
    if (this.buffer !== buffer) this.buffer = buffer
    if (this.#cut) return this.#resume(buffer, at, end)
    if (at >= end) {
      this.bytesNeeded = 1
      return NEED_MORE
    }
    if (buffer[at] !== STAR) return this.#inline(buffer, at, end)
    const digit = at + 3 < end ? buffer[at + 1]! - ZERO : 0
    if (digit > 0 && digit <= this.#fastCountMax && buffer[at + 2] === CR)
      return this.#arguments(buffer, at, end, at + 4, digit, 0)
    return this.#counted(buffer, at, end)
  }

  /** Forgets a cut request, and memory that an unusually large one took. */
  reset(): void {
    this.argc = 0
    this.buffer = NO_BYTES
    this.#scratch = NO_BYTES
    this.#finish()
    if (this.start.length > ARGUMENTS_INITIAL) {
      this.start = new Int32Array(ARGUMENTS_INITIAL)
      this.end = new Int32Array(ARGUMENTS_INITIAL)
    }
  }

  /** The rest of a request whose count is known: `p` is where the length line of argument `filled` begins. */
  #arguments(buffer: Buffer, at: number, end: number, p: number, count: number, filled: number): number {
    const bytesMax = this.authenticated ? this.#argumentBytesMax : limits.unauthenticatedArgumentBytesMax
    const requestEnd = at + this.#requestBytesMax
    if (count > limits.unauthenticatedArgumentsMax && !this.authenticated) {
      return this.#fail('unauthenticated multibulk length')
    }
    let starts = this.start
    let ends = this.end
    for (; filled < count; filled++) {
      let q = p + 1
      let length = 0
      while (q < end) {
        const digit = buffer[q]! - ZERO
        if (digit < 0 || digit > 9 || length > FAST_LENGTH_MAX) break
        length = length * 10 + digit
        q++
      }
      const plain = q > p + 1 && (buffer[p + 1] !== ZERO || q === p + 2)
      if (q + 1 >= end || buffer[q] !== CR || buffer[p] !== DOLLAR || !plain || length > bytesMax) {
        return this.#lengthTrouble(buffer, at, end, p, count, filled)
      }
      q += 2
      const next = q + length + 2
      if (next > requestEnd) return this.#fail(`too big request, more than ${this.#requestBytesMax} bytes`)
      if (next > end) return this.#wait(at, next - at, p, count, filled)
      if (filled === starts.length) {
        this.#grow(count)
        starts = this.start
        ends = this.end
      }
      starts[filled] = q
      ends[filled] = q + length
      p = next
    }
    this.#finish()
    this.argc = count
    return p
  }
  // What follows is for everything but a short, whole, well-formed request.

  /** A request that begins with '*', from its count on: a count of several digits, none, a cut or a malformed one. */
  #counted(buffer: Buffer, at: number, end: number): number {
    const cr = this.#lineEnd(buffer, at, at, end)
    if (cr === TOO_LONG) return this.#fail('too big mbulk count string')
    if (cr < 0) return this.#wait(at, end + 1 - at, at, -1, 0)
    if (cr + 1 >= end) return this.#wait(at, cr + 2 - at, at, -1, 0)
    const count = parseDecimal(buffer, at + 1, cr)
    if (count > this.#argumentsMax) return this.#fail('invalid multibulk length')
    if (count > 0) return this.#arguments(buffer, at, end, cr + 2, count, 0)
    // Redis takes a count for empty that is zero or any negative number of 64 bits.
    const huge = Number.isNaN(count) ? parseInt64(buffer, at + 1, cr) : -1n
    if (huge === undefined || huge > 0n) return this.#fail('invalid multibulk length')
    this.#finish()
    return cr + 2
  }

  /** Says why the fast loop did not take the length line at `p`: it is cut or malformed. */
  #lengthTrouble(buffer: Buffer, at: number, end: number, p: number, count: number, filled: number): number {
    const cr = this.#lineEnd(buffer, at, p, end)
    if (cr === TOO_LONG) return this.#fail('too big bulk count string')
    if (cr < 0) return this.#wait(at, end + 1 - at, p, count, filled)
    if (cr + 1 >= end) return this.#wait(at, cr + 2 - at, p, count, filled)
    if (buffer[p] !== DOLLAR) return this.#fail(`expected '$', got '${String.fromCharCode(buffer[p]!)}'`)
    const length = parseDecimal(buffer, p + 1, cr)
    const allowed = length >= 0 && length <= this.#argumentBytesMax
    return this.#fail(allowed ? 'unauthenticated bulk length' : 'invalid bulk length')
  }

  /** Where the CR of the line is that begins at `line`; -1 when it is not there yet. Looks at no byte twice. */
  #lineEnd(buffer: Buffer, at: number, line: number, end: number): number {
    const stop = Math.min(end, line + this.#inlineBytesMax + 1)
    let i = Math.max(line, at + this.#scanned)
    while (i < stop && buffer[i] !== CR) i++
    if (i < stop) return i
    this.#scanned = i - at
    return i - line > this.#inlineBytesMax ? TOO_LONG : -1
  }

  /** A line of words, as a person types it. Its arguments are unescaped into the scratch buffer. */
  #inline(buffer: Buffer, at: number, end: number): number {
    const stop = Math.min(end, at + this.#inlineBytesMax + 1)
    let lineFeed = at + this.#scanned
    while (lineFeed < stop && buffer[lineFeed] !== LF) lineFeed++
    if (lineFeed === stop) {
      this.#scanned = lineFeed - at
      if (lineFeed - at > this.#inlineBytesMax) return this.#fail('too big inline request')
      return this.#wait(at, end + 1 - at, at, -1, 0)
    }
    const lineEnd = lineFeed > at && buffer[lineFeed - 1] === CR ? lineFeed - 1 : lineFeed
    if (this.#scratch.length < lineEnd - at) this.#scratch = Buffer.allocUnsafeSlow(lineEnd - at)
    const splitter = this.#splitter
    splitter.begin(at)
    let argc = 0
    for (;;) {
      const outcome = splitter.next(buffer, lineEnd, this.#scratch)
      if (outcome === INLINE_END) break
      if (outcome === INLINE_UNBALANCED) return this.#fail('unbalanced quotes in request')
      if (argc === this.#argumentsMax) return this.#fail('too big inline request')
      if (argc === this.start.length) this.#grow(this.#argumentsMax)
      this.start[argc] = splitter.start
      this.end[argc] = splitter.end
      argc++
    }
    this.#finish()
    this.buffer = this.#scratch
    this.argc = argc
    return lineFeed + 1
  }

  #resume(buffer: Buffer, at: number, end: number): number {
    if (this.#count < 0) return buffer[at] === STAR ? this.#counted(buffer, at, end) : this.#inline(buffer, at, end)
    const moved = at - this.#cutAt
    for (let i = moved === 0 ? this.#filled : 0; i < this.#filled; i++) {
      this.start[i] = this.start[i]! + moved
      this.end[i] = this.end[i]! + moved
    }
    return this.#arguments(buffer, at, end, at + this.#next, this.#count, this.#filled)
  }

  /** Keeps where the parsing of a cut request goes on: at `next`, the first line that was not used yet. */
  #wait(at: number, bytesNeeded: number, next: number, count: number, filled: number): number {
    this.#cut = true
    this.#cutAt = at
    this.#next = next - at
    this.#count = count
    this.#filled = filled
    this.bytesNeeded = bytesNeeded
    return NEED_MORE
  }

  #fail(reason: string): number {
    this.error = `ERR Protocol error: ${reason}`
    this.#finish()
    return PROTOCOL_ERROR
  }

  #finish(): void {
    this.#cut = false
    this.#scanned = 0
  }

  // By doubling, as arguments arrive: a count alone, which costs its sender ten bytes, takes no memory.
  #grow(count: number): void {
    const length = Math.min(Math.max(count, this.start.length + 1), this.start.length * 2)
    const start = new Int32Array(length)
    const end = new Int32Array(length)
    start.set(this.start)
    end.set(this.end)
    this.start = start
    this.end = end
  }
}
