// Keyspaces of functions in processes that share no tier: their service, their disks, their users, what faults do to them, and the
// end. Beside everything else of the world (world.ts), on the same wires. Not for: what is wrong (old-checker.ts, behind-checker.ts).
import { TidemarkError } from '../../src/base/errors.ts'
import { seededRandom, type Random } from '../../src/base/random.ts'
import type { JournalStorage } from '../../src/journal/storage.ts'
import type { Keyspace } from '../../src/library/keyspace.ts'
import type { CallOptions } from '../../src/library/options.ts'
import type { Session } from '../../src/library/session.ts'
import type { Tidemark } from '../../src/library/tidemark.ts'
import { BehindChecker } from './behind-checker.ts'
import { FunctionStore, StoreError } from './function-store.ts'
import { durationOf, oldOptions } from './library-node.ts'
import { SimProcess } from './machine.ts'
import { Network } from './network.ts'
import type { Node } from './node.ts'
import { OldChecker, type OldAsked } from './old-checker.ts'
import type { FaultKind } from './plan.ts'
import { BEHIND, OLD, type ServiceConfig, type ServiceKind } from './service-plan.ts'
import { ServiceStore } from './service-store.ts'
import { SlowDisk } from './slow-disk.ts'
import { Truth, type Value } from './truth.ts'
import type { World } from './world.ts'

/** What calls by the user's own functions fail with, besides. */
const REFUSED = 'JOURNAL_FULL'
/** Of 100 ms each: what is left may be many calls of a slow disk away from the service. */
const FLUSH_TRIES = 30

/** The part of a process that has to do with these. */
export interface ServiceNode {
  readonly old: Keyspace<number>
  readonly behind: Keyspace<number>
  readonly session: Session
}

export class ServiceWorld {
  readonly #world: World
  readonly #config: ServiceConfig
  readonly #oldTruth = new Truth()
  readonly #behindTruth = new Truth()
  readonly #oldChecker: OldChecker
  readonly #behindChecker: BehindChecker
  readonly #stores: Readonly<Record<typeof OLD | typeof BEHIND, FunctionStore>>
  readonly #old: ServiceStore
  readonly #behind: ServiceStore
  /** By node. */
  readonly #disks: SlowDisk[] = []
  readonly #random: Random
  readonly #oldKeys: readonly string[]

