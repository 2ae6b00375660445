// A calm deployment for schedules that a test writes down step by step: nothing happens by itself, but for what the product
// does, and every answer goes to the checker. What is to be late is held up by cutting the network at the right moment.
import assert from 'node:assert/strict'
import { limits } from '../../src/base/limits.ts'
import type { ReadAnswer, ReadOptions } from '../../src/cache/reader.ts'
import type { WriteAnswer } from '../../src/cache/writer.ts'
import { keyHash, laneOf, type LaneState } from '../../src/coherence/lane.ts'
import type { Session } from './checker.ts'
import { oldFor } from './clients.ts'
import { toldBy, type Node } from './node.ts'
import type { Config } from './plan.ts'
import type { Postgres, Transaction } from './postgres.ts'
import { rowOf, valueOf } from './row.ts'
import type { LimitValues } from './scaled-limits.ts'
import type { Value } from './truth.ts'
import type { ValkeyNode } from './valkey.ts'
import { World } from './world.ts'

export interface SceneOptions {
  readonly config?: Partial<Config>
  readonly limits?: LimitValues
  /** Keyspaces and publication as a node has them, where that is not what all others have. */
  readonly layoutOf?: (node: number) => string
}

export const calm: Omit<Config, 'limits'> = {
  seed: 1,
  nodes: 2,
  tides: 1,
  plainKeys: 3,
  triggeredKeys: 0,
  sessions: 1,
  network: { delayMs: 0.4, slowOneIn: 0, slowMs: 0 },
  cluster: { lanes: 1, shards: 1, shardIs: 'shard' },
  postgres: {
    synchronousStandby: false,
    standbyLagMs: 1,
    fsyncMs: 0.3,
    visibleAfterMs: 0.2,
    slowVisibleOneIn: 0,
    walWriterMs: 20,
    runIsKnown: true,
  },
  source: {
    statementMs: 0.1,
    slowOneIn: 0,
    slowMs: 0,
    timeoutMs: 2_000,
    connections: 1,
    asynchronous: false,
    hiddenTriggerOneIn: 0,
  },
  messages: { lostOneIn: 0, doubledOneIn: 0, swappedOneIn: 0 },
  tierTimeoutMs: 2_000,
  maxStalenessMs: 500,
  nearEntries: 1_000,
  asynchronousCommits: false,
  mixedFormats: false,
  faultsUntilMs: 0,
  endMs: 0,
}

const quick: LimitValues = {
  tideRetentionMs: 1_000,
  tideReopenMs: 20,
  tideReopenMaxMs: 200,
  tideRefusedMs: 200,
  tideReplayEveryMs: 100,
  tideReplayDelayMs: 20,
  tideStillMs: 250,
  tideEvictMs: 400,
  tideEvictMaxMs: 800,
  tideLaneRetryMaxMs: 100,
  tideSupersededMs: 100,
  tideSupersededMaxMs: 400,
  // What is held up in these scenes is not to be given up before it is let go.
  tierTimeoutMs: 1_900,
  fillWaitMs: 50,
  sampleTimeoutMs: 300,
}

export const KEY = 'k:1'

export class Scene {
  readonly world: World
  readonly #limits: Readonly<Record<string, number>>

  private constructor(world: World, before: Readonly<Record<string, number>>) {
    this.world = world
    this.#limits = before
  }

  /** A deployment whose lanes are known to all of its nodes. `end` is to be called in the end. */
  static async begin(options: SceneOptions = {}): Promise<Scene> {
    const before = { ...limits }
    const values = { ...quick, ...options.limits }
    Object.assign(limits, values)
    const world = new World({ ...calm, limits: values, ...options.config }, options.layoutOf)
    const scene = new Scene(world, before)
    await scene.pass(600)
    return scene
  }

  get nodes(): readonly Node[] {
    return this.world.nodes
  }

  get postgres(): Postgres {
    return this.world.postgres
  }

  count(what: string): number {
    return this.world.counts[what] ?? 0
  }

  // ---- time

  async pass(ms: number): Promise<void> {
    const { time } = this.world
    await time.run(time.nowMs + ms)
    assert.equal(this.world.violation, undefined)
  }

  /** Lets time pass until the promise has settled. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    const state = { settled: false }
    const settle = (): void => {
      state.settled = true
    }
    promise.then(settle, settle)
    await this.until('it settles', () => state.settled, 10_000)
    return promise
  }

  async until(what: string, isSo: () => boolean, withinMs = 5_000): Promise<void> {
    for (let ms = 0; !isSo() && ms < withinMs; ms += 0.1) await this.pass(0.1)
    assert.ok(isSo(), `${what} within ${withinMs} ms`)
  }

  // ---- users

  ask(node: number, key: string = KEY, options: ReadOptions = {}, session?: Session): Promise<ReadAnswer> {
    const { world } = this
    const calledMs = world.time.nowMs
    const asked = {
      node: this.nodes[node]!,
      key,
      boundMs: options.maxStalenessMs ?? world.config.maxStalenessMs,
      old: oldFor(options, session !== undefined),
      calledMs,
      session,
      ticket: session?.ticket,
      seen: session === undefined ? undefined : new Map(session.seen),
      isolatedSource: (sinceMs: number) => world.isolated.size > 0 || world.isolatedUntilMs >= sinceMs,
    }
    const answer = this.nodes[node]!.reader.read(key, session?.ticket === undefined ? options : { ...options, session: session.ticket }) // prettier-ignore
    answer.then(
      result => world.checker.answered(asked, toldBy(asked.node, result)),
      () => {},
    )
    return answer
  }

  async read(node: number, key: string = KEY, options: ReadOptions = {}, session?: Session): Promise<ReadAnswer> {
    return this.wait(this.ask(node, key, options, session))
  }

  /** A write through the cache; the value is in the answer's row. */
  startWrite(node: number, key: string = KEY, value: Value = this.world.newValue()): Promise<WriteAnswer> {
    const row = rowOf(key.slice(2), value)
    const operation = row === null ? ({ kind: 'remove' } as const) : ({ kind: 'replace', row } as const)
    return this.nodes[node]!.writer.write([{ key, operation }])
  }

