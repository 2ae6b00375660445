// One run of chaos: a load on a grid, and one fault after another in an order drawn from the seed; then quiet, and the last
// checks. What comes out is raw figures.
// Not for: words about them (report.ts).
import { sleep } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import { seededRandom } from '../../src/base/random.ts'
import { faults, whole } from './faults.ts'
import type { Fault, FaultScene } from './faults.ts'
import type { Grid } from './grid.ts'
import type { DemoTable } from './demo-table.ts'
import { History } from './history.ts'
import type { Violation } from './history.ts'
import { beginHistory, Load, settleHistory } from './load.ts'
import { longestGapMs, recoveredMs } from './prober.ts'
import type { Prober } from './prober.ts'

export interface ChaosOptions {
  readonly grid: Grid
  readonly table: DemoTable
  readonly seed: number
  readonly seconds: number
  /** Names of faults; undefined: all that the grid allows. */
  readonly only: readonly string[] | undefined
  readonly clock: Clock
  readonly progress: (line: string) => void
}

/** What one server showed around one fault, in milliseconds. */
export interface ServerOutcome {
  readonly server: string
  /** The fault hit this very server. */
  readonly hit: boolean
  /** The longest time without an answer to reads, and to writes; 0: none. */
  readonly readGapMs: number
  readonly writeGapMs: number
  /** From the fault, and from its end, until all reads were answered and proved fresh for good; undefined: not before the next fault. */
  readonly recoveryMs: number | undefined
  readonly recoveryAfterMs: number | undefined
}

export interface FaultOutcome {
  readonly fault: string
  readonly target: string
  readonly lastedMs: number
  readonly figures: Readonly<Record<string, number>>
  readonly servers: readonly ServerOutcome[]
}

export interface ChaosOutcome {
  readonly seed: number
  readonly seconds: number
  readonly reads: number
  readonly readsOf: Readonly<Record<string, number>>
  readonly sessionSteps: number
  readonly readErrors: number
  readonly acknowledged: number
  readonly unknown: number
  readonly violationCount: number
  readonly violations: readonly Violation[]
  readonly staleness: Readonly<Record<string, number>>
  readonly partitions: string
  readonly faults: readonly FaultOutcome[]
}

export const BOUND_MS = 500
const WARM_MS = 4_000
const SETTLE_MS = 3_000
const SETTLE_MAX_MS = 20_000

/** Those that this grid can have. Throws for a name that there is not. */
export function chooseFaults(grid: Pick<Grid, 'namespaces'>, only: readonly string[] | undefined): readonly Fault[] {
  const allowed = faults.filter(fault => fault.partition !== true || typeof grid.namespaces !== 'string')
  if (only === undefined) return allowed
  return only.map(name => {
    const fault = allowed.find(fault => fault.name === name)
    if (fault !== undefined) return fault
    const names = faults.map(fault => fault.name)
    const { namespaces } = grid
    const why = names.includes(name) && typeof namespaces === 'string' ? `needs network namespaces: ${namespaces}` : `is none of ${names.join(', ')}` // prettier-ignore
    throw new Error(`--only ${name}: ${why}`)
  })
}

export async function runChaos(options: ChaosOptions): Promise<ChaosOutcome> {
  const { grid, table, clock, seed, seconds, progress } = options
  const chosen = chooseFaults(grid, options.only)
  const history = new History(table.rows + table.passing)
  await beginHistory(grid, history, clock)
  const load = new Load({ grid, table, history, clock, random: seededRandom(seed), boundMs: BOUND_MS, slowness: 1 })
  const scene: FaultScene = { grid, clock, random: seededRandom(seed + 1) }
  const startMs = clock.monotonicMs()
  await sleep(clock, WARM_MS)
  const outcomes: FaultOutcome[] = []
  let order: Fault[] = []
  while (clock.monotonicMs() - startMs < seconds * 1000) {
    if (order.length === 0) order = shuffled(chosen, scene)
    const fault = order.pop()!
    const outcome = await oneFault(scene, fault, load.probers)
    outcomes.push(outcome)
    progress(`${lineOf(outcome)} ${history.reads} reads checked, ${history.violationCount} violations`)
  }
  await load.stop()
  await settleHistory(grid, history, clock)
  return {
    seed,
    seconds: (clock.monotonicMs() - startMs) / 1000,
    reads: history.reads,
    readsOf: Object.fromEntries(history.readsOf),
    sessionSteps: load.sessions.reduce((sum, { steps }) => sum + steps, 0),
    readErrors: load.readErrors,
    acknowledged: history.acknowledged,
    unknown: history.unknown,
    violationCount: history.violationCount,
    violations: history.violations,
    staleness: stalenessOf(history),
    partitions: typeof grid.namespaces === 'string' ? grid.namespaces : 'network namespaces',
    faults: outcomes,
  }
}

