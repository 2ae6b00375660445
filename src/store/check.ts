// The store's invariants, asserted by walking the whole memory. The caller holds every shard's lock. Nothing here trusts
// the code that writes: it reads the memory as store/layout.ts draws it.
import { assert } from '../base/assert.ts'
import { hash32 } from '../base/hash.ts'
import { HashIndex } from './hash-index.ts'
import type { Geometry } from './layout.ts'
import {
  BUCKET_SLOTS,
  BUCKET_UNITS,
  Queue,
  Segment,
  SEGMENT_WORDS,
  SegmentState,
  Shard,
  SHARD_WORDS,
  ShardTotals,
  Superblock,
  WINDOW_MASK,
  WINDOW_SHIFT,
} from './layout.ts'
import type { Memory } from './memory.ts'
import { keyOffsetBytes, recordHash, recordType, recordUnits } from './record.ts'
import { isVisible } from './segment-queues.ts'

class Check {
  readonly #memory: Memory
  readonly #geometry: Geometry
  readonly #seed: number
  readonly #control: Int32Array<SharedArrayBuffer>
  readonly #index: HashIndex
  readonly #liveUnits: Float64Array
  readonly #seen: Uint8Array

  constructor(memory: Memory, geometry: Geometry, seed: number) {
    this.#memory = memory
    this.#geometry = geometry
    this.#seed = seed
    this.#control = memory.words[0]!
    this.#index = new HashIndex(memory, geometry)
    this.#liveUnits = new Float64Array(geometry.segments)
    this.#seen = new Uint8Array(geometry.segments)
  }

