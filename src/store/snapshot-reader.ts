// Loads a snapshot file into an empty store. A block counts only once its checksum is right, and the file only once its end is:
// one that fails anywhere leaves the store empty. Reads a block at a time and lets other work in between.
// Not for: what the file looks like (snapshot-format.ts); deciding what to do about a file that is refused.
import { open, type FileHandle } from 'node:fs/promises'
import { firstHashField, hashFieldCount, nextHashField } from './hash-value.ts'
import { RecordType } from './layout.ts'
import {
  checkBlock,
  damagedAt,
  firstSeed,
  FRAME_BYTES,
  HEADER_BYTES,
  readFrame,
  readHeader,
  readRecord,
  readTotals,
  SnapshotRefusal,
} from './snapshot-format.ts'
import type { Store } from './store.ts'
import type { PlainRecord } from './store-records.ts'

export interface LoadOptions {
  readonly file: string
  /** What has expired by then is left out. */
  readonly wallMs: number
  /** Which keys may be loaded: those that no keyspace has claimed meanwhile. */
  readonly accepts: (bytes: Buffer, start: number, end: number) => boolean
  readonly progress?: ((records: number, total: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface LoadedSnapshot {
  readonly kind: 'loaded'
  readonly createdWallMs: number
  readonly bytes: number
  /** Records that were stored, had expired, were not accepted, or are too large for this memory: all of the file. */
  readonly stored: number
  readonly expired: number
  readonly unaccepted: number
  readonly tooLarge: number
}

/** `refused`: the reason follows "it ". */
export type LoadOutcome =
  { readonly kind: 'absent' } | { readonly kind: 'refused'; readonly reason: string } | LoadedSnapshot

/**
 * Rejects with what the file system says when the file is there and cannot be read, and when `signal` is aborted; the store is
 * empty then too.
 */
export async function loadSnapshot(store: Store, options: LoadOptions): Promise<LoadOutcome> {
  let handle: FileHandle
  try {
    handle = await open(options.file, 'r')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'absent' }
    throw thrown
  }
  try {
    return await new SnapshotReader(store, options, handle).load()
  } catch (thrown) {
    store.clear()
    if (thrown instanceof SnapshotRefusal) return { kind: 'refused', reason: thrown.message }
    throw thrown
  } finally {
    await handle.close()
  }
}

class SnapshotReader {
  readonly #store: Store
  readonly #options: LoadOptions
  readonly #handle: FileHandle
  readonly #frame = Buffer.alloc(FRAME_BYTES)
  #buffer = Buffer.alloc(0)
  #place = 0
  #records = 0
  #counts = { stored: 0, expired: 0, unaccepted: 0, tooLarge: 0 }

  constructor(store: Store, options: LoadOptions, handle: FileHandle) {
    this.#store = store
    this.#options = options
    this.#handle = handle
  }

  async load(): Promise<LoadedSnapshot> {
    const { size } = await this.#handle.stat()
    const headerBytes = await this.#read(Buffer.alloc(Math.min(size, HEADER_BYTES)))
    const header = readHeader(headerBytes)
    let seed = firstSeed(headerBytes)
    for (let blocks = 0; ; blocks++) {
      this.#options.signal?.throwIfAborted()
      const place = this.#place
      const frame = readFrame(await this.#read(this.#frame), place)
      const content = await this.#read(this.#room(frame.contentBytes))
      checkBlock(this.#frame, content, seed, place)
      seed = frame.checksum
      if (frame.end) {
        const totals = readTotals(content)
        const all = totals.records === this.#records && totals.blocks === blocks && totals.bytes === place
        if (!all || header.records !== this.#records) throw new SnapshotRefusal('is not complete')
        if (this.#place !== size) throw new SnapshotRefusal('goes on behind its end')
        return { kind: 'loaded', createdWallMs: header.createdWallMs, bytes: size, ...this.#counts }
      }
      this.#loadBlock(content, frame.records, place)
      this.#options.progress?.(this.#records, header.records)
    }
  }

  #room(bytes: number): Buffer {
    if (this.#buffer.length < bytes) this.#buffer = Buffer.allocUnsafeSlow(bytes)
    return this.#buffer.subarray(0, bytes)
  }

  /** Fills `bytes` with the next bytes of the file. */
  async #read(bytes: Buffer): Promise<Buffer> {
    for (let done = 0; done < bytes.length;) {
      const { bytesRead } = await this.#handle.read(bytes, done, bytes.length - done, this.#place + done)
      if (bytesRead === 0) throw new SnapshotRefusal('is cut off')
      done += bytesRead
    }
    this.#place += bytes.length
    return bytes
  }

  #loadBlock(content: Buffer, records: number, place: number): void {
    let at = 0
    for (let i = 0; i < records; i++) {
      const record = readRecord(content, at)
      if (record === undefined || !isWellFormed(record)) throw damagedAt(place)
      this.#loadRecord(record)
      at = record.valueEnd
    }
    if (at !== content.length) throw damagedAt(place)
    this.#records += records
  }

  #loadRecord(record: PlainRecord): void {
    const { wallMs, accepts } = this.#options
    if (record.expiresAtMs !== 0 && record.expiresAtMs <= wallMs) this.#counts.expired++
    else if (!accepts(record.bytes, record.keyStart, record.keyEnd)) this.#counts.unaccepted++
    else if (this.#store.restore(record, wallMs) === 'stored') this.#counts.stored++
    else this.#counts.tooLarge++
  }
}

// A checksum says that it is what was written, not that whoever wrote it was us.
function isWellFormed({ bytes, type, valueStart, valueEnd }: PlainRecord): boolean {
  if (type !== RecordType.hash) return true
  const value = bytes.subarray(valueStart, valueEnd)
  if (value.length < firstHashField(0)) return false
  let fields = 0
  let field = firstHashField(0)
  for (; field < value.length; fields++) {
    if (field + 8 > value.length) return false
    field = nextHashField(value, field)
  }
  return field === value.length && fields > 0 && fields === hashFieldCount(value, 0)
}
