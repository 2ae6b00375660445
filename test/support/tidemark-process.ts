// One `tidemark serve` process among several that share a tier and a database: stopped in its tracks, killed, and started
// again on its port. What it prints goes to a file in the folder that it is given.
// Not for: what a person sees of one server (serve-process.ts).
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { inPlace, loopback } from './namespaces.ts'
import type { Place } from './namespaces.ts'
import { freePort } from './redis-server.ts'
import { RespClient } from './resp-client.ts'

export interface TidemarkProcessOptions {
  readonly name: string
  readonly folder: string
  /** Of `serve`, without host and ports. */
  readonly args: readonly string[]
  readonly place?: Place | undefined
  /** Needed where the place is not loopback. */
  readonly password?: string | undefined
}

const root = join(import.meta.dirname, '..', '..')
const START_MS = 60_000
const POLL_MS = 20

export class TidemarkProcess {
  readonly name: string
  readonly place: Place
  readonly port: number
  readonly logFile: string
  readonly #options: TidemarkProcessOptions
  #child: ChildProcess | undefined

  private constructor(options: TidemarkProcessOptions, port: number) {
    this.#options = options
    this.name = options.name
    this.place = options.place ?? loopback
    this.port = port
    this.logFile = join(options.folder, `${options.name}.log`)
  }

  /** Resolves once it serves. */
  static async start(options: TidemarkProcessOptions): Promise<TidemarkProcess> {
    const server = new TidemarkProcess(options, await freePort())
    await server.start()
    return server
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  get alive(): boolean {
    const child = this.#child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  async start(): Promise<void> {
    const { args, password } = this.#options
    const main = join(root, 'src/cli/main.ts')
    const where = ['--host', this.place.host, '--port', String(this.port), '--admin-port', '0']
    const command = [process.execPath, '--conditions=tidemark-source', main, 'serve', ...where, ...args]
    const [program, ...words] = inPlace(this.place, command)
    const env = { ...process.env, ...(password === undefined ? {} : { TIDEMARK_REQUIREPASS: password }) }
    const log = openSync(this.logFile, 'a')
    this.#child = spawn(program!, words, { cwd: root, env, stdio: ['ignore', log, log] })
    closeSync(log)
    const child = this.#child
    const ended = new Promise<void>(resolve => {
      child.once('error', () => resolve())
      child.once('exit', () => resolve())
    })
    const kill = (): void => void child.kill('SIGKILL')
    process.once('exit', kill)
    void ended.then(() => process.removeListener('exit', kill))
    for (let waited = 0; waited < START_MS; waited += POLL_MS) {
      if (!this.alive) throw new Error(`${this.name} ended at its start:\n${this.log().slice(-2_000)}`)
      if (await this.#answers()) return
      await wait(POLL_MS)
    }
    throw new Error(`${this.name} does not serve within ${START_MS} ms:\n${this.log().slice(-2_000)}`)
  }

  /** kill -9; resolves once it is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Ctrl-C, and kill -9 where that is not enough. */
  async close(): Promise<void> {
    if (!this.alive) return
    this.resume()
    await Promise.race([this.#end('SIGINT'), wait(8_000, undefined, { ref: false })])
    await this.kill()
  }

  pause(): void {
    if (this.alive) this.#child!.kill('SIGSTOP')
  }

  resume(): void {
    if (this.alive) this.#child!.kill('SIGCONT')
  }

  connect(options: { readonly resp?: 2 | 3 } = {}): Promise<RespClient> {
    const { password } = this.#options
    const secret = password === undefined ? {} : { password }
    return RespClient.connect(this.port, { host: this.place.host, ...secret, ...options })
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.alive) return
    const ended = new Promise<void>(resolve => {
      child.once('exit', () => resolve())
    })
    child.kill(signal)
    await ended
  }

  async #answers(): Promise<boolean> {
    const client = await this.connect().catch(() => undefined)
    if (client === undefined) return false
    const reply = await client.command('PING').catch(() => undefined)
    client.close()
    return reply === 'PONG'
  }
}
