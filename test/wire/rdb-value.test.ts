// Dumped values: what is written reads back, and what is damaged on purpose (with a right checksum) is refused, never more.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { crc64 } from '../../src/base/crc64.ts'
import { lzfBytes } from '../../src/wire/lzf.ts'
import { listpackStrings, ziplistStrings } from '../../src/wire/packed-list.ts'
import { dumpHash, dumpString, readDump } from '../../src/wire/rdb-value.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

const BYTES_MAX = 1_000_000
const bytes = fc.uint8Array({ maxLength: 300 }).map(each => Buffer.from(each))

function sealed(body: Uint8Array): Buffer {
  const dump = Buffer.concat([body, Buffer.from([10, 0]), Buffer.alloc(8)])
  dump.writeBigUInt64LE(crc64(dump, 0, dump.length - 8), dump.length - 8)
  return dump
}

test('strings and hashes read back as they were written', () => {
  fc.assert(
    fc.property(bytes, fc.array(fc.tuple(bytes, bytes), { minLength: 1, maxLength: 100 }), (value, fields) => {
      assert.deepEqual(readDump(dumpString(value), BYTES_MAX), { kind: 'string', value })
      assert.deepEqual(readDump(dumpHash(fields), BYTES_MAX), { kind: 'hash', parts: fields.flat() })
    }),
  )
  const long = Buffer.alloc(70_000, 'x')
  assert.deepEqual(readDump(dumpString(long), BYTES_MAX), { kind: 'string', value: long })
})

test('whatever stands in front of a right checksum is read or refused, and nothing is thrown', () => {
  const type = fc.constantFrom(0, 4, 13, 16, 1, 9, 99)
  const packed = fc.tuple(type, bytes).map(([first, rest]) => Buffer.concat([Buffer.from([first]), rest]))
  const listpack = bytes.map(entries => {
    const list = Buffer.concat([Buffer.alloc(6), entries, Buffer.from([0xff])])
    list.writeUInt32LE(list.length, 0)
    return list
  })
  fc.assert(
    fc.property(packed, body => {
      const read = readDump(sealed(body), BYTES_MAX)
      if (read.kind === 'hash') assert.ok(read.parts.length > 0 && read.parts.length % 2 === 0)
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(listpack, list => {
      listpackStrings(list)
      ziplistStrings(list)
    }),
    { numRuns: 2000 },
  )
})

test('a length that nobody has is not believed', () => {
  const huge = Buffer.from([0, 0x81, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1])
  assert.deepEqual(readDump(sealed(huge), BYTES_MAX), { kind: 'bad', what: 'data' })
  const manyFields = Buffer.from([4, 0x80, 255, 255, 255, 255, 1, 65])
  assert.deepEqual(readDump(sealed(manyFields), BYTES_MAX), { kind: 'bad', what: 'data' })
  // Three bytes that promise 2,000,000 of them.
  const bomb = Buffer.from([0, 0xc3, 3, 0x80, 0, 0x1e, 0x84, 0x80, 0, 65, 65])
  assert.deepEqual(readDump(sealed(bomb), BYTES_MAX), { kind: 'bad', what: 'size' })
  for (const short of [Buffer.alloc(0), Buffer.alloc(9), sealed(Buffer.alloc(0))]) {
    assert.equal(readDump(short, BYTES_MAX).kind, 'bad')
  }
})

test('LZF unpacks runs and back references, and refuses those that reach outside', () => {
  const unpack = (packed: number[], length: number): string | undefined =>
    lzfBytes(Uint8Array.from(packed), 0, packed.length, length)?.toString()
  assert.equal(unpack([1, 97, 98, 0x20 | 0, 1], 5), 'ababa')
  assert.equal(unpack([0, 97, 0xe0, 11, 0], 21), 'a'.repeat(21))
  assert.equal(unpack([0, 97, 0x20, 1], 4), undefined, 'two bytes back of one')
  assert.equal(unpack([0, 97, 0x20, 0], 3), undefined, 'more than there should be')
  assert.equal(unpack([0, 97], 2), undefined, 'less')
  assert.equal(unpack([5, 97], 6), undefined, 'cut')
})

test('a ziplist of Redis 6 and before reads like a listpack', () => {
  // f1 = v1, n = 12, m = -300, b = 100000, as ziplistPush would write them.
  const entries: number[] = []
  let previous = 0
  const push = (...entry: number[]): void => {
    entries.push(previous, ...entry)
    previous = entry.length + 1
  }
  push(2, 0x66, 0x31)
  push(2, 0x76, 0x31)
  push(1, 0x6e)
  push(0xfd)
  push(1, 0x6d)
  push(0xc0, 0xd4, 0xfe)
  push(1, 0x62)
  push(0xf0, 0xa0, 0x86, 0x01)
  const list = Buffer.concat([Buffer.alloc(10), Buffer.from(entries), Buffer.from([0xff])])
  list.writeUInt32LE(list.length, 0)
  list.writeUInt32LE(list.length - 1 - previous, 4)
  list.writeUInt16LE(8, 8)
  assert.deepEqual(ziplistStrings(list)?.map(String), ['f1', 'v1', 'n', '12', 'm', '-300', 'b', '100000'])
  const dump = sealed(Buffer.concat([Buffer.from([13, list.length]), list]))
  assert.equal(readDump(dump, BYTES_MAX).kind, 'hash')
})

test('a listpack entry is followed by its own length, in one byte up to 127 and in two from 128 on', () => {
  for (const length of [1, 60, 125, 126, 127, 4000]) {
    const entry = length < 64 ? [0x80 | length] : [0xe0 | (length >>> 8), length & 0xff]
    const size = entry.length + length
    const backwards = size < 128 ? [size] : [size >>> 7, 0x80 | (size & 0x7f)]
    const text = Buffer.alloc(length, 'x')
    const body = [Buffer.from(entry), text, Buffer.from(backwards), Buffer.from([5, 1])]
    const list = Buffer.concat([Buffer.alloc(6), ...body, Buffer.from([0xff])])
    list.writeUInt32LE(list.length, 0)
    assert.deepEqual(listpackStrings(list)?.map(String), [text.toString(), '5'])
  }
})
