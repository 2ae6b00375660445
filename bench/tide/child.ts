// A process of the benchmark's own: a program of this folder with a plan in JSON. It says 'ready', waits for a line, does its
// part, and prints a report in JSON.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'

export class BenchProcess<Plan, Report> {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  #said = ''
  #heard = Promise.withResolvers<void>()

  /** `program` is a file of this folder. */
  constructor(program: string, plan: Plan) {
    const args = ['--conditions=tidemark-source', resolve(import.meta.dirname, program), JSON.stringify(plan)]
    this.#child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#exited = once(this.#child, 'exit')
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text
      this.#heard.resolve()
    })
    void this.#exited.then(() => this.#heard.resolve())
  }

  async ready(): Promise<void> {
    await this.#heard.promise
    if (!this.#said.startsWith('ready')) throw new Error('a process of the benchmark did not start')
  }

  /** The line that it waits for. */
  go(): void {
    this.#child.stdin!.write('go\n')
  }

  /** Once it has ended. */
  async report(): Promise<Report> {
    await this.#exited
    return JSON.parse(this.#said.slice('ready\n'.length)) as Report
  }

  end(): void {
    this.#child.stdin!.end()
    this.#child.kill('SIGKILL')
  }
}
