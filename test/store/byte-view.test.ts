// Bytes through views, against the plain ways to do the same.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { hash32, hash32OfView } from '../../src/base/hash.ts'
import { ByteView, copyView, viewsEqual } from '../../src/store/byte-view.ts'

const bytes = fc.uint8Array({ maxLength: 100 })

test('what is copied through views is what was there, and nothing beside it', () => {
  const views = new ByteView()
  fc.assert(
    fc.property(bytes, fc.nat(20), fc.nat(20), (source, skipped, at) => {
      const start = Math.min(skipped, source.length)
      const target = Buffer.alloc(140, 0xee)
      const expected = Buffer.from(target)
      expected.set(source.subarray(start), at)
      copyView(views.of(source), start, new ByteView().of(target), at, source.length - start)
      assert.deepEqual(target, expected)
    }),
  )
})

test('views are equal exactly when their bytes are', () => {
  fc.assert(
    fc.property(bytes, fc.nat(20), fc.option(fc.nat(99)), (source, at, changed) => {
      const other = Buffer.alloc(at + source.length + 3, 0xee)
      other.set(source, at)
      if (changed !== null && changed < source.length) other[at + changed]! ^= 1
      const same = Buffer.from(source).equals(other.subarray(at, at + source.length))
      assert.equal(viewsEqual(new ByteView().of(source), 0, new ByteView().of(other), at, source.length), same)
    }),
  )
})

test('the hash of a view is the hash of its bytes', () => {
  fc.assert(
    fc.property(bytes, fc.nat(10), fc.integer(), (source, skipped, seed) => {
      const start = Math.min(skipped, source.length)
      const hash = hash32OfView(new ByteView().of(source), start, source.length, seed)
      assert.equal(hash, hash32(source, start, source.length, seed))
    }),
  )
})

test('the view of a part of a buffer begins where the part does', () => {
  const whole = Buffer.from('0123456789')
  const views = new ByteView()
  assert.equal(views.of(whole.subarray(3, 5)).getUint8(0), 0x33)
  assert.equal(views.of(whole).getUint8(0), 0x30)
  assert.equal(views.of(whole.subarray(3, 5)).byteLength, 2)
})
