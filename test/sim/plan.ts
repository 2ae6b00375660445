// What one seed stands for: how the deployment is made, what exists in it at all, and what happens in it, when. All of it is
// drawn before anything runs, so that a failing schedule can be made smaller by leaving things out.
// Not for: what the steps do (clients.ts, statements.ts, faults.ts).
import { seededRandom, type Random } from '../../src/base/random.ts'
import type { NetworkShape } from './network.ts'
import type { PostgresShape } from './postgres.ts'
import type { SourceShape } from './sim-source.ts'
import type { MessageFaults } from './sim-subscription.ts'
import type { ClusterShape } from './cluster.ts'
import {
  drawLogless,
  drawLoglessSteps,
  type LoglessConfig,
  type LoglessFocus,
  type LoglessKind,
  type ValueKind,
} from './logless-plan.ts'
import {
  drawAlone,
  drawLibrary,
  drawLibrarySteps,
  type AloneDraw,
  type LibraryConfig,
  type LibraryFocus,
  type LibraryKind,
} from './library-plan.ts'
import { drawLimits, type LimitValues } from './scaled-limits.ts'
import {
  drawService,
  drawServiceSteps,
  type ServiceConfig,
  type ServiceFocus,
  type ServiceKind,
} from './service-plan.ts'

export const clientKinds = ['read', 'strong read', 'patient read', 'stale read', 'session read', 'session write', 'write', 'remove', 'write several'] as const // prettier-ignore
export const statementKinds = ['update', 'delete', 'cascade', 'copy', 'truncate', 'move key', 'abort', 'savepoint', 'twice', 'slow commit'] as const // prettier-ignore
export const faultKinds = [
  'database crashes',
  'database fails over',
  'database is isolated',
  'database stops',
  'standby stalls',
  'slot is lost',
  'primary dies',
  'primary is isolated',
  'primary is replaced while it stops',
  'primary restarts from a snapshot',
  'primary stops',
  'record is evicted',
  'header is evicted',
  'everything is flushed',
  'lane migrates',
  'primary is out of memory',
  'network is cut one way',
  'network is cut',
  'node stops',
  'node is suspended',
  'node dies',
  'wall clock jumps',
] as const

export type ClientKind = (typeof clientKinds)[number]
export type StatementKind = (typeof statementKinds)[number]
export type FaultKind = (typeof faultKinds)[number]
export type StepKind = ClientKind | StatementKind | FaultKind | LoglessKind | ValueKind | LibraryKind | ServiceKind

/** What happens at an instant. `dice` are numbers in [0, 1) that say the rest: who, which key, for how long. */
export interface Step {
  readonly atMs: number
  readonly kind: StepKind
  readonly dice: readonly number[]
}

export interface Config {
  readonly seed: number
  readonly nodes: number
  /** Nodes that may run the tide. */
  readonly tides: number
  readonly plainKeys: number
  readonly triggeredKeys: number
  readonly sessions: number
  readonly network: NetworkShape
  readonly cluster: ClusterShape
  readonly postgres: PostgresShape
  readonly source: SourceShape
  readonly messages: MessageFaults
  readonly tierTimeoutMs: number
  readonly maxStalenessMs: number
  readonly nearEntries: number
  /** Some statements commit without waiting for the disk. */
  readonly asynchronousCommits: boolean
  /** Nodes of the same deployment that write a newer record format than the others read. */
  readonly mixedFormats: boolean
  readonly limits: LimitValues
  /** Keyspaces without a log, beside the others; undefined: none. */
  readonly logless?: LoglessConfig
  /** Which nodes have the library in them; undefined: none. */
  readonly library?: LibraryConfig
  /** Keyspaces of functions in processes that share no tier; undefined: none. */
  readonly service?: ServiceConfig
  /** When the last fault is over, and when everything is. */
  readonly faultsUntilMs: number
  readonly endMs: number
}

type Parts<T> = { readonly [K in keyof T]?: NonNullable<T[K]> extends object ? Partial<NonNullable<T[K]>> : T[K] }

