// What the handlers of connection.ts and server.ts know beyond the store and the cache: the client they serve, and the
// server around it. Not for: commands on keys, which need neither.
import type { SourceStatus } from '../../cache/source-status.ts'
import type { ServerSettings } from '../settings.ts'
import type { Client } from '../client.ts'
import type { LiveState } from '../live-state.ts'
import type { ChannelKind, PubSub } from '../pub-sub.ts'
import type { PassThrough } from '../pass-through.ts'
import type { ServedTier } from '../served-tier.ts'
import type { ServerMetrics, Statistics } from '../metrics.ts'
import type { SnapshotAnswer, SnapshotRequest } from '../snapshots.ts'
import type { Call, Handler, Respond } from './command.ts'
import type { SlowLog } from '../slow-log.ts'
import type { QueuedRequest } from '../special-state.ts'
import type { ChangedKeys, Tracking } from '../tracking.ts'
import type { CommandTable } from './command-table.ts'

export type { Client }

/** Which clients CLIENT LIST and CLIENT KILL mean; every field that is there must match. */
export interface ClientFilter {
  readonly ids?: readonly number[]
  readonly remoteAddress?: string
  readonly localAddress?: string
  readonly user?: string
  readonly type?: string
  /** Excepts this client. */
  readonly notId?: number
}

/** What one thread asks all others. Channels are strings of one character a byte. */
export type PeerQuestion =
  | { readonly about: 'list' | 'kill'; readonly filter: ClientFilter }
  | { readonly about: 'publish'; readonly kind: ChannelKind; readonly channel: string; readonly message: Uint8Array }
  | { readonly about: 'channels'; readonly kind: ChannelKind }
  | { readonly about: 'listeners'; readonly kind: ChannelKind; readonly channels: readonly string[] }
  | { readonly about: 'patterns' | 'slow' | 'slow-reset' | 'latency' }
  | { readonly about: 'latency-reset'; readonly events: readonly string[] }
  | { readonly about: 'redirect'; readonly id: number; readonly keys: ChangedKeys }

/** For 'list' lines that begin with `id=`; for 'kill' the ids that were killed; for channels see commands/pubsub.ts. */
export type PeerAnswer = readonly string[]

export interface Server {
  readonly settings: ServerSettings
  /** The port that is really listened on. */
  readonly port: number
  readonly table: CommandTable
  readonly metrics: ServerMetrics
  /** Counts since the start or the latest CONFIG RESETSTAT. */
  readonly statistics: Statistics
  readonly runId: string
  readonly startedWallMs: number
  /** The clients of this thread. */
  readonly clients: ReadonlyMap<number, Client>
  /** How many clients all threads have. */
  clientCount(): number
  /** The answers of all other threads. */
  askPeers(question: PeerQuestion): Promise<PeerAnswer>
  /** Rejects with SNAPSHOT_OFF or SNAPSHOT_FAILED. */
  requestSnapshot(request: SnapshotRequest): Promise<SnapshotAnswer>
  /** What the databases' threads tell of themselves. */
  sources(): Promise<readonly SourceStatus[]>
  /** What makes this server a tier of others; undefined: it is none. */
  readonly servedTier: ServedTier | undefined
  /** Where keys are that are no rows, when they are not here. */
  readonly passThrough: PassThrough | undefined
  readonly live: LiveState
  readonly pubSub: PubSub
  readonly tracking: Tracking
  readonly slowLog: SlowLog
  /** For what should never happen. */
  readonly log: (line: string) => void
  /** Whether the password is the one that is asked for; takes the same time for all wrong ones. */
  passwordMatches(password: Buffer): boolean
}

export interface ServerCall extends Call {
  readonly client: Client
  readonly server: Server
  /** Runs queued commands one after another; see Dispatcher. */
  readonly replay: (
    client: Client,
    queue: readonly QueuedRequest[],
    chosen: (index: number) => boolean,
  ) => readonly Replayed[]
}

/** What a queued command came to: the bytes of its reply, or a promise that never rejects of who writes it. */
export type Replayed = Buffer | Promise<Respond>

/** A handler of a call that is always a ServerCall: the dispatcher makes no other. */
export function serverHandler(handler: (call: ServerCall) => void | Promise<Respond>): Handler {
  return call => handler(call as ServerCall)
}

/** The texts that handlers of several commands answer with. */
export const SYNTAX_ERROR = 'ERR syntax error'

export function arityError(name: string): string {
  return `ERR wrong number of arguments for '${name}' command`
}

export function unknownSubcommandError(container: string, subcommand: string): string {
  return `ERR unknown subcommand '${subcommand.slice(0, 128)}'. Try ${container.toUpperCase()} HELP.`
}

/** By name, in lower case; an arity counts the command's own name, and is the least there may be where it is negative. */
export type Subcommands = Readonly<
  Record<string, readonly [arity: number, run: (call: ServerCall) => void | Promise<Respond>]>
>

/** The handler of a command that does nothing without a sub-command; `name` is in lower case. */
export function container(name: string, subcommands: Subcommands): Handler {
  return serverHandler(call => {
    const asked = call.text(1).toLowerCase()
    const found = Object.hasOwn(subcommands, asked) ? subcommands[asked] : undefined
    if (found === undefined) return call.out.error(unknownSubcommandError(name, call.text(1)))
    const [arity, run] = found
    if (arity >= 0 ? call.argc !== arity : call.argc < -arity) return call.out.error(arityError(`${name}|${asked}`))
    return run(call)
  })
}

/** What HELP of a command with sub-commands answers. */
export function writeHelp(call: Call, container: string, lines: readonly string[]): void {
  const all = [
    `${container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`,
    ...lines,
    'HELP',
    '    Prints this help.',
  ]
  call.out.array(all.length)
  for (const line of all) call.out.simple(line)
}