function stalenessOf({ staleness }: History): Record<string, number> {
  const shares = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999]
  const quantiles = shares.map(share => [`p${Number((share * 100).toFixed(3))}`, staleness.quantile(share)] as const)
  return { 'not stale': staleness.current, ...Object.fromEntries(quantiles), max: staleness.maxMs }
}

function shuffled<T>(items: readonly T[], { random }: FaultScene): T[] {
  const all = [...items]
  for (let i = all.length - 1; i > 0; i--) {
    const other = random.below(i + 1)
    ;[all[i], all[other]] = [all[other]!, all[i]!]
  }
  return all
}

async function oneFault(scene: FaultScene, fault: Fault, probers: readonly Prober[]): Promise<FaultOutcome> {
  const { clock } = scene
  const beganMs = clock.monotonicMs()
  const ongoing = await fault.begin(scene)
  await sleep(clock, fault.lastsMs)
  await ongoing.heal()
  const healedMs = clock.monotonicMs()
  await whole(scene)
  // Until the probes are well for a while, or for ever so long.
  const endMs = (): number => clock.monotonicMs()
  const well = (): boolean =>
    probers.every(({ reads }) => {
      const since = recoveredMs(reads, beganMs, endMs(), BOUND_MS)
      return since !== undefined && endMs() - since >= SETTLE_MS
    })
  while (!well() && endMs() - healedMs < SETTLE_MAX_MS) await sleep(clock, 100)
  const toMs = endMs()
  const servers = probers.map(({ endpoint, reads, writes }) => {
    const recovered = recoveredMs(reads, beganMs, toMs, BOUND_MS)
    return {
      server: endpoint.name,
      hit: ongoing.down.includes(endpoint.name),
      readGapMs: longestGapMs(reads, beganMs, toMs),
      writeGapMs: longestGapMs(writes, beganMs, toMs),
      recoveryMs: recovered === undefined ? undefined : recovered - beganMs,
      recoveryAfterMs: recovered === undefined ? undefined : Math.max(0, recovered - healedMs),
    }
  })
  return { fault: fault.name, target: ongoing.target, lastedMs: healedMs - beganMs, figures: ongoing.figures, servers }
}

function worstOf(values: readonly (number | undefined)[]): string {
  const known = values.filter(value => value !== undefined)
  return known.length < values.length ? 'not within the time' : `${(Math.max(0, ...known) / 1000).toFixed(2)} s`
}

/** One line about one fault. */
export function lineOf({ fault, target, lastedMs, figures, servers }: FaultOutcome): string {
  const others = servers.filter(({ hit }) => !hit)
  const more = Object.entries(figures).map(([name, ms]) => `, ${name} ${(ms / 1000).toFixed(2)} s`)
  const gaps = others.length === 0 ? '' : `; servers not hit: reads unanswered for ${worstOf(others.map(s => s.readGapMs))}, writes for ${worstOf(others.map(s => s.writeGapMs))}` // prettier-ignore
  const recovery = worstOf(servers.map(({ recoveryAfterMs }) => recoveryAfterMs))
  return `${fault} (${target}) for ${(lastedMs / 1000).toFixed(1)} s${more.join('')}${gaps}; all fresh ${recovery} after its end.`
}
