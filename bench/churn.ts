// `npm run bench -- churn [options]`: does memory keep within its budget? An hour of a busy cache (20,000 writes a second),
// compressed in time, for several budgets; then how much memory the server's process has had at most, as the kernel counts it.
//
//   resident memory <= budget + 15% + nodeBytes(threads)
//
// The figures differ from machine to machine by what else needs memory; the bound holds or the program says that it does not.
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { systemClock } from '../src/base/clock.ts'
import { Progress } from '../src/cli/progress.ts'
import { wholeNumber } from './arguments.ts'
import { applyChurn } from './churn-load.ts'
import type { ChurnCounts } from './churn-load.ts'
import { ChurnServer } from './churn-server.ts'
import { describeMachine } from './machine.ts'
import { table } from './table.ts'

const MB = 1 << 20

/** What Node itself takes, at most, next to the budget: once for the process, and for each server thread. */
export function nodeBytes(threads: number): number {
  return (200 + 80 * threads) * MB
}

/** The most that a server may have of resident memory. */
export function residentBytesMax(memoryBytes: number, threads: number): number {
  return memoryBytes * 1.15 + nodeBytes(threads)
}

/** Keys for about four times as many bytes as there is memory. */
export function churnKeys(memoryBytes: number, largeOneOf: number): number {
  const meanBytes = 300 + 90_000 / largeOneOf
  return Math.ceil((4 * memoryBytes) / meanBytes)
}

const usage = `npm run bench -- churn [options]

  --memory LIST      budgets in MB (64,256)
  --threads N        server threads (2)
  --operations N     in all, for each budget (40000000; an hour at 20,000 writes a second is 90000000)
  --large-one-of N   one of so many values has up to 1 MiB, the others up to 1,000 bytes (100)
  --connections N    (16)
  --seed N           (1)
  --json FILE        write all samples
`
const options = {
  memory: { type: 'string', default: '64,256' },
  threads: { type: 'string', default: '2' },
  operations: { type: 'string', default: '40000000' },
  'large-one-of': { type: 'string', default: '100' },
  connections: { type: 'string', default: '16' },
  seed: { type: 'string', default: '1' },
  json: { type: 'string' },
  help: { type: 'boolean', default: false, short: 'h' },
} as const

export interface ChurnSettings {
  readonly memoryMb: number
  readonly threads: number
  readonly operations: number
  readonly largeOneOf: number
  readonly connections: number
  readonly seed: number
}

export interface ChurnReport extends ChurnSettings, Readonly<ChurnCounts> {
  readonly seconds: number
  readonly residentBytesBefore: number
  /** Every half second. */
  readonly residentBytes: readonly number[]
  readonly residentBytesMost: number
  readonly residentBytesAllowed: number
}

export async function churn(settings: ChurnSettings, progress: (done: number) => void): Promise<ChurnReport> {
  const { memoryMb, threads, largeOneOf } = settings
  const clock = systemClock()
  const server = await ChurnServer.start(memoryMb * MB, threads)
  try {
    const before = await server.memory()
    const samples: number[] = []
    const startedMs = clock.monotonicMs()
    const load = { ...settings, port: server.port, keys: churnKeys(memoryMb * MB, largeOneOf) }
    const counts = await applyChurn(load, done => {
      progress(done)
      void server.memory().then(({ bytes }) => samples.push(bytes))
    })
    return {
      ...settings,
      ...counts,
      seconds: (clock.monotonicMs() - startedMs) / 1_000,
      residentBytesBefore: before.bytes,
      residentBytes: samples,
      residentBytesMost: (await server.memory()).bytesMost,
      residentBytesAllowed: residentBytesMax(memoryMb * MB, threads),
    }
  } finally {
    await server.stop()
  }
}

function lines(reports: readonly ChurnReport[]): string[] {
  const mb = (bytes: number): string => String(Math.round(bytes / MB))
  return table([
    ['budget MB', 'threads', 'operations', 'GB written', 'seconds', 'idle MB', 'most MB', 'over budget + 15%', 'allowed MB', ''], // prettier-ignore
    ...reports.map(report => [
      String(report.memoryMb),
      String(report.threads),
      report.operations.toLocaleString('en-US'),
      (report.bytesWritten / 1e9).toFixed(1),
      report.seconds.toFixed(0),
      mb(report.residentBytesBefore),
      mb(report.residentBytesMost),
      mb(Math.max(0, report.residentBytesMost - report.memoryMb * MB * 1.15)),
      mb(report.residentBytesAllowed),
      report.residentBytesMost <= report.residentBytesAllowed ? 'within' : 'OVER',
    ]),
  ])
}

/** Returns the exit code: 1 when a server had more memory than it may. */
export async function benchChurn(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options })
  if (values.help) {
    process.stderr.write(usage)
    return 0
  }
  const machine = await describeMachine()
  process.stdout.write(
    `machine   ${machine.processor}, ${machine.cores} cores, ${machine.system}, node ${machine.node}\n`,
  )
  process.stdout.write(`commit    ${machine.commit}, ${machine.at}, seed ${values.seed}\n`)
  const reports: ChurnReport[] = []
  for (const memory of values.memory.split(',')) {
    const settings: ChurnSettings = {
      memoryMb: wholeNumber('memory', memory),
      threads: wholeNumber('threads', values.threads),
      operations: wholeNumber('operations', values.operations),
      largeOneOf: wholeNumber('large-one-of', values['large-one-of']),
      connections: wholeNumber('connections', values.connections),
      seed: wholeNumber('seed', values.seed),
    }
    const progress = new Progress(process.stdout, systemClock(), `${memory} MB`)
    const report = await churn(settings, done => progress.update(done, settings.operations, 'operations'))
    progress.close()
    if (report.errors > 0) process.stdout.write(`${report.errors} errors, the first: ${report.firstError}\n`)
    reports.push(report)
  }
  process.stdout.write(`${lines(reports).join('\n')}\n`)
  if (values.json !== undefined) {
    await writeFile(values.json, `${JSON.stringify({ benchmark: 'churn', machine, reports }, null, 2)}\n`)
  }
  return reports.every(report => report.residentBytesMost <= report.residentBytesAllowed) ? 0 : 1
}
