// Writes of values that nobody keeps but this process's memory: a write is over as soon as it is begun, and nobody has to be
// told. So there are no fences, no promises and no words to a tier; what is being built for the key meanwhile is not stored.
// Hot path: no clock is read, and nothing is made beside the entry.
// Not for: values that processes share, nor those of a source (cache/writer.ts).
import type { Random } from '../base/random.ts'
import type { EntryFacts } from '../near/entry.ts'
import type { ObjectPlaces } from '../near/object-places.ts'
import type { ObjectSpace } from '../near/object-space.ts'
import type { ObjectTier } from '../tier/object-tier.ts'
import type { ResolvedKeyspace } from './options.ts'

export interface OwnWritesParts {
  readonly settings: ResolvedKeyspace
  readonly places: ObjectPlaces
  readonly tier: ObjectTier
  /** The pool's lane that all of the keyspace's values are of. */
  readonly lane: number
  readonly random: Random
}

export class OwnWrites {
  readonly #places: ObjectPlaces
  readonly #space: ObjectSpace<unknown>
  readonly #tier: ObjectTier
  readonly #lane: number
  readonly #random: Random
  readonly #name: string
  readonly #ttlMs: number
  readonly #ttlJitter: number
  readonly #graceMs: number

  constructor({ settings, places, tier, lane, random }: OwnWritesParts) {
    this.#places = places
    this.#space = places.space(settings.name)
    this.#tier = tier
    this.#lane = lane
    this.#random = random
    this.#name = settings.name
    this.#ttlMs = settings.ttlMs ?? Infinity
    this.#ttlJitter = settings.ttlJitter
    this.#graceMs = Math.max(settings.swrMs, settings.staleIfErrorMs)
  }

  /** The value is there from now on; one that is larger than all memory, or that has no time, is not, and none is. */
  put(id: string, value: unknown, facts: EntryFacts): void {
    // At most as old as what ran without yielding: a value is over as much earlier, and its age said to be as much greater.
    const nowMs = this.#places.pool.nowMs()
    let ttlMs = facts.ttlMs ?? this.#ttlMs
    if (this.#ttlJitter > 0) ttlMs *= 1 - this.#ttlJitter * this.#random.fraction()
    this.#tier.giveUpPending(this.#name, id)
    if (ttlMs > 0) {
      const said = this.#graceMs === 0 ? facts : { graceMs: this.#graceMs, ...facts }
      // A whole number is passed on without being boxed.
      this.#places.store(this.#space, id, value, Math.floor(nowMs + ttlMs), this.#lane, 'now', said)
    } else {
      this.#space.delete(id)
    }
  }

  /** Whether there was one. */
  remove(id: string): boolean {
    this.#tier.giveUpPending(this.#name, id)
    return this.#space.delete(id)
  }
}
