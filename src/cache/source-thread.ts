// A database's own thread, from outside: node:sqlite is synchronous, so it runs where it holds up nobody else. The thread
// also runs the tide, so that a commit is in the lanes before its writer hears of it.
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads'
import { extname } from 'node:path'
import { TidemarkError, type ErrorCode } from '../base/errors.ts'
import type { KeyspaceDescription } from '../source/source.ts'
import type { SharedStore } from '../store/store-reader.ts'

export interface SourceThreadOptions {
  readonly name: string
  /** Absolute. */
  readonly file: string
  readonly pollMs: number
  readonly busyTimeoutMs: number
  readonly keyspaces: readonly {
    readonly name: string
    readonly table: string
    readonly columns: readonly string[] | undefined
    /** By which records name it: its position among all keyspaces of the server. */
    readonly number: number
  }[]
  readonly store: SharedStore
  readonly laneTable: SharedArrayBuffer
  /** The source's lanes are [firstLane, firstLane + lanes) of the table. */
  readonly firstLane: number
  readonly lanes: number
  /** The thread's number in the store. */
  readonly thread: number
}

export type SourceThreadMessage =
  | { readonly kind: 'ready'; readonly epoch: bigint; readonly descriptions: readonly KeyspaceDescription[] }
  | { readonly kind: 'failed'; readonly error: { code: ErrorCode; message: string } }
  | { readonly kind: 'reset'; readonly reason: string }

export type SourceThreadRequest = { readonly kind: 'connect'; readonly port: MessagePort } | { readonly kind: 'stop' }

export interface SourceThread {
  readonly epoch: bigint
  readonly descriptions: readonly KeyspaceDescription[]
  /** A port for a RemoteSource; to be transferred to the thread that uses it. */
  connect(): MessagePort
  /** Commits what is under way, closes the database and ends the thread. */
  stop(): Promise<void>
}

export interface SourceThreadEvents {
  /** Something changed behind the cache's back, and all rows in memory of this database were given up. */
  reset(reason: string): void
  /** The thread has ended without having been told to. */
  died(error: unknown): void
}

/** Opens the database in a thread of its own; rejects as SqliteSource.open does. */
export function startSourceThread(options: SourceThreadOptions, events: SourceThreadEvents): Promise<SourceThread> {
  // The same file in source (.ts) and as built (.js).
  const entry = new URL(`./source-thread-main${extname(import.meta.filename)}`, import.meta.url)
  const worker = new Worker(entry, { workerData: options, name: `source ${options.name}` })
  const { promise, resolve, reject } = Promise.withResolvers<SourceThread>()
  const exited = new Promise<void>(done => worker.once('exit', () => done()))
  let stopping = false
  let failure: unknown
  worker.on('error', error => {
    failure = error
  })
  void exited.then(() => {
    if (stopping) return
    const cause = failure
    reject(new TidemarkError('SOURCE_UNAVAILABLE', `the thread of database '${options.name}' ended`, { cause }))
    events.died(cause)
  })
  worker.on('message', (message: SourceThreadMessage) => {
    if (message.kind === 'reset') events.reset(message.reason)
    else if (message.kind === 'failed') {
      stopping = true
      reject(TidemarkError.fromJSON(message.error))
    } else {
      resolve({
        epoch: message.epoch,
        descriptions: message.descriptions,
        connect: () => {
          const { port1, port2 } = new MessageChannel()
          worker.postMessage({ kind: 'connect', port: port2 } satisfies SourceThreadRequest, [port2])
          return port1
        },
        stop: async () => {
          stopping = true
          worker.postMessage({ kind: 'stop' } satisfies SourceThreadRequest)
          await exited
        },
      })
    }
  })
  return promise
}
