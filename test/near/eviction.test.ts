// Who leaves a pool that is full: more of what is asked for again stays than an LRU list of the same size would keep, and as
// much as others have measured of S3-FIFO. Not for: what is alive (object-cache-model.test.ts).
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { byZipf } from '../../bench/library/keys.ts'
import { seededRandom } from '../../src/base/random.ts'
import { ObjectCache } from '../../src/near/object-cache.ts'
import { ManualClock } from '../../src/testing/clock.ts'

const traces = resolve(import.meta.dirname, '../../../shared/traces')
const seed = Number(process.env['TIDEMARK_SEED'] ?? 1)

interface Asked {
  has(key: string): boolean
  add(key: string): void
}

function pool(maxEntries: number): Asked & { check(): void } {
  const pool = new ObjectCache<boolean>({ clock: new ManualClock(), maxEntries })
  const space = pool.space()
  return {
    has: key => space.get(key) !== undefined,
    add: key => void space.set(key, true),
    check: () => pool.check(),
  }
}

function lru(maxEntries: number): Asked {
  const keys = new Map<string, boolean>()
  return {
    has: key => {
      if (!keys.delete(key)) return false
      keys.set(key, true)
      return true
    },
    add: key => {
      keys.set(key, true)
      if (keys.size > maxEntries) keys.delete(keys.keys().next().value!)
    },
  }
}

/** The share of requests, of those from `from` on, that find their key; what is missed is added. */
function hitShare(asked: Asked, ids: Uint32Array, from = 0): number {
  let hits = 0
  for (const [at, id] of ids.entries()) {
    const key = `key:${id}`
    if (!asked.has(key)) asked.add(key)
    else if (at >= from) hits++
  }
  return hits / (ids.length - from)
}

test('Zipf 0.99 over 100,000 keys with room for a tenth: more hits than an LRU list', () => {
  const ids = byZipf(400_000, 100_000, 0.99, seededRandom(seed))
  const ours = pool(10_000)
  const share = hitShare(ours, ids, 200_000)
  ours.check()
  const theirs = hitShare(lru(10_000), ids, 200_000)
  assert.ok(share > theirs + 0.02, `${share} of hits, an LRU list has ${theirs}; seed ${seed}`)
})

test('a scan of keys that come once does not drive out those that are read', () => {
  const cache = pool(1_000)
  const hot = Array.from({ length: 500 }, (_, i) => `hot:${i}`)
  for (const key of hot) cache.add(key)
  for (let round = 0; round < 20; round++) {
    for (const key of hot) cache.has(key)
    for (let i = 0; i < 500; i++) cache.add(`scan:${round}:${i}`)
  }
  assert.ok(hot.every(key => cache.has(key)))
})

test('a key that comes back soon after it left is kept longer than one that is new', () => {
  const cache = pool(100)
  for (let i = 0; i < 100; i++) cache.add(`old:${i}`)
  cache.add('first:1')
  assert.equal(cache.has('old:0'), false)
  cache.add('old:0')
  for (let i = 0; i < 80; i++) cache.add(`new:${i}`)
  for (let i = 0; i < 80; i++) cache.add(`newer:${i}`)
  assert.equal(cache.has('first:1'), false)
  assert.equal(cache.has('old:0'), true)
})

test('what is not read any more gives way to what is, however often it was read once', () => {
  const cache = pool(1_000)
  const past = Array.from({ length: 1_000 }, (_, i) => `past:${i}`)
  for (const key of past) cache.add(key)
  for (let round = 0; round < 5; round++) for (const key of past) cache.has(key)
  const present = Array.from({ length: 800 }, (_, i) => `present:${i}`)
  let hits = 0
  for (let round = 0; round < 20; round++) {
    hits = 0
    for (const key of present) {
      if (cache.has(key)) hits++
      else cache.add(key)
    }
  }
  assert.equal(hits, 800)
})

test('an entry that outgrows its room comes in again as one that was read, and outlasts those that come once', () => {
  const cache = new ObjectCache<number>({ clock: new ManualClock(), maxBytes: 1_000 })
  const space = cache.space()
  const turnover = (name: string): void => {
    for (let i = 0; i < 100; i++) space.set(`${name} ${i}`, i, { bytes: 10 })
  }
  space.set('read', 1, { bytes: 10 })
  turnover('once')
  space.set('read', 1, { bytes: 10 })
  space.get('read')
  turnover('twice')
  assert.equal(space.get('read'), 1)
  for (let i = 0; i < 8; i++) turnover(`read away ${i}`)
  assert.equal(space.set('read', 2, { bytes: 20 }), true)
  turnover('after')
  assert.equal(space.get('read'), 2)
})

test('one write lets a bounded number of read entries go round before one of them leaves', () => {
  const left: string[] = []
  const full = new ObjectCache<number>({
    clock: new ManualClock(),
    maxEntries: 10_000,
    onEvict: (_space, key) => void left.push(key),
  })
  const space = full.space()
  for (let i = 0; i < 10_000; i++) space.set(`key:${i}`, i)
  for (let i = 0; i < 10_000; i++) space.get(`key:${i}`)
  space.set('one more', 1)
  full.check()
  // All had been read: by S3-FIFO alone, 9,000 would have moved on until the small queue was small, and the next one left.
  assert.deepEqual(left, ['key:1024'])
})

const cells = existsSync(traces)
  ? readFileSync(resolve(traces, 'baselines.csv'), 'utf8').trim().split('\n').slice(1)
  : []
const baselines = cells.map(line => {
  const [trace, , percent, policy, share, capacity] = line.split(',')
  return { trace: trace!, percent: percent!, policy: policy!, share: Number(share), capacity: Number(capacity) }
})

// Only where the traces are: without them there is nothing to be tested, and nothing that could be installed.
function compareRealTraces(): void {
  const shares = { ours: 0, s3Fifo: 0, lru: 0 }
  for (const trace of ['web12', 'sprite', 'multi2', 'cloudphysics-io', 'orm-busy']) {
    const raw = execFileSync('xz', ['-dc', resolve(traces, `${trace}.u32.xz`)], { maxBuffer: 2 ** 28 })
    const ids = new Uint32Array(raw.buffer, raw.byteOffset, raw.length / 4)
    const of = (policy: string): (typeof baselines)[number] =>
      baselines.find(each => each.trace === trace && each.percent === '1' && each.policy === policy)!
    const cache = pool(of('S3-FIFO').capacity)
    shares.ours += hitShare(cache, ids)
    cache.check()
    shares.s3Fifo += of('S3-FIFO').share
    shares.lru += of('LRU').share
  }
  assert.ok(shares.ours > shares.s3Fifo - 0.01 && shares.ours > shares.lru + 0.1, JSON.stringify(shares))
}

const what = 'real traces: as many hits as others have measured of S3-FIFO'
if (cells.length > 0) void test(what, compareRealTraces)
else console.log(`no traces here, so not tested: ${what}`)
