// Writes that are in the journal and not yet in the source, by key: what reads see meanwhile, what is sent next, and up to
// which entry the journal may forget. Of several writes of a key the last is sent, and never two at once: what comes while one
// is on its way waits for it, so that the source sees the writes of a key in their order.
// A pure state machine: it sends nothing, and time and randomness are passed in.
// Not for: more than one journal; the order of writes of different keys, which is only about that of the writes.
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { Heap } from './heap.ts'

export type Write = { readonly kind: 'set'; readonly value: Uint8Array } | { readonly kind: 'remove' }

/** A write that is to be sent, or on its way. */
export interface PendingWrite {
  readonly key: string
  readonly write: Write
  /** Its number in the journal; it stands for all earlier writes of the key. */
  readonly sequence: number
  /** How often a write of the key was tried in vain since the last that went well. */
  readonly attempts: number
}

export interface PendingWritesOptions {
  readonly clock: Clock
  readonly random: Random
  /** The journal's `confirmed` when it was opened. */
  readonly confirmed: number
  /** Keys that may wait or be on their way (see admit). */
  readonly keysMax: number
  /** Writes that are sent together. */
  readonly batchMax: number
  /** A write waits for others so long at most, while the source takes what it is given. */
  readonly maxDelayMs: number
  /** After a failure the next attempt is so much later: twice as much after each, up to the second; half of it is random. */
  readonly retryMs: number
  readonly retryMaxMs: number
}

interface Waiting extends PendingWrite {
  write: Write
  sequence: number
  /** The number of the oldest write that it stands for, and when that was added. */
  readonly oldest: number
  readonly sinceMs: number
  /** Not before. */
  readonly readyMs: number
}

interface KeyState {
  waiting: Waiting | undefined
  flying: Waiting | undefined
}

export class PendingWrites {
  readonly #options: PendingWritesOptions
  readonly #keys = new Map<string, KeyState>()
  /** May be sent, oldest first; those whose attempt failed come over from `delayed`. A key is in one of them, or flies. */
  readonly #ready = new Heap<Waiting>((a, b) => a.oldest < b.oldest)
  readonly #delayed = new Heap<Waiting>((a, b) => a.readyMs < b.readyMs)
  /** Numbers of all that waits or flies. */
  readonly #outstanding = new Set<number>()
  /** Nothing at or below it is outstanding. */
  #confirmable: number
  #added: number
  #admitted = 0
  #failures = 0
  #pausedUntilMs = -Infinity

  constructor(options: PendingWritesOptions) {
    const { batchMax, keysMax, retryMs, retryMaxMs } = options
    assert(batchMax > 0 && keysMax > 0 && retryMs > 0 && retryMaxMs >= retryMs, 'pending writes have bounds')
    this.#options = options
    this.#confirmable = this.#added = options.confirmed
  }

  /** Keys that wait or are on their way. */
  get size(): number {
    return this.#keys.size
  }

