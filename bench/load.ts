// The load: redis-benchmark, run once for one command, so that processor time can be told apart by command. A peer with
// another protocol brings a generator of its own beside this one.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Workload {
  readonly command: 'get' | 'set'
  readonly requests: number
  /** Requests sent at once on one connection. */
  readonly pipeline: number
  readonly clients: number
  readonly valueBytes: number
  /** Keys are drawn evenly from so many. */
  readonly keys: number
}

export interface LoadResult {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export async function loadVersion(): Promise<string> {
  return (await run('redis-benchmark', ['--version'])).stdout.trim()
}

export async function applyLoad(port: number, workload: Workload, pin: boolean): Promise<LoadResult> {
  const args = [
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-t',
    workload.command,
    '--csv',
    '-n',
    String(workload.requests),
    '-P',
    String(workload.pipeline),
    '-c',
    String(workload.clients),
    '-d',
    String(workload.valueBytes),
    '-r',
    String(workload.keys),
  ]
  const [program, ...rest] = pin ? ['taskset', '-c', '1-', 'redis-benchmark', ...args] : ['redis-benchmark', ...args]
  const { stdout } = await run(program, rest)
  const rows = stdout
    .trim()
    .split('\n')
    .map(line => line.split(',').map(cell => cell.replaceAll('"', '')))
  const header = rows.find(row => row[0] === 'test')
  const row = rows.find(each => each[0] === workload.command.toUpperCase())
  if (header === undefined || row === undefined) throw new Error(`redis-benchmark printed no result:\n${stdout}`)
  const cell = (name: string): number => Number(row[header.indexOf(name)])
  return { requestsPerSecond: cell('rps'), p50Ms: cell('p50_latency_ms'), p99Ms: cell('p99_latency_ms') }
}
