// The object cache of one process: a pool of room, in entries or bytes, that spaces of keys share. Values stay the objects that
// they are. An entry belongs to a lane, and lives as long as its time, its lane and its tags do; dropping a lane, killing
// a tag or clearing a space takes no time whatever they hold. room.ts evicts, slots.ts draws the memory.
// Not for: loading, proofs themselves (the owner writes `asOfMs`), bytes shared between threads (store/).
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import { ObjectSpace } from './object-space.ts'
import { Room } from './room.ts'
import type { Reason } from './room.ts'
import { checkRoom } from './check-room.ts'

export interface ObjectCacheOptions<V> {
  readonly clock: Clock
  /** At most `limits.nearEntriesMax`, which it is without. */
  readonly maxEntries?: number | undefined
  /** Of keys and values, by `sizeOf` where an entry does not say. Without it, bytes are not counted. */
  readonly maxBytes?: number | undefined
  /** 1 without it, at most `limits.lanesMax`. */
  readonly lanes?: number | undefined
  /**
   * What left without having been deleted, replaced or cleared; called when it is gone. It may use the pool. Dead entries
   * are reclaimed some time after they died.
   */
  readonly onEvict?: ((space: ObjectSpace<V>, key: string, value: V, reason: Reason) => void) | undefined
  /** Whether `onEvict` is called; without it, always. */
  readonly isHeard?: (() => boolean) | undefined
  /** How long the machine was suspended since it was asked last, in ms: times to live, by a clock that stood still, go on with it. */
  readonly slept?: ((nowMs: number) => number) | undefined
}

export class ObjectCache<V> {
  /**
   * By lane: monotonic ms as of which all entries of the lane are proved to be true; -Infinity at first. The owner writes it.
   */
  readonly asOfMs: Float64Array
  readonly #room: Room<V>
  readonly #spaces: (ObjectSpace<V> | undefined)[] = []

  constructor(options: ObjectCacheOptions<V>) {
    const {
      clock,
      maxEntries = limits.nearEntriesMax,
      maxBytes = Infinity,
      lanes = 1,
      onEvict,
      isHeard,
      slept,
    } = options
    assert(Number.isInteger(maxEntries) && maxEntries >= 1, 'maxEntries is a whole number above 0')
    assert(maxEntries <= limits.nearEntriesMax, `maxEntries is at most ${limits.nearEntriesMax}`)
    assert(maxBytes >= 1, 'maxBytes is above 0')
    assert(Number.isInteger(lanes) && lanes >= 1 && lanes <= limits.lanesMax, `lanes is 1 to ${limits.lanesMax}`)
    this.#room = new Room<V>({
      clock,
      entriesMax: maxEntries,
      bytesMax: maxBytes,
      lanes,
      onReclaim: onEvict && ((space, key, value, reason) => onEvict(this.#spaces[space]!, key, value, reason)),
      isHeard,
      slept,
    })
    this.asOfMs = this.#room.asOfMs
  }

  /** A family of keys; the name is for who is told of evictions. Spaces last as long as the pool, which has at most 65,535. */
  space(name = ''): ObjectSpace<V> {
    return new ObjectSpace<V>(name, this.#room, (space, from, to) => {
      if (from >= 0) this.#spaces[from] = undefined
      this.#spaces[to] = space
    })
  }

  /** Entries of all spaces; dead ones count until they are reclaimed. */
  get size(): number {
    return this.#room.entries
  }

  /** What they take; 0 in a pool without `maxBytes`. */
  get bytes(): number {
    return this.#room.totalBytes
  }

  /** Monotonic ms by the coarse clock that reads go by: at most about a millisecond of idle time old. */
  nowMs(): number {
    return this.#room.clock.read()
  }

  // Of a slot that `find` of a space returned, until anything else is done with the pool.

  value(slot: number): V {
    return this.#room.value(slot)
  }

  /** A number: whole wall ms. */
  stamp(slot: number): object | number | undefined {
    return this.#room.stamp(slot)
  }

  lane(slot: number): number {
    return this.#room.lane(slot)
  }

  /** Monotonic ms; Infinity when it never expires. */
  expiresAtMs(slot: number): number {
    return this.#room.expiresAtMs(slot)
  }

  /** All entries of the lane are absent from now on. */
  dropLane(lane: number): void {
    assert(lane >= 0 && lane < this.asOfMs.length, `lane ${lane} is one of the pool's ${this.asOfMs.length}`)
    this.#room.dropLane(lane)
  }

  /** Looks at so many slots after those of the last call, and reclaims what is dead in them. Returns how many that were. */
  sweep(slots: number): number {
    return this.#room.sweep(slots)
  }

  /** Walks everything and asserts every invariant. For tests: it takes as long as the pool is large. */
  check(): void {
    checkRoom(this.#room)
  }
}
