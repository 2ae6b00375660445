// Writes a store's plain records into a file, beside readers and writers of the store. The file appears under its name only
// when it is complete and on the disk: until then it is `<file>.tmp`, and the file of before stands.
// Synchronous, for a thread of its own. Holds one block in memory; of a record larger than a block, that record.
// Not for: what the file looks like (snapshot-format.ts), when to write one (server/snapshots.ts).
import type * as fs from 'node:fs'
import { dirname } from 'node:path'
import {
  BLOCK_BYTES,
  firstSeed,
  FRAME_BYTES,
  HEADER_BYTES,
  recordBytes,
  TOTALS_BYTES,
  writeFrame,
  writeHeader,
  writeRecord,
  writeTotals,
} from './snapshot-format.ts'
import type { Store } from './store.ts'
import type { PlainRecord, RecordVisitor } from './store-records.ts'

/** The file system; a test has one that fails. */
export type SnapshotStorage = Pick<
  typeof fs,
  'openSync' | 'writeSync' | 'fsyncSync' | 'closeSync' | 'renameSync' | 'unlinkSync'
>

export interface SnapshotJob {
  /** Absolute. */
  readonly file: string
  /** What is there under the name so far gets this one, instead of being replaced. */
  readonly keepOldAs: string | undefined
  /** When it is made; what has expired by then is left out. */
  readonly wallMs: number
}

export interface WrittenSnapshot {
  readonly records: number
  readonly bytes: number
}

/** So much may wait for the disk at once: a longer queue would hold up other writers' syncs, SQLite's for one. */
const UNSYNCED_BYTES_MAX = 33_554_432
/** Kept over a block's size, so that what is copied under a lock finds room. */
const SPARE_BYTES = 262_144
/** A buffer that one large record made longer than this is given back. */
const KEPT_BYTES_MAX = 8 * BLOCK_BYTES

class Block implements RecordVisitor {
  records = 0
  length = FRAME_BYTES
  buffer: Buffer = Buffer.allocUnsafeSlow(FRAME_BYTES + BLOCK_BYTES + SPARE_BYTES)
  #latest = FRAME_BYTES

  add(record: PlainRecord): void {
    const needed = this.length + recordBytes(record)
    if (needed > this.buffer.length) {
      const larger = Buffer.allocUnsafeSlow(needed + SPARE_BYTES)
      this.buffer.copy(larger, 0, 0, this.length)
      this.buffer = larger
    }
    this.#latest = this.length
    this.length = writeRecord(this.buffer, this.length, record)
    this.records++
  }

  undo(): void {
    this.length = this.#latest
    this.records--
  }

  empty(): void {
    if (this.buffer.length > KEPT_BYTES_MAX) {
      this.buffer = Buffer.allocUnsafeSlow(FRAME_BYTES + BLOCK_BYTES + SPARE_BYTES)
    }
    this.length = FRAME_BYTES
    this.records = 0
  }
}

class SnapshotWriter {
  readonly #storage: SnapshotStorage
  readonly #descriptor: number
  readonly #header = Buffer.alloc(HEADER_BYTES)
  readonly #block = new Block()
  #seed = 0
  #records = 0
  #blocks = 0
  #bytes = 0
  #unsynced = 0

  constructor(storage: SnapshotStorage, descriptor: number) {
    this.#storage = storage
    this.#descriptor = descriptor
  }

  write(store: Store, wallMs: number): WrittenSnapshot {
    writeHeader(this.#header, { createdWallMs: wallMs, records: NaN })
    this.#seed = firstSeed(this.#header)
    this.#append(this.#header, HEADER_BYTES)
    let cursor = 0
    do {
      cursor = store.visitRecords(cursor, wallMs, this.#block)
      if (this.#block.length >= BLOCK_BYTES) this.#flush()
    } while (cursor !== 0)
    if (this.#block.records > 0) this.#flush()
    this.#end()
    writeHeader(this.#header, { createdWallMs: wallMs, records: this.#records })
    this.#writeAll(this.#header, HEADER_BYTES, 0)
    this.#storage.fsyncSync(this.#descriptor)
    return { records: this.#records, bytes: this.#bytes }
  }

  #flush(): void {
    const { buffer, length, records } = this.#block
    this.#seed = writeFrame(buffer, length, records, this.#seed)
    this.#append(buffer, length)
    this.#records += records
    this.#blocks++
    this.#block.empty()
  }

  #end(): void {
    const last = Buffer.alloc(FRAME_BYTES + TOTALS_BYTES)
    writeTotals(last, FRAME_BYTES, { records: this.#records, blocks: this.#blocks, bytes: this.#bytes })
    writeFrame(last, last.length, 'end', this.#seed)
    this.#append(last, last.length)
  }

  #append(bytes: Buffer, length: number): void {
    this.#writeAll(bytes, length, this.#bytes)
    this.#bytes += length
    this.#unsynced += length
    if (this.#unsynced < UNSYNCED_BYTES_MAX) return
    this.#storage.fsyncSync(this.#descriptor)
    this.#unsynced = 0
  }

  #writeAll(bytes: Buffer, length: number, position: number): void {
    for (let done = 0; done < length;) {
      done += this.#storage.writeSync(this.#descriptor, bytes, done, length - done, position + done)
    }
  }
}

/** Returns once the file is on the disk under its name. Throws what the file system says, and then the old file stands. */
export function writeSnapshot(store: Store, job: SnapshotJob, storage: SnapshotStorage): WrittenSnapshot {
  const unfinished = `${job.file}.tmp`
  const descriptor = storage.openSync(unfinished, 'w', 0o600)
  try {
    let written: WrittenSnapshot
    try {
      written = new SnapshotWriter(storage, descriptor).write(store, job.wallMs)
    } finally {
      storage.closeSync(descriptor)
    }
    if (job.keepOldAs !== undefined) renameIfThere(storage, job.file, job.keepOldAs)
    storage.renameSync(unfinished, job.file)
    syncFolder(storage, dirname(job.file))
    return written
  } catch (thrown) {
    // It may be gone already (the folder was only not synced), or the whole folder may be.
    try {
      storage.unlinkSync(unfinished)
    } catch {}
    throw thrown
  }
}

function renameIfThere(storage: SnapshotStorage, from: string, to: string): void {
  try {
    storage.renameSync(from, to)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown
  }
}

/** So that the new name survives a power cut. Windows has no such thing. */
function syncFolder(storage: SnapshotStorage, folder: string): void {
  if (process.platform === 'win32') return
  const descriptor = storage.openSync(folder, 'r')
  try {
    storage.fsyncSync(descriptor)
  } finally {
    storage.closeSync(descriptor)
  }
}
