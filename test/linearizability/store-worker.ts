// One thread of store.test.ts that works on the store itself: reads without a lock, changes under it. Runs in a worker and
// posts its columns, or dies of what cannot be.
import { parentPort, workerData } from 'node:worker_threads'
import { RecordType } from '../../src/store/layout.ts'
import { Store } from '../../src/store/store.ts'
import { NOTHING, numberIn, Recording, storeKinds, VALUE_BYTES_MAX, writeValue } from './recording.ts'
import type { Columns, ThreadLoad } from './recording.ts'
import type { Kind } from './register.ts'

const KINDS = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 4, 5, 6, 6, 6]

class StoreClient {
  readonly #store: Store
  readonly #keys: readonly Buffer[]
  readonly #hashes: readonly number[]
  readonly #value = Buffer.alloc(VALUE_BYTES_MAX)
  readonly #out = Buffer.alloc(VALUE_BYTES_MAX)

  constructor({ shared, thread, keys }: ThreadLoad) {
    this.#store = Store.attach(shared, thread)
    this.#keys = Array.from({ length: keys }, (_, key) => Buffer.from(`hot:${key}`))
    this.#hashes = this.#keys.map(key => this.#store.hash(key, 0, key.length))
  }

  run(kind: Kind, key: number, argument: number): number {
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
      if (store.confirm()) return numberIn(this.#out, 0, length)
    }
  }

  #set(key: number, number: number): number {
    const bytes = this.#keys[key]!
    const length = writeValue(this.#value, number)
    const { string } = RecordType
    const hash = this.#hashes[key]!
    expectStored(this.#store.set(bytes, 0, bytes.length, hash, string, this.#value, 0, length, 0, 1))
    return NOTHING
  }

  #put(key: number, number: number): void {
    const bytes = this.#keys[key]!
    const length = writeValue(this.#value, number)
    const { string } = RecordType
    const hash = this.#hashes[key]!
    expectStored(this.#store.put(bytes, 0, bytes.length, hash, string, this.#value, 0, length, 0, 1))
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

function expectStored(outcome: string): void {
  if (outcome !== 'stored') throw new Error(`a put's outcome is ${outcome}`)
}

function run(load: ThreadLoad): Columns {
  const client = new StoreClient(load)
  const recording = new Recording(load, () => KINDS)
  recording.begin()
  while (recording.call()) {
    recording.respond(client.run(storeKinds[recording.kind]!, recording.key, recording.argument))
  }
  return recording.columns
}

if (parentPort !== null) parentPort.postMessage(run(workerData as ThreadLoad))
