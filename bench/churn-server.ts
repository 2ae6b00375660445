// A server under churn: Tidemark from source as a process of its own, on a free loopback port, with the memory and the
// threads that are asked for.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { residentMemory } from './resident-memory.ts'
import type { ResidentMemory } from './resident-memory.ts'

const root = resolve(import.meta.dirname, '..')

export class ChurnServer {
  readonly port: number
  readonly #pid: number
  readonly #stop: () => Promise<void>

  private constructor(port: number, pid: number, stop: () => Promise<void>) {
    this.port = port
    this.#pid = pid
    this.#stop = stop
  }

  /** Rejects when it does not come up. */
  static async start(memoryBytes: number, threads: number): Promise<ChurnServer> {
    const flags = ['--port=0', '--admin-port=0', `--threads=${threads}`, `--memory=${memoryBytes}b`]
    const args = ['--conditions=tidemark-source', resolve(root, 'src/cli/main.ts'), 'serve', ...flags]
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    const kill = (): void => void child.kill('SIGKILL')
    process.once('exit', kill)
    const stop = async (): Promise<void> => {
      process.removeListener('exit', kill)
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    }
    let said = ''
    for await (const chunk of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
      said += String(chunk)
      const port = /Redis protocol +\S+:(\d+)/.exec(said)?.[1]
      if (port === undefined || !said.includes('Ctrl-C')) continue
      child.stdout.resume()
      return new ChurnServer(Number(port), child.pid!, stop)
    }
    await stop()
    throw new Error(`the server did not start:\n${said}`)
  }

  memory(): Promise<ResidentMemory> {
    return residentMemory(this.#pid)
  }

  stop(): Promise<void> {
    return this.#stop()
  }
}
