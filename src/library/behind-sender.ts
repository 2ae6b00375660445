// Sends what waits in the journal to the source: one call at a time, in batches; again after growing pauses while the source
// fails. Which write of a failing batch is at fault is found by halving it; a source that took neither half is left alone, and
// gets half as much next time. A write that is refused again and again, by itself, while the source takes others, is given up,
// loudly: it would hold back the journal until that is full.
// Not for: what is sent (behind-source.ts), where it waits (behind-journal.ts).
import type { Clock, Timer } from '../base/clock.ts'
import { TidemarkError, messageOf } from '../base/errors.ts'
import type { PendingWrite } from '../journal/pending-writes.ts'
import type { BehindJournal } from './behind-journal.ts'
import { BehindFlushes } from './behind-flushes.ts'
import type { ResolvedBehind } from './behind-options.ts'
import { BehindStrikes, isOutage, isRefusal, isWorthHalving } from './behind-strikes.ts'

export interface BehindSenderOptions {
  readonly keyspace: string
  readonly settings: ResolvedBehind
  readonly journal: BehindJournal
  readonly clock: Clock
  /** Resolves once the source has all of them, to the ids that it shows otherwise than they were sent. May be asked again. */
  readonly send: (writes: readonly PendingWrite[]) => Promise<readonly string[]>
  /** What is in memory of these is not what the source has, or is going to have. */
  readonly changed: (ids: readonly string[]) => void
  /** An attempt failed, and is made again; or the journal cannot be opened again. */
  readonly failed: (error: unknown) => void
  readonly gaveUp: (write: PendingWrite, error: TidemarkError) => void
}

interface Failure {
  readonly error: unknown
}

export class BehindSender {
  readonly #options: BehindSenderOptions
  readonly #strikes = new BehindStrikes()
  readonly #flushes = new BehindFlushes()
  #retries = 0
  #givenUp = 0
  /** Writes of the next batch, after failures. */
  #most = Infinity
  #working = false
  #work: Promise<void> = Promise.resolve()
  #timer: Timer | undefined
  #timerDueMs = Infinity
  #reopens = 0
  #reopenMs = -Infinity
  #closing = false
  #stopped = false

  constructor(options: BehindSenderOptions) {
    this.#options = options
  }

  /** Writes that were sent again after a failure, so far. */
  get retries(): number {
    return this.#retries
  }

  get givenUp(): number {
    return this.#givenUp
  }