/** What all seeds have in common, for a hole that needs one kind of thing again and again. */
export interface Focus {
  readonly clients?: readonly ClientKind[]
  readonly statements?: readonly StatementKind[]
  readonly faults?: readonly FaultKind[]
  /** How many of these. */
  readonly faultSteps?: number
  readonly statementSteps?: number
  readonly clientSteps?: number
  readonly logless?: LoglessFocus
  readonly library?: LibraryFocus
  /** Every process has the library in it, and shares no tier. */
  readonly alone?: boolean
  readonly service?: ServiceFocus
  readonly config?: Parts<Config>
}

export interface Plan {
  readonly config: Config
  readonly steps: readonly Step[]
}

const FAULTS_UNTIL_MS = 2_400
/** Longer than any lease, which a user who went away may have left behind. */
const SETTLE_MS = 2_500

export function drawPlan(seed: number, focus: Focus = {}): Plan {
  const random = seededRandom(seed)
  const drawn = drawConfig(seed, random)
  const library = drawLibrary(seed)
  // What looks for something else has its deployments as they are.
  const mayBeAlone = focus.alone === true || Object.keys(focus).length === 0
  const logless = drawLogless(seed, focus.logless, Object.keys(focus).length === 0)
  const alone = mayBeAlone ? drawAlone(seed, drawn.nodes, focus.alone === true) : undefined
  const service = drawService(seed)
  const limits = { ...drawn.limits, ...logless.limits, ...alone?.limits }
  const whole = { ...drawn, limits, logless: logless.config, library: library.config, ...(alone && { ...withAlone(library.config, alone), service: service.config }) } // prettier-ignore
  const config = focused(whole, focus.config ?? {})
  const clients = focus.clients ?? chooseKinds(random, clientKinds, 2)
  const clientSteps = drawSteps(random, clients, 'client', focus.clientSteps ?? 100 + random.below(300))
  const statements = focus.statements ?? chooseKinds(random, statementKinds, 1)
  const statementCount = random.below(3) === 0 ? random.below(10) : 10 + random.below(80)
  const statementSteps = drawSteps(random, statements, 'statement', focus.statementSteps ?? statementCount)
  const faults = focus.faults ?? chooseFaults(random, config)
  const steps: Step[] = [...clientSteps, ...statementSteps, ...drawSteps(random, faults, 'fault', focus.faultSteps ?? random.below(10))] // prettier-ignore
  steps.push(...drawLoglessSteps(logless, config.logless ?? logless.config, focus.logless ?? {}, FAULTS_UNTIL_MS + 300))
  steps.push(...drawLibrarySteps(library, config.library ?? library.config, focus.library ?? {}, FAULTS_UNTIL_MS + 300))
  if (alone !== undefined) steps.push(...drawServiceSteps(service, focus.service ?? {}, FAULTS_UNTIL_MS + 300))
  return { config, steps: steps.toSorted((a, b) => a.atMs - b.atMs) }
}

function focused(config: Config, parts: Parts<Config>): Config {
  const merged: Record<string, unknown> = { ...config }
  for (const [name, part] of Object.entries(parts)) {
    const whole = config[name as keyof Config]
    merged[name] = typeof whole === 'object' ? { ...whole, ...(part as object) } : part
  }
  return merged as unknown as Config
}

function withAlone(library: LibraryConfig, { nodes, alone, old }: AloneDraw): Pick<Config, 'nodes' | 'library'> {
  return {
    nodes,
    library: { ...library, nodes: alone.map((own, index) => own || library.nodes[index] === true), alone, old },
  }
}

