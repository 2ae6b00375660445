// Room for a record larger than a segment: adjacent segments. Room is made as it is for any record, by letting the oldest
// go in S3-FIFO's order; what then stands between the free segments is moved out of the way, not evicted, whatever it is:
// records, overflow buckets, a shard's spare. Only another large record in the way has to go.
// Under all shard locks. Not a hot path.
import { RECLAIM_TRIES_MAX } from '../policy/eviction.ts'
import type { HashIndex } from './hash-index.ts'
import type { Geometry } from './layout.ts'
import { BUCKET_UNITS, Segment, SegmentState, Shard, WINDOW_MASK, WINDOW_SHIFT } from './layout.ts'
import type { Memory } from './memory.ts'
import { recordHash, recordUnits } from './record.ts'
import type { SegmentQueues } from './segment-queues.ts'
import type { Segments } from './segments.ts'

/** What evicting a large record weighs against moving as many bytes of small ones. */
const EVICTION_WEIGHT = 16

export class RunSpace {
  readonly #memory: Memory
  readonly #geometry: Geometry
  readonly #index: HashIndex
  readonly #segments: Segments
  readonly #queues: SegmentQueues
  readonly #control: Int32Array<SharedArrayBuffer>

  constructor(memory: Memory, geometry: Geometry, index: HashIndex, segments: Segments, queues: SegmentQueues) {
    this.#memory = memory
    this.#geometry = geometry
    this.#index = index
    this.#segments = segments
    this.#queues = queues
    this.#control = memory.words[0]!
  }

  /** Makes `count` adjacent segments free and reserves them for this thread; -1 if that can't be. */
  reserve(count: number, wallMs: number): number {
    if (!this.#makeFree(count, wallMs)) return -1
    // Others may give segments back meanwhile: for that they need no shard's lock.
    this.#segments.lockPool()
    const first = this.#cheapestWindow(count)
    const end = first < 0 ? first : first + count
    for (let segment = first; segment < end; segment++) {
      if (this.#state(segment) === SegmentState.free) this.#segments.reserve(segment)
    }
    this.#segments.rebuildPool()
    this.#segments.unlockPool()
    // As many segments are free elsewhere as are still taken in here.
    for (let segment = first; segment < end; segment++) {
      if (this.#state(segment) === SegmentState.reserved) continue
      this.#vacate(segment, first, count, wallMs)
      this.#segments.reserve(segment)
    }
    return first
  }

  #state(segment: number): number {
    return this.#segments.get(segment, Segment.state)
  }

  // Reclaims from whichever shard has most, until so many segments are free, wherever they are.
  #makeFree(count: number, wallMs: number): boolean {
    for (let tries = 0; this.#segments.freeCount() < count;) {
      const shard = this.#queues.largestShard()
      if (shard < 0) return false
      const freed = this.#queues.reclaim(shard, shard, tries >= RECLAIM_TRIES_MAX, wallMs)
      if (freed >= 0) this.#segments.push(freed, 1)
      tries = freed >= 0 ? 0 : tries + 1
    }
    return true
  }

  #cheapestWindow(count: number): number {
    const costs = new Float64Array(this.#geometry.segments)
    let best = -1
    let bestCost = Infinity
    let cost = 0
    for (let segment = 0, usable = 0; segment < this.#geometry.segments; segment++) {
      if (this.#state(segment) === SegmentState.reserved) {
        usable = 0
        cost = 0
        continue
      }
      costs[segment] = this.#state(segment) === SegmentState.run ? costs[segment - 1]! : this.#cost(segment)
      cost += costs[segment]!
      if (++usable > count) cost -= costs[segment - count]!
      if (usable < count || cost >= bestCost) continue
      best = segment - count + 1
      bestCost = cost
    }
    return best
  }

  // Units that have to be touched to get a segment out of the way; of a run, the share of each of its segments.
  #cost(segment: number): number {
    const state = this.#state(segment)
    if (state === SegmentState.index) {
      const buckets = this.#index.bucketsOf(this.#segments.get(segment, Segment.owner))
      return this.#geometry.segmentUnits + buckets * BUCKET_UNITS
    }
    if (state !== SegmentState.small && state !== SegmentState.main) return 0
    const run = this.#segments.get(segment, Segment.runSegments)
    return (this.#segments.get(segment, Segment.liveUnits) / run) * (run > 1 ? EVICTION_WEIGHT : 1)
  }

  #vacate(segment: number, first: number, count: number, wallMs: number): void {
    const state = this.#state(segment)
    if (state === SegmentState.index) this.#moveIndexSegment(segment)
    else if (state === SegmentState.taken) this.#moveSpare(segment)
    else if (state !== SegmentState.run && this.#segments.get(segment, Segment.runSegments) === 1) {
      this.#moveSegment(segment)
    } else {
      let element = segment
      while (this.#state(element) === SegmentState.run) element--
      this.#evictRun(element, first, count, wallMs)
    }
  }

  #moveSpare(segment: number): void {
    const shard = this.#segments.get(segment, Segment.owner)
    this.#control[this.#queues.shardAt(shard) + Shard.spare] = this.#segments.pop(shard) + 1
  }

