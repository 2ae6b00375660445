// A Valkey cluster as the tier sees it: primaries that hold lanes, replicas that are behind, failovers that lose what a
// replica had not got, old primaries that do not know of it, slots that move key by key, eviction, messages to subscribers.
// The operations on a lane are the product's own (coherence/operations.ts), each one step. Not for: how clients find their
// way (sim-tier.ts).
import { usableHeader, laneState, type LaneHeader, type LaneState } from '../../src/coherence/lane.ts'
import * as coherence from '../../src/coherence/operations.ts'
import { isLive, leaseOf, type LeaseRecord, type RecordHead, type TierRecord } from '../../src/coherence/record.ts'
import type { LoadStamp, WriteStamp } from '../../src/coherence/stamp.ts'
import {
  renewed,
  type RenewOptions,
  type ResetOptions,
  type TierLane,
  type TierLease,
  type TierRead,
  type TierValue,
} from '../../src/tier/tier.ts'
import type { SimProcess } from './machine.ts'
import type { VirtualTime } from './virtual-time.ts'

interface Entry {
  readonly record: TierRecord
  readonly expiresAtMs: number
  /** The version of the format that it was written in. */
  readonly format: number
}

interface LaneStore {
  header: LaneHeader | undefined
  readonly entries: Map<string, Entry>
}

export type Subscriber = (message: coherence.LaneMessage) => void

/** What a node says instead of doing what it is asked to. */
export type Redirect =
  | { readonly kind: 'moved' | 'ask'; readonly to: ValkeyNode }
  | { readonly kind: 'tryagain' | 'down' | 'loading' | 'oom' }

/** How far back a node's content is remembered, for failovers and restarts. */
const HISTORY_MS = 4_000

export class ValkeyNode {
  readonly id: string
  readonly shard: string
  readonly process: SimProcess
  /** Lanes that it holds itself to be the primary of, with whom it would send others to for the rest. */
  readonly owned = new Set<number>()
  readonly migrating = new Map<number, ValkeyNode>()
  readonly importing = new Set<number>()
  readonly subscribers = new Map<number, Set<Subscriber>>()
  /** Called when a lane has moved to another node: subscribers are told (sim-tier.ts). */
  readonly movedAway = new Set<(lane: number) => void>()
  /** Refuses everything: it is in a minority, and knows it. */
  down = false
  loading = false
  /** Out of memory: refuses what would take more. */
  full = false
  readonly #time: VirtualTime
  readonly #lanes = new Map<number, LaneStore>()
  /** What undoes each change, newest last. */
  #undo: { readonly atMs: number; readonly back: () => void }[] = []

  constructor(id: string, shard: string, process: SimProcess, time: VirtualTime) {
    this.id = id
    this.shard = shard
    this.process = process
    this.#time = time
  }

  lane(lane: number): LaneState | undefined {
    const header = this.#header(lane)
    return header === undefined ? undefined : laneState(header)
  }

