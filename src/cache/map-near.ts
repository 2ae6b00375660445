// A near cache of one process in plain Maps. What it finds is handed out as it is: nobody may write to it. When it is full,
// what was admitted first leaves first. Not for: servers, whose threads share one store (store-near.ts).
import type { Clock } from '../base/clock.ts'
import { asOfMs, type Sample } from '../coherence/freshness.ts'
import { keyHash, laneOf, type LaneState } from '../coherence/lane.ts'
import type { NearLane } from '../coherence/near-lane.ts'
import * as coherence from '../coherence/near-lane.ts'
import type { LaneMessage } from '../coherence/operations.ts'
import type { ValueRecord } from '../coherence/record.ts'
import type { ChangeEvent } from '../coherence/stamp.ts'
import { KEY_CHANGE_COUNTERS, KeyChanges } from '../tier/key-changes.ts'
import type { NearCache, NearEntry, NearFound } from './near-cache.ts'

/** The pure rules, for a test that puts broken ones in their place. */
export type NearRules = typeof coherence

export interface MapNearOptions {
  /** Of the tier. */
  readonly lanes: number
  readonly clock: Clock
  readonly entriesMax: number
  readonly rules?: NearRules
}

interface Held {
  readonly lane: number
  readonly record: ValueRecord
  readonly expiresAtMs: number
}

interface Lane {
  state: NearLane
  /** How often all of its entries had to leave. */
  breaks: number
  asOfMs: number | undefined
  readonly keys: Set<string>
}

const TICKET_CHANGES = 2 ** 26

export class MapNear implements NearCache {
  readonly #clock: Clock
  readonly #entriesMax: number
  readonly #rules: NearRules
  readonly #lanes: readonly Lane[]
  readonly #held = new Map<string, Held>()
  readonly #changes = new KeyChanges(new Int32Array(KEY_CHANGE_COUNTERS))
  #samples: readonly Sample[] = []

  constructor(options: MapNearOptions) {
    this.#clock = options.clock
    this.#entriesMax = options.entriesMax
    this.#rules = options.rules ?? coherence
    this.#lanes = Array.from({ length: options.lanes }, () => {
      return { state: undefined, breaks: 0, asOfMs: undefined, keys: new Set<string>() }
    })
  }

  /** How many entries are held. */
  get size(): number {
    return this.#held.size
  }

  find(key: string): NearFound | undefined {
    const held = this.#held.get(key)
    if (held === undefined) return undefined
    const lane = this.#lanes[held.lane]!
    if (lane.state === undefined) return undefined
    if (held.expiresAtMs <= this.#clock.monotonicMs()) {
      this.#remove(key)
      return undefined
    }
    lane.asOfMs ??= asOfMs(this.#samples, lane.state)
    return { record: held.record, lane: lane.state, asOfMs: lane.asOfMs }
  }

  begin(key: string): number {
    const hash = keyHash(key)
    const { breaks } = this.#lanes[this.#laneOf(hash)]!
    return breaks * TICKET_CHANGES + (this.#changes.of(hash) % TICKET_CHANGES)
  }

  admit(key: string, entry: NearEntry): boolean {
    const at = this.#laneOf(keyHash(key))
    const lane = this.#lanes[at]!
    if (entry.ticket !== this.begin(key)) return false
    if (!this.#rules.mayEnter(lane.state, entry.lane)) return false
    this.#remove(key)
    this.#makeRoom()
    const expiresAtMs = entry.ttlMs === undefined ? Infinity : this.#clock.monotonicMs() + entry.ttlMs
    this.#held.set(key, { lane: at, record: entry.record, expiresAtMs })
    lane.keys.add(key)
    return true
  }

  drop(key: string): void {
    this.#changes.count(keyHash(key))
    this.#remove(key)
  }

  lane(lane: number): NearLane {
    return this.#lanes[lane]!.state
  }

  initialise(lane: number, header: LaneState | undefined): void {
    const known = this.#lanes[lane]!
    known.state = this.#rules.initialise(known.state, header)
    known.asOfMs = undefined
  }

  prove(samples: readonly Sample[]): void {
    this.#samples = samples
    for (const lane of this.#lanes) lane.asOfMs = undefined
  }

  message(lane: number, message: LaneMessage): void {
    const known = this.#lanes[lane]!
    const step = this.#rules.receive(known.state, message)
    if (!step.continues) this.#dropLane(known)
    for (const event of message.events) this.#changed(event)
    for (const key of message.voids) this.drop(key)
    known.state = step.lane
    known.asOfMs = undefined
  }

  lost(lanes: readonly number[]): void {
    for (const lane of lanes) {
      const known = this.#lanes[lane]!
      this.#dropLane(known)
      known.state = undefined
    }
  }

  #changed(event: ChangeEvent): void {
    this.#changes.count(keyHash(event.key))
    const held = this.#held.get(event.key)
    if (held === undefined || this.#rules.staysNear(held.record.stamp, event)) return
    this.#remove(event.key)
  }

  #dropLane(lane: Lane): void {
    lane.breaks++
    for (const key of lane.keys) this.#held.delete(key)
    lane.keys.clear()
  }

  #remove(key: string): void {
    const held = this.#held.get(key)
    if (held === undefined) return
    this.#held.delete(key)
    this.#lanes[held.lane]!.keys.delete(key)
  }

  #makeRoom(): void {
    while (this.#held.size >= this.#entriesMax) {
      const [oldest] = this.#held.keys()
      if (oldest === undefined) return
      this.#remove(oldest)
    }
  }

  #laneOf(hash: number): number {
    return laneOf(hash, this.#lanes.length)
  }
}
