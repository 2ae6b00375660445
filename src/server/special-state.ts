// What a client has that most clients do not: an open MULTI, watched keys, subscriptions, tracking. Kept beside the session
// so that a plain client costs nothing. Not for: what the commands do (commands/transactions.ts, pubsub.ts, tracking.ts).
import { limits } from '../base/limits.ts'

/** Bits of Client.modes. */
export const ClientMode = { multi: 1, subscribed: 2, tracking: 4 } as const

/** A request that MULTI keeps: its arguments are ranges of `buffer`, which is its own. */
export interface QueuedRequest {
  readonly command: number
  readonly buffer: Buffer
  readonly start: Int32Array
  readonly end: Int32Array
  readonly argc: number
  /** Which row keys it has, if any. */
  readonly rows: 'none' | 'read' | 'write'
}

export interface WatchedKey {
  readonly key: Buffer
  readonly hash: number
  /** The record's version when it was watched; 0: there was none. */
  readonly version: number
}

/** What CLIENT TRACKING ON was asked for, and what came of it. */
export interface TrackingState {
  /** The client that is told of changes; 0: this one. */
  redirect: number
  readonly broadcast: boolean
  readonly prefixes: string[]
  readonly optIn: boolean
  readonly optOut: boolean
  readonly noLoop: boolean
  /** CLIENT CACHING, for the command that follows. */
  caching: boolean
  /** The client to redirect to is gone. */
  broken: boolean
  /** It has read rows. */
  rows: boolean
  readonly keys: Set<string>
}

export class SpecialState {
  readonly queue: QueuedRequest[] = []
  queuedBytes = 0
  /** A command was refused while it was queued: EXEC will be, too. */
  refused = false
  readonly watched: WatchedKey[] = []
  /** The database that queued row writes go to. */
  database = ''
  readonly channels: Set<string> = new Set()
  readonly patterns: Set<string> = new Set()
  readonly shardChannels: Set<string> = new Set()
  tracking: TrackingState | undefined

  /** Forgets MULTI. */
  discard(): void {
    this.queue.length = 0
    this.queuedBytes = 0
    this.refused = false
    this.database = ''
  }

  /** Whether one more request of so many bytes may be queued. */
  hasRoom(bytes: number): boolean {
    return this.queue.length < limits.transactionCommandsMax && this.queuedBytes + bytes <= limits.transactionBytesMax
  }
}
