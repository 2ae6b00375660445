// How each kind of scenario is measured: what is run on the servers of its stage, and which samples that gives.
import { appendFile, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BenchStage } from './bench-stage.ts'
import type { RunningContender } from './contender.ts'
import { tidemark } from './contender.ts'
import { applyLoad } from './load.ts'
import type { Progress } from './progress.ts'
import { residentMemory } from './resident-memory.ts'
import type { Sample } from './samples.ts'
import type {
  CompareScenario,
  EvictionScenario,
  GarbageScenario,
  LatencyScenario,
  MemoryScenario,
  Scenario,
} from './scenarios.ts'
import { median } from './table.ts'

const COMPARE_SECONDS = 0.5
const PEAK_RUNS = 3
/** Loads at a full store are long; so many rounds of them. */
const PAUSE_ROUNDS_MAX = 3
const GARBAGE_ROUNDS_MAX = 3
const GARBAGE_SECONDS = 1

export interface Run {
  readonly stage: BenchStage
  readonly rounds: number
  readonly progress: Progress
  /** The file that the allocation probe writes to. */
  readonly allocations: string
  readonly keep: (sample: Sample) => void
}

/** How many steps of progress a scenario takes. */
export function stepsOf(scenario: Scenario, rounds: number, servers: number): number {
  switch (scenario.kind) {
    case 'compare':
      return scenario.commands.length * rounds * servers
    case 'latency':
      return rounds * servers
    case 'memory':
      return servers
    case 'eviction':
      return servers * (3 * rounds + Math.min(rounds, PAUSE_ROUNDS_MAX))
    case 'garbage':
      return Math.min(rounds, GARBAGE_ROUNDS_MAX)
  }
}

export async function measure(scenario: Scenario, run: Run): Promise<void> {
  switch (scenario.kind) {
    case 'compare':
      return compare(scenario, run)
    case 'latency':
      return latency(scenario, run)
    case 'memory':
      return memory(scenario, run)
    case 'eviction':
      return eviction(scenario, run)
    case 'garbage':
      return garbage(scenario, run)
  }
}

async function withCpu<T>(each: RunningContender, requests: number, work: () => Promise<T>): Promise<[T, number]> {
  const before = await each.cpuMicroseconds()
  const result = await work()
  return [result, ((await each.cpuMicroseconds()) - before) / requests]
}

async function compare(scenario: CompareScenario, { stage, rounds, progress, keep }: Run): Promise<void> {
  const { pipeline, clients, valueBytes, keys, name } = scenario
  for (const command of scenario.commands) {
    if (command === 'mix') throw new Error('redis-benchmark mixes no commands')
    const workload = { command, pipeline, clients, valueBytes, keys, seed: stage.seed }
    const counts = new Map<RunningContender, number>()
    for (const each of stage.running) {
      await stage.fill(each, workload)
      counts.set(each, await stage.requestsFor(each, workload, scenario.seconds ?? COMPARE_SECONDS))
    }
    for (let round = 0; round < rounds; round++) {
      for (const each of stage.inTurn(round)) {
        const requests = counts.get(each)!
        const load = { ...workload, requests, prefix: stage.prefixFor(each, command) }
        const [{ requestsPerSecond }, cpuMicroseconds] = await withCpu(each, requests, () =>
          applyLoad(each.contender, each.port, load, stage.pin),
        )
        const server = each.contender.name
        keep({ scenario: name, server, command, round, requests, requestsPerSecond, cpuMicroseconds })
        progress.step(name)
      }
    }
  }
}

async function latency(scenario: LatencyScenario, { stage, rounds, progress, keep }: Run): Promise<void> {
  const { name, clients, valueBytes, keys, seconds } = scenario
  const workload = { command: 'get', pipeline: 1, clients, valueBytes, keys, seed: stage.seed } as const
  const redis = stage.server('redis')
  if (redis === undefined) throw new Error('the rate is half of what redis-server answers at most')
  for (const each of stage.running) await stage.fill(each, workload)
  const peaks: number[] = []
  for (let i = 0; i < PEAK_RUNS; i++) {
    const requests = seconds < 1 ? 2000 : 50_000
    peaks.push(
      (await applyLoad(redis.contender, redis.port, { ...workload, requests, prefix: 'key:' }, stage.pin))
        .requestsPerSecond,
    )
  }
  const rate = Math.floor(median(peaks) / 2)
  for (let round = 0; round < rounds; round++) {
    for (const each of stage.inTurn(round)) {
      const plan = { ...workload, prefix: 'key:', mode: { kind: 'open', rate, seconds } } as const
      const { latency: figures, requests } = await stage.generate(each, plan)
      const server = each.contender.name
      keep({ scenario: name, server, command: 'get', round, requests, requestsPerSecond: rate, ...figures! })
      progress.step(name)
    }
  }
}

