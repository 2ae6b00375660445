// A server under measurement: how to start it on a free loopback port, what it calls its version, and how much processor
// time its whole process has used. Tidemark and its peers are started the same way, for the same number of threads
// and the same memory, and without persistence.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { ChildProcess } from 'node:child_process'
import { ask } from './ask.ts'
import type { Protocol } from './generator/reply-counter.ts'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '..')
const startMsMax = 20_000

export interface Setup {
  /** What answers requests: threads of Tidemark and memcached, io-threads of Redis. */
  readonly threads: number
  readonly memoryMb: number
  /** Tidemark serves so many rows of a database; its peers hold the same bytes as plain keys. */
  readonly rows?: number
  readonly environment?: Readonly<Record<string, string>>
}

export interface Contender {
  readonly name: string
  readonly protocol: Protocol
  version(): Promise<string>
  /** Program and arguments that serve on `port`, leaving files in `folder` at most. */
  command(port: number, setup?: Setup, folder?: string): readonly [program: string, ...args: string[]]
}

const plainSetup: Setup = { threads: 1, memoryMb: 1024 }

/** Arguments as they would be typed: blanks between them, none within. */
function words(text: string): string[] {
  return text.split(' ')
}

export const tidemark: Contender = {
  name: 'tidemark',
  protocol: 'resp',
  version: async () =>
    (JSON.parse(await readFile(resolve(root, 'package.json'), 'utf8')) as { version: string }).version,
  command: (port, { threads, memoryMb, rows } = plainSetup, folder = '') => [
    process.execPath,
    '--conditions=tidemark-source',
    resolve(root, 'src/cli/main.ts'),
    ...words(`serve --port ${port} --admin-port 0 --threads ${threads} --memory ${memoryMb}mb`),
    ...(rows === undefined ? [] : ['--config', resolve(import.meta.dirname, 'rows'), '--data', folder]),
  ],
}

const redis: Contender = {
  name: 'redis',
  protocol: 'resp',
  version: async () => /v=(\S+)/.exec((await run('redis-server', ['--version'])).stdout)?.[1] ?? 'unknown',
  command: (port, { threads, memoryMb } = plainSetup) => [
    'redis-server',
    ...words(`--port ${port} --bind 127.0.0.1 --maxmemory ${memoryMb}mb --maxmemory-policy allkeys-lru`),
    '--save',
    '',
    ...(threads > 1 ? words(`--io-threads ${threads} --io-threads-do-reads yes`) : []),
  ],
}

const memcached: Contender = {
  name: 'memcached',
  protocol: 'memcached',
  version: async () => (await run('memcached', ['--version'])).stdout.trim().replace(/^memcached /, ''),
  // As nobody where it would be root, which it refuses to be.
  command: (port, { threads, memoryMb } = plainSetup) => [
    'memcached',
    ...words(`-l 127.0.0.1 -p ${port} -U 0 -t ${threads} -m ${memoryMb} -c 4096 -R 1024 -u nobody`),
  ],
}

export const peers: readonly Contender[] = [redis, memcached]

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

async function answers({ protocol }: Contender, port: number): Promise<boolean> {
  const [question, answer] = protocol === 'resp' ? ['PING', '+PONG'] : ['mn', 'MN']
  return (await ask(port, question).catch(() => '')) === answer
}

export class RunningContender {
  readonly contender: Contender
  readonly port: number
  readonly #child: ChildProcess

  private constructor(contender: Contender, port: number, child: ChildProcess) {
    this.contender = contender
    this.port = port
    this.#child = child
  }

  /** In `folder`, where it may leave files. With `pin` on the first core alone. Rejects when it does not answer. */
  static async start(
    contender: Contender,
    folder: string,
    pin: boolean,
    setup: Setup = plainSetup,
  ): Promise<RunningContender> {
    const port = await freePort()
    const command = contender.command(port, setup, folder)
    const [first, ...rest] = pin ? ['taskset', '-c', '0', ...command] : command
    const env = { ...process.env, ...setup.environment, TIDEMARK_BENCH_ROWS: String(setup.rows ?? 0) }
    const child = spawn(first, rest, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', chunk => (output += String(chunk)))
    child.stderr.on('data', chunk => (output += String(chunk)))
    child.on('error', error => (output += error.message))
    const running = new RunningContender(contender, port, child)
    for (
      let waitedMs = 0;
      waitedMs < startMsMax && child.exitCode === null && child.pid !== undefined;
      waitedMs += 50
    ) {
      if (await answers(contender, port)) return running
      await sleep(50)
    }
    await running.stop()
    throw new Error(`${contender.name} did not start:\n${output}`)
  }

  get pid(): number {
    return this.#child.pid!
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
