// The near cache of a process that keeps objects, in front of a tier that processes share. The path of a hit
// (library/keyspace.ts) looks into the object cache by itself; this takes care of what may be found there, and of what is
// known of the lanes. Not for: one process alone (tier/object-tier.ts), servers (store-near.ts).
import { asOfMs, NO_PROOF, type Sample } from '../coherence/freshness.ts'
import { keyHash, laneOf, type LaneState } from '../coherence/lane.ts'
import { initialise, mayEnter, receive, staysNear, type NearLane } from '../coherence/near-lane.ts'
import type { LaneMessage } from '../coherence/operations.ts'
import type { Stamp } from '../coherence/stamp.ts'
import type { ObjectPlaces } from '../near/object-places.ts'
import { KEY_CHANGE_COUNTERS, KeyChanges } from '../tier/key-changes.ts'
import type { NearCache, NearEntry, NearFound } from './near-cache.ts'

export interface ObjectNearOptions {
  readonly places: ObjectPlaces
  /** The tier's lanes are [firstLane, firstLane + lanes) of the object cache. */
  readonly firstLane: number
  readonly lanes: number
  /** Told of keys that are not to be found any more because something happened to them, and of lanes all of whose keys are not. */
  readonly gone?: { key(key: string): void; lane(lane: number): void } | undefined
  /** Told of payloads that are in memory now. */
  readonly admitted?: ((payload: unknown) => void) | undefined
  /** What may not be held whatever is known of its lane. */
  readonly mayHold?: ((key: string, stamp: Stamp) => boolean) | undefined
}

interface Lane {
  state: NearLane
  /** How often all of its entries had to leave. */
  breaks: number
}

const TICKET_CHANGES = 2 ** 26

export class ObjectNear implements NearCache<unknown> {
  readonly #places: ObjectPlaces
  readonly #firstLane: number
  readonly #lanes: readonly Lane[]
  readonly #gone: ObjectNearOptions['gone']
  readonly #admitted: ObjectNearOptions['admitted']
  readonly #mayHold: ObjectNearOptions['mayHold']
  readonly #changes = new KeyChanges(new Int32Array(KEY_CHANGE_COUNTERS))
  #samples: readonly Sample[] = []

  constructor(options: ObjectNearOptions) {
    this.#places = options.places
    this.#firstLane = options.firstLane
    this.#gone = options.gone
    this.#admitted = options.admitted
    this.#mayHold = options.mayHold
    this.#lanes = Array.from({ length: options.lanes }, () => ({ state: undefined, breaks: 0 }))
  }

  find(key: string): NearFound<unknown> | undefined {
    const at = this.#laneOf(keyHash(key))
    const { state } = this.#lanes[at]!
    const held = state && this.#places.find<Stamp>(key)
    if (state === undefined || held === undefined) return undefined
    const record = { type: 'value', generation: state.generation, ...held } as const
    return { record, lane: state, asOfMs: this.#places.pool.asOfMs[this.#firstLane + at]! }
  }

  begin(key: string): number {
    const hash = keyHash(key)
    const { breaks } = this.#lanes[this.#laneOf(hash)]!
    return breaks * TICKET_CHANGES + (this.#changes.of(hash) % TICKET_CHANGES)
  }

  admit(key: string, entry: NearEntry<unknown>): boolean {
    const at = this.#laneOf(keyHash(key))
    if (entry.ticket !== this.begin(key)) return false
    if (!mayEnter(this.#lanes[at]!.state, entry.lane)) return false
    const { payload, stamp } = entry.record
    if (this.#mayHold?.(key, stamp) === false) return false
    const ttl = entry.ttlMs === undefined ? {} : { ttlMs: entry.ttlMs }
    const kept = this.#places.put(key, { payload, stamp, lane: this.#firstLane + at, ...ttl })
    if (kept) this.#admitted?.(payload)
    return kept
  }

  drop(key: string): void {
    this.#changes.count(keyHash(key))
    this.#places.remove(key)
    this.#gone?.key(key)
  }

  lane(lane: number): NearLane {
    return this.#lanes[lane]!.state
  }

  initialise(lane: number, header: LaneState | undefined): void {
    this.#know(lane, initialise(this.#lanes[lane]!.state, header))
  }

  prove(samples: readonly Sample[]): void {
    this.#samples = samples
    for (let lane = 0; lane < this.#lanes.length; lane++) this.#know(lane, this.#lanes[lane]!.state)
  }

  message(lane: number, message: LaneMessage): void {
    const step = receive(this.#lanes[lane]!.state, message)
    if (!step.continues) this.#dropLane(lane)
    for (const event of message.events) {
      this.#changes.count(keyHash(event.key))
      const held = this.#places.find<Stamp>(event.key)
      // What is kept after its time does not reflect the change either.
      if (held === undefined || !staysNear(held.stamp, event)) this.#places.remove(event.key)
    }
    for (const key of message.voids) this.drop(key)
    this.#know(lane, step.lane)
  }

  lost(lanes: readonly number[]): void {
    for (const lane of lanes) {
      this.#dropLane(lane)
      this.#know(lane, undefined)
    }
  }

  #know(lane: number, state: NearLane): void {
    this.#lanes[lane]!.state = state
    this.#places.pool.asOfMs[this.#firstLane + lane] = state === undefined ? NO_PROOF : asOfMs(this.#samples, state)
  }

  #dropLane(lane: number): void {
    this.#lanes[lane]!.breaks++
    this.#gone?.lane(lane)
    this.#places.pool.dropLane(this.#firstLane + lane)
  }

  #laneOf(hash: number): number {
    return laneOf(hash, this.#lanes.length)
  }
}
