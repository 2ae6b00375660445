// The tier of one process: records in the shared store, headers in the lane table, the operations of coherence/ run under
// the lane's lock and then the record's shard lock. One instance a thread and source; all threads see the same records.
// Not for: the path of a hit, which reads store and lane table by itself (cache/cache.ts).
//
// A record's payload is the row; a lease's or fence's value is its token and, in monotonic ms, its end: 16 bytes. A row that is
// loaded anew is a record of another type, so that the path of a hit comes here for it: the renewal's token and end, the row's own end
// in wall ms (0: none) and whether it is absent, 8 bytes each, and then the payload.
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import type { Generation } from '../coherence/generation.ts'
import { keyHash, keyHashOf, laneOf, type LaneHeader, type LaneState } from '../coherence/lane.ts'
import * as coherence from '../coherence/operations.ts'
import type { ApplyRequest, Decision, LaneMessage } from '../coherence/operations.ts'
import {
  isLive,
  type LeaseRecord,
  type RecordHead,
  type TierRecord,
  type Token,
  type ValueRecord,
} from '../coherence/record.ts'
import { decodeStamp, writeStamp } from '../coherence/record-codec.ts'
import type { LoadStamp, Stamp, WriteStamp } from '../coherence/stamp.ts'
import { RecordType } from '../store/layout.ts'
import type { CoherentPart } from '../store/store-writer.ts'
import type { Store } from '../store/store.ts'
import { EMBEDDED_SHARD, type LaneTable } from './lane-table.ts'
import {
  renewed,
  type LeaseOptions,
  type RenewOptions,
  type ResetOptions,
  type Tier,
  type TierLane,
  type TierLease,
  type TierRead,
  type TierValue,
  type TooLarge,
} from './tier.ts'

/** Where a source's records and headers are in this process. */
export interface RecordMemory {
  readonly store: Store
  readonly table: LaneTable
  /** The source's lanes are [firstLane, firstLane + lanes) of the table. */
  readonly firstLane: number
  readonly lanes: number
  readonly clock: Clock
  /** The number, below 2^16, by which records of this key name their keyspace. */
  readonly keyspaceOf: (key: string) => number
}

export interface EmbeddedTierOptions extends RecordMemory {
  /** Called with every message to near caches, in each lane's order, under the lane's lock: for a tier that others share. */
  readonly publish?: (lane: number, message: LaneMessage) => void
}

/** Of no lane: what a record of an earlier generation is given, whose own is not known any more. */
const GONE: Generation = { epoch: -1n, nonce: -1 }
const NOTHING = new Uint8Array(0)
/** Before the payload of a row that is loaded anew. */
const RENEWED_BYTES = 32

/** Keys of so many characters are made bytes in a place of the tier's own: a buffer for each, and a view of it, cost as much as the rest. */
const SHORT_KEY_MAX = 256

/** A key's bytes are [0, keyEnd), until the next key is placed. */
interface Place {
  readonly key: Buffer
  readonly keyEnd: number
  readonly hash: number
  readonly lane: number
}

export class EmbeddedTier implements Tier {
  readonly lanes: number
  readonly #store: Store
  readonly #table: LaneTable
  readonly #firstLane: number
  readonly #clock: Clock
  readonly #keyspaceOf: (key: string) => number
  readonly #publish: EmbeddedTierOptions['publish']
  readonly #keyBytes = Buffer.alloc(3 * SHORT_KEY_MAX)
  readonly #stampBytes = new Uint8Array(limits.stampBytesMax)
  readonly #claimBytes = Buffer.alloc(16)
  /** When the value that was found last is over, in wall ms; 0: never. */
  #endsAtMs = 0
  /** When it was looked for, in wall ms. */
  #foundAtMs = 0

  constructor(options: EmbeddedTierOptions) {
    this.lanes = options.lanes
    this.#store = options.store
    this.#table = options.table
    this.#firstLane = options.firstLane
    this.#clock = options.clock
    this.#keyspaceOf = options.keyspaceOf
    this.#publish = options.publish
  }

