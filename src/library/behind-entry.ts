// One write as the journal keeps it: which key, and what it is to be. Values are as their keyspace's codec has them, rows of
// tables their JSON; both in an envelope, encrypted where a key ring is given.
// Not for: the journal's own frames (journal/record.ts).
//
//    0      1          5        5+n
//   | kind | n (u32)  | id     | value, in an envelope (kind 1) |      kind: 1 set, 2 remove; the id is UTF-8
import { assert } from '../base/assert.ts'
import { TidemarkError } from '../base/errors.ts'
import type { Codec } from '../codec/codec.ts'
import type { CompressionOptions } from '../codec/compression.ts'
import type { Encryption } from '../codec/encryption.ts'
import { rawCodec } from '../codec/raw-codec.ts'
import { ValueCodec } from '../codec/value-codec.ts'
import type { Write } from '../journal/pending-writes.ts'
import { payloadOf, valueOf } from '../near/entry.ts'
import { rowFromJson, rowToJson } from '../source/json-source.ts'

const SET = 1
const REMOVE = 2
const HEAD_BYTES = 5

export interface KeyedWrite {
  readonly id: string
  readonly write: Write
}

export function encodeEntry({ id, write }: KeyedWrite): Uint8Array {
  const name = Buffer.from(id)
  const value = write.kind === 'set' ? write.value : undefined
  const out = Buffer.allocUnsafe(HEAD_BYTES + name.length + (value?.length ?? 0))
  out[0] = value === undefined ? REMOVE : SET
  out.writeUInt32LE(name.length, 1)
  name.copy(out, HEAD_BYTES)
  if (value !== undefined) out.set(value, HEAD_BYTES + name.length)
  return out
}

export function decodeEntry(entry: Buffer): KeyedWrite {
  const kind = entry[0]
  assert(kind === SET || kind === REMOVE, 'an entry of the journal is a set or a removal')
  const end = HEAD_BYTES + entry.readUInt32LE(1)
  const id = entry.toString('utf8', HEAD_BYTES, end)
  return { id, write: kind === SET ? { kind: 'set', value: entry.subarray(end) } : { kind: 'remove' } }
}

export interface WriteValuesOptions {
  readonly keyspace: string
  /** Rows of a table: `codec` is not asked. */
  readonly rows: boolean
  readonly codec: Codec
  readonly compress: CompressionOptions | undefined
  readonly encryption: Encryption | undefined
}

/** The values of a keyspace as bytes, and back. */
export class WriteValues {
  readonly #keyspace: string
  readonly rows: boolean
  readonly #codec: ValueCodec<unknown>

  constructor({ keyspace, rows, codec, compress, encryption }: WriteValuesOptions) {
    this.#keyspace = keyspace
    this.rows = rows
    // As it was written, whatever the keyspace's `version` is by then.
    this.#codec = new ValueCodec<unknown>({
      codec: rows ? rawCodec() : codec,
      ...(compress === undefined ? {} : { compression: compress }),
      ...(encryption === undefined ? {} : { encryption }),
    })
  }

  /** Throws VALUE_UNENCODABLE, VALUE_TOO_LARGE, ROW_INVALID. */
  encode(id: string, payload: unknown): Uint8Array {
    const key = this.#keyOf(id)
    const value = valueOf(payload)
    return this.#codec.encode(key, this.rows ? rowToJson(key, value) : value)
  }

  /** A value of its own each time. Throws JOURNAL_UNREADABLE. */
  decode(id: string, bytes: Uint8Array): unknown {
    const key = this.#keyOf(id)
    const decoded = this.#codec.decode(key, bytes)
    if (decoded.kind === 'value') {
      return this.rows ? rowFromJson(decoded.value as Uint8Array) : payloadOf(decoded.value)
    }
    throw new TidemarkError(
      'JOURNAL_UNREADABLE',
      `'${key}' waits in the journal and cannot be read (${decoded.reason}): open the keyspace with the codec, and the ` +
        `encryption keys, that it was written with`,
    )
  }

  #keyOf(id: string): string {
    return `${this.#keyspace}:${id}`
  }
}
