// The index: from a key's hash to its record's unit, in buckets of one cache line (store/layout.ts draws them), and the
// ghosts, hashes that left the small queue lately. For writers that hold the shard's lock; readers walk the same buckets in
// store/store.ts without it.
// Hot path: plain loops, no allocation. A search leaves what it found in fields.
import { assert } from '../base/assert.ts'
import { ByteView, viewsEqual } from './byte-view.ts'
import type { HeldWrites } from './held-writes.ts'
import type { Geometry } from './layout.ts'
import {
  BUCKETS_MIN,
  BUCKET_SLOTS,
  BUCKET_UNITS,
  BUCKET_WORDS,
  GHOSTS_PER_BUCKET,
  LOAD_MAX,
  Shard,
  SHARD_WORDS,
  WINDOW_MASK,
  WINDOW_SHIFT,
} from './layout.ts'
import type { Memory } from './memory.ts'
import { keyOffsetBytes } from './record.ts'

export class HashIndex {
  /** The slot that the last successful search found. */
  slotWords: Int32Array<SharedArrayBuffer>
  slotAt = 0
  /** True between beginWrite() and endWrite(): an error that finds it so has left a chain that nobody can read. */
  writing = false
  /** In a transaction: keeps the chains that it has written closed to readers until its end. */
  writes: HeldWrites | undefined
  readonly #memory: Memory
  readonly #geometry: Geometry
  readonly #control: Int32Array<SharedArrayBuffer>
  readonly #shardShift: number
  // The chain's first bucket, whose version guards the chain, and the bucket the found slot is in, with its predecessor.
  #headWords: Int32Array<SharedArrayBuffer>
  #headAt = 0
  #bucketUnit = 0
  readonly #keyView = new ByteView()
  #previousUnit = 0

  constructor(memory: Memory, geometry: Geometry) {
    this.#memory = memory
    this.#geometry = geometry
    this.#control = memory.words[0]!
    this.#shardShift = 32 - geometry.shardBits
    this.slotWords = this.#control
    this.#headWords = this.#control
  }

  shardOf(hash: number): number {
    return this.#geometry.shardBits === 0 ? 0 : hash >>> this.#shardShift
  }

