// CRC-64: the value that Redis tests its own with.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { crc64 } from '../../src/base/crc64.ts'

test("the checksum of the well-known digits is that of Redis' own self-test", () => {
  assert.equal(crc64(Buffer.from('123456789')), 0xe9c6d914c4b8d9can)
  assert.equal(crc64(Buffer.from('x123456789y'), 1, 10), 0xe9c6d914c4b8d9can)
  assert.equal(crc64(Buffer.alloc(0)), 0n)
})
