// A value as DUMP writes it and RESTORE reads it: one object of Redis' RDB format, with a version and a checksum behind it.
//
//   | type: 1 byte | the object | RDB version: 2 bytes | CRC-64 of all before it: 8 bytes |    (both little-endian)
//
// Written in the plainest form that every Redis since 2.6 and every Valkey reads: strings as their bytes, hashes as fields
// and values one by one. Read in every form in which Redis writes strings and hashes: small integers, LZF, listpack, and the
// ziplist of old. Not for: RDB files, and other types, of which only the name is known.
import { crc64 } from '../base/crc64.ts'
import { listpackStrings, ziplistStrings } from './packed-list.ts'
import { lzfBytes } from './lzf.ts'

const VERSION = 10
const FOOTER_BYTES = 10
const STRING = 0
const HASH = 4
const HASH_ZIPLIST = 13
const HASH_LISTPACK = 16
const LENGTH_32 = 0x80
const LENGTH_64 = 0x81

export type DumpedValue =
  | { readonly kind: 'string'; readonly value: Buffer }
  /** Names and values in turn. */
  | { readonly kind: 'hash'; readonly parts: readonly Buffer[] }
  /** A value of another type, with Redis' name for it. */
  | { readonly kind: 'other'; readonly type: string }
  /** `checksum`: no dump, or damaged; `data`: what is in it is not as it should be; `size`: larger than `bytesMax`. */
  | { readonly kind: 'bad'; readonly what: 'checksum' | 'data' | 'size' }

function lengthBytes(n: number): Buffer {
  if (n < 64) return Buffer.from([n])
  if (n < 16_384) return Buffer.from([0x40 | (n >>> 8), n & 0xff])
  const bytes = Buffer.alloc(5, LENGTH_32)
  bytes.writeUInt32BE(n, 1)
  return bytes
}

function sealed(parts: readonly Uint8Array[]): Buffer {
  const all = Buffer.concat([...parts, Buffer.alloc(FOOTER_BYTES)])
  const at = all.length - FOOTER_BYTES
  all.writeUInt16LE(VERSION, at)
  all.writeBigUInt64LE(crc64(all, 0, at + 2), at + 2)
  return all
}

export function dumpString(value: Uint8Array): Buffer {
  return sealed([Buffer.from([STRING]), lengthBytes(value.length), value])
}

export function dumpHash(fields: readonly (readonly [name: string | Uint8Array, value: Uint8Array])[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from([HASH]), lengthBytes(fields.length)]
  for (const [name, value] of fields) {
    const bytes = typeof name === 'string' ? Buffer.from(name) : name
    parts.push(lengthBytes(bytes.length), bytes, lengthBytes(value.length), value)
  }
  return sealed(parts)
}

/** What the dump holds. Values that unpack to more than `bytesMax` are not unpacked. */
export function readDump(dump: Buffer, bytesMax: number): DumpedValue {
  const end = dump.length - FOOTER_BYTES
  if (end < 0 || crc64(dump, 0, end + 2) !== dump.readBigUInt64LE(end + 2)) return { kind: 'bad', what: 'checksum' }
  const type = dump[0]
  if (end === 0 || type === undefined) return { kind: 'bad', what: 'data' }
  if (type !== STRING && type !== HASH && type !== HASH_ZIPLIST && type !== HASH_LISTPACK) {
    const name = otherTypes[type]
    return name === undefined ? { kind: 'bad', what: 'data' } : { kind: 'other', type: name }
  }
  const reader = new RdbReader(dump, end, bytesMax)
  const value = type === STRING ? reader.stringValue() : type === HASH ? reader.hash() : reader.packedHash(type)
  if (value !== undefined) return value
  return { kind: 'bad', what: reader.tooLarge ? 'size' : 'data' }
}

const otherTypes: Readonly<Record<number, string>> = {
  1: 'list',
  2: 'set',
  3: 'zset',
  5: 'zset',
  6: 'module',
  7: 'module',
  9: 'hash of Redis 2.4 (zipmap)',
  10: 'list',
  11: 'set',
  12: 'zset',
  14: 'list',
  15: 'stream',
  17: 'zset',
  18: 'list',
  19: 'stream',
  20: 'set',
  21: 'stream',
  22: 'hash with fields that expire',
  23: 'hash with fields that expire',
  24: 'hash with fields that expire',
  25: 'hash with fields that expire',
}

class RdbReader {
  tooLarge = false
  readonly #bytes: Buffer
  readonly #end: number
  readonly #bytesMax: number
  #at = 1

  constructor(bytes: Buffer, end: number, bytesMax: number) {
    this.#bytes = bytes
    this.#end = end
    this.#bytesMax = bytesMax
  }

  stringValue(): DumpedValue | undefined {
    const value = this.#string()
    return value === undefined ? undefined : { kind: 'string', value }
  }

  hash(): DumpedValue | undefined {
    const count = this.#length()
    if (count === undefined || count.encoding || count.n === 0) return undefined
    const parts: Buffer[] = []
    for (let i = 0; i < 2 * count.n; i++) {
      const part = this.#string()
      if (part === undefined) return undefined
      parts.push(part)
    }
    return { kind: 'hash', parts }
  }

  packedHash(type: number): DumpedValue | undefined {
    const packed = this.#string()
    if (packed === undefined) return undefined
    const parts = type === HASH_LISTPACK ? listpackStrings(packed) : ziplistStrings(packed)
    if (parts === undefined || parts.length === 0 || parts.length % 2 !== 0) return undefined
    return { kind: 'hash', parts }
  }

  /** Moves past the next `n` bytes and returns where they began; undefined when there are not so many. */
  #take(n: number): number | undefined {
    const at = this.#at
    if (n > this.#end - at) return undefined
    this.#at += n
    return at
  }

  /** A length, or which special encoding a string has. */
  #length(): { n: number; encoding: boolean } | undefined {
    const at = this.#take(1)
    if (at === undefined) return undefined
    const first = this.#bytes[at]!
    if (first < 0x40) return { n: first, encoding: false }
    if (first >= 0xc0) return { n: first & 0x3f, encoding: true }
    const more = this.#take(first < 0x80 ? 1 : first === LENGTH_32 ? 4 : 8)
    if (more === undefined) return undefined
    if (first < 0x80) return { n: ((first & 0x3f) << 8) | this.#bytes[more]!, encoding: false }
    if (first === LENGTH_32) return { n: this.#bytes.readUInt32BE(more), encoding: false }
    if (first === LENGTH_64) return { n: Number(this.#bytes.readBigUInt64BE(more)), encoding: false }
    return undefined
  }

  #string(): Buffer | undefined {
    const length = this.#length()
    if (length === undefined) return undefined
    if (length.encoding) return length.n === 3 ? this.#packed() : this.#integer(length.n)
    const at = this.#take(length.n)
    return at === undefined ? undefined : this.#bytes.subarray(at, at + length.n)
  }

  #integer(encoding: number): Buffer | undefined {
    const bytes = 2 ** encoding
    if (bytes > 4) return undefined
    const at = this.#take(bytes)
    return at === undefined ? undefined : Buffer.from(String(this.#bytes.readIntLE(at, bytes)))
  }

  #packed(): Buffer | undefined {
    const packed = this.#length()
    const unpacked = this.#length()
    if (packed === undefined || unpacked === undefined || packed.encoding || unpacked.encoding) return undefined
    const at = this.#take(packed.n)
    if (at === undefined) return undefined
    if (unpacked.n > this.#bytesMax) {
      this.tooLarge = true
      return undefined
    }
    return lzfBytes(this.#bytes, at, at + packed.n, unpacked.n)
  }
}
