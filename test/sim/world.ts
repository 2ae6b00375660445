// A whole deployment in virtual time: a database, a cluster, nodes, and users, from one plan. Runs the plan's steps, heals
// everything, waits, and asks every node for every key. Not for: drawing plans (plan.ts), deciding what is wrong (checker.ts).
import { TidemarkError } from '../../src/base/errors.ts'
import { seededRandom, type Random } from '../../src/base/random.ts'
import { Checker, Session } from './checker.ts'
import { Clients } from './clients.ts'
import { Cluster } from './cluster.ts'
import { Faults } from './faults.ts'
import { COUNT_FROM, LibraryClients } from './library-clients.ts'
import { libraryKinds, type LibraryKind } from './library-plan.ts'
import { loglessKinds, valueKinds, type LoglessKind, type ValueKind } from './logless-plan.ts'
import { LoglessWorld } from './logless-world.ts'
import { SimProcess } from './machine.ts'
import { Network } from './network.ts'
import { Node, type ServiceParts } from './node.ts'
import { clientKinds, faultKinds, statementKinds, type ClientKind, type Config, type FaultKind, type Plan, type StatementKind, type Step } from './plan.ts' // prettier-ignore
import { Postgres } from './postgres.ts'
import { COUNTERS, PLAIN, TRIGGERED } from './row.ts'
import { withLimits } from './scaled-limits.ts'
import { behindKinds, oldKinds, type ServiceKind } from './service-plan.ts'
import { ServiceWorld } from './service-world.ts'
import { Statements } from './statements.ts'
import { withTurnsOf } from './turns.ts'
import { Truth, type Value } from './truth.ts'
import { VirtualTime } from './virtual-time.ts'

export interface Outcome {
  /** The first thing that was wrong; undefined: nothing. */
  readonly violation: string | undefined
  readonly counts: Readonly<Record<string, number>>
  readonly events: number
  readonly trace: readonly string[]
}

const BEGIN_WAL = 1_000n
/** How long after the last fault users go on, and what they have begun may take. */
const LAST_STATEMENTS_MS = 600
const BEGIN_XID = 100n
/** When each round of the last reads is over. */
const SETTLED_ROUNDS_MS = [100, 400, 500]
/** What is read leaves a memory of so many entries, or fewer, before it is read again. */
const SMALL_MEMORY_ENTRIES = 2

export class World {
  readonly config: Config
  readonly time = new VirtualTime()
  readonly network: Network
  readonly truth = new Truth()
  readonly cluster: Cluster
  readonly checker: Checker
  readonly keys: readonly string[]
  /** A row that is only ever raised by one. */
  readonly counter = `${COUNTERS}:1`
  readonly sessions: readonly Session[]
  readonly nodes: Node[] = []
  /** Sources without a log, if there are any. */
  readonly logless: LoglessWorld | undefined
  /** Keyspaces of functions in processes that share no tier, if there are any. */
  readonly service: ServiceWorld | undefined
  readonly counts: Record<string, number> = {}
  /** Lines of what happened, if someone wants them. */
  readonly trace: string[] = []
  tracing = false
  postgres: Postgres
  /** Cut off and replaced, and answers queries all the same. */
  readonly isolated = new Set<Postgres>()
  /** When the last of them was gone. */
  isolatedUntilMs = -Infinity
  readonly #random: Random
  readonly #initial: Map<string, Value>
  #values = 0
  #nodesMade = 0
  #serversMade = 0
  readonly #layoutOf: (node: number) => string
  #violation: string | undefined

