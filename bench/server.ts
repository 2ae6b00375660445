// Tidemark's server beside its peers, under the same load, taken in turns: in each round every server is measured once, in
// an order that turns around, so that what drifts on the machine falls on all alike. Medians over the rounds.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ask } from './ask.ts'
import { peers, RunningContender, tidemark } from './contender.ts'
import { applyLoad, loadVersion } from './load.ts'
import { median, table } from './table.ts'
import type { Contender } from './contender.ts'
import type { LoadResult, Workload } from './load.ts'
import type { Machine } from './machine.ts'

export interface ServerBenchmark {
  readonly rounds: number
  readonly requests: number
  readonly pipelines: readonly number[]
  readonly clients: readonly number[]
  readonly valueBytes: readonly number[]
  readonly keys: readonly number[]
  readonly peers: readonly string[]
  readonly pin: boolean
}

export interface Sample extends Workload, LoadResult {
  readonly server: string
  readonly round: number
  /** Processor time of the server's whole process, by request. */
  readonly cpuMicrosecondsPerRequest: number
}

export interface ServerReport {
  readonly benchmark: 'server'
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  readonly settings: ServerBenchmark
  readonly samples: readonly Sample[]
}

function workloadsOf(settings: ServerBenchmark): Workload[] {
  const workloads: Workload[] = []
  for (const keys of settings.keys)
    for (const valueBytes of settings.valueBytes)
      for (const clients of settings.clients)
        for (const pipeline of settings.pipelines)
          for (const command of ['set', 'get'] as const)
            workloads.push({ command, requests: settings.requests, pipeline, clients, valueBytes, keys })
  return workloads
}

function contendersOf(names: readonly string[]): Contender[] {
  return [
    tidemark,
    ...names.map(name => {
      const peer = peers.find(each => each.name === name)
      if (peer !== undefined) return peer
      throw new Error(`--peers ${name}: there are ${peers.map(each => each.name).join(', ')}`)
    }),
  ]
}

async function measure(running: RunningContender, workload: Workload, round: number, pin: boolean): Promise<Sample> {
  const before = await running.cpuMicroseconds()
  const result = await applyLoad(running.port, workload, pin)
  const cpu = (await running.cpuMicroseconds()) - before
  const cpuMicrosecondsPerRequest = cpu / workload.requests
  return { server: running.contender.name, round, ...workload, ...result, cpuMicrosecondsPerRequest }
}

/** Unmeasured: fills the keys, so that reads hit, and lets every server reach its speed. */
async function warmUp(running: RunningContender, workload: Workload, pin: boolean): Promise<void> {
  if (workload.command === 'set') {
    const requests = Math.max(workload.requests, workload.keys * 4)
    await applyLoad(running.port, { ...workload, requests }, pin)
  } else await applyLoad(running.port, workload, pin)
}

function headLines(machine: Machine, versions: Readonly<Record<string, string>>, settings: ServerBenchmark): string[] {
  const gib = (machine.memoryBytes / 2 ** 30).toFixed(0)
  return [
    `machine   ${machine.processor}, ${machine.cores} cores, ${gib} GiB, ${machine.system}`,
    `commit    ${machine.commit}, ${machine.at}`,
    `versions  node ${machine.node}, ${Object.entries(versions)
      .map(entry => entry.join(' '))
      .join(', ')}`,
    `load      ${settings.rounds} rounds of ${settings.requests} requests each, keys drawn evenly, loopback, ` +
      (settings.pin ? 'server on core 0 alone' : 'not pinned to cores'),
    '',
  ]
}

function resultLines(workloads: readonly Workload[], names: readonly string[], samples: readonly Sample[]): string[] {
  const rows = [
    ['', 'pipeline', 'clients', 'bytes', 'keys', 'server', 'requests/s', 'ratio', 'cpu us/request', 'p50 ms', 'p99 ms'],
  ]
  for (const workload of workloads) {
    const of = (server: string, field: keyof LoadResult | 'cpuMicrosecondsPerRequest'): number =>
      median(
        samples.filter(sample => sample.server === server && matches(sample, workload)).map(sample => sample[field]),
      )
    for (const name of names) {
      const { command, pipeline, clients, valueBytes, keys } = workload
      rows.push([
        command.toUpperCase(),
        ...[pipeline, clients, valueBytes, keys].map(String),
        name,
        Math.round(of(name, 'requestsPerSecond')).toLocaleString('en-US'),
        name === tidemark.name
          ? ''
          : (of(tidemark.name, 'requestsPerSecond') / of(name, 'requestsPerSecond')).toFixed(2),
        of(name, 'cpuMicrosecondsPerRequest').toFixed(2),
        of(name, 'p50Ms').toFixed(3),
        of(name, 'p99Ms').toFixed(3),
      ])
    }
  }
  return [...table(rows), '', 'Medians. ratio: requests/s of tidemark by those of the server in the row.']
}

function matches(sample: Sample, workload: Workload): boolean {
  return (Object.keys(workload) as (keyof Workload)[]).every(field => sample[field] === workload[field])
}

/** Measures, and prints as it goes through `print`. */
export async function benchServer(
  settings: ServerBenchmark,
  machine: Machine,
  print: (line: string) => void,
): Promise<ServerReport> {
  if (process.platform !== 'linux') throw new Error('processor time is read from /proc: this benchmark needs Linux')
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-'))
  const running: RunningContender[] = []
  const samples: Sample[] = []
  const workloads = workloadsOf(settings)
  try {
    for (const contender of contendersOf(settings.peers)) {
      running.push(await RunningContender.start(contender, folder, settings.pin))
    }
    const versions: Record<string, string> = { load: await loadVersion() }
    for (const each of running) versions[each.contender.name] = each.version
    for (const line of headLines(machine, versions, settings)) print(line)
    for (const workload of workloads) {
      for (const each of running) await warmUp(each, workload, settings.pin)
      for (let round = 0; round < settings.rounds; round++) {
        const order = round % 2 === 0 ? running : running.toReversed()
        for (const each of order) samples.push(await measure(each, workload, round, settings.pin))
      }
    }
    for (const each of running) {
      const held = Number((await ask(each.port, 'DBSIZE')).slice(1))
      print(`${each.contender.name} holds ${held} keys at the end`)
    }
    print('')
    const names = running.map(each => each.contender.name)
    for (const line of resultLines(workloads, names, samples)) print(line)
    return { benchmark: 'server', machine, versions, settings, samples }
  } finally {
    for (const each of running) await each.stop()
    await rm(folder, { recursive: true, force: true })
  }
}
