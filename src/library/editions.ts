// Editions of keyspaces whose values are in a shared tier: a number drawn at random, which every record carries in its stamp. To
// clear a keyspace is to end its edition, whatever it holds: the number is a record of the tier itself, that is removed, and
// whoever asks for it next draws another. Everybody is told, as of any removal; what is stamped with another edition than
// the keyspace has now is not there, wherever it is found, and however late it was stored.
//
//   held       the tier has said it, and messages have told of its end since, had there been one: nothing is asked
//   not held   the tier is asked each time, and nothing is near: while messages may be missed, and at the start
//   unknown    the tier does not answer: its records are not, either
//
// A tier makes room, and this record is asked for once by each process: those who use the keyspace look for it now and then, and
// who holds the edition puts it back. That undoes nobody's clear: it is done only by who has heard all messages of the lane up
// to when the record was seen to be missing.
// Not for: one process alone, whose memory is all there is; rows of tables, which are proved by their log.
import { sleep, type Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { TierCalls } from '../cache/tier-calls.ts'
import { LOGLESS_EPOCH } from '../coherence/epoch.ts'
import { generationsEqual } from '../coherence/generation.ts'
import { keyHash, laneOf, type LaneState } from '../coherence/lane.ts'
import { editionOf, loadIn, LOGLESS_LOAD } from '../coherence/logless-stamp.ts'
import { mayEnter, type NearLane } from '../coherence/near-lane.ts'
import { randomToken, type Token } from '../coherence/record.ts'
import type { Stamp } from '../coherence/stamp.ts'
import type { Standing } from '../tier/codec-tier.ts'
import type { Awaitable, SharedTier, TierRead } from '../tier/tier.ts'
import { keyspaceOf } from './key.ts'

/** What a keyspace is told. */
export interface EditionEar {
  /** Messages may have been missed: what is near may be of before. */
  lost(): void
  /** The edition has ended: what is near, and what is being loaded or built, is of before. */
  ended(): void
}

export interface EditionsParts {
  /** Of this process's values without a log. */
  readonly tier: Pick<SharedTier, 'lanes' | 'lane' | 'lease' | 'fill' | 'hold' | 'voidKey'>
  readonly near: { lane(lane: number): NearLane }
  readonly clock: Clock
  readonly random: Random
}

interface Followed {
  readonly key: string
  readonly lane: number
  readonly ear: EditionEar
  held: bigint | undefined
  /** As the tier said last. */
  last: bigint | undefined
  /** The keyspace knows already that `last` has ended. */
  told: boolean
  /** Changes with all that may make worthless what the tier is about to say. */
  turns: number
  /** Messages of this process's own clears that have not come yet. */
  own: number
  saidMs: number
  asking: Promise<bigint | undefined> | undefined
  /** A few that have ended, the latest last: their records need no question. */
  readonly past: bigint[]
}

const PREFIX = '#keyspaces:'
/** Somebody else is just drawing it, or ending it. Without a pause at first: that is a trip. */
const PAUSES_MS = [0, 0, 0, 0, 1, 2, 5, 10, 20, 40] as const
const PAST_MAX = 8

export class Editions {
  readonly #parts: EditionsParts
  readonly #calls: TierCalls
  readonly #followed = new Map<string, Followed>()

  constructor(parts: EditionsParts) {
    this.#parts = parts
    this.#calls = new TierCalls(parts.tier.lanes, parts.clock)
  }

  /** From now on records of the keyspace are looked at for their edition. */
  follow(keyspace: string, ear: EditionEar): void {
    const key = PREFIX + keyspace
    const lane = laneOf(keyHash(key), this.#parts.tier.lanes)
    const nothing = { held: undefined, last: undefined, told: false, turns: 0, own: 0, saidMs: 0, asking: undefined }
    this.#followed.set(keyspace, { key, lane, ear, ...nothing, past: [] })
  }

  /** What loads and writes that begin now belong to; undefined: it cannot be said. */
  current(keyspace: string): Awaitable<bigint | undefined> {
    const followed = this.#followed.get(keyspace)
    if (followed === undefined) return undefined
    const { held, saidMs } = followed
    if (held === undefined) return this.#ask(followed)
    if (this.#parts.clock.monotonicMs() - saidMs >= limits.editionSeenEveryMs) {
      followed.saidMs = this.#parts.clock.monotonicMs()
      this.#ask(followed).catch(() => {})
    }
    return held
  }

  /** Whether a record of the keyspace with this stamp may be near: messages will tell when it no longer may. */
  mayBeNear(key: string, stamp: Stamp): boolean {
    const followed = this.#of(key)
    return followed === undefined || followed.held === editionOf(stamp)
  }

  /** What a record is that has just been read in the tier. */
  standing(key: string, stamp: Stamp): Awaitable<Standing> {
    const followed = this.#of(key)
    if (followed === undefined) return 'current'
    const edition = editionOf(stamp)
    const { held } = followed
    if (held === edition) {
      void this.current(keyspaceOf(key))
      return 'current'
    }
    return held !== undefined && followed.past.includes(edition) ? 'ended' : this.#standing(followed, edition)
  }

  // Either the record is of before, or this process has not heard yet of what has ended its edition.
  async #standing(followed: Followed, edition: bigint): Promise<Standing> {
    // One who asks already may be answered with what was before the record.
    if (followed.asking !== undefined && (await followed.asking) === edition) return 'current'
    const said = await this.#ask(followed)
    if (said === undefined) return 'unknown'
    if (said === edition) return 'current'
    remember(followed, edition)
    return 'ended'
  }

  /** Ends the keyspace's edition, for all. Rejects with TIER_UNAVAILABLE: then it is not known whether it has ended. */
  async end(keyspace: string): Promise<void> {
    const followed = this.#followed.get(keyspace)!
    const { key, lane } = followed
    const { tier } = this.#parts
    followed.own++
    this.#drop(followed)
    let outcome = await this.#calls.call(lane, () => tier.voidKey(key))
    if (outcome === 'no-lane' && (await this.#calls.call(lane, () => tier.lane(lane))) !== undefined) {
      outcome = await this.#calls.call(lane, () => tier.voidKey(key))
    }
    this.#drop(followed)
    if (outcome !== 'voided') {
      followed.own = 0
      throw new TidemarkError('TIER_UNAVAILABLE', `the tier did not answer within ${limits.tierTimeoutMs} ms`)
    }
    this.#tell(followed)
  }

  /** Something has happened to a key, as a message says. */
  heardOfKey(key: string): void {
    if (!key.startsWith(PREFIX)) return
    const followed = this.#followed.get(key.slice(PREFIX.length))
    if (followed === undefined) return
    this.#drop(followed)
    // Of its own clear the keyspace knows; meanwhile others may have filled it.
    if (followed.own > 0) followed.own--
    else this.#tell(followed)
  }

  /** Messages of a lane may have been missed. */
  lostLane(lane: number): void {
    for (const followed of this.#followed.values()) {
      if (followed.lane !== lane) continue
      followed.own = 0
      this.#drop(followed)
    }
  }

  #of(key: string): Followed | undefined {
    return this.#followed.get(keyspaceOf(key))
  }

  #drop(followed: Followed): void {
    followed.turns++
    if (followed.held === undefined) return
    followed.held = undefined
    followed.ear.lost()
  }

  #tell(followed: Followed): void {
    followed.told = true
    followed.ear.ended()
  }

  #ask(followed: Followed): Promise<bigint | undefined> {
    followed.asking ??= this.#askTier(followed).finally(() => {
      followed.asking = undefined
    })
    return followed.asking
  }

  async #askTier(followed: Followed): Promise<bigint | undefined> {
    const { clock, random, tier } = this.#parts
    const { key, lane } = followed
    for (const pauseMs of PAUSES_MS) {
      if (pauseMs > 0) await sleep(clock, pauseMs)
      const { turns } = followed
      const token = randomToken(random)
      const options = { token, epoch: LOGLESS_EPOCH, leaseMs: limits.leaseMs }
      const leased = await this.#calls.call(lane, () => tier.lease(key, options))
      if (leased?.lane === undefined) return undefined
      const said = await this.#saidBy(followed, leased, token)
      // Whatever has happened meanwhile may have come after what was said.
      if (said === undefined || followed.turns !== turns) continue
      this.#said(followed, said, leased.lane)
      return said
    }
    return undefined
  }

  // undefined: not now.
  async #saidBy(followed: Followed, { lane, record }: TierRead, token: Token): Promise<bigint | undefined> {
    if (record?.type === 'value') return editionOf(record.stamp)
    if (record?.type !== 'lease' || record.token !== token || lane === undefined) return undefined
    const { clock, random, tier } = this.#parts
    const { key, held } = followed
    if (held !== undefined && !hasHeardAll(this.#parts.near.lane(followed.lane), lane)) {
      // It may have been removed, and not by the tier itself: what was heard of that is still on its way.
      await this.#calls.call(followed.lane, () => tier.hold(key, token, 0))
      return undefined
    }
    const edition = held ?? randomToken(random) | 1n
    const upto = BigInt(Math.floor(clock.wallMs()))
    const stamp = { ...loadIn(edition, LOGLESS_LOAD), lsn: lane.mark.lsn, upto }
    const value = { payload: null, stamp, ttlMs: limits.editionTtlMs }
    const outcome = await this.#calls.call(followed.lane, () => tier.fill(key, token, value))
    return outcome === 'filled' ? edition : undefined
  }

  #said(followed: Followed, said: bigint, laneAsRead: LaneState): void {
    const { last } = followed
    if (last !== undefined && last !== said) {
      remember(followed, last)
      if (!followed.told) {
        this.#drop(followed)
        followed.ear.ended()
      }
    }
    const at = followed.past.indexOf(said)
    if (at >= 0) followed.past.splice(at, 1)
    followed.told = false
    followed.last = said
    followed.saidMs = this.#parts.clock.monotonicMs()
    if (mayEnter(this.#parts.near.lane(followed.lane), laneAsRead)) followed.held = said
  }
}

function remember({ past }: Followed, edition: bigint): void {
  if (past.includes(edition)) return
  past.push(edition)
  if (past.length > PAST_MAX) past.shift()
}

function hasHeardAll(near: NearLane, lane: LaneState): boolean {
  return near !== undefined && generationsEqual(near.generation, lane.generation) && near.sequence >= lane.sequence
}