  #segment(segment: number, field: number): number {
    return this.#control[this.#geometry.segmentTable + segment * SEGMENT_WORDS + field]!
  }

  #claim(segment: number): void {
    assert(segment >= 0 && segment < this.#geometry.segments, 'a segment number is in range')
    assert(this.#seen[segment] === 0, `segment ${segment} is in one place only`)
    this.#seen[segment] = 1
  }

  run(): void {
    for (let shard = 0; shard < this.#geometry.shards; shard++) this.#checkIndex(shard)
    for (let shard = 0; shard < this.#geometry.shards; shard++) this.#checkQueues(shard)
    for (let shard = 0; shard < this.#geometry.shards; shard++) this.#checkOverflow(shard)
    this.#checkPool()
    for (let segment = 0; segment < this.#geometry.segments; segment++) {
      const state = this.#segment(segment, Segment.state)
      if (state === SegmentState.index || state === SegmentState.reserved) this.#claim(segment)
      assert(this.#seen[segment] === 1, `segment ${segment} (state ${state}) is in some list`)
    }
  }

  #checkIndex(shard: number): void {
    const { bucketsPerShard } = this.#geometry
    const buckets = this.#index.bucketsOf(shard)
    let records = 0
    let visible = 0
    let units = 0
    for (let i = 0; i < bucketsPerShard; i++) {
      const bucket = shard * bucketsPerShard + i
      const unit = this.#index.unitOfBucket(bucket)
      const version = this.#memory.words[unit >>> WINDOW_SHIFT]![(unit & WINDOW_MASK) << 1]!
      assert((version & 1) === 0, 'no writer is in a bucket')
      assert(i < buckets || this.#index.isEmpty(unit), 'a bucket not in use yet is empty')
      this.#checkTags(unit)
      const keys = new Set<string>()
      this.#index.eachRecord(unit, record => {
        units += this.#checkRecord(shard, bucket, record, keys)
        records++
        if (isVisible(recordType(this.#memory, record))) visible++
      })
    }
    const at = this.#geometry.shardTable + shard * SHARD_WORDS
    assert(records === this.#control[at + Shard.records], "a shard's records are counted right")
    assert(visible === this.#control[at + Shard.visible], "a shard's visible records are counted right")
    const total = this.#memory.doubles[0]![(at + Shard.totals) / 2 + ShardTotals.liveUnits]
    assert(units === total, "a shard's live units are counted right")
  }

  // Every overflow bucket is in one of its shard's index segments, and in one chain or in the list of unused ones.
  #checkOverflow(shard: number): void {
    const seen = new Set<number>()
    for (let i = 0; i < this.#index.bucketsOf(shard); i++) {
      const head = this.#index.unitOfBucket(shard * this.#geometry.bucketsPerShard + i)
      for (let unit = this.#nextBucket(head); unit !== 0; unit = this.#nextBucket(unit)) {
        this.#claimOverflow(shard, unit, seen)
        assert(!this.#index.isEmpty(unit), 'an overflow bucket in a chain is not empty')
      }
    }
    const at = this.#geometry.shardTable + shard * SHARD_WORDS
    for (let unit = this.#control[at + Shard.overflowFree]! >>> 0; unit !== 0; unit = this.#nextBucket(unit)) {
      this.#claimOverflow(shard, unit, seen)
      assert(this.#index.isEmpty(unit), 'an unused overflow bucket is empty')
    }
    let segments = 0
    for (let segment = 0; segment < this.#geometry.segments; segment++) {
      const index = this.#segment(segment, Segment.state) === SegmentState.index
      if (index && this.#segment(segment, Segment.owner) === shard) segments++
    }
    const buckets = segments * (this.#geometry.segmentUnits / BUCKET_UNITS)
    assert(seen.size === buckets, `shard ${shard} has ${seen.size} overflow buckets in room for ${buckets}`)
  }

  #nextBucket(unit: number): number {
    return this.#memory.words[unit >>> WINDOW_SHIFT]![((unit & WINDOW_MASK) << 1) + 1]! >>> 0
  }

  #claimOverflow(shard: number, unit: number, seen: Set<number>): void {
    const segment = (unit - this.#geometry.data) >>> this.#geometry.segmentShift
    assert(unit >= this.#geometry.data && segment < this.#geometry.segments, 'an overflow bucket is in a segment')
    assert(this.#segment(segment, Segment.state) === SegmentState.index, 'an overflow bucket is in an index segment')
    assert(this.#segment(segment, Segment.owner) === shard, "an overflow bucket is its shard's")
    assert(!seen.has(unit), 'an overflow bucket is in one place only')
    seen.add(unit)
  }

  #checkTags(head: number): void {
    for (let unit = head; unit !== 0; unit = this.#nextBucket(unit)) {
      const words = this.#memory.words[unit >>> WINDOW_SHIFT]!
      const at = (unit & WINDOW_MASK) << 1
      for (let slot = at + 2; slot < at + 2 + 2 * BUCKET_SLOTS; slot += 2) {
        const record = words[slot]! >>> 0
        const tag = words[slot + 1]!
        if (record === 0) assert(tag === 0, 'a free slot is empty')
        else assert(((tag ^ recordHash(this.#memory, record)) & ~3) === 0, "a slot's tag is its record's hash")
      }
    }
  }

  #checkRecord(shard: number, bucket: number, record: number, keys: Set<string>): number {
    const { data, segmentShift, segmentUnits } = this.#geometry
    const segment = (record - data) >>> segmentShift
    assert(segment >= 0 && segment < this.#geometry.segments, 'a slot points into a segment')
    assert(this.#segment(segment, Segment.owner) === shard, "a record is in one of its shard's segments")
    const state = this.#segment(segment, Segment.state)
    assert(state === SegmentState.small || state === SegmentState.main, 'a record is in a queue')
    const units = recordUnits(this.#memory, record)
    const offset = record - data - segment * segmentUnits
    assert(offset + units <= this.#segment(segment, Segment.usedUnits), 'a record ends inside its segment')
    this.#liveUnits[segment]! += units
    const bytes = this.#memory.bytes[record >>> WINDOW_SHIFT]!
    const keyAt = (record & WINDOW_MASK) * 8 + keyOffsetBytes(this.#memory, record)
    const keyBytes = this.#memory.words[record >>> WINDOW_SHIFT]![(record & WINDOW_MASK) << 1]! & 0xffff
    const hash = hash32(bytes, keyAt, keyAt + keyBytes, this.#seed)
    assert(hash === recordHash(this.#memory, record), "a record's hash is its key's")
    assert(this.#index.bucketOf(hash, this.#index.bucketsOf(shard)) === bucket, "a record is in its hash's bucket")
    const key = bytes.toString('latin1', keyAt, keyAt + keyBytes)
    assert(!keys.has(key), 'a key has one record')
    keys.add(key)
    return units
  }

  #checkQueues(shard: number): void {
    const at = this.#geometry.shardTable + shard * SHARD_WORDS
    this.#checkQueue(shard, at + Shard.small, SegmentState.small)
    this.#checkQueue(shard, at + Shard.main, SegmentState.main)
    const spare = this.#control[at + Shard.spare]! - 1
    if (spare >= 0) {
      this.#claim(spare)
      assert(this.#segment(spare, Segment.state) === SegmentState.taken, 'a spare is taken')
      assert(this.#segment(spare, Segment.owner) === shard, "a spare is its shard's")
    }
  }

  #checkQueue(shard: number, queue: number, state: number): void {
    let previous = 0
    let segments = 0
    const active = this.#control[queue + Queue.active]!
    let sawActive = active === 0
    for (let link = this.#control[queue + Queue.oldest]!; link !== 0;) {
      const segment = link - 1
      this.#claim(segment)
      assert(this.#segment(segment, Segment.state) === state, "a segment knows its queue's name")
      assert(this.#segment(segment, Segment.owner) === shard, 'a segment knows its shard')
      assert(this.#segment(segment, Segment.previous) === previous, 'a chain reads the same backwards')
      const run = this.#segment(segment, Segment.runSegments)
      for (let i = 1; i < run; i++) {
        this.#claim(segment + i)
        assert(this.#segment(segment + i, Segment.state) === SegmentState.run, "a run's segments follow each other")
        assert(this.#segment(segment + i, Segment.owner) === shard, "a run's segments are its shard's")
      }
      this.#checkSegment(segment, run)
      if (link === active) sawActive = true
      segments += run
      previous = link
      link = this.#segment(segment, Segment.next)
    }
    assert(this.#control[queue + Queue.newest] === previous, "a queue's newest ends its chain")
    assert(this.#control[queue + Queue.segments] === segments, "a queue's segments are counted right")
    assert(sawActive, 'the segment being written is in its queue')
  }

  #checkSegment(segment: number, run: number): void {
    const first = this.#geometry.data + segment * this.#geometry.segmentUnits
    const used = this.#segment(segment, Segment.usedUnits)
    assert(used <= run * this.#geometry.segmentUnits, 'a segment is not overfull')
    let record = first
    while (record < first + used) record += recordUnits(this.#memory, record)
    assert(record === first + used, "a segment's records end where its use ends")
    const live = this.#segment(segment, Segment.liveUnits)
    assert(live === this.#liveUnits[segment], `segment ${segment}'s live units are counted right`)
  }

  #checkPool(): void {
    let free = 0
    for (let link = this.#control[Superblock.poolHead]!; link !== 0; free++) {
      this.#claim(link - 1)
      assert(this.#segment(link - 1, Segment.state) === SegmentState.free, 'the pool holds free segments')
      assert(this.#segment(link - 1, Segment.liveUnits) === 0, 'a free segment holds nothing')
      link = this.#segment(link - 1, Segment.next)
    }
    assert(free === this.#control[Superblock.poolCount], 'the pool is counted right')
  }
}

/** Throws AssertionError at the first invariant that does not hold. */
export function checkStore(memory: Memory, geometry: Geometry, seed: number): void {
  new Check(memory, geometry, seed).run()
}
