// The freshness proof: how old an answer can be at most, without synchronised clocks. A node notes its own monotonic
// time, then asks the database for its position L. Everything visible at that time lies at or before L; so once a lane's
// mark is past L, the lane is true as of that time. When anything stops (database, feed, network, process), the mark
// stops, the proof's age grows, and the caller's bound trips.
// Not for: taking samples, and deciding what to do with an answer that is not fresh enough.
import { assert } from '../base/assert.ts'
import { limits } from '../base/limits.ts'
import type { LaneState } from './lane.ts'
import type { Position } from './mark.ts'

export interface Sample {
  /** This machine's monotonic time, read before asking. */
  readonly takenAtMs: number
  /** Everything visible at `takenAtMs` lies at or before this. */
  readonly position: Position
  /** Of the database that answered. */
  readonly epoch: bigint
}

/** What asOfMs returns when nothing is proved. */
export const NO_PROOF: number = -Infinity

/**
 * The list with one more sample, at most `limits.freshnessSamplesMax` long. A full list keeps its newer half whole; in the
 * older one the gaps grow with age, back to `limits.freshnessReachMs`, so that few samples prove something of a mark that
 * lags far behind. A sample that is gone makes a proof older, never false.
 */
export function addSample(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  if (samples.length < limits.freshnessSamplesMax) return [...samples, sample]
  const drop = mostDispensable(samples, sample.takenAtMs)
  return [...samples.filter((_, index) => index !== drop), sample]
}

/** Of a full list: the oldest when out of reach, else the one of the older half whose absence leaves the least gap for its age. */
function mostDispensable(samples: readonly Sample[], nowMs: number): number {
  if (nowMs - samples[0]!.takenAtMs > limits.freshnessReachMs) return 0
  let least = Infinity
  let dispensable = 1
  for (let index = 1; index < samples.length >>> 1; index++) {
    const gapMs = samples[index + 1]!.takenAtMs - samples[index - 1]!.takenAtMs
    const relative = gapMs / (nowMs - samples[index]!.takenAtMs)
    if (relative < least) {
      least = relative
      dispensable = index
    }
  }
  return dispensable
}

/**
 * The latest local instant, in monotonic milliseconds, such that the lane reflects everything visible then; NO_PROOF when
 * there is none. Only samples of the lane's own epoch count, and only those strictly before its mark: an isolated old
 * primary, whose position stands still where the mark does, proves nothing.
 */
export function asOfMs(samples: readonly Sample[], lane: LaneState | undefined): number {
  let latest = NO_PROOF
  if (lane === undefined) return latest
  // The latest come last: once one of them counts, the others are not looked at any closer.
  for (let index = samples.length - 1; index >= 0; index--) {
    const sample = samples[index]!
    if (sample.takenAtMs <= latest || sample.epoch !== lane.generation.epoch) continue
    if (sample.position < lane.mark.lsn) latest = sample.takenAtMs
  }
  return latest
}

/** Whether an answer is proved, and no older than the bound; all on one monotonic clock. */
export function isFresh(asOf: number, nowMs: number, boundMs: number): boolean {
  assert(boundMs >= 0, 'a bound on staleness is not negative')
  return asOf !== NO_PROOF && nowMs - asOf <= boundMs
}
