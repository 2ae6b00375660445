// Values whose time is over, or whose lane is not proved any more, and that are still there: how old they are, and how far past
// their time. They are looked at as they are now: what was written or given up since is not among them.
// Not for: when they are answered (loading.ts).
import type { Clock } from '../base/clock.ts'
import type { Stamp } from '../coherence/stamp.ts'
import { ABSENT } from '../near/entry.ts'
import type { ObjectPlaces } from '../near/object-places.ts'
import type { ObjectSpace } from '../near/object-space.ts'
import type { ResolvedKeyspace } from './options.ts'
import type { ProofClock } from './proof-clock.ts'
import { TableSource } from './table-source.ts'

export interface OldValue {
  readonly value: unknown
  /** How long ago it surely was what the source showed, in ms; Infinity when nobody knows. */
  readonly ageMs: number
  /** Ms since its time was over; below 0: it is not. */
  readonly pastMs: number
  /** Whether it is proved as fresh as the keyspace asks for, or needs no proof. */
  readonly proved: boolean
}

export class OldValues {
  readonly #space: ObjectSpace<unknown>
  readonly #pool: ObjectPlaces['pool']
  readonly #clock: Clock
  readonly #proofClock: ProofClock
  readonly #hasLog: boolean
  readonly #boundMs: number

  constructor(settings: ResolvedKeyspace, places: ObjectPlaces, clock: Clock, proofClock: ProofClock) {
    this.#space = places.space(settings.name)
    this.#pool = places.pool
    this.#clock = clock
    this.#proofClock = proofClock
    this.#hasLog = settings.source instanceof TableSource && settings.behind === undefined
    this.#boundMs = settings.maxStalenessMs
  }

  /** undefined: there is none, or only that the source had none. */
  find(id: string): OldValue | undefined {
    const slot = this.#space.findKept(id)
    if (slot < 0) return undefined
    const value = this.#pool.value(slot)
    if (value === ABSENT) return undefined
    const nowMs = this.#clock.monotonicMs()
    const pastTtlMs = nowMs - this.#pool.expiresAtMs(slot)
    if (!this.#hasLog) {
      const stamp = this.#pool.stamp(slot) as Stamp | number
      const writtenMs = typeof stamp === 'number' ? stamp : Number(stamp.upto)
      return { value, ageMs: Math.max(0, this.#clock.wallMs() - writtenMs), pastMs: pastTtlMs, proved: true }
    }
    const ageMs = this.#laneAgeMs(slot, nowMs)
    return { value, ageMs, pastMs: Math.max(pastTtlMs, ageMs - this.#boundMs), proved: ageMs <= this.#boundMs }
  }

  // What was proved before a suspension of the machine says nothing: its clock stood still.
  #laneAgeMs(slot: number, nowMs: number): number {
    const latestMs = this.#proofClock.nowMs()
    const asOfMs = this.#pool.asOfMs[this.#pool.lane(slot)]!
    return latestMs - asOfMs <= this.#proofClock.trustedMs(Infinity) ? nowMs - asOfMs : Infinity
  }
}