  constructor(world: World, config: ServiceConfig) {
    const { time } = world
    this.#world = world
    this.#config = { ...config, store: { ...config.store } }
    this.#random = seededRandom(world.config.seed * 59 + 13)
    const common = {
      time,
      count: (what: string) => world.count(what),
      violated: (what: string) => world.violated(what),
    }
    const { ttlMs, swrMs, staleIfErrorMs } = config.old
    this.#oldChecker = new OldChecker({ ...common, truth: this.#oldTruth, ttlMs, graceMs: Math.max(swrMs, staleIfErrorMs) }) // prettier-ignore
    this.#behindChecker = new BehindChecker({ ...common, nowMs: () => time.nowMs })
    const network = new Network(time, world.config.network, this.#fork(), world.network)
    this.#stores = { [OLD]: this.#newStore(OLD, this.#oldTruth), [BEHIND]: this.#newStore(BEHIND, this.#behindTruth) }
    this.#old = new ServiceStore(this.#stores[OLD], network)
    this.#behind = new ServiceStore(this.#stores[BEHIND], network)
    this.#oldKeys = Array.from({ length: config.oldKeys }, (_, index) => `${index + 1}`)
    for (const id of this.#oldKeys) this.#oldTruth.show(`${OLD}:${id}`, world.newValue(), 0)
  }

  // On the machine of the first database server: what cuts off one cuts off the other.
  #newStore(keyspace: typeof OLD | typeof BEHIND, truth: Truth): FunctionStore {
    const { time } = this.#world
    return new FunctionStore({
      process: new SimProcess('postgres-1', time, 0),
      keyspace,
      shape: this.#config.store,
      random: this.#fork(),
      truth,
      nowMs: () => time.nowMs,
      shown: (key, value) => {
        this.#world.say(() => `the service has ${key} = ${value}`)
        if (keyspace === BEHIND) this.#behindChecker.shown(key, value)
      },
    })
  }

  #fork(): Random {
    return seededRandom(this.#random.uint32())
  }

  /** The disk of the node's machine, as a process sees it that begins there. */
  storage(node: number, process: SimProcess): JournalStorage {
    this.#disks[node] ??= new SlowDisk(this.#config.disk, this.#fork())
    return this.#disks[node].begin(process)
  }

  newNode(node: number, process: SimProcess, tide: Tidemark): ServiceNode {
    const { old, boundMs, behind } = this.#config
    const oldBound = boundMs === 0 ? {} : { maxStaleness: durationOf(boundMs) }
    return {
      session: tide.session(),
      old: tide.keyspace<number>(OLD, { source: this.#old.functions(process, undefined), ...oldOptions(old), ...oldBound }), // prettier-ignore
      behind: tide.keyspace<number>(BEHIND, {
        source: this.#behind.functions(process, `${node}`),
        ttl: durationOf(behind.ttlMs),
        write: {
          mode: 'behind',
          directory: 'journals',
          maxDelay: durationOf(behind.maxDelayMs),
          batch: behind.batch,
          maxPending: behind.maxPending,
          retry: { first: durationOf(behind.retryMs), max: '100ms', attempts: Infinity },
        },
      }),
    }
  }

  // ---- users

  begin(kind: ServiceKind, dice: readonly number[]): void {
    const { nodes } = this.#world
    const having = [...nodes.entries()].filter(([, node]) => node.service !== undefined)
    const entry = having[Math.floor(dice[0]! * having.length)]
    if (entry === undefined) return
    const [index, node] = entry
    const service = node.service!
    const id = this.#oldKeys[Math.floor(dice[1]! * this.#oldKeys.length)]!
    if (kind === 'old write around') return this.#writeAround(id)
    node.process.enter(() => {
      if (kind === 'old write' || kind === 'old remove') this.#writeOld(node, service, id, kind === 'old remove')
      else if (kind === 'old get') this.#getOld(node, service, id)
      else if (kind === 'old read') this.#readOld(node, service, id, {})
      else if (kind === 'old session read') this.#readOld(node, service, id, { session: service.session })
      else if (kind === 'old bounded read') {
        const boundMs = dice[2]! < 0.2 ? 0 : Math.floor(dice[2]! * 1_500)
        this.#readOld(node, service, id, { maxStaleness: durationOf(boundMs) }, boundMs)
      } else this.#beginBehind(kind, node, service, this.#behindIds(index), dice)
    })
  }

  #behindIds(node: number): string[] {
    return Array.from({ length: this.#config.behindKeys }, (_, key) => `${node}-${key + 1}`)
  }

  #beginBehind(
    kind: ServiceKind,
    node: Node,
    service: ServiceNode,
    ids: readonly string[],
    dice: readonly number[],
  ): void {
    // prettier-ignore
    const id = ids[Math.floor(dice[1]! * ids.length)]!
    if (kind === 'behind write') this.#writeBehind(node, service, [id], false)
    else if (kind === 'behind remove') this.#writeBehind(node, service, [id], true)
    else if (kind === 'behind write several') this.#writeBehind(node, service, ids, dice[2]! < 0.2)
    else this.#readBehind(node, service, id, kind)
  }

  #writeAround(id: string): void {
    this.#stores[OLD].change([[id, this.#world.newValue()]], () => {}, () => {}) // prettier-ignore
  }

  #asked(node: Node, id: string, boundMs: number, session: boolean): OldAsked {
    const own = this.#config.boundMs === 0 ? Infinity : this.#config.boundMs
    const bound = boundMs === Infinity ? own : boundMs
    const { process } = node
    const [calledMs, calledMonotonicMs] = [this.#world.time.nowMs, process.clock.monotonicMs()]
    return { process, key: `${OLD}:${id}`, calledMs, calledMonotonicMs, boundMs: bound, session }
  }

  #readOld(node: Node, { old }: ServiceNode, id: string, options: CallOptions, boundMs = Infinity): void {
    const asked = this.#asked(node, id, boundMs, options.session !== undefined)
    old.read(id, options).then(
      ({ value = null, age, tier, stale }) => {
        this.#world.say(() => `${node.name} read ${asked.key}: ${value} from ${tier}${stale ? ', stale' : ''}`)
        this.#oldChecker.answered(asked, { value, ageMs: age, tier, stale })
      },
      (error: unknown) => this.failed('old read', error),
    )
  }

  #getOld(node: Node, { old }: ServiceNode, id: string): void {
    const asked = this.#asked(node, id, Infinity, false)
    const before = old.stats().hits
    const getting = old.get(id)
    const atOnce = old.stats().hits > before
    getting.then(
      (value = null as never) => {
        this.#world.say(() => `${node.name} got ${asked.key}: ${value}${atOnce ? ' at once' : ''}`)
        if (atOnce) this.#oldChecker.hadAtOnce(asked, value)
        else this.#oldChecker.got(asked, value)
      },
      (error: unknown) => this.failed('old read', error),
    )
  }

