// The tide of an embedded database: carries its feed to the lanes in this process's memory. Every change voids or keeps the
// record it touches, in the order of the log; every lane's mark follows; and from the marks and the samples of the source's
// position come the proofs that say how fresh each lane is. One of them runs for a source: in the source's own thread
// where all threads share the tier's memory, in the thread of the objects where it keeps those.
//
// It is a tide of its own because it must do its work in one step, inside the commit: whoever wrote a row hears of it only
// when the lanes have it. Nothing here can be slow, lost or taken by another process, which is what tide.ts is about.
// Not for: databases and tiers elsewhere (tide.ts), the rules (coherence/).
import type { Random } from '../base/random.ts'
import { addSample, asOfMs, type Sample } from '../coherence/freshness.ts'
import type { LaneState } from '../coherence/lane.ts'
import type { Position } from '../coherence/mark.ts'
import type { ChangeEvent } from '../coherence/stamp.ts'
import type { FeedHandler } from '../source/pushed-feed.ts'
import type { Generation } from '../coherence/generation.ts'
import type { ApplyOutcome, ApplyRequest, ResetOutcome } from '../coherence/operations.ts'
import type { ResetOptions, TierLane } from '../tier/tier.ts'

/** A tier in this process's memory: it answers at once. */
export interface OwnTier {
  readonly lanes: number
  laneOf(key: string): number
  lane(lane: number): LaneState | undefined
  apply(lane: number, request: ApplyRequest): TierLane<ApplyOutcome>
  reset(lane: number, options: ResetOptions): TierLane<ResetOutcome>
  /** Unless the lane has begun anew since `generation`. */
  setAsOf(lane: number, generation: Generation, asOfMs: number): void
}

export interface EmbeddedTideOptions {
  readonly tier: OwnTier
  /** Of the feed. */
  readonly epoch: bigint
  /** Of the feed at the time: everything up to it is visible to every load. */
  readonly position: Position
  readonly random: Random
  /** Told of every reset after the first, for the log and the metrics. */
  readonly onReset?: (reason: string) => void
}

export class EmbeddedTide implements FeedHandler {
  readonly #tier: OwnTier
  readonly #epoch: bigint
  readonly #random: Random
  readonly #onReset: (reason: string) => void
  readonly #lanes: (LaneState | undefined)[] = []
  #samples: readonly Sample[] = []

  /** Begins all lanes anew. */
  constructor(options: EmbeddedTideOptions) {
    this.#tier = options.tier
    this.#epoch = options.epoch
    this.#random = options.random
    this.#onReset = options.onReset ?? (() => {})
    for (let lane = 0; lane < this.#tier.lanes; lane++) {
      this.#lanes.push(this.#tier.lane(lane))
      this.#reset(lane, options.position)
    }
  }

  changes(position: Position, events: readonly ChangeEvent[]): void {
    const byLane = new Map<number, ChangeEvent[]>()
    for (const event of events) {
      const lane = this.#tier.laneOf(event.key)
      const others = byLane.get(lane)
      if (others === undefined) byLane.set(lane, [event])
      else others.push(event)
    }
    for (const [lane, itsEvents] of byLane) this.#apply(lane, position, itsEvents)
    // A batch without events is the source's heartbeat: all lanes move, and so do their proofs.
    if (events.length > 0) return
    for (let lane = 0; lane < this.#tier.lanes; lane++) {
      this.#apply(lane, position, [])
      const state = this.#lanes[lane]
      if (state !== undefined) this.#tier.setAsOf(lane, state.generation, asOfMs(this.#samples, state))
    }
  }

  reset(position: Position, reason: string): void {
    this.#onReset(reason)
    for (let lane = 0; lane < this.#tier.lanes; lane++) this.#reset(lane, position)
  }

  sample(takenAtMs: number, position: Position): void {
    this.#samples = addSample(this.#samples, { takenAtMs, position, epoch: this.#epoch })
  }

  #apply(lane: number, position: Position, events: readonly ChangeEvent[]): void {
    const state = this.#lanes[lane]
    if (state === undefined) return this.#reset(lane, position)
    if (state.mark.lsn >= position) return
    const { generation, mark } = state
    const result = this.#tier.apply(lane, { generation, prev: mark, next: { lsn: position, sub: 0n }, events })
    this.#lanes[lane] = result.lane
    // The header is gone (a thread died in it), or another one moved it: nothing in the lane is known to be true.
    if (result.outcome !== 'applied') this.#reset(lane, position)
  }

  #reset(lane: number, to: Position): void {
    const generation = { epoch: this.#epoch, nonce: this.#random.uint32() }
    let result = this.#tier.reset(lane, { expected: this.#lanes[lane], to, generation })
    while (result.outcome === 'mismatch') result = this.#tier.reset(lane, { expected: result.lane, to, generation })
    this.#lanes[lane] = result.lane
  }
}
