// A database's own thread, from outside. node:sqlite is synchronous, so it runs where it holds up nobody else; and whatever
// the database, the thread runs the tide, or watches over it, and takes the samples for the proofs of all server threads.
import type { MessagePort } from 'node:worker_threads'
import { extname } from 'node:path'
import { TidemarkError, type ErrorCode } from '../base/errors.ts'
import { nodeThreads } from '../base/node-modules.ts'
import type { PostgresConnection, PostgresKeyspace, PostgresLog } from '../source/postgres-options.ts'
import type { KeyspaceDescription } from '../source/source.ts'
import type { SharedStore } from '../store/store-reader.ts'
import type { TierPlace } from '../tier/open-tier.ts'

interface CommonThreadOptions {
  readonly name: string
  readonly store: SharedStore
  readonly laneTable: SharedArrayBuffer
  /** The source's lanes are [firstLane, firstLane + lanes) of the table. */
  readonly firstLane: number
  readonly lanes: number
  /** The thread's number in the store. */
  readonly thread: number
  /** Of SourceGauges. */
  readonly gauges: SharedArrayBuffer
}

export interface SqliteThreadOptions extends CommonThreadOptions {
  readonly kind: 'sqlite'
  /** Absolute. */
  readonly file: string
  readonly pollMs: number
  readonly busyTimeoutMs: number
  readonly keyspaces: readonly (NumberedKeyspace & {
    readonly table: string
    readonly columns: readonly string[] | undefined
  })[]
}

export interface PostgresThreadOptions extends CommonThreadOptions {
  readonly kind: 'postgres'
  /** `ca` is a file. */
  readonly connection: Omit<PostgresConnection, 'caPem'> & { readonly ca?: string }
  readonly log: PostgresLog
  readonly connectionsMax: number
  readonly keyspaces: readonly (NumberedKeyspace & PostgresKeyspace)[]
  /** undefined: the rows are in this process's memory alone. */
  readonly tier: TierPlace | undefined
}

/** A SQLite database whose feed is told in messages. */
export interface ToldThreadOptions {
  readonly kind: 'told'
  readonly name: string
  /** Absolute. */
  readonly file: string
  readonly pollMs: number
  readonly busyTimeoutMs: number
  readonly keyspaces: readonly {
    readonly name: string
    readonly table: string
    readonly columns: readonly string[] | undefined
  }[]
}

export type SourceThreadOptions = SqliteThreadOptions | PostgresThreadOptions

interface NumberedKeyspace {
  readonly name: string
  /** By which records name it: its position among all keyspaces of the server. */
  readonly number: number
}

export type SourceThreadMessage =
  | { readonly kind: 'ready'; readonly epoch: bigint; readonly descriptions: readonly KeyspaceDescription[] }
  | { readonly kind: 'failed'; readonly error: { code: ErrorCode; message: string } }
  | { readonly kind: 'reset'; readonly lanes: number; readonly reason: string }
  | { readonly kind: 'log'; readonly line: string }

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
  /** Lanes were begun anew, and the rows in memory of them given up. */
  reset(lanes: number, reason: string): void
  /** For people. */
  log(line: string): void
  /** The thread has ended without having been told to, after it had opened the database. */
  died(error: unknown): void
}

// A program given as text (node --input-type=module -e ...) has flags that no thread could be started with.
function flags(): { execArgv?: string[] } {
  if (!process.execArgv.some(flag => flag.startsWith('--input-type'))) return {}
  return { execArgv: process.execArgv.filter(flag => flag.startsWith('--conditions=')) }
}

/**
 * Opens the database in a thread of its own; rejects as SqliteSource.open or PostgresSource.open does. It runs `entry` instead
 * of source-thread-main where tests have threads of their own.
 */
export function startSourceThread(
  options: SourceThreadOptions | ToldThreadOptions,
  events: SourceThreadEvents,
  entry?: URL,
): Promise<SourceThread> {
  const threads = nodeThreads()
  // The same file in source (.ts) and as built (.js).
  const own = new URL(`./source-thread-main${extname(import.meta.filename)}`, import.meta.url)
  const worker = new threads.Worker(entry ?? own, { workerData: options, name: `source ${options.name}`, ...flags() })
  const { promise, resolve, reject } = Promise.withResolvers<SourceThread>()
  const exited = new Promise<void>(done => worker.once('exit', () => done()))
  let stopping = false
  let opened = false
  let failure: unknown
  worker.on('error', error => {
    failure = error
  })
  void exited.then(() => {
    if (stopping) return
    const cause = failure
    if (opened) return events.died(cause)
    reject(new TidemarkError('SOURCE_UNAVAILABLE', `the thread of database '${options.name}' ended`, { cause }))
  })
  worker.on('message', (message: SourceThreadMessage) => {
    if (message.kind === 'reset') events.reset(message.lanes, message.reason)
    else if (message.kind === 'log') events.log(message.line)
    else if (message.kind === 'failed') {
      stopping = true
      reject(TidemarkError.fromJSON(message.error))
    } else {
      opened = true
      resolve({
        epoch: message.epoch,
        descriptions: message.descriptions,
        connect: () => {
          const { port1, port2 } = new threads.MessageChannel()
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
