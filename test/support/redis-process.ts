// One redis-server process from the machine's own binaries, on a loopback port and with a folder of its own: started, stopped
// in its tracks, killed and started again by its pid. What clusters and faults are made of (redis-cluster.ts).
// Not for: a server to compare replies with (redis-server.ts).
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { inPlace, loopback } from './namespaces.ts'
import type { Place } from './namespaces.ts'
import { freePort } from './redis-server.ts'
import { RespClient } from './resp-client.ts'

export interface RedisProcessOptions {
  /** Further arguments of redis-server, such as `['--maxmemory', '10mb']`. */
  readonly args?: readonly string[]
  /** A node of a cluster: its bus gets a free port too. */
  readonly cluster?: boolean
  /** Its address and network namespace; loopback unless said otherwise. */
  readonly place?: Place
  /** Lives on when this process ends: whoever starts it ends it, by `pid` (see RedisProcess.attach). */
  readonly detached?: boolean
}

/** What is enough to find a process again that was started `detached`. */
export interface RedisProcessState {
  readonly port: number
  readonly busPort: number
  readonly pid: number
  readonly folder: string
  readonly args: readonly string[]
  readonly place?: Place
}

const START_ATTEMPTS = 5
const START_MS = 10_000
const POLL_MS = 10
export const COMMAND_MS = 3_000

// The shell tells the server's pid and ends the server as soon as its own input ends: a process that dies, however it dies,
// takes its servers with it.
const script = `"$@" </dev/null >/dev/null 2>&1 & echo $!; trap "kill -9 $! 2>/dev/null" EXIT; cat >/dev/null`

/** Resolves once `condition` does so with something else than false or undefined; rejects, with what it is about, after `ms`. */
export async function until<T>(
  what: string,
  condition: () => Promise<T | false | undefined> | T | false | undefined,
  ms: number = 30_000,
): Promise<T> {
  const polls = Math.ceil(ms / POLL_MS)
  for (let poll = 0; poll < polls; poll++) {
    const found = await condition()
    if (found !== false && found !== undefined) return found
    await wait(POLL_MS)
  }
  throw new Error(`waited ${ms} ms in vain: ${what}`)
}

export class RedisProcess {
  readonly port: number
  readonly busPort: number
  readonly folder: string
  readonly place: Place
  readonly #args: readonly string[]
  readonly #detached: boolean
  #pid = 0
  #shell: ChildProcess | undefined

  private constructor(state: Omit<RedisProcessState, 'pid'>, detached: boolean) {
    this.port = state.port
    this.busPort = state.busPort
    this.folder = state.folder
    this.place = state.place ?? loopback
    this.#args = state.args
    this.#detached = detached
  }

