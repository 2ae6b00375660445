// A snapshot file: the plain records of a store, in the order in which they were met. Numbers are little-endian.
//
//   | header, 40 | frame, 16 | records ... | frame | records ... |  ...  | frame: end | totals, 24 |   and nothing behind it
//
// Header:   0  'TIDESNAP'          Frame:   0  kind: 'RECS' or 'ENDS'      Record:   0  bytes of the key: 16 bits
//           8  format version               4  bytes that follow it                  2  type: 8 bits (RecordType)
//          12  0                            8  records in them                       3  | 0:4 | expires | main | reads:2 |
//          16  created: wall clock,        12  checksum                              4  bytes of the value
//              ms, a double                                                          8  if it expires: wall clock, ms,
//          24  records: a double                                                        a double
//          32  0                           Totals: three doubles:                       then the key, then the value
//          36  checksum of 0..36            records, blocks, bytes before the end's frame
//
// A frame's checksum is the CRC-32 of the frame's first 12 bytes and of what follows the frame, begun with the checksum of the
// frame before (the first: with the CRC-32 of the header's first 24 bytes). So a block that is missing, repeated, or of another
// file is noticed where it happens, and the end frame stands for all that was written. The header's count is filled in at the
// end: until then it is NaN, and a file left like that is not complete.
//
// A value is what the store holds (store/hash-value.ts for hashes). Who changes that, or anything here, raises VERSION: files
// of another version are refused, never guessed at.
// Not for: reading and writing files (snapshot-writer.ts, snapshot-reader.ts).
import { crc32 } from 'node:zlib'
import { limits } from '../base/limits.ts'
import { RecordType } from './layout.ts'
import type { PlainRecord } from './store-records.ts'

export const VERSION = 1
export const HEADER_BYTES = 40
export const FRAME_BYTES = 16
export const TOTALS_BYTES = 24
/** A block is begun anew when it has so many bytes. */
export const BLOCK_BYTES = 1_048_576
/** The longest that a block may be: one with a record of the largest size behind others. */
export const BLOCK_BYTES_MAX: number = 2 * BLOCK_BYTES + limits.keyBytesMax + limits.valueBytesMax

const MAGIC = Buffer.from('TIDESNAP')
const SEED_BYTES = 24
const KIND_RECORDS = 0x53434552 // 'RECS'
const KIND_END = 0x53444e45 // 'ENDS'
const RECORD_HEAD_BYTES = 8
const FREQUENCY_MASK = 3
const MAIN = 4
const EXPIRES = 8

/** What is wrong with a file, in words that follow "it ". */
export class SnapshotRefusal extends Error {
  override readonly name = 'SnapshotRefusal'
}

export interface Header {
  readonly createdWallMs: number
  /** NaN while the file is being written. */
  readonly records: number
}

export function writeHeader(out: Buffer, { createdWallMs, records }: Header): void {
  out.fill(0, 0, HEADER_BYTES)
  MAGIC.copy(out)
  out.writeUInt32LE(VERSION, 8)
  out.writeDoubleLE(createdWallMs, 16)
  out.writeDoubleLE(records, 24)
  out.writeUInt32LE(crc32(out.subarray(0, 36)), 36)
}

/** Throws SnapshotRefusal when it is no header of a complete file of this version. */
export function readHeader(bytes: Buffer): Header {
  if (bytes.length < HEADER_BYTES) {
    const ours = MAGIC.subarray(0, bytes.length).equals(bytes.subarray(0, MAGIC.length))
    throw new SnapshotRefusal(ours ? 'is cut off' : 'is no snapshot of Tidemark')
  }
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new SnapshotRefusal('is no snapshot of Tidemark')
  if (crc32(bytes.subarray(0, 36)) !== bytes.readUInt32LE(36)) throw new SnapshotRefusal('is damaged at its beginning')
  const version = bytes.readUInt32LE(8)
  if (version !== VERSION) throw new SnapshotRefusal(`has format ${version}, and this version reads format ${VERSION}`)
  const header = { createdWallMs: bytes.readDoubleLE(16), records: bytes.readDoubleLE(24) }
  if (!Number.isSafeInteger(header.records)) throw new SnapshotRefusal('was not written to its end')
  return header
}

/** With what the first frame's checksum is begun. */
export function firstSeed(header: Buffer): number {
  return crc32(header.subarray(0, SEED_BYTES))
}

