// The near cache: what a process holds of a shared tier, in front of it. It listens to the lanes' messages; what it holds
// of a lane is as true as the near lane (coherence/near-lane.ts), and as fresh as the node's samples prove that to be.
// Everything here answers at once. Not for: reading the tier and the database (reader.ts), taking samples (sampler.ts).
import type { Sample } from '../coherence/freshness.ts'
import type { LaneState } from '../coherence/lane.ts'
import type { NearLane } from '../coherence/near-lane.ts'
import type { ValueRecord } from '../coherence/record.ts'
import type { LaneListener } from '../tier/tier.ts'

export interface NearFound<V = Uint8Array> {
  readonly record: ValueRecord<V>
  /** The near lane that vouches for it. */
  readonly lane: LaneState
  /** Monotonic ms as of which that lane is proved to be true; NO_PROOF when it is not. */
  readonly asOfMs: number
}

export interface NearEntry<V = Uint8Array> {
  /** What `begin` returned before the tier was asked. */
  readonly ticket: number
  /** The lane as it was read together with the record; for a fill: as it was when the lease was granted. */
  readonly lane: LaneState
  readonly record: ValueRecord<V>
  /** Without it the entry stays until it is evicted, or a message removes it. */
  readonly ttlMs?: number
}

export interface NearCache<V = Uint8Array> extends LaneListener {
  find(key: string): NearFound<V> | undefined
  /**
   * To be called before the tier is asked for what may be admitted later. Whatever happens to the key from here on (a
   * message about it, a drop, messages lost) makes the ticket worthless.
   */
  begin(key: string): number
  /** False: it may not be held (any more), or there is no room. */
  admit(key: string, entry: NearEntry<V>): boolean
  /** After a write: a reader of this process does not find the row of before any more, nor admit it. */
  drop(key: string): void
  lane(lane: number): NearLane
  /** A lane's header, read after the subscription stood: makes the near lane known if it is not. */
  initialise(lane: number, header: LaneState | undefined): void
  /** The node's samples from now on: the lanes' proofs follow from them, now and with every message. */
  prove(samples: readonly Sample[]): void
}
