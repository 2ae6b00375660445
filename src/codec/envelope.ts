// What stands in the tier around an encoded value. Numbers are big-endian. A reader takes all of it or nothing: what it does not know,
// what is cut short and what is left over make the whole record undecodable, and the reader treats it as absent.
// Not for: what the body means (value-codec.ts), nor the record around it: stamps and leases are the tier's (coherence/).
//
//        1  version of this format: 1
//        1  flags:  bit 0..2  how the body is compressed (compression.ts): 0 not, 1 gzip, 2 brotli, 3 zstd
//                   bit 3     encrypted
//                   bit 4     the value is null, and the body empty
//                   bit 5     the user's version follows
//                   bit 6     tags follow
//                   bit 7     the time follows at which the value is over
//      1+n  name of the codec: length, ASCII
//       [4  the user's version]
//       [8  wall ms since 1970]
//       [1  how many tags, and for each:  1+n  name: length, UTF-8;  8  generation]
//     [1+n  id of the encryption key: length, UTF-8]
//           ---- the head ends here: the encryption is bound to it and to the record's key
//      [12  nonce, when encrypted]
//        n  body
//       16  GCM tag, when encrypted; otherwise 4: CRC-32 of all before it
import { nodeZlib } from '../base/node-modules.ts'
import { assert } from '../base/assert.ts'
import { compressionNames } from './compression.ts'
import { macBytes, nonceBytes } from './encryption.ts'
import type { CompressionName } from './compression.ts'
import type { Sealed } from './encryption.ts'

/** A tag that a value is filed under, and the tag's generation at that time. */
export interface TagGeneration {
  readonly name: string
  /** In [0, 2^64). */
  readonly generation: bigint
}

export interface Head {
  readonly compression: CompressionName
  readonly isNull: boolean
  readonly codec: string
  /** In [0, 2^32). */
  readonly version: number | undefined
  /** Wall ms; undefined: the value has no time of its own. */
  readonly expiresAtMs: number | undefined
  readonly tags: readonly TagGeneration[]
  /** undefined: not encrypted. */
  readonly keyId: string | undefined
}

const formatVersion = 1
const compressionMask = 0b111
const encryptedFlag = 8
const nullFlag = 16
const versionFlag = 32
const tagsFlag = 64
const expiryFlag = 128
const crcBytes = 4

function flagsOf(head: Head): number {
  return (
    compressionNames.indexOf(head.compression) |
    (head.keyId === undefined ? 0 : encryptedFlag) |
    (head.isNull ? nullFlag : 0) |
    (head.version === undefined ? 0 : versionFlag) |
    (head.tags.length === 0 ? 0 : tagsFlag) |
    (head.expiresAtMs === undefined ? 0 : expiryFlag)
  )
}

function shortText(text: string): Buffer {
  const bytes = Buffer.from(text)
  assert(bytes.length <= 255, 'a length of one byte is enough')
  return Buffer.concat([Buffer.of(bytes.length), bytes])
}

/** The head's bytes. Names and ids have at most 255 bytes, and there are at most 255 tags. */
export function encodeHead(head: Head): Uint8Array {
  const parts: Buffer[] = [Buffer.of(formatVersion, flagsOf(head)), shortText(head.codec)]
  if (head.version !== undefined) {
    const version = Buffer.allocUnsafe(4)
    version.writeUInt32BE(head.version)
    parts.push(version)
  }
  if (head.expiresAtMs !== undefined) {
    const expiry = Buffer.allocUnsafe(8)
    expiry.writeBigUInt64BE(BigInt(Math.max(0, Math.ceil(head.expiresAtMs))))
    parts.push(expiry)
  }
  if (head.tags.length > 0) {
    assert(head.tags.length <= 255, 'a count of one byte is enough')
    parts.push(Buffer.of(head.tags.length))
    for (const { name, generation } of head.tags) {
      const bytes = Buffer.allocUnsafe(8)
      bytes.writeBigUInt64BE(generation)
      parts.push(shortText(name), bytes)
    }
  }
  if (head.keyId !== undefined) parts.push(shortText(head.keyId))
  return Buffer.concat(parts)
}

