// From a parsed request to its handler: finds the command, checks the number of arguments and the password, runs the
// handler, turns what it throws into an error reply, and counts. One dispatcher a thread. Not for: where requests come
// from and how replies get out (session.ts).
//
// Hot path: one Call object serves all requests, one after another; no strings and no allocation for a command that
// finishes at once.
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Cache } from '../cache/cache.ts'
import type { Store } from '../store/store.ts'
import type { ReplyWriter } from '../wire/reply-writer.ts'
import type { RequestParser } from '../wire/request-parser.ts'
import { type Command, CommandError, type Handler, type Respond } from './commands/command.ts'
import { type CommandTable, keyPositions } from './commands/command-table.ts'
import { type Client, type Replayed, type Server, type ServerCall, arityError } from './commands/server-call.ts'
import { mayOnlyListen, whileListening } from './commands/pubsub.ts'
import { tracksReads } from './commands/tracking.ts'
import { leaveTransaction } from './commands/transactions.ts'
import { unsupportedError } from './commands/unsupported.ts'
import { errorTextOf } from './error-text.ts'
import { TIMED_EVERY, countedErrors } from './metrics.ts'
import { enqueue } from './queueing.ts'
import { LiveNumber } from './live-state.ts'
import { shownArguments } from './slow-log.ts'
import { ClientMode, type QueuedRequest } from './special-state.ts'

const DASH = 0x2d
const NO_AUTH = 'NOAUTH Authentication required.'
const ERROR_NAME_BYTES_MAX = 32
/** As much of the arguments of an unknown command is told, and of its name (Redis: 128). */
const UNKNOWN_SHOWN_BYTES = 128
/** Run in MULTI as elsewhere. */
const atOnceInMulti: ReadonlySet<string> = new Set(['multi', 'exec', 'discard', 'watch', 'quit', 'reset'])
const NO_BYTES = Buffer.alloc(0)
const NO_ARGUMENTS = new Int32Array(0)

class CurrentCall implements ServerCall {
  readonly store: Store
  readonly cache: Cache
  readonly random: Random
  readonly server: Server
  readonly out: ReplyWriter
  client!: Client
  argc = 0
  buffer: Buffer = NO_BYTES
  start: Int32Array = NO_ARGUMENTS
  end: Int32Array = NO_ARGUMENTS
  wallMs: number
  monotonicMs = 0
  readonly replay: ServerCall['replay']

  constructor({ store, cache, random, server, out }: DispatcherParts, replay: ServerCall['replay']) {
    this.replay = replay
    // Not a number first: a field that V8 knows to hold nothing but doubles is boxed anew each time it is passed on.
    this.wallMs = null as unknown as number
    this.wallMs = 0
    this.store = store
    this.cache = cache
    this.random = random
    this.server = server
    this.out = out
  }

  /** Makes a queued request the current one. */
  load({ buffer, start, end, argc }: QueuedRequest): void {
    this.buffer = buffer
    this.start = start
    this.end = end
    this.argc = argc
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
  /** When it began, on the monotonic clock. */
  readonly startedMs: number
  /** Whether it counts in the histogram. */
  readonly sampled: boolean
  /** As the slow log shows them. */
  readonly args: readonly string[]
}

export interface DispatcherParts {
  readonly store: Store
  readonly cache: Cache
  readonly random: Random
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
  /** What a command runs as that only the servers of the tier know; -1: nobody is asked. */
  readonly #foreign: number
  readonly #names: readonly string[]
  readonly #arities: Int32Array
  readonly #withoutPassword: Uint8Array
  readonly #executed: Float64Array
  readonly #errorCodes: ReadonlyMap<string, number>
  /** Whether CLIENT PAUSE holds commands: 0 no, 1 those that write, 2 all. As of the latest tick. */
  pausedKind = 0
  /** 1 for commands whose every run is timed. */
  readonly #timedAlways: Uint8Array
  #untilTimed = 0

  constructor(parts: DispatcherParts) {
    const { commands } = parts.server.table
    this.table = parts.server.table
    this.#parts = parts
    this.#out = parts.out
    this.#clock = parts.clock
    this.#call = new CurrentCall(parts, (client, queue, chosen) => this.#replay(client, queue, chosen))
    const { passThrough } = parts.server
    this.#handlers = commands.map(command => passThrough?.handlerOf(command) ?? command.handler)
    this.#foreign = passThrough === undefined ? -1 : commands.findIndex(({ name }) => name === 'tm.pass')
    this.#names = commands.map(command => command.name)
    this.#arities = Int32Array.from(commands, command => command.arity)
    this.#withoutPassword = Uint8Array.from(commands, command => (command.flags.includes('no_auth') ? 1 : 0))
    this.#timedAlways = Uint8Array.from(commands, ({ complexity, flags }) =>
      complexity.startsWith('O(1)') || flags.includes('fast') || flags.includes('skip_slowlog') ? 0 : 1,
    )
    this.#executed = parts.server.metrics.counterView('tidemark_commands_total')
    this.#errorCodes = new Map(countedErrors.map((code, index) => [code, index]))
  }

