// Random requests, well-formed ones: any command of the table, with arguments made from its syntax line. A new command is
// fuzzed as soon as it has a row in the table.
//
//   syntax:  key value [NX | XX] [GET] [EX seconds | KEEPTTL]      literals, what is meant by a word, [may be left out],
//            key [key ...]                                         alternatives, repeated
import type { Random } from '../../src/base/random.ts'
import type { Command } from '../../src/server/commands/command.ts'

export interface Request {
  readonly name: string
  readonly args: readonly Buffer[]
  /** False: it may have no reply or several, may close the connection, or does it to others. */
  readonly oneReply: boolean
}

type Node =
  | { readonly kind: 'word'; readonly word: string }
  | { readonly kind: 'optional'; readonly of: Node }
  | { readonly kind: 'either'; readonly of: readonly Node[] }
  | { readonly kind: 'sequence'; readonly of: readonly Node[]; readonly repeats: boolean }

function parseSyntax(syntax: string): Node {
  const tokens = syntax.match(/\.\.\.|[[\]|]|[^\s[\]|]+/g) ?? []
  let at = 0
  const alternatives = (): Node => {
    const found: Node[] = []
    for (;;) {
      found.push(sequence())
      if (tokens[at] !== '|') return found.length === 1 ? found[0]! : { kind: 'either', of: found }
      at++
    }
  }
  const sequence = (): Node => {
    const of: Node[] = []
    let repeats = false
    for (; at < tokens.length && tokens[at] !== '|' && tokens[at] !== ']'; at++) {
      const token = tokens[at]!
      if (token === '...') repeats = true
      else if (token === '[') {
        at++
        of.push({ kind: 'optional', of: alternatives() })
      } else of.push({ kind: 'word', word: token })
    }
    return { kind: 'sequence', of, repeats }
  }
  return alternatives()
}

/** Not run at all: it would end the server, or wait for something that does not come. */
const NEVER: ReadonlySet<string> = new Set(['shutdown', 'debug', 'wait'])
/** The number of their replies is not one, and after them others' is not either. */
const ODD: ReadonlySet<string> = new Set([
  'quit',
  'monitor',
  'subscribe',
  'psubscribe',
  'ssubscribe',
  'unsubscribe',
  'punsubscribe',
  'sunsubscribe',
])
/** Run so much more rarely: they empty what others fill, or do what takes long. */
const RARE: Readonly<Record<string, number>> = { flushall: 50, flushdb: 50, save: 20, bgsave: 20, command: 5, lcs: 3 }
/** These say what their subcommands take nowhere; those that harm other connections do so to none that there is. */
const CLIENT: readonly string[] = [
  'ID',
  'GETNAME',
  'INFO',
  'HELP',
  'LIST',
  'LIST TYPE normal',
  'LIST ID 1 2',
  'SETNAME a',
  'SETNAME a\u0001b',
  'GETREDIR', // prettier-ignore
  'SETINFO LIB-NAME x',
  'SETINFO LIB-VER 1',
  'NO-EVICT ON',
  'NO-EVICT OFF',
  'NO-TOUCH ON',
  'NO-TOUCH OFF',
  'TRACKINGINFO', // prettier-ignore
  'KILL ADDR 1.2.3.4:5',
  'KILL ID 99999999999999',
  'KILL 1.2.3.4:5',
  'KILL',
  'NOSUCH',
  'TRACKING ON',
  'TRACKING OFF', // prettier-ignore
  'TRACKING ON BCAST PREFIX k',
  'TRACKING ON OPTIN',
  'TRACKING ON OPTOUT',
  'CACHING YES',
  'CACHING NO',
  'UNPAUSE',
  'UNBLOCK 99999999999999', // prettier-ignore
]
const CLIENT_ODD: readonly string[] = ['REPLY OFF', 'REPLY SKIP', 'REPLY ON', 'REPLY']
const CONFIG: readonly string[] = [
  'GET *',
  'GET max*',
  'GET',
  'GET save port nosuch',
  'RESETSTAT',
  'HELP',
  'SET nosuch 1',
]

const KEYS = 300
const HOT_KEYS = 12
const ROWS = 60
const WORDS = [
  '',
  '',
  '',
  '',
  'a',
  'A',
  '*',
  '?',
  '[',
  '[a-',
  '\\',
  '-',
  '0',
  '1',
  '-1',
  '2',
  '3',
  'nan',
  'inf',
  '1e400',
  '0x10',
  ' 1',
]
const NUMBERS = [
  '0',
  '1',
  '-1',
  '2',
  '3',
  '7',
  '8',
  '10',
  '100',
  '1000',
  '65536',
  '-100',
  '2147483647',
  '-2147483649',
  '4294967295', // prettier-ignore
  '4294967296',
  '9007199254740993',
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
  '1.5',
  'x',
  '', // prettier-ignore
]
const ENCODINGS = ['u8', 'i8', 'u1', 'i64', 'u63', 'u64', 'i65', 'u0', 'x', 'i16']
const PATTERNS = ['*', 'k:1*', '?:?', '[a-k]:*', '[^k]*', '*'.repeat(30) + 'z', 'k:\\1', 'users:*']
const LARGE_BYTES_MAX = 700_000

export class RandomRequests {
  readonly #random: Random
  readonly #commands: readonly Command[]
  readonly #syntaxes: ReadonlyMap<Command, Node>
  readonly #large: Buffer

  constructor(random: Random, commands: readonly Command[], large: Buffer = largeValue()) {
    this.#random = random
    this.#commands = commands.filter(command => !NEVER.has(command.name))
    this.#syntaxes = new Map(this.#commands.map(command => [command, parseSyntax(command.syntax)]))
    this.#large = large
  }

