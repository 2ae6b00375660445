// Writing the store: locks, puts, removals. A write locks one shard, places the record at the end of a segment and then
// points the key's slot at it. store/layout.ts names the locks and their order.
import { assert, AssertionError } from '../base/assert.ts'
import { copyBytes } from '../base/bytes.ts'
import { limits } from '../base/limits.ts'
import type { RecordType } from './layout.ts'
import {
  COHERENT_BYTES,
  EXPIRY_BYTES,
  FLAG_COHERENT,
  FLAG_EXPIRES,
  HEADER_BYTES,
  Segment,
  SegmentState,
  Shard,
  ShardTotals,
  WINDOW_MASK,
  WINDOW_SHIFT,
} from './layout.ts'
import { ByteView, copyView, VIEW_COPY_BYTES_MAX } from './byte-view.ts'
import { ChangeLog } from './change-log.ts'
import { acquire, release } from './lock.ts'
import { recordExpiresAtMs, recordType, recordUnits } from './record.ts'
import { RunSpace } from './run-space.ts'
import { SegmentQueues } from './segment-queues.ts'
import { Segments } from './segments.ts'
import type { SharedStore } from './store-reader.ts'
import { StoreReader } from './store-reader.ts'

/** `too-large`: over store.valueBytesMax or limits.keyBytesMax; `no-room`: memory is taken by what cannot move now. */
export type PutOutcome = 'stored' | 'too-large' | 'no-room'

/** What a row's record carries beside its value. */
export interface CoherentPart {
  readonly lane: number
  readonly keyspace: number
  readonly generation: number
  readonly stamp: Uint8Array
}

const IN_PLACE_UNITS_MAX = 512

class RunNeeded extends Error {
  readonly segments: number
  readonly wallMs: number
  constructor(segments: number, wallMs: number) {
    super('a run of segments has to be reserved first')
    this.segments = segments
    this.wallMs = wallMs
  }
}

export class StoreWriter extends StoreReader {
  /** The largest value, in bytes, that this memory takes. */
  readonly valueBytesMax: number
  protected readonly segments: Segments
  protected readonly queues: SegmentQueues
  protected readonly thread: number
  /** What clients that track keys are told of. */
  readonly changes: ChangeLog
  readonly #shardShift: number
  /** For each shard, the list of it alone. */
  readonly #oneShard: readonly (readonly number[])[]
  readonly #allShards: readonly number[]
  readonly #runSpace: RunSpace
  #run = -1
  #runSegments = 0
  readonly #valueView = new ByteView()

  protected constructor(shared: SharedStore, thread: number) {
    super(shared)
    assert(thread >= 0 && thread < limits.threadsMax, 'the thread number is within its limits')
    this.thread = thread
    this.changes = new ChangeLog(thread, shared.changes)
    this.segments = new Segments(this.memory, this.geometry, thread)
    this.queues = new SegmentQueues(this.memory, this.geometry, this.index, this.segments, this.changes, thread)
    this.#shardShift = 32 - this.geometry.shardBits
    this.#runSpace = new RunSpace(this.memory, this.geometry, this.index, this.segments, this.queues)
    this.#allShards = Array.from({ length: this.geometry.shards }, (_, shard) => shard)
    this.#oneShard = Array.from({ length: this.geometry.shards }, (_, shard) => [shard])
    const overhead = HEADER_BYTES + EXPIRY_BYTES + COHERENT_BYTES + limits.stampBytesMax
    const recordBytesMax = this.geometry.recordUnitsMax * 8
    this.valueBytesMax = Math.min(limits.valueBytesMax, recordBytesMax - overhead - limits.keyBytesMax)
  }

