// Group commit: calls to write() that arrive while another commit runs, or while a lock is waited for, share one SQLite
// transaction and so one fsync. Each runs under a savepoint of its own: one that fails rolls back alone.
// Not for: what one row's write does (sqlite-write.ts).
import type { Timer } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Position } from '../coherence/mark.ts'
import type { ChangeEvent } from '../coherence/stamp.ts'
import type { RowOutcome, RowWrite, WriteResult } from './source.ts'
import { backoffMs, busyError, type BusyOptions } from './sqlite-busy.ts'
import type { SqliteConnection } from './sqlite-connection.ts'
import { isBusy, isConstraint, refusal } from './sqlite-errors.ts'
import type { TableMapping } from './sqlite-mapping.ts'
import { applyWrite, isGroupThere, planWrite, type WritePlan } from './sqlite-write.ts'

/** What the queue needs of its source. */
export interface WriteQueueSource {
  readonly epoch: bigint
  /** The next position. */
  draw(): Position
  /** Throws when the source cannot be used. */
  checkUsable(): void
  /** Maps the tables anew, inside a transaction. */
  refreshMapping(): void
  changes(position: Position, events: readonly ChangeEvent[]): void
  reset(reason: string): void
}

interface Call {
  readonly writes: readonly RowWrite[]
  /** Made before the call is queued, and again when the schema has changed since. */
  plans: readonly WritePlan[]
  readonly deadlineMs: number
  readonly resolve: (result: WriteResult) => void
  readonly reject: (error: TidemarkError) => void
}

/** A call whose rows are written but not committed. */
interface Written {
  readonly call: Call
  readonly outcomes: readonly RowOutcome[]
  readonly xid: bigint
  readonly at: Position
  readonly lsn: Position
  readonly events: readonly ChangeEvent[]
  readonly sideEffect: string | undefined
}

export class SqliteWriteQueue {
  readonly #connection: SqliteConnection
  readonly #options: BusyOptions
  readonly #source: WriteQueueSource
  #waiting: Call[] = []
  #timer: Timer | undefined
  #attempts = 0

  constructor(connection: SqliteConnection, options: BusyOptions, source: WriteQueueSource) {
    this.#connection = connection
    this.#options = options
    this.#source = source
  }

  /** Resolves once COMMIT has returned and the feed's handlers know; rejects with nothing changed. */
  write(writes: readonly RowWrite[]): Promise<WriteResult> {
    return new Promise((resolve, reject) => {
      const plans = this.#plan(writes)
      const deadlineMs = this.#options.clock.monotonicMs() + this.#options.busyTimeoutMs
      this.#waiting.push({ writes, plans, deadlineMs, resolve, reject })
      this.#schedule(0)
    })
  }

  /** Commits what it can at once and rejects the rest. */
  close(): void {
    while (this.#waiting.length > 0 && this.#commitGroup());
    this.#timer?.cancel()
    this.#rejectAll(
      this.#waiting.splice(0),
      new TidemarkError('SHUTTING_DOWN', 'the source was closed before the write'),
    )
  }

