// One closed load on one server: redis-benchmark for servers of the Redis protocol, the generator of our own (generator/) for
// others. One command a run, so that processor time can be told apart by command.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Contender } from './contender.ts'
import { generate } from './generator/generate.ts'
import type { Command } from './generator/requests.ts'

const run = promisify(execFile)

export interface Workload {
  readonly command: Exclude<Command, 'mix'>
  readonly requests: number
  /** Requests sent at once on one connection. */
  readonly pipeline: number
  readonly clients: number
  readonly valueBytes: number
  /** Keys are drawn evenly from so many; each is `prefix` and twelve digits. */
  readonly keys: number
  readonly prefix: string
  readonly seed: number
}

export async function loadVersion(): Promise<string> {
  return (await run('redis-benchmark', ['--version'])).stdout.trim()
}

/** Requests answered in a second. */
export async function applyLoad(
  contender: Contender,
  port: number,
  workload: Workload,
  pin: boolean,
): Promise<{ requestsPerSecond: number }> {
  const { command, requests, pipeline, clients, valueBytes, keys, prefix } = workload
  if (contender.protocol !== 'resp') {
    const outcome = await generate(
      { ...workload, port, protocol: contender.protocol, mode: { kind: 'closed', requests } },
      pin,
    )
    return { requestsPerSecond: outcome.requests / outcome.seconds }
  }
  const key = `${prefix}__rand_int__`
  const value = 'x'.repeat(valueBytes)
  const words = {
    get: ['GET', key],
    set: ['SET', key, value],
    hget: ['HGET', key, 'v'],
    hset: ['HSET', key, 'v', value],
  }
  const options = `-h 127.0.0.1 -p ${port} --csv -n ${requests} -P ${pipeline} -c ${clients} -r ${keys}`
  const args = [...options.split(' '), ...words[command]]
  const [program, ...rest] = pin ? ['taskset', '-c', '1-', 'redis-benchmark', ...args] : ['redis-benchmark', ...args]
  const { stdout } = await run(program, rest)
  const cells = (line: string | undefined): string[] => (line ?? '').split(',').map(cell => cell.replaceAll('"', ''))
  const lines = stdout.trim().split('\n')
  // The command itself, in the first cell, holds no comma.
  const figure = Number(cells(lines.at(-1))[cells(lines.find(line => line.startsWith('"test"'))).indexOf('rps')])
  if (!(figure > 0)) throw new Error(`redis-benchmark printed no result:\n${stdout}`)
  return { requestsPerSecond: figure }
}
