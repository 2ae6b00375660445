// What a thread of store.test.ts notes of its operations, and the values that they write: which operation comes next, when it was
// called, when it responded and with what, in columns that a worker can post.
import { seededRandom } from '../../src/base/random.ts'
import type { Random } from '../../src/base/random.ts'
import type { SharedStore } from '../../src/store/store-reader.ts'
import type { Kind } from './register.ts'

export interface ThreadLoad {
  readonly shared: SharedStore
  /** Word 0 is a counter that all threads draw instants from: its order is the order of time. Word 1: threads that are ready. */
  readonly clock: SharedArrayBuffer
  readonly thread: number
  readonly threads: number
  readonly keys: number
  readonly operations: number
  readonly seed: number
}

/** Operation i is at index i of each column. */
export interface Columns {
  readonly kind: Uint8Array<ArrayBuffer>
  readonly key: Uint8Array<ArrayBuffer>
  readonly argument: Int32Array<ArrayBuffer>
  readonly call: Int32Array<ArrayBuffer>
  readonly response: Int32Array<ArrayBuffer>
  /** NOTHING, TORN or the number that was replied or read. */
  readonly output: Int32Array<ArrayBuffer>
}

export const NOTHING = -1
/** What was read is no value that any thread has written. */
export const TORN = -2

export class Recording {
  readonly columns: Columns
  // The operation that is under way.
  kind = 0
  key = 0
  argument = 0
  readonly #kindsOf: (key: number) => readonly number[]
  readonly #load: ThreadLoad
  readonly #clock: Int32Array<SharedArrayBuffer>
  readonly #random: Random
  #count = 0

  /** The kinds that a key takes are indexes in storeKinds; one that stands there more often is drawn more often. */
  constructor(load: ThreadLoad, kindsOf: (key: number) => readonly number[]) {
    const { operations, seed, thread } = load
    this.#load = load
    this.#kindsOf = kindsOf
    this.#clock = new Int32Array(load.clock)
    this.#random = seededRandom(seed * 100 + thread)
    this.columns = {
      kind: new Uint8Array(operations),
      key: new Uint8Array(operations),
      argument: new Int32Array(operations),
      call: new Int32Array(operations),
      response: new Int32Array(operations),
      output: new Int32Array(operations),
    }
  }

  /** Waits until all threads are here: before that they would run alone. */
  begin(): void {
    const clock = this.#clock
    Atomics.add(clock, 1, 1)
    for (let ready = Atomics.load(clock, 1); ready < this.#load.threads; ready = Atomics.load(clock, 1)) {
      Atomics.wait(clock, 1, ready, 10)
    }
  }

  /** The next operation is called now; false when there is none. */
  call(): boolean {
    const i = this.#count
    if (i === this.#load.operations) return false
    const { columns } = this
    this.key = this.#random.below(this.#load.keys)
    const kinds = this.#kindsOf(this.key)
    this.kind = kinds[this.#random.below(kinds.length)]!
    // Different for every operation of every thread; far apart, so that increments of one never meet another.
    this.argument = (this.#load.thread * 4_000_000 + i) * 64
    columns.kind[i] = this.kind
    columns.key[i] = this.key
    columns.argument[i] = this.argument
    columns.call[i] = Atomics.add(this.#clock, 0, 1)
    return true
  }

  respond(output: number): void {
    const i = this.#count++
    this.columns.response[i] = Atomics.add(this.#clock, 0, 1)
    this.columns.output[i] = output
  }
}

const DIGITS = 10
export const VALUE_BYTES_MAX = 3_000

/** A value is its number again and again; half of them are of one length, so that they are overwritten in place. */
function lengthOf(number: number): number {
  return number % 2 === 0 ? 2_000 : DIGITS * (1 + ((number * 7) % (VALUE_BYTES_MAX / DIGITS)))
}

/** Writes the number's value to the start of `out`; returns its length. */
export function writeValue(out: Buffer, number: number): number {
  const length = lengthOf(number)
  out.fill(String(number).padStart(DIGITS, '0'), 0, length)
  return length
}

/** The number whose value bytes[start, end) is, or TORN. */
export function numberIn(bytes: Buffer, start: number, end: number): number {
  const number = Number(bytes.toString('latin1', start, start + DIGITS))
  if (end - start !== lengthOf(number)) return TORN
  // Every byte equals the one a number before it.
  return bytes.compare(bytes, start, end - DIGITS, start + DIGITS, end) === 0 ? number : TORN
}

export const storeKinds: readonly Kind[] = ['get', 'set', 'setnx', 'getset', 'getdel', 'del', 'incr']
