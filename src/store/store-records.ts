// Whole records, out of the store and into it again: what a snapshot is made of. Walks bucket by bucket beside readers and
// writers; a shard is locked while the small records of one bucket are copied, a large value is copied without the lock and
// vouched for by its bucket's version, as readers do.
// Not for: rows, leases and fences, which mean nothing without their database's positions; files (snapshot-writer.ts).
import { FLAG_COHERENT, RecordType, Segment, SegmentState, WINDOW_MASK, WINDOW_SHIFT } from './layout.ts'
import { keyOffsetBytes, recordExpiresAtMs, recordHash, recordType } from './record.ts'
import { StoreTransactions } from './store-transactions.ts'
import type { PutOutcome } from './store-writer.ts'

/** A plain record; its key and value are ranges of `bytes`. */
export interface PlainRecord {
  readonly bytes: Buffer
  readonly type: RecordType
  readonly keyStart: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
  /** Wall clock in ms; 0: never. */
  readonly expiresAtMs: number
  /** How often it was read, up to three, and whether it is in the main queue: what eviction goes by. */
  readonly frequency: number
  readonly main: boolean
}

/** Takes the records of a walk. */
export interface RecordVisitor {
  /** Copies what it wants; the record is another's when it returns. May run under a lock: no files, no waiting. */
  add(record: PlainRecord): void
  /** Takes the latest record back: a writer was at it while it was copied. */
  undo(): void
}

/** Values longer than this are copied without the lock. */
const LOCKED_COPY_BYTES_MAX = 4096
/** A large value that is written all the time is copied under the lock in the end. */
const UNLOCKED_TRIES_MAX = 8

class FoundRecord implements PlainRecord {
  bytes: Buffer = Buffer.alloc(0)
  type: RecordType = RecordType.none
  keyStart = 0
  keyEnd = 0
  valueStart = 0
  valueEnd = 0
  expiresAtMs = 0
  frequency = 0
  main = false
}

export class StoreRecords extends StoreTransactions {
  readonly #found = new FoundRecord()

  /**
   * Visits the live strings and hashes of one bucket; returns the next cursor, 0 at the end (and 0 to begin). A key that is
   * there from the first call to the last is visited at least once, with a value that it had at some time in between.
   */
  visitRecords(cursor: number, wallMs: number, visitor: RecordVisitor): number {
    const { shards, bucketsPerShard } = this.geometry
    const shard = Math.floor(cursor / bucketsPerShard)
    let next = cursor + 1
    // A bucket that is added while we are on our way comes after all that could be split into it.
    if (cursor - shard * bucketsPerShard >= this.index.bucketsOf(shard)) next = (shard + 1) * bucketsPerShard
    else this.#visitChain(shard, this.index.unitOfBucket(cursor), wallMs, visitor)
    return next < shards * bucketsPerShard ? next : 0
  }

  #visitChain(shard: number, bucket: number, wallMs: number, visitor: RecordVisitor): void {
    const link = ((bucket & WINDOW_MASK) << 1) + 1
    if (this.windowWords[bucket >>> WINDOW_SHIFT]![link] === 0 && this.index.isEmpty(bucket)) return
    const records: number[] = []
    const largeKeys: Buffer[] = []
    this.lockShard(shard)
    try {
      this.index.eachRecord(bucket, record => records.push(record))
      for (const record of records) {
        if (!this.#describe(record, wallMs)) continue
        const { bytes, keyStart, keyEnd, valueStart, valueEnd } = this.#found
        if (valueEnd - valueStart <= LOCKED_COPY_BYTES_MAX) visitor.add(this.#found)
        else largeKeys.push(Buffer.from(bytes.subarray(keyStart, keyEnd)))
      }
    } finally {
      this.unlockShard(shard)
    }
    for (const key of largeKeys) this.#visitLarge(key, wallMs, visitor)
  }

  #visitLarge(key: Buffer, wallMs: number, visitor: RecordVisitor): void {
    const hash = this.hash(key, 0, key.length)
    const shard = this.index.shardOf(hash)
    for (let tries = 0; ; tries++) {
      let version = 0
      let versionAt = 0
      let words = this.control
      this.lockShard(shard)
      try {
        if (!this.index.locateKey(hash, key, 0, key.length)) return
        if (!this.#describe(this.index.slotWords[this.index.slotAt]! >>> 0, wallMs)) return
        if (tries === UNLOCKED_TRIES_MAX) return visitor.add(this.#found)
        const head = this.index.unitOfBucket(this.index.bucketOf(hash, this.index.bucketsOf(shard)))
        words = this.windowWords[head >>> WINDOW_SHIFT]!
        versionAt = (head & WINDOW_MASK) << 1
        version = Atomics.load(words, versionAt)
      } finally {
        this.unlockShard(shard)
      }
      visitor.add(this.#found)
      this.memory.loadFence()
      if (Atomics.load(words, versionAt) === version) return
      visitor.undo()
    }
  }

  // Under the lock. False: not plain, or expired.
  #describe(record: number, wallMs: number): boolean {
    const type = recordType(this.memory, record) as RecordType
    if (type !== RecordType.string && type !== RecordType.hash) return false
    const words = this.windowWords[record >>> WINDOW_SHIFT]!
    const at = (record & WINDOW_MASK) << 1
    const expiresAtMs = recordExpiresAtMs(this.memory, record)
    if ((words[at]! & FLAG_COHERENT) !== 0 || (expiresAtMs !== 0 && expiresAtMs <= wallMs)) return false
    const found = this.#found
    found.bytes = this.memory.bytes[record >>> WINDOW_SHIFT]!
    found.type = type
    found.keyStart = (record & WINDOW_MASK) * 8 + keyOffsetBytes(this.memory, record)
    found.keyEnd = found.keyStart + (words[at]! & 0xffff)
    found.valueStart = found.keyEnd
    found.valueEnd = found.valueStart + words[at + 1]!
    found.expiresAtMs = expiresAtMs
    const located = this.index.locateRecord(recordHash(this.memory, record), record)
    found.frequency = located ? this.index.slotWords[this.index.slotAt + 1]! & 3 : 0
    found.main = this.segments.get(this.segments.at(record), Segment.state) === SegmentState.main
    return true
  }

  /** Stores a record as it was visited, in the queue that it was in. Where memory is too small for all, others leave. */
  restore(record: PlainRecord, wallMs: number): PutOutcome {
    const { bytes, type, keyStart, keyEnd, valueStart, valueEnd, expiresAtMs } = record
    const hash = this.hash(bytes, keyStart, keyEnd)
    return this.withLock(hash, () => {
      // Whose ghost is there, it goes into the main queue.
      this.index.takeGhost(hash)
      if (record.main) this.index.addGhost(hash)
      const outcome = this.put(bytes, keyStart, keyEnd, hash, type, bytes, valueStart, valueEnd, expiresAtMs, wallMs)
      if (outcome === 'stored' && this.index.locateKey(hash, bytes, keyStart, keyEnd)) {
        const at = this.index.slotAt + 1
        this.index.slotWords[at] = (this.index.slotWords[at]! & ~3) | record.frequency
      }
      return outcome
    })
  }
}
