// Runs seeds one after another, adds up what happened in them, and makes a schedule that fails smaller.
import { drawPlan, type Focus, type Plan, type Step } from './plan.ts'
import { runPlan } from './world.ts'

export interface Failure {
  readonly seed: number
  readonly violation: string
}

export interface SwarmResult {
  readonly seeds: number
  readonly counts: Readonly<Record<string, number>>
  readonly events: number
  readonly failures: readonly Failure[]
}

export interface SwarmOptions {
  readonly seed: number
  readonly seeds: number
  /** Ends at so many failing seeds. */
  readonly failuresMax: number
  readonly focus?: Focus
  readonly progress?: (done: number) => void
}

export async function runSwarm(options: SwarmOptions): Promise<SwarmResult> {
  const { seed, seeds, failuresMax, focus, progress } = options
  const counts: Record<string, number> = {}
  const failures: Failure[] = []
  let events = 0
  let done = 0
  while (done < seeds && failures.length < failuresMax) {
    const outcome = await runPlan(drawPlan(seed + done, focus))
    for (const [what, times] of Object.entries(outcome.counts)) counts[what] = (counts[what] ?? 0) + times
    events += outcome.events
    if (outcome.violation !== undefined) failures.push({ seed: seed + done, violation: outcome.violation })
    done++
    progress?.(done)
  }
  return { seeds: done, counts, events, failures }
}

/** The plan with some of its steps alone, by their place in it. */
export function planOf(seed: number, focus: Focus, only: ReadonlySet<number> | undefined): Plan {
  const plan = drawPlan(seed, focus)
  return only === undefined ? plan : { ...plan, steps: plan.steps.filter((_, index) => only.has(index)) }
}

/** The steps that are left, by their place in the plan, after those were taken out without which it fails as well. */
export async function shrink(plan: Plan, runsMax: number): Promise<number[]> {
  let kept = plan.steps.map((step, index) => [index, step] as const)
  const fails = async (some: readonly (readonly [number, Step])[]): Promise<boolean> =>
    (await runPlan({ ...plan, steps: some.map(([, step]) => step) })).violation !== undefined
  let runs = 0
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < kept.length && runs < runsMax; runs++) {
      const without = [...kept.slice(0, at), ...kept.slice(at + size)]
      if (await fails(without)) kept = without
      else at += size
    }
  }
  return kept.map(([index]) => index)
}
