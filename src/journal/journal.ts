// An append-only journal on this machine's disk: what it has acknowledged survives the end of the process and of the machine's
// power, and is handed out again when the journal is opened next, until it is confirmed. All that is appended while the disk
// is busy goes to it together, with one sync.
// A sync that failed may have lost what it was for, and the next one would not say so: after any failure of the disk nothing
// is taken until the journal is opened again.
// Not for: what the entries mean (pending-writes.ts knows of writes by key); undoing an append (after a failure, an entry that
// was not acknowledged may be there or not); a second copy on another machine.
import { join } from 'node:path'
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { afterThisTurn } from '../base/turn.ts'
import { HEADER_BYTES, RECORD_HEAD_BYTES } from './record.ts'
import { recover } from './recovery.ts'
import { SegmentWriter } from './segment-writer.ts'
import type { Run } from './segment-writer.ts'
import type { JournalEntry } from './segment.ts'
import type { JournalStorage } from './storage.ts'

const LOCK_FILE = 'journal.lock'

export interface JournalOptions {
  /** Made if it is not there; nothing else should be in it. */
  readonly directory: string
  readonly clock: Clock
  readonly random: Random
  readonly storage: JournalStorage
  /** Bytes from which on a file is followed by another (16 MiB). */
  readonly fileBytesMax?: number
  /** Bytes of all files, at least four times `fileBytesMax` (256 MiB). One append may have up to half of it. */
  readonly bytesMax?: number
}

export interface OpenedJournal {
  readonly journal: Journal
  /** What was appended and not confirmed, in order. */
  readonly entries: readonly JournalEntry[]
}

export interface JournalStatistics {
  readonly files: number
  readonly bytes: number
  /** Entries that are acknowledged and not confirmed. */
  readonly unconfirmed: number
  readonly syncs: number
  /** What all syncs took together, and the slowest of them, with the writes before them. */
  readonly syncMs: number
  readonly slowestSyncMs: number
}

interface Append extends Run {
  /** On the disk. */
  readonly bytes: number
  readonly durable: ((first: number) => void) | undefined
  readonly resolve: (sequence: number) => void
  readonly reject: (error: TidemarkError) => void
}

export class Journal {
  readonly #directory: string
  readonly #clock: Clock
  readonly #lock: { release(): void }
  readonly #fileBytesMax: number
  readonly #bytesMax: number
  readonly #writer: SegmentWriter
  #queue: Append[] = []
  #queuedBytes = 0
  /** The numbers of the next entry, of the last one that is acknowledged, and of the last one that is confirmed. */
  #next: number
  #durable: number
  #confirmed: number
  #working = false
  #work: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined
  #failure: TidemarkError | undefined
  #syncs = 0
  #syncMs = 0
  #slowestSyncMs = 0

  private constructor(options: JournalOptions, lock: { release(): void }, writer: SegmentWriter, next: number) {
    this.#directory = options.directory
    this.#clock = options.clock
    this.#lock = lock
    this.#fileBytesMax = options.fileBytesMax ?? limits.journalFileBytesMax
    this.#bytesMax = options.bytesMax ?? limits.journalBytesMax
    this.#writer = writer
    this.#next = next
    this.#durable = next - 1
    this.#confirmed = writer.confirmedSynced
  }

  /**
   * Throws JOURNAL_LOCKED while a living process has the journal open, JOURNAL_DAMAGED when a file of it was changed or lost,
   * JOURNAL_FAILED when the disk cannot be read or written.
   */
  static async open(options: JournalOptions): Promise<OpenedJournal> {
    const { directory, storage, random } = options
    const fileBytesMax = options.fileBytesMax ?? limits.journalFileBytesMax
    const room = (options.bytesMax ?? limits.journalBytesMax) >= 4 * fileBytesMax && fileBytesMax > HEADER_BYTES
    assert(room, 'a journal has room for four of its files')
    try {
      await storage.makeFolder(directory)
      const file = join(directory, LOCK_FILE)
      const lock = storage.lock(file)
      if ('heldBy' in lock) {
        const message = `the journal in ${directory} is in use by process ${lock.heldBy} (${file}): give each process a folder of its own`
        throw new TidemarkError('JOURNAL_LOCKED', message)
      }
      try {
        const folder = { storage, directory, random }
        const found = await recover(folder)
        const journal = new Journal(options, lock, new SegmentWriter(folder, found), found.next)
        return { journal, entries: found.entries }
      } catch (thrown) {
        lock.release()
        throw thrown
      }
    } catch (thrown) {
      if (thrown instanceof TidemarkError) throw thrown
      const message = `the journal in ${directory} cannot be opened: ${messageOf(thrown)}`
      throw new TidemarkError('JOURNAL_FAILED', message, { cause: thrown })
    }
  }

  /** The number of the latest entry up to which all is confirmed; 0 before any is. */
  get confirmed(): number {
    return this.#confirmed
  }

  /** Why nothing is taken any more, until the journal is opened again. */
  get failure(): TidemarkError | undefined {
    return this.#failure
  }