  #writeOld(node: Node, { old, session }: ServiceNode, id: string, remove: boolean): void {
    const calledMs = this.#world.time.nowMs
    const value = remove ? null : this.#world.newValue()
    const writing = value === null ? old.delete(id, { session }) : old.set(id, value, { session })
    writing.then(
      () => {
        this.#world.say(() => `${node.name} wrote ${OLD}:${id} = ${value}`)
        this.#oldChecker.acknowledged(node.process, `${OLD}:${id}`, value, calledMs)
      },
      (error: unknown) => this.failed('old write', error),
    )
  }

  #writeBehind(node: Node, { behind }: ServiceNode, ids: readonly string[], remove: boolean): void {
    const { process } = node
    const rows = ids.map(id => [id, remove ? null : this.#world.newValue()] as const)
    const writes = rows.map(([id, value]) => this.#behindChecker.began(process, `${BEHIND}:${id}`, value))
    const [first] = rows
    const writing: Promise<unknown> = remove
      ? behind.deleteMany(ids)
      : rows.length === 1
        ? behind.set(first![0], first![1]!)
        : behind.setMany(rows.map(([id, value]) => [id, value!] as const))
    const settle = (outcome: 'acknowledged' | 'unknown' | 'refused'): void => {
      this.#world.say(() => `${node.name}: ${outcome} ${rows.map(([id, value]) => `${BEHIND}:${id} = ${value}`).join('; ')}`) // prettier-ignore
      for (const write of writes) this.#behindChecker.settled(process, write, outcome)
    }
    writing.then(
      () => settle('acknowledged'),
      (error: unknown) => {
        settle(error instanceof TidemarkError && error.code === REFUSED ? 'refused' : 'unknown')
        this.failed('behind write', error)
      },
    )
  }

  #readBehind(node: Node, { behind }: ServiceNode, id: string, kind: ServiceKind): void {
    const asked = { process: node.process, key: `${BEHIND}:${id}`, calledMs: this.#world.time.nowMs }
    const reading = kind === 'behind strong read' ? behind.get(id, { maxStaleness: 0 }) : kind === 'behind get' ? behind.get(id) : behind.read(id).then(({ value }) => value) // prettier-ignore
    reading.then(
      (value = null as never) => {
        this.#world.say(() => `${node.name} read ${asked.key}: ${value}`)
        this.#behindChecker.answered(asked, value)
      },
      (error: unknown) => this.failed('behind read', error),
    )
  }

  /** A user is told the product's errors, and those of his own functions. */
  failed(what: string, error: unknown): void {
    if (error instanceof StoreError || (error instanceof Error && error.name === 'ConnectionLost')) {
      this.#world.count(`${what}: an error of the functions`)
    } else this.#world.broken(what, error)
  }

  // ---- faults, and the end

  fault(kind: FaultKind, [, , long = 0]: readonly number[], lasting: (ms: number, end: () => void) => void): void {
    if (kind === 'wall clock jumps') this.#oldChecker.clocksJumped = true
    if (kind !== 'database stops') return
    for (const store of Object.values(this.#stores)) lasting(20 + long * 600, store.process.stop())
  }

  calm(): void {
    Object.assign(this.#config.store, { slowOneIn: 0, failsOneIn: 0, loadsFailOneIn: 0 })
    for (const disk of this.#disks) disk?.calm()
  }

  /** All that was acknowledged is brought to the service, and read again from there. */
  async settled(): Promise<void> {
    const { nodes, time } = this.#world
    let flushed = 0
    const having = [...nodes.entries()].filter(([, node]) => node.service !== undefined)
    for (const [, node] of having) {
      node.service!.behind.flush().then(
        () => flushed++,
        (error: unknown) => this.#world.violated(`in the end ${node.name} cannot write what waits: ${String(error)}`),
      )
    }
    // A journal that could not be opened, and that nobody has asked for since, is opened now.
    for (let tries = 0; tries < FLUSH_TRIES && flushed < having.length; tries++) await time.run(time.nowMs + 100)
    if (flushed < having.length)
      this.#world.violated(`in the end ${having.length - flushed} have not written what waits`)
    for (const [index, node] of having) {
      for (const id of this.#behindIds(index)) {
        const held = this.#behindTruth.latest(`${BEHIND}:${id}`)
        this.#behindChecker.end(`${BEHIND}:${id}`, held)
        this.#mustRead(node, node.service!.behind, `${BEHIND}:${id}`, id, held)
      }
      for (const id of this.#oldKeys) {
        this.#mustRead(node, node.service!.old, `${OLD}:${id}`, id, this.#oldTruth.latest(`${OLD}:${id}`))
      }
    }
    await time.run(time.nowMs + 100)
  }

  #mustRead(node: Node, keyspace: Keyspace<number>, key: string, id: string, expected: Value): void {
    keyspace.get(id, { maxStaleness: 0 }).then(
      (value = null as never) => {
        this.#world.count('service checked: end')
        if (value !== expected) this.#world.violated(`in the end ${node.name} reads ${key} = ${value}, not ${expected}`)
      },
      (error: unknown) => this.#world.violated(`in the end ${node.name} cannot read ${key}: ${String(error)}`),
    )
  }
}
