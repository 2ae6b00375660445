// Leases whose loads are still under way: held for longer, again and again, so that one whose holder is gone is soon over, and
// one whose load is slow is not. One timer for all of them, only while there are any, and nothing is asked for a load that is
// over in a fraction of a lease's time.
//
//   taken          looked at every quarter of limits.leaseMs: held for limits.leaseMs from now on, unless just taken
//   let go         its load is over: filled now, or given back (reader.ts)
//   given up       the load takes longer than loads may (`untilMs`), or the tier says that the lease is gone
//
// Not for: whether what was loaded is kept (the tier decides when it is filled).
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import type { Token } from '../coherence/record.ts'
import type { Tier } from '../tier/tier.ts'
import type { TierCalls } from './tier-calls.ts'

export interface HeldLease {
  readonly tier: Pick<Tier<never>, 'hold'>
  readonly calls: TierCalls
  readonly lane: number
  readonly key: string
  readonly token: Token
  /** On the monotonic clock: when it was asked for, and from when on it is not held any more. */
  readonly takenMs: number
  readonly untilMs: number
}

const LOOKS_A_LEASE = 4

export class HeldLeases {
  readonly #clock: Clock
  readonly #held = new Set<HeldLease>()
  #isLooking = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  take(lease: HeldLease): void {
    this.#held.add(lease)
    if (!this.#isLooking) this.#lookSoon()
  }

  letGo(lease: HeldLease): void {
    this.#held.delete(lease)
  }

  #lookSoon(): void {
    this.#isLooking = true
    this.#clock.timer(limits.leaseMs / LOOKS_A_LEASE, () => this.#look(), { unref: true })
  }

  #look(): void {
    this.#isLooking = false
    const nowMs = this.#clock.monotonicMs()
    for (const lease of this.#held) {
      if (nowMs >= lease.untilMs) this.#held.delete(lease)
      else if (nowMs >= lease.takenMs + limits.leaseMs / LOOKS_A_LEASE) void this.#hold(lease)
    }
    if (this.#held.size > 0) this.#lookSoon()
  }

  async #hold(lease: HeldLease): Promise<void> {
    const { tier, calls, lane, key, token } = lease
    const outcome = await calls.call(lane, () => tier.hold(key, token, limits.leaseMs))
    // A tier that does not answer is asked again.
    if (outcome === 'gone' || outcome === 'no-lane') this.#held.delete(lease)
  }
}
