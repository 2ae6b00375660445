// A Postgres as the protocol sees it: transactions with row locks, a log whose commit records come before visibility (with
// a synchronous standby: long before), snapshots, a flushed position, replication slots, a crash that forgets what was
// not flushed, a standby that takes over without the last commits. Not for: SQL, and how others talk to it (sim-source.ts,
// sim-feed.ts).
import assert from 'node:assert/strict'
import type { Random } from '../../src/base/random.ts'
import type { Connection } from './network.ts'
import type { SimProcess } from './machine.ts'
import type { Truth, Value } from './truth.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface Change {
  readonly key: string
  /** Where the change is in the log. */
  readonly change: bigint
  readonly value: Value
}

export interface Commit {
  readonly lsn: bigint
  readonly xid: bigint
  readonly changes: readonly Change[]
  /** TRUNCATE, DDL: the log does not say what changed. */
  readonly unknown: boolean
  /** Not told by the feed at all when it changed nothing of interest. */
  readonly told: boolean
  readonly atMs: number
}

export interface Transaction {
  readonly xid: bigint
  readonly changes: Change[]
  readonly locks: string[]
  unknown: boolean
  state: 'running' | 'committing' | 'over'
}

export interface SlotHolder {
  readonly connection: Connection
  /** Takes what was committed to the holder. */
  readonly deliver: (commits: readonly Commit[]) => void
  sent: bigint
}

export interface Slot {
  confirmed: bigint
  /** As on disk: what a crash takes it back to. */
  confirmedOnDisk: bigint
  holder: SlotHolder | undefined
}

export interface PostgresShape {
  /** Commits wait for the standby before they are visible. */
  readonly synchronousStandby: boolean
  /** How far the standby is behind what is flushed. */
  readonly standbyLagMs: number
  readonly fsyncMs: number
  /** From flushed (and replicated) to visible. */
  readonly visibleAfterMs: number
  /** One in so many takes up to 40 times as long. */
  readonly slowVisibleOneIn: number
  readonly walWriterMs: number
  /** Whether processes can tell that the server was started again. */
  readonly runIsKnown: boolean
}

/** The slot of the deployment's tide. Processes that read the log for themselves have one each. */
export const TIDE_SLOT = 'tide'

interface History {
  readonly timeline: number
  readonly run: number
  readonly wal: bigint
  readonly nextXid: bigint
  readonly log: readonly Commit[]
  readonly initial: ReadonlyMap<string, Value>
}

export interface PostgresOptions {
  readonly time: VirtualTime
  readonly process: SimProcess
  readonly shape: PostgresShape
  readonly random: Random
  readonly truth: Truth
  readonly history: History
}

export class Postgres {
  readonly process: SimProcess
  readonly timeline: number
  /** Counts its starts. */
  readonly run: number
  /** Where the next record of the log goes. */
  wal: bigint
  flushed: bigint
  readonly slots = new Map<string, Slot>()
  /** Cut off from its standby, which may have taken over: no commit becomes visible any more. */
  frozen = false
  readonly log: Commit[]
  readonly running = new Map<bigint, Transaction>()
  readonly #shape: PostgresShape
  readonly #random: Random
  readonly #truth: Truth
  readonly #time: VirtualTime
  readonly #initial: ReadonlyMap<string, Value>
  readonly #rows: Map<string, Value>
  readonly #locks = new Map<string, { holder: Transaction; readonly waiting: { tx: Transaction; go: () => void }[] }>()
  /** The first record of each transaction, while the standby may lack it. */
  #xids: { readonly xid: bigint; readonly lsn: bigint }[] = []
  /** No transaction id below it comes again, whatever happens. */
  #xidsKept: bigint
  #nextXid: bigint
  #received: bigint
  #stalls = 0
  #standbyWaits: { readonly lsn: bigint; readonly go: () => void }[] = []

  constructor(options: PostgresOptions) {
    const { history } = options
    this.process = options.process
    this.#shape = options.shape
    this.#random = options.random
    this.#truth = options.truth
    this.#time = options.time
    this.timeline = history.timeline
    this.run = history.run
    this.wal = history.wal
    this.flushed = history.wal
    this.#received = history.wal
    this.#nextXid = history.nextXid
    this.#xidsKept = history.nextXid
    this.log = [...history.log]
    this.#initial = history.initial
    this.#rows = new Map(history.initial)
    for (const { changes } of history.log) for (const { key, value } of changes) this.#rows.set(key, value)
  }

