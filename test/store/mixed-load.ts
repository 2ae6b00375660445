// One thread of store-threads.test.ts: some of the clients that work on one store together. Each client has keys that it
// alone writes, and so knows exactly what they must hold; and all write to the shared keys, where versions only grow.
// Runs in a worker; posts what it counted, or dies of the first thing that is wrong.
import { parentPort, workerData } from 'node:worker_threads'
import { seededRandom } from '../../src/base/random.ts'
import type { Random } from '../../src/base/random.ts'
import { RecordType } from '../../src/store/layout.ts'
import type { SharedStore } from '../../src/store/store-reader.ts'
import { Store } from '../../src/store/store.ts'
import { DERIVED_BYTES_MAX, flawIn, versionIn, writeDerived } from './derived-value.ts'

export const PRIVATE_KEYS = 1_500
export const SHARED_KEYS = 400
/** The first key number of the shared keys; client c's own begin at c * PRIVATE_KEYS. */
export const SHARED_FIRST = 1_000_000
/** Values of shared keys carry their version. */
export const SHARED_LEAST = 8

/** Words of the board that all threads share. */
export const Board = { wallMs: 0, ticket: 1 } as const

export interface LoadOptions {
  readonly shared: SharedStore
  readonly board: SharedArrayBuffer
  readonly thread: number
  readonly clients: readonly number[]
  readonly operations: number
  readonly seed: number
  readonly clears: boolean
}

export interface LoadCounts {
  operations: number
  hits: number
  misses: number
  retries: number
  large: number
  scanned: number
}

export function keyOf(number: number): Buffer {
  return Buffer.from(`key:${number}`)
}

class Client {
  readonly first: number
  readonly random: Random
  readonly versions = new Uint32Array(PRIVATE_KEYS)
  /** Infinity: never; 0: the key was removed or never set. */
  readonly expiresAtMs = new Float64Array(PRIVATE_KEYS)
  cursor = 0

  constructor(client: number, seed: number) {
    this.first = client * PRIVATE_KEYS
    this.random = seededRandom(seed * 1000 + client)
  }
}

class Load {
  readonly counts: LoadCounts = { operations: 0, hits: 0, misses: 0, retries: 0, large: 0, scanned: 0 }
  readonly #store: Store
  readonly #board: Int32Array<SharedArrayBuffer>
  readonly #thread: number
  readonly #clears: boolean
  readonly #keys = new Map<number, { readonly bytes: Buffer; readonly hash: number }>()
  readonly #seen = new Uint32Array(SHARED_KEYS)
  readonly #value = Buffer.alloc(DERIVED_BYTES_MAX)
  readonly #out = Buffer.alloc(DERIVED_BYTES_MAX)

  constructor({ shared, board, thread, clears }: LoadOptions) {
    this.#store = Store.attach(shared, thread)
    this.#board = new Int32Array(board)
    this.#thread = thread
    this.#clears = clears
  }