function drawConfig(seed: number, random: Random): Config {
  const oneIn = (n: number): boolean => random.below(n) === 0
  const pick = <T>(...values: readonly T[]): T => values[random.below(values.length)]!
  const synchronousStandby = oneIn(2)
  const asynchronousCommits = !synchronousStandby && oneIn(3)
  const runIsKnown = asynchronousCommits || !oneIn(2)
  const nodes = pick(2, 2, 3)
  const lossy = oneIn(3)
  return {
    seed,
    nodes,
    tides: pick(1, 2, nodes),
    plainKeys: pick(1, 2, 3, 5),
    triggeredKeys: pick(0, 0, 1, 2),
    sessions: 2,
    network: { delayMs: pick(0.2, 0.5, 2), slowOneIn: pick(0, 50, 12), slowMs: pick(20, 100, 300) },
    cluster: { lanes: pick(1, 1, 2, 3), shards: pick(1, 2), shardIs: pick('primary', 'shard') },
    postgres: {
      synchronousStandby,
      standbyLagMs: pick(1, 5, 40),
      fsyncMs: pick(0.3, 3),
      visibleAfterMs: pick(0.2, 2, 5),
      slowVisibleOneIn: pick(0, 10, 4),
      walWriterMs: pick(20, 200),
      runIsKnown,
    },
    source: {
      statementMs: pick(0.1, 1),
      slowOneIn: pick(0, 15, 5),
      slowMs: pick(30, 150, 300),
      timeoutMs: 800,
      connections: pick(1, 2, 3),
      asynchronous: asynchronousCommits && oneIn(2),
      hiddenTriggerOneIn: pick(0, 0, 6),
    },
    messages: {
      lostOneIn: lossy ? pick(0, 10, 40) : 0,
      doubledOneIn: lossy ? pick(0, 10, 40) : 0,
      swappedOneIn: lossy ? pick(0, 10, 40) : 0,
    },
    tierTimeoutMs: pick(60, 200),
    maxStalenessMs: pick(400, 500, 1_500),
    nearEntries: pick(1, 2, 1_000, 1_000),
    asynchronousCommits,
    mixedFormats: oneIn(8),
    limits: drawLimits(random),
    faultsUntilMs: FAULTS_UNTIL_MS,
    endMs: FAULTS_UNTIL_MS + SETTLE_MS,
  }
}

/** Some of the kinds, at least so many; each of them more or less often. */
function chooseKinds<T>(random: Random, kinds: readonly T[], atLeast: number): T[] {
  const chosen = kinds.filter(() => random.below(2) === 0)
  while (chosen.length < atLeast) chosen.push(kinds[random.below(kinds.length)]!)
  return chosen.flatMap(kind => new Array<T>(1 + random.below(3)).fill(kind))
}

/** One or two kinds again and again, a handful of kinds, or everything. */
function chooseFaults(random: Random, config: Config): FaultKind[] {
  const possible = faultKinds.filter(kind => isPossible(kind, config))
  const draw = (): FaultKind => possible[random.below(possible.length)]!
  const breadth = random.below(8)
  if (breadth < 3) return [draw()]
  if (breadth < 5) return [draw(), draw()]
  if (breadth < 7) return [draw(), draw(), draw(), draw()]
  return possible
}

/** An isolated primary that goes on committing without its standby proves things to itself: an honest limit. */
function isPossible(kind: FaultKind, config: Config): boolean {
  return kind !== 'database is isolated' || config.postgres.synchronousStandby
}

function drawSteps(
  random: Random,
  kinds: readonly StepKind[],
  what: 'client' | 'statement' | 'fault',
  count: number,
): Step[] {
  // prettier-ignore
  if (kinds.length === 0) return []
  const fromMs = what === 'fault' ? 200 : 0
  const spanMs = FAULTS_UNTIL_MS + (what === 'fault' ? -400 : 300) - fromMs
  // Reads are what is checked: of two clients' steps one is a plain read.
  const draw = (): StepKind => {
    if (what === 'client' && random.below(2) === 0) return 'read'
    const kind = kinds[random.below(kinds.length)]!
    // It empties everything, so a few of them are enough.
    return kind === 'truncate' && random.below(8) > 0 ? 'update' : kind
  }
  return Array.from({ length: count }, () => {
    const dice = Array.from({ length: 5 }, () => random.fraction())
    return { atMs: fromMs + random.fraction() * spanMs, kind: draw(), dice }
  })
}
