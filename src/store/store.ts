// The store: bytes by key in memory that all threads share. Reads take no lock and move nothing (store-reader.ts); writes
// lock one shard (store-writer.ts); this file makes a store, and does what concerns all of it. Eviction is S3-FIFO over
// segments, expiry is by wall clock. store/layout.ts draws the memory.
// Not for: what values mean, databases, freshness. It takes numbers, never the configuration.
import { assert } from '../base/assert.ts'
import type { Random } from '../base/random.ts'
import { ChangeLog } from './change-log.ts'
import { checkStore } from './check.ts'
import {
  geometryOf,
  LAYOUT_VERSION,
  MAGIC,
  Shard,
  ShardTotals,
  Superblock,
  WINDOW_MASK,
  WINDOW_SHIFT,
} from './layout.ts'
import { release } from './lock.ts'
import { keyOffsetBytes, recordExpiresAtMs, recordHash, recordType } from './record.ts'
import type { SharedStore } from './store-reader.ts'
import { StoreRecords } from './store-records.ts'

/** How often a random bucket is looked at before memory is searched in order. */
const RANDOM_TRIES = 200
/** As many as a bucket and its overflow hold but for rare cases. */
const RANDOM_BUCKET_RECORDS = 14

export interface StoreStatistics {
  /** The budget: all of the store's memory. */
  readonly memoryBytes: number
  /** Bytes of records that can still be found. */
  readonly liveBytes: number
  /** Bytes of segments in use and of the index, live or not. */
  readonly usedBytes: number
  readonly records: number
  readonly visible: number
  readonly evicted: number
  readonly expired: number
  readonly moved: number
  readonly shardsWiped: number
}

export class Store extends StoreRecords {
  private constructor(shared: SharedStore, thread: number) {
    super(shared, thread)
  }

  /**
   * Makes a store of `memoryBytes`, all told, for so many threads; the caller is thread 0. `seed` places keys and should be
   * random (32 bits).
   */
  static create(options: { memoryBytes: number; threads?: number; seed: number }): Store {
    const memoryBytes = Math.floor(options.memoryBytes / 4096) * 4096
    const threads = options.threads ?? 1
    const geometry = geometryOf(memoryBytes, threads)
    const shared = { memory: new SharedArrayBuffer(memoryBytes), threads, changes: new ChangeLog(0).shared }
    const control = new Int32Array(shared.memory, 0, 1024)
    control[Superblock.magic] = MAGIC
    control[Superblock.layoutVersion] = LAYOUT_VERSION
    control[Superblock.seed] = options.seed | 0
    const store = new Store(shared, 0)
    store.segments.lockPool()
    store.segments.rebuildPool()
    store.segments.unlockPool()
    for (let shard = 0; shard < geometry.shards; shard++) {
      store.index.wipe(shard)
      store.giveSpare(shard)
    }
    return store
  }

  /** Another thread's view of the same store. Every thread has a number of its own. */
  static attach(shared: SharedStore, thread: number): Store {
    const control = new Int32Array(shared.memory, 0, 1024)
    assert(control[Superblock.magic] === MAGIC, 'the memory is a store')
    assert(control[Superblock.layoutVersion] === LAYOUT_VERSION, 'the memory has this layout')
    return new Store(shared, thread)
  }

  /** Empties the store, shard by shard. */
  clear(): void {
    for (let shard = 0; shard < this.geometry.shards; shard++) {
      this.lockShard(shard)
      this.wipe(shard)
      this.unlockShard(shard)
    }
    this.changes.allChanged()
  }

  /**
   * Frees whatever a dead thread held: its shards are wiped (it is a cache), a run it had reserved goes back. Returns how
   * many shards were wiped. Called by whoever watches the threads, before the number is given to another.
   */
  recover(deadThread: number): number {
    let wiped = 0
    this.changes.recover(deadThread)
    if (this.segments.poolHeldBy(deadThread)) this.segments.recoverPool()
    for (let shard = 0; shard < this.geometry.shards; shard++) {
      const at = this.queues.shardAt(shard)
      if (Atomics.load(this.control, at + Shard.lock) !== deadThread + 1) continue
      this.wipeBroken(shard)
      release(this.control, at + Shard.lock, at + Shard.waiters)
      wiped++
    }
    // Without the other shards' locks: those may be in the hands of another dead thread.
    this.segments.freeReserved(deadThread)
    return wiped
  }

  /** How many strings, hashes and rows there are; expired ones count until they are reclaimed, as in Redis. */
  size(): number {
    return this.#sum(Shard.visible)
  }

