// Reading the store without a lock: a bucket's version is looked at before and after, and what was read counts only if no
// writer came in between. Plain loops, no closures, no allocation: this is the path of every hit. Results are left in
// fields (found*), so that nothing has to be made to hold them.
import { hash32OfView } from '../base/hash.ts'
import { ByteView, copyView, VIEW_COPY_BYTES_MAX, viewsEqual } from './byte-view.ts'
import { HashIndex } from './hash-index.ts'
import type { Geometry } from './layout.ts'
import {
  BUCKET_SLOTS,
  BUCKET_WORDS,
  COHERENT_BYTES,
  EXPIRY_BYTES,
  FLAG_COHERENT,
  FLAG_EXPIRES,
  geometryOf,
  HEADER_BYTES,
  RecordType,
  Superblock,
  WINDOW_MASK,
  WINDOW_SHIFT,
} from './layout.ts'
import { Memory } from './memory.ts'

/** What a thread needs to attach; survives postMessage. */
export interface SharedStore {
  readonly memory: SharedArrayBuffer
  readonly threads: number
  /** See change-log.ts. */
  readonly changes: SharedArrayBuffer
}

const HOPS_MAX = 1_000

export class StoreReader {
  readonly shared: SharedStore
  readonly geometry: Geometry

  // What find() found.
  foundType = 0
  foundValueBytes = 0
  /** Wall clock in ms; 0: never. */
  foundExpiresAtMs = 0
  /** Changes with every write of the key; never 0. */
  foundVersion = 0
  // These three for rows, absent rows and leases only.
  foundLane = 0
  foundKeyspace = 0
  foundGeneration = 0
  foundStampBytes = 0
  #foundValueAt = 0
  #foundStampAt = 0
  #foundWindow = 0
  #foundWords: Int32Array<SharedArrayBuffer>
  #foundAt = 0
  #foundBucketVersion = 0
  readonly #warmUnits = new Uint32Array(64)
  /** What warm() has read, kept so that it is read. */
  protected warmed = 0

  readonly #outView = new ByteView()
  /** Of keys, and of values where they lie in the same buffer. */
  protected readonly keyView: ByteView = new ByteView()
  protected readonly memory: Memory
  protected readonly control: Int32Array<SharedArrayBuffer>
  protected readonly windowWords: readonly Int32Array<SharedArrayBuffer>[]
  protected readonly index: HashIndex
  protected readonly seed: number
  /** In a transaction: 1 for each shard that it holds (store-transactions.ts). */
  protected held: Uint8Array | undefined

  protected constructor(shared: SharedStore) {
    this.shared = shared
    this.geometry = geometryOf(shared.memory.byteLength, shared.threads)
    this.memory = new Memory(shared.memory)
    this.control = this.memory.words[0]!
    this.windowWords = this.memory.words
    this.index = new HashIndex(this.memory, this.geometry)
    this.seed = this.control[Superblock.seed]!
    this.#foundWords = this.control
  }

  /** The hash by which this store places bytes[start, end). */
  hash(bytes: Uint8Array, start: number, end: number): number {
    return hash32OfView(this.keyView.of(bytes), start, end, this.seed)
  }

