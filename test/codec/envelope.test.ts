// The envelope: heads of all kinds survive; what is unknown, cut short or changed is told apart from what is whole.
// Not for: encrypted bodies, which the envelope cannot check (value-codec.test.ts).
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { compressionNames } from '../../src/codec/compression.ts'
import { encodeHead, openEnvelope, plainEnvelope, sealedEnvelope } from '../../src/codec/envelope.ts'
import type { Head } from '../../src/codec/envelope.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const plain: Head = {
  compression: 'none',
  isNull: false,
  codec: 'raw',
  version: undefined,
  expiresAtMs: undefined,
  tags: [],
  keyId: undefined,
}

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(text => Buffer.byteLength(text) <= 255)
const ordinary = { noNullPrototype: true } as const
const tag = fc.record({ name, generation: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }, ordinary)
const head: fc.Arbitrary<Head> = fc.record(
  {
    compression: fc.constantFrom(...compressionNames),
    isNull: fc.boolean(),
    codec: fc.stringMatching(/^[!-~]{1,32}$/),
    version: fc.option(fc.nat(0xffff_ffff), { nil: undefined }),
    expiresAtMs: fc.option(fc.nat(Number.MAX_SAFE_INTEGER), { nil: undefined }),
    tags: fc.array(tag, { maxLength: 64 }),
    keyId: fc.option(name, { nil: undefined }),
  },
  ordinary,
)

function opened(bytes: Uint8Array): Exclude<ReturnType<typeof openEnvelope>, string> {
  const envelope = openEnvelope(bytes)
  assert.ok(typeof envelope !== 'string', `opened as ${envelope as string}`)
  return envelope
}

describe('an envelope', () => {
  test('keeps head and body of every kind', () => {
    fc.assert(
      fc.property(head, fc.uint8Array({ maxLength: 100 }), (head, given) => {
        const body = head.isNull ? new Uint8Array() : given
        const headBytes = encodeHead(head)
        const sealed = { nonce: Buffer.alloc(12, 1), bytes: body, mac: Buffer.alloc(16, 2) }
        const bytes = head.keyId === undefined ? plainEnvelope(headBytes, body) : sealedEnvelope(headBytes, sealed)
        const envelope = opened(bytes)
        assert.deepStrictEqual(envelope.head, head)
        assert.deepStrictEqual(Buffer.from(envelope.headBytes), Buffer.from(headBytes))
        assert.deepStrictEqual(Buffer.from(envelope.body), Buffer.from(body))
        if (head.keyId === undefined) assert.equal(envelope.sealed, undefined)
        else {
          assert.deepStrictEqual(envelope.sealed?.nonce, sealed.nonce)
          assert.deepStrictEqual(envelope.sealed.mac, sealed.mac)
        }
      }),
    )
  })
  test('is laid out as its drawing says', () => {
    const tags = [{ name: 'ü', generation: 258n }]
    const head = encodeHead({ ...plain, compression: 'zstd', version: 7, expiresAtMs: 515, tags })
    const bytes = Buffer.from(plainEnvelope(head, Buffer.from('body')))
    const drawn = '01 e3 03726177 00000007 0000000000000203 01 02c3bc 0000000000000102 626f6479'.replaceAll(' ', '')
    assert.equal(bytes.toString('hex', 0, bytes.length - 4), drawn)
  })
  test('adds ten bytes to a value of the raw codec', () => {
    assert.equal(plainEnvelope(encodeHead(plain), new Uint8Array(5)).length, 15)
  })
})

describe('what is no envelope', () => {
  const whole = Buffer.from(plainEnvelope(encodeHead({ ...plain, version: 1 }), Buffer.from('some body')))
  const changed = (at: number, byte: number): Buffer => {
    const bytes = Buffer.from(whole)
    bytes[at] = byte
    return bytes
  }
  test('cut short anywhere, it is damaged', () => {
    for (let length = 0; length < whole.length; length++)
      assert.equal(openEnvelope(whole.subarray(0, length)), 'damaged', `of ${length} bytes`)
  })
  test('with bytes left over, it is damaged', () => {
    assert.equal(openEnvelope(Buffer.concat([whole, Buffer.of(0)])), 'damaged')
  })
  test('with any bit changed, it is damaged or of an unknown format', () => {
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const at = bit >> 3
      const bytes = changed(at, whole[at]! ^ (1 << (bit & 7)))
      const got = openEnvelope(bytes)
      // A flag that turns encryption on takes the checksum away: what is left is for the cipher to refuse.
      if (typeof got !== 'string') assert.notEqual(got.sealed, undefined, `bit ${bit} of byte ${at} went unnoticed`)
      if (at === 0) assert.equal(got, 'format')
    }
  })
  test('a version or a flag of the future is an unknown format', () => {
    assert.equal(openEnvelope(changed(0, 2)), 'format')
    assert.equal(openEnvelope(changed(1, whole[1]! | 7)), 'format')
    for (const algorithm of [4, 5, 6, 7]) assert.equal(openEnvelope(changed(1, whole[1]! | algorithm)), 'format')
  })
  test('a length that leads past the end is damaged, where no checksum would tell', () => {
    const head = Buffer.from(encodeHead({ ...plain, keyId: 'k1', tags: [{ name: 'tag', generation: 1n }] }))
    const sealed = { nonce: Buffer.alloc(12), bytes: Buffer.alloc(50), mac: Buffer.alloc(16) }
    assert.equal(typeof openEnvelope(sealedEnvelope(head, sealed)), 'object')
    for (const text of ['raw', 'tag', 'k1']) {
      const wrong = Buffer.from(head)
      wrong[head.indexOf(text) - 1] = 255
      assert.equal(openEnvelope(sealedEnvelope(wrong, sealed)), 'damaged', `the length of ${text}`)
    }
  })
  test('a null with a body is damaged', () => {
    assert.equal(openEnvelope(plainEnvelope(encodeHead({ ...plain, isNull: true }), Buffer.of(1))), 'damaged')
  })
  test('nothing is thrown, whatever the bytes', () => {
    const begun = fc
      .tuple(fc.nat(127), fc.uint8Array({ maxLength: 80 }))
      .map(([flags, rest]) => Buffer.of(1, flags, ...rest))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), begun), bytes => {
        const got = openEnvelope(bytes)
        assert.ok(got === 'format' || got === 'damaged' || (typeof got === 'object' && got.sealed !== undefined))
      }),
      { numRuns: 2000 },
    )
  })
})
