// Replies as text: as redis-cli shows them on a terminal, as it gives them to a pipe, and as JSON. Every text ends with a
// line feed. Takes replies in exact form (wire/reply.ts), where a status is a string and a bulk string a Buffer.
import { isUtf8 } from 'node:buffer'
import { INT64_MAX, INT64_MIN } from '../base/bytes.ts'
import { ReplyError, VerbatimText } from '../wire/reply.ts'
import type { Reply } from '../wire/reply.ts'

/** `page` is raw, for a text that ends its own last line. */
export type ReplyFormat = 'terminal' | 'raw' | 'json' | 'page'

// Commands that answer with a text of many lines, which redis-cli prints as it is even on a terminal.
const texts = [
  'info',
  'lolwut',
  'memory doctor',
  'latency doctor',
  'client list',
  'client info',
  'cluster nodes',
  'cluster info',
]

/** The format for the reply to a command: a page where the reply is a long text, such as INFO's. */
export function formatFor(args: readonly (string | Buffer)[], format: ReplyFormat): ReplyFormat {
  const words = args.slice(0, 2).map(arg => String(arg).toLowerCase())
  const isText = texts.includes(words[0] ?? '') || texts.includes(words.join(' '))
  return isText && format !== 'json' ? 'page' : format
}

/** Bytes, not text: a value need not be UTF-8, and what goes to a pipe must be what is stored. */
export function formatReply(reply: Reply, format: ReplyFormat): Buffer {
  if (format === 'terminal') return Buffer.from(terminal(reply, ''))
  if (format === 'json') return Buffer.from(`${json(reply)}\n`)
  const parts: Buffer[] = []
  raw(reply, parts)
  if (format !== 'page' || parts.at(-1)?.at(-1) !== LF) parts.push(lineFeed)
  return Buffer.concat(parts)
}

const LF = 0x0a

const escapes: Readonly<Record<number, string>> = {
  0x07: String.raw`\a`,
  0x08: String.raw`\b`,
  0x09: String.raw`\t`,
  0x0a: String.raw`\n`,
  0x0d: String.raw`\r`,
  0x22: String.raw`\"`,
  0x5c: String.raw`\\`,
}

function quoted(bytes: Buffer): string {
  let text = '"'
  for (const byte of bytes) {
    const printable = byte >= 0x20 && byte < 0x7f
    text += escapes[byte] ?? (printable ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`)
  }
  return `${text}"`
}

function doubleText(x: number): string {
  if (Number.isNaN(x)) return 'nan'
  if (Number.isFinite(x)) return Object.is(x, -0) ? '-0' : String(x)
  return x > 0 ? 'inf' : '-inf'
}

function terminal(reply: Reply, prefix: string): string {
  if (reply === null) return '(nil)\n'
  if (typeof reply === 'string') return `${reply}\n`
  if (typeof reply === 'boolean') return `(${reply})\n`
  if (typeof reply === 'number') return `(double) ${doubleText(reply)}\n`
  if (typeof reply === 'bigint') {
    return `(${reply >= INT64_MIN && reply <= INT64_MAX ? 'integer' : 'big number'}) ${reply}\n`
  }
  if (reply instanceof ReplyError) return `(error) ${reply.message}\n`
  if (reply instanceof VerbatimText) return `${reply.bytes.toString()}\n`
  if (Buffer.isBuffer(reply)) return `${quoted(reply)}\n`
  if (reply instanceof Map) {
    const write = ([key, value]: [Reply, Reply], inner: string): string => {
      const text = terminal(value, inner)
      // A value of several lines begins on one of its own.
      const beginning = text.indexOf('\n') < text.length - 1 ? `\n${inner}` : ''
      return `${terminal(key, inner).slice(0, -1)} => ${beginning}${text}`
    }
    return numbered([...reply], write, '#', 'hash', prefix)
  }
  if (reply instanceof Set) return numbered([...reply], terminal, '~', 'set', prefix)
  return numbered(reply, terminal, ')', 'array', prefix)
}

/** ` 9) "a"`: items under each other, their numbers aligned. */
function numbered<T>(
  items: readonly T[],
  write: (item: T, prefix: string) => string,
  mark: string,
  name: string,
  prefix: string,
): string {
  if (items.length === 0) return `(empty ${name})\n`
  const width = String(items.length).length
  const inner = `${prefix}${' '.repeat(width + 2)}`
  let text = ''
  for (const [index, item] of items.entries()) {
    // The first line is where the caller has written the number of the whole already.
    text += `${index === 0 ? '' : prefix}${String(index + 1).padStart(width)}${mark} ${write(item, inner)}`
  }
  return text
}

const lineFeed = Buffer.from('\n')
const blank = Buffer.from(' ')

/** Appends a reply as redis-cli gives it to a pipe: values alone, items of an aggregate on lines of their own. */
function raw(reply: Reply, parts: Buffer[]): void {
  if (reply === null) return
  if (Buffer.isBuffer(reply)) parts.push(reply)
  else if (typeof reply === 'boolean') parts.push(Buffer.from(`(${reply})`))
  else if (typeof reply === 'number') parts.push(Buffer.from(doubleText(reply)))
  else if (typeof reply === 'string' || typeof reply === 'bigint') parts.push(Buffer.from(String(reply)))
  else if (reply instanceof ReplyError) parts.push(Buffer.from(`${reply.message}\n`))
  else if (reply instanceof VerbatimText) parts.push(reply.bytes)
  else if (reply instanceof Map) {
    let index = 0
    for (const [key, value] of reply) {
      if (index++ > 0) parts.push(lineFeed)
      raw(key, parts)
      parts.push(blank)
      raw(value, parts)
    }
  } else {
    let index = 0
    for (const item of reply) {
      if (index++ > 0) parts.push(lineFeed)
      raw(item, parts)
    }
  }
}

/** Bytes that are no UTF-8 become one character each (U+0000 to U+00FF). */
function jsonText(bytes: Buffer): string {
  return JSON.stringify(bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1'))
}

/** Integers keep all their digits; `inf` and `nan`, which JSON lacks, are strings; an error is `{"error":"..."}`. */
function json(reply: Reply): string {
  if (reply === null) return 'null'
  if (typeof reply === 'bigint' || typeof reply === 'boolean') return String(reply)
  if (typeof reply === 'number') return Number.isFinite(reply) ? doubleText(reply) : `"${doubleText(reply)}"`
  if (typeof reply === 'string') return JSON.stringify(reply)
  if (reply instanceof ReplyError) return `{"error":${JSON.stringify(reply.message)}}`
  if (reply instanceof VerbatimText) return jsonText(reply.bytes)
  if (Buffer.isBuffer(reply)) return jsonText(reply)
  if (!(reply instanceof Map)) return `[${[...reply].map(json).join(',')}]`
  const pairs = [...reply].map(([key, value]) => {
    const name = json(key)
    return `${name.startsWith('"') ? name : JSON.stringify(name)}:${json(value)}`
  })
  return `{${pairs.join(',')}}`
}
