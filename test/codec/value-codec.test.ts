// Value codecs: a value through codec, compression, encryption and envelope and back; and every way in which bytes are no value.
// Not for: which values each codec keeps (codecs.test.ts).
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { limits } from '../../src/base/limits.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Encryption } from '../../src/codec/encryption.ts'
import { encodeHead, plainEnvelope } from '../../src/codec/envelope.ts'
import { jsonCodec } from '../../src/codec/json-codec.ts'
import { msgpackCodec } from '../../src/codec/msgpack-codec.ts'
import { rawCodec } from '../../src/codec/raw-codec.ts'
import { structuredCodec } from '../../src/codec/structured-codec.ts'
import { ValueCodec } from '../../src/codec/value-codec.ts'
import { jsonData, msgpackValue, structuredValue } from './values.ts'
import type { Codec } from '../../src/codec/codec.ts'
import type { UndecodableReason, ValueCodecOptions } from '../../src/codec/value-codec.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const key = 'users:42'
const ring = { current: 'k1', keys: { k1: Buffer.alloc(32, 1), k2: Buffer.alloc(32, 2) } }
const encrypted = (current = 'k1', keys: Record<string, Uint8Array> = ring.keys): { encryption: Encryption } => ({
  encryption: new Encryption({ current, keys }, systemRandom()),
})
const json = (options: Partial<ValueCodecOptions<unknown>> = {}): ValueCodec<unknown> =>
  new ValueCodec({ codec: jsonCodec(), ...options })
const tags = [
  { name: 'reports', generation: 0n },
  { name: 'ü', generation: 2n ** 64n - 1n },
]

describe('a value codec gives back value and tags', () => {
  const codecs: readonly (readonly [codec: Codec, values: fc.Arbitrary<unknown>])[] = [
    [structuredCodec(), structuredValue.filter(value => value !== undefined)],
    [msgpackCodec(), msgpackValue.filter(value => value !== undefined)],
    [jsonCodec(), jsonData.map(value => JSON.parse(JSON.stringify(value)) as unknown)],
  ]
  for (const [codec, values] of codecs) {
    test(`by ${codec.name}, with every mixture of options`, () => {
      const options = fc.record({
        algorithm: fc.constantFrom('none', 'gzip', 'brotli', 'zstd'),
        secret: fc.boolean(),
        version: fc.option(fc.nat(0xffff_ffff)),
        tagged: fc.boolean(),
      })
      const property = fc.property(values, options, (value, { algorithm, secret, version, tagged }) => {
        const make = (): ValueCodec<unknown> =>
          new ValueCodec({
            codec,
            compression: { algorithm, fromBytes: 0 },
            ...(secret ? encrypted() : {}),
            ...(version === null ? {} : { version }),
          })
        const bytes = make().encode(key, value, tagged ? { tags } : {})
        assert.deepStrictEqual(make().decode(key, bytes), {
          kind: 'value',
          value,
          tags: tagged ? tags : [],
          expiresAtMs: undefined,
        })
      })
      fc.assert(property, { numRuns: 300 })
    })
  }
  test('null is a value, whatever the codec says of it', () => {
    for (const options of [{}, encrypted(), { compression: { algorithm: 'gzip', fromBytes: 0 } as const }]) {
      const raw = new ValueCodec({ codec: rawCodec(), ...options })
      assert.deepStrictEqual(raw.decode(key, raw.encode(key, null, { tags, expiresAtMs: 7 })), {
        kind: 'value',
        value: null,
        tags,
        expiresAtMs: 7,
      })
    }
  })
  test('what was decoded shares no memory with the bytes', () => {
    const value = Buffer.from('some bytes')
    for (const codec of [rawCodec(), structuredCodec<Uint8Array>(), msgpackCodec<Uint8Array>()]) {
      const codecs = new ValueCodec<Uint8Array>({ codec })
      const shared = new Uint8Array(new SharedArrayBuffer(200))
      const encoded = codecs.encode(key, value)
      shared.set(encoded, 3)
      const decoded = codecs.decode(key, shared.subarray(3, 3 + encoded.length))
      shared.fill(0)
      assert.deepStrictEqual(decoded, { kind: 'value', value, tags: [], expiresAtMs: undefined }, codec.name)
    }
  })
  test('large values are compressed, before they are encrypted', () => {
    const value = 'ab'.repeat(10_000)
    const small = json({ compression: { algorithm: 'zstd' }, ...encrypted() }).encode(key, value)
    assert.ok(small.length < 200, `${small.length} bytes`)
    assert.ok(json(encrypted()).encode(key, value).length > 20_000)
    assert.deepStrictEqual(json(encrypted()).decode(key, small), {
      kind: 'value',
      value,
      tags: [],
      expiresAtMs: undefined,
    })
  })
})