  /** How many buckets a shard has now. */
  bucketsOf(shard: number): number {
    return Atomics.load(this.#control, this.#geometry.shardTable + shard * SHARD_WORDS + Shard.buckets)
  }

  /** The same, perhaps as it was a moment ago: for readers, who look again with bucketsOf(). */
  bucketsSeen(shard: number): number {
    return this.#control[this.#geometry.shardTable + shard * SHARD_WORDS + Shard.buckets]!
  }

  /** The number, over all shards, of the hash's bucket while its shard has `buckets` of them. */
  bucketOf(hash: number, buckets: number): number {
    const mask = (1 << (32 - Math.clz32(buckets - 1))) - 1
    let within = hash & mask
    if (within >= buckets) within &= mask >>> 1
    return this.shardOf(hash) * this.#geometry.bucketsPerShard + within
  }

  unitOfBucket(bucket: number): number {
    return this.#geometry.index + bucket * BUCKET_UNITS
  }

  shardOfBucket(unit: number): number {
    return Math.floor((unit - this.#geometry.index) / BUCKET_UNITS / this.#geometry.bucketsPerShard)
  }

  /** Visits every record of the chain that begins with the bucket at `unit`. */
  eachRecord(unit: number, visit: (record: number) => void): void {
    while (unit !== 0) {
      const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
      const at = (unit & WINDOW_MASK) << 1
      for (let slot = at + 2; slot < at + 2 + 2 * BUCKET_SLOTS; slot += 2) {
        if (words[slot] !== 0) visit(words[slot]! >>> 0)
      }
      unit = words[at + 1]! >>> 0
    }
  }

  #enter(hash: number): number {
    // The lock is held: nobody else changes how many there are.
    const unit = this.unitOfBucket(this.bucketOf(hash, this.bucketsSeen(this.shardOf(hash))))
    this.#headWords = this.#memory.words[unit >>> WINDOW_SHIFT]!
    this.#headAt = (unit & WINDOW_MASK) << 1
    this.#previousUnit = 0
    return unit
  }

  #take(unit: number, words: Int32Array<SharedArrayBuffer>, slotAt: number): true {
    this.#bucketUnit = unit
    this.slotWords = words
    this.slotAt = slotAt
    return true
  }

  /** Finds the slot that points at `record`. */
  locateRecord(hash: number, record: number): boolean {
    for (let unit = this.#enter(hash); unit !== 0;) {
      const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
      const at = (unit & WINDOW_MASK) << 1
      for (let slot = at + 2; slot < at + 2 + 2 * BUCKET_SLOTS; slot += 2) {
        if (words[slot]! >>> 0 === record) return this.#take(unit, words, slot)
      }
      this.#previousUnit = unit
      unit = words[at + 1]! >>> 0
    }
    return false
  }

  /** Finds the slot of a key: bytes[start, end). */
  locateKey(hash: number, bytes: Uint8Array, start: number, end: number): boolean {
    const key = this.#keyView.of(bytes)
    for (let unit = this.#enter(hash); unit !== 0;) {
      const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
      const at = (unit & WINDOW_MASK) << 1
      for (let slot = at + 2; slot < at + 2 + 2 * BUCKET_SLOTS; slot += 2) {
        const record = words[slot]!
        if (record === 0 || ((words[slot + 1]! ^ hash) & ~3) !== 0) continue
        const meta = this.#memory.words[record >>> WINDOW_SHIFT]![(record & WINDOW_MASK) << 1]!
        if ((meta & 0xffff) !== end - start) continue
        const keyAt = (record & WINDOW_MASK) * 8 + keyOffsetBytes(this.#memory, record)
        const stored = this.#memory.views[record >>> WINDOW_SHIFT]!
        if (viewsEqual(stored, keyAt, key, start, end - start)) return this.#take(unit, words, slot)
      }
      this.#previousUnit = unit
      unit = words[at + 1]! >>> 0
    }
    return false
  }

  /** Finds a free slot for a new key. False: an overflow bucket has to be added first. */
  locateFree(hash: number): boolean {
    for (let unit = this.#enter(hash); unit !== 0;) {
      const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
      const at = (unit & WINDOW_MASK) << 1
      for (let slot = at + 2; slot < at + 2 + 2 * BUCKET_SLOTS; slot += 2) {
        if (words[slot] === 0) return this.#take(unit, words, slot)
      }
      this.#previousUnit = unit
      unit = words[at + 1]! >>> 0
    }
    return false
  }

  /** Between these two calls readers of the chain wait or start again. */
  beginWrite(): void {
    this.writing = true
    if (this.writes === undefined) Atomics.add(this.#headWords, this.#headAt, 1)
    else this.writes.open(this.#headWords, this.#headAt)
  }

  endWrite(): void {
    if (this.writes === undefined)
      this.#memory.publish(this.#headWords, this.#headAt, this.#headWords[this.#headAt]! + 1)
    else this.writes.close(this.#headWords, this.#headAt)
    this.writing = false
  }

  /** Points the found slot at a record. */
  setSlot(record: number, hash: number, frequency: number): void {
    this.beginWrite()
    this.slotWords[this.slotAt] = record
    this.slotWords[this.slotAt + 1] = (hash & ~3) | frequency
    this.endWrite()
  }

  /** Frees the found slot, and its bucket when that was an overflow bucket's last. */
  clearSlot(shard: number): void {
    this.beginWrite()
    this.slotWords[this.slotAt] = 0
    this.slotWords[this.slotAt + 1] = 0
    if (this.#previousUnit !== 0 && this.isEmpty(this.#bucketUnit)) {
      const words = this.#memory.words[this.#bucketUnit >>> WINDOW_SHIFT]!
      const at = (this.#bucketUnit & WINDOW_MASK) << 1
      const before = this.#memory.words[this.#previousUnit >>> WINDOW_SHIFT]!
      before[((this.#previousUnit & WINDOW_MASK) << 1) + 1] = words[at + 1]!
      this.#freeBucket(shard, this.#bucketUnit)
    }
    this.endWrite()
  }

  isEmpty(unit: number): boolean {
    const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
    const at = (unit & WINDOW_MASK) << 1
    for (let slot = at + 2; slot < at + 2 + 2 * BUCKET_SLOTS; slot += 2) if (words[slot] !== 0) return false
    return true
  }

  #freeBucket(shard: number, unit: number): void {
    const free = this.#geometry.shardTable + shard * SHARD_WORDS + Shard.overflowFree
    this.#memory.words[unit >>> WINDOW_SHIFT]![((unit & WINDOW_MASK) << 1) + 1] = this.#control[free]!
    this.#control[free] = unit
  }

  hasOverflowBucket(shard: number): boolean {
    return this.#control[this.#geometry.shardTable + shard * SHARD_WORDS + Shard.overflowFree] !== 0
  }

  /** Cuts a segment into overflow buckets. */
  addOverflowSegment(shard: number, firstUnit: number, units: number): void {
    const words = this.#memory.words[firstUnit >>> WINDOW_SHIFT]!
    const at = (firstUnit & WINDOW_MASK) << 1
    words.fill(0, at, at + units * 2)
    for (let unit = firstUnit + units - BUCKET_UNITS; unit >= firstUnit; unit -= BUCKET_UNITS)
      this.#freeBucket(shard, unit)
  }

  /** Hangs a free overflow bucket on the end of the hash's chain and finds its first slot. There must be one. */
  growChain(hash: number): void {
    let unit = this.#enter(hash)
    for (;;) {
      const next = this.#memory.words[unit >>> WINDOW_SHIFT]![((unit & WINDOW_MASK) << 1) + 1]! >>> 0
      if (next === 0) break
      unit = next
    }
    this.beginWrite()
    const added = this.#hangOverflow(this.shardOf(hash), unit)
    this.endWrite()
    this.#previousUnit = unit
    this.#take(added, this.#memory.words[added >>> WINDOW_SHIFT]!, ((added & WINDOW_MASK) << 1) + 2)
  }

  // Takes a free overflow bucket and hangs it, empty, behind the bucket at `unit`, a chain's last.
  #hangOverflow(shard: number, unit: number): number {
    const free = this.#geometry.shardTable + shard * SHARD_WORDS + Shard.overflowFree
    const added = this.#control[free]! >>> 0
    assert(added !== 0, 'there is a free overflow bucket')
    const words = this.#memory.words[added >>> WINDOW_SHIFT]!
    const at = (added & WINDOW_MASK) << 1
    this.#control[free] = words[at + 1]!
    words.fill(0, at, at + BUCKET_WORDS)
    this.#memory.words[unit >>> WINDOW_SHIFT]![((unit & WINDOW_MASK) << 1) + 1] = added
    return added
  }

  /** Empties all buckets of a shard, whatever state a dead writer left them in. */
  wipe(shard: number): void {
    const { bucketsPerShard } = this.#geometry
    // One more than are in use: a writer may have died while it added that one.
    const used = Math.min(bucketsPerShard, this.bucketsOf(shard) + 1)
    for (let i = 0; i < used; i++) {
      const unit = this.unitOfBucket(shard * bucketsPerShard + i)
      const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
      const at = (unit & WINDOW_MASK) << 1
      if (words[at + 1] === 0 && (words[at]! & 1) === 0 && this.isEmpty(unit)) continue
      if ((Atomics.load(words, at) & 1) === 0) Atomics.add(words, at, 1)
      words.fill(0, at + 1, at + BUCKET_WORDS)
      Atomics.add(words, at, 1)
    }
    const at = this.#geometry.shardTable + shard * SHARD_WORDS
    this.#control[at + Shard.overflowFree] = 0
    Atomics.store(this.#control, at + Shard.buckets, Math.min(BUCKETS_MIN, bucketsPerShard))
    this.writing = false
  }

  /**
   * Adds a bucket to a shard that has come to hold more than LOAD_MAX records a bucket, and moves there what belongs there
   * (linear hashing, Litwin 1980): one bucket's chain is split in two, all others stay. A shard's index thus stays as dense,
   * and as near in the processor's caches, as what it holds.
   */
  grow(shard: number): void {
    if (this.writes !== undefined) return this.writes.growLater(shard)
    const at = this.#geometry.shardTable + shard * SHARD_WORDS
    const buckets = this.#control[at + Shard.buckets]!
    if (this.#control[at + Shard.records]! <= LOAD_MAX * buckets || buckets >= this.#geometry.bucketsPerShard) return
    const half = 1 << (31 - Math.clz32(buckets))
    const first = shard * this.#geometry.bucketsPerShard
    const source = this.unitOfBucket(first + buckets - half)
    const target = this.unitOfBucket(first + buckets)
    if (!this.#canSplit(source, half, at + Shard.overflowFree)) return
    const sourceWords = this.#memory.words[source >>> WINDOW_SHIFT]!
    const sourceAt = (source & WINDOW_MASK) << 1
    const targetWords = this.#memory.words[target >>> WINDOW_SHIFT]!
    const targetAt = (target & WINDOW_MASK) << 1
    Atomics.add(sourceWords, sourceAt, 1)
    Atomics.add(targetWords, targetAt, 1)
    this.#moveSlots(shard, source, target, half)
    Atomics.store(this.#control, at + Shard.buckets, buckets + 1)
    Atomics.add(targetWords, targetAt, 1)
    Atomics.add(sourceWords, sourceAt, 1)
  }

  // More slots may have to move than one bucket takes: then the free overflow buckets have to suffice.
  #canSplit(source: number, bit: number, free: number): boolean {
    let moving = 0
    for (let unit = source; unit !== 0;) {
      const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
      const at = (unit & WINDOW_MASK) << 1
      for (let slot = at + 2; slot < at + 2 + 2 * BUCKET_SLOTS; slot += 2) {
        if (words[slot] !== 0 && (words[slot + 1]! & bit) !== 0) moving++
      }
      unit = words[at + 1]! >>> 0
    }
    let room = BUCKET_SLOTS
    for (let unit = this.#control[free]! >>> 0; unit !== 0 && room < moving; room += BUCKET_SLOTS) {
      unit = this.#memory.words[unit >>> WINDOW_SHIFT]![((unit & WINDOW_MASK) << 1) + 1]! >>> 0
    }
    return moving <= room
  }

  #moveSlots(shard: number, source: number, target: number, bit: number): void {
    let to = target
    let toSlot = 0
    let previous = 0
    for (let unit = source; unit !== 0;) {
      const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
      const at = (unit & WINDOW_MASK) << 1
      for (let slot = at + 2; slot < at + 2 + 2 * BUCKET_SLOTS; slot += 2) {
        if (words[slot] === 0 || (words[slot + 1]! & bit) === 0) continue
        if (toSlot === BUCKET_SLOTS) {
          to = this.#hangOverflow(shard, to)
          toSlot = 0
        }
        const toWords = this.#memory.words[to >>> WINDOW_SHIFT]!
        const toAt = ((to & WINDOW_MASK) << 1) + 2 + 2 * toSlot++
        toWords[toAt] = words[slot]!
        toWords[toAt + 1] = words[slot + 1]!
        words[slot] = 0
        words[slot + 1] = 0
      }
      const next = words[at + 1]! >>> 0
      if (previous !== 0 && this.isEmpty(unit)) {
        this.#memory.words[previous >>> WINDOW_SHIFT]![((previous & WINDOW_MASK) << 1) + 1] = next
        this.#freeBucket(shard, unit)
      } else previous = unit
      unit = next
    }
  }

  /** Points a shard's chains at overflow buckets that were copied from one segment's units to another's. */
  relocateOverflow(shard: number, from: number, to: number, units: number): void {
    const free = this.#geometry.shardTable + shard * SHARD_WORDS + Shard.overflowFree
    const moved = (unit: number): number => (unit >= from && unit < from + units ? unit - from + to : unit)
    const firstFree = moved(this.#control[free]! >>> 0)
    this.#control[free] = firstFree
    for (let unit = firstFree; unit !== 0;) {
      const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
      const link = ((unit & WINDOW_MASK) << 1) + 1
      unit = moved(words[link]! >>> 0)
      words[link] = unit
    }
    const first = shard * this.#geometry.bucketsPerShard
    for (let bucket = 0; bucket < this.bucketsOf(shard); bucket++) {
      const head = this.unitOfBucket(first + bucket)
      for (let unit = head; unit !== 0;) {
        const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
        const link = ((unit & WINDOW_MASK) << 1) + 1
        const next = words[link]! >>> 0
        unit = moved(next)
        if (unit === next) continue
        const headWords = this.#memory.words[head >>> WINDOW_SHIFT]!
        const headAt = (head & WINDOW_MASK) << 1
        // A transaction that wrote the chain has closed it already.
        const closed = this.writes !== undefined && (headWords[headAt]! & 1) !== 0
        if (!closed) Atomics.add(headWords, headAt, 1)
        words[link] = unit
        if (!closed) Atomics.add(headWords, headAt, 1)
      }
    }
  }

  #ghostUnit(hash: number): number {
    const { bucketsPerShard, ghosts } = this.#geometry
    const within = Math.floor(((hash & 0x3ffffff) * bucketsPerShard) / 0x4000000)
    return ghosts + (this.shardOf(hash) * bucketsPerShard + within) * (GHOSTS_PER_BUCKET / 2)
  }

  /** Remembers that `hash` left the small queue: the newest of its bucket's ghosts. */
  addGhost(hash: number): void {
    const unit = this.#ghostUnit(hash)
    const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
    const at = (unit & WINDOW_MASK) << 1
    words.copyWithin(at + 1, at, at + GHOSTS_PER_BUCKET - 1)
    words[at] = hash | 1
  }

  /** Whether `hash` left the small queue lately; forgets it. */
  takeGhost(hash: number): boolean {
    const unit = this.#ghostUnit(hash)
    const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
    const at = (unit & WINDOW_MASK) << 1
    for (let i = 0; i < GHOSTS_PER_BUCKET; i++) {
      if (words[at + i] !== (hash | 1)) continue
      words[at + i] = 0
      return true
    }
    return false
  }
}
