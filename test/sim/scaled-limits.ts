// The product's bounds on the simulation's scale: what takes a minute takes half a second here, and what needs hundreds of
// changes happens with a few. The table of limits is one object that everything reads as it goes, so it is changed for the
// time of a run and put back.
import { limits } from '../../src/base/limits.ts'
import type { Random } from '../../src/base/random.ts'

export type LimitValues = Readonly<Partial<Record<keyof typeof limits, number>>>

export function drawLimits(random: Random): LimitValues {
  const pick = (...values: readonly number[]): number => values[random.below(values.length)]!
  return {
    recentChangesMax: pick(1, 3, 32),
    leaseMs: pick(60, 400, 2_000),
    snapshotInProgressMax: pick(1, 16, 16),
    freshnessSamplesMax: pick(16, 64),
    tideHeartbeatMs: pick(30, 60),
    tideRetentionMs: pick(150, 500, 1_500),
    tideMemoryChangesMax: pick(4, 40, 100_000),
    tideMemoryTransactionsMax: pick(4, 40, 100_000),
    tideApplyChangesMax: pick(1, 2, 512),
    tideLaneRetryMaxMs: 100,
    tideLaneStuckMs: 200,
    tideReplayDelayMs: 20,
    tideReplayEveryMs: pick(0, 300),
    tideStallMs: 500,
    tideReopenMs: 20,
    tideReopenMaxMs: 200,
    tideRefusedMs: 200,
    tideWatchMs: 60,
    tideStillMs: 250,
    tideEvictMs: pick(300, 600),
    tideEvictMaxMs: 1_000,
    tideSupersededMs: 100,
    tideSupersededMaxMs: 400,
    fillWaitMs: pick(30, 250),
    tierTimeoutMs: pick(80, 250),
    tierRetryMs: 60,
    sampleEveryMs: pick(30, 60),
    sampleTimeoutMs: 200,
  }
}

/** Runs with these bounds in the place of the product's. */
export async function withLimits<T>(values: LimitValues, run: () => Promise<T>): Promise<T> {
  const before = { ...limits }
  Object.assign(limits, values)
  try {
    return await run()
  } finally {
    Object.assign(limits, before)
  }
}
