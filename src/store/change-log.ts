// Which keys have changed, for whoever must tell clients that cache them (CLIENT TRACKING): a ring of bytes in shared memory
// that all threads write to and each server thread reads at its own pace. A key is written down only if somebody tracks it;
// while nobody tracks anything, a change costs the look at one word.
//
//   int32:  0 tracking clients   1 of those, in BCAST mode   2 lock   3 waiters   4 changes, counted   5 -
//   double: 4 bytes ever written to the ring                   (byte 32)
//   int32 from byte 64: for each thread, its clients and those in BCAST mode
//   int32 from TRACKED_BYTE: how many threads track a key, counted by the key's hash: TRACKED_SLOTS counters
//   bytes from RING_BYTE: | kind:8 length:24 | client that made the change | key, padded to 4 | ...
//
// Whoever tracks a key counts it before reading it; whoever changes a key looks at the counter after the change can be seen. So a
// reader either sees the change or is told of it. A reader that falls behind by a whole ring is told that all has changed.
import { acquire, release } from './lock.ts'
import { RingReader } from './ring-reader.ts'

const Word = { clients: 0, broadcast: 1, lock: 2, waiters: 3, changes: 4 } as const
const WRITTEN_DOUBLE = 4
const THREADS_WORD = 16
const NOTHING = new Uint8Array(0)
const TRACKED_BYTE = 4096
const TRACKED_BITS = 20
const RING_BYTE: number = TRACKED_BYTE + 2 ** TRACKED_BITS * 4
const RING_BYTES = 1 << 20
const HEAD_BYTES = 8

const Kind = { key: 1, all: 2, rows: 3 } as const

/** What a reader of the log is told. */
export interface ChangeVisitor {
  /** `client` is the low 31 bits of the id of the client that made the change, 0: not known. */
  key(key: Buffer, client: number): void
  /** Everything may have changed. */
  all(): void
  /** Every row may have changed. */
  rows(): void
}

export class ChangeLog {
  readonly shared: SharedArrayBuffer
  /** The client whose command runs, where it matters; else 0. */
  client = 0
  readonly #words: Int32Array<SharedArrayBuffer>
  readonly #doubles: Float64Array<SharedArrayBuffer>
  readonly #tracked: Int32Array<SharedArrayBuffer>
  readonly #ring: Buffer<SharedArrayBuffer>
  readonly #thread: number
  readonly #reader: RingReader

  constructor(thread: number, shared?: SharedArrayBuffer) {
    this.shared = shared ?? new SharedArrayBuffer(RING_BYTE + RING_BYTES)
    this.#words = new Int32Array(this.shared, 0, TRACKED_BYTE / 4)
    this.#doubles = new Float64Array(this.shared, 0, 8)
    this.#tracked = new Int32Array(this.shared, TRACKED_BYTE, 2 ** TRACKED_BITS)
    this.#ring = Buffer.from(this.shared, RING_BYTE, RING_BYTES)
    this.#thread = thread
    const place = { words: this.#words, doubles: this.#doubles, ring: this.#ring, written: WRITTEN_DOUBLE, thread }
    this.#reader = new RingReader({ ...place, lock: Word.lock, waiters: Word.waiters, count: Word.changes })
  }

  /** Whether any client tracks keys. */
  get active(): boolean {
    return Atomics.load(this.#words, Word.clients) !== 0
  }

  /** Counts clients of this thread that track keys: one more, or one less. */
  countClient(amount: 1 | -1, broadcast: boolean): void {
    // Nothing that happened before concerns the first of them.
    const at = THREADS_WORD + 2 * this.#thread
    if (amount === 1 && this.#words[at] === 0) this.#reader.skip()
    Atomics.add(this.#words, at, amount)
    if (broadcast) {
      Atomics.add(this.#words, at + 1, amount)
      Atomics.add(this.#words, Word.broadcast, amount)
    }
    Atomics.add(this.#words, Word.clients, amount)
  }

  countKey(hash: number, amount: 1 | -1): void {
    Atomics.add(this.#tracked, hash >>> (32 - TRACKED_BITS), amount)
  }

  /** Frees what a dead thread held. What it tracked stays counted, which costs some writing and no more. */
  recover(deadThread: number): void {
    const at = THREADS_WORD + 2 * deadThread
    Atomics.sub(this.#words, Word.clients, Atomics.exchange(this.#words, at, 0))
    Atomics.sub(this.#words, Word.broadcast, Atomics.exchange(this.#words, at + 1, 0))
    if (Atomics.load(this.#words, Word.lock) === deadThread + 1) release(this.#words, Word.lock, Word.waiters)
  }

  /** A key has changed; called when the change can be seen. */
  changed(hash: number, bytes: Uint8Array, start: number, end: number): void {
    if (Atomics.load(this.#words, Word.clients) === 0) return
    const tracked = Atomics.load(this.#tracked, hash >>> (32 - TRACKED_BITS)) > 0
    if (tracked || Atomics.load(this.#words, Word.broadcast) > 0) this.#append(Kind.key, bytes, start, end)
  }

  allChanged(): void {
    if (this.active) this.#append(Kind.all, NOTHING, 0, 0)
  }

  rowsChanged(): void {
    if (this.active) this.#append(Kind.rows, NOTHING, 0, 0)
  }

  #append(kind: number, bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    acquire(this.#words, Word.lock, Word.waiters, this.#thread)
    const written = this.#doubles[WRITTEN_DOUBLE]!
    const ring = this.#ring
    let at = written % RING_BYTES
    ring.writeUInt32LE(kind * 0x1000000 + length, at)
    ring.writeUInt32LE(this.client, (at + 4) % RING_BYTES)
    at += HEAD_BYTES
    for (let i = 0; i < length; i++) ring[(at + i) % RING_BYTES] = bytes[start + i]!
    this.#doubles[WRITTEN_DOUBLE] = written + HEAD_BYTES + ((length + 3) & ~3)
    release(this.#words, Word.lock, Word.waiters)
    Atomics.add(this.#words, Word.changes, 1)
    Atomics.notify(this.#words, Word.changes)
  }

  /** Resolves when there is something to read, or soon; at once when there is already. */
  more(waitMs: number): Promise<void> {
    return this.#reader.more(waitMs)
  }

  get hasMore(): boolean {
    return this.#reader.hasMore
  }

  /** Tells what has changed since the last time. */
  read(visitor: ChangeVisitor): void {
    const bytes = this.#reader.take()
    if (bytes === undefined) return visitor.all()
    for (let at = 0; at < bytes.length;) {
      const head = bytes.readUInt32LE(at)
      const length = head & 0xffffff
      const kind = head >>> 24
      if (kind === Kind.all) visitor.all()
      else if (kind === Kind.rows) visitor.rows()
      else visitor.key(bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length), bytes.readUInt32LE(at + 4))
      at += HEAD_BYTES + ((length + 3) & ~3)
    }
  }
}
