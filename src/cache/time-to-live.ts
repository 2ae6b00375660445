// How long a value is kept: as it says itself, or as its keyspace says, which may have its own opinion of what the source does
// not have. Lives are shortened at random where the keyspace says so: what was loaded together is not missed together.
// Not for: since when that counts (reader.ts, writer.ts), what happens to a value after its time (library/).
import type { Random } from '../base/random.ts'
import { factsOf } from '../near/entry.ts'
import type { Keyspace } from './keyspaces.ts'

type Lives<V> = Pick<Keyspace<V>, 'ttlMs' | 'missingTtlMs' | 'ttlJitter'>

/** Ms that `payload` is kept at most; null is what the source does not have. undefined: until it is evicted. 0: not at all. */
export function longestTtlOf<V>({ ttlMs, missingTtlMs }: Lives<V>, payload: V | null): number | undefined {
  if (payload === null) return missingTtlMs ?? ttlMs
  return factsOf(payload).ttlMs ?? ttlMs
}

/** Ms that `payload` is to be kept this time. */
export function ttlOf<V>(keyspace: Lives<V>, payload: V | null, random: Random): number | undefined {
  const ttlMs = longestTtlOf(keyspace, payload)
  const { ttlJitter = 0 } = keyspace
  return ttlMs === undefined || ttlJitter === 0 ? ttlMs : ttlMs * (1 - ttlJitter * random.fraction())
}
