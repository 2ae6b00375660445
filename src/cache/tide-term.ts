// The loops of one term of the tide, over a log that is open: read, gate, beat, and a worker for each lane (tide.ts says
// what each is for). It ends when any of them cannot go on.
// Not for: opening and closing the log (tide.ts), one lane's way (lane-worker.ts).
import type { Clock, Timer } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { unsettled, visibleAtHead } from '../coherence/gate.ts'
import type { LaneState } from '../coherence/lane.ts'
import type { Position } from '../coherence/mark.ts'
import type { ChangeFeed, FeedItem, FeedSnapshot, FeedStart } from '../source/change-feed.ts'
import type { LaneTier } from '../tier/tier.ts'
import { Alarm } from './alarm.ts'
import { LaneWorker, type LaneTerm } from './lane-worker.ts'
import { TideMemory } from './tide-memory.ts'
import type { TermEnd, TideObserver } from './tide-observer.ts'
import { TideRetention } from './tide-retention.ts'

export interface TideOptions {
  readonly tier: LaneTier
  /** Not opened yet; the tide closes it. */
  readonly feed: ChangeFeed
  readonly clock: Clock
  readonly random: Random
  readonly observer?: Partial<TideObserver>
  /**
   * Of the database, as last heard: the log is read from the lowest mark of the lanes of this epoch. undefined: from what is
   * confirmed of it, which is right in any case, and longer.
   */
  readonly epoch: bigint | undefined
  /** Before this monotonic time the log is not read again for lanes that need what is not kept: they begin anew. */
  readonly readAgainFromMs?: number
}

export interface TideTermOptions extends TideOptions {
  readonly start: FeedStart
  /** From where the log was asked for. */
  readonly from: Position | undefined
  /** The lanes as they were found before. */
  readonly lanes: readonly LaneState[]
}

interface Told {
  readonly xid: bigint
  readonly item: FeedItem
  readonly atMs: number
}

export class TideTerm implements LaneTerm {
  readonly tier: LaneTier
  readonly memory: TideMemory
  readonly start: FeedStart
  readonly clock: Clock
  readonly random: Random
  readonly observer: Partial<TideObserver>
  readonly #options: TideTermOptions
  readonly #workers: readonly LaneWorker[]
  readonly #retention: TideRetention
  readonly #end = Promise.withResolvers<TermEnd>()
  #ended = false
  #hasMoved = false
  /** Rung at the end only, so that what waits for time stops waiting. */
  readonly #over: Alarm
  readonly #toldAlarm: Alarm
  readonly #roomAlarm: Alarm
  /** Told by the log, and not known to be visible. */
  #told: Told[] = []
  #toldChanges = 0
  #changedSinceBeat = false
  /** When the log last told of a change. */
  #changedAtMs = -Infinity
  #toldAtMs: number
  /** Since when the log has been asked for more. */
  #askedAtMs: number | undefined
  /** A heartbeat is on its way into the log. */
  #beating = false
  /** One was committed in this term: the database is the primary still, and not one that its standbys have left. */
  #hasBeaten = false
  /** Since when one is in it and was not told. */
  #untoldSinceMs: number | undefined
  /** Everything up to where the log was opened is visible to every query from now on. */
  #settled: boolean
  readonly #isElsewhere: boolean
  #settling: readonly bigint[] | undefined
  #readAgain: Timer | undefined

  constructor(options: TideTermOptions) {
    const { tier, start, from, lanes, clock, random, observer } = options
    this.#options = options
    this.tier = tier
    this.start = start
    this.clock = clock
    this.random = random
    this.observer = observer ?? {}
    const { confirmed, flushed, epoch } = start
    const first = from === undefined || from < confirmed ? confirmed : from
    this.memory = new TideMemory(tier.lanes, first)
    this.#retention = new TideRetention(confirmed)
    // Where a lane of this epoch is, a tide has waited for all before it.
    const settled = lanes.some(
      ({ generation, mark }) => generation.epoch === epoch && mark.lsn >= first && mark.lsn <= flushed,
    )
    this.#settled = settled
    // Positions of another history mean nothing here: what lies between is not told, and would not be missed.
    this.#isElsewhere = !settled && first > confirmed
    this.#workers = Array.from({ length: tier.lanes }, (_, lane) => new LaneWorker(lane, this))
    this.#over = new Alarm(clock)
    this.#toldAlarm = new Alarm(clock)
    this.#roomAlarm = new Alarm(clock)
    this.#toldAtMs = clock.monotonicMs()
  }

