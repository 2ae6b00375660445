// Random commands on few keys, so that they meet: for comparing two servers. Nothing in them depends on the time, on
// chance inside a server, or on an order that is the server's own (hashes stay as small as those that Redis keeps in order).
import type { Random } from '../../src/base/random.ts'
import type { Argument } from '../support/call.ts'

const KEYS = ['a', 'b', 'c', 'ab', 'longer-key', '', 'a:b']
const FIELDS = ['f', 'g', 'h', '', 'field']
const VALUES = [
  '1',
  '-1',
  '0',
  '10',
  'x',
  '',
  'hello',
  '9223372036854775807',
  '-9223372036854775808',
  '9007199254740992',
]
const NUMBERS = ['1', '-1', '0', '100', '9223372036854775807', '-9223372036854775808', '9007199254740993', 'x', '1.5']
const FLOATS = [
  '1',
  '0.1',
  '-2.5',
  '1e20',
  '1e-20',
  '0x1p-3',
  '3.0e3',
  '-0',
  '12345678.9',
  'inf',
  'x',
  '',
  '9223372036854775807',
]
/** The last two only where nothing grows as far as that. */
const POSITIONS = [
  '0',
  '1',
  '2',
  '3',
  '5',
  '-1',
  '-2',
  '-5',
  '7',
  '8',
  '13',
  '100',
  'x',
  '9223372036854775807',
  '-9223372036854775808',
]
const BIT_TYPES = ['u1', 'u4', 'u8', 'u13', 'u63', 'i1', 'i4', 'i8', 'i33', 'i64', 'u64', 'x']
const BIT_OFFSETS = ['0', '1', '7', '12', '#0', '#1', '#3', '100', '-1', 'x']
const LCS_OPTIONS = ['LEN', 'IDX', 'WITHMATCHLEN', 'MINMATCHLEN', '2', 'foo']
const PATTERNS = ['*', 'a*', '?', '[a-b]', '[^a]', '*b', 'a\\b', '[a', '**', '', '*-*', 'a:?']
const TIMES = ['4102444800000', '4102444800001', '1', '0', '-1', 'x', '9223372036854775808']
const OPTIONS = ['NX', 'XX', 'GET', 'KEEPTTL', 'get', 'PERSIST', 'foo']
const CONDITIONS = ['NX', 'XX', 'GT', 'LT', 'gt', 'foo']

export class RandomCommands {
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  #pick(from: readonly string[]): string {
    return from[this.#random.below(from.length)]!
  }

  #some(from: readonly string[], most: number): string[] {
    return Array.from({ length: this.#random.below(most + 1) }, () => this.#pick(from))
  }

  #key(): string {
    return this.#pick(KEYS)
  }

