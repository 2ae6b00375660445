// All that stands between a keyspace's value and the bytes in a shared tier, in order: the codec, compression, encryption, the
// envelope. What it reads it takes as untrusted: whatever cannot be decoded is an outcome with its reason, which the reader
// treats as absent, and never an error of a request.
// Not for: whether the tags' generations are still the tags' (the reader compares them), and validation by a schema.
import { messageOf, TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { Compression, decompress } from './compression.ts'
import { encodeHead, openEnvelope, plainEnvelope, sealedEnvelope } from './envelope.ts'
import type { Codec } from './codec.ts'
import type { CompressionOptions } from './compression.ts'
import type { Encryption } from './encryption.ts'
import type { Envelope, EnvelopeFault, TagGeneration } from './envelope.ts'

/** Why bytes are no value to this keyspace. */
export type UndecodableReason =
  | EnvelopeFault
  /** Another codec wrote them. */
  | 'codec'
  /** They have another version than the keyspace, or one has none. */
  | 'version'
  /** Encrypted with a key that is not in the ring. */
  | 'key'
  /** Not encrypted, though the keyspace is. */
  | 'plain'
  /** Encrypted, and changed since, or of another record. */
  | 'forged'
  /** Not what the compression gave, or larger than values may be. */
  | 'compression'
  /** The codec could not read them. */
  | 'value'

/** What stands beside a value. */
export interface ValueFacts {
  readonly tags?: readonly TagGeneration[] | undefined
  /** Wall ms at which the value is over, wherever it has been since. */
  readonly expiresAtMs?: number | undefined
}

export interface Decoded<V> {
  readonly kind: 'value'
  readonly value: V | null
  readonly tags: readonly TagGeneration[]
  readonly expiresAtMs: number | undefined
}

export interface Undecodable {
  readonly kind: 'undecodable'
  readonly reason: UndecodableReason
}

export interface ValueCodecOptions<V> {
  readonly codec: Codec<V>
  /** Of the values' shape, in [0, 2^32): records of another version, or of none, read as absent. */
  readonly version?: number
  /** None by default. */
  readonly compression?: CompressionOptions
  /** None by default. One for each key ring, shared by its keyspaces. */
  readonly encryption?: Encryption
  /** Bytes of an encoded value, before and after compression; at most, and by default, limits.valueBytesMax. */
  readonly valueBytesMax?: number
}

function checkTags(tags: readonly TagGeneration[]): void {
  if (tags.length > limits.tagsPerValueMax)
    throw new TidemarkError(
      'TAG_INVALID',
      `a value has ${tags.length} tags: ${limits.tagsPerValueMax} are allowed (limits.tagsPerValueMax)`,
    )
  for (const { name } of tags) {
    const bytes = Buffer.byteLength(name)
    if (bytes === 0 || bytes > limits.tagBytesMax || !name.isWellFormed())
      throw new TidemarkError(
        'TAG_INVALID',
        `a tag has ${bytes} bytes: 1 to ${limits.tagBytesMax} of UTF-8 are allowed (limits.tagBytesMax)`,
      )
  }
}

/** Immutable but for the encryption's count. */
export class ValueCodec<V> {
  readonly #codec: Codec<V>
  readonly #version: number | undefined
  readonly #compression: Compression
  readonly #encryption: Encryption | undefined
  readonly #bytesMax: number

  /** Throws CODEC_INVALID for options that are none. */
  constructor(options: ValueCodecOptions<V>) {
    const { codec, version, valueBytesMax = limits.valueBytesMax } = options
    if (!/^[!-~]{1,32}$/.test(codec.name))
      throw new TidemarkError(
        'CODEC_INVALID',
        `a codec is called ${JSON.stringify(codec.name)}: 1 to 32 printable ASCII characters are allowed`,
      )
    if (version !== undefined && version >>> 0 !== version)
      throw new TidemarkError('CODEC_INVALID', `version ${version}: a whole number in [0, 2^32) is allowed`)
    if (!(valueBytesMax > 0 && valueBytesMax <= limits.valueBytesMax))
      throw new TidemarkError(
        'CODEC_INVALID',
        `values of ${valueBytesMax} bytes: 1 to ${limits.valueBytesMax} are allowed (limits.valueBytesMax)`,
      )
    this.#codec = codec
    this.#version = version
    this.#compression = new Compression(options.compression ?? { algorithm: 'none' })
    this.#encryption = options.encryption
    this.#bytesMax = valueBytesMax
  }

  /**
   * The bytes to keep under `key`. Throws VALUE_UNENCODABLE for undefined and for what the codec refuses, VALUE_TOO_LARGE,
   * TAG_INVALID, and ENCRYPTION_KEY_WORN.
   */
  encode(key: string, value: V | null, { tags = [], expiresAtMs }: ValueFacts = {}): Uint8Array {
    checkTags(tags)
    const isNull = value === null
    const encoded = isNull ? Buffer.alloc(0) : this.#encoded(key, value)
    const { algorithm, bytes } = this.#compression.compress(encoded)
    const head = encodeHead({
      compression: algorithm,
      isNull,
      codec: this.#codec.name,
      version: this.#version,
      expiresAtMs,
      tags,
      keyId: this.#encryption?.keyId,
    })
    const envelope =
      this.#encryption === undefined
        ? plainEnvelope(head, bytes)
        : sealedEnvelope(head, this.#encryption.seal(bytes, this.#bound(head, key)))
    this.#checkSize(key, envelope.length)
    return envelope
  }

  #encoded(key: string, value: V): Uint8Array {
    if (value === undefined)
      throw new TidemarkError('VALUE_UNENCODABLE', `the value of ${JSON.stringify(key)} is undefined: null is a value`)
    let bytes: Uint8Array
    try {
      bytes = this.#codec.encode(value)
    } catch (cause) {
      throw new TidemarkError(
        'VALUE_UNENCODABLE',
        `the value of ${JSON.stringify(key)} cannot be encoded by the codec ${this.#codec.name}: ${messageOf(cause)}`,
        { cause },
      )
    }
    this.#checkSize(key, bytes.length)
    return bytes
  }

  #checkSize(key: string, bytes: number): void {
    if (bytes > this.#bytesMax)
      throw new TidemarkError(
        'VALUE_TOO_LARGE',
        `the value of ${JSON.stringify(key)} takes ${bytes} bytes: ${this.#bytesMax} are allowed`,
      )
  }

  /** What a sealed body belongs to. The head says where it ends itself, so that no two pairs give the same bytes. */
  #bound(head: Uint8Array, key: string): Uint8Array {
    return Buffer.concat([head, Buffer.from(key)])
  }

  /** The value that encode() was given for this key, in memory of its own; or why there is none. Never throws. */
  decode(key: string, bytes: Uint8Array): Decoded<V> | Undecodable {
    const decoded = this.#decoded(key, bytes)
    return typeof decoded === 'object' ? decoded : { kind: 'undecodable', reason: decoded }
  }

  #decoded(key: string, bytes: Uint8Array): Decoded<V> | UndecodableReason {
    const envelope = openEnvelope(bytes)
    if (typeof envelope === 'string') return envelope
    const { head } = envelope
    if (head.codec !== this.#codec.name) return 'codec'
    if (head.version !== this.#version) return 'version'
    const body = this.#opened(key, envelope)
    if (typeof body === 'string') return body
    const { tags, expiresAtMs } = head
    if (head.isNull) return { kind: 'value', value: null, tags, expiresAtMs }
    const encoded = decompress({ algorithm: head.compression, bytes: body }, this.#bytesMax)
    if (encoded === undefined) return 'compression'
    try {
      return { kind: 'value', value: this.#codec.decode(encoded), tags, expiresAtMs }
    } catch {
      return 'value'
    }
  }

  #opened(key: string, { head, headBytes, body, sealed }: Envelope): Uint8Array | UndecodableReason {
    const encryption = this.#encryption
    if (head.keyId === undefined || sealed === undefined) return encryption === undefined ? body : 'plain'
    if (encryption === undefined || !encryption.has(head.keyId)) return 'key'
    return encryption.open(head.keyId, sealed, this.#bound(headBytes, key)) ?? 'forged'
  }
}