  /** That of the tide. */
  get slot(): Slot | undefined {
    return this.slots.get(TIDE_SLOT)
  }

  /** The run as processes see it. */
  get knownRun(): number {
    return this.#shape.runIsKnown ? this.run : 0
  }

  value(key: string): Value {
    return this.#rows.get(key) ?? null
  }

  // ---- transactions

  begin(): Transaction {
    const xid = this.#nextXid++
    const tx: Transaction = { xid, changes: [], locks: [], unknown: false, state: 'running' }
    this.running.set(xid, tx)
    this.#xids.push({ xid, lsn: this.wal })
    return tx
  }

  /** Locks the row, for this transaction, then goes on; never, if the transaction ends before. */
  lock(tx: Transaction, key: string, go: () => void): void {
    const lock = this.#locks.get(key)
    if (lock === undefined) {
      this.#locks.set(key, { holder: tx, waiting: [] })
      tx.locks.push(key)
      go()
    } else if (lock.holder === tx) go()
    else lock.waiting.push({ tx, go })
  }

  /** Changes a row that is locked; returns where in the log. */
  change(tx: Transaction, key: string, value: Value): bigint {
    assert.equal(tx.state, 'running')
    const change = this.wal
    this.wal += 8n
    tx.changes.push({ key, change, value })
    return change
  }

  /** What the transaction itself sees. */
  seen(tx: Transaction, key: string): Value {
    const own = tx.changes.findLast(change => change.key === key)
    return own === undefined ? this.value(key) : own.value
  }

  /** Back to a savepoint: what came after is undone, its records stay in the log. */
  rollBackTo(tx: Transaction, changes: number): void {
    tx.changes.splice(changes)
  }

  abort(tx: Transaction): void {
    if (tx.state !== 'running') return
    this.wal += 8n
    this.#end(tx)
  }

  /** An operator ends whatever has not begun to commit. */
  terminateAll(): void {
    for (const tx of this.running.values()) this.abort(tx)
  }

  /** Writes the commit record; `done` comes when others see it, and the client may be told. */
  commit(tx: Transaction, asynchronous: boolean, told: boolean, done: () => void): void {
    assert.equal(tx.state, 'running')
    tx.state = 'committing'
    this.wal += 8n
    const lsn = this.wal
    this.log.push({ lsn, xid: tx.xid, changes: tx.changes, unknown: tx.unknown, told, atMs: this.#time.nowMs })
    if (asynchronous) {
      if (this.frozen) return
      this.#show(tx)
      done()
      this.#later(this.#shape.walWriterMs * this.#random.fraction(), () => this.#flush(lsn))
      return
    }
    const visible = (): void => {
      if (tx.state !== 'committing' || this.frozen) return
      this.#show(tx)
      done()
    }
    this.#later(this.#shape.fsyncMs * (0.5 + this.#random.fraction()), () => {
      this.#flush(lsn)
      const { slowVisibleOneIn, visibleAfterMs } = this.#shape
      const slow = slowVisibleOneIn > 0 && this.#random.below(slowVisibleOneIn) === 0 ? 40 : 1
      const afterMs = visibleAfterMs * slow * this.#random.fraction()
      const shown = (): void => this.#later(afterMs, visible)
      if (this.#shape.synchronousStandby) this.#waitForStandby(lsn, shown)
      else shown()
    })
  }

  #later(delayMs: number, callback: () => void): void {
    this.process.clock.timer(delayMs, callback)
  }

