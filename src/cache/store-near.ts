// The near cache of a server: entries in the store that all of its threads share, near lanes in the lane table. Entries are
// records such as the embedded tier's, and a near lane is a header, so the path of a hit (Cache.isServable) is the same for
// both. One instance a thread and source; the instance that listens to the tier's messages is in the source's own thread.
// Every step on a lane is under its lock, and what leaves has left before the mark moves on.
// Not for: leases and fences, which are the tier's alone.
import type { Clock } from '../base/clock.ts'
import { asOfMs, type Sample } from '../coherence/freshness.ts'
import { keyHash, laneOf, noRecentChanges, type LaneState } from '../coherence/lane.ts'
import { initialise, mayEnter, receive, staysNear, type NearLane } from '../coherence/near-lane.ts'
import type { LaneMessage } from '../coherence/operations.ts'
import { decodeStamp, encodeStamp } from '../coherence/record-codec.ts'
import type { ChangeEvent } from '../coherence/stamp.ts'
import { RecordType } from '../store/layout.ts'
import type { Store } from '../store/store.ts'
import type { RecordMemory } from '../tier/embedded-tier.ts'
import { EMBEDDED_SHARD, type LaneTable } from '../tier/lane-table.ts'
import type { NearCache, NearEntry, NearFound } from './near-cache.ts'

/** Near lanes have no use for recent changes. One list for all, so that it is written once a lane. */
const NONE = noRecentChanges(0n)
const NOTHING = new Uint8Array(0)
const TICKET_CHANGES = 2 ** 21

interface Place {
  readonly key: Buffer
  /** In the store. */
  readonly hash: number
  readonly keyHash: number
  /** In the table. */
  readonly lane: number
}

export class StoreNear implements NearCache {
  readonly #store: Store
  readonly #table: LaneTable
  readonly #firstLane: number
  readonly #lanes: number
  readonly #clock: Clock
  readonly #keyspaceOf: (key: string) => number
  #samples: readonly Sample[] = []

  /** As many lanes as the tier has. */
  constructor(memory: RecordMemory) {
    this.#store = memory.store
    this.#table = memory.table
    this.#firstLane = memory.firstLane
    this.#lanes = memory.lanes
    this.#clock = memory.clock
    this.#keyspaceOf = memory.keyspaceOf
  }

