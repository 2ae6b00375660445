// The plainest tier there is: two Maps and the pure operations. For the contract suite, for simulations, and for the tests
// of those who build on Tidemark; it can lose and take back what a real tier can. Not for production: it evicts nothing.
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import { keyHash, laneOf, laneState, usableHeader, type LaneHeader, type LaneState } from '../coherence/lane.ts'
import * as coherence from '../coherence/operations.ts'
import type { ApplyRequest, Decision, LaneDecision, LaneMessage } from '../coherence/operations.ts'
import { isLive, leaseOf, type LeaseRecord, type RecordHead, type TierRecord, type Token } from '../coherence/record.ts'
import type { LoadStamp, WriteStamp } from '../coherence/stamp.ts'
import {
  renewed,
  type LaneListener,
  type LaneSubscription,
  type LeaseOptions,
  type RenewOptions,
  type ResetOptions,
  type SharedTier,
  type TierLane,
  type TierLease,
  type TierRead,
  type TierValue,
} from '../tier/tier.ts'

/** The pure operations, for a test that puts broken ones in their place. */
export type Operations = typeof coherence

export interface MemoryTierOptions {
  readonly clock: Clock
  readonly lanes?: number
  readonly operations?: Operations
  /** Called with every message to near caches, in each lane's order, whoever has subscribed. */
  readonly publish?: (lane: number, message: LaneMessage) => void
}

interface Entry {
  readonly record: TierRecord
  readonly expiresAtMs: number
}

export class MemoryTier implements SharedTier {
  readonly lanes: number
  readonly #clock: Clock
  readonly #operations: Operations
  readonly #publish: (lane: number, message: LaneMessage) => void
  #shard = 'shard-0'
  #headers = new Map<number, LaneHeader>()
  #entries = new Map<string, Entry>()
  readonly #listeners = new Set<LaneListener>()
  #cut = false

  constructor(options: MemoryTierOptions) {
    this.lanes = options.lanes ?? limits.lanesDefault
    this.#clock = options.clock
    this.#operations = options.operations ?? coherence
    this.#publish = options.publish ?? (() => {})
  }