/** Writes the frame of the block whose content is out[FRAME_BYTES, end); returns its checksum. */
export function writeFrame(out: Buffer, end: number, records: number | 'end', seed: number): number {
  out.writeUInt32LE(records === 'end' ? KIND_END : KIND_RECORDS, 0)
  out.writeUInt32LE(end - FRAME_BYTES, 4)
  out.writeUInt32LE(records === 'end' ? 0 : records, 8)
  const checksum = crc32(out.subarray(FRAME_BYTES, end), crc32(out.subarray(0, 12), seed))
  out.writeUInt32LE(checksum, 12)
  return checksum
}

export interface Frame {
  readonly end: boolean
  readonly contentBytes: number
  readonly records: number
  readonly checksum: number
}

/** Throws SnapshotRefusal for what is no frame; whether it is damaged is known with its content only (checkBlock). */
export function readFrame(bytes: Buffer, place: number): Frame {
  const kind = bytes.readUInt32LE(0)
  const contentBytes = bytes.readUInt32LE(4)
  const end = kind === KIND_END
  const fits = end ? contentBytes === TOTALS_BYTES : contentBytes <= BLOCK_BYTES_MAX
  if ((!end && kind !== KIND_RECORDS) || !fits) throw damagedAt(place)
  return { end, contentBytes, records: bytes.readUInt32LE(8), checksum: bytes.readUInt32LE(12) }
}

/** Throws SnapshotRefusal unless the frame and its content are what was written behind the block that `seed` is of. */
export function checkBlock(frame: Buffer, content: Buffer, seed: number, place: number): void {
  if (crc32(content, crc32(frame.subarray(0, 12), seed)) !== frame.readUInt32LE(12)) throw damagedAt(place)
}

export function damagedAt(place: number): SnapshotRefusal {
  return new SnapshotRefusal(`is damaged at byte ${place}`)
}

export interface Totals {
  readonly records: number
  readonly blocks: number
  readonly bytes: number
}

export function writeTotals(out: Buffer, at: number, { records, blocks, bytes }: Totals): void {
  out.writeDoubleLE(records, at)
  out.writeDoubleLE(blocks, at + 8)
  out.writeDoubleLE(bytes, at + 16)
}

export function readTotals(content: Buffer): Totals {
  return { records: content.readDoubleLE(0), blocks: content.readDoubleLE(8), bytes: content.readDoubleLE(16) }
}

export function recordBytes({ keyStart, keyEnd, valueStart, valueEnd, expiresAtMs }: PlainRecord): number {
  return RECORD_HEAD_BYTES + (expiresAtMs === 0 ? 0 : 8) + (keyEnd - keyStart) + (valueEnd - valueStart)
}

/** Returns the place after it. */
export function writeRecord(out: Buffer, at: number, record: PlainRecord): number {
  const { bytes, type, keyStart, keyEnd, valueStart, valueEnd, expiresAtMs } = record
  out.writeUInt16LE(keyEnd - keyStart, at)
  out[at + 2] = type
  out[at + 3] = record.frequency | (record.main ? MAIN : 0) | (expiresAtMs === 0 ? 0 : EXPIRES)
  out.writeUInt32LE(valueEnd - valueStart, at + 4)
  at += RECORD_HEAD_BYTES
  if (expiresAtMs !== 0) at = out.writeDoubleLE(expiresAtMs, at)
  at += bytes.copy(out, at, keyStart, keyEnd)
  return at + bytes.copy(out, at, valueStart, valueEnd)
}

/** The record at content[at]; undefined when there is none that ends inside the content. Its valueEnd is the next one's place. */
export function readRecord(content: Buffer, at: number): PlainRecord | undefined {
  if (at + RECORD_HEAD_BYTES > content.length) return undefined
  const type = content[at + 2]! as RecordType
  const bits = content[at + 3]!
  const expires = (bits & EXPIRES) !== 0
  const keyStart = at + RECORD_HEAD_BYTES + (expires ? 8 : 0)
  const keyEnd = keyStart + content.readUInt16LE(at)
  const valueEnd = keyEnd + content.readUInt32LE(at + 4)
  const plain = type === RecordType.string || type === RecordType.hash
  if (valueEnd > content.length || !plain || bits > (EXPIRES | MAIN | FREQUENCY_MASK)) return undefined
  const expiresAtMs = expires ? content.readDoubleLE(at + RECORD_HEAD_BYTES) : 0
  if (expires && !Number.isFinite(expiresAtMs)) return undefined
  const frequency = bits & FREQUENCY_MASK
  const main = (bits & MAIN) !== 0
  return { bytes: content, type, keyStart, keyEnd, valueStart: keyEnd, valueEnd, expiresAtMs, frequency, main }
}
