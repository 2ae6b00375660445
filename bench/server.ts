// Tidemark's server beside its peers on this machine: runs the stages of scenarios.ts one after another, and reports medians,
// ratios and bars. A peer that is not installed is left out, and the report says so.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { barsOf } from './bars.ts'
import { BenchStage } from './bench-stage.ts'
import { peers, tidemark } from './contender.ts'
import { loadVersion } from './load.ts'
import type { Machine } from './machine.ts'
import { measure, stepsOf } from './measure.ts'
import { Progress } from './progress.ts'
import type { Sample, ServerReport } from './samples.ts'
import { smokeStages, stages as allStages } from './scenarios.ts'
import type { Stage } from './scenarios.ts'
import { barLines, headLines, resultLines } from './tables.ts'

export interface ServerBenchmark {
  readonly rounds: number
  /** Names of scenarios or stages; empty: all. */
  readonly only: readonly string[]
  readonly seed: number
  readonly pin: boolean
  readonly smoke: boolean
}

function chosenStages({ only, smoke }: ServerBenchmark): Stage[] {
  const stages = smoke ? smokeStages() : [...allStages]
  if (only.length === 0) return stages
  const names = new Set(stages.flatMap(({ name, scenarios }) => [name, ...scenarios.map(each => each.name)]))
  for (const name of only) {
    if (!names.has(name)) throw new Error(`--only ${name}: there are ${[...names].join(', ')}`)
  }
  return stages
    .map(stage => ({
      ...stage,
      scenarios: stage.scenarios.filter(({ name }) => only.includes(name) || only.includes(stage.name)),
    }))
    .filter(({ scenarios }) => scenarios.length > 0)
}

async function installedVersions(left: string[]): Promise<Record<string, string>> {
  const versions: Record<string, string> = { load: await loadVersion(), tidemark: await tidemark.version() }
  for (const peer of peers) {
    try {
      versions[peer.name] = await peer.version()
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
      left.push(`${peer.name} is not installed`)
    }
  }
  if (versions['redis'] === undefined)
    throw new Error('redis-server is not installed: there is nothing to measure against')
  return versions
}

/** Measures, and prints what came out through `print`. */
export async function benchServer(
  settings: ServerBenchmark,
  machine: Machine,
  print: (line: string) => void,
): Promise<ServerReport> {
  if (process.platform !== 'linux') throw new Error('processor time is read from /proc: this benchmark needs Linux')
  const { rounds, seed, pin, smoke } = settings
  const stages = chosenStages(settings)
  const left: string[] = []
  const versions = await installedVersions(left)
  const installed = new Set(Object.keys(versions))
  for (const line of headLines(machine, versions, settings)) print(line)
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-'))
  const allocations = join(folder, 'allocations')
  const probed = {
    TIDEMARK_BENCH_ALLOCATIONS: allocations,
    NODE_OPTIONS: `--import ${resolve(import.meta.dirname, 'allocation-probe.mjs')}`,
  }
  const samples: Sample[] = []
  const serversOf = (stage: Stage): number => 1 + stage.peers.filter(name => installed.has(name)).length
  const steps = stages.flatMap(stage => stage.scenarios.map(each => stepsOf(each, rounds, serversOf(stage))))
  const progress = new Progress(steps.reduce((sum, each) => sum + each, 0))
  const startedMs = performance.now()
  try {
    for (const stage of stages) {
      progress.stage(stage.name)
      const environment = stage.scenarios.some(({ kind }) => kind === 'garbage') ? probed : {}
      const ready = { ...stage, setup: { ...stage.setup, environment } }
      const running = await BenchStage.start(ready, installed, folder, pin, seed)
      try {
        const run = { stage: running, rounds, progress, allocations, keep: (sample: Sample) => samples.push(sample) }
        for (const scenario of stage.scenarios) await measure(scenario, run)
      } finally {
        await running.stop()
      }
    }
  } finally {
    progress.end()
    await rm(folder, { recursive: true, force: true })
  }
  const scenarios = stages.flatMap(stage => stage.scenarios)
  const bars = barsOf(scenarios, samples)
  const names = [tidemark.name, ...peers.map(({ name }) => name)]
  for (const line of [...resultLines(scenarios, samples, names), ...barLines(bars)]) print(line)
  for (const line of left) print(`Not measured: ${line}`)
  const seconds = Math.round((performance.now() - startedMs) / 1000)
  return {
    benchmark: 'server',
    machine,
    versions,
    settings: { rounds, seed, pin, smoke },
    seconds,
    left,
    bars,
    samples,
  }
}