describe('bytes that are no value to a keyspace', () => {
  const undecodable = (codec: ValueCodec<unknown>, bytes: Uint8Array, reason: UndecodableReason, from = key): void => {
    assert.deepStrictEqual(codec.decode(from, bytes), { kind: 'undecodable', reason })
  }
  const value = { name: 'Ada' }
  const headOf = (codec: string): Parameters<typeof encodeHead>[0] => ({
    compression: 'none',
    isNull: false,
    codec,
    version: undefined,
    expiresAtMs: undefined,
    tags: [],
    keyId: undefined,
  })

  test('of another codec, though it could read them', () => {
    undecodable(json(), new ValueCodec({ codec: rawCodec() }).encode(key, Buffer.from('5')), 'codec')
    undecodable(json(), new ValueCodec({ codec: rawCodec() }).encode(key, null), 'codec')
  })
  test('of another version', () => {
    undecodable(json({ version: 2 }), json({ version: 1 }).encode(key, value), 'version')
    undecodable(json({ version: 0 }), json().encode(key, value), 'version')
    undecodable(json(), json({ version: 0 }).encode(key, value), 'version')
  })
  test('of a key that the ring lacks, or of any key without a ring', () => {
    const bytes = json(encrypted('k2')).encode(key, value)
    undecodable(json(encrypted('k1', { k1: ring.keys.k1 })), bytes, 'key')
    undecodable(json(), bytes, 'key')
  })
  test('not encrypted where it should be', () => {
    undecodable(json(encrypted()), json().encode(key, value), 'plain')
    undecodable(json(encrypted()), json().encode(key, null), 'plain')
  })
  test('encrypted for another key of the keyspace: a value or a null', () => {
    for (const given of [value, null]) {
      const bytes = json(encrypted()).encode('users:1', given)
      undecodable(json(encrypted()), bytes, 'forged', 'users:2')
      assert.deepStrictEqual(json(encrypted()).decode('users:1', bytes), {
        kind: 'value',
        value: given,
        tags: [],
        expiresAtMs: undefined,
      })
    }
  })
  test('encrypted and changed anywhere, its head with tags and flags included', () => {
    const codec = json({ ...encrypted(), version: 3, compression: { algorithm: 'gzip', fromBytes: 0 } })
    const whole = Buffer.from(codec.encode(key, 'a'.repeat(100), { tags }))
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const bytes = Buffer.from(whole)
      bytes[bit >> 3] = bytes[bit >> 3]! ^ (1 << (bit & 7))
      assert.equal(codec.decode(key, bytes).kind, 'undecodable', `bit ${bit & 7} of byte ${bit >> 3}`)
    }
    for (let length = 0; length < whole.length; length++)
      assert.equal(codec.decode(key, whole.subarray(0, length)).kind, 'undecodable', `${length} bytes`)
  })
  test('cut short, empty or of something else', () => {
    const bytes = json().encode(key, 12345)
    undecodable(json(), bytes.subarray(0, -1), 'damaged')
    undecodable(json(), Buffer.alloc(0), 'damaged')
    undecodable(json(), Buffer.from('{"name":"Ada"}'), 'format')
  })
  test('compressed to a bomb', () => {
    const small = json({ valueBytesMax: 1000 })
    const head = encodeHead({ ...headOf('json'), compression: 'zstd' })
    const text = (length: number): Buffer => Buffer.from(JSON.stringify('a'.repeat(length - 2)))
    undecodable(small, plainEnvelope(head, zstdCompressSync(text(1001))), 'compression')
    assert.equal(small.decode(key, plainEnvelope(head, zstdCompressSync(text(1000)))).kind, 'value')
    undecodable(small, plainEnvelope(head, Buffer.from('no zstd')), 'compression')
  })
  test('that the codec itself cannot read', () => {
    const texts = ['{', '', 'undefined']
    for (const text of texts) undecodable(json(), plainEnvelope(encodeHead(headOf('json')), Buffer.from(text)), 'value')
    for (const codec of [structuredCodec(), msgpackCodec()]) {
      const bytes = plainEnvelope(encodeHead(headOf(codec.name)), Buffer.from('ff0f6f22', 'hex'))
      undecodable(new ValueCodec({ codec }), bytes, 'value')
    }
  })
  test('whatever they are, nothing is thrown', () => {
    for (const codec of [structuredCodec(), msgpackCodec(), jsonCodec(), rawCodec() as Codec]) {
      const values = new ValueCodec({ codec })
      const framed = fc.uint8Array({ maxLength: 60 }).map(body => plainEnvelope(encodeHead(headOf(codec.name)), body))
      const any = fc.oneof(framed, fc.uint8Array({ maxLength: 60 }))
      const kinds = new Set<string>()
      fc.assert(
        fc.property(any, bytes => {
          kinds.add(values.decode(key, bytes).kind)
        }),
        { numRuns: 2000 },
      )
      assert.ok(kinds.has('undecodable'), codec.name)
    }
  })
})

