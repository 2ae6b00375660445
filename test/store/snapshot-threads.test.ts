// Snapshots beside threads that write all the time: what is in one was in the store, whole, and what was there from beginning
// to end is in it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { createStore, type KeyedStore, MiB } from './keyed-store.ts'
import { Board, HOT, put, STABLE, versionOf, type SnapshotLoadOptions } from './snapshot-load.ts'
import { contentOf, load, snapshotFile, write } from './snapshot-scene.ts'

const seed = Number(process.env['TEST_SEED'] ?? 20_261_123)
const SNAPSHOTS = 6

function startWriter(options: SnapshotLoadOptions): Worker {
  return new Worker(new URL('./snapshot-load.ts', import.meta.url), { workerData: options })
}

/** Makes snapshots while two threads write, and loads each: versions by key. */
async function snapshotsBesideWriters(t: TestContext, keyed: KeyedStore, hot: boolean): Promise<Map<number, number>[]> {
  const file = snapshotFile(t)
  const { store } = keyed
  const board = new SharedArrayBuffer(8)
  const words = new Int32Array(board)
  const writers = [1, 2].map(thread => startWriter({ shared: store.shared, board, thread, seed: seed + thread, hot }))
  const ended = writers.map(writer => once(writer, 'exit'))
  const found: Map<number, number>[] = []
  let busy = 0
  try {
    await Promise.all(writers.map(writer => once(writer, 'online')))
    for (let i = 0; i < SNAPSHOTS; i++) {
      const enough = 2000 * (i + 1)
      for (let now = 0; (now = Atomics.load(words, Board.writes)) < enough;) Atomics.wait(words, Board.writes, now, 10)
      const before = Atomics.load(words, Board.writes)
      const { records } = write(keyed, file)
      if (Atomics.load(words, Board.writes) > before + 10) busy++
      const copy = createStore(16 * MiB, 1, 1 + i)
      const outcome = await load(copy, file)
      assert.ok(outcome.kind === 'loaded' && outcome.stored === records)
      found.push(versionsIn(copy))
    }
  } finally {
    Atomics.store(words, Board.stop, 1)
    assert.deepEqual((await Promise.all(ended)).flat(), [0, 0])
  }
  store.check()
  assert.ok(busy > SNAPSHOTS / 2, `the writers wrote during ${busy} of ${SNAPSHOTS} snapshots`)
  return found
}

function versionsIn(keyed: KeyedStore): Map<number, number> {
  const versions = new Map<number, number>()
  for (const [key, { value }] of contentOf(keyed)) {
    const number = Buffer.from(key, 'latin1').readUInt32LE(8)
    versions.set(number, versionOf(number, Buffer.from(value, 'latin1')))
  }
  return versions
}

test(`a snapshot beside writers has every key that was there all the time (seed ${seed})`, async t => {
  const keyed = createStore(128 * MiB, 3)
  for (let number = HOT; number < STABLE; number++) put(keyed.store, number, 0)
  const found = await snapshotsBesideWriters(t, keyed, false)
  for (const [i, versions] of found.entries()) {
    for (let number = HOT; number < STABLE; number++) assert.ok(versions.has(number), `key ${number} of snapshot ${i}`)
  }
  assert.equal(keyed.store.statistics().evicted, 0, 'nothing had to go')
  assert.ok(found.at(-1)!.size > STABLE + 1000, 'the index had to grow')
})

test(`a snapshot beside writers of large values has whole ones only (seed ${seed})`, async t => {
  const found = await snapshotsBesideWriters(t, createStore(4 * MiB, 3), true)
  for (const [i, versions] of found.entries()) {
    for (let number = 0; number < HOT; number++) assert.ok(versions.has(number), `large key ${number} of snapshot ${i}`)
  }
})