  read(keys: readonly string[]): TierRead[] {
    return keys.map(key => this.#read(key))
  }

  #read(key: string): TierRead {
    const header = this.#header(this.#laneOf(key))
    if (header === undefined) return { lane: undefined, record: undefined }
    const record = this.#record(key)
    const live = record !== undefined && isLive(record, header, this.#clock.monotonicMs())
    return { lane: laneState(header), record: live ? record : undefined }
  }

  lease(key: string, options: LeaseOptions): TierLease {
    const nowMs = this.#clock.monotonicMs()
    const { token, epoch, leaseMs } = options
    const outcome = this.#decide(key, (header, record) =>
      this.#operations.lease(header, record, { token, epoch, nowMs, untilMs: nowMs + leaseMs }),
    )
    return { outcome, ...this.#read(key) }
  }

  renew(key: string, { token, epoch, leaseMs, than }: RenewOptions): TierLease {
    const nowMs = this.#clock.monotonicMs()
    const request = { token, epoch, than, nowMs, untilMs: nowMs + leaseMs }
    const outcome = this.#decide(key, (header, record) => this.#operations.renew(header, record, request))
    return renewed(outcome, this.#read(key))
  }

  hold(key: string, token: Token, leaseMs: number): coherence.HoldOutcome {
    const untilMs = leaseMs > 0 ? this.#clock.monotonicMs() + leaseMs : undefined
    return this.#decide(key, (header, record) => this.#operations.hold(header, record, { token, untilMs }))
  }

  fill(key: string, token: Token, value: TierValue<LoadStamp>): coherence.FillOutcome {
    const { stamp } = value
    return this.#decide(key, (header, record) => this.#operations.fill(header, record, { token, stamp }), value)
  }

  put(key: string, value: TierValue<WriteStamp>): coherence.PutOutcome {
    const nowMs = this.#clock.monotonicMs()
    const { stamp } = value
    return this.#decide(key, (header, record) => this.#operations.put(header, record, { key, stamp, nowMs }), value)
  }

  voidKey(key: string): coherence.VoidOutcome {
    return this.#decide(key, (header, record) => this.#operations.voidKey(header, record, { key }))
  }

  begin(key: string, id: Token, fenceMs: number): coherence.BeginOutcome {
    const untilMs = this.#clock.monotonicMs() + fenceMs
    return this.#decide(key, (header, record) => this.#operations.begin(header, record, { key, id, untilMs }))
  }

  putFenced(key: string, id: Token, value: TierValue<WriteStamp>): coherence.PutFencedOutcome {
    const { stamp } = value
    return this.#decide(key, (header, record) => this.#operations.putFenced(header, record, { key, id, stamp }), value)
  }

  lane(lane: number): LaneState | undefined {
    const header = this.#header(lane)
    return header === undefined ? undefined : laneState(header)
  }

  apply(lane: number, request: ApplyRequest): TierLane<coherence.ApplyOutcome> {
    for (const event of request.events) assert(this.#laneOf(event.key) === lane, 'an event is applied to its own lane')
    const header = this.#header(lane)
    const decision = this.#operations.applyToLane(header, request)
    if (header !== undefined && decision.outcome === 'applied') {
      for (const event of request.events) {
        const record = this.#record(event.key)
        if (record === undefined) continue
        this.#change(event.key, this.#operations.applyToRecord(header, record, event))
      }
    }
    const outcome = this.#decideLane(lane, decision)
    return { outcome, lane: this.lane(lane) }
  }

  reset(lane: number, options: ResetOptions): TierLane<coherence.ResetOutcome> {
    const request = { ...options, shard: this.#shard }
    const outcome = this.#decideLane(lane, this.#operations.reset(this.#header(lane), request))
    return { outcome, lane: this.lane(lane) }
  }

  /** Messages come before the operation that they are about returns. */
  subscribe(listener: LaneListener): LaneSubscription {
    this.#listeners.add(listener)
    return { close: () => void this.#listeners.delete(listener) }
  }

  close(): Promise<void> {
    this.#listeners.clear()
    return Promise.resolve()
  }

  /** From now on messages are lost; the function returned ends that, and tells those who listen. */
  cutMessages(): () => void {
    this.#cut = true
    const lanes = Array.from({ length: this.lanes }, (_, lane) => lane)
    return () => {
      this.#cut = false
      for (const listener of this.#listeners) listener.lost(lanes)
    }
  }

  /** All as it is now; the function returned brings it back, as a failover to a replica that was behind does. */
  checkpoint(): () => void {
    const headers = new Map(this.#headers)
    const entries = new Map(this.#entries)
    return () => {
      this.#headers = new Map(headers)
      this.#entries = new Map(entries)
    }
  }

  /** From now on this runs on another primary: no header of before is usable until it is reset. */
  moveToShard(shard: string): void {
    this.#shard = shard
  }

  evict(key: string): void {
    this.#entries.delete(key)
  }

  loseHeader(lane: number): void {
    this.#headers.delete(lane)
  }

  #laneOf(key: string): number {
    return laneOf(keyHash(key), this.lanes)
  }

  #header(lane: number): LaneHeader | undefined {
    assert(lane >= 0 && lane < this.lanes, 'there is such a lane')
    return usableHeader(this.#headers.get(lane), this.#shard)
  }

  #record(key: string): TierRecord | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.expiresAtMs > this.#clock.monotonicMs()) return entry?.record
    // Whoever loads it anew is waited for now.
    return leaseOf(entry.record)
  }

  #decide<Outcome>(
    key: string,
    operation: (header: LaneHeader | undefined, record: RecordHead | undefined) => Decision<Outcome>,
    value?: TierValue<LoadStamp | WriteStamp>,
  ): Outcome {
    const lane = this.#laneOf(key)
    const decision = operation(this.#header(lane), this.#record(key))
    this.#change(key, decision.record, value)
    return this.#decideLane(lane, decision)
  }

  #change(key: string, change: Decision<unknown>['record'], value?: TierValue<LoadStamp | WriteStamp>): void {
    if (change === 'keep') return
    if (change === 'remove') this.#entries.delete(key)
    else if (change.type === 'renewal') this.#renewed(key, change.renewal)
    else this.#store(key, change, value)
  }

  #renewed(key: string, renewal: LeaseRecord | undefined): void {
    const { record, expiresAtMs } = this.#entries.get(key)!
    assert(record.type === 'value', 'a value is renewed')
    const { renewal: _, ...value } = record
    this.#entries.set(key, { record: renewal === undefined ? value : { ...value, renewal }, expiresAtMs })
  }

  #store(key: string, head: RecordHead, value: TierValue<LoadStamp | WriteStamp> | undefined): void {
    if (head.type !== 'value') {
      this.#entries.set(key, { record: head, expiresAtMs: Infinity })
      return
    }
    assert(value !== undefined, 'a value comes with its payload')
    const payload = value.payload === null ? null : value.payload.slice()
    const expiresAtMs = value.ttlMs === undefined ? Infinity : this.#clock.monotonicMs() + value.ttlMs
    this.#entries.set(key, { record: { ...head, payload }, expiresAtMs })
  }

  #decideLane<Outcome>(lane: number, decision: LaneDecision<Outcome>): Outcome {
    if (decision.header !== 'keep') this.#headers.set(lane, decision.header)
    if (decision.message !== undefined) this.#tell(lane, decision.message)
    return decision.outcome
  }

  #tell(lane: number, message: LaneMessage): void {
    this.#publish(lane, message)
    if (this.#cut) return
    for (const listener of this.#listeners) listener.message(lane, message)
  }
}
