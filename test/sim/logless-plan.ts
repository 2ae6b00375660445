// What one seed stands for, of sources without a log. Drawn from a stream of its own, so that what a seed is otherwise does not
// depend on it. Not for: what the steps do (logless-clients.ts).
import { seededRandom, type Random } from '../../src/base/random.ts'
import type { StoreShape } from './function-store.ts'
import type { LimitValues } from './scaled-limits.ts'

export const loglessKinds = ['logless read', 'logless bounded read', 'logless write', 'logless remove', 'logless write several', 'logless write around'] as const // prettier-ignore
export type LoglessKind = (typeof loglessKinds)[number]

/** Of values that the cache alone has, and of `clear`: of processes with the library in them. */
export const valueKinds = ['value peek', 'value get', 'value bounded get', 'value set', 'value delete', 'value build', 'value tag', 'value clear', 'value functions clear', 'value functions peek'] as const // prettier-ignore
export type ValueKind = (typeof valueKinds)[number]

export interface LoglessConfig {
  /** 0: there is no such source. */
  readonly keys: number
  /** Behind those of the tide, on the same servers. */
  readonly lanes: number
  readonly ttlMs: number
  /** Of so many reads one loads anew what it has read, as refreshAhead does; 0: none. */
  readonly renewOneIn: number
  readonly store: StoreShape
  /** Whether every process has the library in it for these. */
  readonly library: boolean
}

/** What all seeds have in common, for a hole that needs one kind of thing again and again. */
export interface LoglessFocus {
  readonly kinds?: readonly LoglessKind[]
  readonly steps?: number
  /** With the library in every process, which is so in every third seed otherwise; or in none. */
  readonly library?: boolean
  readonly valueKinds?: readonly ValueKind[]
  readonly valueSteps?: number
}

export interface LoglessStep {
  readonly atMs: number
  readonly kind: LoglessKind | ValueKind
  readonly dice: readonly number[]
}

export interface LoglessDraw {
  readonly config: LoglessConfig
  readonly limits: LimitValues
  readonly random: Random
  /** Of what only the library does. */
  readonly libraryRandom: Random
}

const SOURCE_TIMEOUT_MS = 400

export function drawLogless(seed: number, focus: LoglessFocus | undefined, mayBeLibrary: boolean): LoglessDraw {
  const random = seededRandom(seed * 7_919 + 104_729)
  const pick = (...values: readonly number[]): number => values[random.below(values.length)]!
  const renewals = seededRandom(seed * 6_007 + 15_485_863)
  const libraryRandom = seededRandom(seed * 4_241 + 49_979_687)
  const library = libraryRandom.below(3) === 0 && mayBeLibrary
  const config = {
    library: focus?.library ?? library,
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
  return {
    config,
    limits: { ...limits, editionSeenEveryMs: [50, 400, 10_000][libraryRandom.below(3)]! },
    random,
    libraryRandom,
  }
}

export function drawLoglessSteps(
  { random, libraryRandom }: LoglessDraw,
  { keys, library }: LoglessConfig,
  focus: LoglessFocus,
  untilMs: number,
): LoglessStep[] {
  if (keys === 0) return []
  const chosen = focus.kinds ?? loglessKinds.filter(() => random.below(3) > 0)
  const steps = focus.steps ?? 60 + random.below(160)
  const own = Array.from({ length: steps }, (): LoglessStep => {
    const kind = chosen.length === 0 || random.below(2) === 0 ? 'logless read' : chosen[random.below(chosen.length)]!
    return { atMs: random.fraction() * untilMs, kind, dice: Array.from({ length: 4 }, () => random.fraction()) }
  })
  return library ? [...own, ...drawValueSteps(libraryRandom, focus, untilMs)] : own
}

function drawValueSteps(random: Random, focus: LoglessFocus, untilMs: number): LoglessStep[] {
  const chosen = focus.valueKinds ?? valueKinds.filter(() => random.below(3) > 0)
  if (chosen.length === 0) return []
  const endsAll: readonly ValueKind[] = ['value tag', 'value clear', 'value functions clear']
  // What ends many values comes seldom, so that there are some; and it is answers that are checked.
  const draw = (): ValueKind => {
    const kind = chosen[random.below(chosen.length)]!
    if (random.below(3) === 0) return random.below(2) === 0 ? 'value get' : 'value peek'
    if (!endsAll.includes(kind) || random.below(4) === 0) return kind
    return random.below(2) === 0 ? 'value set' : 'value build'
  }
  return Array.from({ length: focus.valueSteps ?? 60 + random.below(160) }, () => {
    const kind = draw()
    return { atMs: random.fraction() * untilMs, kind, dice: Array.from({ length: 4 }, () => random.fraction()) }
  })
}
