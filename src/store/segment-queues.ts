// S3-FIFO over segments: where a new record is written, and how room is made. A shard's two queues are chains of segments
// in the order they were begun; reclaiming reads the oldest, moves on what was read since, and lets go of the rest.
// For callers that hold the shard's lock. policy/eviction.ts decides; this file moves bytes.
import { assert } from '../base/assert.ts'
import { frequencyAfterReclaim, queueToReclaim, RECLAIM_TRIES_MAX } from '../policy/eviction.ts'
import type { ChangeLog } from './change-log.ts'
import type { HashIndex } from './hash-index.ts'
import type { Geometry } from './layout.ts'
import {
  Queue,
  RecordType,
  Segment,
  SegmentState,
  Shard,
  SHARD_WORDS,
  ShardTotals,
  WINDOW_MASK,
  WINDOW_SHIFT,
} from './layout.ts'
import { release, tryAcquire } from './lock.ts'
import type { Memory } from './memory.ts'
import { keyOffsetBytes, recordExpiresAtMs, recordHash, recordType, recordUnits } from './record.ts'
import type { Segments } from './segments.ts'

/** A shard that has so many times the segments of one that needs some gives it one of its own. */
const FAR_MORE = 2

/** Records of these types are what clients see and what DBSIZE counts. */
export function isVisible(type: number): boolean {
  return type >= RecordType.string && type <= RecordType.row
}

export class SegmentQueues {
  readonly #memory: Memory
  readonly #geometry: Geometry
  readonly #index: HashIndex
  readonly #segments: Segments
  readonly #thread: number
  readonly #changes: ChangeLog
  /** Grows whenever records may have been moved or let go of, so that what was located before has to be located again. */
  disturbances = 0
  /** The shard whose lock is held beside the caller's while a segment is taken from it; -1: none. */
  victim = -1
  readonly #control: Int32Array<SharedArrayBuffer>
  readonly #totals: Float64Array<SharedArrayBuffer>

  constructor(
    memory: Memory,
    geometry: Geometry,
    index: HashIndex,
    segments: Segments,
    changes: ChangeLog,
    thread: number,
  ) {
    this.#memory = memory
    this.#geometry = geometry
    this.#index = index
    this.#segments = segments
    this.#thread = thread
    this.#changes = changes
    this.#control = memory.words[0]!
    this.#totals = memory.doubles[0]!
  }

  /** Word of a shard's first field. */
  shardAt(shard: number): number {
    return this.#geometry.shardTable + shard * SHARD_WORDS
  }

  addTotal(shard: number, total: number, amount: number): void {
    const at = (this.shardAt(shard) + Shard.totals) / 2 + total
    this.#totals[at] = this.#totals[at]! + amount
  }

  total(shard: number, total: number): number {
    return this.#totals[(this.shardAt(shard) + Shard.totals) / 2 + total]!
  }

  /** Unit at which a record of so many units can be written next, in the small or the main queue; 0: there is no room. */
  room(shard: number, main: boolean, units: number, wallMs: number): number {
    const queue = this.shardAt(shard) + (main ? Shard.main : Shard.small)
    let active = this.#control[queue + Queue.active]! - 1
    if (active < 0 || this.#segments.get(active, Segment.usedUnits) + units > this.#geometry.segmentUnits) {
      const fresh = this.takeSegment(shard, wallMs)
      if (fresh < 0) return 0
      active = this.#control[queue + Queue.active]! - 1
      // Survivors of a reclaim may have begun a main segment meanwhile, with room to spare.
      if (active >= 0 && this.#segments.get(active, Segment.usedUnits) + units <= this.#geometry.segmentUnits) {
        this.#segments.push(fresh, 1)
      } else {
        active = fresh
        this.#segments.link(queue, active, main ? SegmentState.main : SegmentState.small)
        this.#control[queue + Queue.active] = active + 1
      }
    }
    return this.#segments.unitOf(active) + this.#segments.get(active, Segment.usedUnits)
  }

  /** Counts a record just written at `unit`, the place that room() gave. */
  commit(shard: number, unit: number, units: number): void {
    const segment = this.#segments.at(unit)
    this.#segments.add(segment, Segment.usedUnits, units)
    this.#segments.add(segment, Segment.liveUnits, units)
    this.addTotal(shard, ShardTotals.liveUnits, units)
  }

