// One run of chaos: a load on a grid, and one fault after another in an order drawn from the seed; then quiet, and the last
// checks. What comes out is raw figures.
// Not for: words about them (report.ts).
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { sleep } from '../../src/base/clock.ts'
import type { Clock } from '../../src/base/clock.ts'
import { seededRandom } from '../../src/base/random.ts'
import { faults, whole } from './faults.ts'
import type { Fault, FaultScene } from './faults.ts'
import type { Grid } from './grid.ts'
import type { DemoTable } from './demo-table.ts'
import { History } from './history.ts'
import type { Violation } from './history.ts'
import type { StalenessHistogram } from './staleness.ts'
import { beginHistory, endpointsOf, Load, settleHistory } from './load.ts'
import { longestGapMs, recoveredMs } from './prober.ts'
import type { Prober } from './prober.ts'
import { quantileOf, QuietProbe } from './quiet-probe.ts'
import type { QuietFigures } from './quiet-probe.ts'

export interface ChaosOptions {
  readonly grid: Grid
  readonly table: DemoTable
  readonly seed: number
  readonly seconds: number
  /** Before the faults, with a light load. */
  readonly quietSeconds: number
  /** See LoadOptions. */
  readonly readers: number
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
  /**
   * From the fault, and from its end, until reads and writes were answered for good, reads mostly by the cache and proved
   * fresh; undefined: not before the next fault.
   */
  readonly recoveryMs: number | undefined
  readonly recoveryAfterMs: number | undefined
  /** What went wrong with reads and writes, each once, with how often. */
  readonly errors: Readonly<Record<string, number>>
}

export interface FaultOutcome {
  readonly fault: string
  readonly target: string
  readonly lastedMs: number
  readonly figures: Readonly<Record<string, number>>
  readonly servers: readonly ServerOutcome[]
}

/** What services with the library in them read and wrote. */
export interface LibraryOutcome {
  /** Answers checked, by call. */
  readonly reads: Readonly<Record<string, number>>
  /** Of those that say so: by where they came from. */
  readonly tiers: Readonly<Record<string, number>>
  readonly writes: number
  /** Reads that were refused, by code. */
  readonly refused: Readonly<Record<string, number>>
}

export interface ChaosOutcome {
  readonly seed: number
  readonly seconds: number
  readonly reads: number
  readonly readsOf: Readonly<Record<string, number>>
  readonly sessionSteps: number
  readonly library: LibraryOutcome
  readonly readErrors: number
  readonly acknowledged: number
  readonly unknown: number
  readonly violationCount: number
  readonly violations: readonly Violation[]
  readonly contested: number
  readonly staleness: Readonly<Record<string, number>>
  readonly slack: Readonly<Record<string, number>>
  /** How late the load's own event loop was, in milliseconds. */
  readonly loopDelay: Readonly<Record<string, number>>
  readonly quiet: Readonly<Record<keyof QuietFigures, Readonly<Record<string, number>>>>
  readonly partitions: string
  /** Faults that there are, and that did not come in this time. */
  readonly untried: readonly string[]
  readonly faults: readonly FaultOutcome[]
}

export const BOUND_MS = 500
const WARM_MS = 4_000
const QUIET_SLOWNESS = 60
const SETTLE_MS = 3_000
const SETTLE_MAX_MS = 20_000
const WELL_MAX_MS = 60_000

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
  const quiet = await quietPhase(options, history)
  progress(
    `${quiet.dropMs.length} changes and ${quiet.ageMs.length} ages seen in ${options.quietSeconds} s without faults`,
  )
  const load = new Load({
    grid,
    table,
    history,
    clock,
    random: seededRandom(seed),
    boundMs: BOUND_MS,
    slowness: 1,
    readers: options.readers,
  })
  const loop = monitorEventLoopDelay({ resolution: 5 })
  loop.enable()
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
  loop.disable()
  const endMs = clock.monotonicMs()
  if (!(await allWell(clock, load.probers, endMs, WELL_MAX_MS)))
    history.wrong(`not all servers are well ${WELL_MAX_MS} ms after the last fault`)
  await load.stop()
  await settleHistory(grid, history, clock)
  return {
    seed,
    seconds: (endMs - startMs) / 1000,
    reads: history.reads,
    readsOf: Object.fromEntries(history.readsOf),
    sessionSteps: load.sessions.reduce((sum, { steps }) => sum + steps, 0),
    library: libraryOf(load),
    readErrors: load.readErrors,
    acknowledged: history.acknowledged,
    unknown: history.unknown,
    violationCount: history.violationCount,
    violations: history.violations,
    contested: history.contested,
    staleness: { 'not stale': history.staleness.current, ...quantilesOf(history.staleness) },
    slack: quantilesOf(history.slack),
    loopDelay: { p99: loop.percentile(99) / 1e6, max: loop.max / 1e6 },
    quiet: {
      dropMs: sharesOf(quiet.dropMs),
      dropAfterAckMs: sharesOf(quiet.dropAfterAckMs),
      ageMs: sharesOf(quiet.ageMs),
    },
    partitions: typeof grid.namespaces === 'string' ? grid.namespaces : 'network namespaces',
    untried: faults.map(({ name }) => name).filter(name => outcomes.every(({ fault }) => fault !== name)),
    faults: outcomes,
  }
}

