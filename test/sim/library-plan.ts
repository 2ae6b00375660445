// What one seed stands for, of processes with the library in them: which ones those are, and what their users do beside reading
// and writing as all others do. Drawn from a stream of its own, so that what happens in a seed otherwise does not depend on it.
// Not for: what the steps do (library-clients.ts).
import { seededRandom, type Random } from '../../src/base/random.ts'
import type { LimitValues } from './scaled-limits.ts'

export const libraryKinds = ['library peek', 'library get', 'library update', 'counter read'] as const
export type LibraryKind = (typeof libraryKinds)[number]

export interface LibraryConfig {
  /** By node; for those beyond it, none. */
  readonly nodes: readonly boolean[]
  /** Those of them that share no tier. */
  readonly alone?: readonly boolean[]
  /** Whether the counter is there at first. */
  readonly counterExists: boolean
  /** Rows have a time to live, and are answered for a while after it. */
  readonly old?: OldConfig | undefined
}

/** As a keyspace's options. */
export interface OldConfig {
  readonly ttlMs: number
  readonly swrMs: number
  readonly staleIfErrorMs: number
  readonly softTimeoutMs: number
}

/** Which processes are alone with their lanes, in this deployment. */
export interface AloneDraw {
  /** In place of the deployment's own number. */
  readonly nodes: number
  readonly alone: readonly boolean[]
  readonly old: OldConfig | undefined
  readonly limits: LimitValues
}

/** What all seeds have in common, for a hole that needs one kind of thing again and again. */
export interface LibraryFocus {
  readonly kinds?: readonly LibraryKind[]
  readonly steps?: number
}

export interface LibraryStep {
  readonly atMs: number
  readonly kind: LibraryKind
  readonly dice: readonly number[]
}

export interface LibraryDraw {
  readonly config: LibraryConfig
  readonly random: Random
}

const NODES_MAX = 3

export function drawLibrary(seed: number): LibraryDraw {
  const random = seededRandom(seed * 6_271 + 15_485_863)
  // In every other seed no process; else all of them, or some.
  const [none, all] = [random.below(2) === 0, random.below(3) === 0]
  const nodes = Array.from({ length: NODES_MAX }, () => !none && (all || random.below(2) === 0))
  return { config: { nodes, counterExists: random.below(2) === 0 }, random }
}

/** One process by itself, several, or one beside the `nodes` that share a tier. undefined, in three seeds of four: none. */
export function drawAlone(seed: number, nodes: number, always: boolean): AloneDraw | undefined {
  const random = seededRandom(seed * 9_973 + 32_452_843)
  const any = random.below(4) === 0
  if (!any && !always) return undefined
  const shape = random.below(always ? 2 : 3)
  const beside = shape === 2 ? nodes : 0
  const own = shape === 0 || shape === 2 ? 1 : 2 + random.below(2)
  const alone = Array.from({ length: beside + own }, (_, index) => index >= beside)
  const limits = { libraryLanes: [1, 2, 16][random.below(3)]! }
  return { nodes: alone.length, alone, limits, old: random.below(2) === 0 ? drawOld(random) : undefined }
}

/** Of a keyspace in which old values may be answered. */
export function drawOld(random: Random): OldConfig {
  const pick = (...values: readonly number[]): number => values[random.below(values.length)]!
  return {
    ttlMs: pick(50, 150, 400),
    swrMs: pick(0, 100, 1_500),
    staleIfErrorMs: pick(100, 500, 3_000),
    softTimeoutMs: pick(5, 20, 100),
  }
}

export function drawLibrarySteps(
  { random }: LibraryDraw,
  { nodes }: LibraryConfig,
  focus: LibraryFocus,
  untilMs: number,
): LibraryStep[] {
  if (!nodes.includes(true)) return []
  const chosen = focus.kinds ?? libraryKinds.filter(() => random.below(3) > 0)
  if (chosen.length === 0) return []
  return Array.from({ length: focus.steps ?? 20 + random.below(60) }, () => {
    const kind = chosen[random.below(chosen.length)]!
    return { atMs: random.fraction() * untilMs, kind, dice: Array.from({ length: 3 }, () => random.fraction()) }
  })
}
