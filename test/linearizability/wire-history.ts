// Records what many connections see of a few hot keys of a real server. One thread drives all connections, so that the
// order in which it sends and receives is a clock that all of them share: a call is counted before its bytes leave, a
// response after its bytes came.
//
//   each connection:  [a pipeline of operations on one key] -> all responses -> the next pipeline
//
// A key has the pipelines of a few connections at a time. Deep pipelines are what makes the server's threads meet: while they
// work through them, the driver waits and leaves them the cores.
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { seededRandom } from '../../src/base/random.ts'
import type { Random } from '../../src/base/random.ts'
import { ReplyParser } from '../../src/wire/reply-parser.ts'
import { ReplyWriter } from '../../src/wire/reply-writer.ts'
import type { Reply } from '../../src/wire/reply.ts'
import type { Operation } from './checker.ts'
import type { Input, Kind, Output } from './register.ts'

export interface RecordOptions {
  readonly port: number
  readonly keys: keyof typeof families
  readonly connections: number
  readonly operations: number
  /** Operations in a pipeline, at most. */
  readonly depth: number
  /** Pipelines on one key at one time, at most: checking takes exponentially longer with each. */
  readonly pipelines: number
  readonly seed: number
}

/** What is done to a kind of key; a kind that stands there more often is done more often. */
interface Family {
  readonly keys: readonly string[]
  readonly kinds: readonly Kind[]
}

const texts: Family = {
  keys: ['text:0', 'text:1', 'text:2'],
  kinds: ['get', 'get', 'get', 'get', 'set', 'set', 'set nx', 'set xx', 'setnx', 'getset', 'getdel', 'del'],
}

export const families = {
  mixed: [
    texts,
    {
      keys: ['counter:0', 'counter:1', 'counter:2'],
      kinds: ['get', 'get', 'incr', 'incr', 'incr', 'incr', 'incr', 'incr', 'set', 'setnx', 'getdel', 'del'],
    },
    { keys: ['line:0', 'line:1'], kinds: ['get', 'get', 'append', 'append', 'append', 'getdel', 'del', 'strlen'] },
  ],
  /** Nothing but what shows a torn read: the longest values that are overwritten where they are, one key. */
  'one text': [{ keys: ['text:0'], kinds: ['get', 'get', 'get', 'set'] }],
} satisfies Readonly<Record<string, readonly Family[]>>

const TEXT_BYTES = 4_000

/** `17;17;17;...`: the text's number stands all over it, so that a torn one is recognised. Most are of one length. */
function textOf(number: number): Buffer {
  const bytes = number % 8 !== 0 ? TEXT_BYTES : 20 + ((number * 37) % TEXT_BYTES)
  return Buffer.alloc(bytes, `${number};`)
}

/** The number of a text that is whole. */
function numberIn(text: Buffer): string {
  const number = text.toString('latin1', 0, text.indexOf(';'))
  if (text.equals(textOf(Number(number)))) return number
  return `torn: ${text.toString('latin1', 0, 20)}...${text.toString('latin1', text.length - 20)}`
}

interface Asked extends Input {
  readonly hot: Hot
  readonly key: string
  readonly call: number
  /** Of its pipeline. */
  readonly last: boolean
}

function requestOf(kind: Kind, key: string, value: Buffer): (string | Buffer)[] {
  switch (kind) {
    case 'set nx':
    case 'set xx':
      return ['SET', key, value, kind.slice(4)]
    case 'getset':
      return ['SET', key, value, 'GET']
    case 'set':
    case 'setnx':
    case 'append':
      return [kind, key, value]
    default:
      return [kind, key]
  }
}

function outputOf({ key, kind }: Asked, reply: Reply): Output {
  if (reply instanceof Error) return `-${reply.message.split(' ', 1)[0]}`
  if (typeof reply === 'bigint') return Number(reply)
  if (!Buffer.isBuffer(reply)) return typeof reply === 'string' ? reply : null
  return key.startsWith('text') && kind !== 'strlen' ? numberIn(reply) : reply.toString('latin1')
}

interface Hot {
  readonly key: string
  readonly kinds: readonly Kind[]
  pipelines: number
}

class Recorder {
  readonly history: Operation[] = []
  readonly #options: RecordOptions
  readonly #random: Random
  readonly #keys: readonly Hot[]
  /** Connections that found all keys as busy as they may be. */
  #idle: (() => void)[] = []
  #instant = 0
  #asked = 0

  constructor(options: RecordOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed)
    this.#keys = families[options.keys].flatMap(({ keys, kinds }) => keys.map(key => ({ key, kinds, pipelines: 0 })))
  }

  /** Resolves when this connection has nothing to ask any more. */
  run(client: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port: this.#options.port, host: '127.0.0.1', noDelay: true })
      const waiting: Asked[] = []
      const onReply = (reply: Reply): void => this.#heard(client, waiting.shift()!, reply)
      const parser = new ReplyParser({ exact: true, onReply })
      const next = (): void => {
        if (this.#asked >= this.#options.operations) socket.destroy()
        else if (!this.#ask(socket, waiting)) this.#idle.push(next)
      }
      socket.on('connect', next)
      socket.on('data', (chunk: Buffer) => {
        if (!parser.push(chunk)) socket.destroy(new Error(parser.error))
        else if (waiting.length === 0) {
          next()
          for (const other of this.#idle.splice(0)) other()
        }
      })
      socket.on('error', reject)
      socket.on('close', () => (waiting.length === 0 ? resolve() : reject(new Error('the server closed a connection'))))
    })
  }

  /** False when no key may be asked for now. */
  #ask(socket: Socket, waiting: Asked[]): boolean {
    const free = this.#keys.filter(({ pipelines }) => pipelines < this.#options.pipelines)
    if (free.length === 0) return false
    const hot = free[this.#random.below(free.length)]!
    hot.pipelines++
    const out = new ReplyWriter(32_768)
    const depth = 1 + this.#random.below(this.#options.depth)
    for (let i = 0; i < depth; i++) {
      const kind = hot.kinds[this.#random.below(hot.kinds.length)]!
      const number = ++this.#asked
      const args = requestOf(kind, hot.key, this.#valueOf(hot.key, number))
      out.array(args.length)
      for (const arg of args) {
        if (typeof arg === 'string') out.text(arg)
        else out.bulk(arg)
      }
      const argument = hot.key.startsWith('line') ? `${number};` : String(number)
      waiting.push({ hot, key: hot.key, kind, argument, call: this.#instant++, last: i === depth - 1 })
    }
    socket.write(out.detach())
    return true
  }

  #valueOf(key: string, number: number): Buffer {
    return key.startsWith('text') ? textOf(number) : Buffer.from(key.startsWith('line') ? `${number};` : `${number}`)
  }

  #heard(client: number, asked: Asked, reply: Reply): void {
    const { hot, key, kind, argument, call, last } = asked
    const output = outputOf(asked, reply)
    this.history.push({ key, client, kind, argument, call, response: this.#instant++, output })
    if (last) hot.pipelines--
  }
}

/** A history of at least `operations` operations. */
export async function recordHistory(options: RecordOptions): Promise<Operation[]> {
  const recorder = new Recorder(options)
  await Promise.all(Array.from({ length: options.connections }, (_, client) => recorder.run(client)))
  return recorder.history
}
