// What a pool of objects holds, as a struct of arrays: one slot an entry, a number that indexes all of them. A hit reads four of
// these arrays and writes one, and moves nothing. `meta` packs what a hit has to look at into one word:
//
//    31            16 15         4  3    2   1    0
//   | era of the lane |   lane    | main|tag|frequency|
//
// Hot path: plain loads from typed arrays, no objects. The fields are open to near/ alone.
// Not for: which entry leaves (room.ts), finding a slot by key (object-space.ts).
import { assert } from '../base/assert.ts'

/** Reads since it was queued, 0 to 3. */
export const FREQUENCY_MASK = 0b11
/** It carries tags, which a read has to ask. */
export const TAGGED = 0b100
/** It is in the main queue. */
export const MAIN = 0b1000
const LANE_SHIFT = 4
const LANE_MASK = 0xfff
const ERA_STEP = 0x1_0000
const ERA_MASK = ~0xffff

/** The queues' ends take the first slots: a queue is a ring through its own. */
export const SMALL_END = 0
export const MAIN_END = 1
export const FIRST_SLOT = 2
const CAPACITY_FIRST = 256

/** What a group of entries is dropped by: once it is not alive, they read as absent. */
export interface Tag {
  alive: boolean
}

export class Slots<V> {
  keys: (string | undefined)[]
  values: (V | undefined)[]
  /** Monotonic ms; Infinity when it never expires. */
  expiresAtMs: Float64Array
  meta: Int32Array
  /** Links of the queues; of a free slot, the next free one (0: none). */
  next: Uint32Array
  prev: Uint32Array
  /** Which space an entry belongs to. */
  spaces: Uint16Array
  /** Without a room in bytes there is none. */
  bytes: Uint32Array
  stamps: (object | undefined)[] | undefined
  tags: (readonly Tag[] | undefined)[] | undefined
  /** By lane: its era, where `meta` has it. */
  readonly eras: Int32Array
  /** By lane: monotonic ms as of which its entries are proved to be true. */
  readonly asOfMs: Float64Array
  readonly #sized: boolean
  readonly #capacityMax: number
  #free = 0
  #unused = FIRST_SLOT

  constructor(options: { readonly entriesMax: number; readonly lanes: number; readonly sized: boolean }) {
    const { entriesMax, lanes, sized } = options
    this.#capacityMax = entriesMax + FIRST_SLOT
    this.#sized = sized
    const capacity = Math.min(CAPACITY_FIRST, this.#capacityMax)
    // Filled with undefined they are arrays of any kind from the start, never of numbers, which would be boxed at each read.
    this.keys = new Array<string | undefined>(capacity).fill(undefined)
    this.values = new Array<V | undefined>(capacity).fill(undefined)
    this.expiresAtMs = new Float64Array(capacity)
    this.meta = new Int32Array(capacity)
    this.next = new Uint32Array(capacity)
    this.prev = new Uint32Array(capacity)
    this.spaces = new Uint16Array(capacity)
    this.bytes = new Uint32Array(sized ? capacity : 0)
    this.next[MAIN_END] = this.prev[MAIN_END] = MAIN_END
    this.eras = new Int32Array(lanes)
    this.asOfMs = new Float64Array(lanes).fill(-Infinity)
  }

  /** Slots from FIRST_SLOT up to here have been in use. */
  get unused(): number {
    return this.#unused
  }

  laneOf(slot: number): number {
    return (this.meta[slot]! >>> LANE_SHIFT) & LANE_MASK
  }

  /** Whether its lane was not dropped since; of `meta` as read. */
  isOfItsEra(meta: number): boolean {
    return (meta & ERA_MASK) === this.eras[(meta >>> LANE_SHIFT) & LANE_MASK]!
  }

  /** Lane and era as `meta` packs them, for an entry that is written now. */
  metaOf(lane: number): number {
    assert(lane >= 0 && lane < this.eras.length, `lane ${lane} is one of the pool's ${this.eras.length}`)
    return this.eras[lane]! | (lane << LANE_SHIFT)
  }

  /** All of the lane's entries are of another era from now on. False: eras begin again, and the old entries must go at once. */
  nextEra(lane: number): boolean {
    const era = (this.eras[lane]! + ERA_STEP) | 0
    this.eras[lane] = era
    return era !== 0
  }

  /** Of an entry with tags. */
  hasDeadTag(slot: number): boolean {
    for (const tag of this.tags![slot]!) if (!tag.alive) return true
    return false
  }

  /** A slot that nothing uses. */
  protected takeSlot(): number {
    const free = this.#free
    if (free !== 0) {
      this.#free = this.next[free]!
      return free
    }
    if (this.#unused === this.keys.length) this.#grow()
    return this.#unused++
  }

  protected giveSlot(slot: number): void {
    this.keys[slot] = undefined
    this.values[slot] = undefined
    if (this.stamps !== undefined) this.stamps[slot] = undefined
    if (this.tags !== undefined) this.tags[slot] = undefined
    this.next[slot] = this.#free
    this.#free = slot
  }

  /** What an entry carries besides its value. Most carry nothing, and have no arrays for it. */
  protected setExtras(slot: number, stamp: object | undefined, tags: readonly Tag[] | undefined): void {
    if (stamp !== undefined) this.stamps ??= new Array<object | undefined>(this.keys.length).fill(undefined)
    if (this.stamps !== undefined) this.stamps[slot] = stamp
    if (tags !== undefined) this.tags ??= new Array<readonly Tag[] | undefined>(this.keys.length).fill(undefined)
    if (this.tags !== undefined) this.tags[slot] = tags
  }

  /** Takes a slot out of its queue. */
  protected unlink(slot: number): void {
    const next = this.next[slot]!
    const prev = this.prev[slot]!
    this.next[prev] = next
    this.prev[next] = prev
  }

  /** Puts a slot at the end of a queue. */
  protected link(slot: number, end: number): void {
    const last = this.prev[end]!
    this.next[last] = slot
    this.prev[slot] = last
    this.next[slot] = end
    this.prev[end] = slot
  }

  /** Slots that were in use and are free. */
  *freeSlots(): Generator<number> {
    for (let slot = this.#free; slot !== 0; slot = this.next[slot]!) yield slot
  }

  #grow(): void {
    const capacity = Math.min(this.keys.length * 2, this.#capacityMax)
    assert(capacity > this.keys.length, 'there is a slot for every entry that the room has place for')
    this.keys = longer(this.keys, capacity)
    this.values = longer(this.values, capacity)
    if (this.stamps !== undefined) this.stamps = longer(this.stamps, capacity)
    if (this.tags !== undefined) this.tags = longer(this.tags, capacity)
    const grown = <A extends Float64Array | Int32Array | Uint32Array | Uint16Array>(longer: A, old: A): A => {
      longer.set(old)
      return longer
    }
    this.expiresAtMs = grown(new Float64Array(capacity), this.expiresAtMs)
    this.meta = grown(new Int32Array(capacity), this.meta)
    this.next = grown(new Uint32Array(capacity), this.next)
    this.prev = grown(new Uint32Array(capacity), this.prev)
    this.spaces = grown(new Uint16Array(capacity), this.spaces)
    if (this.#sized) this.bytes = grown(new Uint32Array(capacity), this.bytes)
  }
}

function longer<T>(old: readonly T[], length: number): (T | undefined)[] {
  const array = new Array<T | undefined>(length).fill(undefined)
  for (let i = 0; i < old.length; i++) array[i] = old[i]
  return array
}
