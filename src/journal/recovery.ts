// What a folder of segments holds when a journal is opened, however the process before it ended. The last segment is written
// anew, without a torn end: what a process that was killed left in the system's memory, or a disk that failed to keep it, is
// on the disk for certain then. Segments before the last were on the disk before the next was begun: whatever is wrong with
// one that is still needed is damage, and an error. Those whose entries are all confirmed are neither read nor kept.
// Not for: writing while the journal is open (journal.ts).
import { join } from 'node:path'
import { TidemarkError } from '../base/errors.ts'
import { firstOf, isUnfinished, makeSegment, readSegment, segmentPath } from './segment.ts'
import type { JournalEntry, OpenSegment, ReadSegment, SegmentDamage, SegmentFolder } from './segment.ts'

/** A segment that is there, while the journal is open. */
export interface Segment {
  /** The number of the first entry that it may hold. */
  readonly first: number
  bytes: number
}

export interface Recovered {
  /** Oldest first; `current` is the last of them. */
  readonly segments: Segment[]
  readonly current: OpenSegment
  readonly confirmed: number
  /** The number of the next entry. */
  readonly next: number
  /** All that is not confirmed, in order. */
  readonly entries: readonly JournalEntry[]
}

class Recovery {
  readonly #folder: SegmentFolder
  #firsts: number[] = []

  constructor(folder: SegmentFolder) {
    this.#folder = folder
  }

  async run(): Promise<Recovered> {
    const { storage, directory } = this.#folder
    const names = await storage.list(directory)
    for (const name of names) if (isUnfinished(name)) await storage.remove(join(directory, name))
    this.#firsts = names.flatMap(name => firstOf(name) ?? []).sort((a, b) => a - b)
    const newest = this.#firsts.at(-1)
    if (newest === undefined) return this.#begin(1)
    const last = await this.#read(newest, true)
    // More is confirmed than is there only where a damaged file was cut by hand.
    if (last.confirmed >= last.next - 1) return this.#begin(last.confirmed + 1)
    return this.#continue(last)
  }

  /** Nothing is left to do: a new segment, and all others go. */
  async #begin(next: number): Promise<Recovered> {
    const current = await makeSegment(this.#folder, next, next - 1, [])
    await this.#remove(this.#firsts.filter(first => first !== next))
    const segments = [{ first: next, bytes: current.bytes }]
    return { segments, current, confirmed: next - 1, next, entries: [] }
  }

  async #continue(last: ReadSegment): Promise<Recovered> {
    const { confirmed, next } = last
    const isNeeded = (index: number): boolean => (this.#firsts[index + 1] ?? next) > confirmed + 1
    const needed = this.#firsts.filter((_, index) => isNeeded(index))
    if (needed[0]! > confirmed + 1) throw this.#missing(confirmed + 1, needed[0]! - 1, needed[0]!)
    const read: ReadSegment[] = []
    for (const [index, first] of needed.slice(0, -1).entries()) {
      const segment = await this.#read(first, false)
      const following = needed[index + 1]!
      if (segment.next !== following) throw this.#missing(segment.next, following - 1, following)
      read.push(segment)
    }
    const current = await makeSegment(this.#folder, last.first, confirmed, last.entries)
    await this.#remove(this.#firsts.filter((_, index) => !isNeeded(index)))
    const segments = read.map(({ first, bytes }): Segment => ({ first, bytes }))
    segments.push({ first: last.first, bytes: current.bytes })
    const entries = [...read, last].flatMap(segment => segment.entries.filter(({ sequence }) => sequence > confirmed))
    return { segments, current, confirmed, next, entries }
  }

  async #read(first: number, torn: boolean): Promise<ReadSegment> {
    const file = segmentPath(this.#folder.directory, first)
    const read = readSegment(await this.#folder.storage.read(file), first, torn)
    if ('reason' in read) throw this.#damaged(file, first, read)
    return read
  }

  async #remove(firsts: readonly number[]): Promise<void> {
    const { storage, directory } = this.#folder
    for (const first of firsts) await storage.remove(segmentPath(directory, first))
  }

  #laterThan(first: number): string {
    const later = this.#firsts.filter(other => other > first).map(other => segmentPath(this.#folder.directory, other))
    return later.length === 0 ? '' : ` and move ${later.join(', ')} out of the folder`
  }

  #damaged(file: string, first: number, { reason, at, sequence }: SegmentDamage): TidemarkError {
    const giveUp = at === 0 ? `move ${file} out of the folder` : `cut ${file} to its first ${at} bytes`
    const message =
      `${file} is damaged at byte ${at}: it ${reason} there. Nothing was changed. Put back a copy of the file; or give up ` +
      `entry ${sequence} and all after it, which then are never written to the source: ${giveUp}${this.#laterThan(first)}`
    return new TidemarkError('JOURNAL_DAMAGED', message)
  }

  #missing(from: number, to: number, before: number): TidemarkError {
    const file = segmentPath(this.#folder.directory, before)
    const message =
      `entries ${from} to ${to} are missing before ${file}, byte 0. Nothing was changed. Put back the files that held them; or give up ` +
      `entry ${from} and all after it, which then are never written to the source: move ${file} out of the folder${this.#laterThan(before)}`
    return new TidemarkError('JOURNAL_DAMAGED', message)
  }
}

/** Throws JOURNAL_DAMAGED, and what the file system says. */
export function recover(folder: SegmentFolder): Promise<Recovered> {
  return new Recovery(folder).run()
}