  #show(tx: Transaction): void {
    const { nowMs } = this.#time
    const last = new Map<string, Value>()
    for (const { key, value } of tx.changes) last.set(key, value)
    for (const { key, value } of tx.changes) if (last.get(key) !== value) this.#truth.overwrite(value, nowMs)
    for (const [key, value] of last) {
      this.#rows.set(key, value)
      this.#truth.show(key, value, nowMs)
    }
    this.#end(tx)
  }

  #end(tx: Transaction): void {
    tx.state = 'over'
    this.running.delete(tx.xid)
    for (const key of tx.locks.splice(0)) {
      const lock = this.#locks.get(key)!
      this.#locks.delete(key)
      const waiting = lock.waiting.filter(({ tx: other }) => other.state === 'running')
      const next = waiting.shift()
      if (next === undefined) continue
      this.#locks.set(key, { holder: next.tx, waiting })
      next.tx.locks.push(key)
      this.#later(0, () => {
        if (next.tx.state === 'running') next.go()
      })
    }
  }

  // ---- what queries say

  snapshot(): { readonly xmin: bigint; readonly xmax: bigint; readonly inProgress: readonly bigint[] } {
    const inProgress = [...this.running.keys()]
    return { xmin: inProgress[0] ?? this.#nextXid, xmax: this.#nextXid, inProgress }
  }

  // ---- the log on disk and on the standby

  #flush(lsn: bigint): void {
    if (lsn <= this.flushed) return
    this.flushed = lsn
    this.#later(this.#shape.standbyLagMs * (0.5 + this.#random.fraction()), () => this.#receive(lsn))
    this.send()
  }

  #receive(lsn: bigint): void {
    if (this.#stalls > 0) this.#standbyWaits.push({ lsn: -1n, go: () => this.#receive(lsn) })
    else if (lsn > this.#received && !this.frozen) {
      this.#received = lsn
      while (this.#xids.length > 0 && this.#xids[0]!.lsn < lsn) this.#xidsKept = this.#xids.shift()!.xid + 1n
      this.#wakeStandbyWaits()
    }
  }

  #waitForStandby(lsn: bigint, go: () => void): void {
    if (lsn <= this.#received) go()
    else this.#standbyWaits.push({ lsn, go })
  }

  #wakeStandbyWaits(): void {
    const ready = this.#standbyWaits.filter(wait => wait.lsn <= this.#received)
    this.#standbyWaits = this.#standbyWaits.filter(wait => wait.lsn > this.#received)
    for (const { go } of ready) go()
  }

  /** The standby hears nothing for a while: commits that wait for it are not visible meanwhile. */
  stallStandby(): () => void {
    this.#stalls++
    return () => {
      if (--this.#stalls === 0) this.#later(0, () => this.#wakeStandbyWaits())
    }
  }

  /** When what is at this position was committed. */
  committedAtMs(lsn: bigint): number | undefined {
    return this.log.findLast(commit => commit.lsn <= lsn)?.atMs
  }

  // ---- the slots

  /** Sends what is flushed, and not sent yet, to whoever holds a slot. */
  send(): void {
    for (const { holder } of this.slots.values()) if (holder !== undefined) this.#sendTo(holder)
  }

  #sendTo(holder: SlotHolder): void {
    const from = firstAfter(this.log, holder.sent)
    let to = from
    while (to < this.log.length && this.log[to]!.lsn <= this.flushed) to++
    if (to === from) return
    const commits = this.log.slice(from, to)
    holder.sent = commits.at(-1)!.lsn
    const told = commits.filter(commit => commit.told)
    if (told.length > 0) holder.deliver(told)
  }

  createSlot(name: string): Slot {
    // What is not flushed yet is flushed by the record that the creation itself writes.
    this.wal += 8n
    this.#flush(this.wal)
    const slot: Slot = { confirmed: this.wal, confirmedOnDisk: this.wal, holder: undefined }
    this.slots.set(name, slot)
    return slot
  }

  loseSlot(name: string = TIDE_SLOT): void {
    const holder = this.slots.get(name)?.holder
    this.slots.delete(name)
    holder?.connection.endAtServer()
  }

  // ---- the end of it, and what comes after

  /** Commits whose record is on disk (or on the standby) are visible after a restart (or there), the others are gone. */
  #history(until: bigint, timeline: number, run: number): History {
    const log = this.log.filter(commit => commit.lsn <= until)
    let nextXid = this.#xidsKept
    for (const { xid } of log) if (xid >= nextXid) nextXid = xid + 1n
    for (const { xid, lsn } of this.#xids) if (lsn < until && xid >= nextXid) nextXid = xid + 1n
    return { timeline, run, wal: until, nextXid, log, initial: this.#initial }
  }

  /** After a crash of the process: as it comes up again. */
  afterCrash(): { readonly history: History; readonly slots: ReadonlyMap<string, Slot> } {
    const slots = new Map<string, Slot>()
    for (const [name, { confirmedOnDisk }] of this.slots)
      slots.set(name, { confirmed: confirmedOnDisk, confirmedOnDisk, holder: undefined })
    return { history: this.#history(this.flushed, this.timeline, this.run + 1), slots }
  }

  /** As its standby takes over. */
  afterFailover(): History {
    return this.#history(this.#received, this.timeline + 1, this.run + 1)
  }
}

/** The first index of `log` with a commit after `lsn`. */
function firstAfter(log: readonly Commit[], lsn: bigint): number {
  let index = log.length
  while (index > 0 && log[index - 1]!.lsn > lsn) index--
  return index
}