  #value(): string {
    return this.#random.below(20) === 0 ? 'y'.repeat(this.#random.below(5_000)) : this.#pick(VALUES)
  }

  #options(): string[] {
    const options = this.#some(OPTIONS, 2)
    if (this.#random.below(3) === 0) options.push('PXAT', this.#pick(TIMES))
    if (this.#random.below(20) === 0) options.push(this.#pick(['EX', 'PX', 'EXAT', 'PXAT']))
    return options.sort(() => this.#random.below(3) - 1)
  }

  #pairs(names: readonly string[], value: () => string): string[] {
    const pairs = Array.from({ length: 1 + this.#random.below(3) }, () => [this.#pick(names), value()]).flat()
    return this.#random.below(20) === 0 ? pairs.slice(1) : pairs
  }

  next(): readonly Argument[] {
    const makers: readonly (() => string[])[] = [
      () => ['GET', this.#key()],
      () => ['SET', this.#key(), this.#value()],
      () => ['SET', this.#key(), this.#value(), ...this.#options()],
      () => ['MGET', this.#key(), this.#key(), ...this.#some(KEYS, 2)],
      () => ['MSET', ...this.#pairs(KEYS, () => this.#value())],
      () => ['SETNX', this.#key(), this.#value()],
      () => ['GETDEL', this.#key()],
      () => ['GETEX', this.#key(), ...this.#options()],
      () => ['STRLEN', this.#key()],
      () => ['APPEND', this.#key(), this.#value()],
      () => [this.#pick(['INCR', 'DECR']), this.#key()],
      () => [this.#pick(['INCRBY', 'DECRBY']), this.#key(), this.#pick(NUMBERS)],
      () => [this.#pick(['DEL', 'UNLINK', 'EXISTS', 'TOUCH']), this.#key(), ...this.#some(KEYS, 2)],
      () => ['TYPE', this.#key()],
      () => ['PEXPIREAT', this.#key(), this.#pick(TIMES), ...this.#some(CONDITIONS, 2)],
      () => [this.#pick(['PEXPIRETIME', 'EXPIRETIME', 'PERSIST']), this.#key()],
      () => ['KEYS', this.#pick(PATTERNS)],
      () => [this.#pick(['RENAME', 'RENAMENX']), this.#key(), this.#key()],
      () => ['COPY', this.#key(), this.#key(), ...this.#some(['REPLACE'], 1)],
      () => ['HSET', this.#key(), ...this.#pairs(FIELDS, () => this.#pick(VALUES))],
      () => ['HGET', this.#key(), this.#pick(FIELDS)],
      () => ['HMGET', this.#key(), ...this.#some(FIELDS, 3)],
      () => ['HDEL', this.#key(), ...this.#some(FIELDS, 3)],
      () => ['HEXISTS', this.#key(), this.#pick(FIELDS)],
      () => [this.#pick(['HGETALL', 'HLEN', 'HKEYS', 'HVALS']), this.#key()],
      ...this.#partsOfStrings(),
      ...this.#bits(),
      ...this.#partsOfHashes(),
      ...this.#otherKeys(),
    ]
    return makers[this.#random.below(makers.length)]!()
  }

  #partsOfStrings(): (() => string[])[] {
    return [
      () => ['GETSET', this.#key(), this.#value()],
      () => ['MSETNX', ...this.#pairs(KEYS, () => this.#value())],
      () => [this.#pick(['GETRANGE', 'SUBSTR']), this.#key(), this.#pick(POSITIONS), this.#pick(POSITIONS)],
      () => ['SETRANGE', this.#key(), this.#pick(POSITIONS.slice(0, -2)), this.#pick(VALUES)],
      () => ['INCRBYFLOAT', this.#key(), this.#pick(FLOATS)],
      () => ['LCS', this.#key(), this.#key(), ...this.#some(LCS_OPTIONS, 3)],
    ]
  }

  #bits(): (() => string[])[] {
    const range = (): string[] => [...this.#some(POSITIONS, 2), ...this.#some(['BIT', 'BYTE', 'bit'], 1)]
    return [
      () => ['SETBIT', this.#key(), this.#pick(POSITIONS.slice(0, -2)), this.#pick(['0', '1', '1', '2'])],
      () => ['GETBIT', this.#key(), this.#pick(POSITIONS)],
      () => ['BITCOUNT', this.#key(), ...range()],
      () => ['BITPOS', this.#key(), this.#pick(['0', '1']), ...range()],
      () => [
        'BITOP',
        this.#pick(['AND', 'OR', 'XOR', 'NOT', 'and']),
        this.#key(),
        this.#key(),
        ...this.#some(KEYS, this.#random.below(3)),
      ],
      () => [
        'BITFIELD',
        this.#key(),
        ...Array.from({ length: this.#random.below(4) }, () => this.#bitfieldStep()).flat(),
      ],
      () => ['BITFIELD_RO', this.#key(), 'GET', this.#pick(BIT_TYPES), this.#pick(BIT_OFFSETS)],
    ]
  }

  #bitfieldStep(): string[] {
    const place = [this.#pick(BIT_TYPES), this.#pick(BIT_OFFSETS)]
    switch (this.#random.below(4)) {
      case 0:
        return ['GET', ...place]
      case 1:
        return ['SET', ...place, this.#pick(NUMBERS)]
      case 2:
        return ['INCRBY', ...place, this.#pick(NUMBERS)]
      default:
        return ['OVERFLOW', this.#pick(['WRAP', 'SAT', 'FAIL', 'sat'])]
    }
  }

  #partsOfHashes(): (() => string[])[] {
    return [
      () => ['HSETNX', this.#key(), this.#pick(FIELDS), this.#pick(VALUES)],
      () => ['HMSET', this.#key(), ...this.#pairs(FIELDS, () => this.#pick(VALUES))],
      () => ['HINCRBY', this.#key(), this.#pick(FIELDS), this.#pick(NUMBERS)],
      () => ['HINCRBYFLOAT', this.#key(), this.#pick(FIELDS), this.#pick(FLOATS)],
      () => ['HSTRLEN', this.#key(), this.#pick(FIELDS)],
      () => ['HSCAN', this.#key(), '0', ...(this.#random.below(2) === 0 ? ['MATCH', this.#pick(PATTERNS)] : [])],
      () => ['HRANDFIELD', this.#key(), '10', ...this.#some(['WITHVALUES'], 1)],
    ]
  }

  #otherKeys(): (() => string[])[] {
    return [
      () => ['MOVE', this.#key(), this.#pick(['0', '99', 'x'])],
      () => ['OBJECT', 'REFCOUNT', `no-${this.#key()}`],
      () => ['MEMORY', 'USAGE', `no-${this.#key()}`],
      () => ['DUMP', `no-${this.#key()}`],
      () => ['RESTORE', this.#key(), this.#pick(NUMBERS), 'x', ...this.#some(['REPLACE', 'ABSTTL', 'FREQ', '1'], 2)],
    ]
  }
}
