// The journal's files while it is open: what is written goes to the last of them, which is followed by another at its size, and
// the first ones go once their entries are confirmed. One call at a time; after one that failed none may follow.
// Not for: who appended what, and who is told (journal.ts); what the files held before (recovery.ts).
import { assert } from '../base/assert.ts'
import { HEADER_BYTES, RECORD_HEAD_BYTES, writeRecord } from './record.ts'
import type { Recovered, Segment } from './recovery.ts'
import { makeSegment, segmentPath, writeAll } from './segment.ts'
import type { OpenSegment, SegmentFolder } from './segment.ts'

const NOTHING = new Uint8Array(0)

/** Entries that are numbered one after another. */
export interface Run {
  readonly first: number
  readonly entries: readonly Uint8Array[]
}

export class SegmentWriter {
  readonly #folder: SegmentFolder
  readonly #segments: Segment[]
  #current: OpenSegment
  #position: number
  /** Up to where the last file is known to be on the disk. */
  #synced: number
  #bytes: number
  /** What is confirmed: in what was written, in what is on the disk. */
  #confirmedWritten: number
  #confirmedSynced: number

  constructor(folder: SegmentFolder, { segments, current, confirmed }: Recovered) {
    this.#folder = folder
    this.#segments = segments
    this.#current = current
    this.#position = this.#synced = current.bytes
    this.#bytes = segments.reduce((sum, { bytes }) => sum + bytes, 0)
    this.#confirmedWritten = this.#confirmedSynced = confirmed
  }

  get files(): number {
    return this.#segments.length
  }

  /** Of all files. */
  get bytes(): number {
    return this.#bytes
  }

  /** Of the last file. */
  get position(): number {
    return this.#position
  }

  /** Whether nothing but its beginning is in the last file. */
  get fresh(): boolean {
    return this.#position === HEADER_BYTES
  }

  get confirmedWritten(): number {
    return this.#confirmedWritten
  }

  get confirmedSynced(): number {
    return this.#confirmedSynced
  }

  /** Whether a file could go if it were on the disk that all up to `confirmed` is. */
  frees(confirmed: number): boolean {
    return (this.#segments[1]?.first ?? Infinity) - 1 <= confirmed
  }

  /** The last file is followed by a new one, for entries from `first` on. */
  async follow(first: number, confirmed: number): Promise<void> {
    if (this.#synced < this.#position) await this.sync()
    const made = await makeSegment(this.#folder, first, confirmed, [])
    const before = this.#current
    // One without entries had the same name, and is replaced.
    if (this.#segments.at(-1)!.first === first) this.#bytes -= this.#segments.pop()!.bytes
    this.#segments.push({ first, bytes: made.bytes })
    this.#bytes += made.bytes
    this.#current = made
    this.#position = this.#synced = made.bytes
    this.#confirmedWritten = this.#confirmedSynced = confirmed
    await before.file.close()
  }

  /** Writes `runs`, whose records take `bytes`, and what is confirmed, if that is news. Not on the disk before `sync`. */
  async write(runs: readonly Run[], bytes: number, confirmed: number): Promise<void> {
    const { seed, file } = this.#current
    const confirms = confirmed > this.#confirmedWritten
    const out = Buffer.allocUnsafe(bytes + (confirms ? RECORD_HEAD_BYTES : 0))
    if (out.length === 0) return
    const synced = this.#synced
    let at = 0
    for (const { entries, first } of runs) {
      let sequence = first
      for (const entry of entries) {
        at = writeRecord(out, at, { kind: 'entry', sequence: sequence++, synced }, entry, seed)
      }
    }
    if (confirms) at = writeRecord(out, at, { kind: 'confirmed', sequence: confirmed, synced }, NOTHING, seed)
    assert(at === out.length, 'the records have the bytes that were counted')
    await writeAll(file, out, this.#position)
    this.#position += at
    this.#segments.at(-1)!.bytes += at
    this.#bytes += at
    this.#confirmedWritten = confirmed
  }

  async sync(): Promise<void> {
    await this.#current.file.sync()
    this.#synced = this.#position
    this.#confirmedSynced = this.#confirmedWritten
  }

  /** Files whose entries are all known to be confirmed, on the disk too, are removed. */
  async letGo(): Promise<void> {
    const { storage, directory } = this.#folder
    while (this.frees(this.#confirmedSynced)) {
      const { first, bytes } = this.#segments.shift()!
      this.#bytes -= bytes
      await storage.remove(segmentPath(directory, first))
    }
  }

  /** Never rejects. */
  async close(): Promise<void> {
    await this.#current.file.close().catch(() => {})
  }
}
