// What a pool of objects holds: one slot an entry, a number. What a hit looks at, and its key, lie next to each other in one
// array, so that a hit touches one line of memory besides the map that led to it, and moves nothing:
//
//   | value | meta | end | key | stamp |
//
// All else is in a record of four words:
//
//   | hash | next | prev | space |
//
// next and prev link the queues; a free slot has the next free one (0: none). `end` is the expiry in whole ms from `#baseMs`
// on, rounded down; what is further away than a small integer reaches stands in `#far`, or nowhere, if it is never.
// `meta` packs what else a hit has to look at:
//
//    31            16 15         4  3    2   1       0
//   | era of the lane |   lane    |main|tag|frequency|
//
// Hot path: plain loads, no objects. What `meta` packs is spelt out here alone: a constant that a module exports is looked up,
// and checked to be there, at each use; one that it keeps is part of the code. Fields and methods are open to near/ alone.
// Not for: which entry leaves (room.ts), finding a slot by key (object-space.ts).
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { FREQUENCY_MAX } from '../policy/eviction.ts'

/** Reads since it was queued, 0 to 3. */
const FREQUENCY_MASK = 0b11
/** It carries tags, which a read has to ask. */
const TAGGED = 0b100
/** It is in the main queue. */
const MAIN = 0b1000
const LANE_SHIFT = 4
const LANE_MASK = 0xfff
const ERA_STEP = 0x1_0000
const ERA_MASK = ~0xffff

// Places of a slot in the array of objects.
const PLACES = 5
const META = 1
const END = 2
const KEY = 3
const STAMP = 4

/** Ends of less than this, before or after the base, are what they say. Integers up to here are held in place. */
const END_MAX = 2 ** 31 - 1
/** Half of the way to where ends reach no further. */
const REBASE_MS = 2 ** 30

// Words of a record.
const WORDS = 4
const HASH = 0
const NEXT = 1
const PREV = 2
const SPACE = 3

/** The queues' ends take the first slots: a queue is a ring through its own. */
export const SMALL_END = 0
export const MAIN_END = 1
export const FIRST_SLOT = 2
const CAPACITY_FIRST = 256

/** What a group of entries is dropped by: once it is not alive, they read as absent. */
export interface Tag {
  alive: boolean
}

/** What the caller wants to know of an entry later: an object, or when it was written, as wall ms of the coarse clock. */
export type Stamp = object | 'now'

export class Slots<V> {
  /** By lane: monotonic ms as of which its entries are proved to be true. */
  readonly asOfMs: Float64Array
  /** By lane: its era, where `meta` has it. */
  readonly #eras: number[]
  readonly #capacityMax: number
  #objects: (string | number | object | V | undefined)[]
  #words: Int32Array
  /** Monotonic ms; there is none until it is needed. */
  #far: Float64Array | undefined
  /** Without a room in bytes there is none. */
  #bytes: Uint32Array | undefined
  #tags: (readonly Tag[] | undefined)[] | undefined
  #graces: Float64Array | undefined
  #baseMs: number
  /** The coarse time as ends are said; END_MAX: unknown. */
  #now = END_MAX
  readonly #baseWallMs: number
  #capacity: number
  #free = 0
  #unused = FIRST_SLOT

  constructor(options: {
    readonly entriesMax: number
    readonly lanes: number
    readonly sized: boolean
    readonly clock: Clock
  }) {
    const { entriesMax, lanes, sized, clock } = options
    assert(FREQUENCY_MASK === FREQUENCY_MAX, 'there is room for every frequency, and no more')
    this.#baseMs = Math.floor(clock.monotonicMs())
    this.#baseWallMs = Math.floor(clock.wallMs())
    this.#capacityMax = entriesMax + FIRST_SLOT
    this.#capacity = Math.min(CAPACITY_FIRST, this.#capacityMax)
    this.#objects = nothing(this.#capacity * PLACES)
    this.#words = new Int32Array(this.#capacity * WORDS)
    this.#bytes = sized ? new Uint32Array(this.#capacity) : undefined
    this.#words[MAIN_END * WORDS + NEXT] = MAIN_END
    this.#words[MAIN_END * WORDS + PREV] = MAIN_END
    this.#eras = Array.from({ length: lanes }, () => 0)
    this.asOfMs = new Float64Array(lanes).fill(-Infinity)
  }

  /** Slots from FIRST_SLOT up to here have been in use. */
  get unused(): number {
    return this.#unused
  }

  get lanes(): number {
    return this.#eras.length
  }

  /** undefined: the slot is free. */
  key(slot: number): string | undefined {
    return this.#objects[slot * PLACES + KEY] as string | undefined
  }

  value(slot: number): V {
    return this.#objects[slot * PLACES] as V
  }

  meta(slot: number): number {
    return this.#objects[slot * PLACES + META] as number
  }