describe('what a value codec refuses to encode', () => {
  const refused = (encode: () => unknown, code: string, message: RegExp): void => {
    assert.throws(encode, { name: 'TidemarkError', code, message })
  }
  test('undefined is a miss and no value, whatever the codec', () => {
    for (const codec of [structuredCodec(), msgpackCodec(), jsonCodec(), rawCodec() as Codec])
      refused(
        () => new ValueCodec({ codec }).encode(key, undefined),
        'VALUE_UNENCODABLE',
        /"users:42" is undefined: null/,
      )
  })
  test('what the codec throws is told with the key and the codec, and kept as the cause', () => {
    const encode = (): unknown => json().encode(key, { n: 1n })
    refused(encode, 'VALUE_UNENCODABLE', /^the value of "users:42" cannot be encoded by the codec json: .*BigInt/)
    assert.throws(encode, (error: Error) => error.cause instanceof TypeError)
  })
  test('a value that is too large, encoded, or with its envelope', () => {
    const small = new ValueCodec({
      codec: rawCodec(),
      valueBytesMax: 100,
      compression: { algorithm: 'gzip', fromBytes: 0 },
    })
    refused(() => small.encode(key, Buffer.alloc(101)), 'VALUE_TOO_LARGE', /takes 101 bytes: 100 are allowed/)
    const noisy = Buffer.from(Array.from({ length: 100 }, (_, i) => (i * 7919) & 255))
    refused(() => small.encode(key, noisy), 'VALUE_TOO_LARGE', /takes 110 bytes: 100 are allowed/)
    assert.equal(small.decode(key, small.encode(key, Buffer.alloc(100))).kind, 'value')
  })
  test('tags that do not fit a record', () => {
    const tagged = (names: readonly string[]): Uint8Array =>
      json().encode(key, 1, { tags: names.map(name => ({ name, generation: 1n })) })
    refused(() => tagged(['']), 'TAG_INVALID', /has 0 bytes: 1 to 255/)
    refused(() => tagged(['ü'.repeat(128)]), 'TAG_INVALID', /has 256 bytes/)
    refused(() => tagged(['\udc00']), 'TAG_INVALID', /of UTF-8/)
    refused(() => tagged(Array<string>(65).fill('a')), 'TAG_INVALID', /has 65 tags: 64 are allowed/)
    assert.ok(tagged(Array<string>(limits.tagsPerValueMax).fill('a'.repeat(limits.tagBytesMax))).length > 64 * 255)
  })
  test('options that are none', () => {
    for (const version of [-1, 1.5, 2 ** 32, NaN]) refused(() => json({ version }), 'CODEC_INVALID', /version/)
    for (const valueBytesMax of [0, -1, NaN, limits.valueBytesMax + 1])
      refused(() => json({ valueBytesMax }), 'CODEC_INVALID', /bytes: 1 to 67108864 are allowed/)
    for (const name of ['', 'a b', 'ü', 'x'.repeat(33)])
      refused(() => json({ codec: { ...jsonCodec(), name } }), 'CODEC_INVALID', /1 to 32 printable ASCII/)
  })
})
