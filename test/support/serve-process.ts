// `tidemark serve` as a process of its own, from source, for tests of what a person sees: its output, its exit code.
// Not for: servers in the test's own process (startServer of src/server/supervisor.ts).
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')

export class ServeProcess {
  readonly child: ChildProcess
  /** The exit code; null when a signal ended it. Resolves once all output is there. */
  readonly exited: Promise<number | null>
  stdout = ''
  stderr = ''
  #heard: (() => void)[] = []

  /** The ports are any free ones unless `args` say otherwise. Ended with the test's process at the latest. */
  constructor(args: readonly string[], options: { cwd?: string; env?: Record<string, string> } = {}) {
    const main = join(root, 'src/cli/main.ts')
    const all = ['--conditions=tidemark-source', main, 'serve', '--port=0', '--admin-port=0', ...args]
    const env: NodeJS.ProcessEnv = { ...process.env, ...options.env }
    this.child = spawn(process.execPath, all, { cwd: options.cwd ?? root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => this.#hear('stdout', text))
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => this.#hear('stderr', text))
    const kill = (): void => void this.child.kill('SIGKILL')
    process.once('exit', kill)
    this.exited = new Promise(resolve => {
      this.child.once('close', code => {
        process.removeListener('exit', kill)
        resolve(code)
        this.#hear('stdout', '')
      })
    })
  }

  /** Resolves with the match once stdout has it; rejects when the process ends before. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout)
      if (match !== null) return match
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        await this.exited
        throw new Error(`the server ended before it said ${pattern}:\n${this.stdout}${this.stderr}`)
      }
      await new Promise<void>(resolve => this.#heard.push(resolve))
    }
  }

  /** Waits until it serves. */
  async ready(): Promise<{ readonly port: number; readonly adminPort: number }> {
    await this.says(/Ctrl-C closes it\./)
    const port = Number((await this.says(/Redis protocol +\S+:(\d+)/))[1])
    return { port, adminPort: Number((await this.says(/HTTP +http:\/\/[^/]+:(\d+)\//))[1]) }
  }

  /** Ctrl-C; resolves with the exit code. */
  interrupt(): Promise<number | null> {
    this.child.kill('SIGINT')
    return this.exited
  }

  #hear(stream: 'stdout' | 'stderr', text: string): void {
    this[stream] += text
    for (const heard of this.#heard.splice(0)) heard()
  }
}
