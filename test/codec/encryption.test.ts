// Encryption: what opens and what does not, rotation of keys, and mistakes in a ring. Not for: the strength of AES-GCM.
import assert from 'node:assert/strict'
import { createDecipheriv } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { Encryption } from '../../src/codec/encryption.ts'
import type { KeyRing, Sealed } from '../../src/codec/encryption.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const k1 = Buffer.alloc(32, 1)
const k2 = Buffer.alloc(32, 2)
const ring: KeyRing = { current: 'k1', keys: { k1 } }
const bound = Buffer.from('head and key')
const encryption = (given: KeyRing = ring): Encryption => new Encryption(given, systemRandom())

describe('encryption', () => {
  test('gives back what was sealed, in any process with the key', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (bytes, bound) => {
        const sealed = encryption().seal(bytes, bound)
        assert.equal(sealed.bytes.length, bytes.length)
        assert.deepStrictEqual(encryption().open('k1', sealed, bound), Buffer.from(bytes))
      }),
    )
  })
  test('is AES-256-GCM as everybody else has it', () => {
    const sealed = encryption().seal(Buffer.from('secret'), bound)
    assert.equal(Buffer.from(sealed.bytes).includes('secret'), false)
    const opening = createDecipheriv('aes-256-gcm', k1, sealed.nonce).setAAD(bound).setAuthTag(sealed.mac)
    assert.equal(Buffer.concat([opening.update(sealed.bytes), opening.final()]).toString(), 'secret')
  })
  test('takes another nonce each time, of 96 random bits', () => {
    const random = seededRandom(1)
    const expected = Buffer.alloc(12)
    for (let at = 0; at < 12; at += 4) expected.writeUInt32LE(random.uint32(), at)
    assert.deepStrictEqual(new Encryption(ring, seededRandom(1)).seal(k2, bound).nonce, expected)
    const one = encryption()
    const nonces = Array.from({ length: 1000 }, () => Buffer.from(one.seal(k2, bound).nonce).toString('hex'))
    assert.equal(new Set(nonces).size, 1000)
  })
  test('opens nothing that was changed, bound to something else, or sealed with another key', () => {
    const sealed = encryption().seal(Buffer.from('secret'), bound)
    const flipped = (part: keyof Sealed, at: number): Sealed => {
      const bytes = Buffer.from(sealed[part])
      bytes[at] = bytes[at]! ^ 1
      return { ...sealed, [part]: bytes }
    }
    assert.notEqual(encryption().open('k1', sealed, bound), undefined)
    for (const part of ['nonce', 'bytes', 'mac'] as const) {
      for (let at = 0; at < sealed[part].length; at++)
        assert.equal(encryption().open('k1', flipped(part, at), bound), undefined, `byte ${at} of ${part}`)
    }
    assert.equal(encryption().open('k1', sealed, Buffer.from('head and kez')), undefined)
    assert.equal(encryption({ current: 'k1', keys: { k1: k2 } }).open('k1', sealed, bound), undefined)
    assert.equal(encryption().open('k2', sealed, bound), undefined)
  })
  test('keys rotate: all of the ring are read with, the current one is written with', () => {
    const before = encryption().seal(k2, bound)
    const rotated = encryption({ current: 'k2', keys: { k1, k2 } })
    assert.equal(rotated.keyId, 'k2')
    assert.deepStrictEqual(rotated.open('k1', before, bound), k2)
    const after = rotated.seal(k1, bound)
    assert.deepStrictEqual(encryption({ current: 'k2', keys: { k2 } }).open('k2', after, bound), k1)
    assert.equal(encryption({ current: 'k2', keys: { k2 } }).has('k1'), false)
  })
  test('a key that the caller overwrites later is still the key', () => {
    const key = Buffer.from(k1)
    const one = encryption({ current: 'k1', keys: { k1: key } })
    key.fill(9)
    assert.deepStrictEqual(encryption().open('k1', one.seal(k2, bound), bound), k2)
  })
  test('a key is counted, and refused once it was used as often as is safe', () => {
    const one = new Encryption(ring, systemRandom(), 3)
    for (let i = 1; i <= 3; i++) {
      one.seal(k2, bound)
      assert.equal(one.encryptions(), i)
    }
    assert.throws(() => one.seal(k2, bound), { code: 'ENCRYPTION_KEY_WORN', message: /"k1" has encrypted 3 values/ })
    assert.equal(one.encryptions(), 3)
  })
})

describe('a mistake in a key ring', () => {
  const refused = (given: KeyRing, message: RegExp): void => {
    assert.throws(() => encryption(given), { code: 'CODEC_INVALID', message })
  }
  test('a key of another size says how large it is, and not what it is', () => {
    for (const bytes of [0, 16, 31, 33, 64])
      refused(
        { current: 'k1', keys: { k1: Buffer.alloc(bytes, 'secret') } },
        new RegExp(
          `^encryption key "k1" is ${bytes} bytes: give a Uint8Array of 32 bytes, as crypto.randomBytes\\(32\\) makes$`,
        ),
      )
  })
  test('a key that is text says so, and not what it is', () => {
    const text = 'c2VjcmV0'.repeat(4) as unknown as Uint8Array
    refused(
      { current: 'k1', keys: { k1: text } },
      /^encryption key "k1" is a value of type string: give [^2]*32 bytes, as/,
    )
  })
  test('a current key that is not in the ring is named', () => {
    refused({ current: 'k3', keys: { k1, k2 } }, /"k3" is not in the ring, which has: k1, k2$/)
    refused({ current: 'k1', keys: {} }, /which has: none$/)
    refused({ current: 'toString', keys: { k1 } }, /"toString" is not in the ring/)
  })
  test('an id that does not fit a record is refused', () => {
    for (const id of ['', 'x'.repeat(65), '\ud800']) refused({ current: id, keys: { [id]: k1 } }, /1 to 64 of UTF-8/)
  })
})
