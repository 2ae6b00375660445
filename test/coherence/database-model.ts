// A database as a world of the protocol's tests sees it: a log of commits that is ahead of what is visible, row locks,
// snapshots, and a standby that takes over and has lost the last commits. Not for: anything about SQL.
import assert from 'node:assert/strict'
import { boundedSnapshot, type Snapshot } from '../../src/coherence/stamp.ts'

export interface Commit {
  readonly lsn: bigint
  readonly xid: bigint
  /** In the order of the log; a key may come twice. */
  readonly changes: readonly { readonly key: string; readonly change: bigint; readonly value: number }[]
}

/** What a change feed holds of the log: nothing at or before `confirmed` can be asked for again. */
export interface Slot {
  confirmed: bigint
  /** Whether everything up to the first `confirmed` is known to be visible. */
  gated: boolean
}

export class DatabaseModel {
  readonly epoch: bigint
  readonly log: Commit[] = []
  readonly running = new Set<bigint>()
  readonly locks = new Map<string, bigint>()
  /** Committed versions of each row, in the order of the log, visible or not. */
  readonly #rows = new Map<string, { xid: bigint; value: number }[]>()
  /** Where the next record of the log goes. */
  insert: bigint
  nextXid: bigint
  slot: Slot
  /** Cut off, its standby has taken over: it answers what it last knew, and nothing commits. */
  frozen = false

  constructor(epoch: bigint, insert: bigint, nextXid: bigint) {
    this.epoch = epoch
    this.insert = insert
    this.nextXid = nextXid
    this.slot = { confirmed: insert, gated: false }
  }

  begin(): bigint {
    const xid = this.nextXid++
    this.running.add(xid)
    return xid
  }

  /** Writes the commit to the log; others see it only once `end` was called. */
  commit(xid: bigint, changes: Commit['changes']): bigint {
    assert.ok(!this.frozen, 'nothing commits on a database that is cut off')
    const lsn = (this.insert += 2n)
    this.log.push({ lsn, xid, changes })
    for (const { key, value } of changes) {
      const versions = this.#rows.get(key) ?? []
      versions.push({ xid, value })
      this.#rows.set(key, versions)
    }
    return lsn
  }

  /** The transaction is over: visible if it committed, its locks free. */
  end(xid: bigint): void {
    this.running.delete(xid)
    for (const [key, holder] of this.locks) if (holder === xid) this.locks.delete(key)
  }

  /** The row that a new query sees; 0 before the first write. */
  value(key: string): number {
    return this.#rows.get(key)?.findLast(version => !this.running.has(version.xid))?.value ?? 0
  }

  snapshot(): Snapshot {
    const running = [...this.running].toSorted((a, b) => (a < b ? -1 : 1))
    const xmin = running[0] ?? this.nextXid
    // Few transactions run at once here; some snapshots are made inexact all the same.
    if (running.length > 3) return { xmin, xmax: this.nextXid, inProgress: [], exact: false }
    return boundedSnapshot(xmin, this.nextXid, running)
  }

  /** A standby that lost the last `lost` commits takes over: positions and transaction ids come again. */
  failover(lost: number): DatabaseModel {
    this.frozen = true
    const kept = this.log.slice(0, Math.max(0, this.log.length - lost))
    const next = new DatabaseModel(this.epoch + 1n, (kept.at(-1)?.lsn ?? 100n) + 1n, (kept.at(-1)?.xid ?? 0n) + 1n)
    for (const { xid, changes } of kept) {
      next.nextXid = xid >= next.nextXid ? xid + 1n : next.nextXid
      for (const { key, value } of changes) next.#rows.set(key, [{ xid, value }])
    }
    next.log.push(...kept)
    return next
  }
}
