// What one seed stands for, of keyspaces of functions in processes that share no tier: one whose values are answered for a while
// after their time is over, and one that writes behind. Drawn from a stream of its own. Not for: what the steps do (service-world.ts).
import { seededRandom, type Random } from '../../src/base/random.ts'
import type { StoreShape } from './function-store.ts'
import { drawOld, type OldConfig } from './library-plan.ts'
import type { DiskShape } from './slow-disk.ts'

/** Names of these keyspaces. */
export const OLD = 'old'
export const BEHIND = 'behind'

export const oldKinds = ['old read', 'old get', 'old bounded read', 'old session read', 'old write', 'old remove', 'old write around'] as const // prettier-ignore
export const behindKinds = ['behind read', 'behind get', 'behind strong read', 'behind write', 'behind remove', 'behind write several'] as const // prettier-ignore
export type ServiceKind = (typeof oldKinds)[number] | (typeof behindKinds)[number]

export interface BehindConfig {
  readonly maxDelayMs: number
  readonly batch: number
  readonly maxPending: number
  readonly retryMs: number
  readonly ttlMs: number
}

export interface ServiceConfig {
  readonly oldKeys: number
  readonly old: OldConfig
  /** The keyspace's own `maxStaleness`; 0: it has none. */
  readonly boundMs: number
  /** Of each process. */
  readonly behindKeys: number
  readonly behind: BehindConfig
  readonly store: StoreShape
  readonly disk: DiskShape
}

/** What all seeds have in common, for a hole that needs one kind of thing again and again. */
export interface ServiceFocus {
  readonly kinds?: readonly ServiceKind[]
  readonly steps?: number
}

export interface ServiceStep {
  readonly atMs: number
  readonly kind: ServiceKind
  readonly dice: readonly number[]
}

export interface ServiceDraw {
  readonly config: ServiceConfig
  readonly random: Random
}

export function drawService(seed: number): ServiceDraw {
  const random = seededRandom(seed * 12_553 + 86_028_121)
  const pick = (...values: readonly number[]): number => values[random.below(values.length)]!
  const config = {
    oldKeys: pick(1, 2, 3),
    old: drawOld(random),
    boundMs: pick(0, 0, 300, 1_000),
    behindKeys: pick(1, 2, 4),
    behind: {
      maxDelayMs: pick(0, 10, 60),
      batch: pick(1, 2, 10),
      maxPending: pick(2, 10, 10),
      retryMs: pick(5, 40),
      ttlMs: pick(30, 300, 2_000),
    },
    store: {
      delayMs: pick(0.2, 1, 5),
      slowOneIn: pick(0, 10, 4),
      slowMs: pick(30, 200, 700),
      failsOneIn: pick(0, 8, 3),
      loadsFailOneIn: pick(0, 8, 3),
    },
    disk: {
      delayMs: pick(0.1, 2),
      slowOneIn: pick(0, 10),
      slowMs: pick(20, 200),
      powerOneIn: pick(0, 2),
      failsOneIn: pick(0, 0, 3),
    },
  }
  return { config, random }
}

export function drawServiceSteps({ random }: ServiceDraw, focus: ServiceFocus, untilMs: number): ServiceStep[] {
  const kinds = focus.kinds ?? [...oldKinds, ...behindKinds].filter(() => random.below(3) > 0)
  if (kinds.length === 0) return []
  return Array.from({ length: focus.steps ?? 60 + random.below(200) }, () => {
    const kind = kinds[random.below(kinds.length)]!
    return { atMs: random.fraction() * untilMs, kind, dice: Array.from({ length: 3 }, () => random.fraction()) }
  })
}
