// A shared tier as sources without a log use it: lanes that are found without a usable header get one, whoever asked. A lane
// that belongs to a source with a log reads as one without a header, and nothing is put in it: the functions are asked.
//
// A lease or a fence that was refused for want of a header is asked for again once the lane has one. What else finds none goes
// on as if the tier were gone; a near cache asks for the headers of lanes that it does not know, and so sees to them.
// Not for: headers (logless-lanes.ts); a tier in this process's memory, which keeps its headers.
import type { TidemarkError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { keyHash, laneOf, type LaneState } from '../coherence/lane.ts'
import type { BeginOutcome } from '../coherence/operations.ts'
import type { Token } from '../coherence/record.ts'
import type { Awaitable, LeaseOptions, RenewOptions, SharedTier, TierLease, TierRead } from '../tier/tier.ts'
import { WrappedTier } from '../tier/wrapped-tier.ts'
import { isLogless, LoglessLanes } from './logless-lanes.ts'

export interface LoglessTierOptions<V> {
  readonly tier: SharedTier<V>
  readonly random: Random
  /** Told once for every lane that turns out to belong to a source with a log. */
  readonly onMismatch: (error: TidemarkError) => void
}

export class LoglessTier<V = Uint8Array> extends WrappedTier<V> {
  readonly lanes: number
  readonly #tier: SharedTier<V>
  readonly #headers: LoglessLanes
  readonly #onMismatch: (error: TidemarkError) => void
  /** Lanes of a source with a log, as last seen. */
  readonly #foreign = new Set<number>()

  private constructor(options: LoglessTierOptions<V>) {
    super()
    this.#tier = options.tier
    this.lanes = options.tier.lanes
    this.#headers = new LoglessLanes(options)
    this.#onMismatch = options.onMismatch
  }

  /** Gives all lanes their headers, if the tier answers. Rejects with TIER_MISMATCH when one belongs to a source with a log. */
  static async open<V = Uint8Array>(options: LoglessTierOptions<V>): Promise<LoglessTier<V>> {
    const opened = new LoglessTier(options)
    await opened.#headers.begin()
    return opened
  }

  protected ask<T>(call: (tier: SharedTier<V>) => Awaitable<T>): Awaitable<T> {
    return call(this.#tier)
  }

  override async read(keys: readonly string[]): Promise<readonly TierRead<V>[]> {
    const reads = await this.#tier.read(keys)
    return reads.map((read, at) => (this.#isOwn(this.#laneOf(keys[at]!), read.lane) ? read : NOTHING))
  }

  override async lease(key: string, options: LeaseOptions): Promise<TierLease<V>> {
    const lane = this.#laneOf(key)
    let lease = await this.#tier.lease(key, options)
    if (lease.outcome === 'no-lane' && (await this.#mended(lane))) lease = await this.#tier.lease(key, options)
    return this.#isOwn(lane, lease.lane) ? lease : { outcome: 'no-lane', ...NOTHING }
  }

  override async renew(key: string, options: RenewOptions): Promise<TierLease<V>> {
    const lease = await this.#tier.renew(key, options)
    return this.#isOwn(this.#laneOf(key), lease.lane) ? lease : { outcome: 'no-lane', ...NOTHING }
  }

  override async begin(key: string, id: Token, fenceMs: number): Promise<BeginOutcome> {
    const lane = this.#laneOf(key)
    if (this.#foreign.has(lane)) return 'no-lane'
    const outcome = await this.#tier.begin(key, id, fenceMs)
    return outcome === 'no-lane' && (await this.#mended(lane)) ? this.#tier.begin(key, id, fenceMs) : outcome
  }

  override async lane(lane: number): Promise<LaneState | undefined> {
    const state = (await this.#tier.lane(lane)) ?? (await this.#headers.mend(lane))
    return state !== undefined && this.#isOwn(lane, state) ? state : undefined
  }

  close(): Promise<void> {
    return this.#tier.close()
  }

  #laneOf(key: string): number {
    return laneOf(keyHash(key), this.lanes)
  }

  async #mended(lane: number): Promise<boolean> {
    const state = await this.#headers.mend(lane)
    return state !== undefined && this.#isOwn(lane, state)
  }

  /** Whether the lane may be used; one without a header soon may. */
  #isOwn(lane: number, state: LaneState | undefined): state is LaneState {
    if (state === undefined) {
      void this.#headers.mend(lane)
      return false
    }
    if (isLogless(state)) {
      this.#foreign.delete(lane)
      return true
    }
    if (!this.#foreign.has(lane)) this.#onMismatch(this.#headers.mismatch(lane))
    this.#foreign.add(lane)
    return false
  }
}

const NOTHING = { lane: undefined, record: undefined } as const