  /**
   * Looks a key up, without a lock: its RecordType, or none when it is absent or expired; found* describe it. They are
   * right as of one instant; the value itself is only after copyValue() and a confirm() that is true.
   */
  find(bytes: Uint8Array, start: number, end: number, hash: number, wallMs: number): number {
    for (let tries = 0; ; tries++) {
      const shard = this.index.shardOf(hash)
      const buckets = this.index.bucketsSeen(shard)
      const unit = this.index.unitOfBucket(this.index.bucketOf(hash, buckets))
      const words = this.windowWords[unit >>> WINDOW_SHIFT]!
      const at = (unit & WINDOW_MASK) << 1
      // A plain load, since an atomic one is a call: an old version is one that has changed when it is looked at again.
      const version = words[at]!
      this.memory.loadFence()
      if ((version & 1) !== 0 && !this.#wroteIt(hash)) {
        // A writer is in the bucket. It may have lost its core, or died: recover() ends the wait then.
        if (tries > 100) Atomics.wait(words, at, version, 1)
        continue
      }
      const type = this.#probe(unit, bytes, start, end, hash, wallMs)
      this.memory.loadFence()
      if (Atomics.load(words, at) !== version) continue
      // A key that is not there may have moved to a bucket that was added meanwhile.
      if (type === RecordType.none && this.index.bucketsOf(shard) !== buckets) continue
      if (this.#foundWords !== words) this.#foundWords = words
      this.#foundAt = at
      this.#foundBucketVersion = version
      return type
    }
  }

  // In a transaction of this thread: what it has written stays closed to all others until its end.
  #wroteIt(hash: number): boolean {
    return this.held !== undefined && this.held[this.index.shardOf(hash)] === 1
  }

  #probe(bucket: number, bytes: Uint8Array, start: number, end: number, hash: number, wallMs: number): number {
    const keyBytes = end - start
    for (let unit = bucket, hops = 0; unit !== 0 && hops < HOPS_MAX; hops++) {
      const words = this.windowWords[unit >>> WINDOW_SHIFT]
      if (words === undefined) return RecordType.none
      const at = (unit & WINDOW_MASK) << 1
      for (let slot = at + 2; slot < at + 2 + 2 * BUCKET_SLOTS; slot += 2) {
        const tag = words[slot + 1]!
        if (((tag ^ hash) & ~3) !== 0) continue
        const record = words[slot]! >>> 0
        if (record === 0 || !this.#describe(record, bytes, start, keyBytes)) continue
        if (this.foundExpiresAtMs !== 0 && this.foundExpiresAtMs <= wallMs) return RecordType.none
        // One more read, up to three. Compare and set: the slot may point elsewhere by now.
        if ((tag & 3) !== 3) Atomics.compareExchange(words, slot + 1, tag, tag + 1)
        return this.foundType
      }
      unit = words[at + 1]! >>> 0
    }
    return RecordType.none
  }

  // Reads a record's header into found* if its key is the one asked for. What it reads may be torn: find() finds out.
  #describe(record: number, key: Uint8Array, start: number, keyBytes: number): boolean {
    const window = record >>> WINDOW_SHIFT
    const words = this.windowWords[window]
    if (words === undefined) return false
    let at = (record & WINDOW_MASK) << 1
    const meta = words[at]!
    if ((meta & 0xffff) !== keyBytes) return false
    this.foundValueBytes = words[at + 1]!
    this.foundVersion = words[at + 2]!
    this.foundType = (meta >>> 16) & 15
    at += HEADER_BYTES >> 2
    if ((meta & FLAG_EXPIRES) !== 0) {
      this.foundExpiresAtMs = this.memory.doubles[window]![at >>> 1]!
      at += EXPIRY_BYTES >> 2
    } else this.foundExpiresAtMs = 0
    let keyAt = at << 2
    if ((meta & FLAG_COHERENT) !== 0) {
      const place = words[at]!
      this.foundLane = place & 0xffff
      this.foundKeyspace = place >>> 16
      this.foundGeneration = words[at + 1]!
      this.foundStampBytes = words[at + 2]!
      this.#foundStampAt = keyAt + COHERENT_BYTES
      keyAt += COHERENT_BYTES + ((this.foundStampBytes + 7) & ~7)
    } else this.foundStampBytes = 0
    const stored = this.memory.views[window]!
    // A torn length of a stamp may lead anywhere.
    if (keyAt < 0 || keyAt + keyBytes > stored.byteLength) return false
    if (!viewsEqual(stored, keyAt, this.keyView.of(key), start, keyBytes)) return false
    this.#foundValueAt = keyAt + keyBytes
    if (this.#foundWindow !== window) this.#foundWindow = window
    return true
  }

