// Sources without a log in a deployment: the store, its users, what faults do to their part of the cluster, and the end. Beside
// everything else of the world (world.ts), on the same servers and wires.
import type { ReadOptions } from '../../src/cache/reader.ts'
import { seededRandom, type Random } from '../../src/base/random.ts'
import { FunctionStore, StoreError } from './function-store.ts'
import { LoglessChecker, type LoglessWrite, type Span } from './logless-checker.ts'
import { LoglessLibrary } from './logless-library.ts'
import { FUNCTIONS, LoglessNode, type LoglessPart } from './logless-node.ts'
import { valueKinds, type LoglessConfig, type LoglessKind, type ValueKind } from './logless-plan.ts'
import { SimProcess } from './machine.ts'
import { Network } from './network.ts'
import type { Node } from './node.ts'
import type { FaultKind } from './plan.ts'
import { rowOf } from './row.ts'
import { TierHeard } from './tier-heard.ts'
import { Truth } from './truth.ts'
import { ValuesWorld } from './values-world.ts'
import type { World } from './world.ts'

/** What loses records, though nobody answers from two places. */
const losing = new Set<FaultKind>([
  'primary dies',
  'primary is isolated',
  'primary is replaced while it stops',
  'primary restarts from a snapshot',
  'record is evicted',
  'header is evicted',
  'everything is flushed',
  'lane migrates',
])
const LOSES_WITHIN_MS = 2_000
/** How long a connection that is dead is taken for alive, and the lane's next one may take. */
const NOTICED_WITHIN_MS = 1_300

export class LoglessWorld {
  readonly checker: LoglessChecker
  readonly truth = new Truth()
  readonly keys: readonly string[]
  readonly #world: World
  readonly #config: LoglessConfig
  readonly #network: Network
  readonly #store: FunctionStore
  readonly #random: Random
  /** What only processes with the library in them have; undefined: they are none. */
  readonly #values: ValuesWorld | undefined
  #made = 0