  /** Starts a server; tries again with other ports when someone else takes them in between. */
  static async start(options: RedisProcessOptions = {}): Promise<RedisProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-redis-'))
    for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
      const port = await freePort()
      const busPort = options.cluster === true ? await freePort() : 0
      const cluster =
        busPort === 0
          ? []
          : ['--cluster-enabled', 'yes', '--cluster-port', String(busPort), '--cluster-config-file', 'nodes.conf']
      const args = ['--save', '', '--appendonly', 'no', ...cluster, ...(options.args ?? [])]
      const { place = loopback } = options
      const server = new RedisProcess({ port, busPort, folder, args, place }, options.detached === true)
      if (await server.#launch()) return server
      await server.#end()
    }
    rmSync(folder, { recursive: true, force: true })
    throw new Error(`redis-server does not start with ${options.args?.join(' ') ?? 'no arguments'}`)
  }

  /** A server that was started `detached`, perhaps by another process. */
  static attach(state: RedisProcessState): RedisProcess {
    const server = new RedisProcess(state, true)
    server.#pid = state.pid
    return server
  }

  get pid(): number {
    return this.#pid
  }

  get state(): RedisProcessState {
    const { port, busPort, folder, place } = this
    return { port, busPort, pid: this.#pid, folder, args: this.#args, place }
  }

  /** Whether its process runs, or is stopped by `pause`. */
  get alive(): boolean {
    if (this.#pid === 0) return false
    try {
      process.kill(this.#pid, 0)
      return true
    } catch {
      return false
    }
  }

  /** kill -9. Its folder stays, for `restart`. */
  async kill(): Promise<void> {
    this.#signal('SIGKILL')
    await until(`redis-server ${this.#pid} is gone`, () => !this.alive)
    await this.#end()
  }

  /** SIGSTOP: its sockets stay open, and nothing answers. */
  pause(): void {
    this.#signal('SIGSTOP')
  }

  /** SIGCONT. */
  resume(): void {
    this.#signal('SIGCONT')
  }

  /** Starts it again, on its port and with what is left in its folder. */
  async restart(): Promise<void> {
    if (this.alive) await this.kill()
    if (!(await this.#launch())) throw new Error(`redis-server does not start again on port ${this.port}`)
  }

  /** Ends it and removes its folder. */
  async close(): Promise<void> {
    if (this.alive) await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** One command over a connection of its own; an error reply rejects, as does silence of `COMMAND_MS`. */
  async command(...args: readonly (string | Buffer | number)[]): Promise<unknown> {
    const timeout = new AbortController()
    const silence = wait(COMMAND_MS, undefined, { signal: timeout.signal }).then(() => {
      throw new Error(`redis-server on port ${this.port} does not answer ${String(args[0])}`)
    })
    // It loses the race as a rule, and then nobody is there to hear that it was cancelled.
    silence.catch(() => {})
    try {
      return await Promise.race([this.#ask(args), silence])
    } finally {
      timeout.abort()
    }
  }

  async #ask(args: readonly (string | Buffer | number)[]): Promise<unknown> {
    const client = await RespClient.connect(this.port, { host: this.place.host })
    try {
      const reply = await client.command(...args)
      if (reply instanceof Error) throw reply
      return reply
    } finally {
      client.close()
    }
  }

  /** The value of one line of INFO. */
  async info(section: string, field: string): Promise<string | undefined> {
    const text = String(await this.command('INFO', section))
    return new RegExp(`^${field}:(.*)\\r?$`, 'm').exec(text)?.[1]?.trim()
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.alive) process.kill(this.#pid, signal)
  }

  async #launch(): Promise<boolean> {
    const settings = ['--port', String(this.port), '--bind', this.place.host, '--dir', this.folder, ...this.#args]
    const command = inPlace(this.place, ['redis-server', ...settings])
    const died = this.#detached ? this.#spawnDetached(command) : await this.#spawnHeld(command)
    const polls = START_MS / POLL_MS
    for (let poll = 0; poll < polls && !died() && this.alive; poll++) {
      const answer = await this.command('PING').catch((error: unknown) => error)
      // With a password any reply is an error, and with a snapshot to load it says so: it listens all the same.
      if (answer === 'PONG') return true
      if (answer instanceof Error && /^(?:NOAUTH|LOADING|MASTERDOWN)/.test(answer.message)) return true
      await wait(POLL_MS)
    }
    return false
  }

  #spawnDetached([program, ...args]: readonly string[]): () => boolean {
    const child = spawn(program!, args, { detached: true, stdio: 'ignore' })
    child.once('error', () => {})
    this.#pid = child.pid ?? 0
    child.unref()
    return () => child.exitCode !== null
  }

  async #spawnHeld(command: readonly string[]): Promise<() => boolean> {
    const shell = spawn('sh', ['-c', script, 'sh', ...command], { stdio: ['pipe', 'pipe', 'ignore'] })
    this.#shell = shell
    shell.stdin.on('error', () => {})
    this.#pid = await new Promise((resolve, reject) => {
      shell.stdout.once('data', (text: Buffer) => resolve(Number(text)))
      shell.once('error', reject)
      shell.once('exit', () => reject(new Error('the shell ended before it told the pid of redis-server')))
    })
    return () => shell.exitCode !== null
  }

  /** Ends the shell, and with it the server if it still runs. */
  async #end(): Promise<void> {
    const shell = this.#shell
    this.#shell = undefined
    if (shell === undefined || shell.exitCode !== null || shell.signalCode !== null) return
    const ended = new Promise<void>(resolve => {
      shell.once('exit', () => resolve())
    })
    shell.stdin?.end()
    await ended
  }
}
