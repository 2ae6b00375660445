// How values stand in a tier that processes share. Rows of a table are their JSON as the database's source spelt it, which is what
// servers keep, so that servers and services share a tier. Everything else is in an envelope, by the codec of its keyspace.
import { assert } from '../base/assert.ts'
import type { Encryption } from '../codec/encryption.ts'
import { rawCodec } from '../codec/raw-codec.ts'
import { ValueCodec } from '../codec/value-codec.ts'
import type { Clock } from '../base/clock.ts'
import { keyspaceOf } from './key.ts'
import type { TagBook } from './tag-book.ts'
import { factsOf, payloadOf, valueOf } from '../near/entry.ts'
import { rowFromJson } from '../source/json-source.ts'
import type { SpeltRows } from '../source/spelt-rows.ts'
import { UNDECODABLE, UNSURE, type PayloadCodec } from '../tier/codec-tier.ts'
import type { ResolvedKeyspace } from './options.ts'
import { checked, type StandardSchema } from './schema.ts'
import type { NoValueReason, TellNoValue } from './value-reports.ts'

/**
 * Rows of tables. Encrypted, they are in an envelope, which servers do not read: processes that encrypt have lanes of their
 * own. Rows that are not as their schema says read as absent: they are loaded, and the load fails as it should.
 */
export class RowCodec implements PayloadCodec {
  readonly #schemas: ReadonlyMap<string, StandardSchema<unknown>>
  readonly #spelt: SpeltRows
  readonly #sealed: ValueCodec<Uint8Array> | undefined
  readonly #tell: TellNoValue

  constructor(
    schemas: ReadonlyMap<string, StandardSchema<unknown>>,
    spelt: SpeltRows,
    encryption: Encryption | undefined,
    tell: TellNoValue = () => {},
  ) {
    this.#tell = tell
    this.#schemas = schemas
    this.#spelt = spelt
    this.#sealed = encryption && new ValueCodec({ codec: rawCodec(), encryption })
  }

  encode(key: string, payload: unknown): Uint8Array {
    const json = this.#spelt.of(payload)
    assert(json !== undefined, 'a row goes into the tier as its database spelt it')
    return this.#sealed === undefined ? json : this.#sealed.encode(key, json)
  }

  async decode(key: string, bytes: Uint8Array): Promise<unknown> {
    const json = this.#opened(key, bytes)
    if (typeof json === 'string') return this.#noValue(key, json)
    let row: unknown
    try {
      row = rowFromJson(json)
    } catch {
      return this.#noValue(key, 'value')
    }
    const schema = this.#schemas.get(keyspaceOf(key))
    if (schema === undefined) return row
    try {
      return await checked(schema, key, row)
    } catch {
      return this.#noValue(key, 'schema')
    }
  }

  #opened(key: string, bytes: Uint8Array): Uint8Array | NoValueReason {
    if (this.#sealed === undefined) return bytes
    const decoded = this.#sealed.decode(key, bytes)
    if (decoded.kind === 'undecodable') return decoded.reason
    return decoded.value ?? 'value'
  }

  #noValue(key: string, reason: NoValueReason): typeof UNDECODABLE {
    this.#tell(key, reason)
    return UNDECODABLE
  }
}

/** Of a keyspace. */
type CodecSettings = Pick<ResolvedKeyspace, 'name' | 'codec'> &
  Partial<Pick<ResolvedKeyspace, 'compress' | 'version' | 'schema'>>

/** Values of keyspaces without a log, with their time and their tags. Keyspaces are added as they come. */
export class ValueCodecs implements PayloadCodec {
  readonly #codecs = new Map<string, ValueCodec<unknown>>()
  readonly #schemas = new Map<string, StandardSchema<unknown>>()
  readonly #encryption: Encryption | undefined
  readonly #clock: Clock
  readonly #tags: TagBook
  readonly #tell: TellNoValue

  constructor(encryption: Encryption | undefined, clock: Clock, tags: TagBook, tell: TellNoValue) {
    this.#tell = tell
    this.#encryption = encryption
    this.#clock = clock
    this.#tags = tags
  }

  add({ name, codec, compress, version, schema }: CodecSettings): void {
    const encryption = this.#encryption === undefined ? {} : { encryption: this.#encryption }
    const versioned = version === undefined ? {} : { version }
    const compression = compress === undefined ? {} : { compression: compress }
    this.#codecs.set(name, new ValueCodec<unknown>({ codec, ...compression, ...versioned, ...encryption }))
    if (schema !== undefined) this.#schemas.set(name, schema)
  }

  encode(key: string, payload: unknown, lastsMs: number): Uint8Array {
    const { tags, ttlMs } = factsOf(payload)
    const expiresAtMs = ttlMs === undefined ? undefined : this.#clock.wallMs() + lastsMs
    return this.#codecOf(key).encode(key, valueOf(payload), { tags, expiresAtMs })
  }

  async decode(key: string, bytes: Uint8Array): Promise<unknown> {
    const decoded = this.#codecOf(key).decode(key, bytes)
    if (decoded.kind === 'undecodable') {
      this.#tell(key, decoded.reason)
      return UNDECODABLE
    }
    const { expiresAtMs } = decoded
    if (expiresAtMs !== undefined && expiresAtMs <= this.#clock.wallMs()) return UNDECODABLE
    const filed = decoded.tags
    const tags = filed.length === 0 ? undefined : await this.#tags.tokens(filed.map(({ name }) => name))
    if (tags === undefined && filed.length > 0) return UNSURE
    if (tags?.some(({ generation }, at) => generation !== filed[at]!.generation) === true) return UNDECODABLE
    const schema = this.#schemas.get(keyspaceOf(key))
    if (schema === undefined) return payloadOf(decoded.value, { tags, expiresAtMs })
    try {
      return payloadOf(await checked(schema, key, decoded.value), { tags, expiresAtMs })
    } catch {
      this.#tell(key, 'schema')
      return UNDECODABLE
    }
  }

  #codecOf(key: string): ValueCodec<unknown> {
    const codec = this.#codecs.get(keyspaceOf(key))
    assert(codec !== undefined, 'a keyspace has a codec before it has values')
    return codec
  }
}
