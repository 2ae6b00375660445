// What a command is: data (name, arity, flags, where its keys are) and a handler. The table of all commands is in
// table.ts; dispatch, ACL, COMMAND and the reference page derive from it.
import type { Random } from '../../base/random.ts'
import type { Cache } from '../../cache/cache.ts'
import type { Store } from '../../store/store.ts'
import type { ReplyWriter } from '../../wire/reply-writer.ts'

/**
 * One request while its handler runs. Argument i (0 is the command's name) is the range [start[i], end[i]) of `buffer`.
 * The object and the buffer are used again as soon as the handler returns: what is needed after an `await` is copied
 * first (`bytes`, `text`).
 */
export interface Call {
  readonly store: Store
  readonly cache: Cache
  readonly random: Random
  readonly argc: number
  readonly buffer: Buffer
  readonly start: Int32Array
  readonly end: Int32Array
  /** The wall clock and the monotonic clock, read once for a batch of requests. */
  readonly wallMs: number
  readonly monotonicMs: number
  /** Where a handler that finishes at once writes its reply. Its `resp` is the session's protocol version. */
  readonly out: ReplyWriter
  /** A copy of argument i. */
  bytes(i: number): Buffer
  /** Argument i as a string (UTF-8). */
  text(i: number): string
  /** True when argument i is `word` in any case; `word` is upper-case ASCII. Allocates nothing. */
  is(i: number, word: string): boolean
}

/** Writes a reply that had to wait. Called at most once, with the thread's output positioned for this session. */
export type Respond = (out: ReplyWriter) => void

/**
 * Replies at once through `call.out` and returns nothing; or returns a promise of a function that writes the reply (the
 * session's later requests wait for it, other sessions do not). A TidemarkError thrown or rejected becomes
 * `-CODE message`; a CommandError becomes exactly its text.
 */
export type Handler = (call: Call) => void | Promise<Respond>

/** An error reply with Redis' own text, such as `ERR syntax error`. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}

export type CommandFlag =
  | 'write'
  | 'readonly'
  | 'denyoom'
  | 'admin'
  | 'pubsub'
  | 'fast'
  | 'loading'
  | 'stale'
  | 'noscript'
  | 'no_auth'
  | 'allow_busy'
  | 'skip_slowlog'
  | 'no_async_loading'
  | 'no_multi'
  | 'random'
  | 'movablekeys'

export interface Command {
  /** Lower case. */
  readonly name: string
  /** As in Redis: the number of arguments with the name; negative: at least so many. */
  readonly arity: number
  readonly flags: readonly CommandFlag[]
  readonly categories: readonly string[]
  /** Position of the first key, of the last (negative: from the end) and the step between keys; zeros: no keys. */
  readonly keys: readonly [first: number, last: number, step: number]
  /** What COMMAND INFO says of the keys, where it is not what a reading or a writing command does. */
  readonly keyFlags?: readonly string[]
  readonly group:
    'connection' | 'server' | 'generic' | 'string' | 'bitmap' | 'hash' | 'transactions' | 'pubsub' | 'tidemark'
  readonly since: string
  readonly complexity: string
  /** One sentence for COMMAND DOCS and the reference page. */
  readonly summary: string
  /** How its arguments are written, without the name: `key [EX seconds | PX milliseconds]`. */
  readonly syntax: string
  readonly handler: Handler
  /** Own handlers of sub-commands are not listed; this names them for the reference page. */
  readonly subcommands?: readonly string[]
}