  /** Why it would not run something on these keys, if it would not; `undefined` as a key stands for the lane's header alone. */
  redirect(
    lane: number,
    keys: readonly string[],
    asking: boolean,
    ownerElsewhere: () => ValkeyNode,
  ): Redirect | undefined {
    if (this.loading) return { kind: 'loading' }
    if (this.down) return { kind: 'down' }
    const store = this.#lanes.get(lane)
    const present =
      (store?.header === undefined ? 0 : 1) + keys.filter(key => this.#entry(lane, key) !== undefined).length
    const missing = 1 + keys.length - present
    if (this.owned.has(lane)) {
      const target = this.migrating.get(lane)
      if (target === undefined || missing === 0) return undefined
      return present > 0 ? { kind: 'tryagain' } : { kind: 'ask', to: target }
    }
    if (asking && this.importing.has(lane)) return missing > 0 && keys.length > 0 ? { kind: 'tryagain' } : undefined
    return { kind: 'moved', to: ownerElsewhere() }
  }

  /** It has heard of the primary that took its place, and sends everybody there. */
  demote(): void {
    const lanes = [...this.owned]
    this.down = false
    this.owned.clear()
    this.migrating.clear()
    this.importing.clear()
    for (const lane of lanes) for (const tell of this.movedAway) tell(lane)
  }

  // ---- the operations

  read(lane: number, key: string, formats: number): TierRead {
    const header = this.#header(lane)
    if (header === undefined) return { lane: undefined, record: undefined }
    const record = this.#record(lane, key, formats)
    const live = record !== undefined && isLive(record, header, this.#time.nowMs)
    return { lane: laneState(header), record: live ? record : undefined }
  }

  lease(
    lane: number,
    key: string,
    options: { token: bigint; epoch: bigint; leaseMs: number },
    formats: number,
  ): TierLease {
    const { nowMs } = this.#time
    const { token, epoch, leaseMs } = options
    const request = { token, epoch, nowMs, untilMs: nowMs + leaseMs }
    const outcome = this.#decide(lane, key, formats, (header, record) => coherence.lease(header, record, request))
    return { outcome, ...this.read(lane, key, formats) }
  }

  renew(lane: number, key: string, options: RenewOptions, formats: number): TierLease {
    const { nowMs } = this.#time
    const request = { ...options, nowMs, untilMs: nowMs + options.leaseMs }
    const outcome = this.#decide(lane, key, formats, (header, record) => coherence.renew(header, record, request))
    return renewed(outcome, this.read(lane, key, formats))
  }

  hold(lane: number, key: string, token: bigint, leaseMs: number, formats: number): coherence.HoldOutcome {
    const request = { token, untilMs: leaseMs > 0 ? this.#time.nowMs + leaseMs : undefined }
    return this.#decide(lane, key, formats, (header, record) => coherence.hold(header, record, request))
  }

  fill(lane: number, key: string, token: bigint, value: TierValue<LoadStamp>, formats: number): coherence.FillOutcome {
    const request = { token, stamp: value.stamp }
    return this.#decide(lane, key, formats, (header, record) => coherence.fill(header, record, request), value)
  }

  put(lane: number, key: string, value: TierValue<WriteStamp>, formats: number): coherence.PutOutcome {
    const request = { key, stamp: value.stamp, nowMs: this.#time.nowMs }
    return this.#decide(lane, key, formats, (header, record) => coherence.put(header, record, request), value)
  }

  voidKey(lane: number, key: string, formats: number): coherence.VoidOutcome {
    return this.#decide(lane, key, formats, (header, record) => coherence.voidKey(header, record, { key }))
  }

  begin(lane: number, key: string, id: bigint, fenceMs: number, formats: number): coherence.BeginOutcome {
    const request = { key, id, untilMs: this.#time.nowMs + fenceMs }
    return this.#decide(lane, key, formats, (header, record) => coherence.begin(header, record, request))
  }

  putFenced(
    lane: number,
    key: string,
    id: bigint,
    value: TierValue<WriteStamp>,
    formats: number,
  ): coherence.PutFencedOutcome {
    const request = { key, id, stamp: value.stamp }
    return this.#decide(lane, key, formats, (header, record) => coherence.putFenced(header, record, request), value)
  }

  apply(lane: number, request: coherence.ApplyRequest, formats: number): TierLane<coherence.ApplyOutcome> {
    const header = this.#header(lane)
    const decision = coherence.applyToLane(header, request)
    if (header !== undefined && decision.outcome === 'applied') {
      for (const event of request.events) {
        const entry = this.#entry(lane, event.key)
        if (entry === undefined) continue
        // What this version of the library cannot read it cannot vouch for.
        const change = entry.format <= formats ? coherence.applyToRecord(header, entry.record, event) : 'remove'
        this.#change(lane, event.key, change, formats)
      }
    }
    return { outcome: this.#decideLane(lane, decision), lane: this.lane(lane) }
  }

  reset(lane: number, options: ResetOptions): TierLane<coherence.ResetOutcome> {
    const decision = coherence.reset(this.#header(lane), { ...options, shard: this.shard })
    return { outcome: this.#decideLane(lane, decision), lane: this.lane(lane) }
  }

  #header(lane: number): LaneHeader | undefined {
    return usableHeader(this.#lanes.get(lane)?.header, this.shard)
  }

  #entry(lane: number, key: string): Entry | undefined {
    const entry = this.#lanes.get(lane)?.entries.get(key)
    if (entry === undefined || entry.expiresAtMs > this.#time.nowMs) return entry
    // Whoever loads the value anew is waited for now.
    const lease = leaseOf(entry.record)
    return lease === undefined || lease.untilMs <= this.#time.nowMs ? undefined : { ...entry, record: lease }
  }

  #record(lane: number, key: string, formats: number): TierRecord | undefined {
    const entry = this.#entry(lane, key)
    return entry === undefined || entry.format > formats ? undefined : entry.record
  }

  #decide<Outcome>(
    lane: number,
    key: string,
    formats: number,
    operation: (header: LaneHeader | undefined, record: RecordHead | undefined) => coherence.Decision<Outcome>,
    value?: TierValue<LoadStamp | WriteStamp>,
  ): Outcome {
    const decision = operation(this.#header(lane), this.#record(lane, key, formats))
    this.#change(lane, key, decision.record, formats, value)
    return this.#decideLane(lane, decision)
  }

  #change(
    lane: number,
    key: string,
    record: coherence.Decision<unknown>['record'],
    formats: number,
    value?: TierValue<LoadStamp | WriteStamp>,
  ): void {
    if (record === 'remove') this.#setEntry(lane, key, undefined)
    else if (record !== 'keep' && record.type === 'renewal') this.#setRenewal(lane, key, record.renewal)
    else if (record !== 'keep') {
      const whole: TierRecord = record.type === 'value' ? { ...record, payload: value!.payload } : record
      const ttlMs = record.type === 'value' ? value!.ttlMs : record.untilMs - this.#time.nowMs
      const expiresAtMs = ttlMs === undefined ? Infinity : this.#time.nowMs + ttlMs
      this.#setEntry(lane, key, { record: whole, expiresAtMs, format: formats })
    }
  }

  #setRenewal(lane: number, key: string, renewal: LeaseRecord | undefined): void {
    const entry = this.#entry(lane, key)
    if (entry?.record.type !== 'value') return
    const { renewal: _, ...value } = entry.record
    this.#setEntry(lane, key, { ...entry, record: renewal === undefined ? value : { ...value, renewal } })
  }

  #decideLane<Outcome>(lane: number, decision: coherence.LaneDecision<Outcome>): Outcome {
    if (decision.header !== 'keep') this.#setHeader(lane, decision.header)
    const { message } = decision
    if (message !== undefined) for (const tell of this.subscribers.get(lane) ?? []) tell(message)
    return decision.outcome
  }

  // ---- content, and how it was before

  #store(lane: number): LaneStore {
    let store = this.#lanes.get(lane)
    if (store === undefined) this.#lanes.set(lane, (store = { header: undefined, entries: new Map() }))
    return store
  }

  #setHeader(lane: number, header: LaneHeader | undefined): void {
    const store = this.#store(lane)
    const before = store.header
    store.header = header
    this.#remember(() => (store.header = before))
  }

  #setEntry(lane: number, key: string, entry: Entry | undefined): void {
    const { entries } = this.#store(lane)
    const before = entries.get(key)
    if (entry === undefined) entries.delete(key)
    else entries.set(key, entry)
    this.#remember(() => {
      if (before === undefined) entries.delete(key)
      else entries.set(key, before)
    })
  }

  #remember(back: () => void): void {
    const { nowMs } = this.#time
    this.#undo.push({ atMs: nowMs, back })
    if (this.#undo.length > 512 && this.#undo[256]!.atMs < nowMs - HISTORY_MS) this.#undo = this.#undo.slice(256)
  }

  /** The content as it was then becomes that of another node; this one keeps what it has. */
  copyTo(other: ValkeyNode, asOfMs: number): void {
    const now = new Map(
      [...this.#lanes].map(([lane, { header, entries }]) => [lane, { header, entries: [...entries] }]),
    )
    const undone: (() => void)[] = []
    for (let index = this.#undo.length - 1; index >= 0 && this.#undo[index]!.atMs > asOfMs; index--) {
      this.#undo[index]!.back()
      undone.push(this.#undo[index]!.back)
    }
    for (const [lane, { header, entries }] of this.#lanes) {
      other.#lanes.set(lane, { header, entries: new Map(entries) })
    }
    if (undone.length === 0 || other === this) return
    for (const [lane, { header, entries }] of now) {
      const store = this.#store(lane)
      store.header = header
      store.entries.clear()
      for (const [key, entry] of entries) store.entries.set(key, entry)
    }
  }

  flush(): void {
    for (const [lane, { entries }] of this.#lanes) {
      for (const key of entries.keys()) this.#setEntry(lane, key, undefined)
      this.#setHeader(lane, undefined)
    }
  }

  evict(lane: number, key: string): void {
    if (this.#entry(lane, key) !== undefined) this.#setEntry(lane, key, undefined)
  }

  loseHeader(lane: number): void {
    if (this.#lanes.get(lane)?.header !== undefined) this.#setHeader(lane, undefined)
  }

  /** Whether it was on disk or not, this is what is there: keys of a lane, the header first. */
  keysOf(lane: number): (string | undefined)[] {
    const store = this.#lanes.get(lane)
    if (store === undefined) return []
    const keys: (string | undefined)[] = [...store.entries.keys()]
    if (store.header !== undefined) keys.unshift(undefined)
    return keys
  }

  /** Moves one key (undefined: the header) to another node, replacing what is there. */
  moveKey(lane: number, key: string | undefined, to: ValkeyNode): void {
    const store = this.#lanes.get(lane)
    if (store === undefined) return
    if (key === undefined) {
      if (store.header === undefined) return
      to.#setHeader(lane, store.header)
      this.#setHeader(lane, undefined)
      return
    }
    const entry = store.entries.get(key)
    if (entry === undefined) return
    to.#setEntry(lane, key, entry)
    this.#setEntry(lane, key, undefined)
  }
}
