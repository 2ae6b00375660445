// The lanes' headers in memory that all threads share, beside the store. Fixed places, a lock each. What the path of every
// hit needs, a lane's generation and how fresh it is proved to be, are single words that are read without a lock.
// Not for: what the headers mean (coherence/), records (the store).
//
//   a lane, 128 bytes and its recent changes:
//     int32   0: lock   1: waiters   2: present   3: tag   4: nonce   6: recent changes, how many
//     double  5: as of, monotonic ms (-Infinity: nothing is proved)
//     int64   6: epoch   7: mark.lsn   8: mark.sub   9: recent is complete from
//     double 10: sequence (messages of years do not fit 32 bits)   11: how often the recent changes were stored
//     int64  16 + 4i: lsn, xid, change, key hash of the i-th recent change, oldest first
//
// The tag stands for the generation in records: 32 bits, drawn from a counter and so never twice.
import { assert } from '../base/assert.ts'
import { limits } from '../base/limits.ts'
import { NO_PROOF } from '../coherence/freshness.ts'
import { generationsEqual } from '../coherence/generation.ts'
import type { LaneHeader, LaneState, RecentChanges } from '../coherence/lane.ts'
import { acquire, release } from '../store/lock.ts'
import { KEY_CHANGE_COUNTERS, KeyChanges } from './key-changes.ts'

const LANE_DOUBLES = 16 + 4 * limits.recentChangesMax
const LANE_WORDS = LANE_DOUBLES * 2
/** Before the lanes: the counter of tags, and those of key-changes.ts. */
const CHANGES_BYTE = 64
export const HEAD_DOUBLES: number = 8 + KEY_CHANGE_COUNTERS / 2

const Word = { lock: 0, waiters: 1, present: 2, tag: 3, nonce: 4, recent: 6 } as const
const Double = { asOf: 5, epoch: 6, lsn: 7, sub: 8, completeFrom: 9, sequence: 10, stored: 11, changes: 16 } as const

/** Headers have no home but this memory. */
export const EMBEDDED_SHARD = 'memory'

export class LaneTable {
  readonly shared: SharedArrayBuffer
  readonly lanes: number
  /** For near caches: what has happened to keys lately. */
  readonly keyChanges: KeyChanges
  readonly #words: Int32Array<SharedArrayBuffer>
  readonly #doubles: Float64Array<SharedArrayBuffer>
  readonly #longs: BigInt64Array<SharedArrayBuffer>
  readonly #thread: number
  /** Recent changes as this thread last read or stored them, and which storing that was: most steps leave them as they are. */
  readonly #recent: ({ readonly stored: number; readonly recent: RecentChanges } | undefined)[] = []

  private constructor(shared: SharedArrayBuffer, thread: number) {
    this.shared = shared
    this.lanes = (shared.byteLength / 8 - HEAD_DOUBLES) / LANE_DOUBLES
    this.keyChanges = new KeyChanges(new Int32Array(shared, CHANGES_BYTE, KEY_CHANGE_COUNTERS))
    this.#words = new Int32Array(shared)
    this.#doubles = new Float64Array(shared)
    this.#longs = new BigInt64Array(shared)
    this.#thread = thread
  }

  /** A table of so many lanes, over all sources, none with a header; the caller is thread 0. */
  static create(lanes: number): LaneTable {
    assert(lanes <= limits.lanesMax, 'lanes are within their limit')
    const table = new LaneTable(new SharedArrayBuffer((HEAD_DOUBLES + lanes * LANE_DOUBLES) * 8), 0)
    for (let lane = 0; lane < lanes; lane++) table.setAsOf(lane, NO_PROOF)
    return table
  }

  static attach(shared: SharedArrayBuffer, thread: number): LaneTable {
    return new LaneTable(shared, thread)
  }

