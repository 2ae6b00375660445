// The caches of one process that answer at once, each as its users would set it up: bounded by entries, with a time to live. Each
// runs in a process of its own, so that no other's types are seen by the code that calls it. `near` is the object cache
// that a keyspace stands on, by itself: what the surface of the library adds is the difference.
// Not for: what is done with them (scenes.ts), those that answer by a promise (async-contenders.ts).
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/base/clock.ts'
import { createTidemark } from '../../src/index.ts'
import { ObjectCache } from '../../src/near/object-cache.ts'
import { sqlite } from '../../src/sqlite.ts'

export interface Value {
  readonly id: number
  readonly name: string
}

/** A cache that answers at once. */
export interface SyncCache {
  get(key: string): Value | undefined
  set(key: string, value: Value): void
  /** Instead of `set`, where values come from a source: resolves once all of them are in memory, and proved. */
  loadAll?(keys: readonly string[]): Promise<void>
  close?(): Promise<void>
}

export const TTL_MS = 600_000
/** The same, as the library is told. */
export const TTL = '10m'
const BOUND_MS = 500
const BOUND = '500ms'
/** How often proofs come in; each is as of then. */
const PROOF_MS = 50
const PROVED_WAIT_MS = 20_000

type Make = (maxEntries: number) => Promise<SyncCache>

export const syncContenders: Readonly<Record<string, Make>> = {
  tidemark: makeTidemark,
  'tidemark, proved': makeTidemarkProved,
  near: makeNear,
  'near, proved': makeNearProved,
  'lru-cache': async max => {
    const { LRUCache } = await import('lru-cache')
    return new LRUCache<string, Value>({ max, ttl: TTL_MS })
  },
  'tiny-lru': async max => {
    const { lru } = await import('tiny-lru')
    return lru<Value>(max, TTL_MS)
  },
}

/** A keyspace without a source, and so without a log. */
async function makeTidemark(maxEntries: number): Promise<SyncCache> {
  const tide = await createTidemark({ near: { maxEntries } })
  const users = tide.keyspace<Value>('users', { ttl: TTL })
  return {
    get: key => users.peek(key),
    set: (key, value) => void users.set(key, value),
    close: () => tide.close(),
  }
}

/** The rows of a SQLite table: each hit asks for the proof of its lane. */
async function makeTidemarkProved(maxEntries: number): Promise<SyncCache> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-library-'))
  const file = join(folder, 'users.db')
  const tide = await createTidemark({ near: { maxEntries } })
  const users = tide.keyspace<Value>('users', {
    source: sqlite(file).table('users'),
    maxStaleness: BOUND,
    ttl: TTL,
  })
  return {
    get: key => users.peek(key),
    set: () => {
      throw new Error('its values are loaded')
    },
    loadAll: async keys => {
      createRows(file, keys)
      for (let waitedMs = 0; waitedMs < PROVED_WAIT_MS; waitedMs += PROOF_MS) {
        await users.getMany(keys)
        await sleep(PROOF_MS)
        if (keys.every(key => users.peek(key)?.name === key)) return
      }
      throw new Error(`not all rows were in memory and proved within ${PROVED_WAIT_MS} ms`)
    },
    close: async () => {
      await tide.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function createRows(file: string, keys: readonly string[]): void {
  const database = new DatabaseSync(file)
  database.exec('PRAGMA journal_mode = WAL; CREATE TABLE users (key TEXT PRIMARY KEY, id INTEGER, name TEXT); BEGIN')
  const insert = database.prepare('INSERT INTO users VALUES (?, ?, ?)')
  for (const [id, key] of keys.entries()) insert.run(key, id, key)
  database.exec('COMMIT')
  database.close()
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
async function makeNearProved(maxEntries: number): Promise<SyncCache> {
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
