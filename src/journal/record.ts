// A segment of the journal, as bytes. Numbers are little-endian.
//
//   | header, 40 | record | record | ...                   A record:  0  checksum: CRC-32 of 4..end, begun with the header's
//                                                                     4  bytes of the content
//   Header:   0  'TIDEJRNL'                                           8  sequence number: a double
//             8  format version                                      16  bytes of this file that were known to be on the
//            12  salt: random                                            disk when this record was written
//            16  first sequence number: a double                     20  kind: 'ENTR' or 'CONF'
//            24  confirmed: a double                                 24  the content
//            32  bytes on the disk then
//            36  checksum of 0..36
//
// An entry has the sequence number after that of the entry before, over all segments. CONF has no content; its number says that
// all entries up to it are where they were meant to go. The header's `confirmed` says the same of when the segment was begun.
// A record is bound to its file by the salt: what an older file left on the disk, or a copy of another one, is no record here.
// Bytes 16..20 tell a torn end from damage: behind what is torn there is no record that was written after it was synced.
// Not for: files (storage.ts), which segments there are (recovery.ts).
import { nodeZlib } from '../base/node-modules.ts'

export const HEADER_BYTES = 40
export const RECORD_HEAD_BYTES = 24

const MAGIC = Buffer.from('TIDEJRNL')
const VERSION = 1
const ENTRY = Buffer.from('ENTR').readUInt32LE()
const CONFIRMED = Buffer.from('CONF').readUInt32LE()
const KIND_AT = 20

export interface SegmentHeader {
  readonly salt: number
  /** Of the first entry that the segment may hold. */
  readonly first: number
  /** All entries up to it were confirmed when the segment was begun. */
  readonly confirmed: number
  /** Bytes of the file that were on the disk before it had its name. */
  readonly synced: number
}

export function encodeHeader({ salt, first, confirmed, synced }: SegmentHeader): Buffer {
  const out = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(out)
  out.writeUInt32LE(VERSION, 8)
  out.writeUInt32LE(salt, 12)
  out.writeDoubleLE(first, 16)
  out.writeDoubleLE(confirmed, 24)
  out.writeUInt32LE(synced, 32)
  out.writeUInt32LE(nodeZlib().crc32(out.subarray(0, 36)), 36)
  return out
}

/** A string says what is wrong, in words that follow "it ". */
export function decodeHeader(bytes: Buffer): SegmentHeader | string {
  const ours = bytes.length >= HEADER_BYTES && bytes.subarray(0, MAGIC.length).equals(MAGIC)
  if (!ours || nodeZlib().crc32(bytes.subarray(0, 36)) !== bytes.readUInt32LE(36))
    return 'does not begin as a journal file does'
  const version = bytes.readUInt32LE(8)
  if (version !== VERSION) return `has format ${version}, and this version reads format ${VERSION}`
  return {
    salt: bytes.readUInt32LE(12),
    first: bytes.readDoubleLE(16),
    confirmed: bytes.readDoubleLE(24),
    synced: bytes.readUInt32LE(32),
  }
}

/** What the checksums of a segment's records begin with. */
export function seedOf(header: Buffer): number {
  return header.readUInt32LE(36)
}

export interface RecordHead {
  readonly kind: 'entry' | 'confirmed'
  readonly sequence: number
  readonly synced: number
}

/** Writes a record at `at`, for which there must be room; returns the position behind it. */
export function writeRecord(out: Buffer, at: number, head: RecordHead, content: Uint8Array, seed: number): number {
  const end = at + RECORD_HEAD_BYTES + content.length
  out.writeUInt32LE(content.length, at + 4)
  out.writeDoubleLE(head.sequence, at + 8)
  out.writeUInt32LE(head.synced, at + 16)
  out.writeUInt32LE(head.kind === 'entry' ? ENTRY : CONFIRMED, at + KIND_AT)
  out.set(content, at + RECORD_HEAD_BYTES)
  out.writeUInt32LE(nodeZlib().crc32(out.subarray(at + 4, end), seed), at)
  return end
}

export interface ReadRecord extends RecordHead {
  /** Within the bytes that were read. */
  readonly content: Buffer
  readonly end: number
}

/** undefined when there is no whole record of this segment at `at`. */
export function readRecord(bytes: Buffer, at: number, seed: number): ReadRecord | undefined {
  if (at + RECORD_HEAD_BYTES > bytes.length) return undefined
  const kind = bytes.readUInt32LE(at + KIND_AT)
  if (kind !== ENTRY && kind !== CONFIRMED) return undefined
  const end = at + RECORD_HEAD_BYTES + bytes.readUInt32LE(at + 4)
  if (end > bytes.length) return undefined
  if (nodeZlib().crc32(bytes.subarray(at + 4, end), seed) !== bytes.readUInt32LE(at)) return undefined
  return {
    kind: kind === ENTRY ? 'entry' : 'confirmed',
    sequence: bytes.readDoubleLE(at + 8),
    synced: bytes.readUInt32LE(at + 16),
    content: bytes.subarray(at + RECORD_HEAD_BYTES, end),
    end,
  }
}

/** Whether a record behind `at` shows that what is at `at` had been on the disk already. */
export function syncedLater(bytes: Buffer, at: number, seed: number): boolean {
  for (const kind of [ENTRY, CONFIRMED]) {
    const name = Buffer.alloc(4)
    name.writeUInt32LE(kind)
    for (let found = bytes.indexOf(name, at + KIND_AT); found >= 0; found = bytes.indexOf(name, found + 1)) {
      const record = readRecord(bytes, found - KIND_AT, seed)
      if (record !== undefined && record.synced > at) return true
    }
  }
  return false
}
