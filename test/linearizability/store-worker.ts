// One thread of store.test.ts: operations on a few keys of one store, each noted with its call and response. Runs in a worker
// and posts its columns, or dies of a value that nobody can have written.
import { parentPort, workerData } from 'node:worker_threads'
import { seededRandom } from '../../src/base/random.ts'
import type { Random } from '../../src/base/random.ts'
import { RecordType } from '../../src/store/layout.ts'
import type { SharedStore } from '../../src/store/store-reader.ts'
import { Store } from '../../src/store/store.ts'
import type { Kind } from './register.ts'

export interface StoreLoad {
  readonly shared: SharedStore
  /** One counter that all threads draw instants from: its order is the order of time. */
  readonly clock: SharedArrayBuffer
  readonly thread: number
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
  /** NOTHING, TORN or the number that was read. */
  readonly output: Int32Array<ArrayBuffer>
}

export const storeKinds: readonly Kind[] = ['get', 'set', 'setnx', 'getset', 'getdel', 'del', 'incr']
export const NOTHING = -1
/** What was read is no value that any thread has written. */
export const TORN = -2

const DIGITS = 10
const VALUE_BYTES_MAX = 3_000

/** A value is its number again and again; half of them are of one length, so that they are overwritten in place. */
function lengthOf(number: number): number {
  return number % 2 === 0 ? 2_000 : DIGITS * (1 + ((number * 7) % (VALUE_BYTES_MAX / DIGITS)))
}

class StoreClient {
  readonly columns: Columns
  readonly #store: Store
  readonly #clock: Int32Array
  readonly #random: Random
  readonly #keys: readonly Buffer[]
  readonly #hashes: readonly number[]
  readonly #thread: number
  readonly #value = Buffer.alloc(VALUE_BYTES_MAX)
  readonly #out = Buffer.alloc(VALUE_BYTES_MAX)
  #written = 0

  constructor({ shared, clock, thread, keys, operations, seed }: StoreLoad) {
    this.#store = Store.attach(shared, thread)
    this.#clock = new Int32Array(clock)
    this.#random = seededRandom(seed * 100 + thread)
    this.#thread = thread
    this.#keys = Array.from({ length: keys }, (_, key) => Buffer.from(`hot:${key}`))
    this.#hashes = this.#keys.map(key => this.#store.hash(key, 0, key.length))
    this.columns = {
      kind: new Uint8Array(operations),
      key: new Uint8Array(operations),
      argument: new Int32Array(operations),
      call: new Int32Array(operations),
      response: new Int32Array(operations),
      output: new Int32Array(operations),
    }
  }

  step(i: number): void {
    const { columns } = this
    const choice = this.#random.below(100)
    const kind =
      choice < 45 ? 0 : choice < 60 ? 1 : choice < 65 ? 2 : choice < 75 ? 3 : choice < 80 ? 4 : choice < 85 ? 5 : 6
    const key = this.#random.below(this.#keys.length)
    // Different for every write of every thread; far apart, so that increments of one never meet another.
    const argument = (this.#thread * 4_000_000 + this.#written++) * 64
    columns.kind[i] = kind
    columns.key[i] = key
    columns.argument[i] = argument
    columns.call[i] = Atomics.add(this.#clock, 0, 1)
    columns.output[i] = this.#run(storeKinds[kind]!, key, argument)
    columns.response[i] = Atomics.add(this.#clock, 0, 1)
  }

  #run(kind: Kind, key: number, argument: number): number {
    if (kind === 'get') return this.#read(key)
    if (kind === 'set') return this.#set(key, argument)
    return this.#store.withLock(this.#hashes[key]!, () => this.#change(kind, key, argument))
  }

  #read(key: number): number {
    const bytes = this.#keys[key]!
    const store = this.#store
    for (;;) {
      if (store.find(bytes, 0, bytes.length, this.#hashes[key]!, 1) === RecordType.none) return NOTHING
      const length = store.foundValueBytes
      store.copyValue(this.#out, 0)
      if (store.confirm()) return this.#numberIn(length)
    }
  }

  #numberIn(length: number): number {
    const number = Number(this.#out.toString('latin1', 0, DIGITS))
    if (length !== lengthOf(number)) return TORN
    // Every byte equals the one a number before it.
    return this.#out.compare(this.#out, 0, length - DIGITS, DIGITS, length) === 0 ? number : TORN
  }

  #write(number: number): number {
    const length = lengthOf(number)
    this.#value.fill(String(number).padStart(DIGITS, '0'), 0, length)
    return length
  }

  #set(key: number, number: number): number {
    const bytes = this.#keys[key]!
    const length = this.#write(number)
    const { string } = RecordType
    this.#expectStored(
      this.#store.set(bytes, 0, bytes.length, this.#hashes[key]!, string, this.#value, 0, length, 0, 1),
    )
    return NOTHING
  }

  #put(key: number, number: number): void {
    const bytes = this.#keys[key]!
    const length = this.#write(number)
    const { string } = RecordType
    this.#expectStored(
      this.#store.put(bytes, 0, bytes.length, this.#hashes[key]!, string, this.#value, 0, length, 0, 1),
    )
  }

  #expectStored(outcome: string): void {
    if (outcome !== 'stored') throw new Error(`a put's outcome is ${outcome}`)
  }

  #change(kind: Kind, key: number, argument: number): number {
    const bytes = this.#keys[key]!
    const before = this.#read(key)
    if (kind === 'setnx') {
      if (before === NOTHING) this.#put(key, argument)
      return before === NOTHING ? 1 : 0
    }
    if (kind === 'getset') this.#put(key, argument)
    else if (kind === 'incr') {
      this.#put(key, Math.max(before, 0) + 1)
      return Math.max(before, 0) + 1
    } else {
      const removed = this.#store.remove(bytes, 0, bytes.length, this.#hashes[key]!)
      if (kind === 'del') return removed ? 1 : 0
    }
    return before
  }
}

function run(load: StoreLoad): Columns {
  const client = new StoreClient(load)
  const clock = new Int32Array(load.clock)
  // All threads begin together: before that they would run alone.
  Atomics.add(clock, 1, 1)
  for (let ready = Atomics.load(clock, 1); ready < load.shared.threads - 1; ready = Atomics.load(clock, 1)) {
    Atomics.wait(clock, 1, ready, 10)
  }
  for (let i = 0; i < load.operations; i++) client.step(i)
  return client.columns
}

if (parentPort !== null) parentPort.postMessage(run(workerData as StoreLoad))
