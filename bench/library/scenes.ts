// What is done with one cache in a process of its own, and measured there: reads that hit, reads that fill what they miss, and
// the heap of many entries. Processor time is that of the whole process, collection of garbage and compilation included.
// Not for: which caches there are (contenders.ts), comparing them (bench/library.ts).
import { setImmediate as nextTurn } from 'node:timers/promises'
import { seededRandom } from '../../src/base/random.ts'
import { syncContenders } from './contenders.ts'
import type { SyncCache, Value } from './contenders.ts'
import { byZipf, evenly, keyNames } from './keys.ts'

export interface Job {
  readonly stage: string
  readonly series: string
  readonly seed: number
  readonly smoke: boolean
}

export type Figures = Readonly<Record<string, number>>

/** Operations between two turns of the event loop: a millisecond or so, as a service would have it. */
const TURN = 10_000

const HOT_KEYS = 10_000
const HITS = 9_000_000
const HIT_SHARE_MIN = 0.95
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
    case 'heap':
      return measureHeap(job)
    default:
      throw new Error(`there is no stage ${job.stage}`)
  }
}

function make(series: string, maxEntries: number): Promise<SyncCache> {
  const contender = syncContenders[series]
  if (contender === undefined) throw new Error(`there is no contender ${series}`)
  return contender(maxEntries)
}

interface Timed {
  readonly cpuNs: number
  readonly wallNs: number
}

/** By operation: `turn` does `TURN` of them from the one that it is given. */
async function time(operations: number, turn: (from: number) => void): Promise<Timed> {
  const cpu = process.cpuUsage()
  const startedNs = process.hrtime.bigint()
  for (let from = 0; from < operations; from += TURN) {
    turn(from)
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
  for (const [id, key] of keys.entries()) cache.set(key, { id, name: key })
  const order = evenly(TURN * 64, HOT_KEYS, seededRandom(seed))
  let hits = 0
  const turn = (from: number): void => {
    const start = from % order.length
    for (let i = start; i < start + TURN; i++) if (cache.get(keys[order[i]!]!) !== undefined) hits++
  }
  await time(smoke ? TURN : HITS / 3, turn)
  hits = 0
  const operations = smoke ? TURN : HITS
  const timed = await time(operations, turn)
  // A proof lapses while the machine does not let the process run for as long as the bound.
  if (hits < HIT_SHARE_MIN * operations) throw new Error(`${operations - hits} of ${operations} reads found nothing`)
  return { ...timed, hitShare: hits / operations }
}

async function measureFills({ series, seed, smoke }: Job): Promise<Figures> {
  const count = smoke ? 10_000 : ZIPF_KEYS
  const keys = keyNames(count)
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
  return { ...timed, hitShare: 1 - misses / (order.length / 2) }
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
  return { filledBytes: filled, replacedBytes: replaced }
}

/** On the heap and in array buffers, after collection. */
function usedBytes(): number {
  if (globalThis.gc === undefined) throw new Error('node runs without --expose-gc')
  for (let i = 0; i < 3; i++) globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