  /**
   * Makes room for a number of writes before they go to the journal; false when it is not there. Each of them is added
   * then, or withdrawn. A key that is written again counts twice until it is added.
   */
  admit(writes: number): boolean {
    if (this.#keys.size + this.#admitted + writes > this.#options.keysMax) return false
    this.#admitted += writes
    return true
  }

  /** The journal did not take what was admitted. */
  withdraw(writes: number): void {
    assert(writes <= this.#admitted, 'what is withdrawn was admitted')
    this.#admitted -= writes
  }

  /** A write that the journal has acknowledged, or handed out when it was opened: each, in the order of their numbers. */
  add(key: string, write: Write, sequence: number): void {
    assert(sequence === this.#added + 1, 'writes are added in the order of the journal')
    this.#added = sequence
    if (this.#admitted > 0) this.#admitted--
    this.#outstanding.add(sequence)
    const state = this.#keys.get(key)
    if (state?.waiting !== undefined) {
      this.#outstanding.delete(state.waiting.sequence)
      state.waiting.write = write
      state.waiting.sequence = sequence
      return
    }
    const sinceMs = this.#options.clock.monotonicMs()
    const waiting: Waiting = { key, write, sequence, attempts: 0, oldest: sequence, sinceMs, readyMs: sinceMs }
    if (state === undefined) {
      this.#keys.set(key, { waiting, flying: undefined })
      this.#ready.push(waiting)
    } else state.waiting = waiting
  }

  /** The latest write of the key that may not be in the source yet. */
  get(key: string): Write | undefined {
    const state = this.#keys.get(key)
    return (state?.waiting ?? state?.flying)?.write
  }

  /** The number of the write that `get` gives. */
  sequenceOf(key: string): number | undefined {
    const state = this.#keys.get(key)
    return (state?.waiting ?? state?.flying)?.sequence
  }

  /** Keys with their latest write, in no order. */
  *entries(): Generator<readonly [string, Write]> {
    for (const [key, { waiting, flying }] of this.#keys) yield [key, (waiting ?? flying)!.write]
  }

  /** When the oldest of all that waits or flies was added, on the clock's monotonic scale. Looks at each key. */
  oldestMs(): number | undefined {
    let oldestMs = Infinity
    for (const { waiting, flying } of this.#keys.values()) {
      oldestMs = Math.min(oldestMs, waiting?.sinceMs ?? Infinity, flying?.sinceMs ?? Infinity)
    }
    return oldestMs === Infinity ? undefined : oldestMs
  }

  /**
   * When there will be something to take, on the clock's monotonic scale, if nothing is added, sent or failed until then;
   * undefined when never. `hurried`: for take(true).
   */
  dueMs(hurried = false): number | undefined {
    this.#wake()
    const { batchMax, maxDelayMs } = this.#options
    const oldest = this.#ready.first()
    let dueMs = this.#delayed.first()?.readyMs ?? Infinity
    if (oldest !== undefined) {
      const now = hurried || oldest.attempts > 0 || this.#ready.size >= batchMax
      dueMs = Math.min(dueMs, now ? oldest.sinceMs : oldest.sinceMs + maxDelayMs)
    }
    return dueMs === Infinity ? undefined : Math.max(dueMs, this.#pausedUntilMs)
  }

  /**
   * The next batch, on its way from now on: the oldest writes, at most `batchMax` (or `most`, if that is less). None while
   * there are too few that have not waited for long enough, or the source is left alone after a failure. `hurried`: as if all
   * had waited for long enough.
   * Each write that was taken has to be given to `sent` or `failed`.
   */
  take(hurried = false, most: number = Infinity): readonly PendingWrite[] {
    const dueMs = this.dueMs(hurried)
    const batch: Waiting[] = []
    if (dueMs === undefined || dueMs > this.#options.clock.monotonicMs()) return batch
    const count = Math.min(most, this.#options.batchMax, this.#ready.size)
    while (batch.length < count) {
      const next = this.#ready.pop()!
      const state = this.#keys.get(next.key)!
      state.flying = next
      state.waiting = undefined
      batch.push(next)
    }
    return batch
  }

  /** These are in the source, or were given up. */
  sent(writes: readonly PendingWrite[]): void {
    if (writes.length === 0) return
    this.#failures = 0
    this.#pausedUntilMs = -Infinity
    for (const write of writes) {
      const state = this.#land(write)
      this.#outstanding.delete(write.sequence)
      if (state.waiting === undefined) this.#keys.delete(write.key)
      else this.#ready.push(state.waiting)
    }
  }

  /**
   * It is not known that these are in the source: they, or what was written to their keys since, are sent again later. `pauses`: the
   * source may be at fault, and is left alone meanwhile.
   */
  failed(writes: readonly PendingWrite[], pauses: boolean = true): void {
    if (writes.length === 0) return
    const nowMs = this.#options.clock.monotonicMs()
    if (pauses) this.#pausedUntilMs = nowMs + this.#backoffMs(this.#failures++)
    for (const write of writes) {
      const state = this.#land(write)
      if (state.waiting !== undefined) this.#outstanding.delete(write.sequence)
      const { write: latest, sequence } = state.waiting ?? write
      const attempts = write.attempts + 1
      const readyMs = nowMs + this.#backoffMs(write.attempts)
      state.waiting = { ...(write as Waiting), write: latest, sequence, attempts, readyMs }
      this.#delayed.push(state.waiting)
    }
  }

  /** The number up to which all entries of the journal are in the source, or are overtaken by a later one that is in the journal. */
  confirmable(): number {
    while (this.#confirmable < this.#added && !this.#outstanding.has(this.#confirmable + 1)) this.#confirmable++
    return this.#confirmable
  }

  #land(write: PendingWrite): KeyState {
    const state = this.#keys.get(write.key)
    assert(state !== undefined && state.flying === write, 'only what was taken is sent or has failed')
    state.flying = undefined
    return state
  }

  /** Moves over what has waited for long enough after its attempt failed. */
  #wake(): void {
    const nowMs = this.#options.clock.monotonicMs()
    for (let next = this.#delayed.first(); next !== undefined && next.readyMs <= nowMs; next = this.#delayed.first()) {
      this.#delayed.pop()
      this.#ready.push(next)
    }
  }

  #backoffMs(failuresBefore: number): number {
    const { random, retryMs, retryMaxMs } = this.#options
    return Math.min(retryMs * 2 ** failuresBefore, retryMaxMs) * (0.5 + random.fraction() / 2)
  }
}