  #sum(field: number): number {
    let sum = 0
    for (let shard = 0; shard < this.geometry.shards; shard++) sum += this.control[this.queues.shardAt(shard) + field]!
    return sum
  }

  statistics(): StoreStatistics {
    const total = (which: number): number => {
      let sum = 0
      for (let shard = 0; shard < this.geometry.shards; shard++) sum += this.queues.total(shard, which)
      return sum
    }
    const { memoryBytes, segmentUnits, data } = this.geometry
    const free = this.control[Superblock.poolCount]!
    return {
      memoryBytes,
      liveBytes: total(ShardTotals.liveUnits) * 8,
      usedBytes: data * 8 + (this.geometry.segments - free) * segmentUnits * 8,
      records: this.#sum(Shard.records),
      visible: this.size(),
      evicted: total(ShardTotals.evicted),
      expired: total(ShardTotals.expired),
      moved: total(ShardTotals.moved),
      shardsWiped: total(ShardTotals.wiped),
    }
  }

  /**
   * Visits about `count` live records from `cursor` (0: from the beginning) and returns the next cursor, 0 at the end. A key
   * that is there from the first call to the last is visited at least once.
   */
  scan(cursor: number, count: number, wallMs: number, visit: (key: Buffer, type: number) => void): number {
    const { shards, bucketsPerShard } = this.geometry
    let seen = 0
    let bucket = cursor
    for (let steps = 0; bucket < shards * bucketsPerShard; steps++) {
      if (seen >= count || steps > count * 10 + 1000) return bucket
      const shard = Math.floor(bucket / bucketsPerShard)
      // A bucket that is added while we are on our way comes after all that could be split into it.
      if (bucket - shard * bucketsPerShard >= this.index.bucketsOf(shard)) bucket = (shard + 1) * bucketsPerShard
      else seen += this.#visitBucket(this.index.unitOfBucket(bucket++), wallMs, visit)
    }
    return 0
  }

  #visitBucket(bucket: number, wallMs: number, visit: (key: Buffer, type: number) => void): number {
    const words = this.windowWords[bucket >>> WINDOW_SHIFT]!
    const at = (bucket & WINDOW_MASK) << 1
    if (words[at + 1] === 0 && this.index.isEmpty(bucket)) return 0
    const shard = this.index.shardOfBucket(bucket)
    const found: [Buffer, number][] = []
    this.lockShard(shard)
    try {
      this.index.eachRecord(bucket, record => {
        const expiresAtMs = recordExpiresAtMs(this.memory, record)
        if (expiresAtMs !== 0 && expiresAtMs <= wallMs) return
        const keyAt = (record & WINDOW_MASK) * 8 + keyOffsetBytes(this.memory, record)
        const keyBytes = this.windowWords[record >>> WINDOW_SHIFT]![(record & WINDOW_MASK) << 1]! & 0xffff
        const key = Buffer.from(this.memory.bytes[record >>> WINDOW_SHIFT]!.subarray(keyAt, keyAt + keyBytes))
        found.push([key, recordType(this.memory, record)])
      })
    } finally {
      this.unlockShard(shard)
    }
    for (const [key, type] of found) visit(key, type)
    return found.length
  }

  /**
   * A key with a live record of a type that `accepts`, each as likely as any other, or nearly so; undefined when there is
   * none.
   */
  randomKey(random: Random, wallMs: number, accepts: (type: number) => boolean): Buffer | undefined {
    const { shards, bucketsPerShard } = this.geometry
    let found: Buffer[] = []
    const visit = (key: Buffer, type: number): void => {
      if (accepts(type)) found.push(key)
    }
    for (let tries = 0; tries < RANDOM_TRIES; tries++) {
      const shard = random.below(shards)
      const bucket = shard * bucketsPerShard + random.below(this.index.bucketsOf(shard))
      this.#visitBucket(this.index.unitOfBucket(bucket), wallMs, visit)
      // The more a bucket holds, the more often it counts.
      if (found.length > random.below(RANDOM_BUCKET_RECORDS)) return found[random.below(found.length)]
      found = []
    }
    // Hardly anything is there: whatever comes first after a random place, or else from the beginning.
    let cursor = random.below(shards) * bucketsPerShard
    for (let round = 0; round < 2 && found.length === 0; round++) {
      do cursor = this.scan(cursor, 1, wallMs, visit)
      while (found.length === 0 && cursor !== 0)
    }
    return found[0]
  }

  /** How often the key was found since it was stored or last moved, counted up to 3; -1 when there is no such key. */
  readsOf(bytes: Uint8Array, start: number, end: number, hash: number): number {
    this.lock(hash)
    try {
      return this.index.locateKey(hash, bytes, start, end) ? this.index.slotWords[this.index.slotAt + 1]! & 3 : -1
    } finally {
      this.unlock(hash)
    }
  }

  /** Removes expired records from the next `buckets` buckets of every shard; returns how many. */
  sweep(wallMs: number, buckets: number): number {
    let removed = 0
    for (let shard = 0; shard < this.geometry.shards; shard++) {
      this.lockShard(shard)
      try {
        removed += this.#sweepShard(shard, wallMs, buckets)
      } finally {
        this.unlockShard(shard)
      }
    }
    return removed
  }

  #sweepShard(shard: number, wallMs: number, buckets: number): number {
    const at = this.queues.shardAt(shard) + Shard.sweepBucket
    const { bucketsPerShard } = this.geometry
    const expired: number[] = []
    const used = this.index.bucketsOf(shard)
    for (let i = 0; i < Math.min(buckets, used); i++) {
      const bucket = this.control[at]! % used
      this.control[at] = bucket + 1
      this.index.eachRecord(this.index.unitOfBucket(shard * bucketsPerShard + bucket), record => {
        const expiresAtMs = recordExpiresAtMs(this.memory, record)
        if (expiresAtMs !== 0 && expiresAtMs <= wallMs) expired.push(record)
      })
    }
    for (const record of expired) {
      if (!this.index.locateRecord(recordHash(this.memory, record), record)) continue
      this.drop(shard, record)
      this.queues.addTotal(shard, ShardTotals.expired, 1)
    }
    return expired.length
  }

  /** Walks the whole memory under all locks and asserts every invariant. For tests, and for whoever suspects something. */
  check(): void {
    this.lockAll()
    try {
      checkStore(this.memory, this.geometry, this.seed)
    } finally {
      this.unlockAll()
    }
  }
}
