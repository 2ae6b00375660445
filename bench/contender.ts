// A server under measurement: how to start it on a free loopback port, what it calls its version, and how much processor
// time its whole process has used. Tidemark and its peers are started the same way, each with one thread for commands and no persistence.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { ChildProcess } from 'node:child_process'
import { ask } from './ask.ts'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '..')
const startMsMax = 20_000

export interface Contender {
  readonly name: string
  version(): Promise<string>
  /** Program and arguments that serve on `port`. */
  command(port: number): readonly [program: string, ...args: string[]]
}

export const tidemark: Contender = {
  name: 'tidemark',
  version: async () =>
    (JSON.parse(await readFile(resolve(root, 'package.json'), 'utf8')) as { version: string }).version,
  command: port => [
    process.execPath,
    '--conditions=tidemark-source',
    resolve(root, 'src/cli/main.ts'),
    'serve',
    '--port',
    String(port),
    '--admin-port',
    '0',
    '--threads',
    '1',
    '--memory',
    '1gb',
  ],
}

const redis: Contender = {
  name: 'redis',
  version: async () => /v=(\S+)/.exec((await run('redis-server', ['--version'])).stdout)?.[1] ?? 'unknown',
  command: port => [
    'redis-server',
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--maxmemory',
    '1gb',
    '--maxmemory-policy',
    'allkeys-lru',
  ],
}

export const peers: readonly Contender[] = [redis]

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

export class RunningContender {
  readonly contender: Contender
  readonly version: string
  readonly port: number
  readonly #child: ChildProcess

  private constructor(contender: Contender, version: string, port: number, child: ChildProcess) {
    this.contender = contender
    this.version = version
    this.port = port
    this.#child = child
  }

  /** In `folder`, where it may leave files. With `pin` on the first core alone. Rejects when it does not answer. */
  static async start(contender: Contender, folder: string, pin: boolean): Promise<RunningContender> {
    const version = await contender.version()
    const port = await freePort()
    const [program, ...args] = contender.command(port)
    const [first, ...rest] = pin ? ['taskset', '-c', '0', program, ...args] : [program, ...args]
    const child = spawn(first, rest, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', chunk => (output += String(chunk)))
    child.stderr.on('data', chunk => (output += String(chunk)))
    child.on('error', error => (output += error.message))
    const running = new RunningContender(contender, version, port, child)
    for (
      let waitedMs = 0;
      waitedMs < startMsMax && child.exitCode === null && child.pid !== undefined;
      waitedMs += 50
    ) {
      if ((await ask(port, 'PING').catch(() => '')) === '+PONG') return running
      await sleep(50)
    }
    await running.stop()
    throw new Error(`${contender.name} did not start:\n${output}`)
  }

  /** Processor time that all threads of the process have used, user and system, in microseconds, in steps of 10,000. */
  async cpuMicroseconds(): Promise<number> {
    const stat = await readFile(`/proc/${this.#child.pid}/stat`, 'utf8')
    // The second field is the program's name in brackets, and may hold blanks; utime and stime are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticksPerSecond = 100
    return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / ticksPerSecond
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.pid === undefined) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await exited
  }
}
