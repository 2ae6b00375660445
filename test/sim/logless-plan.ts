// What one seed stands for, of sources without a log. Drawn from a stream of its own, so that what a seed is otherwise does not
// depend on it. Not for: what the steps do (logless-clients.ts).
import { seededRandom, type Random } from '../../src/base/random.ts'
import type { StoreShape } from './function-store.ts'
import type { LimitValues } from './scaled-limits.ts'

export const loglessKinds = ['logless read', 'logless bounded read', 'logless write', 'logless remove', 'logless write several', 'logless write around'] as const // prettier-ignore
export type LoglessKind = (typeof loglessKinds)[number]

export interface LoglessConfig {
  /** 0: there is no such source. */
  readonly keys: number
  /** Behind those of the tide, on the same servers. */
  readonly lanes: number
  readonly ttlMs: number
  /** Of so many reads one loads anew what it has read, as refreshAhead does; 0: none. */
  readonly renewOneIn: number
  readonly store: StoreShape
}

/** What all seeds have in common, for a hole that needs one kind of thing again and again. */
export interface LoglessFocus {
  readonly kinds?: readonly LoglessKind[]
  readonly steps?: number
}

export interface LoglessStep {
  readonly atMs: number
  readonly kind: LoglessKind
  readonly dice: readonly number[]
}

export interface LoglessDraw {
  readonly config: LoglessConfig
  readonly limits: LimitValues
  readonly random: Random
}

const SOURCE_TIMEOUT_MS = 400

export function drawLogless(seed: number): LoglessDraw {
  const random = seededRandom(seed * 7_919 + 104_729)
  const pick = (...values: readonly number[]): number => values[random.below(values.length)]!
  const renewals = seededRandom(seed * 6_007 + 15_485_863)
  const config = {
    renewOneIn: [0, 2, 6][renewals.below(3)]!,
    keys: pick(0, 0, 1, 1, 2, 3),
    lanes: pick(1, 1, 2),
    ttlMs: pick(200, 600, 1_500),
    store: {
      delayMs: pick(0.2, 1, 5),
      slowOneIn: pick(0, 10, 4),
      slowMs: pick(30, 200, 700),
      failsOneIn: pick(0, 0, 8),
    },
  }
  const limits = { sourceTimeoutMs: SOURCE_TIMEOUT_MS, fenceMs: SOURCE_TIMEOUT_MS + pick(50, 300, 900) }
  return { config, limits, random }
}

export function drawLoglessSteps(
  { random }: LoglessDraw,
  { keys }: LoglessConfig,
  focus: LoglessFocus,
  untilMs: number,
): LoglessStep[] {
  if (keys === 0) return []
  const chosen = focus.kinds ?? loglessKinds.filter(() => random.below(3) > 0)
  const steps = focus.steps ?? 60 + random.below(160)
  return Array.from({ length: steps }, () => {
    const kind = chosen.length === 0 || random.below(2) === 0 ? 'logless read' : chosen[random.below(chosen.length)]!
    return { atMs: random.fraction() * untilMs, kind, dice: Array.from({ length: 4 }, () => random.fraction()) }
  })
}