  #plan(writes: readonly RowWrite[]): WritePlan[] {
    return writes.map(write => planWrite(this.#connection.table(write.keyspace).mapping, write))
  }

  #schedule(delayMs: number): void {
    this.#timer ??= this.#options.clock.timer(delayMs, () => {
      this.#timer = undefined
      const done = this.#commitGroup()
      this.#attempts = done ? 0 : this.#attempts + 1
      // A turn of the event loop between groups lets loads go on.
      if (this.#waiting.length > 0) this.#schedule(done ? 0 : this.#lockDelayMs())
    })
  }

  /** Until the next try for the lock: not past the moment when the first call gives up. */
  #lockDelayMs(): number {
    const { clock, random } = this.#options
    const leftMs = Math.min(...this.#waiting.map(call => call.deadlineMs)) - clock.monotonicMs()
    return Math.min(leftMs, backoffMs(this.#attempts, random))
  }

  /** Writes and commits the calls at the head of the queue; false when a lock was in the way. */
  #commitGroup(): boolean {
    const group = this.#takeGroup()
    try {
      this.#source.checkUsable()
      this.#connection.beginWrite()
    } catch (thrown) {
      if (!isBusy(thrown)) this.#rejectAll(group, refusal(thrown, this.#options.file))
      else this.#keepWaiting(group, thrown)
      return !isBusy(thrown)
    }
    try {
      this.#commit(this.#writeGroup(group))
    } finally {
      this.#connection.rollback()
    }
    return true
  }

  #takeGroup(): Call[] {
    let count = 1
    let rows = this.#waiting[0]!.writes.length
    while (count < this.#waiting.length) {
      rows += this.#waiting[count]!.writes.length
      if (rows > limits.sqliteGroupWritesMax) break
      count++
    }
    return this.#waiting.splice(0, count)
  }

  /** Back to the head of the queue, save the calls that have waited long enough. */
  #keepWaiting(group: Call[], thrown: unknown): void {
    const nowMs = this.#options.clock.monotonicMs()
    this.#waiting.unshift(...group)
    const late = this.#waiting.filter(call => call.deadlineMs <= nowMs)
    this.#waiting = this.#waiting.filter(call => call.deadlineMs > nowMs)
    if (late.length > 0) this.#rejectAll(late, busyError(this.#options, thrown))
  }

  #writeGroup(group: readonly Call[]): Written[] {
    const connection = this.#connection
    let replan: boolean
    try {
      replan = connection.isSchemaMoved()
      if (replan) this.#source.refreshMapping()
    } catch (thrown) {
      this.#rejectAll(group, refusal(thrown, this.#options.file))
      return []
    }
    const written: Written[] = []
    for (const [i, call] of group.entries()) {
      let mapping: TableMapping | undefined
      try {
        connection.savepoint()
        if (replan) call.plans = this.#plan(call.writes)
        written.push(this.#writeCall(call, plan => (mapping = plan.mapping)))
        connection.releaseSavepoint()
      } catch (thrown) {
        this.#rejectAll([call], refusal(thrown, this.#options.file, mapping))
        if (connection.isInTransaction()) connection.rollbackSavepoint()
        else {
          // The error ended the whole transaction (a full disk, a trigger's RAISE(ROLLBACK)): the others start again.
          this.#waiting.unshift(...written.map(({ call }) => call), ...group.slice(i + 1))
          return []
        }
      }
    }
    return written
  }

  #writeCall(call: Call, starting: (plan: WritePlan) => void): Written {
    const { draw } = this.#source
    const xid = draw()
    const outcomes: RowOutcome[] = []
    const changes = new Map<string, Position>()
    let sideEffect: string | undefined
    const statementsOf = (plan: WritePlan) => this.#connection.table(plan.mapping.keyspace).statements
    let withheld = false
    for (const [i, plan] of call.plans.entries()) {
      starting(plan)
      if (plan.condition === 'all-absent') withheld = isGroupThere(statementsOf, call.plans, i)
      else if (plan.condition !== 'and-absent') withheld = false
      const applied = applyWrite(statementsOf(plan), plan, withheld)
      outcomes.push(applied.outcome)
      sideEffect ??= applied.sideEffect
      if (!applied.outcome.changed) continue
      const change = draw()
      for (const keyspace of plan.mapping.keyspacesOfTable) changes.set(`${keyspace}:${plan.id}`, change)
    }
    const at = draw()
    const lsn = draw()
    const events = [...changes].map(([key, change]) => ({ key, xid, lsn, change }))
    return { call, outcomes, xid, at, lsn, events, sideEffect }
  }

  #commit(written: readonly Written[]): void {
    if (written.length === 0) return
    try {
      this.#connection.commit()
    } catch (thrown) {
      this.#connection.rollback()
      // A deferred foreign key is checked at COMMIT, which does not say whose it was: each call goes alone then.
      if (isConstraint(thrown) && written.length > 1) for (const { call } of written) this.#commitAlone(call)
      else
        this.#rejectAll(
          written.map(({ call }) => call),
          this.#commitRefusal(written, thrown),
        )
      return
    }
    this.#tellAndResolve(written)
  }

  #commitAlone(call: Call): void {
    try {
      this.#connection.beginWrite()
      this.#commit(this.#writeGroup([call]))
    } catch (thrown) {
      if (isBusy(thrown)) this.#waiting.push(call)
      else this.#rejectAll([call], refusal(thrown, this.#options.file))
    } finally {
      this.#connection.rollback()
    }
  }

  #commitRefusal(written: readonly Written[], thrown: unknown): TidemarkError {
    return refusal(thrown, this.#options.file, written[0]!.call.plans[0]?.mapping)
  }

  #tellAndResolve(written: readonly Written[]): void {
    const { epoch } = this.#source
    for (const { lsn, events } of written) this.#source.changes(lsn, events)
    const sideEffect = written.find(({ sideEffect }) => sideEffect !== undefined)?.sideEffect
    if (sideEffect !== undefined) this.#source.reset(sideEffect)
    for (const { call, outcomes, xid, at, lsn } of written) {
      call.resolve({
        // Rows that another write of this transaction acted on may differ from what was returned.
        outcomes: sideEffect === undefined ? outcomes : outcomes.map(outcome => ({ ...outcome, exact: false })),
        stamp: { kind: 'write', xid, at, epoch, upto: lsn },
      })
    }
  }

  #rejectAll(calls: readonly Call[], error: TidemarkError): void {
    for (const call of calls) call.reject(error)
  }
}
