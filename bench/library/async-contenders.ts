// The caches that are asked for a value and waited for, each as its users would set it up, and where there is a choice as it is
// fastest: objects by reference, no copies, no statistics. Each runs in a process of its own.
// Not for: what is done with them (scenes.ts), those that answer at once (contenders.ts).
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTidemark } from '../../src/index.ts'
import { peers, RunningContender } from '../contender.ts'
import { TTL, TTL_MS, type Value } from './contenders.ts'

/** Whatever `get` returns is awaited. */
export interface AsyncCache {
  get(key: string): unknown
  set(key: string, value: Value): unknown
  /** Calls that are under way at a time; one unless said otherwise. */
  readonly atOnce?: number
  close?(): Promise<void>
}

type Make = (maxEntries: number) => Promise<AsyncCache>

export const asyncContenders: Readonly<Record<string, Make>> = {
  tidemark: async maxEntries => {
    const tide = await createTidemark({ near: { maxEntries } })
    const users = tide.keyspace<Value>('users', { ttl: TTL })
    return { get: key => users.get(key), set: (key, value) => users.set(key, value), close: () => tide.close() }
  },
  'lru-cache': async max => {
    const { LRUCache } = await import('lru-cache')
    return new LRUCache<string, Value>({ max, ttl: TTL_MS })
  },
  BentoCache: async maxItems => {
    const { BentoCache, bentostore } = await import('bentocache')
    const { memoryDriver } = await import('bentocache/drivers/memory')
    const memory = bentostore().useL1Layer(memoryDriver({ maxItems, serialize: false }))
    const cache = new BentoCache({ default: 'memory', ttl: TTL_MS, stores: { memory } })
    return {
      get: key => cache.get({ key }),
      set: (key, value) => cache.set({ key, value }),
      close: () => cache.disconnectAll(),
    }
  },
  cacheable: async lruSize => {
    const { Cacheable, createKeyv } = await import('cacheable')
    const cache = new Cacheable({ primary: createKeyv({ useClone: false, lruSize }), ttl: TTL_MS })
    return {
      get: key => cache.get<Value>(key),
      set: (key, value) => cache.set(key, value),
      close: () => cache.disconnect(),
    }
  },
  'layered-loader': async maxItems => {
    const { Loader } = await import('layered-loader')
    const rows = new Map<string, Value>()
    const loader = new Loader<Value>({
      inMemoryCache: { cacheType: 'lru-object', ttlInMsecs: TTL_MS, maxItems },
      dataSourceGetOneFn: async key => rows.get(key),
    })
    return {
      get: key => loader.get(key),
      set: async (key, value) => {
        rows.set(key, value)
        await loader.get(key)
      },
    }
  },
  'node-redis, client-side cache': maxEntries => makeRedis(maxEntries),
  'node-redis, 100 at a time': () => makeRedis(undefined),
}

/** Over loopback, to a server of its own. Values are strings, and stay that. With `maxEntries` they are kept in the client too. */
async function makeRedis(maxEntries: number | undefined): Promise<AsyncCache> {
  const { createClient } = await import('redis')
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-library-'))
  const server = await RunningContender.start(peers[0]!, folder, false)
  const url = `redis://127.0.0.1:${server.port}`
  const kept = { ttl: 0, maxEntries: maxEntries ?? 0, evictPolicy: 'LRU', recordStats: false } as const
  const client = createClient(maxEntries === undefined ? { url, RESP: 3 } : { url, RESP: 3, clientSideCache: kept })
  client.on('error', () => {})
  await client.connect()
  return {
    ...(maxEntries === undefined ? { atOnce: 100 } : {}),
    get: key => client.get(key),
    set: async (key, value) => {
      await client.set(key, JSON.stringify(value))
      await client.get(key)
    },
    close: async () => {
      client.destroy()
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
