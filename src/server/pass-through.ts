// Keys that are no rows, when there is a shared tier: they are on its servers, under their own names, and commands on them are
// sent on there and their replies given back as they came, in the client's version of the protocol. So are commands that
// this server does not know, such as those on lists: where their keys are, the tier's servers say.
//
//   all keys rows       the command runs here
//   no key a row        it is sent on
//   some of each        refused: nothing could do it as one
//   no keys, but about all of them (KEYS, DBSIZE, FLUSHALL ...)   refused: this server has only what it has read lately
//
// Not for: how a server is found and reached (tier/plain-router.ts).
import { TidemarkError } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import { PlainRouter } from '../tier/plain-router.ts'
import type { TierPlace } from '../tier/open-tier.ts'
import { ReplyError, type Reply, VerbatimText } from '../wire/reply.ts'
import type { ReplyWriter } from '../wire/reply-writer.ts'
import { type Call, type Command, CommandError, type Handler, type Respond } from './commands/command.ts'

/** About all keys, of which this server has but a few. */
const wholesale: ReadonlySet<string> = new Set(['keys', 'scan', 'randomkey', 'dbsize', 'flushall', 'flushdb'])
/** Not sent on, whatever the tier's servers can do: they would hold up everybody's connection, or mean the connection itself. */
const unsuitable: ReadonlySet<string> = new Set(['blocking', 'pubsub', 'admin'])

/** Their sub-commands' keys, which their own rows do not tell. */
const behindSubcommands: ReadonlySet<string> = new Set(['object', 'memory'])
const SECOND: Command['keys'] = [2, 2, 1]

/** What is known of a command that only the tier's servers know: its keys are first, last and step, or to be asked for. */
interface ForeignCommand {
  readonly flags: ReadonlySet<string>
  readonly keys: readonly [first: number, last: number, step: number]
}

/** What the keys of a request are. */
type Keys = 'rows' | 'plain' | 'mixed' | 'none'

export class PassThrough {
  readonly #routers: Readonly<Record<2 | 3, PlainRouter>>
  readonly #foreign = new Map<string, Promise<ForeignCommand | undefined>>()

  constructor(place: TierPlace, clock: Clock) {
    this.#routers = { 2: new PlainRouter(place, clock, 2), 3: new PlainRouter(place, clock, 3) }
  }

  /** What runs for a command of this server. */
  handlerOf(command: Command): Handler {
    const { name, group, handler } = command
    const keys = keyRange(command)
    if (wholesale.has(name)) return () => refuseWholesale(name)
    const [first, last] = keys
    if (first === 0 || group === 'pubsub' || group === 'tidemark') return handler
    if (first === last && first < Math.abs(command.arity)) {
      // On the path of a hit: no more than it takes.
      return call => {
        const { buffer, start, end } = call
        if (call.cache.keyspaceOf(buffer, start[first]!, end[first]!) !== undefined) return handler(call)
        return this.#send(call, 0, call.bytes(first))
      }
    }
    return call => {
      const found = keysOf(call, keys)
      if (found === 'rows' || found === 'none') return handler(call)
      if (found === 'mixed') throw mixedKeys(name)
      if (name === 'watch') throw noTransaction()
      return this.#send(call, 0, call.bytes(first))
    }
  }

  /** Throws unless all keys of a request are rows: others cannot be part of MULTI. */
  requireRows(call: Call, command: Command): void {
    if (command.group === 'pubsub') return
    const found = keysOf(call, keyRange(command))
    if (found === 'plain' || found === 'mixed') throw noTransaction()
  }

  /** A command that this server does not know, whose name is argument `from`. */
  async sendForeign(call: Call, from: number): Promise<Respond> {
    const { cache, out } = call
    const args = Array.from({ length: call.argc - from }, (_, i) => call.bytes(i + from))
    const name = args[0]!.toString('latin1').toLowerCase()
    const known = await this.#foreignCommand(name)
    // Nobody knows it: the reply says so.
    if (known === undefined) return this.#sendBytes(args, undefined, out.resp)
    for (const flag of known.flags) if (unsuitable.has(flag)) throw notSentOn(name)
    const keys = await this.#foreignKeys(known, args)
    if (keys.length === 0) throw notSentOn(name)
    if (keys.some(key => cache.keyspaceOf(key, 0, key.length) !== undefined)) {
      const message = `${name.toUpperCase()} is not for rows, which are read and written as strings and hashes`
      throw new TidemarkError('ROW_OPERATION', message)
    }
    return this.#sendBytes(args, keys[0], out.resp)
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#routers).map(router => router.close()))
  }

