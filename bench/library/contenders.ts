// The caches of one process that are compared, each as its users would set it up: bounded by entries, with a time to live. Each
// runs in a process of its own, so that no other's types are seen by the code that calls it.
// Not for: what is done with them (scenes.ts).
import { systemClock } from '../../src/base/clock.ts'
import { ObjectCache } from '../../src/near/object-cache.ts'

export interface Value {
  readonly id: number
  readonly name: string
}

/** A cache that answers at once. */
export interface SyncCache {
  get(key: string): Value | undefined
  set(key: string, value: Value): void
}

const TTL_MS = 600_000
const BOUND_MS = 500
/** How often proofs come in; each is as of then. */
const PROOF_MS = 50

type Make = (maxEntries: number) => Promise<SyncCache>

export const syncContenders: Readonly<Record<string, Make>> = {
  near: makeNear,
  'near, proved': makeProved,
  'lru-cache': async max => {
    const { LRUCache } = await import('lru-cache')
    return new LRUCache<string, Value>({ max, ttl: TTL_MS })
  },
  'tiny-lru': async max => {
    const { lru } = await import('tiny-lru')
    return lru<Value>(max, TTL_MS)
  },
}

async function makeNear(maxEntries: number): Promise<SyncCache> {
  const clock = systemClock()
  const pool = new ObjectCache<Value>({ clock, maxEntries })
  const space = pool.space()
  return {
    get: key => space.get(key),
    set: (key, value) => void space.set(key, value, { expiresAtMs: pool.nowMs() + TTL_MS }),
  }
}

/** What a read of a keyspace with a log asks: the exact time, and the proof of the entry's lane. */
async function makeProved(maxEntries: number): Promise<SyncCache> {
  const clock = systemClock()
  const lanes = 64
  const pool = new ObjectCache<Value>({ clock, maxEntries, lanes })
  const space = pool.space()
  const prove = (): void => {
    pool.asOfMs.fill(clock.monotonicMs())
    clock.timer(PROOF_MS, prove, { unref: true })
  }
  prove()
  let lane = 0
  return {
    get: key => space.getProved(key, clock.monotonicMs(), BOUND_MS),
    set: (key, value) => {
      lane = (lane + 1) % lanes
      space.set(key, value, { lane, expiresAtMs: clock.monotonicMs() + TTL_MS })
    },
  }
}
