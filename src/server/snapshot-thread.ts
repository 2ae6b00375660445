// A snapshot's own thread, from outside: started for one snapshot and gone after it, so that an idle server pays nothing.
// Not for: when a snapshot is made, and what to do when one fails (snapshots.ts).
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { messageOf } from '../base/errors.ts'
import type { SnapshotJob, WrittenSnapshot } from '../store/snapshot-writer.ts'
import type { SharedStore } from '../store/store-reader.ts'

export interface SnapshotThreadOptions {
  readonly store: SharedStore
  /** The thread's number in the store. */
  readonly thread: number
  readonly job: SnapshotJob
}

export type SnapshotThreadMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'written'; readonly written: WrittenSnapshot }
  | { readonly kind: 'failed'; readonly message: string }

export interface SnapshotThreadEvents {
  /** The thread is there; it begins with the first record when this returns. */
  begins(): void
  /** The thread died: what it held in the store has to be freed. */
  died(): void
}

/** Resolves once the file is complete and the thread gone; rejects with what kept it from being written. */
export function runSnapshotThread(
  options: SnapshotThreadOptions,
  { begins, died }: SnapshotThreadEvents,
): Promise<WrittenSnapshot> {
  // The same file in source (.ts) and as built (.js).
  const entry = new URL(`./snapshot-thread-main${extname(import.meta.filename)}`, import.meta.url)
  const worker = new Worker(entry, { workerData: options, name: 'snapshot' })
  return new Promise((resolve, reject) => {
    let outcome: SnapshotThreadMessage | undefined
    let cause = 'it exited'
    worker.on('message', (message: SnapshotThreadMessage) => {
      outcome = message
      if (message.kind !== 'ready') return
      begins()
      worker.postMessage('begin')
    })
    worker.on('error', thrown => {
      cause = messageOf(thrown)
    })
    worker.on('exit', () => {
      if (outcome?.kind === 'written') return resolve(outcome.written)
      if (outcome?.kind === 'failed') return reject(new Error(outcome.message))
      died()
      reject(new Error(`its thread died: ${cause}`))
    })
  })
}
