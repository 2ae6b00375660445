// When a value is loaded anew before its time is over: at random, with a chance that grows as its end comes near, as XFetch has
// it (Vattani, Chierichetti, Lowenstein, "Optimal probabilistic cache stampede prevention", VLDB 2015). Each reader throws
// dice of its own; so a key that many read is loaded by one of them, early, and one that nobody reads is not.
//
//   now - took * beta * ln(random) >= end        took: how long loads of the keyspace take, lately; until one is known,
//                                                a hundredth of the time to live
//
// Where processes share a tier, those that throw well ask it for the right to load: it gives that to one, and to the others, once
// there is a newer value, that value (cache/reader.ts). So nobody misses it at its end, whoever has loaded it.
//
// On the path of a hit where it is set: the pool's coarse clock, one look at the entry, and mostly no dice.
import type { Random } from '../base/random.ts'
import type { ObjectPlaces } from '../near/object-places.ts'
import type { ObjectSpace } from '../near/object-space.ts'
import type { ResolvedKeyspace } from './options.ts'

/** What is further from its end than so many times `took * beta` is not loaded: the chance would be e^-20. */
const REACH = 20
const NEWEST_SHARE = 1 / 8
/** Of the time to live: what a load takes, as far as one knows who has only had values that others loaded. */
const GUESS_SHARE = 1 / 100

export class RefreshAhead {
  readonly #beta: number
  readonly #pool: ObjectPlaces['pool']
  readonly #space: ObjectSpace<unknown>
  readonly #random: Random
  #tookMs: number
  #isGuess = true

  constructor(
    beta: number,
    { name, ttlMs = Infinity }: Pick<ResolvedKeyspace, 'name' | 'ttlMs'>,
    places: ObjectPlaces,
    random: Random,
  ) {
    this.#tookMs = Number.isFinite(ttlMs) ? ttlMs * GUESS_SHARE : 0
    this.#beta = beta
    this.#pool = places.pool
    this.#space = places.space(name)
    this.#random = random
  }

  /** Whether whoever has just read the value is to load it anew. */
  isDue(id: string): boolean {
    const slot = this.#space.findKept(id)
    if (slot < 0) return false
    const spreadMs = this.#tookMs * this.#beta
    const leftMs = this.#pool.expiresAtMs(slot) - this.#pool.nowMs()
    if (leftMs > spreadMs * REACH) return false
    // 1 - [0, 1) is never 0.
    return leftMs <= -spreadMs * Math.log(1 - this.#random.fraction())
  }

  /** A load took so long. */
  took(ms: number): void {
    this.#tookMs = this.#isGuess ? ms : this.#tookMs + (ms - this.#tookMs) * NEWEST_SHARE
    this.#isGuess = false
  }
}
