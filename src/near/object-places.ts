// Where the values of whole keys (`users:42`) are in the object cache, for the layers that know keys and payloads: a
// keyspace's space, and the id in it. What payloads say of their values (entry.ts) becomes expiry and tags here.
// Not for: the path of a hit, which has its space at hand.
import type { Clock } from '../base/clock.ts'
import { ABSENT, factsOf, payloadOf, valueOf, type EntryFacts } from './entry.ts'
import type { ObjectCache } from './object-cache.ts'
import type { ObjectSpace } from './object-space.ts'
import type { Stamp } from './slots.ts'

export interface PlacedValue<Given> {
  /** null: the source has no such key. */
  readonly payload: unknown
  readonly stamp: Given
  readonly ttlMs?: number
  /** Of the object cache. */
  readonly lane: number
}

export class ObjectPlaces {
  readonly pool: ObjectCache<unknown>
  readonly #clock: Clock
  readonly #onPut: (keyspace: string, id: string) => void
  /** By keyspace, in ms. */
  readonly #graces = new Map<string, number>()
  readonly #spaces = new Map<string, ObjectSpace<unknown>>()

  /** `onPut` is told of each value that came in. */
  constructor(pool: ObjectCache<unknown>, clock: Clock, onPut: (keyspace: string, id: string) => void = () => {}) {
    this.pool = pool
    this.#clock = clock
    this.#onPut = onPut
  }

  /** The space of a keyspace; one is made for a name that is new. */
  space(keyspace: string): ObjectSpace<unknown> {
    let space = this.#spaces.get(keyspace)
    if (space === undefined) this.#spaces.set(keyspace, (space = this.pool.space(keyspace)))
    return space
  }

  /** How long values of a keyspace are kept after their time, from now on, unless they say otherwise. */
  keep(keyspace: string, graceMs: number): void {
    this.#graces.set(keyspace, graceMs)
  }

  /** Its stamp is the object that was given, or when the value was written in wall ms. */
  find<Given>(key: string): { readonly payload: unknown; readonly stamp: Given } | undefined {
    const colon = key.indexOf(':')
    const slot = this.space(key.slice(0, colon)).find(key.slice(colon + 1))
    if (slot < 0) return undefined
    const value = this.pool.value(slot)
    return { payload: value === ABSENT ? null : payloadOf(value), stamp: this.pool.stamp(slot) as Given }
  }

  /** False: it is larger than the room may hold, and whatever was there is gone. */
  put(key: string, { payload, stamp, ttlMs, lane }: PlacedValue<object>): boolean {
    const colon = key.indexOf(':')
    const [keyspace, id] = [key.slice(0, colon), key.slice(colon + 1)]
    const { tags, graceMs = this.#graces.get(keyspace) } = factsOf(payload)
    const fits = this.space(keyspace).set(id, payload === null ? ABSENT : valueOf(payload), {
      lane,
      stamp,
      ...(ttlMs === undefined ? {} : { expiresAtMs: this.#clock.monotonicMs() + ttlMs }),
      tags,
      // That something is not there is nothing to fall back on.
      graceMs: payload === null ? undefined : graceMs,
    })
    if (fits) this.#onPut(keyspace, id)
    return fits
  }

  /** As `put`, for whoever has the space at hand; expires by monotonic ms. */
  store(
    space: ObjectSpace<unknown>,
    id: string,
    value: unknown,
    expiresAtMs: number,
    lane: number,
    stamp: Stamp,
    { tags, graceMs }: EntryFacts,
  ): boolean {
    const fits = space.store(id, value, expiresAtMs, lane, stamp, tags, graceMs)
    if (fits) this.#onPut(space.name, id)
    return fits
  }

  remove(key: string): void {
    const colon = key.indexOf(':')
    this.space(key.slice(0, colon)).delete(key.slice(colon + 1))
  }
}