  /** Readies the cache for requests of a client, and reads the clocks, once for a batch. Returns the monotonic time. */
  tick(client: Pick<Client, 'tickets'>): number {
    this.#parts.cache.tickets = client.tickets
    const monotonicMs = this.#clock.monotonicMs()
    this.#call.monotonicMs = monotonicMs
    this.#call.wallMs = this.#clock.wallMs()
    this.#parts.cache.tick(monotonicMs, this.#call.wallMs)
    const { numbers } = this.#parts.server.live
    this.pausedKind = numbers[LiveNumber.pausedUntilMs]! > monotonicMs ? numbers[LiveNumber.pausedKind]! : 0
    return monotonicMs
  }

  /** Whether CLIENT PAUSE holds the request in `parser`. */
  holds(client: Client, parser: RequestParser): boolean {
    if (parser.argc === 0) return false
    if (this.pausedKind === 2) return true
    const command = this.table.commands[this.table.find(parser.buffer, parser.start[0]!, parser.end[0]!)]
    if (command === undefined) return false
    const writes = ({ name, flags }: Command): boolean => flags.includes('write') || name.endsWith('publish')
    if (command.name !== 'exec') return writes(command) && (client.modes & ClientMode.multi) === 0
    return client.special?.queue.some(queued => writes(this.table.commands[queued.command]!)) === true
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
    let index = this.table.find(call.buffer, call.start[0]!, call.end[0]!)
    if (index < 0 && client.authenticated) index = this.#foreign
    if (client.replies === 'skip-next') client.replies = 'skip'
    else if (client.replies === 'skip') client.replies = 'on'
    if (!this.#admitted(call, index)) {
      if (index >= 0 && this.#names[index] === 'exec') this.#refusedExec(before)
      this.#refuseTransaction(client)
      this.#finish(client, index, before)
      return undefined
    }
    if (client.modes !== 0 && this.#intercepted(call, index)) {
      this.#finish(client, index, before)
      return undefined
    }
    this.#executed[index]!++
    client.lastCommand = this.#names[index]!
    const sampled = this.#untilTimed === 0
    this.#untilTimed = sampled ? TIMED_EVERY - 1 : this.#untilTimed - 1
    const startedMs = sampled || this.#timedAlways[index] === 1 ? this.#clock.monotonicMs() : 0
    try {
      const later = this.#handlers[index]!(call)
      if (later !== undefined) {
        this.#parts.store.changes.client = 0
        const fromMs = startedMs === 0 ? call.monotonicMs : startedMs
        return { reply: later, command: index, startedMs: fromMs, sampled, args: shownArguments(call) }
      }
    } catch (thrown) {
      this.#fail(before, index, thrown)
    }
    if (startedMs !== 0) this.#timed(client, index, startedMs, sampled)
    this.#finish(client, index, before)
    if ((client.modes & ClientMode.tracking) !== 0) this.#tracked(client, index)
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
    this.#timed(client, pending.command, pending.startedMs, pending.sampled, pending.args)
    this.#finish(client, pending.command, before)
    if ((client.modes & ClientMode.tracking) !== 0) this.#tracked(client, pending.command)
  }

  /** In Redis' order: whether there is such a command, then the number of arguments, then the password. */
  #admitted(call: CurrentCall, index: number): boolean {
    if (index < 0) {
      const unsupported = unsupportedError(call.buffer, call.start[0]!, call.end[0]!)
      if (unsupported === undefined) call.out.error(unknownCommandError(call))
      else call.out.error(call.client.authenticated ? unsupported : NO_AUTH)
      return false
    }
    const arity = this.#arities[index]!
    if (arity >= 0 ? call.argc !== arity : call.argc < -arity) {
      call.out.error(arityError(this.table.commands[index]!.name))
      return false
    }
    if (!call.client.authenticated && this.#withoutPassword[index] === 0) {
      call.out.error(NO_AUTH)
      return false
    }
    return true
  }

