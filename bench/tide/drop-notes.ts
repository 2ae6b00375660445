// What becomes of a commit on its way to the near caches, noted by the parts that it passes: the product's own, each with a
// look at the clock around it. All times are monotonic ms, on one scale in every process of the machine.
// Not for: when it was committed (drop.ts).
import type { Clock } from '../../src/base/clock.ts'
import { StoreNear } from '../../src/cache/store-near.ts'
import type { LaneMessage } from '../../src/coherence/operations.ts'
import { snapshotSees } from '../../src/coherence/stamp.ts'
import type { FeedItem, FeedSnapshot } from '../../src/source/change-feed.ts'
import { PostgresFeed } from '../../src/source/postgres-feed.ts'
import type { PostgresFeedOptions } from '../../src/source/postgres-options.ts'
import type { RecordMemory } from '../../src/tier/embedded-tier.ts'
import type { Tier } from '../../src/tier/tier.ts'

/** Of one transaction, as far as it came to a process. */
export interface DropNote {
  toldMs?: number
  /** Snapshots that were asked for since, until one showed it. */
  snapshots?: number
  /** The first snapshot that showed it was here. */
  seenMs?: number
  askedMs?: number
  /** Steps of other lanes that were under way then. */
  underWay?: number
  appliedMs?: number
  nearMs?: number
}

export class DropNotes {
  readonly clock: Clock
  readonly #byXid = new Map<bigint, DropNote>()
  readonly #unseen = new Map<bigint, DropNote>()
  #underWay = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  of(xid: bigint): DropNote {
    const known = this.#byXid.get(xid)
    if (known !== undefined) return known
    const note: DropNote = {}
    this.#byXid.set(xid, note)
    return note
  }

  told(items: readonly FeedItem[]): void {
    const nowMs = this.clock.monotonicMs()
    for (const item of items) {
      if (item.kind !== 'transaction' || item.events.length === 0) continue
      const note = this.of(item.xid)
      note.toldMs = nowMs
      note.snapshots = 0
      this.#unseen.set(item.xid, note)
    }
  }

  snapshotAsked(): void {
    for (const note of this.#unseen.values()) note.snapshots!++
  }

  snapshotTaken(snapshot: FeedSnapshot): void {
    const nowMs = this.clock.monotonicMs()
    for (const [xid, note] of this.#unseen) {
      if (snapshotSees({ ...snapshot, exact: true }, xid) !== 'yes') continue
      note.seenMs = nowMs
      this.#unseen.delete(xid)
    }
  }

  /** The tier, with each step noted. */
  watch(tier: Tier): Tier {
    return {
      lanes: tier.lanes,
      read: keys => tier.read(keys),
      lease: (key, options) => tier.lease(key, options),
      renew: (key, options) => tier.renew(key, options),
      hold: (key, token, leaseMs) => tier.hold(key, token, leaseMs),
      fill: (key, token, value) => tier.fill(key, token, value),
      put: (key, value) => tier.put(key, value),
      voidKey: key => tier.voidKey(key),
      begin: (key, id, fenceMs) => tier.begin(key, id, fenceMs),
      putFenced: (key, id, value) => tier.putFenced(key, id, value),
      lane: lane => tier.lane(lane),
      reset: (lane, options) => tier.reset(lane, options),
      apply: async (lane, request) => {
        const notes = request.events.map(event => this.of(event.xid))
        const askedMs = this.clock.monotonicMs()
        for (const note of notes) Object.assign(note, { askedMs, underWay: this.#underWay })
        this.#underWay++
        const answer = await tier.apply(lane, request)
        this.#underWay--
        const appliedMs = this.clock.monotonicMs()
        for (const note of notes) note.appliedMs = appliedMs
        return answer
      },
    }
  }

  /** By transaction. */
  report(): Record<string, DropNote> {
    return Object.fromEntries([...this.#byXid].map(([xid, note]) => [String(xid), note]))
  }
}

export class NotedFeed extends PostgresFeed {
  readonly #notes: DropNotes

  constructor(options: PostgresFeedOptions, notes: DropNotes) {
    super(options)
    this.#notes = notes
  }

  override async next(): Promise<readonly FeedItem[]> {
    const items = await super.next()
    this.#notes.told(items)
    return items
  }

  override async snapshot(): Promise<FeedSnapshot> {
    this.#notes.snapshotAsked()
    const snapshot = await super.snapshot()
    this.#notes.snapshotTaken(snapshot)
    return snapshot
  }
}

export class NotedNear extends StoreNear {
  readonly #notes: DropNotes

  constructor(memory: RecordMemory, notes: DropNotes) {
    super(memory)
    this.#notes = notes
  }

  override message(lane: number, message: LaneMessage): void {
    super.message(lane, message)
    const nowMs = this.#notes.clock.monotonicMs()
    for (const { xid } of message.events) this.#notes.of(xid).nearMs = nowMs
  }
}
