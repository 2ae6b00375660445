// What is done with one cache in a process of its own, and measured there: reads that hit, at once or awaited, reads that fill
// what they miss, and the heap of many entries. Processor time is that of the whole process, collection of garbage and
// compilation included.
// Not for: which caches there are (contenders.ts, async-contenders.ts), comparing them (bench/library.ts).
import { setImmediate as nextTurn } from 'node:timers/promises'
import { seededRandom } from '../../src/base/random.ts'
import { asyncContenders } from './async-contenders.ts'
import type { AsyncCache } from './async-contenders.ts'
import { syncContenders } from './contenders.ts'
import type { SyncCache, Value } from './contenders.ts'
import { measureImport } from './importing.ts'
import { byZipf, evenly, keyNames } from './keys.ts'
import { countLoads } from './misses.ts'

export interface Job {
  readonly stage: string
  readonly series: string
  readonly seed: number
  readonly smoke: boolean
  /** Where the package is as users install it; of the stage `import`. */
  readonly project?: string | undefined
}

export type Figures = Readonly<Record<string, number>>

/** Operations between two turns of the event loop: a millisecond or so, as a service would have it. */
const TURN = 10_000

const HOT_KEYS = 10_000
const HITS = 9_000_000
/** A proof lapses while the machine does not let the process run for as long as the bound: then once more. */
const ATTEMPTS = 3
const GET_SECONDS = 2
const ZIPF_KEYS = 1_000_000
const ZIPF_EXPONENT = 0.99
const ROOM_SHARE = 10
const HEAP_ENTRIES = 1_000_000

export function measureJob(job: Job): Promise<Figures> {
  switch (job.stage) {
    case 'hit':
      return measureHits(job)
    case 'fill':
      return measureFills(job)
    case 'get':
      return measureGets(job)
    case 'misses':
      return countLoads(job.series)
    case 'heap':
      return measureHeap(job)
    case 'import':
      return measureImport(job)
    default:
      throw new Error(`there is no stage ${job.stage}`)
  }
}

function make(series: string, maxEntries: number): Promise<SyncCache> {
  const contender = syncContenders[series]
  if (contender === undefined) throw new Error(`there is no contender ${series}`)
  return contender(maxEntries)
}

interface Timed extends Figures {
  readonly cpuNs: number
  readonly wallNs: number
}

/** By operation: `turn` does `TURN` of them from the one that it is given. */
async function time(operations: number, turn: (from: number) => void | Promise<void>): Promise<Timed> {
  const cpu = process.cpuUsage()
  const startedNs = process.hrtime.bigint()
  for (let from = 0; from < operations; from += TURN) {
    const under = turn(from)
    if (under !== undefined) await under
    await nextTurn()
  }
  const { user, system } = process.cpuUsage(cpu)
  return {
    cpuNs: ((user + system) * 1_000) / operations,
    wallNs: Number(process.hrtime.bigint() - startedNs) / operations,
  }
}

async function measureHits({ series, seed, smoke }: Job): Promise<Figures> {
  const keys = keyNames(HOT_KEYS)
  const cache = await make(series, HOT_KEYS * 2)
  await fill(cache, keys)
  const order = evenly(TURN * 64, HOT_KEYS, seededRandom(seed))
  let hits = 0
  const turn = (from: number): void => {
    const start = from % order.length
    for (let i = start; i < start + TURN; i++) if (cache.get(keys[order[i]!]!) !== undefined) hits++
  }
  await time(smoke ? TURN : HITS / 3, turn)
  const operations = smoke ? TURN : HITS
  for (let attempt = 1; ; attempt++) {
    hits = 0
    const timed = await time(operations, turn)
    if (hits === operations) {
      await cache.close?.()
      return { ...timed, hitShare: 1 }
    }
    if (attempt === ATTEMPTS) throw new Error(`${operations - hits} of ${operations} reads found nothing`)
  }
}

async function fill(cache: SyncCache, keys: readonly string[]): Promise<void> {
  if (cache.loadAll !== undefined) return cache.loadAll(keys)
  for (const [id, key] of keys.entries()) cache.set(key, { id, name: key })
}

