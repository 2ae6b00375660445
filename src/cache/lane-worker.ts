// Carries one lane along: step by step what the term's memory holds for it, each step compare and set against where the
// lane really is. A tier that does not answer for this lane holds up this lane alone. One a lane and term of the tide.
//
//   look  ->  begin anew, if the lane cannot be carried on from where it is
//         ->  wait for the log to be read again, if the memory does not reach back to it
//         ->  apply the next step, and look at what came of it
//
// Not for: reading the log and its visibility (tide.ts), what a step does (coherence/operations.ts).
import type { Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { generationsEqual } from '../coherence/generation.ts'
import type { LaneState } from '../coherence/lane.ts'
import type { Position } from '../coherence/mark.ts'
import type { FeedStart } from '../source/change-feed.ts'
import type { Awaitable, LaneTier, TierLane } from '../tier/tier.ts'
import { Alarm } from './alarm.ts'
import { Backoff } from './backoff.ts'
import type { LaneStep, TideMemory } from './tide-memory.ts'
import type { TideObserver } from './tide-observer.ts'

/** What a lane needs of its term. */
export interface LaneTerm {
  readonly tier: LaneTier
  readonly memory: TideMemory
  readonly start: FeedStart
  readonly clock: Clock
  readonly random: Random
  readonly observer: Partial<TideObserver>
  readonly ended: boolean
  /** A position at which a lane may begin anew: visible up to there, and everything after it will be told. undefined: not yet. */
  firstMark(): Position | undefined
  /** The lane needs what the memory has lost: whether the log will be read again for it. If not, the lane begins anew. */
  readAgain(): boolean
  /** The lane has moved, so that there may be room in memory. */
  moved(): void
  superseded(): void
  failed(error: unknown): void
}

export class LaneWorker {
  readonly #lane: number
  readonly #term: LaneTerm
  readonly #backoff: Backoff
  readonly #alarm: Alarm
  /** As the tier last said; undefined: no usable header, or it was not asked yet (`#looked`). */
  #state: LaneState | undefined
  #looked = false
  /** Whether `#state` is how the lane is, as far as is known here. */
  #known = false
  /** Whether this term has got an answer to a step of its own: until then the lane is as others have left it. */
  #carried = false
  /** Whether the lane is of another epoch, and how often this term has found it so. */
  #foreign = false
  #foreignTimes = 0
  /** The mark is to move even if nothing has changed in the lane. */
  #advance = true
  #overflown = false
  #movedAtMs: number
  #askedAtMs: number | undefined
  #failingSinceMs: number | undefined

  constructor(lane: number, term: LaneTerm) {
    this.#lane = lane
    this.#term = term
    this.#alarm = new Alarm(term.clock)
    this.#backoff = new Backoff(term.random, limits.tideLaneRetryMs, limits.tideLaneRetryMaxMs)
    this.#movedAtMs = term.clock.monotonicMs()
  }

  /** Until the term ends. Rejects only with what is a fault of this program. */
  async run(): Promise<void> {
    while (!this.#term.ended) {
      try {
        const asked = this.#turn()
        if (asked !== undefined) await asked
        else if (!this.#term.ended) await this.#alarm.wait()
      } catch (error) {
        if (this.#term.ended) return
        await this.#retryLater(error)
      }
    }
  }

  /** There is something new for the lane, or something that it waits for has come. */
  wake(): void {
    this.#alarm.ring()
  }

  /** Moves the mark to the end of what is visible, unless that was done less than `agoMs` ago. */
  advance(agoMs: number): void {
    if (this.#term.clock.monotonicMs() - this.#movedAtMs < agoMs) return
    this.#advance = true
    this.#alarm.ring()
  }

  /** What the lane needs of the log is after this; undefined: it needs nothing, since it will begin anew. */
  needsAfter(): Position | undefined {
    if (this.#overflown) return undefined
    if (!this.#looked) return this.#term.start.confirmed
    if (this.#state === undefined || this.#whyAnew(this.#state) !== undefined) return undefined
    return this.#state.mark.lsn
  }

  /** How long the lane has not moved because its tier does not answer; undefined while it does. */
  failingForMs(nowMs: number): number | undefined {
    if (this.#failingSinceMs !== undefined) return nowMs - this.#failingSinceMs
    if (this.#askedAtMs === undefined || nowMs - this.#askedAtMs < limits.tideLaneStuckMs) return undefined
    return nowMs - this.#askedAtMs
  }

  /** Nothing is kept for the lane any more: should it need that when it comes back, it begins anew. */
  overflow(): void {
    this.#overflown = true
  }

  waitingSinceMs(): number | undefined {
    if (this.#overflown || this.#state === undefined) return undefined
    return this.#term.memory.waitingSinceMs(this.#lane, this.#state.mark)
  }

  /** The next thing to do for the lane; undefined when there is nothing until the next wake. */
  #turn(): Promise<void> | undefined {
    if (!this.#known) return this.#look()
    const state = this.#state
    if (state === undefined) return this.#beginAnew('nothing was there')
    const reason = this.#whyAnew(state)
    if (reason !== undefined) return this.#beginAnew(reason)
    if (state.mark.lsn < this.#term.memory.start) {
      if (this.#overflown) return this.#beginAnew('more was changed than is kept for a lane that cannot be reached')
      if (this.#term.readAgain()) return undefined
      return this.#beginAnew('what it missed is not kept any more')
    }
    const step = this.#term.memory.next(this.#lane, state.mark)
    if (step === undefined) return undefined
    if (step.events.length === 0 && !this.#advance) return undefined
    return this.#apply(state, step)
  }

  async #look(): Promise<void> {
    const state = await this.#ask(this.#term.tier.lane(this.#lane))
    if (this.#term.ended) return
    this.#take(state)
  }

  /** Why the lane cannot be carried on from where it is, or undefined. */
  #whyAnew(state: LaneState): string | undefined {
    const { start, memory } = this.#term
    if (state.generation.epoch !== start.epoch) return 'it is of another epoch of the database'
    // The log is not told from there: it goes on, silently, at what is confirmed.
    if (state.mark.lsn < start.confirmed) return 'its mark is before what is confirmed of the log'
    // The mark is of a history that the database has lost.
    if (!this.#carried && state.mark.lsn > start.flushed) return "its mark is past the end of the database's log"
    if (memory.reset !== undefined && state.mark.lsn < memory.reset.at) return memory.reset.reason
    return undefined
  }

  async #apply(state: LaneState, step: LaneStep): Promise<void> {
    const { tier, clock, observer } = this.#term
    const { next, events, toldAtMs } = step
    this.#advance = false
    const { generation, mark } = state
    const result = await this.#ask(tier.apply(this.#lane, { generation, prev: mark, next, events }))
    if (this.#term.ended) return
    if (!this.#answered(result)) return
    const nowMs = clock.monotonicMs()
    this.#movedAtMs = nowMs
    if (toldAtMs !== undefined) observer.applied?.(this.#lane, events.length, nowMs - toldAtMs)
  }

  #beginAnew(reason: string): Promise<void> | undefined {
    const to = this.#term.firstMark()
    if (to === undefined || this.#term.ended) return undefined
    return this.#reset(to, reason)
  }

  async #reset(to: Position, reason: string): Promise<void> {
    const { tier, random, start, observer } = this.#term
    const state = this.#state
    const expected = state === undefined ? undefined : { generation: state.generation, mark: state.mark }
    const generation = { epoch: start.epoch, nonce: random.uint32() }
    // One in 2^32 draws; the next look finds the lane unchanged, and another number is drawn.
    if (state !== undefined && generationsEqual(state.generation, generation)) return
    const result = await this.#ask(tier.reset(this.#lane, { expected, to, generation }))
    if (this.#term.ended) return
    if (!this.#answered(result)) return
    // The heartbeat that it waited for comes next: the lane moves with that, and not with the one after.
    this.#movedAtMs = -Infinity
    observer.reset?.(this.#lane, reason)
  }

  /** Takes the lane as the tier says that it is now; whether it did what it was asked. */
  #answered({ outcome, lane }: TierLane<string>): boolean {
    this.#failingSinceMs = undefined
    this.#backoff.reset()
    this.#carried = true
    this.#take(lane)
    if (outcome === 'applied' || outcome === 'reset') {
      // What is kept reaches back to it again.
      if (lane !== undefined && lane.mark.lsn >= this.#term.memory.start) this.#overflown = false
      this.#term.moved()
      return true
    }
    // It goes on from wherever the lane is: its changes since are applied again, or it begins anew.
    this.#term.observer.mismatch?.(this.#lane)
    return false
  }

  #take(state: LaneState | undefined): void {
    this.#state = state
    this.#known = true
    this.#looked = true
    const before = this.#foreign
    this.#foreign = state !== undefined && state.generation.epoch !== this.#term.start.epoch
    if (!this.#foreign || before) return
    // Once it is what was there before this term, twice when a failover brings that back. More often someone puts it there.
    if (++this.#foreignTimes > 2) this.#term.superseded()
  }

  /** Waits for the tier, and keeps how long that has taken. */
  async #ask<T>(answer: Awaitable<T>): Promise<T> {
    this.#askedAtMs = this.#term.clock.monotonicMs()
    try {
      return await answer
    } finally {
      this.#askedAtMs = undefined
    }
  }

  async #retryLater(error: unknown): Promise<void> {
    if (!(error instanceof TidemarkError)) throw error
    if (error.code === 'TIER_MISMATCH') return this.#term.failed(error)
    this.#term.observer.retry?.(this.#lane, error)
    this.#failingSinceMs ??= this.#term.clock.monotonicMs()
    // Whether it was done is not known.
    this.#known = false
    const untilMs = this.#term.clock.monotonicMs() + this.#backoff.nextMs()
    // What wakes the lane meanwhile is no reason to ask earlier.
    for (let nowMs = -Infinity; !this.#term.ended && nowMs < untilMs; nowMs = this.#term.clock.monotonicMs()) {
      await this.#alarm.wait(untilMs - this.#term.clock.monotonicMs())
    }
  }
}
