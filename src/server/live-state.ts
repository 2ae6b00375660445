// What all server threads share about clients, and may change at any time: who listens to channels, whether commands are
// paused, and the settings that CONFIG SET changes. Each number is read whole, without a lock. Not for: settings that hold
// from the start to the end (settings.ts).
//
//   doubles 0..14: LiveNumber     int32 30: slow commands, counted     bytes 128..1024: the password, its length first (int32 32)
//   then, for each thread, int32: patterns subscribed to | channels subscribed to, by hash: CHANNEL_SLOTS counters
import { hash32 } from '../base/hash.ts'

export const LiveNumber = {
  /** Monotonic ms; commands wait until then. */
  pausedUntilMs: 0,
  /** 1: only those that write, 2: all. */
  pausedKind: 1,
  connectionsMax: 2,
  /** Microseconds; negative: no slow log. */
  slowerThan: 3,
  slowLogMax: 4,
  /** Idle connections are closed after so many seconds; 0: never. */
  idleSeconds: 5,
  /** ms; 0: the latency monitor is off. */
  latencyThreshold: 6,
} as const

const SLOW_WORD = 30
const PASSWORD_WORD = 32
const PASSWORD_BYTE = 132
/** The longest password, in bytes. */
export const PASSWORD_BYTES_MAX = 892
const THREADS_BYTE = 1024
const CHANNEL_SLOTS = 1023
const THREAD_WORDS = CHANNEL_SLOTS + 1

export interface LiveStart {
  readonly connectionsMax: number
  readonly requirepass: string | undefined
}

export class LiveState {
  readonly shared: SharedArrayBuffer
  readonly numbers: Float64Array<SharedArrayBuffer>
  readonly #words: Int32Array<SharedArrayBuffer>
  readonly #bytes: Uint8Array<SharedArrayBuffer>
  readonly #threads: number

  private constructor(shared: SharedArrayBuffer) {
    this.shared = shared
    this.numbers = new Float64Array(shared, 0, 15)
    this.#words = new Int32Array(shared)
    this.#bytes = new Uint8Array(shared)
    this.#threads = (shared.byteLength - THREADS_BYTE) / 4 / THREAD_WORDS
  }

  static create(threads: number, start: LiveStart): LiveState {
    const live = new LiveState(new SharedArrayBuffer(THREADS_BYTE + threads * THREAD_WORDS * 4))
    live.numbers[LiveNumber.connectionsMax] = start.connectionsMax
    live.numbers[LiveNumber.slowerThan] = 10_000
    live.numbers[LiveNumber.slowLogMax] = 128
    live.password = start.requirepass ?? ''
    return live
  }

  static attach(shared: SharedArrayBuffer): LiveState {
    return new LiveState(shared)
  }

  /** Empty: none is asked for. */
  get password(): string {
    const length = Atomics.load(this.#words, PASSWORD_WORD)
    return Buffer.from(this.#bytes.slice(PASSWORD_BYTE, PASSWORD_BYTE + length)).toString()
  }

  set password(password: string) {
    const bytes = Buffer.from(password)
    this.#bytes.set(bytes, PASSWORD_BYTE)
    Atomics.store(this.#words, PASSWORD_WORD, bytes.length)
  }

  /** Counts slow commands over all threads. */
  nextSlowId(): number {
    return Atomics.add(this.#words, SLOW_WORD, 1)
  }

  #patternsAt(thread: number): number {
    return THREADS_BYTE / 4 + thread * THREAD_WORDS
  }

  #slotOf(channel: string): number {
    const bytes = Buffer.from(channel, 'latin1')
    return 1 + ((hash32(bytes, 0, bytes.length, 0) >>> 0) % CHANNEL_SLOTS)
  }

  countPattern(thread: number, amount: 1 | -1): void {
    Atomics.add(this.#words, this.#patternsAt(thread), amount)
  }

  countChannel(thread: number, channel: string, amount: 1 | -1): void {
    Atomics.add(this.#words, this.#patternsAt(thread) + this.#slotOf(channel), amount)
  }

  /** Whether a client of another thread than `thread` may listen to the channel. */
  othersListen(thread: number, channel: string): boolean {
    const slot = this.#slotOf(channel)
    for (let other = 0; other < this.#threads; other++) {
      if (other === thread) continue
      const at = this.#patternsAt(other)
      if (Atomics.load(this.#words, at) > 0 || Atomics.load(this.#words, at + slot) > 0) return true
    }
    return false
  }

  /** The thread died, and its clients with it. */
  forget(thread: number): void {
    const at = this.#patternsAt(thread)
    for (let i = 0; i < THREAD_WORDS; i++) Atomics.store(this.#words, at + i, 0)
  }
}
