// How values stand in a tier that processes share. Rows of a table are their JSON, as servers keep them, so that servers and
// services share a tier. Everything else is in an envelope, by the codec of its keyspace.
import { assert } from '../base/assert.ts'
import type { Encryption } from '../codec/encryption.ts'
import { ValueCodec } from '../codec/value-codec.ts'
import { payloadOf, valueOf } from '../near/entry.ts'
import { rowFromJson, rowToJson } from '../source/json-source.ts'
import { UNDECODABLE, type PayloadCodec } from '../tier/codec-tier.ts'
import type { ResolvedKeyspace } from './options.ts'
import { checked, type StandardSchema } from './schema.ts'

/** Rows that are not as their schema says read as absent: they are loaded, and the load fails as it should. */
export class RowCodec implements PayloadCodec {
  readonly #schemas: ReadonlyMap<string, StandardSchema<unknown>>

  constructor(schemas: ReadonlyMap<string, StandardSchema<unknown>>) {
    this.#schemas = schemas
  }

  encode(key: string, payload: unknown): Uint8Array {
    return rowToJson(key, valueOf(payload))
  }

  async decode(key: string, bytes: Uint8Array): Promise<unknown> {
    try {
      const row = rowFromJson(bytes)
      const schema = this.#schemas.get(key.slice(0, key.indexOf(':')))
      return schema === undefined ? row : await checked(schema, key, row)
    } catch {
      return UNDECODABLE
    }
  }
}

/** Values of keyspaces without a log. Keyspaces are added as they come. */
export class ValueCodecs implements PayloadCodec {
  readonly #codecs = new Map<string, ValueCodec<unknown>>()
  readonly #schemas = new Map<string, StandardSchema<unknown>>()
  readonly #encryption: Encryption | undefined

  constructor(encryption: Encryption | undefined) {
    this.#encryption = encryption
  }

  add({ name, codec, compress, version, schema }: ResolvedKeyspace): void {
    const encryption = this.#encryption === undefined ? {} : { encryption: this.#encryption }
    const versioned = version === undefined ? {} : { version }
    const compression = compress === undefined ? {} : { compression: compress }
    this.#codecs.set(name, new ValueCodec<unknown>({ codec, ...compression, ...versioned, ...encryption }))
    if (schema !== undefined) this.#schemas.set(name, schema)
  }

  encode(key: string, payload: unknown): Uint8Array {
    return this.#codecOf(key).encode(key, valueOf(payload))
  }

  async decode(key: string, bytes: Uint8Array): Promise<unknown> {
    const decoded = this.#codecOf(key).decode(key, bytes)
    if (decoded.kind === 'undecodable') return UNDECODABLE
    const schema = this.#schemas.get(keyspaceOf(key))
    if (schema === undefined) return payloadOf(decoded.value)
    try {
      return payloadOf(await checked(schema, key, decoded.value))
    } catch {
      return UNDECODABLE
    }
  }

  #codecOf(key: string): ValueCodec<unknown> {
    const codec = this.#codecs.get(keyspaceOf(key))
    assert(codec !== undefined, 'a keyspace has a codec before it has values')
    return codec
  }
}

function keyspaceOf(key: string): string {
  return key.slice(0, key.indexOf(':'))
}
