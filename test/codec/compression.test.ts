// Compression: what it leaves alone, what it gives back, and bombs. Not for: how fast it is.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { limits } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { Compression, compressionNames, decompress } from '../../src/codec/compression.ts'
import type { CompressionName } from '../../src/codec/compression.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const algorithms = ['gzip', 'brotli', 'zstd'] as const
const roomy = 1 << 20

function noise(bytes: number): Buffer {
  const random = seededRandom(1)
  return Buffer.from(Array.from({ length: bytes }, () => random.below(256)))
}

describe('compression', () => {
  for (const algorithm of algorithms) {
    test(`by ${algorithm} gives back what it was given`, () => {
      const compression = new Compression({ algorithm, fromBytes: 0 })
      const part = fc.tuple(fc.uint8Array({ maxLength: 20 }), fc.nat(200))
      const bytes = fc
        .array(part)
        .map(parts => Buffer.concat(parts.flatMap(([one, times]) => Array<Uint8Array>(times).fill(one))))
      const seen = new Set<CompressionName>()
      fc.assert(
        fc.property(bytes, given => {
          const compressed = compression.compress(given)
          seen.add(compressed.algorithm)
          assert.ok(compressed.bytes.length <= given.length)
          assert.deepStrictEqual(Buffer.from(decompress(compressed, roomy)!), given)
        }),
      )
      assert.deepStrictEqual([...seen].sort(), [algorithm, 'none'].sort())
    })
    test(`by ${algorithm} begins at the size that is set, 4 KiB by default`, () => {
      const text = Buffer.alloc(limits.compressionFromBytes, 'ab')
      assert.equal(limits.compressionFromBytes, 4096)
      assert.equal(new Compression({ algorithm }).compress(text).algorithm, algorithm)
      assert.equal(new Compression({ algorithm }).compress(text.subarray(1)).algorithm, 'none')
      assert.equal(new Compression({ algorithm, fromBytes: 100 }).compress(text.subarray(0, 100)).algorithm, algorithm)
      assert.equal(new Compression({ algorithm, fromBytes: 100 }).compress(text.subarray(0, 99)).algorithm, 'none')
    })
    test(`by ${algorithm} is not kept when it saves less than a tenth`, () => {
      const compression = new Compression({ algorithm })
      const noisy = noise(10_000)
      assert.deepStrictEqual(compression.compress(noisy), { algorithm: 'none', bytes: noisy })
      // All noise but the last part, which takes nothing: so much of it is saved.
      const saving = (share: number): Buffer =>
        Buffer.concat([noise(10_000 * (1 - share)), Buffer.alloc(10_000 * share)])
      assert.equal(compression.compress(saving(0.08)).algorithm, 'none')
      assert.equal(compression.compress(saving(0.13)).algorithm, algorithm)
    })
    test(`by ${algorithm}, a bomb is refused at the bound and damage is refused`, () => {
      const bomb = new Compression({ algorithm }).compress(Buffer.alloc(roomy + 1))
      assert.equal(bomb.algorithm, algorithm)
      assert.ok(bomb.bytes.length < 4096)
      assert.equal(decompress(bomb, roomy), undefined)
      assert.equal(decompress(bomb, roomy + 1)?.length, roomy + 1)
      assert.equal(decompress({ algorithm, bytes: bomb.bytes.subarray(0, 20) }, roomy), undefined)
      assert.equal(decompress({ algorithm, bytes: noise(100) }, roomy), undefined)
    })
  }

  test('the numbers that stand in records never change', () => {
    assert.deepStrictEqual(compressionNames, ['none', 'gzip', 'brotli', 'zstd'])
  })
  test('bytes that are not compressed are given through', () => {
    const bytes = gzipSync('text')
    assert.equal(decompress({ algorithm: 'none', bytes }, 1), bytes)
  })
  test('options that are none are refused, and say what is allowed', () => {
    const wrong = { algorithm: 'lz4' as CompressionName }
    assert.throws(() => new Compression(wrong), { code: 'CODEC_INVALID', message: /"lz4": it is one of none, gzip/ })
    for (const fromBytes of [-1, NaN])
      assert.throws(() => new Compression({ algorithm: 'gzip', fromBytes }), { code: 'CODEC_INVALID' })
  })
})
