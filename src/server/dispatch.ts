// From a parsed request to its handler: finds the command, checks the number of arguments and the password, runs the
// handler, turns what it throws into an error reply, and counts. One dispatcher a thread. Not for: where requests come
// from and how replies get out (session.ts).
//
// Hot path: one Call object serves all requests, one after another; no strings and no allocation for a command that
// finishes at once.
import { AssertionError } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'
import type { Cache } from '../cache/cache.ts'
import type { Store } from '../store/store.ts'
import type { ReplyWriter } from '../wire/reply-writer.ts'
import type { RequestParser } from '../wire/request-parser.ts'
import { type Command, CommandError, type Handler, type Respond } from './commands/command.ts'
import type { CommandTable } from './commands/command-table.ts'
import { type Client, type Server, type ServerCall, arityError } from './commands/server-call.ts'
import { TIMED_EVERY, countedErrors } from './metrics.ts'

const DASH = 0x2d
const ERROR_NAME_BYTES_MAX = 32
/** As much of the arguments of an unknown command is told, and of its name (Redis: 128). */
const UNKNOWN_SHOWN_BYTES = 128
const NO_BYTES = Buffer.alloc(0)
const NO_ARGUMENTS = new Int32Array(0)

class CurrentCall implements ServerCall {
  readonly store: Store
  readonly cache: Cache
  readonly server: Server
  readonly out: ReplyWriter
  client!: Client
  argc = 0
  buffer: Buffer = NO_BYTES
  start: Int32Array = NO_ARGUMENTS
  end: Int32Array = NO_ARGUMENTS
  wallMs = 0
  monotonicMs = 0

  constructor(store: Store, cache: Cache, server: Server, out: ReplyWriter) {
    this.store = store
    this.cache = cache
    this.server = server
    this.out = out
  }

  bytes(i: number): Buffer {
    return Buffer.from(this.buffer.subarray(this.start[i], this.end[i]))
  }

  text(i: number): string {
    return this.buffer.toString('utf8', this.start[i], this.end[i])
  }

  is(i: number, word: string): boolean {
    const start = this.start[i]!
    if (this.end[i]! - start !== word.length) return false
    for (let at = 0; at < word.length; at++) {
      const byte = this.buffer[start + at]!
      const upper = byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte
      if (upper !== word.charCodeAt(at)) return false
    }
    return true
  }
}

/** A command whose reply comes later. */
export interface Pending {
  readonly reply: Promise<Respond>
  readonly command: number
  /** When it began, on the monotonic clock, if this one is timed; else 0. */
  readonly startedMs: number
}

export interface DispatcherParts {
  readonly store: Store
  readonly cache: Cache
  readonly server: Server
  readonly clock: Clock
  readonly out: ReplyWriter
  /** For what should never happen. */
  readonly log: (line: string) => void
}

export class Dispatcher {
  readonly table: CommandTable
  readonly #call: CurrentCall
  readonly #out: ReplyWriter
  readonly #clock: Clock
  readonly #parts: DispatcherParts
  readonly #handlers: readonly Handler[]
  readonly #names: readonly string[]
  readonly #arities: Int32Array
  readonly #withoutPassword: Uint8Array
  readonly #executed: Float64Array
  readonly #errorCodes: ReadonlyMap<string, number>
  #untilTimed = 0

  constructor(parts: DispatcherParts) {
    const { commands } = parts.server.table
    this.table = parts.server.table
    this.#parts = parts
    this.#out = parts.out
    this.#clock = parts.clock
    this.#call = new CurrentCall(parts.store, parts.cache, parts.server, parts.out)
    this.#handlers = commands.map(command => command.handler)
    this.#names = commands.map(command => command.name)
    this.#arities = Int32Array.from(commands, command => command.arity)
    this.#withoutPassword = Uint8Array.from(commands, command => (command.flags.includes('no_auth') ? 1 : 0))
    this.#executed = parts.server.metrics.counterView('tidemark_commands_total')
    this.#errorCodes = new Map(countedErrors.map((code, index) => [code, index]))
  }

  /** Reads the clocks, once for a batch of requests. Returns the monotonic time. */
  tick(): number {
    const monotonicMs = this.#clock.monotonicMs()
    this.#call.monotonicMs = monotonicMs
    this.#call.wallMs = this.#clock.wallMs()
    this.#parts.cache.tick(monotonicMs)
    return monotonicMs
  }

