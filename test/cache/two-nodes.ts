// Nodes over one shared tier and one database, all in memory, with a clock that stands still: what the tests of the read and
// write path in front of a shared tier are written in. The tier answers later, as one over a network does, and can hang or
// fail; the database can be held up; the tide moves when the test says so.
import { TidemarkError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { keyHash, laneOf } from '../../src/coherence/lane.ts'
import type { ChangeEvent } from '../../src/coherence/stamp.ts'
import { Keyspaces, type KeyspaceOptions } from '../../src/cache/keyspaces.ts'
import { MapNear } from '../../src/cache/map-near.ts'
import { NearSubscription } from '../../src/cache/near-subscription.ts'
import { Reader, type ReadAnswer, type ReadOptions } from '../../src/cache/reader.ts'
import { Sampler } from '../../src/cache/sampler.ts'
import { Writer } from '../../src/cache/writer.ts'
import type {
  KeyspaceDescription,
  LoadResult,
  RowBytes,
  RowOutcome,
  RowWrite,
  Source,
  SourcePosition,
  WriteResult,
} from '../../src/source/source.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { MemoryTier } from '../../src/testing/memory-tier.ts'
import type { SharedTier } from '../../src/tier/tier.ts'

export const BOUND_MS = 500
export const LANES = 4
export const EPOCH = 7n

const column = { name: 'id', type: 'integer', nullable: false, key: true } as const
const USERS: KeyspaceDescription = { name: 'users', table: 'users', columns: [column], keyColumns: ['id'] }

/** Lets everything go on that waits for no clock. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** One table, whose rows are texts; its log is kept for the tide. */
export class FakeDatabase {
  readonly log: ChangeEvent[] = []
  position = 100n
  loads: string[][] = []
  /** While set, answers of loads wait for it: the query has been made. */
  held: Promise<void> | undefined
  failure: Error | undefined
  inexact = false
  /** The epoch that answers are stamped with when they come. */
  answersAs = EPOCH
  readonly #rows = new Map<string, string>()
  #xid = 1n

  /** By plain SQL, or as a part of a write. */
  set(id: string, text: string | null): { xid: bigint; at: bigint } {
    const xid = this.#xid++
    const change = ++this.position
    const at = ++this.position
    const lsn = ++this.position
    if (text === null) this.#rows.delete(id)
    else this.#rows.set(id, text)
    this.log.push({ key: `users:${id}`, xid, lsn, change })
    return { xid, at }
  }

  row(id: string): RowBytes {
    const text = this.#rows.get(id)
    return text === undefined ? null : Buffer.from(text)
  }

  /** As one node sees it. */
  source(log: boolean): Source {
    return {
      name: 'app',
      epoch: EPOCH,
      ...(log ? {} : { log: false as const }),
      load: (_keyspace, ids) => this.#load(ids),
      write: writes => this.#write(writes),
      position: (): Promise<SourcePosition> => Promise.resolve({ position: this.position, epoch: EPOCH }),
      close: () => Promise.resolve(),
    }
  }

  async #load(ids: readonly string[]): Promise<LoadResult> {
    this.loads.push([...ids])
    if (this.failure !== undefined) throw this.failure
    const rows = ids.map(id => this.row(id))
    const snapshot = { xmin: this.#xid, xmax: this.#xid, inProgress: [], exact: true }
    const flush = this.position
    await this.held
    return { rows, stamp: { kind: 'load', snapshot, flush, epoch: this.answersAs, upto: flush } }
  }

  async #write(writes: readonly RowWrite[]): Promise<WriteResult> {
    await Promise.resolve()
    if (this.failure !== undefined) throw this.failure
    let last = { xid: 0n, at: 0n }
    const outcomes = writes.map(({ id, operation }): RowOutcome => {
      const before = this.row(id)
      const text = operation.kind === 'replace' ? Buffer.from(operation.row).toString() : null
      last = this.set(id, text)
      return { changed: true, before, after: this.row(id), fields: 1, exact: !this.inexact }
    })
    return { outcomes, stamp: { kind: 'write', ...last, epoch: EPOCH, upto: this.position } }
  }
}

type TierMethod = 'read' | 'lease' | 'renew' | 'hold' | 'fill' | 'put' | 'voidKey' | 'begin' | 'putFenced' | 'lane'

/** The tier as one node reaches it. */
export class Network {
  state: 'up' | 'hangs' | 'fails' = 'up'
  /** While set, answers wait for it: the tier has done its part. */
  held: Promise<void> | undefined
  readonly asked: string[] = []

