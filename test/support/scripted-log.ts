// A database's log of changes in memory, for tests and simulations of the tide: commits that others see only later, a hold
// that can be taken away, a log that forgets what was confirmed. `feed()` makes readers of it. Nothing takes time by itself:
// `pause` is awaited before every answer.
// Not for: rows (whoever needs them keeps them beside it).
import { TidemarkError } from '../../src/base/errors.ts'
import type { Position } from '../../src/coherence/mark.ts'
import type { ChangeFeed, FeedItem, FeedSnapshot, FeedStart } from '../../src/source/change-feed.ts'

export class ScriptedLog {
  epoch: bigint
  /** What readers have confirmed: nothing at or before it is told. */
  confirmed: Position
  /** Everything since the beginning. */
  readonly items: FeedItem[] = []
  readonly inProgress = new Set<bigint>()
  /** Where the next record goes. */
  insert: Position
  nextXid = 1n
  holder: ScriptedFeed | undefined
  /** The database takes no heartbeats while this is set. */
  heartbeatFailure: TidemarkError | undefined
  /** It gives no snapshots while this is set. */
  snapshotFailure: TidemarkError | undefined
  /** It commits heartbeats, and tells nothing of them. */
  isMute = false
  /** So many items from before the place that was asked for are told too. */
  tellsAgain = 0
  /** The log cannot be opened while this is set. */
  openFailure: TidemarkError | undefined
  readonly counts = { opened: 0, heartbeats: 0, snapshots: 0, evictions: 0 }
  pause: () => Promise<void> = () => Promise.resolve()
  /** Called to end a holder that was put out: at once, unless it takes the database a while. */
  letGo: (end: () => void) => void = end => end()
  readonly #changed = new Set<() => void>()

  constructor(options: { readonly epoch?: bigint; readonly insert?: Position } = {}) {
    this.epoch = options.epoch ?? 7n
    this.insert = options.insert ?? 100n
    this.confirmed = this.insert
  }

  feed(): ScriptedFeed {
    return new ScriptedFeed(this)
  }

  begin(): bigint {
    const xid = this.nextXid++
    this.inProgress.add(xid)
    return xid
  }

  /** The next place in the log: for a change of a transaction that is going on. */
  change(): Position {
    return (this.insert += 1n)
  }

  /** Writes a commit into the log; others see it once it is shown. */
  commit(xid: bigint, changes: readonly { readonly key: string; readonly change: Position }[]): Position {
    const lsn = (this.insert += 1n)
    this.#append({
      kind: 'transaction',
      xid,
      lsn,
      events: changes.map(({ key, change }) => ({ key, change, xid, lsn })),
    })
    return lsn
  }

  /** The transaction is over: visible, if it has committed. */
  show(xid: bigint): void {
    this.inProgress.delete(xid)
  }

  /** A whole transaction that changes the keys, each once; visible at once unless told otherwise. */
  write(keys: readonly string[], options: { readonly visible?: boolean } = {}): { xid: bigint; lsn: Position } {
    const xid = this.begin()
    const lsn = this.commit(
      xid,
      keys.map(key => ({ key, change: this.change() })),
    )
    if (options.visible !== false) this.show(xid)
    return { xid, lsn }
  }

  /** A transaction of which nobody knows what it changed. */
  truncate(reason: string, options: { readonly visible?: boolean } = {}): { xid: bigint; lsn: Position } {
    const xid = this.begin()
    const lsn = (this.insert += 1n)
    this.#append({ kind: 'reset', xid, lsn, reason })
    if (options.visible !== false) this.show(xid)
    return { xid, lsn }
  }

  /** Takes the log away from whoever has it. */
  loseHold(): void {
    this.holder?.lose()
  }

  /** A log that begins here: what readers held of the one before is gone. */
  beginAnew(): void {
    this.loseHold()
    this.confirmed = this.insert
  }

  snapshot(): FeedSnapshot {
    const inProgress = [...this.inProgress].toSorted((a, b) => (a < b ? -1 : 1))
    return { xmin: inProgress[0] ?? this.nextXid, xmax: this.nextXid, inProgress }
  }

  #append(item: FeedItem): void {
    this.items.push(item)
    this.wake()
  }

  /** Those who wait for the log look again. */
  wake(): void {
    for (const wake of this.#changed) wake()
    this.#changed.clear()
  }

  waitForMore(): Promise<void> {
    return new Promise(resolve => this.#changed.add(resolve))
  }
}

/** Items that one answer of the log holds at most. */
const ITEMS_AT_ONCE = 100

export class ScriptedFeed implements ChangeFeed {
  /** What was asked for when it was opened. */
  from: Position | undefined
  readonly confirmations: Position[] = []
  readonly #log: ScriptedLog
  /** How many transactions it has told. */
  told = 0
  #next = 0
  #state: 'new' | 'open' | 'lost' = 'new'

  constructor(log: ScriptedLog) {
    this.#log = log
  }

  async open(from: Position | undefined): Promise<FeedStart> {
    const log = this.#log
    await log.pause()
    if (this.#state !== 'new') throw new Error('a feed is opened once')
    if (log.openFailure !== undefined) throw log.openFailure
    if (log.holder !== undefined) throw new TidemarkError('FEED_TAKEN', 'another one reads the log')
    log.holder = this
    log.counts.opened++
    this.#state = 'open'
    this.from = from
    const { epoch, confirmed, insert } = log
    const after = from === undefined || from < confirmed ? confirmed : from
    this.#next = log.items.findIndex(item => item.lsn > after)
    if (this.#next === -1) this.#next = log.items.length
    this.#next = Math.max(0, this.#next - log.tellsAgain)
    return { epoch, confirmed, flushed: insert }
  }

  async next(): Promise<readonly FeedItem[]> {
    const log = this.#log
    for (;;) {
      await log.pause()
      this.#check()
      const items = log.isMute ? [] : log.items.slice(this.#next, this.#next + ITEMS_AT_ONCE)
      this.#next += items.length
      this.told += items.length
      if (items.length > 0) return items
      await log.waitForMore()
    }
  }

  async snapshot(): Promise<FeedSnapshot> {
    await this.#log.pause()
    this.#check()
    if (this.#log.snapshotFailure !== undefined) throw this.#log.snapshotFailure
    this.#log.counts.snapshots++
    return this.#log.snapshot()
  }

  async heartbeat(): Promise<void> {
    const log = this.#log
    await log.pause()
    this.#check()
    if (log.heartbeatFailure !== undefined) throw log.heartbeatFailure
    log.counts.heartbeats++
    log.write([])
  }

  confirm(position: Position): void {
    if (this.#state !== 'open') return
    this.confirmations.push(position)
    this.#log.confirmed = position
  }

  async evict(): Promise<void> {
    await this.#log.pause()
    this.#log.counts.evictions++
    const { holder } = this.#log
    this.#log.letGo(() => holder?.lose())
  }

  async close(): Promise<void> {
    if (this.#state === 'open') this.lose()
    await this.#log.pause()
  }

  lose(): void {
    this.#state = 'lost'
    if (this.#log.holder === this) this.#log.holder = undefined
    this.#log.wake()
  }

  #check(): void {
    if (this.#state !== 'open') throw new TidemarkError('FEED_LOST', 'the hold on the log is gone')
  }
}
