// A thread that dies at a chosen place inside the store, for store-death.test.ts. It says that it is there, through the
// signal word, and then ends by itself or waits there until it is terminated (not in a busy loop: where cores are few, the
// thread that is to terminate it would wait for it).
import { parentPort, workerData } from 'node:worker_threads'
import { RecordType, Segment, SegmentState, Shard, Superblock } from '../../src/store/layout.ts'
import { acquire } from '../../src/store/lock.ts'
import type { SharedStore } from '../../src/store/store-reader.ts'
import { Store } from '../../src/store/store.ts'
import { insidesOf } from './keyed-store.ts'

export type Place =
  'lock' | 'half-written' | 'growing' | 'pool' | 'pool-half-pushed' | 'reserved' | 'all-locks' | 'waiting'

export interface DyingOptions {
  readonly shared: SharedStore
  readonly signal: SharedArrayBuffer
  readonly thread: number
  readonly key: string
  readonly place: Place
  readonly exits: boolean
}

function die({ shared, signal, thread, key, place, exits }: DyingOptions): void {
  const store = Store.attach(shared, thread)
  const { index, segments, queues, control } = insidesOf(store)
  const bytes = Buffer.from(key)
  const hash = store.hash(bytes, 0, bytes.length)
  const words = new Int32Array(signal)
  const end = (): never => {
    Atomics.store(words, 0, 1)
    Atomics.notify(words, 0)
    if (exits) process.exit(0)
    for (;;) Atomics.wait(words, 0, 1)
  }
  const placeRun = (then: () => void): void => {
    let tries = 0
    store.withLock(hash, () => {
      if (tries++ > 0) then()
      store.put(bytes, 0, bytes.length, hash, RecordType.string, Buffer.alloc(40_000), 0, 40_000, 0, 1)
    })
  }
  if (place === 'lock') store.withLock(hash, end)
  else if (place === 'half-written') {
    store.withLock(hash, () => {
      if (index.locateKey(hash, bytes, 0, bytes.length)) index.beginWrite()
      control.fill(
        -1,
        queues.shardAt(index.shardOf(hash)) + Shard.small,
        queues.shardAt(index.shardOf(hash)) + Shard.spare,
      )
      end()
    })
  } else if (place === 'growing') {
    const shard = index.shardOf(hash)
    const { bucketsPerShard } = store.geometry
    store.withLock(hash, () => {
      // The bucket that would be added next: in a writer's hands, and holding something.
      const at = index.unitOfBucket(shard * bucketsPerShard + index.bucketsOf(shard)) * 2
      control[at]! += 1
      control[at + 2] = 12345
      end()
    })
  } else if (place === 'pool') {
    store.withLock(hash, () => {
      segments.pop(index.shardOf(hash))
      acquire(control, Superblock.poolLock, Superblock.poolWaiters, thread)
      control[Superblock.poolHead] = 0
      end()
    })
  } else if (place === 'reserved') placeRun(end)
  else if (place === 'all-locks') {
    insidesOf(store).lockAll()
    end()
  } else if (place === 'waiting') {
    Atomics.store(words, 0, 1)
    Atomics.notify(words, 0)
    store.withLock(hash, () => {})
  } else {
    // Half of a run is given back when the end comes.
    placeRun(() => {
      store.unlock(hash)
      acquire(control, Superblock.poolLock, Superblock.poolWaiters, thread)
      for (let segment = 0, given = 0; given < 3; segment++) {
        if (segments.get(segment, Segment.state) !== SegmentState.reserved) continue
        segments.set(segment, Segment.state, SegmentState.free)
        given++
      }
      end()
    })
  }
}

if (parentPort !== null) die(workerData as DyingOptions)