  #lockAt(hash: number): number {
    const shard = this.geometry.shardBits === 0 ? 0 : hash >>> this.#shardShift
    return this.queues.shardAt(shard)
  }

  lock(hash: number): void {
    if (this.held !== undefined) return this.lockShard(this.index.shardOf(hash))
    const at = this.#lockAt(hash)
    acquire(this.control, at + Shard.lock, at + Shard.waiters, this.thread)
  }

  unlock(hash: number): void {
    if (this.held !== undefined) return
    const at = this.#lockAt(hash)
    release(this.control, at + Shard.lock, at + Shard.waiters)
  }

  #holds(hash: number): boolean {
    return this.control[this.#lockAt(hash) + Shard.lock] === this.thread + 1
  }

  /** Runs `change` with the key's shard locked. It is synchronous, and may run again: all before its put is repeatable. */
  withLock<T>(hash: number, change: () => T): T {
    return this.#withShards(this.#oneShard[this.index.shardOf(hash)]!, change)
  }

  /**
   * The same with the shards of several keys, locked in ascending order. At most one put in it may be of a record larger than a
   * segment: a change begins again for each of them.
   */
  withLocks<T>(hashes: ArrayLike<number>, change: () => T): T {
    const shards = [...new Set(Array.from(hashes, hash => this.index.shardOf(hash)))].sort((a, b) => a - b)
    return this.#withShards(shards, change)
  }

  #withShards<T>(shards: readonly number[], change: () => T): T {
    try {
      for (;;) {
        try {
          return this.#locked(shards, change)
        } catch (error) {
          if (!(error instanceof RunNeeded)) throw error
          this.#reserve(error)
        }
      }
    } finally {
      this.#returnRun()
    }
  }

  #locked<T>(shards: readonly number[], change: () => T): T {
    let held = 0
    try {
      for (; held < shards.length; held++) this.lockShard(shards[held]!)
      return change()
    } catch (error) {
      if (this.#hasBroken(error)) for (let i = 0; i < held; i++) this.wipeBroken(shards[i]!)
      throw error
    } finally {
      for (let i = 0; i < held; i++) this.unlockShard(shards[i]!)
    }
  }

  // What a broken invariant or half a write left behind is not to be served to anyone.
  #hasBroken(error: unknown): boolean {
    if (!(error instanceof AssertionError) && !this.index.writing) return false
    const { victim } = this.queues
    if (victim >= 0) {
      this.wipeBroken(victim)
      this.releaseShard(victim)
      this.queues.victim = -1
    }
    return true
  }

  protected lockShard(shard: number): void {
    if (this.held !== undefined) return this.requireHeld(shard)
    const at = this.queues.shardAt(shard)
    acquire(this.control, at + Shard.lock, at + Shard.waiters, this.thread)
  }

  protected unlockShard(shard: number): void {
    if (this.held === undefined) this.releaseShard(shard)
  }

  protected releaseShard(shard: number): void {
    const at = this.queues.shardAt(shard)
    release(this.control, at + Shard.lock, at + Shard.waiters)
  }

  /** In a transaction, which holds all that it may touch: to wait for one more shard could be to wait for ever. */
  protected requireHeld(shard: number): void {
    if (this.held![shard] !== 1) throw new Error('a transaction touches a key that it has not named')
  }

  protected lockAll(): void {
    for (let shard = 0; shard < this.geometry.shards; shard++) this.lockShard(shard)
  }

  protected unlockAll(): void {
    for (let shard = 0; shard < this.geometry.shards; shard++) this.unlockShard(shard)
  }

  #reserve({ segments, wallMs }: RunNeeded): void {
    this.#returnRun()
    if (this.held?.includes(0) === true) {
      this.#runSegments = -segments
      return
    }
    this.#run = this.#locked(this.#allShards, () => this.#runSpace.reserve(segments, wallMs))
    this.#runSegments = this.#run < 0 ? -segments : segments
  }

  #returnRun(): void {
    if (this.#run >= 0) this.segments.push(this.#run, this.#runSegments)
    this.#run = -1
    this.#runSegments = 0
  }

  /** lock + put + unlock, without a closure. */
  set(
    bytes: Uint8Array,
    start: number,
    end: number,
    hash: number,
    type: RecordType,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
    expiresAtMs: number,
    wallMs: number,
  ): PutOutcome {
    if (HEADER_BYTES + EXPIRY_BYTES + (end - start) + (valueEnd - valueStart) + 8 > this.geometry.segmentUnits * 8) {
      return this.withLock(hash, () =>
        this.put(bytes, start, end, hash, type, value, valueStart, valueEnd, expiresAtMs, wallMs),
      )
    }
    this.lock(hash)
    try {
      return this.put(bytes, start, end, hash, type, value, valueStart, valueEnd, expiresAtMs, wallMs)
    } catch (error) {
      if (this.#hasBroken(error)) this.wipeBroken(this.index.shardOf(hash))
      throw error
    } finally {
      this.unlock(hash)
    }
  }

  /** Stores a record, replacing the key's old one. Needs the lock. `expiresAtMs` 0: never. */
  put(
    bytes: Uint8Array,
    start: number,
    end: number,
    hash: number,
    type: RecordType,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
    expiresAtMs: number,
    wallMs: number,
    coherent?: CoherentPart,
  ): PutOutcome {
    assert(this.#holds(hash), 'a put happens under its shard lock')
    const keyBytes = end - start
    const valueBytes = valueEnd - valueStart
    if (keyBytes > limits.keyBytesMax || valueBytes > this.valueBytesMax) return 'too-large'
    let flags = 0
    let head = HEADER_BYTES
    if (expiresAtMs !== 0) {
      flags |= FLAG_EXPIRES
      head += EXPIRY_BYTES
    }
    if (coherent !== undefined) {
      flags |= FLAG_COHERENT
      assert(coherent.stamp.length <= limits.stampBytesMax, 'a stamp is within its limit')
      head += COHERENT_BYTES + ((coherent.stamp.length + 7) & ~7)
    }
    const units = (head + keyBytes + valueBytes + 7) >>> 3
    const meta = keyBytes | (type << 16) | flags
    const shard = this.index.shardOf(hash)
    // First of all, because it may ask for the change to begin again.
    const run = units > this.geometry.segmentUnits ? this.#placeRun(units, wallMs) : -1
    let exists = this.index.locateKey(hash, bytes, start, end)
    const old = exists ? this.index.slotWords[this.index.slotAt]! >>> 0 : 0
    if (exists && units <= IN_PLACE_UNITS_MAX && recordUnits(this.memory, old) === units) {
      this.index.beginWrite()
      const before = recordType(this.memory, old)
      this.#write(old, meta, hash, bytes, start, end, value, valueStart, valueEnd, expiresAtMs, coherent)
      if (before !== type) this.queues.recount(shard, before, type)
      this.index.endWrite()
      if (coherent === undefined && this.changes.active) this.changes.changed(hash, bytes, start, end)
      return 'stored'
    }
    const before = this.queues.disturbances
    if (!exists && !this.index.locateFree(hash) && !this.index.hasOverflowBucket(shard)) {
      if (!this.#addOverflowBuckets(shard, wallMs)) return 'no-room'
    }
    const main = exists ? this.#isMain(old) : this.index.takeGhost(hash)
    const record = run >= 0 ? run : this.queues.room(shard, main, units, wallMs)
    if (record === 0) return 'no-room'
    this.#write(record, meta, hash, bytes, start, end, value, valueStart, valueEnd, expiresAtMs, coherent)
    if (exists && this.queues.disturbances !== before) exists = this.index.locateKey(hash, bytes, start, end)
    if (exists) this.#replace(shard, record, units, type, main, hash)
    else this.#insert(shard, record, units, type, main, hash)
    if (coherent === undefined && this.changes.active) this.changes.changed(hash, bytes, start, end)
    return 'stored'
  }

  #isMain(record: number): boolean {
    return this.segments.get(this.segments.at(record), Segment.state) === SegmentState.main
  }

  #replace(shard: number, record: number, units: number, type: number, main: boolean, hash: number): void {
    const { slotWords, slotAt } = this.index
    const old = slotWords[slotAt]! >>> 0
    const frequency = slotWords[slotAt + 1]! & 3
    this.index.setSlot(record, hash, frequency)
    this.#commit(shard, record, units, main)
    const before = recordType(this.memory, old)
    if (before !== type) this.queues.recount(shard, before, type)
    this.queues.discard(shard, old)
  }

  #insert(shard: number, record: number, units: number, type: number, main: boolean, hash: number): void {
    if (!this.index.locateFree(hash)) this.index.growChain(hash)
    this.index.setSlot(record, hash, 0)
    this.#commit(shard, record, units, main)
    this.queues.countRecord(shard, type, 1)
    this.index.grow(shard)
  }

  #commit(shard: number, record: number, units: number, main: boolean): void {
    if (units > this.geometry.segmentUnits) this.#linkRun(shard, main)
    this.queues.commit(shard, record, units)
  }

  #addOverflowBuckets(shard: number, wallMs: number): boolean {
    const segment = this.queues.takeSegment(shard, wallMs)
    if (segment < 0) return false
    this.segments.set(segment, Segment.state, SegmentState.index)
    this.index.addOverflowSegment(shard, this.segments.unitOf(segment), this.geometry.segmentUnits)
    return true
  }

  // A record larger than a segment goes into a run that was reserved before the lock was taken: making room for it takes
  // all locks. Without one the caller's change is undone by not having begun, and withLocks() comes back with a run.
  #placeRun(units: number, wallMs: number): number {
    const segments = Math.ceil(units / this.geometry.segmentUnits)
    if (this.#runSegments === -segments) return 0
    if (this.#runSegments < segments) throw new RunNeeded(segments, wallMs)
    if (this.#runSegments > segments) this.segments.push(this.#run + segments, this.#runSegments - segments)
    this.#runSegments = segments
    return this.segments.unitOf(this.#run)
  }

  #linkRun(shard: number, main: boolean): void {
    const first = this.#run
    for (let segment = first; segment < first + this.#runSegments; segment++) {
      this.segments.take(segment, shard)
      this.segments.set(segment, Segment.state, SegmentState.run)
    }
    this.segments.set(first, Segment.runSegments, this.#runSegments)
    const queue = this.queues.shardAt(shard) + (main ? Shard.main : Shard.small)
    this.segments.link(queue, first, main ? SegmentState.main : SegmentState.small)
    this.#run = -1
    this.#runSegments = 0
  }

  #write(
    record: number,
    meta: number,
    hash: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
    expiresAtMs: number,
    coherent: CoherentPart | undefined,
  ): void {
    const window = record >>> WINDOW_SHIFT
    const words = this.windowWords[window]!
    const stored = this.memory.bytes[window]!
    let at = (record & WINDOW_MASK) << 1
    const version = this.queues.shardAt(this.index.shardOf(hash)) + Shard.version
    this.control[version] = (this.control[version]! + 1) | 0 || 1
    words[at] = meta
    words[at + 1] = valueEnd - valueStart
    words[at + 2] = this.control[version]!
    words[at + 3] = hash
    at += HEADER_BYTES >> 2
    if (expiresAtMs !== 0) {
      this.memory.doubles[window]![at >>> 1] = expiresAtMs
      at += EXPIRY_BYTES >> 2
    }
    let to = at << 2
    if (coherent !== undefined) {
      words[at] = coherent.lane | (coherent.keyspace << 16)
      words[at + 1] = coherent.generation
      words[at + 2] = coherent.stamp.length
      words[at + 3] = 0
      to += COHERENT_BYTES
      stored.set(coherent.stamp, to)
      to += (coherent.stamp.length + 7) & ~7
    }
    const view = this.memory.views[window]!
    copyView(this.keyView.of(bytes), start, view, to, end - start)
    to += end - start
    if (valueEnd - valueStart > VIEW_COPY_BYTES_MAX) copyBytes.call(value, stored, to, valueStart, valueEnd)
    else copyView(this.#valueView.of(value), valueStart, view, to, valueEnd - valueStart)
  }

  /** Removes a key, expired or not; false when there was none. Needs the lock. */
  remove(bytes: Uint8Array, start: number, end: number, hash: number): boolean {
    assert(this.#holds(hash), 'a removal happens under its shard lock')
    if (!this.index.locateKey(hash, bytes, start, end)) return false
    const shard = this.index.shardOf(hash)
    this.drop(shard, this.index.slotWords[this.index.slotAt]! >>> 0)
    return true
  }

  // Frees the located slot and counts its record out.
  protected drop(shard: number, record: number): void {
    this.index.clearSlot(shard)
    if (this.changes.active) this.queues.tellGone(record)
    this.queues.countRecord(shard, recordType(this.memory, record), -1)
    this.queues.discard(shard, record)
  }

  /** Sets when a key expires, 0 for never; false when there is no such key or it has expired, or (only large records) no room. Needs the lock. */
  setExpiry(bytes: Uint8Array, start: number, end: number, hash: number, expiresAtMs: number, wallMs: number): boolean {
    assert(this.#holds(hash), 'a change happens under its shard lock')
    if (!this.index.locateKey(hash, bytes, start, end)) return false
    const record = this.index.slotWords[this.index.slotAt]! >>> 0
    const before = recordExpiresAtMs(this.memory, record)
    if (before !== 0 && before <= wallMs) return false
    const words = this.windowWords[record >>> WINDOW_SHIFT]!
    const at = (record & WINDOW_MASK) << 1
    if ((words[at]! & FLAG_EXPIRES) !== 0) {
      const version = this.queues.shardAt(this.index.shardOf(hash)) + Shard.version
      this.control[version] = (this.control[version]! + 1) | 0 || 1
      this.index.beginWrite()
      this.memory.doubles[record >>> WINDOW_SHIFT]![(at + 4) >>> 1] = expiresAtMs
      words[at + 2] = this.control[version]!
      this.index.endWrite()
      if (this.changes.active) this.changes.changed(hash, bytes, start, end)
      return true
    }
    if (expiresAtMs === 0) return true
    // The record has no room for an expiry: it is written anew with one.
    const type = recordType(this.memory, record) as RecordType
    const value = this.get(bytes, start, end, hash, -Infinity)!
    const coherent =
      (words[at]! & FLAG_COHERENT) === 0
        ? undefined
        : {
            lane: this.foundLane,
            keyspace: this.foundKeyspace,
            generation: this.foundGeneration,
            stamp: this.foundStamp(),
          }
    return this.put(bytes, start, end, hash, type, value, 0, value.length, expiresAtMs, wallMs, coherent) === 'stored'
  }

  // Under the shard's lock, or with its owner dead.
  protected wipe(shard: number): void {
    const at = this.queues.shardAt(shard)
    this.index.wipe(shard)
    this.control.fill(0, at + Shard.small, at + Shard.sweepBucket)
    this.queues.addTotal(shard, ShardTotals.liveUnits, -this.queues.total(shard, ShardTotals.liveUnits))
    for (let segment = 0; segment < this.geometry.segments; segment++) {
      const state = this.segments.get(segment, Segment.state)
      const owned = state !== SegmentState.free && state !== SegmentState.reserved
      if (owned && this.segments.get(segment, Segment.owner) === shard) {
        this.segments.set(segment, Segment.liveUnits, 0)
        this.segments.push(segment, 1)
      }
    }
    this.giveSpare(shard)
  }

  protected wipeBroken(shard: number): void {
    this.wipe(shard)
    this.changes.allChanged()
    this.queues.addTotal(shard, ShardTotals.wiped, 1)
  }

  protected giveSpare(shard: number): void {
    this.control[this.queues.shardAt(shard) + Shard.spare] = this.segments.pop(shard) + 1
  }
}