  /** A request that is refused before it runs spoils the MULTI that it was meant for. */
  #refuseTransaction(client: Client): void {
    if ((client.modes & ClientMode.multi) !== 0) client.special!.refused = true
  }

  /** As in Redis, an EXEC that cannot run ends its transaction, and says so. */
  #refusedExec(before: number): void {
    const reason = this.#out.buffer.toString('utf8', before + 1, this.#out.length - 2).replace(/^ERR /, '')
    this.#out.truncate(before)
    this.#out.error(`EXECABORT Transaction discarded because of: ${reason}`)
    leaveTransaction(this.#call.client)
  }

  /** For clients in a mode: true when the request has been answered and is not to run now. */
  #intercepted(call: CurrentCall, index: number): boolean {
    const { client, out } = call
    const command = this.table.commands[index]!
    if (mayOnlyListen(client) && !whileListening.has(command.name)) {
      this.#refuseTransaction(client)
      out.error(onlyListensError(fullName(call, command)))
      return true
    }
    if ((client.modes & ClientMode.multi) === 0 || atOnceInMulti.has(command.name)) {
      if ((client.modes & ClientMode.tracking) !== 0) this.#track(call, command)
      return false
    }
    try {
      if (command.flags.includes('no_multi')) throw new CommandError('ERR Command not allowed inside a transaction')
      this.#parts.server.passThrough?.requireRows(call, command)
      enqueue(call, index, command)
      out.simple('QUEUED')
    } catch (thrown) {
      this.#refuseTransaction(client)
      out.error(this.#errorText(command, thrown))
    }
    return true
  }

  /** Before a command of a client that tracks keys: remembers what it reads, and that what it changes is its own change. */
  #track(call: CurrentCall, command: Command): void {
    const { client, store, cache, buffer, start, end, argc } = call
    store.changes.client = client.id & 0x7fffffff
    const foreign = command === this.table.commands[this.#foreign]
    if (!command.flags.includes('readonly') && !foreign) return
    const { tracking, passThrough } = this.#parts.server
    const remembers = tracksReads(client)
    // Which arguments of a foreign command are keys, only the tier's servers know: any of them may be.
    const positions = foreign ? Array.from({ length: argc - 1 }, (_, i) => i + 1) : keyPositions(command, argc)
    for (const i of positions) {
      const isRow = cache.keyspaceOf(buffer, start[i]!, end[i]!) !== undefined
      if (remembers) tracking.remember(client, buffer, start[i]!, end[i]!, isRow)
      if (isRow || passThrough === undefined) continue
      // Nobody tells this server of its changes: right behind the reply the client is told not to keep it.
      store.changes.client = 0
      store.changes.changed(store.hash(buffer, start[i]!, end[i]!), buffer, start[i]!, end[i]!)
      store.changes.client = client.id & 0x7fffffff
    }
  }

  /** After it: the client is told of its own changes right behind their reply. */
  #tracked(client: Client, index: number): void {
    this.#parts.store.changes.client = 0
    const { tracking } = client.special!
    if (tracking !== undefined && this.#names[index] !== 'client' && (client.modes & ClientMode.multi) === 0) {
      tracking.caching = false
    }
    this.#parts.server.tracking.drain()
  }

  /** Runs those of the queued requests that are chosen, one after another; nothing of it stays in the output. */
  #replay(client: Client, queue: readonly QueuedRequest[], chosen: (index: number) => boolean): readonly Replayed[] {
    const call = this.#call
    call.client = client
    const out = this.#out
    const replies: Replayed[] = []
    for (const [i, queued] of queue.entries()) {
      if (!chosen(i)) continue
      const from = out.length
      call.load(queued)
      this.#executed[queued.command]!++
      const command = this.table.commands[queued.command]!
      if ((client.modes & ClientMode.tracking) !== 0) this.#track(call, command)
      let later: Promise<Respond> | undefined
      try {
        later = command.handler(call) ?? undefined
      } catch (thrown) {
        this.#fail(from, queued.command, thrown)
      }
      if (out.length > from && out.buffer[from] === DASH) this.#countError(queued.command, from)
      if (later === undefined) replies.push(Buffer.from(out.buffer.subarray(from, out.length)))
      else replies.push(later.catch((thrown: unknown) => error => error.error(this.#errorText(command, thrown))))
      out.truncate(from)
    }
    return replies
  }

  #timed(client: Client, index: number, startedMs: number, sampled: boolean, args?: readonly string[]): void {
    const { metrics, slowLog } = this.#parts.server
    const ms = this.#clock.monotonicMs() - startedMs
    if (sampled) metrics.observe('tidemark_command_seconds', ms / 1000, index)
    if (!slowLog.isSlow(ms)) return
    const { flags } = this.table.commands[index]!
    if (flags.includes('skip_slowlog')) return
    const { remoteAddress, name } = client
    const command = { args: args ?? shownArguments(this.#call), address: remoteAddress, name }
    slowLog.add(ms, this.#call.wallMs, command, flags.includes('fast'))
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
    const text = this.#errorText(this.table.commands[index]!, thrown)
    this.#out.truncate(before)
    this.#out.error(text)
  }

  #errorText(command: Command, thrown: unknown): string {
    return errorTextOf(thrown, command.name, this.#parts.log)
  }
}

/** The name with its sub-command's: `config|get`. */
function fullName(call: CurrentCall, { name, subcommands }: Command): string {
  const subcommand = call.argc > 1 && subcommands !== undefined ? call.text(1).toLowerCase() : ''
  return subcommands?.includes(subcommand) === true ? `${name}|${subcommand}` : name
}

function onlyListensError(command: string): string {
  return `ERR Can't execute '${command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`
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
