// Reads replies of the Redis protocol, RESP2 and RESP3, as JavaScript values, from chunks cut anywhere: for clients
// and tests. Not for the server's hot path: it makes objects. Streamed aggregates (`$?`, `*?`) are not read: no server
// sends them.
//
// Values inside a value are kept on a stack of frames, one for each open aggregate:
//
//   *3  :1  %1  +k  |       frames: [array, 1 of 3 there] [map, 1 of 2 there]
//                   `- cut here
//
// so that a chunk goes on where the last one ended, and depth is bounded by a number, not by the call stack.
import { INT64_MAX, INT64_MIN } from '../base/bytes.ts'
import { ReplyError, VerbatimText } from './reply.ts'
import type { Reply } from './reply.ts'

export interface ReplyParserOptions {
  readonly onReply: (reply: Reply) => void
  /** A message that answers no request (RESP3). Without it, pushes are dropped. */
  readonly onPush?: (message: Reply[]) => void
  /** What a server says about the value after it (RESP3). Without it, attributes are dropped. */
  readonly onAttribute?: (attribute: Map<Reply, Reply>) => void
  /** Keeps apart what a plain value does not; see Reply. */
  readonly exact?: boolean
  /** Aggregates within aggregates. */
  readonly depthMax?: number
  /** Bytes of one bulk string. */
  readonly bulkBytesMax?: number
}

interface Frame {
  /** The type byte: array, map, set, push or attribute. */
  readonly type: number
  /** Values still to come; of a map keys and values both count. */
  left: number
  readonly items: Reply[]
}

const CR = 0x0d
const LF = 0x0a

const type = {
  status: 0x2b, // +
  error: 0x2d, // -
  integer: 0x3a, // :
  bulk: 0x24, // $
  array: 0x2a, // *
  null: 0x5f, // _
  boolean: 0x23, // #
  double: 0x2c, // ,
  bigNumber: 0x28, // (
  blobError: 0x21, // !
  verbatim: 0x3d, // =
  map: 0x25, // %
  set: 0x7e, // ~
  attribute: 0x7c, // |
  push: 0x3e, // >
} as const

const DEPTH_MAX_DEFAULT = 128
const BULK_BYTES_MAX_DEFAULT = 1_073_741_824
const AGGREGATE_MAX = 2 ** 32
const LINE_BYTES_MAX = 1_048_576
const BUFFER_BYTES_INITIAL = 4_096
const INT64_DIGITS_MAX = 20
const DOUBLE = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i
const WHOLE_NUMBER = /^[+-]?\d+$/

export class ReplyParser {
  /** Why the stream cannot be read on; '' while it can. */
  error = ''