  find(key: string): NearFound | undefined {
    const place = this.#place(key)
    return this.#table.withLane(place.lane, () => {
      const lane = this.#table.state(place.lane)
      if (lane === undefined) return undefined
      return this.#store.withLock(place.hash, () => this.#found(place, lane))
    })
  }

  // Under the lane's and the record's lock.
  #found(place: Place, lane: LaneState): NearFound | undefined {
    const store = this.#store
    const type = store.find(place.key, 0, place.key.length, place.hash, this.#clock.wallMs())
    if (type !== RecordType.row && type !== RecordType.absentRow) return undefined
    if (store.foundLane !== place.lane || store.foundGeneration !== this.#table.tag(place.lane)) return undefined
    const bytes = store.foundStamp()
    const stamp = decodeStamp(bytes, 0, bytes.length)
    if (stamp === undefined) return undefined
    let payload: Buffer | null = null
    if (type === RecordType.row) {
      payload = Buffer.allocUnsafe(store.foundValueBytes)
      store.copyValue(payload, 0)
    }
    const record = { type: 'value', generation: lane.generation, stamp, payload } as const
    return { record, lane, asOfMs: this.#table.asOf(place.lane) }
  }

  begin(key: string): number {
    return this.#ticket(this.#place(key))
  }

  // The lane's tag is another one after everything had to leave.
  #ticket(place: Place): number {
    const tag = this.#table.tag(place.lane) >>> 0
    return tag * TICKET_CHANGES + (this.#table.keyChanges.of(place.keyHash) % TICKET_CHANGES)
  }

  admit(key: string, entry: NearEntry): boolean {
    const place = this.#place(key)
    return this.#table.withLane(place.lane, () => {
      if (entry.ticket !== this.#ticket(place)) return false
      if (!mayEnter(this.#table.state(place.lane), entry.lane)) return false
      return this.#store.withLock(place.hash, () => this.#write(key, place, entry))
    })
  }

  // Under the lane's and the record's lock.
  #write(text: string, place: Place, { record, ttlMs }: NearEntry): boolean {
    const { key, hash, lane } = place
    const payload = record.payload ?? NOTHING
    const type = record.payload === null ? RecordType.absentRow : RecordType.row
    const wallMs = this.#clock.wallMs()
    const expiresAtMs = ttlMs === undefined ? 0 : wallMs + ttlMs
    const generation = this.#table.tag(lane)
    const coherent = { lane, keyspace: this.#keyspaceOf(text), generation, stamp: encodeStamp(record.stamp) }
    const { length } = payload
    const outcome = this.#store.put(key, 0, key.length, hash, type, payload, 0, length, expiresAtMs, wallMs, coherent)
    if (outcome !== 'stored') this.#store.remove(key, 0, key.length, hash)
    return outcome === 'stored'
  }

  drop(key: string): void {
    const place = this.#place(key)
    this.#table.withLane(place.lane, () => this.#drop(place))
  }

  // Under the lane's lock.
  #drop(place: Place): void {
    this.#table.keyChanges.count(place.keyHash)
    this.#removeUnless(place, () => false)
  }

  lane(lane: number): NearLane {
    const at = this.#firstLane + lane
    return this.#table.withLane(at, () => this.#table.state(at))
  }

  initialise(lane: number, header: LaneState | undefined): void {
    const at = this.#firstLane + lane
    this.#table.withLane(at, () => {
      const known = this.#table.state(at)
      const next = initialise(known, header)
      if (next !== undefined && known === undefined) this.#setLane(at, next)
    })
  }

  prove(samples: readonly Sample[]): void {
    this.#samples = samples
    for (let lane = this.#firstLane; lane < this.#firstLane + this.#lanes; lane++) {
      this.#table.withLane(lane, () => this.#table.setAsOf(lane, asOfMs(samples, this.#table.state(lane))))
    }
  }

  message(lane: number, message: LaneMessage): void {
    const at = this.#firstLane + lane
    this.#table.withLane(at, () => {
      const step = receive(this.#table.state(at), message)
      if (!step.continues) this.#dropLane(at)
      for (const event of message.events) this.#changed(event)
      for (const key of message.voids) this.#drop(this.#place(key))
      this.#setLane(at, step.lane)
    })
  }

  lost(lanes: readonly number[]): void {
    for (const lane of lanes) {
      const at = this.#firstLane + lane
      this.#table.withLane(at, () => this.#dropLane(at))
    }
  }

  // Under the lane's lock, after all that the mark says has been done.
  #setLane(lane: number, state: LaneState): void {
    this.#table.setHeader(lane, { ...state, shard: EMBEDDED_SHARD, recent: NONE })
    this.#table.setAsOf(lane, asOfMs(this.#samples, state))
  }

  // Under the lane's lock. Its entries stay where they are, and count for nothing.
  #dropLane(lane: number): void {
    this.#table.forget(lane)
    this.#store.changes.rowsChanged()
  }

  // Under the lane's lock.
  #changed(event: ChangeEvent): void {
    const place = this.#place(event.key)
    this.#table.keyChanges.count(place.keyHash)
    this.#removeUnless(place, bytes => {
      const stamp = decodeStamp(bytes, 0, bytes.length)
      return stamp !== undefined && staysNear(stamp, event)
    })
  }

  // Under the lane's lock. Whatever becomes of the entry: clients may have the row from the tier or the database.
  #removeUnless({ key, hash, lane }: Place, stays: (stamp: Buffer) => boolean): void {
    this.#store.withLock(hash, () => {
      this.#store.changes.changed(hash, key, 0, key.length)
      const type = this.#store.find(key, 0, key.length, hash, this.#clock.wallMs())
      if (type < RecordType.row || this.#store.foundLane !== lane) return
      if (!stays(this.#store.foundStamp())) this.#store.remove(key, 0, key.length, hash)
    })
  }

  #place(text: string): Place {
    const key = Buffer.from(text)
    const hash = this.#store.hash(key, 0, key.length)
    const ofKey = keyHash(text)
    return { key, hash, keyHash: ofKey, lane: this.#firstLane + laneOf(ofKey, this.#lanes) }
  }
}
