// Sees to it that a tide runs: every process that may run it has one of these, and one of them does. It takes the log when
// that is free; while another one has it, it watches the marks. When these stand still, the holder is dead (then the log is
// free, or soon is) or stuck (stopped, cut off, blocked): then it is put out, and this one takes over.
// Not for: the work of the tide (tide.ts).
import type { Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import type { ChangeFeed } from '../source/change-feed.ts'
import type { Source } from '../source/source.ts'
import type { LaneTier } from '../tier/tier.ts'
import { Alarm } from './alarm.ts'
import { Backoff } from './backoff.ts'
import { Tide } from './tide.ts'
import type { TermEnd, TideObserver } from './tide-observer.ts'
import { TideWatch } from './tide-watch.ts'

export interface TideKeeperOptions {
  readonly tier: LaneTier
  /** Whether it answers tells whether the database can be reached from here. */
  readonly source: Pick<Source, 'position' | 'epoch'>
  /** A new one for each term. */
  readonly feed: () => ChangeFeed
  readonly clock: Clock
  readonly random: Random
  /** Of all terms. */
  readonly observer?: Partial<TideObserver>
}

export class TideKeeper {
  readonly #options: TideKeeperOptions
  readonly #clock: Clock
  readonly #over: Alarm
  readonly #reopen: Backoff
  readonly #superseded: Backoff
  #stopped = false
  #tide: Tide | undefined
  #readAgainFromMs = -Infinity
  #fromConfirmed = false
  /** How long the marks have to stand still before the holder is put out. */
  #evictMs: number

  constructor(options: TideKeeperOptions) {
    const { clock, random } = options
    this.#options = options
    this.#clock = clock
    this.#over = new Alarm(clock)
    this.#reopen = new Backoff(random, limits.tideReopenMs, limits.tideReopenMaxMs)
    this.#superseded = new Backoff(random, limits.tideSupersededMs, limits.tideSupersededMaxMs)
    this.#evictMs = this.#firstEvictMs()
  }

  /** Whether the tide runs here, with its log open. */
  get isHolder(): boolean {
    return this.#tide?.isOpen === true
  }

  /** Until `stop`. Rejects only with what is a fault of this program. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      const end = await this.#term()
      if (end.kind === 'taken') await this.#watch()
      else await this.#pause(this.#pauseMs(end))
    }
  }

  /** Ends the term that runs here, so that another process can begin one at once; `run` resolves soon after. */
  stop(): void {
    this.#stopped = true
    this.#tide?.stop()
    this.#over.ring()
  }

  async #term(): Promise<TermEnd> {
    const { tier, feed, source, clock, random, observer } = this.#options
    if (this.#stopped) return { kind: 'stopped' }
    const begunAtMs = clock.monotonicMs()
    const readAgainFromMs = this.#readAgainFromMs
    const epoch = this.#fromConfirmed ? undefined : source.epoch
    const tide = new Tide({ tier, feed: feed(), clock, random, observer: observer ?? {}, epoch, readAgainFromMs })
    this.#tide = tide
    const end = await tide.run()
    this.#tide = undefined
    this.#fromConfirmed = end.kind === 'elsewhere'
    if (tide.moved) {
      this.#reopen.reset()
      if (clock.monotonicMs() - begunAtMs > limits.tideSupersededMaxMs) this.#superseded.reset()
    }
    return end
  }

  #pause(ms: number): Promise<void> {
    return this.#stopped ? Promise.resolve() : this.#over.wait(ms)
  }

  /** How long to wait before the next term. */
  #pauseMs(end: TermEnd): number {
    if (end.kind === 'superseded') return this.#superseded.nextMs()
    if (end.kind === 'refused') return limits.tideRefusedMs
    if (end.kind !== 'behind') return this.#reopen.nextMs()
    this.#readAgainFromMs = this.#clock.monotonicMs() + limits.tideReplayEveryMs
    return 0
  }

  /** Until the log can be had, or was had. */
  async #watch(): Promise<void> {
    const { tier, clock, random } = this.#options
    const watch = new TideWatch(tier, clock, random)
    let tryAtStillMs: number = limits.tideStillMs
    let stillMs = 0
    while (!this.#stopped) {
      // While everything stands still for long, nobody has to look often.
      await this.#pause(Math.max(limits.tideWatchMs, stillMs / 10))
      stillMs = await watch.look()
      if (stillMs < limits.tideStillMs) {
        tryAtStillMs = limits.tideStillMs
        if (stillMs === 0) this.#evictMs = Math.min(this.#evictMs, this.#firstEvictMs())
        continue
      }
      const evict = stillMs >= this.#evictMs
      if (!evict && stillMs < tryAtStillMs) continue
      tryAtStillMs = stillMs + limits.tideStillMs
      const end = evict ? await this.#takeOver() : await this.#term()
      if (end.kind === 'taken') continue
      await this.#pause(this.#pauseMs(end))
      return
    }
  }

  async #takeOver(): Promise<TermEnd> {
    const { feed, source, clock } = this.#options
    const evicting = feed()
    try {
      // From where the database cannot be reached nobody is put out.
      await source.position()
      await evicting.evict()
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error
      this.#options.observer?.retry?.(undefined, error)
      // Nobody may be put out here (own-feed.ts); whoever had the log may be gone by himself.
      return error.code === 'FEED_TAKEN' ? await this.#term() : { kind: 'taken' }
    } finally {
      await evicting.close().catch(() => {})
    }
    // Should nothing move after this either, what stands still is not the holder.
    this.#evictMs = Math.min(2 * this.#evictMs, limits.tideEvictMaxMs)
    const untilMs = clock.monotonicMs() + limits.tideEvictMs
    for (;;) {
      const end = await this.#term()
      // It takes the database a moment to let go.
      if (end.kind !== 'taken' || clock.monotonicMs() >= untilMs) return end
      await this.#pause(limits.tideReopenMs)
    }
  }

  // Not the same for all who watch: the first one to take over moves the marks, and the others see it.
  #firstEvictMs(): number {
    return limits.tideEvictMs * (1 + this.#options.random.fraction() / 4)
  }
}
