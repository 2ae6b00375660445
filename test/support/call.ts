// Runs commands in this process, over a real store and without a socket: builds the Call that a session would build, checks
// the arity and turns what handlers throw into error replies, as the dispatcher does. For tests of handlers; what sessions
// and the dispatcher do beyond that has tests of its own.
import { systemClock } from '../../src/base/clock.ts'
import { TidemarkError } from '../../src/base/errors.ts'
import { type Random, seededRandom } from '../../src/base/random.ts'
import { Cache } from '../../src/cache/cache.ts'
import { CommandError } from '../../src/server/commands/command.ts'
import type { Call, Command, Respond } from '../../src/server/commands/command.ts'
import { bitmapCommands } from '../../src/server/commands/bitmaps.ts'
import { genericCommands } from '../../src/server/commands/generic.ts'
import { hashCommands } from '../../src/server/commands/hashes.ts'
import { memoryCommand } from '../../src/server/commands/inspection.ts'
import { stringCommands } from '../../src/server/commands/strings.ts'
import type { Store } from '../../src/store/store.ts'
import { LaneTable } from '../../src/tier/lane-table.ts'
import { ReplyParser } from '../../src/wire/reply-parser.ts'
import { ReplyError } from '../../src/wire/reply.ts'
import { ReplyWriter } from '../../src/wire/reply-writer.ts'

export type Argument = string | Buffer | number

export const keyCommands: readonly Command[] = [
  ...stringCommands,
  ...bitmapCommands,
  ...genericCommands,
  ...hashCommands,
  memoryCommand,
]

class TestCall implements Call {
  readonly store: Store
  readonly cache: Cache
  readonly random: Random
  readonly argc: number
  readonly buffer: Buffer
  readonly start: Int32Array
  readonly end: Int32Array
  readonly wallMs: number
  readonly monotonicMs = 0
  readonly out: ReplyWriter

  constructor({ store, cache, random, wallMs, out }: CommandRunner, args: readonly Buffer[]) {
    this.store = store
    this.cache = cache
    this.random = random
    this.wallMs = wallMs
    this.out = out
    this.argc = args.length
    // Something stands before, between and after the arguments, as on the wire.
    const parts = args.flatMap(arg => [Buffer.from('\r\n$9\r\n'), arg])
    this.buffer = Buffer.concat([...parts, Buffer.from('\r\n')])
    this.start = new Int32Array(args.length)
    this.end = new Int32Array(args.length)
    let at = 0
    for (const [i, arg] of args.entries()) {
      this.start[i] = at + 6
      this.end[i] = at + 6 + arg.length
      at = this.end[i]!
    }
  }

  bytes(i: number): Buffer {
    return Buffer.from(this.buffer.subarray(this.start[i], this.end[i]))
  }

  text(i: number): string {
    return this.bytes(i).toString()
  }

  is(i: number, word: string): boolean {
    return this.text(i).toUpperCase() === word
  }
}

function replyError(out: ReplyWriter, thrown: unknown): void {
  if (thrown instanceof CommandError) out.error(thrown.message)
  else if (thrown instanceof TidemarkError) out.error(`${thrown.code} ${thrown.message}`)
  else throw thrown
}

/** A reply as plain values: texts, numbers, null, arrays, Map, and `-TEXT` for an error. */
export type PlainReply = unknown

export function plain(raw: Buffer): PlainReply {
  const replies: unknown[] = []
  const parser = new ReplyParser({ onReply: reply => void replies.push(reply) })
  if (!parser.push(raw)) throw new Error(parser.error)
  if (replies.length !== 1) throw new Error(`${replies.length} replies instead of one: ${JSON.stringify(String(raw))}`)
  const [reply] = replies
  return reply instanceof ReplyError ? `-${reply.message}` : reply
}

/** A cache without keyspaces, so that every key is a plain one. */
export function plainCache(store: Store): Cache {
  const counter = (): Float64Array => new Float64Array(1)
  return new Cache({
    store,
    table: LaneTable.create(1),
    keyspaces: [],
    counters: { hits: counter(), misses: counter(), loads: counter(), loadErrors: counter(), writes: counter() },
    clock: systemClock(),
    random: seededRandom(7),
  })
}

export class CommandRunner {
  readonly store: Store
  readonly cache: Cache
  readonly random: Random = seededRandom(11)
  resp: 2 | 3 = 2
  wallMs: number
  /** True when the last command was answered without waiting. */
  atOnce = false
  readonly out: ReplyWriter = new ReplyWriter(64)

  constructor(store: Store, cache: Cache = plainCache(store), wallMs: number = 1_700_000_000_000) {
    this.store = store
    this.cache = cache
    this.wallMs = wallMs
  }

  /** The bytes of the reply. */
  async raw(...args: readonly Argument[]): Promise<Buffer> {
    const { out } = this
    const bytes = args.map(arg => (typeof arg === 'object' ? arg : Buffer.from(String(arg))))
    const name = bytes[0]!.toString().toLowerCase()
    const command = keyCommands.find(command => command.name === name)
    if (command === undefined) throw new Error(`no such command: ${name}`)
    out.resp = this.resp
    out.recycle()
    // A pipeline's earlier replies stand before ours.
    out.simple('EARLIER')
    const from = out.length
    this.atOnce = true
    if (command.arity < 0 ? bytes.length < -command.arity : bytes.length !== command.arity) {
      out.error(`ERR wrong number of arguments for '${name}' command`)
    } else {
      const call = new TestCall(this, bytes)
      try {
        const waiting = command.handler(call)
        if (waiting !== undefined) await this.#later(call, waiting)
      } catch (thrown) {
        out.truncate(from)
        replyError(out, thrown)
      }
    }
    return Buffer.from(out.buffer.subarray(from, out.length))
  }

  async #later(call: TestCall, waiting: Promise<Respond>): Promise<void> {
    this.atOnce = false
    // The request's bytes belong to the next request as soon as the handler has returned.
    call.buffer.fill(0x7a)
    call.start.fill(0)
    call.end.fill(1)
    const respond = await waiting
    respond(call.out)
  }

  /** The reply as plain values. */
  async run(...args: readonly Argument[]): Promise<PlainReply> {
    return plain(await this.raw(...args))
  }

  /** As `run`, with the words of one line as arguments. */
  async line(line: string): Promise<PlainReply> {
    return this.run(...line.split(' '))
  }
}
