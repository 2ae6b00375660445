// One segment file: its name, making it so that it is whole or not there, and reading it. A file has its name only once its
// beginning is on the disk, so that a file without a good header was damaged later.
// Not for: bytes of records (record.ts), what several segments say together (recovery.ts).
import { join } from 'node:path'
import type { Random } from '../base/random.ts'
import {
  decodeHeader,
  encodeHeader,
  HEADER_BYTES,
  readRecord,
  RECORD_HEAD_BYTES,
  seedOf,
  syncedLater,
  writeRecord,
} from './record.ts'
import type { JournalFile, JournalStorage } from './storage.ts'

const SUFFIX = '.journal'
const UNFINISHED = `${SUFFIX}.tmp`
const NAME_DIGITS = 16
const SALTS = 2 ** 32

export interface JournalEntry {
  readonly sequence: number
  readonly content: Buffer
}

/** Where segments are, and how they are made. */
export interface SegmentFolder {
  readonly storage: JournalStorage
  readonly directory: string
  readonly random: Random
}

export interface OpenSegment {
  readonly file: JournalFile
  readonly seed: number
  readonly bytes: number
}

/** A segment's place: its name holds the number of its first entry, in decimal. */
export function segmentPath(directory: string, first: number): string {
  return join(directory, `${String(first).padStart(NAME_DIGITS, '0')}${SUFFIX}`)
}

/** The number that a segment's name holds; undefined for other files. */
export function firstOf(name: string): number | undefined {
  const digits = name.slice(0, NAME_DIGITS)
  return name.slice(NAME_DIGITS) === SUFFIX && /^\d+$/.test(digits) ? Number(digits) : undefined
}

/** Left by a process that ended while it made a segment: nothing was ever kept in it. */
export function isUnfinished(name: string): boolean {
  return name.endsWith(UNFINISHED) && firstOf(name.slice(0, -'.tmp'.length)) !== undefined
}

/** Writes all of `bytes`, in as many calls as it takes. */
export async function writeAll(file: JournalFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const written = await file.write(bytes.subarray(done), position + done)
    if (written === 0) throw new Error('the disk takes no more bytes')
    done += written
  }
}

/** A segment with `entries` in it, on the disk under its name when this resolves; one of the same name is replaced. */
export async function makeSegment(
  { storage, directory, random }: SegmentFolder,
  first: number,
  confirmed: number,
  entries: readonly JournalEntry[],
): Promise<OpenSegment> {
  let size = HEADER_BYTES
  for (const { content } of entries) size += RECORD_HEAD_BYTES + content.length
  const header = encodeHeader({ salt: random.below(SALTS), first, confirmed, synced: size })
  const seed = seedOf(header)
  const bytes = Buffer.allocUnsafe(size)
  let at = header.copy(bytes)
  for (const { sequence, content } of entries) {
    at = writeRecord(bytes, at, { kind: 'entry', sequence, synced: size }, content, seed)
  }
  const path = segmentPath(directory, first)
  const file = await storage.create(`${path}.tmp`)
  try {
    await writeAll(file, bytes, 0)
    await file.sync()
    await storage.rename(`${path}.tmp`, path)
    await storage.syncFolder(directory)
  } catch (thrown) {
    await file.close().catch(() => {})
    throw thrown
  }
  return { file, seed, bytes: size }
}

export interface ReadSegment {
  readonly first: number
  readonly entries: readonly JournalEntry[]
  /** The number behind its last entry. */
  readonly next: number
  /** All entries up to it were confirmed when the segment was last written to. */
  readonly confirmed: number
  readonly bytes: number
}

export interface SegmentDamage {
  /** In words that follow "it ". */
  readonly reason: string
  readonly at: number
  /** The first entry that cannot be read. */
  readonly sequence: number
}

/**
 * Reads a segment up to its end. In the last one (`torn` true) a bad end that was never known to be on the disk is left out;
 * anything else that is no record is damage.
 */
export function readSegment(bytes: Buffer, first: number, torn: boolean): ReadSegment | SegmentDamage {
  const header = decodeHeader(bytes)
  if (typeof header === 'string') return { reason: header, at: 0, sequence: first }
  if (header.first !== first) return { reason: `is the file of entry ${header.first}`, at: 0, sequence: first }
  const seed = seedOf(bytes)
  const entries: JournalEntry[] = []
  let { confirmed } = header
  let next = first
  let at = HEADER_BYTES
  while (at < bytes.length) {
    const record = readRecord(bytes, at, seed)
    const fits = record?.kind === 'entry' ? record.sequence === next : record !== undefined && record.sequence < next
    if (record === undefined || !fits) {
      if (torn && at >= header.synced && !syncedLater(bytes, at, seed)) break
      return { reason: 'holds no record', at, sequence: next }
    }
    if (record.kind === 'entry') entries.push({ sequence: next++, content: record.content })
    else confirmed = Math.max(confirmed, record.sequence)
    at = record.end
  }
  return { first, entries, next, confirmed, bytes: at }
}
