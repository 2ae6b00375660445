// One connected client, as its commands and what delivers messages to it see it; a session is one. Not for: what commands
// mean, and how bytes travel (session.ts).
import type { SessionTickets } from '../cache/session-tickets.ts'
import type { TierPart } from '../tier/tidemark-protocol.ts'
import { SpecialState } from './special-state.ts'

/** One connected client, as its commands see and change it. */
export interface Client {
  readonly id: number
  readonly remoteAddress: string
  readonly localAddress: string
  readonly connectedAtMs: number
  /** On the monotonic clock, as of the latest bytes received. */
  readonly activeAtMs: number
  /** Bytes received and not yet executed, and bytes of replies not yet taken. */
  readonly inputBytes: number
  readonly outputBytes: number
  resp: 2 | 3
  name: string
  libraryName: string
  libraryVersion: string
  authenticated: boolean
  /** Whether replies are sent: CLIENT REPLY. `skip-next` becomes `skip` for one command. */
  replies: 'on' | 'off' | 'skip' | 'skip-next'
  /** The name of the latest command. */
  lastCommand: string
  /** Close the connection after the reply that is being written. */
  closing: boolean
  /** What the dispatcher has to look at before and after its commands (ClientMode); 0 for most clients. */
  modes: number
  /** What MULTI, WATCH, SUBSCRIBE and CLIENT TRACKING keep for it; made when it is needed. */
  special: SpecialState | undefined
  /** The part of this server's tier that it works with. */
  tierPart: TierPart
  /** What it has seen of the databases. */
  readonly tickets: SessionTickets
  /** Closes the connection now. */
  kill(): void
  /** Sends a message that answers no request; `bytes` must not change any more. A client that does not read is closed. */
  push(bytes: Buffer): void
  /** Calls `run` when no command of the client waits for its reply: now, or right after that reply. */
  whenAnswered(run: () => void): void
}

/** What the client has that most do not, made when it is first needed. */
export function specialOf(client: Client): SpecialState {
  client.special ??= new SpecialState()
  return client.special
}
