// Replies of the Redis protocol, RESP2 or RESP3, written one after another into one growing buffer that all connections of
// a thread use in turn. Also writes requests (an array of bulks) for clients. Not for reading them (reply-parser.ts).
//
//   beginBulk(5):   $5\r\n.....\r\n
//                         |      `- length: where the next reply goes
//                         `- the returned position: the caller copies the value here
//
// Hot path: no strings for numbers, no closures, no allocation but the buffer's growth. A copy by Buffer.copy costs the same
// ~30 ns at any small size, a byte loop ~1 ns a byte: short values are copied by the loop.
import { copyBytes, writeDecimal } from '../base/bytes.ts'

const CR = 0x0d
const LF = 0x0a
const BLANK = 0x20
const ZERO = 0x30

const LOOP_BYTES_MAX = 32
/** A type byte, the digits of any whole number and the CRLF after it. */
const HEADER_BYTES_MAX = 24
const INITIAL_BYTES_DEFAULT = 65_536
/** UTF-8 takes at most three bytes for one UTF-16 code unit. */
const UTF8_BYTES_MAX = 3

export class ReplyWriter {
  /** The protocol version of the connection that is being written for. */
  resp: 2 | 3 = 2
  /** What is written so far is buffer[0, length). Replaced as it grows: read it after the last write. */
  buffer: Buffer
  length = 0

  readonly #initialBytes: number

  constructor(initialBytes: number = INITIAL_BYTES_DEFAULT) {
    this.#initialBytes = initialBytes
    this.buffer = Buffer.allocUnsafeSlow(initialBytes)
  }

  /** Makes sure that `bytes` more fit without the buffer being replaced. */
  reserve(bytes: number): void {
    if (this.buffer.length - this.length < bytes) this.#grow(bytes)
  }

  /** Takes back everything after the first `length` bytes. */
  truncate(length: number): void {
    this.length = length
  }

  /** Starts anew; a buffer that a huge reply made large is given back. */
  recycle(): void {
    this.length = 0
    if (this.buffer.length > this.#initialBytes) this.buffer = Buffer.allocUnsafeSlow(this.#initialBytes)
  }

  /** Hands over what was written and starts anew in another buffer, for when the old one is still being sent. */
  detach(): Buffer {
    const written = this.buffer.subarray(0, this.length)
    this.length = 0
    this.buffer = Buffer.allocUnsafeSlow(this.#initialBytes)
    return written
  }

  /** A status such as `OK`. CR and LF in it become blanks. */
  simple(text: string): void {
    this.#line(0x2b, text)
  }

  /** An error, given without its '-'. CR and LF in it become blanks. */
  error(text: string): void {
    this.#line(0x2d, text)
  }

  /** A whole number of at most 64 bits; a `number` within the safe integers. */
  integer(n: number | bigint): void {
    if (typeof n === 'bigint') this.#line(0x3a, n.toString())
    else this.#header(0x3a, n)
  }

  /** The bytes [start, end) as a bulk string. */
  bulk(bytes: Uint8Array, start: number = 0, end: number = bytes.length): void {
    const at = this.beginBulk(end - start)
    if (end - start <= LOOP_BYTES_MAX) {
      const out = this.buffer
      for (let i = start, j = at; i < end; i++, j++) out[j] = bytes[i]!
    } else {
      copyBytes.call(bytes, this.buffer, at, start, end)
    }
  }

  /** A string as a bulk string of UTF-8. */
  text(text: string): void {
    const at = this.beginBulk(Buffer.byteLength(text))
    this.buffer.write(text, at)
  }

  /** Writes the frame of a bulk string of `n` bytes and returns where in `buffer` they belong. */
  beginBulk(n: number): number {
    if (this.buffer.length - this.length < n + HEADER_BYTES_MAX + 2) this.#grow(n + HEADER_BYTES_MAX + 2)
    this.#header(0x24, n)
    const at = this.length
    this.length = at + n + 2
    this.buffer[at + n] = CR
    this.buffer[at + n + 1] = LF
    return at
  }

  /** No value: `$-1`, in RESP3 `_`. */
  nil(): void {
    if (this.resp === 3) this.#line(0x5f, '')
    else this.#line(0x24, '-1')
  }

  /** No array, such as of an aborted EXEC: `*-1`, in RESP3 `_`. */
  nilArray(): void {
    if (this.resp === 3) this.#line(0x5f, '')
    else this.#line(0x2a, '-1')
  }

  /** The head of an array; `n` values follow. */
  array(n: number): void {
    this.#header(0x2a, n)
  }

  /** The head of a map; `n` keys follow, each with its value. In RESP2 an array of 2n. */
  map(n: number): void {
    if (this.resp === 3) this.#header(0x25, n)
    else this.#header(0x2a, 2 * n)
  }

  /** The head of a set; `n` members follow. In RESP2 an array. */
  set(n: number): void {
    this.#header(this.resp === 3 ? 0x7e : 0x2a, n)
  }

  /** The head of a message that answers no request; `n` values follow. In RESP2 an array. */
  push(n: number): void {
    this.#header(this.resp === 3 ? 0x3e : 0x2a, n)
  }

  /** A double, as short as reads back the same; `inf`, `-inf` and `nan` are themselves. In RESP2 a bulk string. */
  double(x: number): void {
    const text = Number.isFinite(x)
      ? Object.is(x, -0)
        ? '-0'
        : String(x)
      : Number.isNaN(x)
        ? 'nan'
        : x > 0
          ? 'inf'
          : '-inf'
    if (this.resp === 3) this.#line(0x2c, text)
    else this.text(text)
  }

  /** In RESP2 the integer 1 or 0. */
  boolean(b: boolean): void {
    if (this.resp === 3) this.#line(0x23, b ? 't' : 'f')
    else this.#header(0x3a, b ? 1 : 0)
  }

  /** A text for people with its format, three letters: `txt` or `mkd`. In RESP2 a bulk string without the format. */
  verbatim(format: string, text: string): void {
    if (this.resp === 2) return this.text(text)
    this.text(`${format}:${text}`)
    this.buffer[this.#headerAt] = 0x3d
  }

  // Where the latest header was written.
  #headerAt = 0

  #header(type: number, n: number): void {
    if (this.buffer.length - this.length < HEADER_BYTES_MAX) this.#grow(HEADER_BYTES_MAX)
    const out = this.buffer
    let at = this.length
    this.#headerAt = at
    out[at++] = type
    if (n >= 0 && n < 10) out[at++] = ZERO + n
    else at = writeDecimal(out, at, n)
    out[at] = CR
    out[at + 1] = LF
    this.length = at + 2
  }

  #line(type: number, text: string): void {
    const bytesMax = text.length * UTF8_BYTES_MAX + 3
    if (this.buffer.length - this.length < bytesMax) this.#grow(bytesMax)
    const out = this.buffer
    const from = this.length + 1
    out[from - 1] = type
    let at = from
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code >= 0x80) {
        at += out.write(text.slice(i).replace(/[\r\n]/g, ' '), at)
        break
      }
      out[at++] = code === CR || code === LF ? BLANK : code
    }
    out[at] = CR
    out[at + 1] = LF
    this.length = at + 2
  }

  #grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.length + bytes, 2 * this.buffer.length))
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }
}