  /** Counts a record that no slot points at any more; a segment left with none goes back to the pool at once. */
  discard(shard: number, record: number): void {
    const segment = this.#segments.at(record)
    const units = recordUnits(this.#memory, record)
    this.#segments.add(segment, Segment.liveUnits, -units)
    this.addTotal(shard, ShardTotals.liveUnits, -units)
    if (this.#segments.get(segment, Segment.liveUnits) !== 0) return
    const main = this.#segments.get(segment, Segment.state) === SegmentState.main
    const queue = this.shardAt(shard) + (main ? Shard.main : Shard.small)
    if (this.#control[queue + Queue.active] === segment + 1) {
      this.#segments.set(segment, Segment.usedUnits, 0)
      return
    }
    this.#segments.unlink(queue, segment)
    this.#segments.push(segment, this.#segments.get(segment, Segment.runSegments))
  }

  /**
   * A segment for the shard: a free one, else the oldest of a shard that has far more, else its own oldest, else any
   * other's, else its spare; -1 if all fail.
   */
  takeSegment(shard: number, wallMs: number): number {
    const free = this.#segments.pop(shard)
    if (free >= 0) return free
    const largest = this.largestShard()
    if (largest >= 0 && this.#segmentsOf(largest) > FAR_MORE * (this.#segmentsOf(shard) + 1)) {
      const taken = this.#takeFrom(largest, shard, wallMs)
      if (taken >= 0) return taken
    }
    const own = this.#reclaimOne(shard, shard, wallMs)
    if (own >= 0) return own
    for (let other = 0; other < this.#geometry.shards; other++) {
      const taken = other === shard ? -1 : this.#takeFrom(other, shard, wallMs)
      if (taken >= 0) return taken
    }
    return this.#takeSpare(shard)
  }

  // Two tries without mercy, because the first segment that is reclaimed may become the spare.
  #reclaimOne(from: number, to: number, wallMs: number): number {
    for (let tries = 0; tries <= RECLAIM_TRIES_MAX + 1; tries++) {
      const segment = this.reclaim(from, to, tries >= RECLAIM_TRIES_MAX, wallMs)
      if (segment >= 0) return segment
    }
    return -1
  }

  #takeFrom(other: number, shard: number, wallMs: number): number {
    if (other === shard || !tryAcquire(this.#control, this.shardAt(other) + Shard.lock, this.#thread)) return -1
    this.victim = other
    const taken = this.#reclaimOne(other, shard, wallMs)
    this.victim = -1
    release(this.#control, this.shardAt(other) + Shard.lock, this.shardAt(other) + Shard.waiters)
    return taken
  }

  #segmentsOf(shard: number): number {
    const at = this.shardAt(shard) + Queue.segments
    return this.#control[at + Shard.small]! + this.#control[at + Shard.main]!
  }

  /** The shard with most segments in its queues, or -1. A look without locks: others may be changing it. */
  largestShard(): number {
    let largest = -1
    let most = 0
    for (let shard = 0; shard < this.#geometry.shards; shard++) {
      const segments = this.#segmentsOf(shard)
      if (segments <= most) continue
      largest = shard
      most = segments
    }
    return largest
  }

  #takeSpare(shard: number): number {
    const at = this.shardAt(shard) + Shard.spare
    const spare = this.#control[at]! - 1
    this.#control[at] = 0
    return spare
  }

  /**
   * Empties the oldest segment of a queue of shard `from` and gives it to shard `to`; -1 when that yielded none (it became
   * the spare, or all of it survived, or there was nothing).
   */
  reclaim(from: number, to: number, merciless: boolean, wallMs: number): number {
    const at = this.shardAt(from)
    const control = this.#control
    const name = queueToReclaim(control[at + Shard.small + Queue.segments]!, control[at + Shard.main + Queue.segments]!)
    const queue = at + (name === 'small' ? Shard.small : Shard.main)
    const segment = control[queue + Queue.oldest]! - 1
    if (segment < 0) return -1
    this.disturbances++
    this.#segments.unlink(queue, segment)
    const run = this.#segments.get(segment, Segment.runSegments)
    const end = this.#segments.unitOf(segment) + this.#segments.get(segment, Segment.usedUnits)
    for (let record = this.#segments.unitOf(segment); record < end;) {
      const units = recordUnits(this.#memory, record)
      if (this.#index.locateRecord(recordHash(this.#memory, record), record)) {
        const kept = merciless ? -1 : this.#keptFrequency(name, record, wallMs)
        if (kept >= 0 && run > 1) return this.#relinkRun(from, segment, kept)
        if (kept < 0 || !this.#move(from, record, units, kept))
          this.letGo(from, record, units, name === 'small', wallMs)
      }
      record += units
    }
    assert(this.#segments.get(segment, Segment.liveUnits) === 0, 'a reclaimed segment holds nothing')
    if (run > 1) this.#segments.push(segment + 1, run - 1)
    this.#segments.take(segment, to)
    if (control[at + Shard.spare] !== 0) return segment
    this.#segments.set(segment, Segment.owner, from)
    control[at + Shard.spare] = segment + 1
    return -1
  }

  #keptFrequency(queue: 'small' | 'main', record: number, wallMs: number): number {
    const expiresAtMs = recordExpiresAtMs(this.#memory, record)
    if (expiresAtMs !== 0 && expiresAtMs <= wallMs) return -1
    return frequencyAfterReclaim(queue, this.#index.slotWords[this.#index.slotAt + 1]! & 3)
  }

  // The run's one record survives where it is: its segments join the main queue's end.
  #relinkRun(shard: number, segment: number, frequency: number): number {
    const { slotWords, slotAt } = this.#index
    slotWords[slotAt + 1] = (slotWords[slotAt + 1]! & ~3) | frequency
    this.#segments.link(this.shardAt(shard) + Shard.main, segment, SegmentState.main)
    return -1
  }

  // Copies the record whose slot was just located to the end of the main queue. False: no room for it.
  #move(shard: number, record: number, units: number, frequency: number): boolean {
    const queue = this.shardAt(shard) + Shard.main
    let active = this.#control[queue + Queue.active]! - 1
    if (active < 0 || this.#segments.get(active, Segment.usedUnits) + units > this.#geometry.segmentUnits) {
      active = this.#segments.pop(shard)
      if (active < 0) active = this.#takeSpare(shard)
      if (active < 0) return false
      this.#segments.link(queue, active, SegmentState.main)
      this.#control[queue + Queue.active] = active + 1
    }
    const target = this.#segments.unitOf(active) + this.#segments.get(active, Segment.usedUnits)
    const from = this.#memory.bytes[record >>> WINDOW_SHIFT]!
    const fromAt = (record & WINDOW_MASK) * 8
    from.copy(this.#memory.bytes[target >>> WINDOW_SHIFT]!, (target & WINDOW_MASK) * 8, fromAt, fromAt + units * 8)
    this.#index.setSlot(target, recordHash(this.#memory, record), frequency)
    this.#segments.add(this.#segments.at(record), Segment.liveUnits, -units)
    this.#segments.add(active, Segment.usedUnits, units)
    this.#segments.add(active, Segment.liveUnits, units)
    this.addTotal(shard, ShardTotals.moved, 1)
    return true
  }

  /** Forgets the record whose slot was just located, inside a segment that is being emptied. */
  letGo(shard: number, record: number, units: number, remember: boolean, wallMs: number): void {
    const expiresAtMs = recordExpiresAtMs(this.#memory, record)
    const expired = expiresAtMs !== 0 && expiresAtMs <= wallMs
    if (remember && !expired) this.#index.addGhost(recordHash(this.#memory, record))
    this.#index.clearSlot(shard)
    if (this.#changes.active) this.tellGone(record)
    this.#segments.add(this.#segments.at(record), Segment.liveUnits, -units)
    this.addTotal(shard, ShardTotals.liveUnits, -units)
    this.addTotal(shard, expired ? ShardTotals.expired : ShardTotals.evicted, 1)
    this.countRecord(shard, recordType(this.#memory, record), -1)
  }

  /** For clients that track keys: the record cannot be found any more, and its bytes are still there. */
  tellGone(record: number): void {
    if (recordType(this.#memory, record) > RecordType.absentRow) return
    const start = (record & WINDOW_MASK) * 8 + keyOffsetBytes(this.#memory, record)
    const window = record >>> WINDOW_SHIFT
    const keyBytes = this.#memory.words[window]![(record & WINDOW_MASK) << 1]! & 0xffff
    this.#changes.changed(recordHash(this.#memory, record), this.#memory.bytes[window]!, start, start + keyBytes)
  }

  /** Counts a record of one type that another has taken the place of. */
  recount(shard: number, before: number, type: number): void {
    this.countRecord(shard, before, -1)
    this.countRecord(shard, type, 1)
  }

  countRecord(shard: number, type: number, amount: number): void {
    const at = this.shardAt(shard)
    this.#control[at + Shard.records]! += amount
    if (isVisible(type)) this.#control[at + Shard.visible]! += amount
  }
}