/** All of them are hits, one after another, or as many at once as the contender says. */
async function measureGets({ series, seed, smoke }: Job): Promise<Figures> {
  const contender = asyncContenders[series]
  if (contender === undefined) throw new Error(`there is no contender ${series}`)
  const keys = keyNames(HOT_KEYS)
  const cache = await contender(HOT_KEYS * 2)
  for (const [id, key] of keys.entries()) await cache.set(key, { id, name: key })
  const order = evenly(TURN * 64, HOT_KEYS, seededRandom(seed))
  const turn = cache.atOnce === undefined ? oneByOne(cache, keys, order) : together(cache, cache.atOnce, keys, order)
  const { wallNs } = await time(smoke ? TURN : TURN * 20, turn)
  const turns = smoke ? 1 : Math.max(10, Math.round((GET_SECONDS * 1e9) / wallNs / TURN))
  const timed = await time(turns * TURN, turn)
  await cache.close?.()
  return timed
}

function oneByOne(cache: AsyncCache, keys: readonly string[], order: Uint32Array): (from: number) => Promise<void> {
  return async from => {
    const start = from % order.length
    let hits = 0
    for (let i = start; i < start + TURN; i++) {
      const value = await cache.get(keys[order[i]!]!)
      if (value !== undefined && value !== null) hits++
    }
    if (hits !== TURN) throw new Error(`${TURN - hits} of ${TURN} reads found nothing`)
  }
}

function together(
  cache: AsyncCache,
  atOnce: number,
  keys: readonly string[],
  order: Uint32Array,
): (from: number) => Promise<void> {
  return async from => {
    const start = from % order.length
    for (let first = start; first < start + TURN; first += atOnce) {
      const asked = Array.from({ length: atOnce }, (_, i) => cache.get(keys[order[first + i]!]!))
      for (const value of await Promise.all(asked)) if (value === null) throw new Error('a read found nothing')
    }
  }
}

async function measureFills({ series, seed, smoke }: Job): Promise<Figures> {
  const count = smoke ? 10_000 : ZIPF_KEYS
  const keys = keyNames(count)
  settle(keys)
  const cache = await make(series, count / ROOM_SHARE)
  const order = byZipf(smoke ? TURN * 4 : TURN * 400, count, ZIPF_EXPONENT, seededRandom(seed))
  let misses = 0
  const turn = (from: number): void => {
    const start = from % order.length
    for (let i = start; i < start + TURN; i++) {
      const id = order[i]!
      const key = keys[id]!
      if (cache.get(key) !== undefined) continue
      misses++
      cache.set(key, { id, name: key })
    }
  }
  await time(order.length / 2, turn)
  misses = 0
  const timed = await time(order.length / 2, from => turn(from + order.length / 2))
  await cache.close?.()
  return { ...timed, hitShare: 1 - misses / (order.length / 2) }
}

/** The first map that is asked for a string makes it one of a kind, and the next collection lets all know: before it is measured. */
function settle(keys: readonly string[]): void {
  const some = new Map([['', 0]])
  for (const key of keys) some.get(key)
  collect()
}

async function measureHeap({ series, smoke }: Job): Promise<Figures> {
  const entries = smoke ? 10_000 : HEAP_ENTRIES
  const keys = keyNames(entries * 2)
  // A hash is kept in the string; a value is the user's own. Neither is the cache's.
  const value: Value = { id: 0, name: '' }
  for (const key of keys) new Set<string>().add(key)
  const before = usedBytes()
  const cache = await make(series, entries)
  const bytesPerEntry = (): number => (usedBytes() - before) / entries
  for (let i = 0; i < entries; i++) cache.set(keys[i]!, value)
  const filled = bytesPerEntry()
  // As many again, so that every entry of before has left.
  for (let i = entries; i < keys.length; i++) cache.set(keys[i]!, value)
  const replaced = bytesPerEntry()
  if (cache.get(keys[keys.length - 1]!) === undefined) throw new Error('the last entry is not there')
  await cache.close?.()
  return { filledBytes: filled, replacedBytes: replaced }
}

/** On the heap and in array buffers, after collection. */
function usedBytes(): number {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function collect(): void {
  if (globalThis.gc === undefined) throw new Error('node runs without --expose-gc')
  for (let i = 0; i < 3; i++) globalThis.gc()
}
