// A small world in which the mark protocol has to hold: a database that is written through and around the cache and fails
// over, a tier that forgets and goes back in time, readers, writers, and tides that die, all in steps drawn from one seed.
// A reader serves a value with the proof's `asOf`; the check knows nothing of the protocol: it asks only whether the value
// was visible in the database at that instant or later. One lane, three keys.
// Not for: near caches, sessions, several shards, log-less sources (fence-world.ts), the cache's own code.
import { seededRandom, type Random } from '../../src/base/random.ts'
import { addSample, asOfMs, isFresh, NO_PROOF, type Sample } from '../../src/coherence/freshness.ts'
import type { LaneState } from '../../src/coherence/lane.ts'
import type { ChangeEvent } from '../../src/coherence/stamp.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier, type Operations } from '../../src/testing/memory-tier.ts'
import { DatabaseModel, type Commit, type Slot } from './database-model.ts'

/** What can be taken out of the world; the operations are given as they shall be. */
export interface Guards {
  readonly operations: Operations
  /** Apply a batch only once its transactions are visible. */
  readonly gate: boolean
  /** Take a new feed's first position as a mark only once all before it is visible. */
  readonly firstMarkGate: boolean
  /** Reset a lane whose mark the feed does not reach back to. */
  readonly retention: boolean
  /** Count samples of the lane's own epoch only. */
  readonly sampleEpoch: boolean
  /** Count samples before the mark, not at it. */
  readonly strict: boolean
}

/** One of these happens every now and then; one that is named more often happens more often. */
export type Fault =
  'tier rolls back' | 'header is lost' | 'record is evicted' | 'slot is lost' | 'tide restarts' | 'database fails over'

const allFaults: readonly Fault[] = [
  ...Array.from({ length: 4 }, () => 'tier rolls back' as const),
  'header is lost',
  ...Array.from({ length: 3 }, () => 'record is evicted' as const),
  ...Array.from({ length: 2 }, () => 'slot is lost' as const),
  'tide restarts',
  'database fails over',
]

export interface WorldResult {
  /** What was served as proved and was not true; undefined when nothing was. */
  readonly stale: string | undefined
  /** How often things happened, so that a test can tell a world in which nothing goes on. */
  readonly counts: Record<string, number>
}

interface Node {
  db: DatabaseModel
  /** The primary of before, to which its pool may still have connections. */
  previous: DatabaseModel | undefined
  samples: readonly Sample[]
}

type Actor = Generator<undefined, undefined>