  /**
   * Resolves once all entries are on the disk, with the number of the last one; they are numbered one after another. They must
   * not be changed before. `durable` is called right before that, with the number of the first one: over all appends in the
   * order of their numbers. After a crash before that, the first few of them may be there.
   * Rejects with JOURNAL_FULL, JOURNAL_FAILED, VALUE_TOO_LARGE; SHUTTING_DOWN once it is closed.
   */
  append(entries: readonly Uint8Array[], durable?: (first: number) => void): Promise<number> {
    assert(entries.length > 0, 'there is something to append')
    let bytes = 0
    for (const entry of entries) bytes += RECORD_HEAD_BYTES + entry.length
    const refused = this.#refusal(bytes)
    if (refused !== undefined) return Promise.reject(refused)
    const first = this.#next
    this.#next += entries.length
    this.#queuedBytes += bytes
    return new Promise((resolve, reject) => {
      this.#queue.push({ entries, bytes, first, durable, resolve, reject })
      this.#goOn()
    })
  }

  /**
   * Everything up to this number is where it was meant to go, and need not be kept. Not on the disk at once: after a crash, some
   * of it may be handed out again.
   */
  confirm(sequence: number): void {
    assert(sequence <= this.#durable, 'only what was acknowledged is confirmed')
    if (sequence <= this.#confirmed) return
    this.#confirmed = sequence
    this.#goOn()
  }

  statistics(): JournalStatistics {
    return {
      files: this.#writer.files,
      bytes: this.#writer.bytes,
      unconfirmed: this.#durable - this.#confirmed,
      syncs: this.#syncs,
      syncMs: this.#syncMs,
      slowestSyncMs: this.#slowestSyncMs,
    }
  }

  /** Resolves once all that was appended and confirmed is on the disk and the journal may be opened elsewhere. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    await this.#work
    this.#goOn()
    await this.#work
    await this.#writer.close()
    try {
      this.#lock.release()
    } catch {
      // The lock of a process that has ended is taken over.
    }
  }

  #refusal(bytes: number): TidemarkError | undefined {
    const directory = this.#directory
    if (this.#failure !== undefined) return this.#failure
    if (this.#closing !== undefined) {
      return new TidemarkError('SHUTTING_DOWN', `the journal in ${directory} is closed`)
    }
    const most = Math.min(this.#bytesMax / 2, limits.journalAppendBytesMax)
    if (bytes > most) {
      const message = `${bytes} bytes for the journal in ${directory}; one append may have ${most}, half of what the journal may hold`
      return new TidemarkError('VALUE_TOO_LARGE', message)
    }
    const held = this.#writer.bytes + this.#queuedBytes
    if (held + bytes <= this.#bytesMax) return undefined
    const message = `the journal in ${directory} holds ${held} of ${this.#bytesMax} bytes, ${this.#durable - this.#confirmed} entries are not confirmed`
    return new TidemarkError('JOURNAL_FULL', message)
  }

  #goOn(): void {
    if (this.#working) return
    this.#working = true
    this.#work = this.#loop()
  }

  async #loop(): Promise<void> {
    let group: Append[] = []
    try {
      // Those whose promises have just resolved go on meanwhile, and what they append goes with what is waiting.
      for (let more = true; more;) {
        await new Promise<void>(resolve => afterThisTurn(resolve))
        if (this.#failure !== undefined) return
        group = this.#takeGroup()
        await this.#put(group)
        group = []
        more = this.#queue.length > 0 || this.#confirmed > this.#writer.confirmedWritten
      }
    } catch (thrown) {
      this.#fail(thrown, group)
    } finally {
      this.#working = false
    }
  }

  #takeGroup(): Append[] {
    let bytes = 0
    let count = 0
    for (const append of this.#queue) {
      if (count > 0 && bytes + append.bytes > limits.journalGroupBytesMax) break
      bytes += append.bytes
      count++
    }
    return this.#queue.splice(0, count)
  }

  async #put(group: readonly Append[]): Promise<void> {
    const writer = this.#writer
    const startedMs = this.#clock.monotonicMs()
    let bytes = 0
    for (const append of group) bytes += append.bytes
    // Also when nothing is to be written: one that a large append made longer goes once that is confirmed.
    const long = writer.position + bytes > this.#fileBytesMax
    if (long && !writer.fresh) await writer.follow(this.#durable + 1, this.#confirmed)
    const confirmed = this.#confirmed
    await writer.write(group, bytes, confirmed)
    this.#queuedBytes -= bytes
    const last = this.#closing !== undefined && writer.confirmedSynced < confirmed
    if (group.length > 0 || last || writer.frees(confirmed)) {
      await writer.sync()
      this.#count(this.#clock.monotonicMs() - startedMs)
    }
    for (const append of group) this.#acknowledge(append)
    await writer.letGo()
  }

  #count(tookMs: number): void {
    this.#syncs++
    this.#syncMs += tookMs
    this.#slowestSyncMs = Math.max(this.#slowestSyncMs, tookMs)
  }

  #acknowledge({ entries, first, durable, resolve }: Append): void {
    this.#durable = first + entries.length - 1
    durable?.(first)
    resolve(this.#durable)
  }

  #fail(thrown: unknown, group: readonly Append[]): void {
    const message =
      `the journal in ${this.#directory} cannot be written: ${messageOf(thrown)}. It takes nothing more until it ` +
      `is opened again; what it acknowledged before stays`
    this.#failure = new TidemarkError('JOURNAL_FAILED', message, { cause: thrown })
    for (const { reject } of [...group, ...this.#queue.splice(0)]) reject(this.#failure)
  }
}