  #send(call: Call, from: number, key: Buffer): Promise<Respond> {
    const args = Array.from({ length: call.argc - from }, (_, i) => call.bytes(i + from))
    return this.#sendBytes(args, key, call.out.resp)
  }

  async #sendBytes(args: readonly Buffer[], key: Buffer | undefined, resp: 2 | 3): Promise<Respond> {
    const reply = await this.#routers[resp].send(key, args)
    return out => writeReply(out, reply)
  }

  #foreignCommand(name: string): Promise<ForeignCommand | undefined> {
    let known = this.#foreign.get(name)
    if (known === undefined) {
      known = this.#askCommand(name)
      // Names that nobody knows come from clients: they are not kept.
      known.then(
        found => found === undefined && this.#foreign.delete(name),
        () => this.#foreign.delete(name),
      )
      this.#foreign.set(name, known)
    }
    return known
  }

  async #askCommand(name: string): Promise<ForeignCommand | undefined> {
    const reply = await this.#routers[2].send(undefined, ['COMMAND', 'INFO', name])
    const info = Array.isArray(reply) ? reply[0] : undefined
    if (!Array.isArray(info)) return undefined
    const [, , flags, first, last, step] = info
    return {
      flags: new Set(Array.isArray(flags) ? flags.map(String) : []),
      keys: [Number(first), Number(last), Number(step)],
    }
  }

  async #foreignKeys({ flags, keys: [first, last, step] }: ForeignCommand, args: readonly Buffer[]): Promise<Buffer[]> {
    if (flags.has('movablekeys')) {
      const reply = await this.#routers[2].send(undefined, ['COMMAND', 'GETKEYS', ...args])
      if (reply instanceof ReplyError) throw new CommandError(reply.message)
      return Array.isArray(reply) ? reply.filter((key): key is Buffer => key instanceof Buffer) : []
    }
    const keys: Buffer[] = []
    const to = last < 0 ? args.length + last : last
    if (first === 0) return keys
    for (let i = first; i <= to && i < args.length; i += step) keys.push(args[i]!)
    return keys
  }
}

function keyRange({ name, keys }: Command): Command['keys'] {
  return behindSubcommands.has(name) ? SECOND : keys
}

// On the path of a hit: no allocation.
function keysOf(call: Call, [first, last, step]: Command['keys']): Keys {
  const { cache, buffer, start, end, argc } = call
  const to = Math.min(argc - 1, last < 0 ? argc + last : last)
  let rows = 0
  let plain = 0
  if (first === 0) return 'none'
  for (let i = first; i <= to; i += step) {
    if (cache.keyspaceOf(buffer, start[i]!, end[i]!) === undefined) plain++
    else rows++
  }
  if (rows === 0) return plain === 0 ? 'none' : 'plain'
  return plain === 0 ? 'rows' : 'mixed'
}

function refuseWholesale(name: string): never {
  const what = `${name.toUpperCase()} is about all keys, and they are on the servers of the tier: send it to those`
  throw new TidemarkError('COMMAND_UNSUPPORTED', what)
}

function notSentOn(name: string): TidemarkError {
  const what = `${name.toUpperCase()} is not sent on to the servers of the tier: it has no key, blocks, or is about a connection`
  return new TidemarkError('COMMAND_UNSUPPORTED', `${what}; connect to them for it`)
}

function mixedKeys(name: string): TidemarkError {
  const what = `${name.toUpperCase()} with rows, which are in a database, and other keys, which are on the servers of the tier`
  return new TidemarkError('ROW_OPERATION', `${what}: split it`)
}

function noTransaction(): TidemarkError {
  const what = 'keys that are no rows are on the servers of the tier and cannot be part of MULTI or WATCH here'
  return new TidemarkError('TRANSACTION_ROWS', what)
}

/** An exact reply, in the version of the protocol that it came in. */
export function writeReply(out: ReplyWriter, reply: Reply): void {
  if (reply === null) out.nil()
  else if (typeof reply === 'string') out.simple(reply)
  else if (typeof reply === 'bigint') out.integer(reply)
  else if (typeof reply === 'number') out.double(reply)
  else if (typeof reply === 'boolean') out.boolean(reply)
  else if (reply instanceof ReplyError) out.error(reply.message)
  else if (reply instanceof Uint8Array) out.bulk(reply)
  else if (reply instanceof VerbatimText) out.verbatim(reply.format, reply.bytes.toString())
  else if (reply instanceof Map) {
    out.map(reply.size)
    for (const [key, value] of reply) {
      writeReply(out, key)
      writeReply(out, value)
    }
  } else if (reply instanceof Set) {
    out.set(reply.size)
    for (const member of reply) writeReply(out, member)
  } else {
    out.array(reply.length)
    for (const each of reply) writeReply(out, each)
  }
}
