// Segments: the pool of free ones, which all shards share, and the chains that make a shard's queues (store/layout.ts).
import { assert } from '../base/assert.ts'
import type { Geometry } from './layout.ts'
import { Queue, Segment, SEGMENT_WORDS, SegmentState, Superblock } from './layout.ts'
import { acquire, release } from './lock.ts'
import type { Memory } from './memory.ts'

export class Segments {
  readonly #control: Int32Array<SharedArrayBuffer>
  readonly #geometry: Geometry
  readonly #thread: number

  constructor(memory: Memory, geometry: Geometry, thread: number) {
    this.#control = memory.words[0]!
    this.#geometry = geometry
    this.#thread = thread
  }

  unitOf(segment: number): number {
    return this.#geometry.data + segment * this.#geometry.segmentUnits
  }

  /** The segment that holds a unit. */
  at(unit: number): number {
    return ((unit >>> 0) - this.#geometry.data) >>> this.#geometry.segmentShift
  }

  get(segment: number, field: number): number {
    return this.#control[this.#geometry.segmentTable + segment * SEGMENT_WORDS + field]!
  }

  set(segment: number, field: number, value: number): void {
    this.#control[this.#geometry.segmentTable + segment * SEGMENT_WORDS + field] = value
  }

  add(segment: number, field: number, amount: number): void {
    const at = this.#geometry.segmentTable + segment * SEGMENT_WORDS + field
    this.#control[at] = this.#control[at]! + amount
  }

  /** Takes a free segment for a shard, or gives -1. */
  pop(owner: number): number {
    const control = this.#control
    this.lockPool()
    const segment = control[Superblock.poolHead]! - 1
    if (segment >= 0) {
      control[Superblock.poolHead] = this.get(segment, Segment.next)
      control[Superblock.poolCount]!--
      this.take(segment, owner)
    }
    this.unlockPool()
    return segment
  }

  /** Makes a segment a shard's, empty and in no queue. */
  take(segment: number, owner: number): void {
    this.set(segment, Segment.state, SegmentState.taken)
    this.set(segment, Segment.owner, owner)
    this.set(segment, Segment.next, 0)
    this.set(segment, Segment.previous, 0)
    this.set(segment, Segment.usedUnits, 0)
    this.set(segment, Segment.liveUnits, 0)
    this.set(segment, Segment.runSegments, 1)
  }

  /** Gives `count` adjacent segments back. */
  push(first: number, count: number): void {
    this.lockPool()
    for (let segment = first + count - 1; segment >= first; segment--) this.#pushOne(segment)
    this.unlockPool()
  }

  #pushOne(segment: number): void {
    this.set(segment, Segment.state, SegmentState.free)
    this.set(segment, Segment.next, this.#control[Superblock.poolHead]!)
    this.#control[Superblock.poolHead] = segment + 1
    this.#control[Superblock.poolCount]!++
  }

  lockPool(): void {
    acquire(this.#control, Superblock.poolLock, Superblock.poolWaiters, this.#thread)
  }

  unlockPool(): void {
    release(this.#control, Superblock.poolLock, Superblock.poolWaiters)
  }

  freeCount(): number {
    return this.#control[Superblock.poolCount]!
  }

  /** Makes the pool's list anew of all segments whose state is free. Needs the pool's lock. */
  rebuildPool(): void {
    const control = this.#control
    control[Superblock.poolHead] = 0
    control[Superblock.poolCount] = 0
    for (let segment = this.#geometry.segments - 1; segment >= 0; segment--) {
      if (this.get(segment, Segment.state) === SegmentState.free) this.#pushOne(segment)
    }
  }

  /** Appends to the queue whose four words are at control[queue]. */
  link(queue: number, segment: number, state: number): void {
    const control = this.#control
    this.set(segment, Segment.state, state)
    this.set(segment, Segment.next, 0)
    const newest = control[queue + Queue.newest]!
    this.set(segment, Segment.previous, newest)
    if (newest === 0) control[queue + Queue.oldest] = segment + 1
    else this.set(newest - 1, Segment.next, segment + 1)
    control[queue + Queue.newest] = segment + 1
    control[queue + Queue.segments]! += this.get(segment, Segment.runSegments)
  }

  unlink(queue: number, segment: number): void {
    const control = this.#control
    const next = this.get(segment, Segment.next)
    const previous = this.get(segment, Segment.previous)
    if (previous === 0) control[queue + Queue.oldest] = next
    else this.set(previous - 1, Segment.next, next)
    if (next === 0) control[queue + Queue.newest] = previous
    else this.set(next - 1, Segment.previous, previous)
    control[queue + Queue.segments]! -= this.get(segment, Segment.runSegments)
    if (control[queue + Queue.active] === segment + 1) control[queue + Queue.active] = 0
    assert(control[queue + Queue.segments]! >= 0, "a queue's segments add up")
  }

  /** Puts an empty segment at another's place in its queue. Neither is part of a run. */
  replace(queue: number, old: number, fresh: number): void {
    const control = this.#control
    for (const field of [Segment.state, Segment.next, Segment.previous]) this.set(fresh, field, this.get(old, field))
    const next = this.get(old, Segment.next)
    const previous = this.get(old, Segment.previous)
    if (previous === 0) control[queue + Queue.oldest] = fresh + 1
    else this.set(previous - 1, Segment.next, fresh + 1)
    if (next === 0) control[queue + Queue.newest] = fresh + 1
    else this.set(next - 1, Segment.previous, fresh + 1)
    if (control[queue + Queue.active] === old + 1) control[queue + Queue.active] = fresh + 1
  }

  /** Makes a segment part of a run that this thread has reserved. */
  reserve(segment: number): void {
    this.take(segment, -(this.#thread + 1))
    this.set(segment, Segment.state, SegmentState.reserved)
  }

  /** Gives back what a dead thread had reserved, or was about to. */
  freeReserved(deadThread: number): void {
    this.lockPool()
    for (let segment = 0; segment < this.#geometry.segments; segment++) {
      const state = this.get(segment, Segment.state)
      const reserved = state === SegmentState.reserved || state === SegmentState.taken
      if (reserved && this.get(segment, Segment.owner) === -(deadThread + 1)) this.#pushOne(segment)
    }
    this.unlockPool()
  }

  /** True for a thread that finds the pool's lock in a dead one's hands. */
  poolHeldBy(thread: number): boolean {
    return Atomics.load(this.#control, Superblock.poolLock) === thread + 1
  }

  /** Only after poolHeldBy(dead): frees the lock and makes the list anew. */
  recoverPool(): void {
    this.rebuildPool()
    release(this.#control, Superblock.poolLock, Superblock.poolWaiters)
  }
}
