// A thread that reads and then writes a key whose bucket a dead thread left half written, for store-death.test.ts.
import { parentPort, workerData } from 'node:worker_threads'
import type { SharedStore } from '../../src/store/store-reader.ts'
import { Store } from '../../src/store/store.ts'
import { KeyedStore } from './keyed-store.ts'

const { shared, signal, thread, key } = workerData as {
  shared: SharedStore
  signal: SharedArrayBuffer
  thread: number
  key: string
}
const keyed = new KeyedStore(Store.attach(shared, thread))
Atomics.store(new Int32Array(signal), 0, 1)
Atomics.notify(new Int32Array(signal), 0)
const before = keyed.text(key) ?? 'nothing'
const stored = keyed.set(key, 'mine')
parentPort!.postMessage({ before, stored, after: keyed.text(key) })