  readonly #options: ReplyParserOptions
  readonly #depthMax: number
  readonly #bulkBytesMax: number
  readonly #frames: Frame[] = []
  // Bytes not read yet are buffer[start, end). #scanned: up to where a line's end was looked for in vain.
  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES_INITIAL)
  #start = 0
  #end = 0
  #scanned = 0

  constructor(options: ReplyParserOptions) {
    this.#options = options
    this.#depthMax = options.depthMax ?? DEPTH_MAX_DEFAULT
    this.#bulkBytesMax = options.bulkBytesMax ?? BULK_BYTES_MAX_DEFAULT
  }

  /** Reads on; the chunk may be used again afterwards. Returns false once the stream is malformed: `error` says how. */
  push(chunk: Uint8Array): boolean {
    if (this.error !== '') return false
    this.#append(chunk)
    while (this.#end > this.#start && this.#step());
    return this.error === ''
  }

  /** Reads one value, or the head of an aggregate. False: nothing more can be read for now. */
  #step(): boolean {
    const lineEnd = this.#lineEnd()
    if (lineEnd < 0) return false
    const kind = this.#buffer[this.#start]!
    const from = this.#start + 1
    const bytes = kind === type.bulk || kind === type.blobError || kind === type.verbatim
    if (bytes) return this.#bulk(kind, from, lineEnd)
    const line = this.#buffer.toString('utf8', from, lineEnd)
    this.#start = lineEnd + 2
    switch (kind) {
      case type.status:
        return this.#value(line)
      case type.error:
        return this.#value(new ReplyError(line))
      case type.integer:
        return this.#integer(line)
      case type.null:
        return line === '' ? this.#value(null) : this.#fail('a null with content', line)
      case type.boolean:
        return line === 't' || line === 'f' ? this.#value(line === 't') : this.#fail('boolean', line)
      case type.double:
        return this.#double(line)
      case type.bigNumber:
        return WHOLE_NUMBER.test(line) ? this.#value(BigInt(line.replace('+', ''))) : this.#fail('big number', line)
      case type.array:
      case type.map:
      case type.set:
      case type.attribute:
      case type.push:
        return this.#aggregate(kind, line)
      default:
        return this.#fail('type', String.fromCharCode(kind))
    }
  }

  /** Where the CR of the line at #start is; -1 when it is not there yet. */
  #lineEnd(): number {
    const buffer = this.#buffer
    for (let i = Math.max(this.#scanned, this.#start); i + 1 < this.#end; i++) {
      if (buffer[i] === CR && buffer[i + 1] === LF) return i
    }
    this.#scanned = Math.max(this.#start, this.#end - 1)
    if (this.#end - this.#start > LINE_BYTES_MAX) this.#fail('line, longer than', String(LINE_BYTES_MAX))
    return -1
  }

  #integer(line: string): boolean {
    const n = WHOLE_NUMBER.test(line) && line.length <= INT64_DIGITS_MAX ? BigInt(line.replace('+', '')) : undefined
    if (n === undefined || n < INT64_MIN || n > INT64_MAX) return this.#fail('integer', line)
    const small = n >= Number.MIN_SAFE_INTEGER && n <= Number.MAX_SAFE_INTEGER
    return this.#value(small && this.#options.exact !== true ? Number(n) : n)
  }

  #double(line: string): boolean {
    if (line === 'inf' || line === '-inf') return this.#value(line === 'inf' ? Infinity : -Infinity)
    if (line === 'nan' || line === '-nan') return this.#value(NaN)
    return DOUBLE.test(line) ? this.#value(Number(line)) : this.#fail('double', line)
  }

  #length(line: string, max: number): number {
    if (!/^\d{1,10}$/.test(line)) return -1
    const n = Number(line)
    return n <= max ? n : -1
  }

  #bulk(kind: number, from: number, lineEnd: number): boolean {
    const line = this.#buffer.toString('latin1', from, lineEnd)
    const start = lineEnd + 2
    if (line === '-1' && kind === type.bulk) {
      this.#start = start
      return this.#value(null)
    }
    const length = this.#length(line, this.#bulkBytesMax)
    if (length < 0) return this.#fail('bulk length', line)
    const end = start + length
    if (end + 2 > this.#end) return false
    if (this.#buffer[end] !== CR || this.#buffer[end + 1] !== LF)
      return this.#fail('end of a bulk string, not CRLF', '')
    this.#start = end + 2
    if (kind === type.blobError) return this.#value(new ReplyError(this.#buffer.toString('utf8', start, end)))
    if (kind === type.verbatim) {
      if (length < 4 || this.#buffer[start + 3] !== 0x3a) return this.#fail('verbatim text without a format', '')
      return this.#value(
        this.#options.exact === true
          ? new VerbatimText(this.#buffer.toString('latin1', start, start + 3), this.#copy(start + 4, end))
          : this.#buffer.toString('utf8', start + 4, end),
      )
    }
    return this.#value(
      this.#options.exact === true ? this.#copy(start, end) : this.#buffer.toString('utf8', start, end),
    )
  }

  #copy(start: number, end: number): Buffer {
    return Buffer.from(this.#buffer.subarray(start, end))
  }

  #aggregate(kind: number, line: string): boolean {
    if (line === '-1' && kind === type.array) return this.#value(null)
    const count = this.#length(line, AGGREGATE_MAX)
    if (count < 0) return this.#fail('count', line)
    if (this.#frames.length === this.#depthMax) return this.#fail('depth, more than', String(this.#depthMax))
    if (kind === type.push && this.#frames.length > 0) return this.#fail('push inside a reply', '')
    const pairs = kind === type.map || kind === type.attribute
    this.#frames.push({ type: kind, left: pairs ? 2 * count : count, items: [] })
    return count > 0 || this.#close()
  }

  /** The innermost aggregate is complete. */
  #close(): boolean {
    const { type: kind, items } = this.#frames.pop()!
    if (kind === type.array) return this.#value(items)
    if (kind === type.set) return this.#value(new Set(items))
    if (kind === type.push) {
      this.#options.onPush?.(items)
      return true
    }
    const map = new Map<Reply, Reply>()
    for (let i = 0; i < items.length; i += 2) map.set(items[i]!, items[i + 1]!)
    if (kind === type.map) return this.#value(map)
    this.#options.onAttribute?.(map)
    return true
  }

  /** A value is complete: it belongs to the innermost open aggregate, or is a reply. */
  #value(value: Reply): boolean {
    const frame = this.#frames.at(-1)
    if (frame === undefined) {
      this.#options.onReply(value)
      return true
    }
    frame.items.push(value)
    frame.left--
    return frame.left > 0 || this.#close()
  }

  #fail(what: string, got: string): boolean {
    this.error = `malformed reply: ${what} ${JSON.stringify(got.slice(0, 64))}`
    this.#frames.length = 0
    return false
  }

  #append(chunk: Uint8Array): void {
    if (this.#start === this.#end) {
      this.#start = 0
      this.#end = 0
      this.#scanned = 0
      // A huge reply's buffer is not kept.
      if (this.#buffer.length > LINE_BYTES_MAX) this.#buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES_INITIAL)
    }
    this.#makeRoom(chunk.length)
    this.#buffer.set(chunk, this.#end)
    this.#end += chunk.length
  }

  /** Room for `bytes` more behind #end: by moving what is left to the front, or in a buffer at least twice as large. */
  #makeRoom(bytes: number): void {
    if (this.#buffer.length - this.#end >= bytes) return
    const left = this.#end - this.#start
    const old = this.#buffer
    // By doubling, as bytes arrive: an announced length alone takes no memory.
    if (left + bytes > old.length / 2) this.#buffer = Buffer.allocUnsafeSlow(Math.max(2 * old.length, left + bytes))
    old.copy(this.#buffer, 0, this.#start, this.#end)
    this.#scanned = Math.max(0, this.#scanned - this.#start)
    this.#start = 0
    this.#end = left
  }
}