  // What is live in the segment, in the same order at the same place of its queue.
  #moveSegment(segment: number): void {
    const shard = this.#segments.get(segment, Segment.owner)
    const fresh = this.#segments.pop(shard)
    const begin = this.#segments.unitOf(segment)
    const end = begin + this.#segments.get(segment, Segment.usedUnits)
    let target = this.#segments.unitOf(fresh)
    for (let record = begin; record < end;) {
      const units = recordUnits(this.#memory, record)
      const hash = recordHash(this.#memory, record)
      if (this.#index.locateRecord(hash, record)) {
        this.#copy(record, target, units)
        this.#index.setSlot(target, hash, this.#index.slotWords[this.#index.slotAt + 1]! & 3)
        target += units
      }
      record += units
    }
    const live = target - this.#segments.unitOf(fresh)
    this.#segments.set(fresh, Segment.usedUnits, live)
    this.#segments.set(fresh, Segment.liveUnits, live)
    const queue = this.#state(segment) === SegmentState.main ? Shard.main : Shard.small
    this.#segments.replace(this.#queues.shardAt(shard) + queue, segment, fresh)
  }

  #moveIndexSegment(segment: number): void {
    const shard = this.#segments.get(segment, Segment.owner)
    const fresh = this.#segments.pop(shard)
    const { segmentUnits } = this.#geometry
    this.#segments.set(fresh, Segment.state, SegmentState.index)
    this.#copy(this.#segments.unitOf(segment), this.#segments.unitOf(fresh), segmentUnits)
    this.#index.relocateOverflow(shard, this.#segments.unitOf(segment), this.#segments.unitOf(fresh), segmentUnits)
  }

  #copy(from: number, to: number, units: number): void {
    const fromAt = (from & WINDOW_MASK) * 8
    const target = this.#memory.bytes[to >>> WINDOW_SHIFT]!
    this.#memory.bytes[from >>> WINDOW_SHIFT]!.copy(target, (to & WINDOW_MASK) * 8, fromAt, fromAt + units * 8)
  }

  // Its segments inside the window are reserved, those outside are free.
  #evictRun(element: number, first: number, count: number, wallMs: number): void {
    const shard = this.#segments.get(element, Segment.owner)
    const main = this.#state(element) === SegmentState.main
    this.#segments.unlink(this.#queues.shardAt(shard) + (main ? Shard.main : Shard.small), element)
    const record = this.#segments.unitOf(element)
    if (this.#index.locateRecord(recordHash(this.#memory, record), record)) {
      this.#queues.letGo(shard, record, recordUnits(this.#memory, record), !main, wallMs)
    }
    const end = element + this.#segments.get(element, Segment.runSegments)
    for (let segment = element; segment < end; segment++) {
      if (segment >= first && segment < first + count) this.#segments.reserve(segment)
      else this.#segments.push(segment, 1)
    }
  }
}