  async write(node: number, key: string = KEY, session?: Session): Promise<Value> {
    const value = this.world.newValue()
    const calledMs = this.world.time.nowMs
    const called = session?.ticket
    const answer = await this.wait(this.startWrite(node, key, value))
    this.world.checker.acknowledged(this.nodes[node]!, key, value, calledMs, session, called, answer.session)
    return value
  }

  // ---- writers around the cache

  transaction(): Transaction {
    return this.postgres.begin()
  }

  /** Changes rows in a transaction that is open; the last value. */
  change(tx: Transaction, ...keys: readonly string[]): Value {
    let value: Value = null
    for (const key of keys) {
      this.postgres.lock(tx, key, () => {
        value = this.world.newValue()
        this.postgres.change(tx, key, value)
      })
    }
    return value
  }

  /** Resolves when the commit is visible. */
  commit(tx: Transaction, asynchronous = false): Promise<void> {
    return new Promise(resolve => this.postgres.commit(tx, asynchronous, true, resolve))
  }

  async sql(...keys: readonly string[]): Promise<Value> {
    const tx = this.transaction()
    const value = this.change(tx, ...keys)
    await this.wait(this.commit(tx))
    return value
  }

  async sqlDelete(...keys: readonly string[]): Promise<void> {
    const tx = this.transaction()
    for (const key of keys) this.postgres.lock(tx, key, () => this.postgres.change(tx, key, null))
    await this.wait(this.commit(tx))
  }

  // ---- the tier

  primary(key: string = KEY): ValkeyNode {
    return this.world.cluster.ownerOf(this.laneOf(key))
  }

  laneOf(key: string): number {
    return laneOf(keyHash(key), this.world.cluster.shape.lanes)
  }

  lane(key: string = KEY): LaneState | undefined {
    return this.primary(key).lane(this.laneOf(key))
  }

  /** Nothing of one process reaches the other from now on, until the function returned is called. */
  hold(from: { readonly name: string }, to: { readonly name: string }): () => void {
    return this.world.network.cut(from.name, to.name)
  }

  holder(): Node {
    const holder = this.nodes.find(node => node.process.alive && node.keeper?.isHolder === true)
    assert.ok(holder !== undefined, 'some node has the tide')
    return holder
  }

  /** The mark goes past all that is committed now. */
  async caughtUp(key: string = KEY, withinMs = 5_000): Promise<void> {
    const { wal } = this.postgres
    await this.until('the mark catches up', () => (this.lane(key)?.mark.lsn ?? 0n) >= wal, withinMs)
    await this.pass(60)
  }

  /** What every node answers is what the database holds, from memory at the second time. */
  async settles(withinMs = 2_500): Promise<void> {
    await this.pass(withinMs)
    for (const key of this.world.keys) {
      for (const [index, node] of this.nodes.entries()) {
        if (!node.process.alive) continue
        const first = await this.read(index, key)
        assert.equal(valueOf(first.value), this.world.truth.latest(key), `${node.name} reads ${key}`)
        await this.pass(5)
        const second = await this.read(index, key)
        assert.equal(valueOf(second.value), this.world.truth.latest(key), `${node.name} reads ${key} again`)
        assert.notEqual(second.tier, 'source', `${node.name} reads ${key} from memory`)
      }
    }
  }

  /** Fails if the checker has found anything. */
  async end(): Promise<void> {
    await this.pass(50)
    Object.assign(limits, this.#limits)
    assert.equal(this.world.violation, undefined)
  }
}

export { valueOf }

/** Plays in a scene, and ends it. */
export async function within(options: SceneOptions, play: (scene: Scene) => Promise<void>): Promise<void> {
  const scene = await Scene.begin(options)
  try {
    await play(scene)
  } finally {
    await scene.end()
  }
}

/** The tide runs at another node than the first, whose way to the database and the tier may be cut then. */
export async function elsewhere(scene: Scene): Promise<void> {
  const [first] = scene.nodes
  if (scene.holder() !== first) return
  first?.keeper?.stop()
  await scene.until('another node has the tide', () =>
    scene.nodes.some(node => node !== first && node.keeper?.isHolder === true),
  )
  await scene.caughtUp()
}

/** Reads at every node, again and again; what cannot be read just now does not matter. */
export async function readsLatest(scene: Scene, times = 10): Promise<void> {
  for (let time = 0; time < times; time++) {
    await scene.pass(20)
    for (const [index, node] of scene.nodes.entries()) {
      if (node.process.running) await scene.read(index).catch(() => {})
    }
  }
}
