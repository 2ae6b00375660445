// Threads that die inside the store: recover() frees what they held, the others go on, what was in their shards is gone and
// all else is still there.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { SegmentState } from '../../src/store/layout.ts'
import { Store } from '../../src/store/store.ts'
import type { DyingOptions, Place } from './dying-thread.ts'
import { insidesOf, KeyedStore, MiB } from './keyed-store.ts'

const KEYS = 500

function create(threads = 8): KeyedStore {
  const keyed = new KeyedStore(Store.create({ memoryBytes: MiB, threads, seed: 3 }))
  for (let i = 0; i < KEYS; i++) keyed.set(`k${i}`, `value ${i}`)
  return keyed
}

function shardOf(keyed: KeyedStore, key: string): number {
  return insidesOf(keyed.store).index.shardOf(keyed.hash(key))
}

/** Resolves when the worker has set the first word of `signal`; rejects when it ends by an error before. */
async function signalled(signal: SharedArrayBuffer, exit: Promise<unknown>): Promise<void> {
  const { async, value } = Atomics.waitAsync(new Int32Array(signal), 0, 0)
  if (async) await Promise.race([value, exit])
}

/** A thread that dies at `place`, by process.exit() in it or by terminate() from here. Returns when it is dead. */
async function deathOf(keyed: KeyedStore, place: Place, exits: boolean, thread = 1, key = 'k0'): Promise<void> {
  const signal = new SharedArrayBuffer(4)
  const workerData: DyingOptions = { shared: keyed.store.shared, signal, thread, key, place, exits }
  const worker = new Worker(new URL('dying-thread.ts', import.meta.url), { workerData })
  const exit = once(worker, 'exit')
  await signalled(signal, exit)
  if (!exits) await worker.terminate()
  await exit
}

/** What is in the dead thread's shards is gone, the rest is there, and everything works. */
function assertOthersLive(keyed: KeyedStore, wiped: ReadonlySet<number>): void {
  keyed.store.check()
  for (let i = 0; i < KEYS; i++) {
    const expected = wiped.has(shardOf(keyed, `k${i}`)) ? undefined : `value ${i}`
    assert.equal(keyed.text(`k${i}`), expected)
  }
  assert.equal(keyed.segmentsIn(SegmentState.reserved), 0)
  keyed.flood('after', 12_000, 100)
  for (let i = 0; i < 5; i++) assert.equal(keyed.set(`large${i}`, Buffer.alloc(60_000)), 'stored')
  keyed.store.check()
}

for (const exits of [true, false]) {
  describe(exits ? 'a thread that calls process.exit()' : 'a thread that is terminated', () => {
    for (const place of ['lock', 'half-written', 'growing'] as const) {
      test(`inside a lock (${place}): its shard is wiped and counted, all others keep their records`, async () => {
        const keyed = create()
        await deathOf(keyed, place, exits)
        assert.equal(keyed.store.recover(1), 1)
        assert.equal(keyed.store.statistics().shardsWiped, 1)
        assertOthersLive(keyed, new Set([shardOf(keyed, 'k0')]))
        assert.equal(keyed.store.recover(1), 0)
      })
    }

    test('inside the lock of the pool: its list is made anew, and its shard is wiped', async () => {
      const keyed = create()
      await deathOf(keyed, 'pool', exits)
      assert.equal(insidesOf(keyed.store).segments.poolHeldBy(1), true)
      assert.equal(keyed.store.recover(1), 1)
      assertOthersLive(keyed, new Set([shardOf(keyed, 'k0')]))
    })

    test('with a run reserved: its shard is wiped and the run is free again', async () => {
      const keyed = create()
      await deathOf(keyed, 'reserved', exits)
      assert.ok(keyed.segmentsIn(SegmentState.reserved) >= 10)
      assert.equal(keyed.store.recover(1), 1)
      assertOthersLive(keyed, new Set([shardOf(keyed, 'k0')]))
    })

    test('while it gives a run back: pool and run are free again, and no record is lost', async () => {
      const keyed = create()
      await deathOf(keyed, 'pool-half-pushed', exits)
      assert.equal(keyed.store.recover(1), 0)
      assertOthersLive(keyed, new Set())
    })

    test('with all locks: all shards are wiped', async () => {
      const keyed = create()
      await deathOf(keyed, 'all-locks', exits)
      const { shards } = keyed.store.geometry
      assert.equal(keyed.store.recover(1), shards)
      assertOthersLive(keyed, new Set(Array.from({ length: shards }, (_, shard) => shard)))
    })
  })
}

describe('several threads die', () => {
  test('two in different locks: each is recovered without waiting for the other', async () => {
    const keyed = create()
    const first = 'k0'
    const second = Array.from({ length: KEYS }, (_, i) => `k${i}`).find(
      key => shardOf(keyed, key) !== shardOf(keyed, first),
    )!
    await deathOf(keyed, 'reserved', true, 1, first)
    await deathOf(keyed, 'half-written', true, 2, second)
    assert.equal(keyed.store.recover(1), 1)
    assert.equal(keyed.store.recover(2), 1)
    assertOthersLive(keyed, new Set([shardOf(keyed, first), shardOf(keyed, second)]))
  })

  test('one while it waits for a lock: nothing is lost', async () => {
    const keyed = create()
    keyed.store.lock(keyed.hash('k0'))
    await deathOf(keyed, 'waiting', false)
    keyed.store.unlock(keyed.hash('k0'))
    assert.equal(keyed.store.recover(1), 0)
    assertOthersLive(keyed, new Set())
  })
})

describe('the threads that live', () => {
  test('wait for a dead one only until it is recovered: a reader of its bucket, a writer of its shard', async () => {
    const keyed = create()
    await deathOf(keyed, 'half-written', true)
    const signal = new SharedArrayBuffer(4)
    const waiter = new Worker(new URL('waiting-thread.ts', import.meta.url), {
      workerData: { shared: keyed.store.shared, signal, thread: 2, key: 'k0' },
    })
    const outcome = once(waiter, 'message')
    // Asked for before the message comes: when this thread is held up, both come in one turn, one right after the other.
    const exit = once(waiter, 'exit')
    await signalled(signal, exit)
    assert.equal(keyed.store.recover(1), 1)
    assert.deepEqual((await outcome)[0], { before: 'nothing', stored: 'stored', after: 'mine' })
    await exit
    keyed.store.check()
    assert.equal(keyed.text('k0'), 'mine')
  })
})
