// Real threads on one store: no torn, foreign or old value, whatever is evicted, expires, moves or is cleared meanwhile;
// counters add up; and every invariant holds at the end.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Store } from '../../src/store/store.ts'
import { counterKey, countIn } from './counter-load.ts'
import type { CounterOptions } from './counter-load.ts'
import { MiB } from './keyed-store.ts'
import { Board, PRIVATE_KEYS, SHARED_FIRST, SHARED_KEYS } from './mixed-load.ts'
import type { LoadCounts, LoadOptions } from './mixed-load.ts'

const CLIENTS = 8
/** Threads that have not ended after so long are waiting for each other. */
const STUCK_MS = 180_000

/** Runs a module in a worker until it ends; the last message it posted. */
async function runThread(module: string, workerData: unknown): Promise<unknown> {
  const worker = new Worker(new URL(module, import.meta.url), { workerData })
  let posted: unknown
  worker.on('message', (message: unknown) => {
    posted = message
  })
  try {
    const [code] = (await once(worker, 'exit', { signal: AbortSignal.timeout(STUCK_MS) })) as [number]
    assert.equal(code, 0)
  } finally {
    await worker.terminate()
  }
  return posted
}

async function mixedLoad(options: {
  memoryBytes: number
  threads: number
  operations: number
  seed: number
  clears?: boolean
}): Promise<{ store: Store; counts: LoadCounts }> {
  const { memoryBytes, threads, operations, seed, clears = false } = options
  const store = Store.create({ memoryBytes, threads: threads + 1, seed })
  const board = new SharedArrayBuffer(64)
  new Int32Array(board)[Board.wallMs] = 1_000
  const all = Array.from({ length: CLIENTS }, (_, client) => client)
  const loads = Array.from({ length: threads }, (_, i) => {
    const clients = all.filter(client => client % threads === i)
    const share = Math.ceil(operations / threads)
    const load: LoadOptions = { shared: store.shared, board, thread: i + 1, clients, operations: share, seed, clears }
    return runThread('mixed-load.ts', load) as Promise<LoadCounts>
  })
  const counts: LoadCounts = { operations: 0, hits: 0, misses: 0, retries: 0, large: 0, scanned: 0 }
  for (const load of await Promise.all(loads)) {
    for (const name of Object.keys(counts) as (keyof LoadCounts)[]) counts[name] += load[name]
  }
  return { store, counts }
}

function assertWholeScan(store: Store): void {
  let seen = 0
  let cursor = 0
  do {
    cursor = store.scan(cursor, 100, 0, key => {
      const number = Number(key.toString().slice('key:'.length))
      assert.ok(number < CLIENTS * PRIVATE_KEYS || number - SHARED_FIRST < SHARED_KEYS, key.toString())
      seen++
    })
  } while (cursor !== 0)
  assert.equal(seen, store.statistics().records)
}

test('two threads, eight clients, five million operations: no value is torn, foreign or old, and check() is clean', async t => {
  const { store, counts } = await mixedLoad({ memoryBytes: 4 * MiB, threads: 2, operations: 5_200_000, seed: 1 })
  store.check()
  assertWholeScan(store)
  const { evicted, expired, moved, shardsWiped } = store.statistics()
  t.diagnostic(JSON.stringify({ ...counts, evicted, expired, moved }))
  assert.ok(counts.operations >= 5_000_000)
  assert.ok(counts.hits > 500_000 && counts.misses > 50_000, 'both happened')
  assert.ok(evicted > 10_000 && expired > 10_000 && moved > 10_000, 'memory was short, and time passed')
  assert.ok(counts.retries > 0, 'readers and writers met')
  assert.ok(counts.large > 500, 'there were runs')
  assert.equal(shardsWiped, 0)
})

test('more threads than cores, which lose the core inside a lock: the same', async () => {
  const { store, counts } = await mixedLoad({ memoryBytes: 4 * MiB, threads: 4, operations: 600_000, seed: 2 })
  store.check()
  assertWholeScan(store)
  assert.ok(counts.hits > 50_000)
  assert.equal(store.statistics().shardsWiped, 0)
})

test('memory that is cleared again and again under its readers: the same', async () => {
  const { store, counts } = await mixedLoad({
    memoryBytes: MiB * 2,
    threads: 2,
    operations: 600_000,
    seed: 3,
    clears: true,
  })
  store.check()
  assertWholeScan(store)
  assert.ok(counts.hits > 10_000)
  assert.equal(store.statistics().shardsWiped, 0)
})

test('counters that all threads increment add up, transfers between them cancel out, and no reader ever sees one go back', async () => {
  const threads = 3
  const counters = 40
  const increments = 100_000
  const store = Store.create({ memoryBytes: 64 * MiB, threads: threads + 1, seed: 4 })
  const loads = Array.from({ length: threads }, (_, i) => {
    const options: CounterOptions = { shared: store.shared, thread: i + 1, counters, increments, seed: 4 }
    return runThread('counter-load.ts', options)
  })
  await Promise.all(loads)
  let incremented = 0
  let transferred = 0
  for (let counter = 0; counter < counters; counter++) {
    const key = counterKey(counter)
    const count = countIn(store.get(key, 0, key.length, store.hash(key, 0, key.length), 1) ?? Buffer.from('0'))
    if (counter < counters / 2) incremented += count
    else transferred += count
  }
  assert.equal(incremented, threads * increments)
  assert.equal(transferred, 0)
  assert.equal(store.statistics().evicted, 0)
  store.check()
})
