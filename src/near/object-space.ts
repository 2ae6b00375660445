// One family of keys in a pool of objects: a map of its own from key to slot, so that no prefix is joined to a key, and room
// that it shares with all others of the pool (room.ts). Values are held by reference: what a caller does to one, all see.
// `undefined` reads as a miss: an entry that holds it says that there is none. null and everything else are values.
// Hot path: `get`, `getProved` and `store` allocate nothing. Not for: where a missing value comes from.
import { assert } from '../base/assert.ts'
import { FREQUENCY_MAX } from '../policy/eviction.ts'
import type { Room } from './room.ts'
import { ENTRY_BYTES, sizeOf } from './size-of.ts'
import type { Stamp, Tag } from './slots.ts'

/** An entry takes at most this: bytes are counted in 32 bits. */
const BYTES_MAX = 0xffff_ffff

export interface EntryOptions {
  /** Monotonic ms, rounded down to whole ones; without it the entry never expires. */
  readonly expiresAtMs?: number | undefined
  /** 0 without it. */
  readonly lane?: number | undefined
  readonly stamp?: Stamp | undefined
  /** The entry is absent once one of them is not alive. */
  readonly tags?: readonly Tag[] | undefined
  /** For so long after its time it is still there for `findKept`, and reads as absent otherwise. */
  readonly graceMs?: number | undefined
  /** What key and value take; estimated without it. Counted in a pool with `maxBytes` alone. */
  readonly bytes?: number | undefined
}

/** A space goes by another number of the room from now on; `from` is -1 at first. */
type Renumbered<V> = (space: ObjectSpace<V>, from: number, to: number) => void

export class ObjectSpace<V> {
  readonly name: string
  readonly #room: Room<V>
  readonly #slots = new Map<string, number>()
  readonly #renumbered: Renumbered<V>
  #number: number

  /** Made by the pool, which is told when the space's number changes. */
  constructor(name: string, room: Room<V>, renumbered: Renumbered<V>) {
    this.name = name
    this.#room = room
    this.#renumbered = renumbered
    this.#number = room.addSpace(this.#slots)
    renumbered(this, -1, this.#number)
  }

  /** Entries; dead ones count until they are reclaimed. */
  get size(): number {
    return this.#slots.size
  }

  /** The value while it lives, by the pool's coarse clock. */
  get(key: string): V | undefined {
    const slot = this.#slots.get(key)
    if (slot === undefined || !this.#room.touch(slot)) return undefined
    return this.#room.value(slot)
  }

  /** As `get`, if its lane is proved to be true as of `boundMs` before `nowMs` or later; its life is judged by `nowMs` too. */
  getProved(key: string, nowMs: number, boundMs: number): V | undefined {
    const slot = this.#slots.get(key)
    if (slot === undefined || !this.#room.touchProved(slot, nowMs, boundMs)) return undefined
    return this.#room.value(slot)
  }

  /** The slot of a living entry, to ask the pool about until something else happens to the pool; -1 when there is none. */
  find(key: string): number {
    const slot = this.#slots.get(key)
    return slot !== undefined && this.#room.touch(slot) ? slot : -1
  }

  /** As `find`, of an entry that `getProved` would answer with. */
  findProved(key: string, nowMs: number, boundMs: number): number {
    const slot = this.#slots.get(key)
    return slot !== undefined && this.#room.touchProved(slot, nowMs, boundMs) ? slot : -1
  }

  /** The slot of an entry that lives, or is kept after its time; -1 when there is none. It does not count as read. */
  findKept(key: string): number {
    const slot = this.#slots.get(key)
    return slot !== undefined && this.#room.isKept(slot, this.#room.clock.read()) ? slot : -1
  }

  /** False: it is larger than the pool has room for; an older value is gone all the same. */
  set(key: string, value: V, entry: EntryOptions = {}): boolean {
    const { expiresAtMs = Infinity, lane = 0, stamp, tags, graceMs, bytes } = entry
    return this.store(key, value, expiresAtMs, lane, stamp, tags, graceMs, bytes)
  }

  /** As `set`, without an object for what is said of the entry. */
  store(
    key: string,
    value: V,
    expiresAtMs: number,
    lane: number,
    stamp: Stamp | undefined,
    tags: readonly Tag[] | undefined,
    graceMs: number | undefined,
    givenBytes?: number,
  ): boolean {
    const room = this.#room
    assert(lane >= 0 && lane < room.lanes, 'a lane is one of the pool')
    assert(!Number.isNaN(expiresAtMs), 'expiresAtMs is a time')
    const bytes = room.sized ? Math.ceil(givenBytes ?? ENTRY_BYTES + sizeOf(key) + sizeOf(value)) : 0
    assert(bytes >= 0, 'bytes is a number of bytes')
    let slot = this.#slots.get(key)
    if (bytes > room.bytesMax || bytes > BYTES_MAX) {
      this.#removeIfThere(key)
      return false
    }
    let frequency = 0
    if (slot !== undefined) {
      frequency = Math.min(room.frequencyOf(room.meta(slot)) + 1, FREQUENCY_MAX)
      if (room.sized && bytes > room.bytes(slot)) {
        // What grows may have to make room, and could be what leaves for it: it comes in again, as read.
        this.#remove(key, slot)
        slot = undefined
      } else {
        room.resize(slot, bytes)
      }
    }
    if (slot === undefined) {
      // Whoever was told what left may have set this key.
      if (room.makeRoom(bytes)) this.#removeIfThere(key)
      slot = room.insert(this.#number, key, bytes)
      this.#slots.set(key, slot)
    }
    room.write(slot, value, expiresAtMs, lane, frequency)
    room.attach(slot, stamp, tags)
    if (graceMs !== undefined) room.keep(slot, graceMs)
    return true
  }

  /** Whether there was a living entry. */
  delete(key: string): boolean {
    const slot = this.#slots.get(key)
    if (slot === undefined) return false
    const alive = this.#room.isAlive(slot, this.#room.clock.read())
    this.#remove(key, slot)
    return alive
  }

  /** Forgets everything at once; the memory comes back as later writes and sweeps meet it. */
  clear(): void {
    const from = this.#number
    this.#number = this.#room.clearSpace(from)
    if (from !== this.#number) this.#renumbered(this, from, this.#number)
  }

  /** Keys of living entries, the oldest first. What is written meanwhile may come too. */
  *keys(): Generator<string> {
    for (const [key] of this.#living()) yield key
  }

  *entries(): Generator<[string, V]> {
    for (const [key, slot] of this.#living()) yield [key, this.#room.value(slot)]
  }

  *#living(): Generator<[string, number]> {
    for (const each of this.#slots) if (this.#room.isAlive(each[1], this.#room.clock.read())) yield each
  }

  #removeIfThere(key: string): void {
    const slot = this.#slots.get(key)
    if (slot !== undefined) this.#remove(key, slot)
  }

  #remove(key: string, slot: number): void {
    this.#slots.delete(key)
    this.#room.remove(slot)
  }
}