  #wordAt(lane: number): number {
    return HEAD_DOUBLES * 2 + lane * LANE_WORDS
  }

  #doubleAt(lane: number): number {
    return HEAD_DOUBLES + lane * LANE_DOUBLES
  }

  /** Runs one operation on a lane and its records, alone. Taken before any lock of the store. */
  withLane<T>(lane: number, operation: () => T): T {
    const at = this.#wordAt(lane)
    acquire(this.#words, at + Word.lock, at + Word.waiters, this.#thread)
    try {
      return operation()
    } finally {
      release(this.#words, at + Word.lock, at + Word.waiters)
    }
  }

  /** Stands for the lane's generation in its records; 0: it has none. Read without the lock. */
  tag(lane: number): number {
    return this.#words[this.#wordAt(lane) + Word.tag]!
  }

  /**
   * The monotonic ms as of which the lane is proved to be true. Read without the lock: an aligned double is read whole on
   * every machine that Node runs on. To be read before, or confirmed after, the record that it is to vouch for.
   */
  asOf(lane: number): number {
    return this.#doubles[this.#doubleAt(lane) + Double.asOf]!
  }

  setAsOf(lane: number, asOfMs: number): void {
    this.#doubles[this.#doubleAt(lane) + Double.asOf] = asOfMs
  }

  /** The lane's header. Under its lock. */
  header(lane: number): LaneHeader | undefined {
    const word = this.#wordAt(lane)
    if (this.#words[word + Word.present] === 0) return undefined
    const at = this.#doubleAt(lane)
    return {
      // Epochs are unsigned, and an Int64Array is not.
      generation: {
        epoch: BigInt.asUintN(64, this.#longs[at + Double.epoch]!),
        nonce: this.#words[word + Word.nonce]! >>> 0,
      },
      sequence: this.#doubles[at + Double.sequence]!,
      mark: { lsn: this.#longs[at + Double.lsn]!, sub: this.#longs[at + Double.sub]! },
      shard: EMBEDDED_SHARD,
      recent: this.#recentOf(lane),
    }
  }

  #recentOf(lane: number): RecentChanges {
    const known = this.#knownRecent(lane)
    if (known !== undefined) return known
    const at = this.#doubleAt(lane)
    const changes = Array.from({ length: this.#words[this.#wordAt(lane) + Word.recent]! }, (_, i) => {
      const change = at + Double.changes + 4 * i
      return {
        lsn: this.#longs[change]!,
        xid: this.#longs[change + 1]!,
        change: this.#longs[change + 2]!,
        keyHash: Number(this.#longs[change + 3]!),
      }
    })
    const recent = { changes, completeFrom: this.#longs[at + Double.completeFrom]! }
    this.#recent[lane] = { stored: this.#doubles[at + Double.stored]!, recent }
    return recent
  }

  /** What this thread knows them to be; undefined when another thread has stored others since. */
  #knownRecent(lane: number): RecentChanges | undefined {
    const known = this.#recent[lane]
    return known?.stored === this.#doubles[this.#doubleAt(lane) + Double.stored] ? known?.recent : undefined
  }

  /** The header without its recent changes. Under the lane's lock. */
  state(lane: number): LaneState | undefined {
    const word = this.#wordAt(lane)
    if (this.#words[word + Word.present] === 0) return undefined
    const at = this.#doubleAt(lane)
    const epoch = BigInt.asUintN(64, this.#longs[at + Double.epoch]!)
    return {
      generation: { epoch, nonce: this.#words[word + Word.nonce]! >>> 0 },
      sequence: this.#doubles[at + Double.sequence]!,
      mark: { lsn: this.#longs[at + Double.lsn]!, sub: this.#longs[at + Double.sub]! },
    }
  }

  /** Takes the lane's header from it, under its lock: none of its records counts any more, whatever header comes next. */
  forget(lane: number): void {
    const word = this.#wordAt(lane)
    this.setAsOf(lane, NO_PROOF)
    this.#words[word + Word.present] = 0
    this.#words[word + Word.tag] = 0
  }

  /** Stores a header. Under the lane's lock. Another generation proves nothing yet, and its records get another tag. */
  setHeader(lane: number, header: LaneHeader): void {
    const before = this.state(lane)
    const word = this.#wordAt(lane)
    const at = this.#doubleAt(lane)
    if (before === undefined || !generationsEqual(before.generation, header.generation)) {
      this.setAsOf(lane, NO_PROOF)
      this.#words[word + Word.tag] = Atomics.add(this.#words, 0, 1) + 1
      this.#longs[at + Double.epoch] = header.generation.epoch
      this.#words[word + Word.nonce] = header.generation.nonce
    }
    this.#doubles[at + Double.sequence] = header.sequence
    this.#longs[at + Double.lsn] = header.mark.lsn
    this.#longs[at + Double.sub] = header.mark.sub
    if (before === undefined || this.#knownRecent(lane) !== header.recent) this.#setRecent(lane, header.recent)
    this.#words[word + Word.present] = 1
  }

  #setRecent(lane: number, recent: RecentChanges): void {
    const at = this.#doubleAt(lane)
    this.#longs[at + Double.completeFrom] = recent.completeFrom
    this.#words[this.#wordAt(lane) + Word.recent] = recent.changes.length
    for (const [i, change] of recent.changes.entries()) {
      const place = at + Double.changes + 4 * i
      this.#longs[place] = change.lsn
      this.#longs[place + 1] = change.xid
      this.#longs[place + 2] = change.change
      this.#longs[place + 3] = BigInt(change.keyHash)
    }
    const stored = this.#doubles[at + Double.stored]! + 1
    this.#doubles[at + Double.stored] = stored
    this.#recent[lane] = { stored, recent }
  }

  /**
   * Takes the header from every lane whose lock a dead thread holds, and frees the lock: whoever runs the tide begins the
   * lane anew. Returns how many.
   */
  recover(deadThread: number): number {
    let lost = 0
    for (let lane = 0; lane < this.lanes; lane++) {
      const at = this.#wordAt(lane)
      if (Atomics.load(this.#words, at + Word.lock) !== deadThread + 1) continue
      this.forget(lane)
      release(this.#words, at + Word.lock, at + Word.waiters)
      lost++
    }
    return lost
  }
}