  /** The same tier, by promises. */
  over(tier: SharedTier): SharedTier {
    const methods = [
      'read',
      'lease',
      'renew',
      'hold',
      'fill',
      'put',
      'voidKey',
      'begin',
      'putFenced',
      'lane',
    ] satisfies TierMethod[]
    const reached = Object.fromEntries(
      methods.map(method => [
        method,
        async (...args: unknown[]): Promise<unknown> => {
          this.asked.push(method)
          if (this.state === 'fails') throw new TidemarkError('TIER_UNAVAILABLE', 'nobody there')
          if (this.state === 'hangs') return new Promise(() => {})
          const answer = (tier[method] as (...all: unknown[]) => unknown).apply(tier, args)
          await this.held
          return answer
        },
      ]),
    )
    return {
      ...(reached as Pick<SharedTier, TierMethod>),
      lanes: tier.lanes,
      apply: (lane, request) => tier.apply(lane, request),
      reset: (lane, options) => tier.reset(lane, options),
      subscribe: listener => tier.subscribe(listener),
      close: () => Promise.resolve(),
    }
  }
}

export class Node {
  readonly network = new Network()
  readonly near: MapNear
  readonly sampler: Sampler
  readonly reader: Reader
  readonly writer: Writer
  readonly keyspace: KeyspaceOptions
  readonly #tier: SharedTier
  readonly #clock: ManualClock

  constructor(scene: SharedScene, options: Partial<KeyspaceOptions>, log: boolean, seed: number) {
    const { clock } = scene
    const random = seededRandom(seed)
    this.#clock = clock
    this.#tier = this.network.over(scene.tier)
    const source = scene.database.source(log)
    const near = new MapNear({ lanes: LANES, clock, entriesMax: 1_000 })
    this.near = near
    this.sampler = new Sampler({ source, clock, onSamples: samples => near.prove(samples) })
    const backing = { source, tier: this.#tier, near, proofs: this.sampler }
    this.keyspace = { description: USERS, backing, maxStalenessMs: BOUND_MS, whenStale: 'source', ...options }
    const keyspaces = new Keyspaces([this.keyspace], clock, () => {})
    this.reader = new Reader(keyspaces, clock, random)
    this.writer = new Writer(keyspaces, clock, random)
  }

  async start(): Promise<void> {
    this.sampler.start()
    await NearSubscription.open({ tier: this.#tier, near: this.near, clock: this.#clock })
  }

  async ask(key: string, options: ReadOptions = {}): Promise<Omit<ReadAnswer, 'value'> & { text: string | null }> {
    const { value, ...rest } = await this.reader.read(key, options)
    return { ...rest, text: value === null ? null : Buffer.from(value).toString() }
  }

  async read(key: string, options: ReadOptions = {}): Promise<string | null> {
    return (await this.ask(key, options)).text
  }

  /** Where a read finds its answer. */
  async where(key: string, options: ReadOptions = {}): Promise<string> {
    return (await this.ask(key, options)).tier
  }

  async set(key: string, text: string): Promise<void> {
    await this.writer.write([{ key, operation: { kind: 'replace', row: Buffer.from(text) } }])
  }
}

export class SharedScene {
  readonly clock = new ManualClock()
  readonly database = new FakeDatabase()
  readonly tier = new MemoryTier({ clock: this.clock, lanes: LANES })
  readonly one: Node
  readonly two: Node
  readonly #log: boolean

  static async open(options: Partial<KeyspaceOptions> = {}, log = true): Promise<SharedScene> {
    const scene = new SharedScene(options, log)
    await scene.one.start()
    await scene.two.start()
    await scene.tick()
    return scene
  }

  private constructor(options: Partial<KeyspaceOptions>, log: boolean) {
    this.#log = log
    for (let lane = 0; lane < LANES; lane++) this.reset(lane)
    this.one = new Node(this, options, log, 1)
    this.two = new Node(this, options, log, 2)
  }

  reset(lane: number, nonce = 100 + lane): void {
    const generation = { epoch: EPOCH, nonce }
    this.tier.reset(lane, { expected: this.tier.lane(lane), to: this.database.position, generation })
  }

  laneOf(key: string): number {
    return laneOf(keyHash(key), LANES)
  }

  /** Brings all lanes to the end of the log, past every sample so far. */
  tide(): void {
    const position = ++this.database.position
    for (let lane = 0; lane < LANES; lane++) {
      const state = this.tier.lane(lane)
      if (state === undefined) continue
      const { generation, mark } = state
      const events = this.database.log.filter(event => event.lsn > mark.lsn && this.laneOf(event.key) === lane)
      this.tier.apply(lane, { generation, prev: mark, next: { lsn: position, sub: 0n }, events })
    }
  }

  /** Time goes by in small steps, everything happens that is due, and the tide keeps up. */
  async pass(ms: number, tide = true): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      this.clock.advance(Math.min(10, ms - passed))
      await settle()
      if (tide && this.#log) this.tide()
    }
  }

  /** Once around: a sample is taken, and the marks move past it. */
  tick(): Promise<void> {
    return this.pass(60)
  }
}