  /** Something was added to the journal, or it has failed. */
  kick(): void {
    if (this.#working || this.#stopped) return
    const { clock } = this.#options
    const dueMs = this.#dueMs()
    if (dueMs === this.#timerDueMs) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerDueMs = Infinity
    if (dueMs === Infinity) return
    // Whole, so that it is not too early by a rounding.
    const inMs = Math.ceil(dueMs - clock.monotonicMs())
    if (inMs > 0) {
      this.#timerDueMs = dueMs
      this.#timer = clock.timer(inMs, () => {
        this.#timerDueMs = Infinity
        this.kick()
      })
      return
    }
    this.#working = true
    this.#work = this.#round().finally(() => {
      this.#working = false
      this.kick()
    })
  }

  /**
   * Resolves once all that the journal has now is in the source. Rejects with WRITE_GIVEN_UP when some of it never will be, and with SHUTTING_DOWN
   * when the cache is closed first.
   */
  flush(): Promise<void> {
    const { pending } = this.#options.journal
    if (this.#stopped && pending.size > 0) return Promise.reject(this.#closed())
    const flushed = this.#flushes.add(pending)
    this.kick()
    return flushed
  }

  /** Sends what it can within `closeMs`. Resolves once nothing is on its way any more. */
  async close(): Promise<void> {
    const { clock, settings } = this.#options
    this.#closing = true
    const untilMs = clock.monotonicMs() + settings.closeMs
    // A source that failed, and is not to be tried again before that, is not waited for.
    if (this.#working || this.#dueMs() <= untilMs) {
      const flushed = this.flush().catch(() => {})
      const late = Promise.withResolvers<void>()
      const timer = clock.timer(settings.closeMs, () => late.resolve())
      await Promise.race([flushed, late.promise])
      timer.cancel()
    }
    this.#stopped = true
    this.#timer?.cancel()
    await this.#work
    this.#flushes.end(this.#closed())
  }

  get #hurried(): boolean {
    return this.#closing || this.#flushes.size > 0
  }

  #dueMs(): number {
    const { journal } = this.#options
    const dueMs = journal.pending.dueMs(this.#hurried) ?? Infinity
    return journal.failed ? Math.min(dueMs, this.#reopenMs) : dueMs
  }

  async #round(): Promise<void> {
    const { journal } = this.#options
    if (journal.failed) await this.#reopen()
    // Those that failed by themselves go by themselves, after others: nobody fails with them again, or waits for them.
    const suspects: PendingWrite[] = []
    let others: readonly PendingWrite[] = []
    while (others.length === 0) {
      const batch = journal.pending.take(this.#hurried, this.#most)
      if (batch.length === 0) break
      others = batch.filter(({ key }) => !this.#strikes.has(key))
      suspects.push(...batch.filter(({ key }) => this.#strikes.has(key)))
    }
    if (others.length > 0) await this.#deliver(others)
    for (const suspect of suspects) await this.#deliver([suspect])
  }

  async #reopen(): Promise<void> {
    const { journal, settings, clock, changed, failed } = this.#options
    if (clock.monotonicMs() < this.#reopenMs) return
    try {
      changed(await journal.reopen())
      this.#reopens = 0
      this.#reopenMs = -Infinity
    } catch (error) {
      const pauseMs = Math.min(settings.retryMaxMs, settings.retryMs * 2 ** this.#reopens++)
      this.#reopenMs = clock.monotonicMs() + pauseMs
      failed(error)
    }
  }

  async #deliver(batch: readonly PendingWrite[]): Promise<void> {
    const failure = await this.#try(batch)
    if (failure !== undefined) await this.#search(batch, failure, false)
  }

  /** `taken`: some of what these were sent with is in the source by now, so that it is not the source that is at fault. */
  async #search(batch: readonly PendingWrite[], { error }: Failure, taken: boolean): Promise<void> {
    if (batch.length === 1) return this.#failedAlone(batch[0]!, error)
    if (!isWorthHalving(error)) return this.#failed(batch, error)
    const middle = batch.length >> 1
    const halves = [batch.slice(0, middle), batch.slice(middle)]
    const failures = [await this.#try(halves[0]!), await this.#try(halves[1]!)]
    if (!taken && !isRefusal(error) && failures[0] !== undefined && failures[1] !== undefined)
      return this.#failed(batch, error)
    for (const [at, failure] of failures.entries()) {
      if (failure !== undefined) await this.#search(halves[at]!, failure, true)
    }
  }

  async #try(writes: readonly PendingWrite[]): Promise<Failure | undefined> {
    if (this.#stopped) return { error: this.#closed() }
    const { send, journal, changed } = this.#options
    let otherwise: readonly string[]
    try {
      otherwise = await send(writes)
    } catch (error) {
      return { error }
    }
    this.#most = Infinity
    journal.pending.sent(writes)
    journal.confirm()
    this.#strikes.landed(writes)
    this.#flushes.landed(writes)
    if (otherwise.length > 0) changed(otherwise)
    return undefined
  }

  #failed(batch: readonly PendingWrite[], error: unknown, pauses = true): void {
    this.#options.journal.pending.failed(batch, pauses)
    if (batch.length > 1) this.#most = batch.length >> 1
    if (this.#stopped) return
    this.#retries += batch.length
    this.#options.failed(error)
  }

  #failedAlone(write: PendingWrite, error: unknown): void {
    if (isOutage(error)) return this.#failed([write], error)
    const isNew = !this.#strikes.has(write.key)
    const strikes = this.#strikes.failed(write.key, error)
    if (strikes >= this.#options.settings.attempts) this.#giveUp(write, error, strikes)
    else this.#failed([write], error, isNew && strikes === 0)
  }

  #giveUp(write: PendingWrite, cause: unknown, count: number): void {
    const { keyspace, journal, changed, gaveUp } = this.#options
    const message =
      `'${keyspace}:${write.key}' was refused by its source ${count} times, while that took others, and is given up ` +
      `(retry.attempts): ${messageOf(cause)}`
    const error = new TidemarkError('WRITE_GIVEN_UP', message, { cause })
    this.#givenUp++
    this.#flushes.lost(write, error)
    journal.pending.sent([write])
    journal.confirm()
    this.#strikes.forget(write.key)
    changed([write.key])
    gaveUp(write, error)
  }

  #closed(): TidemarkError {
    const what = `what '${this.#options.keyspace}' has not written yet is in its journal`
    return new TidemarkError('SHUTTING_DOWN', `the cache is closed; ${what}`)
  }
}