  /** `odd`: also requests whose replies cannot be counted. */
  next(odd: boolean): Request {
    for (;;) {
      const random = this.#random
      const choice = random.below(100)
      // What most clients do most of the time, so that there is something for the others to meet.
      if (choice < 10) return this.#of('get', [this.#key()])
      if (choice < 22) return this.#of('set', [this.#key(), this.#value()])
      if (choice < 24) return this.#of('hello', random.below(9) === 0 ? [] : [Buffer.from(this.#pick(['2', '3']))])
      const command = this.#commands[random.below(this.#commands.length)]!
      if (random.below(RARE[command.name] ?? 1) !== 0) continue
      const isOdd = ODD.has(command.name) || (command.name === 'client' && odd && random.below(20) === 0)
      if (isOdd && (!odd || random.below(20) !== 0)) continue
      return this.#request(command, isOdd)
    }
  }

  #of(name: string, args: readonly Buffer[]): Request {
    return { name, args: [Buffer.from(this.#inAnyCase(name)), ...args], oneReply: true }
  }

  #request(command: Command, odd: boolean): Request {
    const args: Buffer[] = [Buffer.from(this.#inAnyCase(command.name))]
    if (command.name === 'client') args.push(...this.#words(odd ? CLIENT_ODD : CLIENT))
    else if (command.name === 'config') args.push(...this.#words(CONFIG))
    else {
      this.#write(this.#syntaxes.get(command)!, args)
      const strange = this.#random.below(40)
      if (strange === 0 && args.length > 1) args.pop()
      else if (strange === 1) args.push(this.#oddity())
      else if (strange === 2 && args.length > 1) args[1 + this.#random.below(args.length - 1)] = this.#oddity()
    }
    return { name: command.name, args, oneReply: !odd }
  }

  #write(node: Node, args: Buffer[]): void {
    const random = this.#random
    switch (node.kind) {
      case 'word':
        args.push(this.#argument(node.word))
        return
      case 'optional':
        if (random.below(3) === 0) this.#write(node.of, args)
        return
      case 'either':
        this.#write(node.of[random.below(node.of.length)]!, args)
        return
      case 'sequence': {
        const times = node.repeats ? 1 + (random.below(30) === 0 ? random.below(200) : random.below(4)) : 1
        for (let i = 0; i < times; i++) for (const part of node.of) this.#write(part, args)
      }
    }
  }

  #argument(word: string): Buffer {
    if (/^[A-Z][A-Z0-9_-]*$/.test(word)) return Buffer.from(this.#inAnyCase(word))
    if (/key|^source$|^destination$/.test(word)) return this.#key()
    switch (word) {
      case 'value':
      case 'message':
      case 'element':
        return this.#value()
      case 'field':
        return this.#random.below(20) === 0 ? this.#oddity() : Buffer.from(`f${this.#random.below(40)}`)
      case 'pattern':
        return Buffer.from(this.#pick(PATTERNS))
      case 'encoding':
        return Buffer.from(this.#pick(ENCODINGS))
      case 'command':
        return Buffer.from(this.#commands[this.#random.below(this.#commands.length)]!.name)
      case 'protover':
        return Buffer.from(this.#pick(['2', '3', '3', '4', 'x']))
      case 'serialized-value':
        return this.#oddity()
      case 'count':
        // No more than a reply of some KB: thousands of connections ask for it.
        return Buffer.from(this.#pick(['0', '1', '-1', '10', '-10', '100', '-100', 'x', '9223372036854775808']))
      default:
        return Buffer.from(this.#random.below(2) === 0 ? String(this.#random.below(3_000)) : this.#pick(NUMBERS))
    }
  }

  #key(): Buffer {
    const random = this.#random
    const choice = random.below(100)
    if (choice < 3) return this.#oddity()
    if (choice === 3) return Buffer.from(`users:${random.below(ROWS)}`)
    return Buffer.from(`k:${choice < 40 ? random.below(HOT_KEYS) : random.below(KEYS)}`)
  }

  #value(): Buffer {
    const random = this.#random
    const choice = random.below(300)
    if (choice === 0) return this.#large.subarray(0, Math.floor(1_000 * (LARGE_BYTES_MAX / 1_000) ** random.fraction()))
    if (choice < 100) return Buffer.from(this.#pick(NUMBERS))
    if (choice < 110) return this.#oddity()
    if (choice < 120) return this.#large.subarray(0, random.below(5_000))
    return this.#large.subarray(0, random.below(100))
  }

  /** What one does not think of. */
  #oddity(): Buffer {
    const random = this.#random
    const choice = random.below(10)
    if (choice === 0) return Buffer.from('users:')
    if (choice === 1) return Buffer.from('{"id":1,"name":"x"}')
    if (choice === 2) return Buffer.from('\r\n$3\r\n+OK\r\n')
    if (choice === 3 && random.below(10) === 0) return Buffer.alloc(65_530 + random.below(10), 'k')
    if (choice < 6) return Buffer.from(Array.from({ length: random.below(20) }, () => random.below(256)))
    return Buffer.from(this.#pick(random.below(2) === 0 ? WORDS : NUMBERS))
  }

  #pick(from: readonly string[]): string {
    return from[this.#random.below(from.length)]!
  }

  #words(from: readonly string[]): Buffer[] {
    return this.#pick(from)
      .split(' ')
      .map(word => Buffer.from(word))
  }

  #inAnyCase(word: string): string {
    return this.#random.below(2) === 0 ? word.toUpperCase() : word.toLowerCase()
  }
}

export function largeValue(): Buffer {
  return Buffer.alloc(LARGE_BYTES_MAX, '0123456789 \r\n$5\r\nvalue\r\n*2 ')
}