/** The envelope of a body that is not encrypted. */
export function plainEnvelope(head: Uint8Array, body: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(head.length + body.length + crcBytes)
  bytes.set(head)
  bytes.set(body, head.length)
  const end = head.length + body.length
  bytes.writeUInt32BE(nodeZlib().crc32(bytes.subarray(0, end)), end)
  return bytes
}

/** The envelope of an encrypted body. */
export function sealedEnvelope(head: Uint8Array, sealed: Sealed): Uint8Array {
  return Buffer.concat([head, sealed.nonce, sealed.bytes, sealed.mac])
}

/** Reads on and on, and remembers when it came to the end too early. */
class HeadReader {
  readonly #bytes: Buffer
  at = 0
  short = false

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  #take(count: number): number {
    const from = this.at
    if (from + count > this.#bytes.length) this.short = true
    else this.at += count
    return from
  }

  byte(): number {
    const from = this.#take(1)
    return this.short ? 0 : this.#bytes[from]!
  }

  uint32(): number {
    const from = this.#take(4)
    return this.short ? 0 : this.#bytes.readUInt32BE(from)
  }

  uint64(): bigint {
    const from = this.#take(8)
    return this.short ? 0n : this.#bytes.readBigUInt64BE(from)
  }

  text(): string {
    const from = this.#take(this.byte())
    return this.short ? '' : this.#bytes.toString('utf8', from, this.at)
  }
}

export interface Envelope {
  readonly head: Head
  /** The head's bytes, as a view of all. */
  readonly headBytes: Uint8Array
  /** As a view of all; of an encrypted one, see `sealed`. */
  readonly body: Uint8Array
  readonly sealed: Sealed | undefined
}

/** `format`: a version or flag of the future. `damaged`: cut short, or changed. */
export type EnvelopeFault = 'format' | 'damaged'

function readHead(reader: HeadReader, flags: number): Head {
  const codec = reader.text()
  const version = (flags & versionFlag) === 0 ? undefined : reader.uint32()
  const expiresAtMs = (flags & expiryFlag) === 0 ? undefined : Number(reader.uint64())
  const tags: TagGeneration[] = []
  const count = (flags & tagsFlag) === 0 ? 0 : reader.byte()
  for (let i = 0; i < count; i++) tags.push({ name: reader.text(), generation: reader.uint64() })
  const keyId = (flags & encryptedFlag) === 0 ? undefined : reader.text()
  // The flags were checked: the number names an algorithm.
  const compression = compressionNames[flags & compressionMask]!
  return { compression, isNull: (flags & nullFlag) !== 0, codec, version, expiresAtMs, tags, keyId }
}

/** Takes an envelope apart, without copying; never throws. What is encrypted is not checked here. */
export function openEnvelope(given: Uint8Array): Envelope | EnvelopeFault {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
  const reader = new HeadReader(bytes)
  const version = reader.byte()
  const flags = reader.byte()
  if (reader.short) return 'damaged'
  if (version !== formatVersion) return 'format'
  if ((flags & compressionMask) >= compressionNames.length) return 'format'
  const head = readHead(reader, flags)
  const from = head.keyId === undefined ? reader.at : reader.at + nonceBytes
  const end = bytes.length - (head.keyId === undefined ? crcBytes : macBytes)
  if (reader.short || end < from) return 'damaged'
  if (head.keyId === undefined && nodeZlib().crc32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) return 'damaged'
  const body = bytes.subarray(from, end)
  if (head.isNull && body.length > 0) return 'damaged'
  const sealed =
    head.keyId === undefined
      ? undefined
      : { nonce: bytes.subarray(reader.at, from), bytes: body, mac: bytes.subarray(end) }
  return { head, headBytes: bytes.subarray(0, reader.at), body, sealed }
}
