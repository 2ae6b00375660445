// A snapshot's own thread, from inside. Started by snapshot-thread.ts; nothing imports it.
import * as fs from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { assert, AssertionError } from '../base/assert.ts'
import { messageOf } from '../base/errors.ts'
import { writeSnapshot } from '../store/snapshot-writer.ts'
import { Store } from '../store/store.ts'
import type { SnapshotThreadMessage, SnapshotThreadOptions } from './snapshot-thread.ts'

const port = parentPort
assert(port !== null, 'this file runs as a worker')
const { store: shared, thread, job } = workerData as SnapshotThreadOptions
const store = Store.attach(shared, thread)

port.once('message', () => {
  let outcome: SnapshotThreadMessage
  try {
    outcome = { kind: 'written', written: writeSnapshot(store, job, fs) }
  } catch (thrown) {
    if (thrown instanceof AssertionError) throw thrown
    outcome = { kind: 'failed', message: messageOf(thrown) }
  }
  port.postMessage(outcome)
  port.close()
})
port.postMessage({ kind: 'ready' } satisfies SnapshotThreadMessage)
