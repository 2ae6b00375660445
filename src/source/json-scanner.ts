// Reads one JSON object, as a client wrote it, into its members, losing nothing: numbers stay text, so that a 64-bit
// integer keeps all its digits, and a member given twice is refused (JSON.parse would round the one and hide the
// other). Strict RFC 8259 in valid UTF-8.
// Not for: nested values. A row's columns are scalars, and the one exception is {"base64": "..."} (row-json.ts).
import { isUtf8 } from 'node:buffer'

export type JsonValue =
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean' | 'number' | 'string'; readonly text: string }
  /** {"base64": text}: bytes in a column that does not hold bytes alone. */
  | { readonly kind: 'base64'; readonly text: string }

/** What is wrong with a JSON text, in words that fit behind "the row is ". */
export class JsonError extends Error {
  override readonly name = 'JsonError'
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const BRACE_OPEN = 0x7b
const BRACE_CLOSE = 0x7d
const BRACKET_OPEN = 0x5b
const COLON = 0x3a
const COMMA = 0x2c

/** The one grammar of numbers, for JSON and for the text that HSET gives. */
export const numberPattern: RegExp = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/

/** The members of the object that `json` spells, in its order. Throws JsonError. */
export function readMembers(json: Uint8Array): [name: string, value: JsonValue][] {
  if (!isUtf8(json)) throw new JsonError('not valid UTF-8')
  return new Scanner(json).document()
}

class Scanner {
  readonly #json: Buffer
  #at = 0

  constructor(json: Uint8Array) {
    this.#json = Buffer.from(json.buffer, json.byteOffset, json.byteLength)
  }

  document(): [string, JsonValue][] {
    this.#blanks()
    if (this.#json[this.#at] !== BRACE_OPEN) {
      throw new JsonError(`no JSON object: it has to start with '{', got ${this.#found()}`)
    }
    const members = this.#members()
    this.#blanks()
    if (this.#at < this.#json.length) throw this.#unexpected('the end of the text')
    return members
  }

  #members(): [string, JsonValue][] {
    const members: [string, JsonValue][] = []
    const names = new Set<string>()
    this.#at++
    this.#blanks()
    if (this.#take(BRACE_CLOSE)) return members
    do {
      this.#blanks()
      const name = this.#string('a member name in double quotes')
      if (names.has(name)) throw new JsonError(`ambiguous: ${JSON.stringify(name)} is given twice`)
      names.add(name)
      this.#blanks()
      if (!this.#take(COLON)) throw this.#unexpected("':'")
      this.#blanks()
      members.push([name, this.#value(name)])
      this.#blanks()
    } while (this.#take(COMMA))
    if (!this.#take(BRACE_CLOSE)) throw this.#unexpected("',' or '}'")
    return members
  }

  #value(name: string): JsonValue {
    const first = this.#json[this.#at]
    if (first === QUOTE) return { kind: 'string', text: this.#string('a string') }
    if (first === BRACE_OPEN) return this.#base64(name)
    if (first === BRACKET_OPEN) throw nested(name, 'an array')
    return this.#word()
  }

  #base64(name: string): JsonValue {
    this.#at++
    this.#blanks()
    if (this.#json[this.#at] !== QUOTE || this.#string('a member name') !== 'base64') throw nested(name, 'an object')
    this.#blanks()
    if (!this.#take(COLON)) throw this.#unexpected("':'")
    this.#blanks()
    if (this.#json[this.#at] !== QUOTE) throw nested(name, 'an object')
    const text = this.#string('a string')
    this.#blanks()
    if (!this.#take(BRACE_CLOSE)) throw nested(name, 'an object')
    return { kind: 'base64', text }
  }

  #word(): JsonValue {
    const start = this.#at
    while (this.#at < this.#json.length && isWordByte(this.#json[this.#at]!)) this.#at++
    const text = this.#json.toString('latin1', start, this.#at)
    if (text === 'null') return { kind: 'null' }
    if (text === 'true' || text === 'false') return { kind: 'boolean', text }
    if (numberPattern.test(text)) return { kind: 'number', text }
    this.#at = start
    throw this.#unexpected('a value')
  }

  #string(what: string): string {
    if (this.#json[this.#at] !== QUOTE) throw this.#unexpected(what)
    const start = this.#at
    let escaped = false
    for (let i = start + 1; i < this.#json.length; i++) {
      const byte = this.#json[i]!
      if (byte === QUOTE) {
        this.#at = i + 1
        return escaped ? this.#unescape(start) : this.#json.toString('utf8', start + 1, i)
      }
      if (byte < 0x20) {
        this.#at = i
        throw this.#unexpected('no raw control character in a string')
      }
      if (byte === BACKSLASH) {
        escaped = true
        i++
      }
    }
    throw new JsonError(`no JSON object: the string at byte ${start} has no end`)
  }

  #unescape(start: number): string {
    let text: string
    try {
      text = JSON.parse(this.#json.toString('utf8', start, this.#at)) as string
    } catch {
      throw new JsonError(`no JSON object: the string at byte ${start} has an escape that JSON does not know`)
    }
    if (!text.isWellFormed()) {
      throw new JsonError(
        `no text: the string at byte ${start} holds half of a surrogate pair, which UTF-8 cannot spell`,
      )
    }
    return text
  }

  #blanks(): void {
    for (;;) {
      const byte = this.#json[this.#at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
      this.#at++
    }
  }

  #take(byte: number): boolean {
    if (this.#json[this.#at] !== byte) return false
    this.#at++
    return true
  }

  #found(): string {
    if (this.#at >= this.#json.length) return 'the end'
    const text = this.#json.toString('utf8', this.#at, this.#at + 12)
    return JSON.stringify(text.replace(/\ufffd+$/, ''))
  }

  #unexpected(wanted: string): JsonError {
    return new JsonError(`no JSON object: at byte ${this.#at} ${wanted} is expected, got ${this.#found()}`)
  }
}

function isWordByte(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    byte === 0x2b ||
    byte === 0x2d ||
    byte === 0x2e
  )
}

function nested(name: string, got: string): JsonError {
  return new JsonError(
    `not flat: ${JSON.stringify(name)} is ${got}; a column takes null, a number, a string or {"base64": "..."}` +
      ' (to keep JSON in a text column, give it as a string)',
  )
}
