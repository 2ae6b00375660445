// Waiting for locks that other processes hold on a SQLite file: on the clock, never inside SQLite, which would block the
// thread and every load with it.
import { sleep, type Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { isBusy, refusal } from './sqlite-errors.ts'

export interface BusyOptions {
  readonly file: string
  readonly busyTimeoutMs: number
  readonly clock: Clock
  readonly random: Random
}

/** Runs `attempt` until it does not meet a lock, up to busyTimeoutMs. Rejects with a TidemarkError. */
export async function withBusyRetries<Result>(options: BusyOptions, attempt: () => Result): Promise<Result> {
  const { clock, random, busyTimeoutMs, file } = options
  const deadlineMs = clock.monotonicMs() + busyTimeoutMs
  for (let attempts = 0; ; attempts++) {
    try {
      return attempt()
    } catch (thrown) {
      if (!isBusy(thrown)) throw refusal(thrown, file)
      const leftMs = deadlineMs - clock.monotonicMs()
      if (leftMs <= 0) throw busyError(options, thrown)
      await sleep(clock, Math.min(leftMs, backoffMs(attempts, random)))
    }
  }
}

export function busyError(options: BusyOptions, cause: unknown): TidemarkError {
  const { file, busyTimeoutMs } = options
  const text = `${file} stayed locked by another process for ${busyTimeoutMs} ms (setting busyTimeoutMs)`
  return new TidemarkError('SOURCE_BUSY', text, { cause })
}

/** 1, 2, 4 ... 50 ms, each between half and all of it, so that processes that wait for each other fall out of step. */
export function backoffMs(attempt: number, random: Random): number {
  return Math.min(50, 2 ** Math.min(attempt, 6)) * (0.5 + random.fraction() / 2)
}