async function memory(scenario: MemoryScenario, { stage, progress, keep }: Run): Promise<void> {
  const { name, keys } = scenario
  for (const each of stage.running) {
    await stage.fill(each, { command: 'set', ...scenario })
    const { bytes: resident } = await residentMemory(each.pid)
    const server = each.contender.name
    const added = resident - stage.emptyBytes.get(server)!
    const figures = { bytesPerEntry: resident / keys, addedBytesPerEntry: added / keys }
    keep({ scenario: name, server, command: 'set', round: 0, requests: keys, ...figures })
    progress.step(name)
  }
}

// First what SET takes while everything fits; then the same, and a load that mixes, with so many keys that every other SET
// or so evicts. All by our own generator, since redis-benchmark mixes nothing.
async function eviction(scenario: EvictionScenario, run: Run): Promise<void> {
  const { stage, rounds, progress, keep } = run
  const { name, pipeline, clients, valueBytes, fewKeys, manyKeys, seconds } = scenario
  const short = seconds < 1
  const plan = { prefix: 'key:', pipeline, clients, valueBytes, seed: stage.seed }
  const mixRates = new Map<RunningContender, number>()
  for (const [label, command, keys] of [
    ['set, all fits', 'set', fewKeys],
    ['set, evicting', 'set', manyKeys],
    ['mix, evicting', 'mix', manyKeys],
  ] as const) {
    for (const each of stage.running) await stage.fill(each, { command: 'set', keys, valueBytes })
    for (let round = 0; round < rounds; round++) {
      for (const each of stage.inTurn(round)) {
        const requests = short ? 8000 : 400_000
        const load = { ...plan, seed: stage.seed + round, command, keys, mode: { kind: 'closed', requests } } as const
        const [{ seconds: took }, cpuMicroseconds] = await withCpu(each, requests, () => stage.generate(each, load))
        const server = each.contender.name
        const requestsPerSecond = requests / took
        keep({ scenario: name, server, command: label, round, requests, requestsPerSecond, cpuMicroseconds })
        mixRates.set(each, requestsPerSecond)
        progress.step(name)
      }
    }
  }
  await pauses(scenario, run, mixRates)
}

async function pauses(
  scenario: EvictionScenario,
  { stage, rounds, progress, keep }: Run,
  mixRates: ReadonlyMap<RunningContender, number>,
): Promise<void> {
  const { name, pipeline, clients, valueBytes, manyKeys, seconds } = scenario
  const plan = { command: 'mix', prefix: 'key:', pipeline, clients, valueBytes, keys: manyKeys } as const
  for (let round = 0; round < Math.min(rounds, PAUSE_ROUNDS_MAX); round++) {
    for (const each of stage.inTurn(round)) {
      const rate = Math.floor(mixRates.get(each)! / 2)
      const load = { ...plan, seed: stage.seed + round, mode: { kind: 'open', rate, seconds } } as const
      const { latency: figures, requests } = await stage.generate(each, load)
      const server = each.contender.name
      keep({ scenario: name, server, command: 'mix, half rate', round, requests, requestsPerSecond: rate, ...figures! })
      progress.step(name)
    }
  }
}

// The probe (allocation-probe.mjs) in each of the server's threads writes a line when the file of questions grows.
async function allocatedBytes(file: string, threadsMin: number): Promise<number> {
  await appendFile(`${file}.ask`, '.')
  const asked = (await readFile(`${file}.ask`)).length
  await sleep(250)
  const lines = (await readFile(file, 'utf8')).trim().split('\n')
  const answers = lines.map(line => line.split(' ').map(Number)).filter(([question]) => question === asked)
  if (answers.length < threadsMin) throw new Error(`only ${answers.length} threads said what they had allocated`)
  return answers.reduce((sum, [, , bytes]) => sum + bytes!, 0)
}

async function garbage(scenario: GarbageScenario, { stage, rounds, progress, keep, allocations }: Run): Promise<void> {
  const { name, command, pipeline, clients, valueBytes, keys } = scenario
  const each = stage.server(tidemark.name)!
  const workload = { command, pipeline, clients, valueBytes, keys, seed: stage.seed }
  await stage.fill(each, workload)
  const load = { ...workload, prefix: 'key:' }
  const requests = await stage.requestsFor(each, workload, GARBAGE_SECONDS)
  const few = pipeline * clients
  const apply = (count: number): Promise<{ requestsPerSecond: number }> =>
    applyLoad(each.contender, each.port, { ...load, requests: count }, stage.pin)
  // Compiling is over after this.
  await apply(requests)
  for (let round = 0; round < Math.min(rounds, GARBAGE_ROUNDS_MAX); round++) {
    const before = await allocatedBytes(allocations, 2)
    // One batch on each connection: what connecting takes is not what a hit takes.
    await apply(few)
    const between = await allocatedBytes(allocations, 2)
    const { requestsPerSecond } = await apply(requests + few)
    const after = await allocatedBytes(allocations, 2)
    const garbageBytes = (after - between - (between - before)) / requests
    keep({ scenario: name, server: tidemark.name, command, round, requests, requestsPerSecond, garbageBytes })
    progress.step(name)
  }
}