  read(keys: readonly string[]): TierRead[] {
    return keys.map(text => {
      const place = this.#place(text)
      return this.#table.withLane(place.lane, () => {
        const lane = this.#table.state(place.lane)
        if (lane === undefined) return { lane: undefined, record: undefined }
        return { lane, record: this.#store.withLock(place.hash, () => this.#liveRecord(place, lane)) }
      })
    })
  }

  lease(key: string, options: LeaseOptions): TierLease {
    const nowMs = this.#clock.monotonicMs()
    const { token, epoch, leaseMs } = options
    const place = this.#place(key)
    return this.#table.withLane(place.lane, () => {
      const lane = this.#table.state(place.lane)
      if (lane === undefined) return { outcome: 'no-lane', lane, record: undefined }
      return this.#store.withLock(place.hash, () => {
        const there = this.#liveRecord(place, lane)
        const request = { token, epoch, nowMs, untilMs: nowMs + leaseMs }
        const { outcome, record } = coherence.lease(lane, there, request)
        if (record === 'keep' || record === 'remove' || record.type !== 'lease') return { outcome, lane, record: there }
        assert(this.#write(place, key, record, undefined), 'a lease fits')
        return { outcome, lane, record }
      })
    })
  }

  renew(key: string, { token, epoch, leaseMs, than }: RenewOptions): TierLease {
    const nowMs = this.#clock.monotonicMs()
    const request = { token, epoch, than, nowMs, untilMs: nowMs + leaseMs }
    const outcome = this.#run(key, (header, record) => coherence.renew(header, record, request))
    // There is no room beside the value: nobody loads it anew.
    return renewed(outcome === 'too-large' ? 'leased' : outcome, this.read([key])[0]!)
  }

  hold(key: string, token: Token, leaseMs: number): coherence.HoldOutcome {
    const untilMs = leaseMs > 0 ? this.#clock.monotonicMs() + leaseMs : undefined
    const outcome = this.#run(key, (header, record) => coherence.hold(header, record, { token, untilMs }))
    return outcome === 'too-large' ? 'gone' : outcome
  }

  fill(key: string, token: Token, value: TierValue<LoadStamp>): coherence.FillOutcome | TooLarge {
    const { stamp } = value
    return this.#run(key, (header, record) => coherence.fill(header, record, { token, stamp }), value)
  }

  put(key: string, value: TierValue<WriteStamp>): coherence.PutOutcome | TooLarge {
    const nowMs = this.#clock.monotonicMs()
    const { stamp } = value
    const outcome = this.#run(key, (header, record) => coherence.put(header, record, { key, stamp, nowMs }), value)
    this.#tellChanged(key)
    return outcome
  }

  voidKey(key: string): coherence.VoidOutcome {
    const outcome = this.#run(key, (header, record) => coherence.voidKey(header, record, { key }))
    assert(outcome !== 'too-large', 'a removal fits')
    this.#tellChanged(key)
    return outcome
  }

  begin(key: string, id: Token, fenceMs: number): coherence.BeginOutcome {
    const untilMs = this.#clock.monotonicMs() + fenceMs
    const outcome = this.#run(key, (header, record) => coherence.begin(header, record, { key, id, untilMs }))
    assert(outcome !== 'too-large', 'a fence fits')
    return outcome
  }

  putFenced(key: string, id: Token, value: TierValue<WriteStamp>): coherence.PutFencedOutcome | TooLarge {
    const { stamp } = value
    const outcome = this.#run(key, (header, record) => coherence.putFenced(header, record, { key, id, stamp }), value)
    this.#tellChanged(key)
    return outcome
  }

  // Whatever became of the record: the row may be in the caches of clients that had it from the database.
  #tellChanged(key: string): void {
    if (!this.#store.changes.active) return
    const place = this.#place(key)
    this.#store.changes.changed(place.hash, place.key, 0, place.keyEnd)
  }

  lane(lane: number): LaneState | undefined {
    const at = this.#firstLane + lane
    return this.#table.withLane(at, () => this.#table.state(at))
  }

  apply(lane: number, request: ApplyRequest): TierLane<coherence.ApplyOutcome> {
    const at = this.#firstLane + lane
    return this.#table.withLane(at, () => {
      const header = this.#table.header(at)
      const { outcome, header: next, message } = coherence.applyToLane(header, request)
      if (header !== undefined && outcome === 'applied') {
        for (const event of request.events) this.#applyEvent(at, header, event)
      }
      if (next !== 'keep') this.#table.setHeader(at, next)
      if (message !== undefined) this.#publish?.(lane, message)
      return { outcome, lane: this.#table.state(at) }
    })
  }

  #applyEvent(lane: number, header: LaneHeader, event: ApplyRequest['events'][number]): void {
    const place = this.#place(event.key)
    assert(place.lane === lane, 'an event is applied to its own lane')
    this.#store.withLock(place.hash, () => {
      this.#store.changes.changed(place.hash, place.key, 0, place.keyEnd)
      const record = this.#record(place, header, false)
      if (record === undefined) return
      const change = coherence.applyToRecord(header, record, event)
      if (change === 'remove') this.#store.remove(place.key, 0, place.keyEnd, place.hash)
      else if (change !== 'keep') this.#setRenewal(place, event.key, change.renewal)
    })
  }

  reset(lane: number, options: ResetOptions): TierLane<coherence.ResetOutcome> {
    const at = this.#firstLane + lane
    return this.#table.withLane(at, () => {
      const decision = coherence.reset(this.#table.header(at), { ...options, shard: EMBEDDED_SHARD })
      const { outcome, header, message } = decision
      if (header !== 'keep') {
        this.#table.setHeader(at, header)
        this.#store.changes.rowsChanged()
      }
      if (message !== undefined) this.#publish?.(lane, message)
      return { outcome, lane: this.#table.state(at) }
    })
  }

  /** The monotonic ms as of which the lane is proved true. */
  asOf(lane: number): number {
    return this.#table.asOf(this.#firstLane + lane)
  }

  /** Publishes a proof for all threads, unless the lane has begun anew since `generation`. */
  setAsOf(lane: number, generation: Generation, asOfMs: number): void {
    const at = this.#firstLane + lane
    this.#table.withLane(at, () => {
      const header = this.#table.header(at)
      if (header?.generation.nonce === generation.nonce) this.#table.setAsOf(at, asOfMs)
    })
  }

  /** A key's lane, in [0, lanes). */
  laneOf(key: string): number {
    return laneOf(keyHash(key), this.lanes)
  }

  #place(text: string): Place {
    const short = text.length <= SHORT_KEY_MAX
    const key = short ? this.#keyBytes : Buffer.from(text)
    const keyEnd = short ? key.write(text, 'utf8') : key.length
    const lane = this.#firstLane + laneOf(keyHashOf(key, 0, keyEnd), this.lanes)
    return { key, keyEnd, hash: this.#store.hash(key, 0, keyEnd), lane }
  }

  #run<Outcome>(
    key: string,
    operation: (header: LaneHeader | undefined, record: RecordHead | undefined) => Decision<Outcome>,
    value?: TierValue<LoadStamp | WriteStamp>,
  ): Outcome | TooLarge {
    const place = this.#place(key)
    return this.#table.withLane(place.lane, () => this.#decide(place, key, operation, value))
  }

  // Under the lane's lock.
  #decide<Outcome>(
    place: Place,
    key: string,
    operation: (header: LaneHeader | undefined, record: RecordHead | undefined) => Decision<Outcome>,
    value?: TierValue<LoadStamp | WriteStamp>,
  ): Outcome | TooLarge {
    const header = this.#table.header(place.lane)
    return this.#store.withLock(place.hash, () => {
      const decision = operation(header, header === undefined ? undefined : this.#record(place, header, false))
      let fits = true
      const { record } = decision
      if (record === 'remove') this.#store.remove(place.key, 0, place.keyEnd, place.hash)
      else if (record !== 'keep' && record.type === 'renewal') fits = this.#setRenewal(place, key, record.renewal)
      else if (record !== 'keep') fits = this.#write(place, key, record, value)
      if (decision.header !== 'keep') this.#table.setHeader(place.lane, decision.header)
      if (decision.message !== undefined) this.#publish?.(place.lane - this.#firstLane, decision.message)
      return fits ? decision.outcome : 'too-large'
    })
  }

  #write(place: Place, text: string, head: RecordHead, value: TierValue<LoadStamp | WriteStamp> | undefined): boolean {
    const { key, keyEnd, hash, lane } = place
    const generation = this.#table.tag(lane)
    const coherent = { lane, keyspace: this.#keyspaceOf(text), generation, stamp: NOTHING }
    const wallMs = this.#clock.wallMs()
    if (head.type !== 'value') {
      const bytes = this.#claimBytes
      bytes.writeBigUInt64LE(head.type === 'lease' ? head.token : head.id, 0)
      bytes.writeDoubleLE(head.untilMs, 8)
      const type = head.type === 'lease' ? RecordType.lease : RecordType.fence
      return this.#store.put(key, 0, keyEnd, hash, type, bytes, 0, 16, 0, wallMs, coherent) === 'stored'
    }
    assert(value !== undefined, 'a value comes with its payload')
    const expiresAtMs = value.ttlMs === undefined ? 0 : wallMs + value.ttlMs
    return this.#writeValue(place, text, value, expiresAtMs)
  }

  #writeValue(place: Place, text: string, value: TierValue<LoadStamp | WriteStamp>, expiresAtMs: number): boolean {
    const { key, keyEnd, hash, lane } = place
    const payload = value.payload ?? NOTHING
    const type = value.payload === null ? RecordType.absentRow : RecordType.row
    const outcome = this.#store.put(
      key,
      0,
      keyEnd,
      hash,
      type,
      payload,
      0,
      payload.length,
      expiresAtMs,
      this.#clock.wallMs(),
      this.#stamped(lane, text, value.stamp),
    )
    if (outcome !== 'stored') this.#store.remove(key, 0, keyEnd, hash)
    return outcome === 'stored'
  }

  #stamped(lane: number, text: string, stamp: Stamp): CoherentPart {
    const bytes = this.#stampBytes.subarray(0, writeStamp(this.#stampBytes, 0, stamp))
    return { lane, keyspace: this.#keyspaceOf(text), generation: this.#table.tag(lane), stamp: bytes }
  }

  // The record was just found to be a value of the lane's generation; it is looked at as of then, since its time may end now.
  #setRenewal(place: Place, text: string, renewal: LeaseRecord | undefined): boolean {
    const { key, keyEnd, hash, lane } = place
    const state = this.#table.state(lane)
    const record = state && this.#record(place, state, true, this.#foundAtMs)
    assert(record?.type === 'value' && record.generation !== GONE, 'a value of the lane is renewed')
    const { payload, stamp } = record
    const endsAtMs = this.#endsAtMs
    if (renewal === undefined) return this.#writeValue(place, text, { payload, stamp }, endsAtMs)
    const bytes = Buffer.allocUnsafe(RENEWED_BYTES + (payload?.length ?? 0))
    bytes.writeBigUInt64LE(renewal.token, 0)
    bytes.writeDoubleLE(renewal.untilMs, 8)
    bytes.writeDoubleLE(endsAtMs, 16)
    bytes.writeDoubleLE(payload === null ? 1 : 0, 24)
    bytes.set(payload ?? NOTHING, RENEWED_BYTES)
    const stamped = this.#stamped(lane, text, stamp)
    const wallMs = this.#clock.wallMs()
    const renewedToMs = wallMs + renewal.untilMs - this.#clock.monotonicMs()
    const keptToMs = endsAtMs === 0 ? 0 : Math.max(endsAtMs, renewedToMs)
    const type = RecordType.renewed
    return this.#store.put(key, 0, keyEnd, hash, type, bytes, 0, bytes.length, keptToMs, wallMs, stamped) === 'stored'
  }

  #liveRecord(place: Place, lane: LaneState): TierRecord | undefined {
    const record = this.#record(place, lane, true)
    return record !== undefined && isLive(record, lane, this.#clock.monotonicMs()) ? record : undefined
  }

  // Under the lane's and the record's lock. What is no record of the protocol's (a plain key from before the key's prefix
  // named a keyspace) counts as nothing. `withPayload` false leaves payloads empty.
  #record(
    place: Place,
    header: Pick<LaneState, 'generation'>,
    withPayload: boolean,
    wallMs: number = this.#clock.wallMs(),
  ): TierRecord | undefined {
    const { key, keyEnd, hash, lane } = place
    const store = this.#store
    this.#foundAtMs = wallMs
    const type = store.find(key, 0, keyEnd, hash, wallMs)
    if (type < RecordType.row || store.foundLane !== lane) return undefined
    const generation = store.foundGeneration === this.#table.tag(lane) ? header.generation : GONE
    if (type === RecordType.lease || type === RecordType.fence) {
      const bytes = this.#claimBytes
      store.copyValue(bytes, 0)
      const token = bytes.readBigUInt64LE(0)
      const untilMs = bytes.readDoubleLE(8)
      if (type === RecordType.lease) return { type: 'lease', generation, token, untilMs }
      return { type: 'fence', generation, id: token, untilMs }
    }
    const bytes = store.foundStamp()
    const stamp = decodeStamp(bytes, 0, bytes.length)
    if (stamp === undefined) {
      // Of another version: nobody can say what it reflects. The path of a hit does not look at stamps, so it has to leave.
      store.remove(key, 0, keyEnd, hash)
      return undefined
    }
    this.#endsAtMs = store.foundExpiresAtMs
    if (type === RecordType.renewed) return this.#renewedRecord(generation, stamp)
    let payload: Buffer | null = null
    if (type === RecordType.row) {
      payload = Buffer.allocUnsafe(withPayload ? store.foundValueBytes : 0)
      if (withPayload) store.copyValue(payload, 0)
    }
    return { type: 'value', generation, stamp, payload }
  }

  #renewedRecord(generation: Generation, stamp: Stamp): ValueRecord | LeaseRecord {
    const bytes = Buffer.allocUnsafe(this.#store.foundValueBytes)
    this.#store.copyValue(bytes, 0)
    const [token, untilMs] = [bytes.readBigUInt64LE(0), bytes.readDoubleLE(8)]
    const renewal = { type: 'lease', generation, token, untilMs } as const
    const endsAtMs = bytes.readDoubleLE(16)
    if (endsAtMs !== 0 && endsAtMs <= this.#foundAtMs) return renewal
    this.#endsAtMs = endsAtMs
    const payload = bytes.readDoubleLE(24) === 1 ? null : bytes.subarray(RENEWED_BYTES)
    return { type: 'value', generation, stamp, payload, renewal }
  }
}
