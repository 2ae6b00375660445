// The server that is fuzzed: a process of its own with two threads, small memory, and a few rows of a real database, so that
// requests that wait are met too. Tells what must not change: deaths, wipes, open connections, resident memory.
import { readFileSync } from 'node:fs'
import { ServeProcess } from '../support/serve-process.ts'
import { makeApp } from '../system/app.ts'
import type { App } from '../system/app.ts'

export const MEMORY_MB = 4
const ROWS = 40

export interface Health {
  readonly deaths: number
  readonly wipes: number
  readonly connections: number
  readonly commands: number
  /** Resident memory now and at its highest, in MB; 0 where there is no /proc. */
  readonly residentMb: number
  readonly residentMostMb: number
}

export class FuzzedServer {
  readonly process: ServeProcess
  port = 0
  #adminPort = 0
  readonly #app: App

  private constructor() {
    this.#app = makeApp(ROWS)
    const own = this.#app.args.slice(0, this.#app.args.indexOf('--memory'))
    this.process = new ServeProcess([...own, '--memory', `${MEMORY_MB}mb`, '--threads', '2', '--drain', '1s'])
  }

  static async start(): Promise<FuzzedServer> {
    const server = new FuzzedServer()
    try {
      const { port, adminPort } = await server.process.ready()
      server.port = port
      server.#adminPort = adminPort
      return server
    } catch (error) {
      await server.stop()
      throw error
    }
  }

  get alive(): boolean {
    return this.process.child.exitCode === null && this.process.child.signalCode === null
  }

  async health(): Promise<Health> {
    const response = await fetch(`http://127.0.0.1:${this.#adminPort}/metrics`)
    const text = await response.text()
    const sum = (name: string): number => {
      let total = 0
      for (const match of text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))) total += Number(match[1])
      return total
    }
    return {
      deaths: sum('tidemark_thread_deaths_total'),
      wipes: sum('tidemark_shard_wipes_total'),
      connections: sum('tidemark_connections'),
      commands: sum('tidemark_commands_total'),
      residentMb: this.#memory('VmRSS'),
      residentMostMb: this.#memory('VmHWM'),
    }
  }

  #memory(field: string): number {
    if (process.platform !== 'linux') return 0
    const status = readFileSync(`/proc/${this.process.child.pid}/status`, 'latin1')
    return Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)![1]) / 1024)
  }

  /** Resolves with the exit code, null for a signal. */
  async stop(): Promise<number | null> {
    const code = await this.process.interrupt()
    this.#app.remove()
    return code
  }
}