function libraryOf({ libraries }: Load): LibraryOutcome {
  return {
    reads: sumOf(libraries.map(({ reads }) => reads)),
    tiers: sumOf(libraries.map(({ tiers }) => tiers)),
    writes: libraries.reduce((sum, { writes }) => sum + writes, 0),
    refused: sumOf(libraries.map(({ refused }) => refused)),
  }
}

function sumOf(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const [name, count] of all.flatMap(each => Object.entries(each))) sums[name] = (sums[name] ?? 0) + count
  return sums
}

/** A light load, and the probe beside it. */
async function quietPhase(options: ChaosOptions, history: History): Promise<QuietFigures> {
  const { grid, table, clock, seed, quietSeconds } = options
  const common = { table, history, clock, boundMs: BOUND_MS }
  const load = new Load({ ...common, grid, random: seededRandom(seed + 2), slowness: QUIET_SLOWNESS })
  await sleep(clock, WARM_MS)
  const endpoints = endpointsOf(grid)
  const probing = { ...common, endpoints, url: grid.postgres.url(), random: seededRandom(seed + 3), forMs: quietSeconds * 1000 } // prettier-ignore
  const figures = await QuietProbe.run(probing)
  await load.stop()
  return figures
}

function quantilesOf(histogram: StalenessHistogram): Record<string, number> {
  const shares = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999]
  const quantiles = shares.map(share => [`p${Number((share * 100).toFixed(3))}`, histogram.quantile(share)] as const)
  return { ...Object.fromEntries(quantiles), max: histogram.maxMs }
}

function sharesOf(sorted: readonly number[]): Record<string, number> {
  const shares = [0.5, 0.9, 0.99].map(share => [`p${share * 100}`, quantileOf(sorted, share)] as const)
  return { count: sorted.length, ...Object.fromEntries(shares), max: sorted.at(-1) ?? NaN }
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
  await allWell(clock, probers, beganMs, SETTLE_MAX_MS)
  const toMs = clock.monotonicMs()
  const servers = probers.map(prober => {
    const { endpoint, reads, writes } = prober
    const sinceMs = recovered(prober, beganMs, toMs)
    return {
      server: endpoint.name,
      hit: ongoing.down.includes(endpoint.name),
      readGapMs: longestGapMs(reads, beganMs, toMs),
      writeGapMs: longestGapMs(writes, beganMs, toMs),
      recoveryMs: sinceMs === undefined ? undefined : sinceMs - beganMs,
      recoveryAfterMs: sinceMs === undefined ? undefined : Math.max(0, sinceMs - healedMs),
      errors: errorsOf(prober, beganMs),
    }
  })
  const failedOverMs = ongoing.failedOverMs?.()
  if (failedOverMs !== undefined) {
    const recoveries = servers.map(({ recoveryMs }) => beganMs + (recoveryMs ?? SETTLE_MAX_MS) - failedOverMs)
    ongoing.figures['recovered after the failover'] = Math.max(0, ...recoveries)
  }
  return { fault: fault.name, target: ongoing.target, lastedMs: healedMs - beganMs, figures: ongoing.figures, servers }
}

/** Waits until all have been well for a while since `fromMs`; false: not within `ms`. */
async function allWell(clock: Clock, probers: readonly Prober[], fromMs: number, ms: number): Promise<boolean> {
  const untilMs = clock.monotonicMs() + ms
  for (;;) {
    const nowMs = clock.monotonicMs()
    const since = probers.map(prober => recovered(prober, fromMs, nowMs) ?? Infinity)
    if (nowMs - Math.max(...since) >= SETTLE_MS) return true
    if (nowMs >= untilMs) return false
    await sleep(clock, 100)
  }
}

/** When reads and writes went well again, for good. */
function recovered({ reads, writes }: Prober, fromMs: number, toMs: number): number | undefined {
  const read = recoveredMs(reads, fromMs, toMs, BOUND_MS)
  const wrote = recoveredMs(writes, fromMs, toMs, BOUND_MS)
  return read === undefined || wrote === undefined ? undefined : Math.max(read, wrote)
}

function errorsOf({ reads, writes }: Prober, fromMs: number): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { doneMs, error } of [...reads, ...writes]) {
    if (error !== undefined && doneMs >= fromMs) counts[error] = (counts[error] ?? 0) + 1
  }
  return counts
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