  constructor(world: World, config: LoglessConfig) {
    const { time } = world
    const { messages } = world.config
    this.#world = world
    this.#config = { ...config, store: { ...config.store } }
    this.#random = seededRandom(world.config.seed * 41 + 5)
    this.#network = new Network(time, world.config.network, seededRandom(world.config.seed * 43 + 7), world.network) // prettier-ignore
    // On the machine of the first database server: what cuts off one cuts off the other.
    this.#store = new FunctionStore({
      process: new SimProcess('postgres-1', time, 0),
      keyspace: FUNCTIONS,
      shape: this.#config.store,
      random: seededRandom(world.config.seed * 47 + 11),
      truth: this.truth,
      nowMs: () => time.nowMs,
    })
    this.keys = Array.from({ length: config.keys }, (_, index) => `${FUNCTIONS}:${index + 1}`)
    for (const key of this.keys) this.truth.show(key, world.newValue(), 0)
    const isLossy = messages.lostOneIn > 0 || messages.swappedOneIn > 0
    this.checker = new LoglessChecker({
      truth: this.truth,
      time,
      ttlMs: config.ttlMs,
      mixedFormats: world.config.mixedFormats,
      heardWithinMs: isLossy ? undefined : NOTICED_WITHIN_MS + this.#messageMs,
      count: what => world.count(what),
      violated: what => world.violated(what),
    })
    if (config.library)
      this.#values = new ValuesWorld(world, this.keys, this.checker, (what, error) => this.#failed(what, error))
  }

  /** How long two messages one after the other are on their way, where nothing is broken. */
  get #messageMs(): number {
    const { slowOneIn, slowMs, delayMs } = this.#world.config.network
    return 8 * delayMs + (slowOneIn > 0 ? 2 * slowMs : 0)
  }

  /** Nothing is going to break. */
  expectNoFaults(): void {
    if (this.checker.heardWithinMs !== undefined) this.checker.heardWithinMs = this.#messageMs
  }

  newNode(process: SimProcess, formats: number): LoglessPart {
    const world = this.#world
    const { cluster, config } = world
    const options = {
      process,
      network: this.#network,
      cluster,
      store: this.#store,
      seed: config.seed * 53 + ++this.#made,
      ttlMs: config.logless!.ttlMs,
      nearEntries: config.nearEntries,
      tierTimeoutMs: config.tierTimeoutMs,
      messages: config.messages,
      formats,
      nowMs: () => world.time.nowMs,
      count: (what: string) => {
        world.say(() => `${process.name}: ${what}`)
        world.count(what)
      },
      broken: (what: string, error: unknown) => world.broken(what, error),
      failed: (what: string, error: unknown) => this.#failed(what, error),
    }
    return this.#values === undefined ? new LoglessNode(options) : new LoglessLibrary(options)
  }

  // ---- users

  begin(kind: LoglessKind | ValueKind, dice: readonly number[]): void {
    const { nodes } = this.#world
    const node = nodes[Math.floor(dice[0]! * nodes.length)]!
    const key = this.keys[Math.floor(dice[1]! * this.keys.length)]!
    if (kind === 'logless write around') return this.#writeAround(key)
    node.process.enter(() => {
      if (isOfValues(kind)) this.#values!.begin(kind, memberOf(node), dice)
      else if (kind === 'logless read') {
        this.#read(node, key, {})
        if (dice[3]! * this.#config.renewOneIn < 1 && this.#config.renewOneIn > 0) this.#renew(node, key)
      } else if (kind === 'logless bounded read')
        this.#read(node, key, { maxStalenessMs: dice[2]! < 0.3 ? 0 : dice[2]! * 300 })
      else if (kind === 'logless write several') this.#write(node, this.keys, false)
      else this.#write(node, [key], kind === 'logless remove')
    })
  }

  #writeAround(key: string): void {
    const value = this.#world.newValue()
    this.#store.change([[key.slice(FUNCTIONS.length + 1), value]], () => {}, () => {}) // prettier-ignore
  }

  #read(node: Node, key: string, options: ReadOptions): void {
    const world = this.#world
    const asked = {
      process: node.process,
      key,
      boundMs: options.maxStalenessMs ?? Infinity,
      calledMs: world.time.nowMs,
    }
    node.logless?.read(key, options)?.then(
      answer => {
        world.say(() => `${node.name} read ${key}: ${Buffer.from(answer.value ?? []).toString()} from ${answer.tier}`)
        this.checker.answered(asked, answer)
      },
      (error: unknown) => this.#failed('logless read', error),
    )
  }

  #renew(node: Node, key: string): void {
    const world = this.#world
    node.logless?.renew(key)?.then(
      renewed => {
        world.say(() => `${node.name} ${renewed ? 'loaded' : 'did not load'} ${key} anew`)
        world.count(renewed ? 'logless: loaded anew' : 'logless: left to others')
      },
      (error: unknown) => this.#failed('logless renew', error),
    )
  }

  #write(node: Node, keys: readonly string[], remove: boolean): void {
    const world = this.#world
    const heard = new TierHeard()
    const writes = keys.map((key): LoglessWrite => {
      const value = remove ? null : world.newValue()
      const calledMs = world.time.nowMs
      return { process: node.process, key, value, calledMs, heard, endMs: Infinity, outcome: 'under way', version: undefined } // prettier-ignore
    })
    const begun = node.logless?.write(
      writes.map(({ key, value }) => {
        const row = rowOf(key.slice(FUNCTIONS.length + 1), value)
        return { key, operation: row === null ? { kind: 'remove' } : { kind: 'replace', row } }
      }),
      heard,
    )
    if (begun === undefined) return
    for (const write of writes) this.checker.began(write)
    begun.then(
      () => {
        world.say(() => `${node.name} wrote ${writes.map(({ key, value }) => `${key} = ${value}`).join('; ')}`)
        for (const write of writes) this.checker.acknowledged(write)
      },
      (error: unknown) => {
        world.say(() => `${node.name} could not write ${writes.map(({ key, value }) => `${key} = ${value}`).join('; ')}: ${String(error)}`) // prettier-ignore
        for (const write of writes) {
          write.endMs = world.time.nowMs
          write.outcome = 'unknown'
        }
        this.#failed('logless write', error)
      },
    )
  }

  /** A user is told the product's errors, and those of his own functions. */
  #failed(what: string, error: unknown): void {
    if (error instanceof StoreError || (error instanceof Error && error.name === 'ConnectionLost')) {
      this.#world.count(`${what}: an error of the functions`)
    } else this.#world.broken(what, error)
  }

  // ---- faults

  /** What a fault does besides. */
  fault(
    kind: FaultKind,
    [which = 0, , long = 0]: readonly number[],
    lasting: (ms: number, end: () => void) => void,
  ): void {
    const { time, cluster } = this.#world
    const { lanes, loglessLanes = 0 } = cluster.shape
    const lane = lanes + Math.floor(which * loglessLanes)
    if (losing.has(kind)) this.checker.losses.push({ fromMs: time.nowMs, untilMs: time.nowMs + LOSES_WITHIN_MS })
    if (kind === 'primary restarts from a snapshot') this.lies()(LOSES_WITHIN_MS)
    else if (kind === 'wall clock jumps') this.checker.clocksApart = true
    else if (kind === 'database stops') lasting(20 + long * 600, this.#store.process.stop())
    else if (kind === 'header is evicted') cluster.ownerOf(lane).loseHeader(lane)
    else if (kind === 'record is evicted') {
      const records = this.#values === undefined ? this.keys : [...this.keys, ...ValuesWorld.records]
      const key = records[Math.floor(which * records.length)]!
      for (let at = lanes; at < lanes + loglessLanes; at++) cluster.ownerOf(at).evict(at, key)
    } else if (kind === 'lane migrates') this.#migrate(lane, long, lasting)
  }

  #migrate(lane: number, long: number, lasting: (ms: number, end: () => void) => void): void {
    const { cluster, time } = this.#world
    const to = cluster.primaries().find(node => node !== cluster.ownerOf(lane))
    if (to === undefined || !cluster.beginMigration(lane, to)) return
    let over = false
    const move = (): void => {
      if (!over && cluster.migrateOne(lane, this.#random)) time.after(1 + long * 40, move)
    }
    time.after(long * 40, move)
    lasting(1_500, () => {
      over = true
      while (cluster.migrateOne(lane, this.#random));
    })
  }

  /** From now on nobody knows which primary is the one that counts; the function returned says that this is over in so long. */
  lies(): (inMs: number) => void {
    const span: Span = { fromMs: this.#world.time.nowMs, untilMs: Infinity }
    this.checker.lies.push(span)
    return inMs => (span.untilMs = this.#world.time.nowMs + inMs)
  }

  // ---- the end

  calm(): void {
    Object.assign(this.#config.store, { slowOneIn: 0, failsOneIn: 0 })
  }

  /**
   * Loads what has to be, and reads it again, before its time is over. Twice: whoever is first to ask for a lane that lost its
   * header long ago finds it without one, gives it one, and is answered by the functions.
   */
  async settled(): Promise<void> {
    const { nodes, time, config } = this.#world
    const roundMs = 40
    // By process and key: until when what it was answered with last is kept.
    const keptMs = new Map<string, number>()
    for (const again of [false, false, true]) {
      for (const { logless, process } of nodes) {
        for (const key of this.keys) {
          const read = logless?.read(key, {})
          if (read === undefined) {
            this.#world.violated(`in the end ${process.name} has no lanes yet`)
            continue
          }
          const at = `${process.name} ${key}`
          const fromMemory = again && !config.mixedFormats && keptMs.get(at)! > time.nowMs + roundMs
          read.then(
            answer => {
              this.checker.settled(process, key, answer, fromMemory)
              keptMs.set(at, time.nowMs - answer.ageMs + config.logless!.ttlMs)
            },
            (error: unknown) => this.#world.violated(`in the end ${process.name} cannot read ${key}: ${String(error)}`),
          )
        }
      }
      await time.run(time.nowMs + roundMs)
    }
    if (!config.mixedFormats) await this.#values?.settled(nodes.map(memberOf))
  }
}

function isOfValues(kind: LoglessKind | ValueKind): kind is ValueKind {
  return (valueKinds as readonly string[]).includes(kind)
}

function memberOf({ process, logless }: Node): { process: SimProcess; library: LoglessLibrary } {
  return { process, library: logless as LoglessLibrary }
}
