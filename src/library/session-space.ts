// A keyspace's memory where its calls belong to a session: what is there is found only if it is proved to be within the bound, and
// not older than what the session has seen. Keyspaces without a session have their space itself: their hits know nothing of this.
// Not for: calls that name a session of their own, which memory does not answer at once (keyspace.ts).
import type { Backing } from '../cache/keyspaces.ts'
import type { LaneState } from '../coherence/lane.ts'
import { meetsTicket, ticketAfter } from '../coherence/session.ts'
import type { Stamp } from '../coherence/stamp.ts'
import type { ObjectCache } from '../near/object-cache.ts'
import type { ObjectSpace } from '../near/object-space.ts'
import { ObjectTier } from '../tier/object-tier.ts'
import type { CallSession } from './call-session.ts'
import type { ProofClock } from './proof-clock.ts'

/** What a keyspace asks of its memory. */
export type Memory = Pick<
  ObjectSpace<unknown>,
  'get' | 'getProved' | 'find' | 'findProved' | 'clear' | 'entries' | 'size'
>

/** That the source has none, as a session has seen it: memory has no value for that. */
export const NONE: unique symbol = Symbol('none')

export interface SessionSpaceParts {
  readonly pool: ObjectCache<unknown>
  readonly space: ObjectSpace<unknown>
  readonly proofClock: ProofClock
  readonly boundMs: number
  /** undefined: the source is not open, and nothing is in memory. */
  readonly opened: () => { readonly session: CallSession; readonly backing: Backing<unknown> } | undefined
}

interface Found {
  readonly lane: LaneState
  readonly stamp: Stamp
}

export class SessionSpace implements Memory {
  readonly #parts: SessionSpaceParts

  constructor(parts: SessionSpaceParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#parts.space.size
  }

  /** The value, within the bound and the session. */
  get(id: string): unknown {
    return this.#value(this.find(id))
  }

  getProved(id: string, nowMs: number, boundMs: number): unknown {
    return this.#value(this.findProved(id, nowMs, boundMs))
  }

  find(id: string): number {
    const { proofClock, boundMs } = this.#parts
    return this.findProved(id, proofClock.nowMs(), proofClock.trustedMs(boundMs))
  }

  findProved(id: string, nowMs: number, boundMs: number): number {
    const slot = this.#parts.space.findProved(id, nowMs, boundMs)
    if (slot < 0) return -1
    const value = this.#value(slot)
    return this.#isOfSession(id, value === undefined ? NONE : value) ? slot : -1
  }

  clear(): void {
    this.#parts.space.clear()
  }

  entries(): Generator<[string, unknown]> {
    return this.#parts.space.entries()
  }

  #value(slot: number): unknown {
    return slot < 0 ? undefined : this.#parts.pool.value(slot)
  }

  #isOfSession(id: string, value: unknown): boolean {
    const opened = this.#parts.opened()
    if (opened === undefined) return false
    const { session, backing } = opened
    if (session.showsLatest(id, value)) return true
    const found = foundIn(backing, `${this.#parts.space.name}:${id}`)
    const ticket = session.of(id)
    if (found === undefined || !meetsTicket(ticket, found.lane, found.stamp)) return false
    session.saw(id, ticket, ticketAfter(ticket, found.stamp), value)
    return true
  }
}

// The record's stamp, and the lane that vouches for it, as they are in this process's memory.
function foundIn({ near, tier }: Backing<unknown>, key: string): Found | undefined {
  if (near !== undefined) {
    const found = near.find(key)
    return found && { lane: found.lane, stamp: found.record.stamp }
  }
  if (!(tier instanceof ObjectTier)) return undefined
  const { lane, record } = tier.read([key])[0]!
  return lane === undefined || record?.type !== 'value' ? undefined : { lane, stamp: record.stamp }
}
