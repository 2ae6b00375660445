// How long a value is kept: as it says itself, or as its keyspace says, which may have its own opinion of what the source does
// not have. Lives are shortened at random where the keyspace says so: what was loaded together is not missed together.
// Not for: what happens to a value after its time (library/).
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Stamp } from '../coherence/stamp.ts'
import { factsOf } from '../near/entry.ts'
import type { Keyspace } from './keyspaces.ts'

type Lives<V> = Pick<Keyspace<V>, 'ttlMs' | 'missingTtlMs' | 'ttlJitter'>

/** Ms that `payload` is to be kept this time; null is what the source does not have. undefined: until it is evicted. */
export function ttlOf<V>(keyspace: Lives<V>, payload: V | null, random: Random): number | undefined {
  const ttlMs = longestTtlOf(keyspace, payload)
  const { ttlJitter = 0 } = keyspace
  return ttlMs === undefined || ttlJitter === 0 ? ttlMs : ttlMs * (1 - ttlJitter * random.fraction())
}

function longestTtlOf<V>({ ttlMs, missingTtlMs }: Lives<V>, payload: V | null): number | undefined {
  if (payload === null) return missingTtlMs ?? ttlMs
  return factsOf(payload).ttlMs ?? ttlMs
}

/** A value, and what it knows of its age. */
interface Aged<V> {
  readonly payload: V | null
  readonly stamp: Stamp
}

export class TimesToLive {
  readonly #clock: Clock
  readonly #random: Random

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /**
   * Ms that are left of its time from now on, 0 or less when it is over. Without a log that counts from the load, or from the
   * beginning of the write, wherever the value has been since.
   */
  left<V>(keyspace: Keyspace<V>, { payload, stamp }: Aged<V>): number | undefined {
    const { expiresAtMs } = factsOf(payload)
    if (expiresAtMs !== undefined) return expiresAtMs - this.#clock.wallMs()
    const ttlMs = ttlOf(keyspace, payload, this.#random)
    return ttlMs !== undefined && keyspace.backing.source.log === false ? ttlMs - this.age(stamp) : ttlMs
  }

  /** Whether all of its time is over, without a log. */
  isOver<V>(keyspace: Keyspace<V>, { payload, stamp }: Aged<V>): boolean {
    if (keyspace.backing.source.log !== false || factsOf(payload).expiresAtMs !== undefined) return false
    return this.age(stamp) >= (longestTtlOf(keyspace, payload) ?? Infinity)
  }

  /** Ms since a value without a log was loaded, or its write begun. */
  age({ upto }: Stamp): number {
    return Math.max(0, this.#clock.wallMs() - Number(upto))
  }
}
