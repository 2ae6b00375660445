// What the threads of near-threads.test.ts share: a tier of a few lanes, reduced to a mark, a sequence and the current
// version of each key under one lock a lane; and when each version ceased to be current, by a clock that counts steps.
import { LaneTable } from '../../src/tier/lane-table.ts'
import { StoreNear } from '../../src/cache/store-near.ts'
import { keyHash, laneOf, type LaneState } from '../../src/coherence/lane.ts'
import type { ValueRecord } from '../../src/coherence/record.ts'
import { acquire, release } from '../../src/store/lock.ts'
import { Store } from '../../src/store/store.ts'
import type { SharedStore } from '../../src/store/store-reader.ts'
import { ManualClock } from '../../src/testing/clock.ts'

export const LANES = 2
export const KEYS: readonly string[] = Array.from({ length: 6 }, (_, i) => `w:${i}`)
export const VERSIONS_MAX = 20_000
const GENERATION = { epoch: 7n, nonce: 1 }
const HEAD_WORDS = 8
const LANE_WORDS = 4

export interface Shared {
  readonly store: SharedStore
  readonly table: SharedArrayBuffer
  readonly words: SharedArrayBuffer
}

/** What one thread saw. */
export interface Seen {
  readonly hits: number
  readonly admitted: number
  readonly refused: number
  readonly violation: string | undefined
}

export function raceWords(): SharedArrayBuffer {
  return new SharedArrayBuffer((HEAD_WORDS + LANES * LANE_WORDS + KEYS.length * (1 + VERSIONS_MAX)) * 4)
}

export class Race {
  readonly store: Store
  readonly table: LaneTable
  readonly near: StoreNear
  readonly #words: Int32Array<SharedArrayBuffer>
  readonly #thread: number

  constructor(shared: Shared, thread: number) {
    this.store = Store.attach(shared.store, thread)
    this.table = LaneTable.attach(shared.table, thread)
    this.#words = new Int32Array(shared.words)
    this.#thread = thread
    const clock = new ManualClock()
    const { store, table } = this
    this.near = new StoreNear({ store, table, firstLane: 0, lanes: LANES, clock, keyspaceOf: () => 0 })
  }

  get over(): boolean {
    return Atomics.load(this.#words, 1) !== 0
  }

  end(): void {
    Atomics.store(this.#words, 1, 1)
  }

  now(): number {
    return Atomics.load(this.#words, 0)
  }

  /** How far the log has come: of all lanes. */
  position(): bigint {
    return BigInt(Atomics.load(this.#words, 2))
  }

  laneOf(key: string): number {
    return laneOf(keyHash(key), LANES)
  }

  #laneAt(lane: number): number {
    return HEAD_WORDS + lane * LANE_WORDS
  }

  #versionsAt(key: number): number {
    return HEAD_WORDS + LANES * LANE_WORDS + key * (1 + VERSIONS_MAX)
  }

  #locked<T>(lane: number, body: () => T): T {
    const at = this.#laneAt(lane)
    acquire(this.#words, at, at + 1, this.#thread)
    try {
      return body()
    } finally {
      release(this.#words, at, at + 1)
    }
  }

  state(lane: number): LaneState {
    const at = this.#laneAt(lane)
    const mark = { lsn: BigInt(this.#words[at + 2]!), sub: 0n }
    return { generation: GENERATION, sequence: this.#words[at + 3]!, mark }
  }

  /** The key's next version, with the lane's mark past it: what the tide has just applied. Returns the mark. */
  change(key: number): bigint {
    const lane = this.laneOf(KEYS[key]!)
    return this.#locked(lane, () => {
      const versions = this.#versionsAt(key)
      const version = this.#words[versions]!
      Atomics.store(this.#words, versions + 1 + version, Atomics.add(this.#words, 0, 1) + 1)
      this.#words[versions] = version + 1
      const at = this.#laneAt(lane)
      this.#words[at + 2] = Atomics.add(this.#words, 2, 2) + 2
      this.#words[at + 3]! += 1
      return BigInt(this.#words[at + 2]!)
    })
  }

  /** Record and lane as of one instant. */
  read(key: number): { lane: LaneState; record: ValueRecord } {
    const at = this.laneOf(KEYS[key]!)
    return this.#locked(at, () => {
      const lane = this.state(at)
      const payload = Buffer.from(String(this.#words[this.#versionsAt(key)]!))
      // Written before the mark, and after all that came before that: a later change does not leave it.
      const stamp = { kind: 'write', xid: 1n, at: lane.mark.lsn, epoch: 7n, upto: lane.mark.lsn } as const
      return { lane, record: { type: 'value', generation: GENERATION, stamp, payload } }
    })
  }

  /** Whether the version was current at `asOf` or later. */
  wasCurrent(key: number, version: number, asOf: number): boolean {
    const ended = Atomics.load(this.#words, this.#versionsAt(key) + 1 + version)
    return ended === 0 || ended > asOf
  }
}
