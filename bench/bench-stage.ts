// The servers of one stage while they run: started together, filled with keys, measured in turns. In each round every
// server is measured once, in an order that turns around, so that what drifts on the machine falls on all alike.
// Not for: what each kind of scenario does with them (measure.ts).
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { peers, RunningContender, tidemark } from './contender.ts'
import { generate } from './generator/generate.ts'
import type { Outcome, Plan } from './generator/plan.ts'
import { applyLoad } from './load.ts'
import { residentMemory } from './resident-memory.ts'
import type { Workload } from './load.ts'
import type { Stage } from './scenarios.ts'

/** How many requests a measurement takes at least; processor time comes in steps of 10 ms. */
const REQUESTS_MIN = 2000

export class BenchStage {
  readonly running: readonly RunningContender[]
  readonly stage: Stage
  readonly pin: boolean
  readonly seed: number
  /** What each server took when it was empty. */
  readonly emptyBytes: ReadonlyMap<string, number>
  // By server and prefix: how many keys it holds, of what size.
  readonly #filled = new Map<string, { keys: number; valueBytes: number }>()

  private constructor(
    stage: Stage,
    running: readonly RunningContender[],
    emptyBytes: ReadonlyMap<string, number>,
    pin: boolean,
    seed: number,
  ) {
    this.stage = stage
    this.running = running
    this.emptyBytes = emptyBytes
    this.pin = pin
    this.seed = seed
  }

  static async start(
    stage: Stage,
    installed: ReadonlySet<string>,
    folder: string,
    pin: boolean,
    seed: number,
  ): Promise<BenchStage> {
    const running: RunningContender[] = []
    const emptyBytes = new Map<string, number>()
    try {
      for (const contender of [tidemark, ...peers.filter(({ name }) => stage.peers.includes(name))]) {
        if (!installed.has(contender.name)) continue
        const own = join(folder, `${stage.name}-${contender.name}`.replaceAll(' ', '-'))
        await mkdir(own)
        const each = await RunningContender.start(contender, own, pin, stage.setup)
        running.push(each)
        emptyBytes.set(contender.name, (await residentMemory(each.pid)).bytes)
      }
    } catch (error) {
      for (const each of running) await each.stop()
      throw error
    }
    return new BenchStage(stage, running, emptyBytes, pin, seed)
  }

  async stop(): Promise<void> {
    for (const each of this.running) await each.stop()
  }

  server(name: string): RunningContender | undefined {
    return this.running.find(({ contender }) => contender.name === name)
  }

  /** All servers, in the order of that round. */
  inTurn(round: number): readonly RunningContender[] {
    return round % 2 === 0 ? this.running : this.running.toReversed()
  }

  /** Rows have a keyspace of their own in Tidemark; a peer holds strings under one prefix and hashes under another. */
  prefixFor({ contender }: RunningContender, command: string): string {
    if (this.stage.setup.rows === undefined) return 'key:'
    return contender.name !== tidemark.name && command.startsWith('h') ? 'hash:' : 'rows:'
  }

  /** As many requests as `each` answers in about so long, going by a short run of it. */
  async requestsFor(
    each: RunningContender,
    workload: Omit<Workload, 'prefix' | 'requests'>,
    seconds: number,
  ): Promise<number> {
    if (seconds === 0) return REQUESTS_MIN
    const batch = workload.pipeline * workload.clients
    const requests = Math.max(20_000, batch * 4)
    const prefix = this.prefixFor(each, workload.command)
    const load = { ...workload, prefix, requests }
    const { requestsPerSecond } = await applyLoad(each.contender, each.port, load, this.pin)
    return Math.ceil(Math.max(requestsPerSecond * seconds, REQUESTS_MIN) / batch) * batch
  }

  /** Sees to it that a server holds every key, with values of that size. */
  async fill(each: RunningContender, workload: { command: string; keys: number; valueBytes: number }): Promise<void> {
    const { keys, valueBytes, command } = workload
    const prefix = this.prefixFor(each, command)
    const id = `${each.contender.name} ${prefix}`
    const held = this.#filled.get(id)
    const from = held?.valueBytes === valueBytes ? held.keys : 0
    if (from >= keys) return
    // A row is in memory once it was read.
    const isRow = prefix === 'rows:' && each.contender.name === tidemark.name
    const fillWith = isRow ? 'get' : prefix === 'hash:' ? 'hset' : 'set'
    const pipeline = Math.max(1, Math.min(128, Math.floor(262_144 / valueBytes)))
    const plan = { command: fillWith, prefix, keys, valueBytes, pipeline, clients: 4, seed: this.seed } as const
    await this.generate(each, { ...plan, mode: { kind: 'fill', from } })
    this.#filled.set(id, { keys, valueBytes })
  }

  generate(each: RunningContender, plan: Omit<Plan, 'port' | 'protocol'>): Promise<Outcome> {
    return generate({ ...plan, port: each.port, protocol: each.contender.protocol }, this.pin)
  }
}