  /** By the coarse time. True: it has surely not expired. False: `expiresAtMs` says. */
  isNowBeforeEnd(slot: number): boolean {
    return (this.#objects[slot * PLACES + END] as number) > this.#now
  }

  /** By monotonic ms. True: it has surely not expired. False: `expiresAtMs` says. */
  isBeforeEnd(slot: number, nowMs: number): boolean {
    return (this.#objects[slot * PLACES + END] as number) > nowMs - this.#baseMs
  }

  expiresAtMs(slot: number): number {
    const end = this.#objects[slot * PLACES + END] as number
    if (end < END_MAX && end > -END_MAX) return this.#baseMs + end
    return this.#far === undefined ? Infinity : this.#far[slot]!
  }

  /** Of its key, as `setHash` was told; 0: it was not. */
  hash(slot: number): number {
    return this.#words[slot * WORDS + HASH]!
  }

  space(slot: number): number {
    return this.#words[slot * WORDS + SPACE]!
  }

  next(slot: number): number {
    return this.#words[slot * WORDS + NEXT]!
  }

  prev(slot: number): number {
    return this.#words[slot * WORDS + PREV]!
  }

  /** 0 without a room in bytes. */
  bytes(slot: number): number {
    return this.#bytes === undefined ? 0 : this.#bytes[slot]!
  }

  /** A number: wall ms. */
  stamp(slot: number): object | number | undefined {
    const stamp = this.#objects[slot * PLACES + STAMP] as object | number | undefined
    return typeof stamp === 'number' ? this.#baseWallMs + stamp : stamp
  }

  /** How long after its time it is kept, in ms. */
  graceMs(slot: number): number {
    return this.#graces === undefined ? 0 : this.#graces[slot]!
  }

  tags(slot: number): readonly Tag[] | undefined {
    return this.#tags?.[slot]
  }

  lane(slot: number): number {
    return (this.meta(slot) >>> LANE_SHIFT) & LANE_MASK
  }

  /** The lane's, of `meta` as read. */
  asOfMsOf(meta: number): number {
    return this.asOfMs[(meta >>> LANE_SHIFT) & LANE_MASK]!
  }

  /** Whether its lane was not dropped since; of `meta` as read. */
  isOfItsEra(meta: number): boolean {
    return (meta & ERA_MASK) === this.#eras[(meta >>> LANE_SHIFT) & LANE_MASK]!
  }

  /** Reads since it was queued; of `meta` as read, as all these. */
  frequencyOf(meta: number): number {
    return meta & FREQUENCY_MASK
  }

  isTagged(meta: number): boolean {
    return (meta & TAGGED) !== 0
  }

  isMain(meta: number): boolean {
    return (meta & MAIN) !== 0
  }

  /** Of an entry with tags. */
  hasDeadTag(slot: number): boolean {
    for (const tag of this.#tags![slot]!) if (!tag.alive) return true
    return false
  }

  /** Of an entry that is written now, without tags. */
  protected metaOf(lane: number, main: boolean, frequency: number): number {
    return this.#eras[lane]! | (lane << LANE_SHIFT) | (main ? MAIN : 0) | frequency
  }

  /** One more; `meta` as read. */
  protected countRead(slot: number, meta: number): void {
    if ((meta & FREQUENCY_MASK) !== FREQUENCY_MASK) this.setMeta(slot, meta + 1)
  }

  protected setTagged(slot: number): void {
    this.setMeta(slot, this.meta(slot) | TAGGED)
  }

  /** It is in the main queue from now on. */
  protected setMain(slot: number, frequency: number): void {
    this.setMeta(slot, (this.meta(slot) & ~FREQUENCY_MASK) | MAIN | frequency)
  }

  /** All of the lane's entries are of another era from now on. False: eras begin again, and its entries must go at once. */
  protected nextEra(lane: number): boolean {
    const era = (this.#eras[lane]! + ERA_STEP) | 0
    this.#eras[lane] = era
    return era !== 0
  }

  protected setMeta(slot: number, meta: number): void {
    this.#objects[slot * PLACES + META] = meta
  }

  protected setBytes(slot: number, bytes: number): void {
    if (this.#bytes !== undefined) this.#bytes[slot] = bytes
  }

  /** The coarse time, in monotonic ms; Infinity: nobody knows. */
  protected setNow(nowMs: number): void {
    // Ends are whole: what is after the whole number is after the time.
    this.#now = nowMs - this.#baseMs < END_MAX ? Math.floor(nowMs - this.#baseMs) : END_MAX
  }

  /** The time of all that is there is over so much sooner, in ms. */
  protected hasten(ms: number): void {
    this.#setBase(this.#baseMs - ms)
    if (this.#far !== undefined) for (let slot = 0; slot < this.#unused; slot++) this.#far[slot]! -= ms
  }

  protected setHash(slot: number, hash: number): void {
    this.#words[slot * WORDS + HASH] = hash
  }

  protected setValue(slot: number, value: V, expiresAtMs: number): void {
    this.#objects[slot * PLACES] = value
    this.#setEnd(slot, expiresAtMs)
  }

  /** What an entry carries besides its value. Most have no tags, and no array for them. */
  protected setExtras(slot: number, stamp: object | number | undefined, tags: readonly Tag[] | undefined): void {
    // Whole ms since there is this cache: for some weeks nothing is allocated for one.
    this.#objects[slot * PLACES + STAMP] = typeof stamp === 'number' ? Math.floor(stamp) - this.#baseWallMs : stamp
    if (tags !== undefined) this.#tags ??= nothing(this.#capacity)
    if (this.#tags !== undefined) this.#tags[slot] = tags
  }

  protected setGrace(slot: number, graceMs: number): void {
    if (graceMs > 0) this.#graces ??= new Float64Array(this.#capacity)
    if (this.#graces !== undefined) this.#graces[slot] = graceMs
  }

  /** A slot that was free. */
  protected takeSlot(key: string, space: number): number {
    let slot = this.#free
    if (slot === 0) {
      if (this.#unused === this.#capacity) this.#grow()
      slot = this.#unused++
    } else {
      this.#free = this.next(slot)
    }
    this.#objects[slot * PLACES + KEY] = key
    this.#words[slot * WORDS + SPACE] = space
    return slot
  }

  protected giveSlot(slot: number): void {
    this.#objects[slot * PLACES] = undefined
    this.#objects[slot * PLACES + KEY] = undefined
    this.#objects[slot * PLACES + STAMP] = undefined
    if (this.#tags !== undefined) this.#tags[slot] = undefined
    this.#words[slot * WORDS + NEXT] = this.#free
    this.#free = slot
  }

  /** Takes a slot out of its queue. */
  protected unlink(slot: number): void {
    const words = this.#words
    const next = words[slot * WORDS + NEXT]!
    const prev = words[slot * WORDS + PREV]!
    words[prev * WORDS + NEXT] = next
    words[next * WORDS + PREV] = prev
  }

  /** Puts a slot at the end of a queue. */
  protected link(slot: number, end: number): void {
    const words = this.#words
    const last = words[end * WORDS + PREV]!
    words[last * WORDS + NEXT] = slot
    words[slot * WORDS + PREV] = last
    words[slot * WORDS + NEXT] = end
    words[end * WORDS + PREV] = slot
  }

  /** Slots that were in use and are free. */
  *freeSlots(): Generator<number> {
    for (let slot = this.#free; slot !== 0; slot = this.next(slot)) yield slot
  }

  #setEnd(slot: number, expiresAtMs: number): void {
    let end = Math.floor(expiresAtMs - this.#baseMs)
    if (end >= END_MAX || end <= -END_MAX) {
      end = end > 0 ? END_MAX : -END_MAX
      if (expiresAtMs !== Infinity) this.#far ??= new Float64Array(this.#capacity).fill(Infinity)
      if (this.#far !== undefined) this.#far[slot] = expiresAtMs
    }
    this.#objects[slot * PLACES + END] = end
  }

  // The coarse time was said from the base of before.
  #setBase(baseMs: number): void {
    this.#baseMs = Math.floor(baseMs)
    this.#now = END_MAX
  }

  /** To be called now and then, by monotonic ms: after some weeks ends have to count from later on. */
  protected keepBase(nowMs: number): void {
    if (nowMs - this.#baseMs < REBASE_MS) return
    const expiries = Float64Array.from({ length: this.#unused }, (_, slot) =>
      slot < FIRST_SLOT ? 0 : this.expiresAtMs(slot),
    )
    this.#setBase(nowMs)
    for (let slot = FIRST_SLOT; slot < this.#unused; slot++) this.#setEnd(slot, expiries[slot]!)
  }

  #grow(): void {
    const capacity = Math.min(this.#capacity * 2, this.#capacityMax)
    assert(capacity > this.#capacity, 'there is a slot for every entry that the room has place for')
    this.#capacity = capacity
    this.#objects = longer(this.#objects, capacity * PLACES)
    if (this.#tags !== undefined) this.#tags = longer(this.#tags, capacity)
    if (this.#graces !== undefined) this.#graces = longerDoubles(this.#graces, capacity)
    if (this.#far !== undefined) this.#far = longerDoubles(this.#far, capacity)
    const words = new Int32Array(capacity * WORDS)
    words.set(this.#words)
    this.#words = words
    if (this.#bytes === undefined) return
    const bytes = new Uint32Array(capacity)
    bytes.set(this.#bytes)
    this.#bytes = bytes
  }
}

/** Filled with undefined it is an array of anything from the start, never one of numbers, which would be boxed when read. */
function nothing<T>(length: number): (T | undefined)[] {
  return new Array<T | undefined>(length).fill(undefined)
}

function longer<T>(old: readonly (T | undefined)[], length: number): (T | undefined)[] {
  const array = nothing<T>(length)
  for (let i = 0; i < old.length; i++) array[i] = old[i]
  return array
}

function longerDoubles(old: Float64Array, length: number): Float64Array {
  const array = new Float64Array(length)
  array.set(old)
  return array
}
