// What the tide's tests are written in: a scripted log, a tier in memory that can be made unreachable, and a clock that is
// moved by hand. What the tide tells of itself is kept in `told`.
import { TidemarkError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { Tide } from '../../src/cache/tide.ts'
import type { TermEnd, TideObserver } from '../../src/cache/tide-observer.ts'
import { keyHash, laneOf, type LaneState } from '../../src/coherence/lane.ts'
import type { LaneMessage } from '../../src/coherence/operations.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import type { Tier } from '../../src/tier/tier.ts'
import { ScriptedLog, type ScriptedFeed } from '../support/scripted-log.ts'

export const LANES = 4

/** Turns of the event loop, in which everything happens that waits for no time. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise(resolve => setImmediate(resolve))
}

export interface Running {
  readonly tide: Tide
  /** How the term has ended; undefined while it goes on. */
  readonly end: () => TermEnd | undefined
  readonly over: Promise<TermEnd>
}

export class TideScene {
  readonly clock = new ManualClock()
  readonly log: ScriptedLog
  readonly memory: MemoryTier
  readonly tier: Tier
  /** Lanes whose steps and looks fail; 'steps' alone while it migrates. */
  readonly unreachable = new Map<number, 'all' | 'steps'>()
  /** Lanes whose steps wait for this before they reach the tier, so that they arrive late. */
  readonly held = new Map<number, Promise<void>>()
  /** Every message of the tier to near caches. */
  readonly messages: (LaneMessage & { readonly lane: number })[] = []
  readonly resets: { lane: number; reason: string }[] = []
  readonly ends: TermEnd[] = []
  readonly counts = { applied: 0, mismatches: 0, retries: 0, lagMs: 0, unsettled: 0 }
  /** Of the last term. */
  feed: ScriptedFeed
  readonly observer: Partial<TideObserver>
  #seed = 1

  constructor(log: ScriptedLog = new ScriptedLog()) {
    this.log = log
    this.feed = log.feed()
    const publish = (lane: number, message: LaneMessage): void => void this.messages.push({ ...message, lane })
    this.memory = new MemoryTier({ clock: this.clock, lanes: LANES, publish })
    this.tier = this.#reachable(this.memory)
    const { counts } = this
    this.observer = {
      ended: end => void this.ends.push(end),
      reset: (lane, reason) => void this.resets.push({ lane, reason }),
      applied: (_lane, changes) => void (counts.applied += changes),
      mismatch: () => void counts.mismatches++,
      retry: () => void counts.retries++,
      lag: ms => void (counts.lagMs = ms),
      unsettled: transactions => void (counts.unsettled = transactions),
    }
  }

  #reachable(memory: MemoryTier): Tier {
    const step = async <T>(lane: number, what: () => T): Promise<T> => {
      this.#check(lane, 'steps')
      await this.held.get(lane)
      return what()
    }
    return Object.assign(Object.create(memory) as Tier, {
      lanes: LANES,
      lane: (lane: number) => (this.#check(lane, 'all'), memory.lane(lane)),
      apply: (lane: number, request: Parameters<Tier['apply']>[1]) => step(lane, () => memory.apply(lane, request)),
      reset: (lane: number, options: Parameters<Tier['reset']>[1]) => step(lane, () => memory.reset(lane, options)),
    })
  }

  #check(lane: number, what: 'all' | 'steps'): void {
    const fails = this.unreachable.get(lane)
    if (fails === 'all' || fails === what) throw new TidemarkError('TIER_UNAVAILABLE', `lane ${lane} cannot be reached`)
  }

  /** Begins a term of the tide. */
  start(options: { readonly readAgainFromMs?: number; readonly epoch?: bigint | undefined } = {}): Running {
    const { tier, clock, observer } = this
    const { epoch } = this.log
    const random = seededRandom(this.#seed++)
    this.feed = this.log.feed()
    const tide = new Tide({ tier, feed: this.feed, clock, random, observer, epoch, ...options })
    const over = tide.run()
    let ended: TermEnd | undefined
    over.then(
      end => (ended = end),
      () => {},
    )
    return { tide, end: () => ended, over }
  }

  /** Time goes by, in small steps, each with all that follows from it; long times in longer ones. */
  async pass(ms: number): Promise<void> {
    await settle()
    const stepMs = ms < 5000 ? 5 : 25
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.clock.advance(Math.min(stepMs, ms - passed))
      await settle()
    }
  }

  lane(lane: number): LaneState {
    const state = this.memory.lane(lane)
    if (state === undefined) throw new Error(`lane ${lane} has no header`)
    return state
  }

  marks(): bigint[] {
    return Array.from({ length: LANES }, (_, lane) => this.lane(lane).mark.lsn)
  }

  /** The events that were applied to a lane, in order, as the lsn of each. */
  appliedTo(lane: number): bigint[] {
    return this.messages.filter(message => message.lane === lane).flatMap(({ events }) => events.map(({ lsn }) => lsn))
  }
}

/** The `index`-th key of the lane. */
export function keyOf(lane: number, index = 0): string {
  return keysOf(lane, index + 1)[index]!
}

/** So many keys of one lane. */
export function keysOf(lane: number, count: number): string[] {
  const keys: string[] = []
  for (let id = 0; keys.length < count; id++) {
    const key = `k:${id}`
    if (laneOf(keyHash(key), LANES) === lane) keys.push(key)
  }
  return keys
}