const KEYS = ['a', 'b', 'c'] as const
const STEPS = 6_000
const BOUND_MS = 2_000
const LEASE_MS = 600
const RETENTION_MS = 150
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class World {
  readonly #random: Random
  readonly #guards: Guards
  readonly #faultsOf: readonly Fault[]
  readonly #clock = new ManualClock(0)
  readonly #tier: MemoryTier
  readonly #counts: Record<string, number> = {}
  /** What readers of the database saw under each key, and from when on. */
  readonly #truth = new Map<string, { value: number; since: number }[]>()
  /** Values that their own transaction overwrote, and when that became visible: true of nothing after it. */
  readonly #overwritten = new Map<number, number>()
  readonly #checkpoints: (() => void)[] = []
  readonly #actors: Actor[] = []
  readonly #nodes: Node[]
  #db = new DatabaseModel(1n, 100n, 1n)
  #values = 0
  #tokens = 0n
  #nonces = 0
  #tides = 0
  #stale: string | undefined

  constructor(seed: number, guards: Guards, faults: readonly Fault[] = allFaults) {
    this.#faultsOf = faults
    this.#random = seededRandom(seed)
    this.#guards = guards
    this.#tier = new MemoryTier({ clock: this.#clock, lanes: 1, operations: guards.operations })
    for (const key of KEYS) this.#truth.set(key, [{ value: 0, since: 0 }])
    this.#nodes = [0, 1].map(() => ({ db: this.#db, previous: undefined, samples: [] }))
  }

  /** Runs to the end, or to the first stale proof. */
  run(): WorldResult {
    this.#actors.push(this.#faults(), this.#tide(), ...this.#nodes.map(node => this.#sampler(node)))
    for (let step = 0; step < STEPS && this.#stale === undefined; step++) {
      this.#clock.advance(1)
      if (step % 8 === 0) this.#remember()
      if (this.#below(4) === 0 && this.#actors.length < 12) this.#actors.push(this.#client())
      const index = this.#below(this.#actors.length)
      if (this.#actors[index]!.next().done === true) this.#actors.splice(index, 1)
    }
    return { stale: this.#stale, counts: this.#counts }
  }

  #below(n: number): number {
    return this.#random.below(n)
  }

  #now(): number {
    return this.#clock.monotonicMs()
  }

  #count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1
  }

  *#wait(stepsMax: number): Actor {
    for (let left = this.#below(stepsMax); left > 0; left--) yield
  }

  /** Mostly short, sometimes long: where schedules come from. */
  *#delay(long: number): Actor {
    yield* this.#wait(this.#below(4) === 0 ? long : 4)
  }

  #client(): Actor {
    if (this.#below(3) === 0) return this.#writer()
    return this.#reader(this.#nodes[this.#below(2)]!, KEYS[this.#below(3)]!)
  }

  // ---- writers: through the cache, and around it

  *#writer(): Actor {
    const db = this.#db
    const xid = db.begin()
    const several = this.#below(3) === 0
    const keys = several ? KEYS.filter(() => this.#below(2) === 0) : [KEYS[this.#below(3)]!]
    const changes: { key: string; change: bigint; value: number }[] = []
    const puts: { key: string; at: bigint; value: number }[] = []
    const around = this.#below(4) === 0
    for (const key of keys) {
      // Keys are locked in one order, so that nobody waits in a circle.
      while (db.locks.has(key) && !db.frozen) yield
      if (db.frozen) return
      db.locks.set(key, xid)
      yield
      // The row that the statement returns, and sometimes a trigger that changes it again.
      for (const trigger of this.#below(3) === 0 ? [false, true] : [false]) {
        yield* this.#wait(2)
        if (db.frozen) return
        const change = { key, change: db.insert++, value: ++this.#values }
        changes.push(change)
        if (!trigger && !around) puts.push({ key, at: db.insert, value: change.value })
      }
      yield* this.#wait(several ? 20 : 3)
    }
    if (db.frozen || changes.length === 0 || this.#below(20) === 0) return db.end(xid) as undefined
    db.commit(xid, changes)
    yield* this.#wait(this.#below(8) === 0 ? 60 : 4)
    if (db.frozen) return
    db.end(xid)
    this.#becameVisible(changes)
    if (this.#below(8) === 0) return
    yield* this.#delay(120)
    for (const { key, at, value } of puts) {
      const stamp = { kind: 'write', xid, at, epoch: db.epoch, upto: at } as const
      this.#count(`put ${this.#tier.put(key, { payload: encoder.encode(`${value}`), stamp })}`)
      yield* this.#wait(3)
    }
  }

  #becameVisible(changes: Commit['changes']): void {
    const last = new Map(changes.map(({ key, value }) => [key, value]))
    for (const { key, value } of changes) {
      if (last.get(key) === value) this.#truth.get(key)!.push({ value, since: this.#now() })
      else this.#overwritten.set(value, this.#now())
    }
  }

  // ---- readers

  *#reader(node: Node, key: string): Actor {
    yield* this.#wait(3)
    const { lane, record } = this.#tier.read([key])[0]!
    yield* this.#wait(5)
    if (record?.type === 'value') {
      this.#serve(key, Number(decoder.decode(record.payload!)), this.#proof(node, lane))
      return
    }
    const token = ++this.#tokens
    const { db } = node
    const leased = this.#tier.lease(key, { token, epoch: db.epoch, leaseMs: LEASE_MS })
    if (leased.outcome !== 'granted') return
    const { mark } = leased.lane!
    yield* this.#wait(4)
    const from = this.#below(3) === 0 ? (node.previous ?? db) : db
    const { epoch, insert } = from
    const snapshot = from.snapshot()
    const value = from.value(key)
    yield* this.#delay(50)
    const stamp = { kind: 'load', snapshot, flush: insert, lsn: mark.lsn, epoch, upto: insert } as const
    this.#count(`fill ${this.#tier.fill(key, token, { payload: encoder.encode(`${value}`), stamp })}`)
  }

  #proof(node: Node, lane: LaneState | undefined): number {
    if (lane === undefined) return NO_PROOF
    let { samples } = node
    const { epoch } = lane.generation
    if (!this.#guards.sampleEpoch) samples = samples.map(sample => ({ ...sample, epoch }))
    if (!this.#guards.strict) samples = samples.map(sample => ({ ...sample, position: sample.position - 1n }))
    return asOfMs(samples, lane)
  }

  /** The check: a value that is proved as of an instant was visible then, or became so later. */
  #serve(key: string, value: number, asOf: number): void {
    if (!isFresh(asOf, this.#now(), BOUND_MS)) return this.#count('read unproved')
    this.#count('read proved')
    const versions = this.#truth.get(key)!
    const index = versions.findLastIndex(version => version.value === value)
    const until = index === -1 ? this.#overwritten.get(value) : (versions[index + 1]?.since ?? Infinity)
    if (until !== undefined && until >= asOf) return
    this.#stale = `at ${this.#now()} ${key} was ${value}, proved as of ${asOf}, but superseded at ${until ?? 'no time'}`
  }

  *#sampler(node: Node): Actor {
    for (;;) {
      const takenAtMs = this.#now()
      const { db } = node
      yield* this.#wait(4)
      const sample = { takenAtMs, position: db.insert, epoch: db.epoch }
      yield* this.#wait(5)
      node.samples = addSample(node.samples, sample)
      // A node notices only after a while that its database is not the primary any more.
      if (node.db !== this.#db && this.#below(6) === 0) this.#reconnect(node)
      else if (this.#below(20) === 0) node.previous = undefined
      yield* this.#wait(8)
    }
  }

  #reconnect(node: Node): void {
    node.previous = node.db
    node.db = this.#db
  }

  // ---- the tide: the database's log into the tier

  *#tide(): Actor {
    const me = ++this.#tides
    const db = this.#db
    const { slot } = db
    if (!slot.gated && this.#guards.firstMarkGate) {
      const before = [...db.running]
      while (before.some(xid => db.running.has(xid))) {
        if (db.frozen) return
        yield
      }
    }
    slot.gated = true
    let reached = slot.confirmed
    const confirmable: { at: number; reached: bigint }[] = []
    // It looks whether it is still the one only here: what it does below may come late.
    while (this.#tides === me && db.slot === slot && !db.frozen) {
      yield
      if (this.#below(3) === 0 && !db.frozen) this.#heartbeat(db)
      const lane = this.#tier.lane(0)
      const unreachable = lane !== undefined && lane.mark.lsn < slot.confirmed && this.#guards.retention
      if (lane === undefined || lane.generation.epoch !== db.epoch || unreachable) {
        yield* this.#delay(40)
        const generation = { epoch: db.epoch, nonce: ++this.#nonces }
        this.#count(`reset ${this.#tier.reset(0, { expected: lane, to: reached, generation }).outcome}`)
        continue
      }
      if (yield* this.#applyNext(db, slot, lane)) {
        const { lsn } = this.#tier.lane(0)?.mark ?? { lsn: 0n }
        if (lsn > reached && this.#tides === me) reached = lsn
      }
      confirmable.push({ at: this.#now(), reached })
      while (this.#now() - confirmable[0]!.at > RETENTION_MS) {
        const { reached: old } = confirmable.shift()!
        if (old > slot.confirmed) slot.confirmed = old
      }
    }
  }

  #heartbeat(db: DatabaseModel): void {
    const xid = db.begin()
    db.commit(xid, [])
    db.end(xid)
  }

  /** Applies some of what comes after the lane's mark; whether it was taken. */
  *#applyNext(db: DatabaseModel, slot: Slot, lane: LaneState): Generator<undefined, boolean> {
    const { generation, mark } = lane
    const waiting = db.log.filter(({ lsn }) => lsn > mark.lsn && lsn > slot.confirmed)
    const first = waiting[0]
    if (first === undefined) return false
    if (first.changes.length > 1 || mark.sub > 0n) return yield* this.#applyChunk(db, lane, first)
    const size = 1 + this.#below(3)
    const tooLong = waiting.findIndex(({ changes }) => changes.length > 1)
    const batch = waiting.slice(0, tooLong === -1 ? size : Math.min(size, tooLong))
    yield* this.#gate(db, batch)
    yield* this.#delay(40)
    const next = { lsn: batch.at(-1)!.lsn, sub: 0n }
    const events = batch.flatMap(commit => eventsOf(commit))
    return this.#apply({ generation, prev: mark, next, events })
  }

  /** One change of a transaction that has several; or its end. */
  *#applyChunk(db: DatabaseModel, lane: LaneState, commit: Commit): Generator<undefined, boolean> {
    const { generation, mark } = lane
    yield* this.#gate(db, [commit])
    yield* this.#wait(this.#below(2) === 0 ? 50 : 6)
    const left = eventsOf(commit).filter(event => event.change > mark.sub)
    const last = left.length <= 1
    const next = last ? { lsn: commit.lsn, sub: 0n } : { lsn: mark.lsn, sub: left[0]!.change }
    this.#count('chunk')
    return this.#apply({ generation, prev: mark, next, events: left.slice(0, 1) })
  }

  #apply(request: Parameters<MemoryTier['apply']>[1]): boolean {
    const { outcome } = this.#tier.apply(0, request)
    this.#count(`apply ${outcome}`)
    return outcome === 'applied'
  }

  *#gate(db: DatabaseModel, batch: readonly Commit[]): Actor {
    if (!this.#guards.gate) return
    while (!db.frozen && batch.some(({ xid }) => db.running.has(xid))) yield
    // A transaction that a frozen database never showed will not be waited for: the tide must not apply it.
    while (batch.some(({ xid }) => db.running.has(xid))) yield
  }

  // ---- what goes wrong

  #remember(): void {
    this.#checkpoints.push(this.#tier.checkpoint())
    if (this.#checkpoints.length > 12) this.#checkpoints.shift()
  }

  *#faults(): Actor {
    for (;;) {
      yield* this.#wait(30)
      yield* this.#wait(30)
      const fault = this.#faultsOf[this.#below(this.#faultsOf.length)]
      if (fault === 'tier rolls back') this.#rollBack()
      else if (fault === 'header is lost') this.#tier.loseHeader(0)
      else if (fault === 'record is evicted') this.#tier.evict(KEYS[this.#below(3)]!)
      else if (fault === 'slot is lost') yield* this.#loseSlot()
      else if (fault === 'tide restarts') this.#startTide()
      else if (fault === 'database fails over') this.#failDatabase()
    }
  }

  #rollBack(): void {
    const back = 1 + this.#below(this.#checkpoints.length)
    this.#checkpoints.splice(this.#checkpoints.length - back + 1)
    this.#checkpoints.at(-1)!()
    this.#count('tier rolled back')
  }

  #startTide(): void {
    this.#actors.push(this.#tide())
    this.#count('tide restarted')
  }

  /** The tide is dead for a while, and when the next one comes the feed has to start from where the log is by then. */
  *#loseSlot(): Actor {
    this.#tides++
    yield* this.#wait(30)
    this.#db.slot = { confirmed: this.#db.insert, gated: false }
    this.#startTide()
  }

  #failDatabase(): void {
    this.#db = this.#db.failover(this.#below(4))
    for (const key of KEYS) this.#truth.get(key)!.push({ value: this.#db.value(key), since: this.#now() })
    for (const node of this.#nodes) if (this.#below(2) === 0) this.#reconnect(node)
    this.#startTide()
    this.#count('database failed over')
  }
}

/** One event a key, at the transaction's last change of it, in the order of the log. */
function eventsOf({ lsn, xid, changes }: Commit): ChangeEvent[] {
  const last = new Map(changes.map(({ key, change }) => [key, change]))
  return changes
    .filter(({ key, change }) => last.get(key) === change)
    .map(({ key, change }) => ({ key, xid, lsn, change }))
}