  /** Runs the request in `parser`. Its reply is written now, unless a Pending comes back. */
  run(client: Client, parser: RequestParser): Pending | undefined {
    const call = this.#call
    call.client = client
    call.argc = parser.argc
    call.buffer = parser.buffer
    call.start = parser.start
    call.end = parser.end
    const before = this.#out.length
    const index = this.table.find(call.buffer, call.start[0]!, call.end[0]!)
    if (client.replies === 'skip-next') client.replies = 'skip'
    else if (client.replies === 'skip') client.replies = 'on'
    if (!this.#admitted(call, index)) {
      this.#finish(client, index, before)
      return undefined
    }
    this.#executed[index]!++
    client.lastCommand = this.#names[index]!
    const startedMs = this.#untilTimed === 0 ? this.#clock.monotonicMs() : 0
    this.#untilTimed = this.#untilTimed === 0 ? TIMED_EVERY - 1 : this.#untilTimed - 1
    try {
      const later = this.#handlers[index]!(call)
      if (later !== undefined) return { reply: later, command: index, startedMs }
    } catch (thrown) {
      this.#fail(before, index, thrown)
    }
    if (startedMs !== 0) this.#timed(index, startedMs)
    this.#finish(client, index, before)
    return undefined
  }

  /** Writes the reply of a request that was pending: what its promise resolved to, or what it was rejected with. */
  complete(client: Client, pending: Pending, respond: Respond | undefined, thrown: unknown): void {
    const before = this.#out.length
    if (respond === undefined) this.#fail(before, pending.command, thrown)
    else {
      try {
        respond(this.#out)
      } catch (error) {
        this.#fail(before, pending.command, error)
      }
    }
    if (pending.startedMs !== 0) this.#timed(pending.command, pending.startedMs)
    this.#finish(client, pending.command, before)
  }

  /** In Redis' order: whether there is such a command, then the number of arguments, then the password. */
  #admitted(call: CurrentCall, index: number): boolean {
    if (index < 0) {
      call.out.error(unknownCommandError(call))
      return false
    }
    const arity = this.#arities[index]!
    if (arity >= 0 ? call.argc !== arity : call.argc < -arity) {
      call.out.error(arityError(this.table.commands[index]!.name))
      return false
    }
    if (!call.client.authenticated && this.#withoutPassword[index] === 0) {
      call.out.error('NOAUTH Authentication required.')
      return false
    }
    return true
  }

  #timed(index: number, startedMs: number): void {
    const seconds = (this.#clock.monotonicMs() - startedMs) / 1000
    this.#parts.server.metrics.observe('tidemark_command_seconds', seconds, index)
  }

  /** Counts an error reply, and takes replies back that the client does not want. */
  #finish(client: Client, index: number, before: number): void {
    const out = this.#out
    if (out.length > before && out.buffer[before] === DASH) this.#countError(index, before)
    if (client.replies === 'off' || client.replies === 'skip') out.truncate(before)
  }

  #countError(index: number, before: number): void {
    const { metrics } = this.#parts.server
    const name = this.#out.buffer.toString('latin1', before + 1, before + 1 + ERROR_NAME_BYTES_MAX)
    const code = this.#errorCodes.get(/^[A-Z_]+/.exec(name)?.[0] ?? '') ?? countedErrors.length - 1
    metrics.add('tidemark_error_replies_total', 1, code)
    if (index >= 0) metrics.add('tidemark_command_errors_total', 1, index)
  }

  /** A broken invariant ends the thread, which the supervisor replaces: memory may be damaged. */
  #fail(before: number, index: number, thrown: unknown): void {
    if (thrown instanceof AssertionError) throw thrown
    this.#out.truncate(before)
    this.#out.error(this.#errorText(this.table.commands[index]!, thrown))
  }

  #errorText(command: Command, thrown: unknown): string {
    if (thrown instanceof CommandError) return thrown.message
    if (thrown instanceof TidemarkError) return `${thrown.code} ${thrown.message}`
    const trace = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
    this.#parts.log(`a bug: ${command.name} failed unexpectedly: ${trace}`)
    return `ERR internal error: ${messageOf(thrown)}`
  }
}

function unknownCommandError(call: CurrentCall): string {
  let shown = ''
  let left = UNKNOWN_SHOWN_BYTES
  for (let i = 1; i < call.argc && left > 0; i++) {
    const start = call.start[i]!
    const end = Math.min(call.end[i]!, start + left)
    shown += `'${call.buffer.toString('utf8', start, end)}' `
    left -= end - start + "'' ".length
  }
  const start = call.start[0]!
  const name = call.buffer.toString('utf8', start, Math.min(call.end[0]!, start + UNKNOWN_SHOWN_BYTES))
  return `ERR unknown command '${name}', with args beginning with: ${shown}`
}
