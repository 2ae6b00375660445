// What a cache goes through in an hour of work, as a stream of operations from a seed: sets with and without a time to live,
// overwrites, deletes, expiries that change, reads; values whose sizes are spread evenly over the orders of magnitude.
// Not for: sending them (churn-load.ts), or running them on a store (test/store/churn.test.ts).
import type { Random } from '../src/base/random.ts'

export type ChurnKind = 'set' | 'setex' | 'get' | 'del' | 'expire' | 'append'

export interface ChurnOptions {
  readonly seed: number
  /** Different keys; half of the operations go to a tenth of them. */
  readonly keys: number
  /** One of so many values has any size up to 1 MiB, the others up to 1,000 bytes. 1: all of them. */
  readonly largeOneOf: number
}

const VALUE_BYTES_MIN = 10
const SMALL_BYTES_MAX = 1_000
export const CHURN_BYTES_MAX: number = 1 << 20
const TTL_MS_MIN = 50
const TTL_MS_MAX = 20_000

export class ChurnOperations {
  kind: ChurnKind = 'set'
  key = 0
  valueBytes = 0
  ttlMs = 0
  readonly #random: Random
  readonly #options: ChurnOptions

  constructor(random: Random, options: ChurnOptions) {
    this.#random = random
    this.#options = options
  }

  /** Makes the next operation in `kind`, `key` and, where it takes them, `valueBytes` and `ttlMs`. */
  next(): void {
    const random = this.#random
    const { keys, largeOneOf } = this.#options
    const choice = random.below(100)
    this.kind =
      choice < 50 ? 'set' : choice < 70 ? 'setex' : choice < 85 ? 'get' : choice < 92 ? 'del' : choice < 97 ? 'expire' : 'append' // prettier-ignore
    this.key = random.below(2) === 0 ? random.below(Math.ceil(keys / 10)) : random.below(keys)
    const bytesMax = random.below(largeOneOf) === 0 ? CHURN_BYTES_MAX : SMALL_BYTES_MAX
    this.valueBytes = this.kind === 'append' ? 1 + random.below(100) : this.#between(VALUE_BYTES_MIN, bytesMax)
    this.ttlMs = this.#between(TTL_MS_MIN, TTL_MS_MAX)
  }

  /** Log-uniform. */
  #between(low: number, high: number): number {
    return Math.floor(low * (high / low) ** this.#random.fraction())
  }
}
