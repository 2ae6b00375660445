// Requests as bytes: a template for each command, into which the key's number is written. Keys are a prefix and twelve
// digits, as redis-benchmark makes them, so that both generators mean the same keys: key:000000000042.
import type { Protocol } from './reply-counter.ts'

export type Command = 'get' | 'set' | 'hget' | 'hset' | 'mix'

const DIGITS = 12

interface Template {
  readonly bytes: Buffer
  /** Where the key's digits begin. */
  readonly digitsAt: number
}

function resp(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}

function template(protocol: Protocol, command: Exclude<Command, 'mix'>, prefix: string, value: string): Template {
  const key = prefix + '0'.repeat(DIGITS)
  const text =
    protocol === 'memcached'
      ? command === 'get'
        ? `get ${key}\r\n`
        : `set ${key} 0 0 ${value.length}\r\n${value}\r\n`
      : resp(
          { get: ['GET', key], set: ['SET', key, value], hget: ['HGET', key, 'v'], hset: ['HSET', key, 'v', value] }[
            command
          ],
        )
  return { bytes: Buffer.from(text), digitsAt: text.indexOf(key) + prefix.length }
}

export class Requests {
  /** Of one request, the longest there is. */
  readonly bytesMax: number
  readonly #templates: readonly Template[]
  #next = 0

  /** 'mix' is one GET, one SET, one GET ... */
  constructor(protocol: Protocol, command: Command, prefix: string, value: string) {
    const commands = command === 'mix' ? (['get', 'set'] as const) : ([command] as const)
    this.#templates = commands.map(each => template(protocol, each, prefix, value))
    this.bytesMax = Math.max(...this.#templates.map(each => each.bytes.length))
  }

  /** Writes one request for key number `key` to `out` at `at`; returns where it ends. */
  write(out: Buffer, at: number, key: number): number {
    const { bytes, digitsAt } = this.#templates[this.#next]!
    this.#next = (this.#next + 1) % this.#templates.length
    bytes.copy(out, at)
    let rest = key
    for (let digit = at + digitsAt + DIGITS - 1; rest > 0; digit--) {
      const tenth = Math.floor(rest / 10)
      out[digit] = 0x30 + rest - tenth * 10
      rest = tenth
    }
    return at + bytes.length
  }
}
