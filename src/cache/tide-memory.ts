// What a term of the tide has read of the log and found visible, by lane: what lanes have still to apply, and behind that
// as much as there is room for, for lanes that a failover of the tier takes back. It cuts the next step of a lane from it.
// Not for: limits on it (tide.ts makes room), visibility, the tier.
import { assert } from '../base/assert.ts'
import { limits } from '../base/limits.ts'
import { keyHash, laneOf } from '../coherence/lane.ts'
import type { Mark, Position } from '../coherence/mark.ts'
import type { ChangeEvent } from '../coherence/stamp.ts'
import type { FeedTransaction } from '../source/change-feed.ts'
import { Queue } from './queue.ts'

/** What one transaction changed in one lane. */
interface LaneChanges {
  readonly lsn: Position
  /** In the order of `change`. */
  readonly events: readonly ChangeEvent[]
  readonly toldAtMs: number
}

interface Remembered {
  readonly lsn: Position
  readonly changes: number
  readonly lanes: readonly number[]
}

/** What to apply to a lane next. */
export interface LaneStep {
  readonly next: Mark
  readonly events: readonly ChangeEvent[]
  /** When the log told the first of them; undefined when there are none. */
  readonly toldAtMs: number | undefined
}

export class TideMemory {
  readonly #lanes: readonly Queue<LaneChanges>[]
  readonly #transactions = new Queue<Remembered>()
  #start: Position
  #end: Position
  #changes = 0
  #reset: { readonly at: Position; readonly reason: string } | undefined

  /** Empty: everything told is after `start`. */
  constructor(lanes: number, start: Position) {
    this.#lanes = Array.from({ length: lanes }, () => new Queue<LaneChanges>())
    this.#start = start
    this.#end = start
  }

  /** Every change between this and `end` is here. A lane whose mark is before it cannot go on from here. */
  get start(): Position {
    return this.#start
  }

  /** Everything up to here is visible. */
  get end(): Position {
    return this.#end
  }

  get changes(): number {
    return this.#changes
  }

  /** Transactions that changed something. */
  get transactions(): number {
    return this.#transactions.length
  }

  /** The first transaction here; a lane at it or past it does not need it any more. undefined when there is none. */
  get oldest(): Position | undefined {
    return this.#transactions.first?.lsn
  }

  /** Lanes whose mark is before it have to begin anew: nobody knows what was changed there. */
  get reset(): { readonly at: Position; readonly reason: string } | undefined {
    return this.#reset
  }

  /** Takes a visible transaction; returns the lanes that it changes. */
  add(transaction: FeedTransaction, toldAtMs: number): readonly number[] {
    const { lsn, events } = transaction
    this.#moveTo(lsn)
    if (events.length === 0) return []
    const byLane = new Map<number, ChangeEvent[]>()
    for (const event of events) {
      const lane = laneOf(keyHash(event.key), this.#lanes.length)
      const others = byLane.get(lane)
      if (others === undefined) byLane.set(lane, [event])
      else others.push(event)
    }
    for (const [lane, its] of byLane) {
      its.sort((a, b) => (a.change < b.change ? -1 : a.change > b.change ? 1 : 0))
      this.#lanes[lane]!.push({ lsn, events: its, toldAtMs })
    }
    const lanes = [...byLane.keys()]
    this.#transactions.push({ lsn, changes: events.length, lanes })
    this.#changes += events.length
    return lanes
  }

  /** Takes a visible transaction of which nobody knows what it changed. */
  addReset(at: Position, reason: string): void {
    this.#moveTo(at)
    this.#reset = { at, reason }
  }

  #moveTo(lsn: Position): void {
    assert(lsn > this.#end, "the log's positions go up")
    this.#end = lsn
  }

  forgetOldest(): void {
    const { lsn, changes, lanes } = this.#transactions.shift()
    for (const lane of lanes) this.#lanes[lane]!.shift()
    this.#changes -= changes
    this.#start = lsn
  }

  /** When the log told the first change that a lane with this mark has not applied; undefined when there is none. */
  waitingSinceMs(lane: number, mark: Mark): number | undefined {
    const queue = this.#lanes[lane]!
    return queue.at(firstAfter(queue, mark.lsn))?.toldAtMs
  }

  /** The next step of a lane with this mark, of a bounded size; without events when only the mark has to move. */
  next(lane: number, mark: Mark): LaneStep | undefined {
    assert(mark.lsn >= this.#start, 'what the lane needs is here')
    const queue = this.#lanes[lane]!
    const index = firstAfter(queue, mark.lsn)
    const first = queue.at(index)
    if (first === undefined) {
      if (mark.lsn >= this.#end) return undefined
      return { next: { lsn: this.#end, sub: 0n }, events: [], toldAtMs: undefined }
    }
    const left = first.events.slice(changesUpTo(first.events, mark.sub))
    return chunkOf(left, mark, first.toldAtMs) ?? this.#batch(queue, index, left)
  }

  #batch(queue: Queue<LaneChanges>, index: number, left: readonly ChangeEvent[]): LaneStep {
    const { toldAtMs } = queue.at(index)!
    const events = [...left]
    let taken = index + 1
    while (taken < queue.length) {
      const more = queue.at(taken)!.events
      if (events.length + more.length > limits.tideApplyChangesMax) break
      events.push(...more)
      taken++
    }
    // Between the last one taken and the next there is nothing for this lane; after the last of all there is nothing yet.
    const lsn = taken === queue.length ? this.#end : queue.at(taken - 1)!.lsn
    return { next: { lsn, sub: 0n }, events, toldAtMs }
  }
}

/** A part of a transaction that is too large for one step, from its head; undefined when it is not. */
function chunkOf(left: readonly ChangeEvent[], mark: Mark, toldAtMs: number): LaneStep | undefined {
  let size = limits.tideApplyChangesMax
  // Changes at one position (several rows in one record of the log) are not told apart by it.
  while (size < left.length && left[size]!.change === left[size - 1]!.change) size++
  if (size >= left.length) return undefined
  const sub = left[size - 1]!.change
  return { next: { lsn: mark.lsn, sub }, events: left.slice(0, size), toldAtMs }
}

/** How many of the events, in the order of `change`, the sub-position covers already. */
function changesUpTo(events: readonly ChangeEvent[], sub: Position): number {
  if (sub === 0n) return 0
  let low = 0
  let high = events.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (events[middle]!.change <= sub) low = middle + 1
    else high = middle
  }
  return low
}

/** The index of the first entry after the position. */
function firstAfter(queue: Queue<LaneChanges>, lsn: Position): number {
  let low = 0
  let high = queue.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (queue.at(middle)!.lsn <= lsn) low = middle + 1
    else high = middle
  }
  return low
}