  step(client: Client): void {
    const { random } = client
    const count = this.counts.operations++
    if (this.#thread === 1 && count % 64 === 0) Atomics.add(this.#board, Board.wallMs, 1)
    const wallMs = Atomics.load(this.#board, Board.wallMs)
    // Some keys are asked for far more than others.
    const own = random.below(4) === 0 ? random.below(PRIVATE_KEYS) : random.below(60)
    const any = random.below(4) === 0 ? random.below(SHARED_KEYS) : random.below(6)
    const choice = random.below(1000)
    if (choice < 480) this.#read(client, own, wallMs)
    else if (choice < 680) this.#readShared(any, wallMs)
    else if (choice < 840) this.#write(client, own, random.below(3) === 0 ? 1 + random.below(2_000) : 0, wallMs)
    else if (choice < 930) this.#change(any, random.below(4) === 0 ? wallMs + 1 + random.below(300) : 0, wallMs)
    else if (choice < 960) this.#remove(client, own)
    else if (choice < 990) this.#expire(client, own, random.below(2) * random.below(2_000), wallMs)
    else if (choice < 995) this.#scan(client, wallMs)
    else if (choice < 998) this.#store.sweep(wallMs, 4)
    else if (this.#clears && count % 10_000 === 0) this.#store.clear()
    else this.#store.statistics()
  }

  #key(number: number): { readonly bytes: Buffer; readonly hash: number } {
    let key = this.#keys.get(number)
    if (key === undefined) {
      const bytes = keyOf(number)
      key = { bytes, hash: this.#store.hash(bytes, 0, bytes.length) }
      this.#keys.set(number, key)
    }
    return key
  }

  // Bytes of the key's value, now in #out, or -1.
  #copy(number: number, wallMs: number): number {
    const { bytes, hash } = this.#key(number)
    const store = this.#store
    for (;;) {
      if (store.find(bytes, 0, bytes.length, hash, wallMs) === RecordType.none) return -1
      store.copyValue(this.#out, 0)
      if (store.confirm()) break
      this.counts.retries++
    }
    return store.foundValueBytes
  }

  #fail(flaw: string): never {
    throw new Error(`thread ${this.#thread}, operation ${this.counts.operations}: ${flaw}`)
  }

  #read(client: Client, own: number, wallMs: number): void {
    const bytes = this.#copy(client.first + own, wallMs)
    const expiresAtMs = client.expiresAtMs[own]!
    if (bytes < 0) {
      this.counts.misses++
      return
    }
    this.counts.hits++
    if (expiresAtMs <= wallMs) this.#fail(`key ${client.first + own} is back, at ${wallMs} after ${expiresAtMs}`)
    const flaw = flawIn(this.#out, bytes, client.first + own, client.versions[own]!, 1)
    if (flaw !== '') this.#fail(flaw)
    const foundMs = this.#store.foundExpiresAtMs === 0 ? Infinity : this.#store.foundExpiresAtMs
    if (foundMs !== expiresAtMs) this.#fail(`it expires at ${foundMs}, not ${expiresAtMs}`)
  }

  #write(client: Client, own: number, ttlMs: number, wallMs: number): void {
    const number = client.first + own
    const { bytes, hash } = this.#key(number)
    const version = ++client.versions[own]!
    const length = writeDerived(this.#value, number, version, 1)
    const expiresAtMs = ttlMs === 0 ? 0 : wallMs + ttlMs
    const type = RecordType.string
    const outcome = this.#store.set(bytes, 0, bytes.length, hash, type, this.#value, 0, length, expiresAtMs, wallMs)
    if (outcome !== 'stored') this.#fail(`a value of ${length} bytes: ${outcome}`)
    if (length > 20_000) this.counts.large++
    client.expiresAtMs[own] = ttlMs === 0 ? Infinity : expiresAtMs
  }

  #remove(client: Client, own: number): void {
    const { bytes, hash } = this.#key(client.first + own)
    this.#store.withLock(hash, () => this.#store.remove(bytes, 0, bytes.length, hash))
    client.expiresAtMs[own] = 0
  }

  #expire(client: Client, own: number, ttlMs: number, wallMs: number): void {
    const { bytes, hash } = this.#key(client.first + own)
    const expiresAtMs = ttlMs === 0 ? 0 : wallMs + ttlMs
    const store = this.#store
    const done = store.withLock(hash, () => store.setExpiry(bytes, 0, bytes.length, hash, expiresAtMs, wallMs))
    if (done && client.expiresAtMs[own]! <= wallMs) this.#fail(`key ${client.first + own} got a new life`)
    if (done) client.expiresAtMs[own] = ttlMs === 0 ? Infinity : expiresAtMs
  }

  #checkShared(any: number, bytes: number): number {
    const version = versionIn(this.#out)
    const flaw = flawIn(this.#out, bytes, SHARED_FIRST + any, version, SHARED_LEAST)
    if (flaw !== '') this.#fail(flaw)
    if (version < this.#seen[any]!) this.#fail(`shared key ${any} went back from ${this.#seen[any]} to ${version}`)
    this.#seen[any] = version
    return version
  }

  #readShared(any: number, wallMs: number): void {
    const bytes = this.#copy(SHARED_FIRST + any, wallMs)
    if (bytes >= 0) this.#checkShared(any, bytes)
  }

  // Reads and writes under the lock, so that each version comes after the one it replaces.
  #change(any: number, expiresAtMs: number, wallMs: number): void {
    const number = SHARED_FIRST + any
    const { bytes, hash } = this.#key(number)
    const store = this.#store
    store.withLock(hash, () => {
      const found = this.#copy(number, wallMs)
      const before = found < 0 ? 0 : this.#checkShared(any, found)
      if (found >= 0 && !store.confirm()) this.#fail('a shard changes under its lock')
      const version = Atomics.add(this.#board, Board.ticket, 1) + 1
      if (version <= before) this.#fail(`version ${before} is newer than the ticket ${version}`)
      const length = writeDerived(this.#value, number, version, SHARED_LEAST)
      const { string } = RecordType
      const outcome = store.put(bytes, 0, bytes.length, hash, string, this.#value, 0, length, expiresAtMs, wallMs)
      if (outcome !== 'stored') this.#fail(`a value of ${length} bytes: ${outcome}`)
    })
  }

  #scan(client: Client, wallMs: number): void {
    client.cursor = this.#store.scan(client.cursor, 20, wallMs, key => {
      if (!key.toString().startsWith('key:')) this.#fail(`a scan met ${key.toString()}`)
      this.counts.scanned++
    })
  }
}

function run(options: LoadOptions): LoadCounts {
  const load = new Load(options)
  const clients = options.clients.map(client => new Client(client, options.seed))
  for (let i = 0; i < options.operations; i++) load.step(clients[i % clients.length]!)
  return load.counts
}

if (parentPort !== null) parentPort.postMessage(run(workerData as LoadOptions))