  /** Until the term ends, by itself or by `stop`. Rejects only with what is a fault of this program. */
  run(): Promise<TermEnd> {
    if (this.#isElsewhere) {
      this.#finish({ kind: 'elsewhere' })
      return this.#end.promise
    }
    for (const loop of [this.#read(), this.#gate(), this.#beat(), ...this.#workers.map(worker => worker.run())]) {
      loop.catch((error: unknown) => this.#broken(error))
    }
    return this.#end.promise
  }

  /** Whether any lane was carried along. */
  get hasMoved(): boolean {
    return this.#hasMoved
  }

  stop(): void {
    this.#finish({ kind: 'stopped' })
  }

  get ended(): boolean {
    return this.#ended
  }

  #finish(end: TermEnd): void {
    this.#ended = true
    this.#end.resolve(end)
    this.#readAgain?.cancel()
    this.#over.ring()
    this.#toldAlarm.ring()
    this.#roomAlarm.ring()
    for (const worker of this.#workers) worker.wake()
  }

  #broken(error: unknown): void {
    if (this.#ended) return
    if (!(error instanceof TidemarkError)) this.#end.reject(error)
    this.#finish({ kind: 'lost', error })
  }

  // ---- the log, as long as there is room

  async #read(): Promise<void> {
    const { feed } = this.#options
    while (!this.#ended) {
      if (!this.#hasRoom()) {
        await this.#roomAlarm.wait(limits.tideHeartbeatMs)
        continue
      }
      this.#askedAtMs = this.clock.monotonicMs()
      const items = await feed.next()
      this.#askedAtMs = undefined
      if (this.#ended) return
      this.#untoldSinceMs = undefined
      this.#toldAtMs = this.clock.monotonicMs()
      for (const item of items) {
        this.#told.push({ xid: item.xid, item, atMs: this.#toldAtMs })
        this.#toldChanges += changesOf(item)
        if (isHeartbeat(item)) continue
        this.#changedSinceBeat = true
        this.#changedAtMs = this.#toldAtMs
      }
      this.#toldAlarm.ring()
    }
  }

  /** Whether more of the log may be read. Forgets what no lane needs; a lane that cannot be reached does not count. */
  #hasRoom(): boolean {
    const { memory } = this
    while (
      memory.changes + this.#toldChanges >= limits.tideMemoryChangesMax ||
      memory.transactions + this.#told.length >= limits.tideMemoryTransactionsMax
    ) {
      const { oldest } = memory
      if (oldest === undefined || !this.#mayForget(oldest)) return false
      while (memory.oldest !== undefined && memory.oldest <= oldest) memory.forgetOldest()
    }
    return true
  }

  #mayForget(position: Position): boolean {
    const nowMs = this.clock.monotonicMs()
    const holding = this.#workers.filter(worker => {
      const after = worker.needsAfter()
      return after !== undefined && after < position
    })
    if (holding.some(worker => worker.failingForMs(nowMs) === undefined)) return false
    for (const worker of holding) worker.overflow()
    return true
  }

  // ---- the gate

  async #gate(): Promise<void> {
    let retryMs: number = limits.tideGateRetryMs
    while (!this.#ended) {
      if (this.#told.length === 0 && this.#settled) {
        await this.#toldAlarm.wait()
        continue
      }
      const snapshot = await this.#snapshot()
      if (this.#ended) return
      if (snapshot !== undefined) this.#settle(snapshot)
      const visible = snapshot === undefined ? 0 : visibleAtHead(this.#told, snapshot)
      if (visible > 0) {
        this.#release(visible)
        retryMs = limits.tideGateRetryMs
        continue
      }
      if (this.#told.length === 0 && this.#settled) continue
      await this.#over.wait(retryMs)
      retryMs = Math.min(2 * retryMs, limits.tideGateRetryMaxMs)
    }
  }

  async #snapshot(): Promise<FeedSnapshot | undefined> {
    try {
      return await this.#options.feed.snapshot()
    } catch (error) {
      // The database gives no answer at the moment. The hold on the log is another matter.
      if (!(error instanceof TidemarkError) || error.code === 'FEED_LOST') throw error
      this.observer.retry?.(undefined, error)
      return undefined
    }
  }

  #settle(snapshot: FeedSnapshot): void {
    if (this.#settled) return
    const before = this.#settling
    // The first snapshot is taken after the log was opened, and so after the position was chosen.
    this.#settling = before === undefined ? snapshot.inProgress : unsettled(before, snapshot)
    if (this.#settling.length !== before?.length) this.observer.unsettled?.(this.#settling.length)
    if (this.#settling.length > 0) return
    this.#settled = true
    for (const worker of this.#workers) worker.wake()
  }

  /** Gives so many of what was told to the lanes. */
  #release(count: number): void {
    const { memory } = this
    const touched = new Set<number>()
    let isReset = false
    for (const { item, atMs } of this.#told.splice(0, count)) {
      this.#toldChanges -= changesOf(item)
      // At or before the place from which the log was asked for.
      if (item.lsn <= memory.end) continue
      if (item.kind === 'reset') {
        memory.addReset(item.lsn, item.reason)
        isReset = true
      } else for (const lane of memory.add(item, atMs)) touched.add(lane)
    }
    this.#roomAlarm.ring()
    if (isReset) for (const worker of this.#workers) worker.wake()
    else if (touched.size === 0) void this.#advance(limits.tideHeartbeatMs / 2)
    else for (const lane of touched) this.#workers[lane]!.wake()
  }

  firstMark(): Position | undefined {
    // Who committed before that position may still be invisible: a load of the row of before would be kept.
    if (!this.#settled) return undefined
    // A log that begins here moves its position by itself, on a primary that was replaced too: it would prove things to itself.
    if (this.#hasBeaten) return this.memory.end
    this.#beatOnce()
    return undefined
  }

  // ---- the beat

  async #beat(): Promise<void> {
    for (;;) {
      await this.#over.wait(limits.tideHeartbeatMs)
      if (this.#ended) return
      const nowMs = this.clock.monotonicMs()
      if (this.#isStalled(nowMs)) {
        const text = `a heartbeat was committed, and did not come back within ${limits.tideStallMs} ms`
        return this.#finish({ kind: 'lost', error: new TidemarkError('FEED_LOST', text) })
      }
      if (!this.#changedSinceBeat) this.#beatOnce()
      this.#changedSinceBeat = false
      void this.#advance(0)
      this.#confirm(nowMs)
      this.#observeLag(nowMs)
    }
  }

  #beatOnce(): void {
    if (!this.#beating && !this.#ended) void this.#heartbeat()
  }

  async #heartbeat(): Promise<void> {
    this.#beating = true
    const sentAtMs = this.clock.monotonicMs()
    try {
      await this.#options.feed.heartbeat()
      const isFirst = !this.#hasBeaten
      this.#hasBeaten = true
      if (isFirst) for (const worker of this.#workers) worker.wake()
      if (this.#toldAtMs < sentAtMs) this.#untoldSinceMs ??= this.clock.monotonicMs()
    } catch (error) {
      // The database takes no commits at the moment. The hold on the log is another matter.
      if (error instanceof TidemarkError && error.code !== 'FEED_LOST') this.observer.retry?.(undefined, error)
      else this.#broken(error)
    } finally {
      this.#beating = false
    }
  }

  /** Whether the log is asked for more and does not tell what is in it. */
  #isStalled(nowMs: number): boolean {
    if (this.#askedAtMs === undefined || this.#untoldSinceMs === undefined) return false
    return nowMs - Math.max(this.#untoldSinceMs, this.#askedAtMs) >= limits.tideStallMs
  }

  /** Where changes come, not all lanes at once: a change would wait for the steps of all of them. */
  async #advance(agoMs: number): Promise<void> {
    const portion = Math.ceil(this.#workers.length / limits.tidePortions)
    for (const [lane, worker] of this.#workers.entries()) {
      if (lane > 0 && lane % portion === 0 && this.#changesCome()) await this.#over.wait(limits.tidePortionPauseMs)
      if (this.#ended) return
      worker.advance(agoMs)
    }
  }

  #changesCome(): boolean {
    return this.clock.monotonicMs() - this.#changedAtMs < limits.tidePortionsForMs
  }

  #confirm(nowMs: number): void {
    let lowest = this.memory.end
    for (const worker of this.#workers) {
      const failingMs = worker.failingForMs(nowMs)
      if (failingMs !== undefined && failingMs > limits.tideRetentionMs) worker.overflow()
      const after = worker.needsAfter()
      if (after !== undefined && after < lowest) lowest = after
    }
    const confirmable = this.#retention.reached(nowMs, lowest)
    if (confirmable !== undefined) this.#options.feed.confirm(confirmable)
  }

  #observeLag(nowMs: number): void {
    if (this.observer.lag === undefined) return
    let sinceMs = this.#told[0]?.atMs ?? nowMs
    for (const worker of this.#workers) sinceMs = Math.min(sinceMs, worker.waitingSinceMs() ?? nowMs)
    this.observer.lag(nowMs - sinceMs)
  }

  // ---- what the lanes ask for

  moved(): void {
    this.#hasMoved = true
    this.#roomAlarm.ring()
  }

  readAgain(): boolean {
    if (this.clock.monotonicMs() < (this.#options.readAgainFromMs ?? -Infinity)) return false
    // Lanes of one primary come back together.
    this.#readAgain ??= this.clock.timer(limits.tideReplayDelayMs, () => this.#finish({ kind: 'behind' }))
    return true
  }

  superseded(): void {
    this.#finish({ kind: 'superseded' })
  }

  failed(error: unknown): void {
    this.#finish({ kind: 'refused', error })
  }
}

function isHeartbeat(item: FeedItem): boolean {
  return item.kind === 'transaction' && item.events.length === 0
}

function changesOf(item: FeedItem): number {
  return item.kind === 'transaction' ? item.events.length : 0
}
