// What the supervisor and its server threads say to each other. All of it is structured-cloneable.
import type { MessagePort } from 'node:worker_threads'
import type { ErrorCode } from '../base/errors.ts'
import type { KeyspaceDescription } from '../source/source.ts'
import type { SharedStore } from '../store/store-reader.ts'
import type { PeerAnswer, PeerQuestion } from './commands/server-call.ts'
import type { SnapshotReply } from './snapshot-requests.ts'
import type { SnapshotRequest } from './snapshots.ts'
import type { SharedServedTier } from './served-tier.ts'
import type { ServerSettings } from './settings.ts'

/** A database's thread, as a server thread reaches it: the port is this thread's own. */
export interface DatabaseLink {
  readonly database: string
  readonly epoch: bigint
  /** Its lanes in the table: [firstLane, firstLane + lanes). */
  readonly firstLane: number
  readonly lanes: number
  /** Its rows are in the tier of the settings; what the store holds of them is near. */
  readonly shared: boolean
  readonly descriptions: readonly KeyspaceDescription[]
  readonly port: MessagePort
}

/** What a server thread is started with (workerData). */
export interface ThreadStart {
  readonly settings: ServerSettings
  /** Of the store and of the metrics: 0 is the supervisor, 1 and up are server threads, then the databases' threads. */
  readonly thread: number
  /** How many numbers there are. */
  readonly threads: number
  readonly port: number
  readonly reusePort: boolean
  readonly store: SharedStore
  readonly laneTable: SharedArrayBuffer
  readonly metrics: SharedArrayBuffer
  readonly baseline: SharedArrayBuffer
  readonly clientCounts: SharedArrayBuffer
  readonly live: SharedArrayBuffer
  readonly runId: string
  readonly startedWallMs: number
  readonly databases: readonly DatabaseLink[]
  /** undefined: this server is no tier of others. */
  readonly servedTier: SharedServedTier | undefined
}

export type ToThread =
  | { readonly kind: 'stop' }
  /** These databases are in other threads now. */
  | { readonly kind: 'linked'; readonly databases: readonly DatabaseLink[] }
  | { readonly kind: 'question'; readonly id: number; readonly question: PeerQuestion }
  | { readonly kind: 'snapshot'; readonly id: number; readonly reply: SnapshotReply }
  | { readonly kind: 'answers'; readonly id: number; readonly answers: PeerAnswer }

export type FromThread =
  | { readonly kind: 'started'; readonly port: number }
  | { readonly kind: 'failed'; readonly error: { readonly code: ErrorCode; readonly message: string } }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'log'; readonly line: string }
  | { readonly kind: 'snapshot'; readonly id: number; readonly request: SnapshotRequest }
  | { readonly kind: 'ask'; readonly id: number; readonly question: PeerQuestion }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: PeerAnswer }
