// One connection's life, from a seed: the bytes that it sends, how they are cut, what must come back and how it ends. Nothing
// happens here: playing it is fuzz-connection.ts.
//
//   exact       well-formed requests with ECHO markers among them: every reply is counted, every marker must be in its place
//   half-closed the same, but the client says first that it sends no more
//   cut         the same, but the client closes or resets the connection at any byte
//   damaged     bytes changed, left out, doubled, lengths that lie: replies must be well-formed as long as they come
//   unread      asks and asks and never reads
import { seededRandom } from '../../src/base/random.ts'
import type { Random } from '../../src/base/random.ts'
import type { Command } from '../../src/server/commands/command.ts'
import { damage } from './damage.ts'
import { RandomRequests } from './random-requests.ts'
import type { Request } from './random-requests.ts'

export type CaseKind = 'exact' | 'half-closed' | 'cut' | 'damaged' | 'unread'

export interface Part {
  readonly bytes: Buffer
  /** The replies that must come; 0 when that is not known. */
  readonly replies: 0 | 1
  /** What must come back, when this is a marker. */
  readonly marker?: string
}

export interface FuzzCase {
  readonly index: number
  readonly kind: CaseKind
  readonly parts: readonly Part[]
  /** Requests, about. */
  readonly commands: number
  /** A marker may be queued by a transaction. */
  readonly queues: boolean
  /** The most bytes in one packet. */
  readonly packetBytes: number
  readonly ending: 'close' | 'reset'
  /** Of a cut case: after so many bytes. */
  readonly bytesSent: number
}

const MARKER_EVERY = 8
const PIPELINE_MAX = 4_000

export class FuzzCases {
  readonly #seed: number
  readonly #commands: readonly Command[]
  readonly #large: Buffer

  /** `seed` is below 2^28. */
  constructor(seed: number, commands: readonly Command[], large: Buffer) {
    this.#seed = seed
    this.#commands = commands
    this.#large = large
  }

  /** The same for the same seed and index; `index` is below 2^25. */
  at(index: number): FuzzCase {
    const random = seededRandom(this.#seed * 2 ** 25 + index)
    const requests = new RandomRequests(random, this.#commands, this.#large)
    const kind = kindOf(random)
    const count = lengthOf(random)
    const { parts, queues } = kind === 'unread' ? unread(count) : pipeline(random, requests, count, kind === 'damaged')
    const sent = kind === 'damaged' ? damaged(random, parts) : parts
    const bytes = sent.reduce((sum, part) => sum + part.bytes.length, 0)
    return {
      index,
      kind,
      parts: sent,
      commands: parts.length,
      queues,
      packetBytes: [1, 7, 100, 1_500, 65_536, 1 << 20][bytes < 500 ? random.below(6) : 2 + random.below(4)]!,
      ending: random.below(2) === 0 ? 'close' : 'reset',
      bytesSent: kind === 'cut' ? random.below(bytes + 1) : bytes,
    }
  }
}

function kindOf(random: Random): CaseKind {
  const choice = random.below(1_000)
  if (choice < 5) return 'unread'
  if (choice < 550) return 'exact'
  if (choice < 600) return 'half-closed'
  return choice < 750 ? 'cut' : 'damaged'
}

function lengthOf(random: Random): number {
  const choice = random.below(100)
  if (choice === 0) return 1_000 + random.below(PIPELINE_MAX - 1_000)
  if (choice < 50) return 20 + random.below(300)
  return 1 + random.below(20)
}

function pipeline(
  random: Random,
  requests: RandomRequests,
  count: number,
  odd: boolean,
): { parts: Part[]; queues: boolean } {
  const parts: Part[] = []
  let queues = false
  const add = (...words: string[]): void => {
    const bytes = encode(words.map(word => Buffer.from(word)))
    parts.push({ bytes, replies: 1, ...(words.length === 2 ? { marker: words[1]! } : {}) })
  }
  for (let i = 0; i < count; i++) {
    if (random.below(MARKER_EVERY) === 0) add('ECHO', `marker ${i}`)
    const request = requests.next(odd)
    queues ||= request.name === 'multi'
    parts.push({ bytes: encodeSomehow(random, request), replies: request.oneReply ? 1 : 0 })
  }
  if (queues) add('DISCARD')
  add('ECHO', 'the end')
  return { parts, queues }
}

/** Asks for far more than the buffers on the way hold. */
function unread(count: number): { parts: Part[]; queues: boolean } {
  const value = Buffer.alloc(20_000, 'u')
  const set = { bytes: encode([Buffer.from('SET'), Buffer.from('unread'), value]), replies: 0 } as const
  const get = {
    bytes: encode([Buffer.from('MGET'), ...Array.from({ length: 10 }, () => Buffer.from('unread'))]),
    replies: 0,
  } as const
  return { parts: [set, ...Array.from({ length: 20 + count }, () => get)], queues: false }
}

function damaged(random: Random, parts: readonly Part[]): Part[] {
  const bytes = damage(Buffer.concat(parts.map(part => part.bytes)), random)
  const pieces: Part[] = []
  for (let at = 0; at < bytes.length; at += 64) pieces.push({ bytes: bytes.subarray(at, at + 64), replies: 0 })
  return pieces
}

function encodeSomehow(random: Random, { args }: Request): Buffer {
  const small = args.every(arg => arg.length < 2_000) && args.length < 20
  return small && random.below(10) === 0 ? encodeInline(args) : encode(args)
}

export function encode(args: readonly Buffer[]): Buffer {
  const parts: (string | Buffer)[] = [`*${args.length}\r\n`]
  for (const arg of args) parts.push(`$${arg.length}\r\n`, arg, '\r\n')
  return Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : part)))
}

function encodeInline(args: readonly Buffer[]): Buffer {
  const words = args.map(arg => {
    const text = arg.toString('latin1')
    if (/^[\w:.-]+$/.test(text)) return text
    return `"${text.replaceAll(/[^\w ]/g, c => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)}"`
  })
  return Buffer.from(`${words.join(' ')}\r\n`)
}