  /**
   * Reads the buckets of up to 64 keys, and then where their records begin, so that the find() that comes for each of them meets
   * both in the processor's caches: these reads wait for memory together, where those would wait one after another. No branch
   * depends on what is read, since one that is predicted wrongly would wait for it. What comes back means nothing; it is
   * there so that the reads are made.
   */
  warm(hashes: Int32Array, count: number): number {
    const units = this.#warmUnits
    let sum = 0
    for (let i = 0; i < count; i++) {
      const hash = hashes[i]!
      const unit = this.index.unitOfBucket(this.index.bucketOf(hash, this.index.bucketsSeen(this.index.shardOf(hash))))
      units[i] = unit
      sum ^= this.windowWords[unit >>> WINDOW_SHIFT]![(unit & WINDOW_MASK) << 1]!
    }
    for (let i = 0; i < count; i++) {
      const hash = hashes[i]!
      const unit = units[i]!
      const words = this.windowWords[unit >>> WINDOW_SHIFT]!
      const at = (unit & WINDOW_MASK) << 1
      let record = 0
      for (let slot = at + 2; slot < at + 2 + 2 * BUCKET_SLOTS; slot += 2) {
        const differs = (words[slot + 1]! ^ hash) & ~3
        record |= words[slot]! & ~((differs | -differs) >> 31)
      }
      const recordWords = this.windowWords[record >>> WINDOW_SHIFT]
      if (recordWords === undefined) continue
      const recordAt = (record & WINDOW_MASK) << 1
      // The header with the key, and the line behind it.
      sum ^= recordWords[recordAt]!
      if (recordAt + BUCKET_WORDS < recordWords.length) sum ^= recordWords[recordAt + BUCKET_WORDS]!
    }
    this.warmed = sum
    return sum
  }

  /** Copies the found value to `out`, which has room for foundValueBytes at `at`. */
  copyValue(out: Buffer, at: number): void {
    this.#copyFound(this.#foundValueAt, this.foundValueBytes, out, at)
  }

  /** The bytes among which the found value lies, from foundValueAt on; foundValueBytes may lead out of them when it is torn. */
  get foundView(): DataView {
    return this.memory.views[this.#foundWindow]!
  }

  get foundValueAt(): number {
    return this.#foundValueAt
  }

  /** Copies `length` bytes of foundView from `from` on to `out`, which has room for them at `at`. */
  copyPart(from: number, length: number, out: Buffer, at: number): void {
    this.#copyFound(from, length, out, at)
  }

  #copyFound(from: number, length: number, out: Buffer, at: number): void {
    if (length > VIEW_COPY_BYTES_MAX) this.memory.bytes[this.#foundWindow]!.copy(out, at, from, from + length)
    else copyView(this.memory.views[this.#foundWindow]!, from, this.#outView.of(out), at, length)
  }

  /** True when nothing that find() or a copy since has read can have been torn or moved. */
  confirm(): boolean {
    this.memory.loadFence()
    return Atomics.load(this.#foundWords, this.#foundAt) === this.#foundBucketVersion
  }

  /** A copy of the key's value, or undefined; found* describe it. */
  get(bytes: Uint8Array, start: number, end: number, hash: number, wallMs: number): Buffer | undefined {
    for (;;) {
      if (this.find(bytes, start, end, hash, wallMs) === RecordType.none) return undefined
      const value = Buffer.allocUnsafe(this.foundValueBytes)
      this.copyValue(value, 0)
      if (this.confirm()) return value
    }
  }

  /** A copy of the found record's stamp; only under the lock, or with a confirm() after it. */
  foundStamp(): Buffer {
    const stamp = Buffer.allocUnsafe(this.foundStampBytes)
    this.#copyFound(this.#foundStampAt, this.foundStampBytes, stamp, 0)
    return stamp
  }
}