  constructor(config: Config, layoutOf: (node: number) => string = () => 'layout') {
    this.#layoutOf = layoutOf
    // Copies, which `#calm` changes.
    const { network, postgres, source, messages } = config
    this.config = { ...config, network: { ...network }, postgres: { ...postgres }, source: { ...source }, messages: { ...messages } } // prettier-ignore
    this.#random = seededRandom(config.seed + 1)
    this.network = new Network(this.time, this.config.network, this.fork())
    const { logless } = config
    const loglessLanes = logless === undefined || logless.keys === 0 ? 0 : logless.lanes
    this.cluster = new Cluster(this.time, { ...config.cluster, loglessLanes }, this.fork())
    this.checker = new Checker(this.truth, this.time, what => this.count(what), what => this.violated(what)) // prettier-ignore
    const names = (keyspace: string, count: number): string[] => Array.from({ length: count }, (_, id) => `${keyspace}:${id + 1}`) // prettier-ignore
    this.keys = [...names(PLAIN, config.plainKeys), ...names(TRIGGERED, config.triggeredKeys)].toSorted()
    this.#initial = new Map(this.keys.map((key, index) => [key, index % 3 === 2 ? null : this.newValue()]))
    this.#initial.set(this.counter, config.library?.counterExists === false ? null : COUNT_FROM)
    for (const [key, value] of this.#initial) this.truth.show(key, value, 0)
    this.postgres = this.newServer({ timeline: 1, run: 1, wal: BEGIN_WAL, nextXid: BEGIN_XID, log: [], initial: this.#initial }) // prettier-ignore
    this.sessions = Array.from({ length: config.sessions }, () => new Session())
    if (config.service !== undefined) this.service = new ServiceWorld(this, config.service)
    if (logless !== undefined && loglessLanes > 0) this.logless = new LoglessWorld(this, logless)
    for (let index = 0; index < config.nodes; index++) this.nodes.push(this.newNode(index))
  }

  /** A random stream of its own, so that what one part draws changes nothing for another. */
  fork(): Random {
    return seededRandom(this.#random.uint32())
  }

  newValue(): number {
    return ++this.#values
  }

  newServer(history: ConstructorParameters<typeof Postgres>[0]['history']): Postgres {
    const process = new SimProcess(`postgres-${++this.#serversMade}`, this.time, 0)
    const random = seededRandom(this.config.seed * 31 + this.#serversMade)
    return new Postgres({ time: this.time, process, shape: this.config.postgres, random, truth: this.truth, history })
  }

  newNode(index: number): Node {
    const { config } = this
    const made = ++this.#nodesMade
    const isAlone = config.library?.alone?.[index] === true
    return new Node({
      name: `node-${index}${made > config.nodes ? `-${made}` : ''}`,
      seed: config.seed * 17 + made,
      network: this.network,
      cluster: this.cluster,
      postgres: this.postgres,
      source: config.source,
      messages: config.messages,
      tierTimeoutMs: config.tierTimeoutMs,
      maxStalenessMs: config.maxStalenessMs,
      nearEntries: config.nearEntries,
      library: config.library?.nodes[index] === true,
      old: config.library?.old,
      ownSlot: isAlone ? `own-${index}` : undefined,
      tide: isAlone || index < config.tides,
      formats: config.mixedFormats && index % 2 === 1 ? 2 : 1,
      layout: this.#layoutOf(index),
      logless: this.logless,
      service: isAlone ? this.#serviceOf(index) : undefined,
      newValue: () => this.newValue(),
      count: what => {
        this.say(() => `node-${index}: ${what}`)
        this.count(what)
      },
      confirmed: ageMs => this.checker.confirmed(ageMs),
      broken: (what, error) => this.broken(what, error),
    })
  }

  #serviceOf(index: number): ServiceParts | undefined {
    const { service } = this
    return (
      service && {
        storage: process => service.storage(index, process),
        open: (process, tide) => service.newNode(index, process, tide),
        failed: (what, error) => service.failed(what, error),
      }
    )
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
    if (this.tracing) this.say(() => what)
  }

  say(what: () => string): void {
    if (this.tracing) this.trace.push(`${this.time.nowMs.toFixed(2)} ${what()}`)
  }

  /** The first thing that was wrong. */
  get violation(): string | undefined {
    return this.#violation
  }

  violated(what: string): void {
    if (this.#violation !== undefined) return
    this.#violation = `at ${this.time.nowMs.toFixed(2)} ${what}`
    this.time.stop()
  }

  /** The product may refuse with a TidemarkError, and with nothing else. */
  broken(what: string, error: unknown): void {
    if (error instanceof TidemarkError) this.count(`${what} ${error.code}`)
    else this.violated(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  }

  /** Another server answers from now on: what it shows is what is true. */
  takeOver(next: Postgres): void {
    this.postgres = next
    for (const key of [...this.keys, this.counter]) {
      const value = next.value(key)
      if (this.truth.latest(key) !== value) this.truth.show(key, value, this.time.nowMs, true)
    }
  }

  /** Runs the steps and everything after them. */
  async run(steps: readonly Step[]): Promise<Outcome> {
    const clients = new Clients(this)
    const library = new LibraryClients(this, clients)
    const statements = new Statements(this)
    const faults = new Faults(this)
    if (!steps.some(({ kind }) => isFault(kind))) this.logless?.expectNoFaults()
    for (const { atMs, kind, dice } of steps) {
      this.time.after(atMs, () => {
        this.count(kind)
        this.say(() => `-- ${kind} ${dice.map(die => die.toFixed(3)).join(' ')}`)
        if (isClient(kind)) clients.begin(kind, dice)
        else if (isLibrary(kind)) library.begin(kind, dice)
        else if (isService(kind)) this.service?.begin(kind, dice)
        else if (isLogless(kind)) this.logless?.begin(kind, dice)
        else if (isStatement(kind)) statements.begin(kind, dice)
        else faults.begin(kind, dice)
      })
    }
    const { faultsUntilMs, endMs } = this.config
    await this.time.run(faultsUntilMs)
    this.say(() => '-- faults are over')
    faults.heal()
    this.#calm()
    await this.time.run(faultsUntilMs + LAST_STATEMENTS_MS)
    this.say(() => '-- nobody writes any more')
    this.postgres.terminateAll()
    await this.time.run(endMs)
    await this.#settled(library.areCounting ? this.keys : [...this.keys, this.counter])
    library.settled()
    await this.logless?.settled()
    await this.service?.settled()
    return this.outcome()
  }

  /** Whether all that was read is in memory after that: that of others, if they understand each other's records, or its own. */
  #remembers({ ownSlot, library }: Node): boolean {
    const { mixedFormats, nearEntries } = this.config
    // What is past its time is answered as old, and loaded anew behind that; and to whoever shares a tier with those who gave it
    // a time, it is gone.
    const shares =
      ownSlot === undefined && this.nodes.some(node => node.library !== undefined && node.ownSlot === undefined)
    if (this.config.library?.old !== undefined && (library !== undefined || shares)) return false
    return ownSlot === undefined ? !mixedFormats : nearEntries > SMALL_MEMORY_ENTRIES
  }

  outcome(): Outcome {
    return { violation: this.#violation, counts: this.counts, events: this.time.events, trace: this.trace }
  }

  /** What was slow or lossy all the time is so no more. */
  #calm(): void {
    const { network, postgres, source, messages } = this.config
    this.logless?.calm()
    this.service?.calm()
    Object.assign(network, { slowOneIn: 0 })
    Object.assign(postgres, { slowVisibleOneIn: 0 })
    Object.assign(source, { slowOneIn: 0, hiddenTriggerOneIn: 0 })
    Object.assign(messages, { lostOneIn: 0, doubledOneIn: 0, swappedOneIn: 0 })
  }

  // Of a lane that did not answer when it was last asked, however long ago, one read finds out, and the others go without.
  // Then whatever has to be loaded, and again: from memory.
  async #settled(keys: readonly string[]): Promise<void> {
    for (const [round, untilMs] of SETTLED_ROUNDS_MS.entries()) {
      const again = round === SETTLED_ROUNDS_MS.length - 1
      for (const node of this.nodes) {
        for (const key of keys) {
          node.read(key, {}, false).then(
            result => this.checker.settled(node, key, result, again && this.#remembers(node)),
            (error: unknown) => this.violated(`in the end ${node.name} cannot read ${key}: ${String(error)}`),
          )
        }
      }
      await this.time.run(this.config.endMs + untilMs)
    }
    const expected = SETTLED_ROUNDS_MS.length * this.nodes.length * keys.length
    const answered = this.counts['checked: end'] ?? 0
    if (answered < expected) this.violated(`in the end ${expected - answered} of ${expected} reads are not answered`)
  }
}

function isClient(kind: Step['kind']): kind is ClientKind {
  return (clientKinds as readonly string[]).includes(kind)
}

function isFault(kind: Step['kind']): kind is FaultKind {
  return (faultKinds as readonly string[]).includes(kind)
}

function isLibrary(kind: Step['kind']): kind is LibraryKind {
  return (libraryKinds as readonly string[]).includes(kind)
}

function isLogless(kind: Step['kind']): kind is LoglessKind | ValueKind {
  return (loglessKinds as readonly string[]).includes(kind) || (valueKinds as readonly string[]).includes(kind)
}

function isService(kind: Step['kind']): kind is ServiceKind {
  return (oldKinds as readonly string[]).includes(kind) || (behindKinds as readonly string[]).includes(kind)
}

function isStatement(kind: Step['kind']): kind is StatementKind {
  return (statementKinds as readonly string[]).includes(kind)
}

export type { FaultKind }

/** Runs a plan, with its own bounds in the place of the product's. */
export function runPlan({ config, steps }: Plan, tracing = false): Promise<Outcome> {
  return withLimits(config.limits, async () => {
    const world = new World(config)
    world.tracing = tracing
    const unhandled = (error: unknown): void => world.violated(`a rejection that nobody handles: ${String(error)}`)
    process.on('unhandledRejection', unhandled)
    try {
      return await withTurnsOf(world.time, () => world.run(steps))
    } catch (error) {
      // Of the simulation itself, or in it: either way this seed is not one in which all is well.
      world.violated(error instanceof Error ? (error.stack ?? error.message) : String(error))
      return world.outcome()
    } finally {
      process.off('unhandledRejection', unhandled)
    }
  })
}
