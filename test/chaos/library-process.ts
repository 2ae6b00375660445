// One service with the library in it, beside the servers of a grid: stopped in its tracks, killed, and started again. What it
// prints on its standard error goes to a file.
// Not for: what it does (library-main.ts), and what is made of what it tells (library-load.ts).
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { inPlace } from '../support/namespaces.ts'
import type { Place } from '../support/namespaces.ts'
import type { LibraryOrder, LibraryReport, LibrarySetup } from './library-messages.ts'

export interface LibraryProcessOptions {
  readonly name: string
  /** For its log. */
  readonly folder: string
  readonly place: Place
  readonly setup: LibrarySetup
}

/** Those who hear what it tells. `gone`: it ended, and what it was told and has not answered it never will. */
export interface LibraryListener {
  report(report: LibraryReport): void
  gone(): void
}

const START_MS = 60_000
const END_MS = 5_000

export class LibraryProcess {
  readonly name: string
  readonly place: Place
  readonly #options: LibraryProcessOptions
  readonly #logFile: string
  #child: ChildProcess | undefined
  #listener: LibraryListener | undefined
  #reading: LibraryOrder = { type: 'rest' }

  private constructor(options: LibraryProcessOptions) {
    this.#options = options
    this.name = options.name
    this.place = options.place
    this.#logFile = join(options.folder, `${options.name}.log`)
  }

  /** Resolves once it has begun. */
  static async start(options: LibraryProcessOptions): Promise<LibraryProcess> {
    const library = new LibraryProcess(options)
    await library.start()
    return library
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  get alive(): boolean {
    const child = this.#child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  listen(listener: LibraryListener | undefined): void {
    this.#listener = listener
  }

  /** From now on it reads, whenever it runs; undefined: it rests. */
  read(slowness: number | undefined): void {
    this.#reading = slowness === undefined ? { type: 'rest' } : { type: 'read', slowness }
    this.order(this.#reading)
  }

  /** False: it does not run. */
  order(order: LibraryOrder): boolean {
    const stdin = this.#child?.stdin
    if (!this.alive || stdin === null || stdin === undefined || stdin.destroyed) return false
    stdin.write(`${JSON.stringify(order)}\n`)
    return true
  }

  async start(): Promise<void> {
    const { place, setup } = this.#options
    const main = join(import.meta.dirname, 'library-main.ts')
    const [program, ...words] = inPlace(place, [process.execPath, '--conditions=tidemark-source', main, JSON.stringify(setup)]) // prettier-ignore
    const log = openSync(this.#logFile, 'a')
    const child = spawn(program!, words, { stdio: ['pipe', 'pipe', log] })
    closeSync(log)
    this.#child = child
    // What is written to one that was killed is lost, and that is all.
    child.stdin!.on('error', () => {})
    const kill = (): void => void child.kill('SIGKILL')
    process.once('exit', kill)
    const ended = new Promise<void>(resolve => {
      child.once('error', () => resolve())
      // With all that it has told by then.
      child.once('close', () => resolve())
    })
    const { promise: ready, resolve: begun } = Promise.withResolvers<true>()
    createInterface({ input: child.stdout! }).on('line', line => {
      const report = JSON.parse(whole(line)) as LibraryReport
      if (report.type === 'ready') begun(true)
      else this.#listener?.report(report)
    })
    void ended.then(() => {
      process.removeListener('exit', kill)
      this.#listener?.gone()
    })
    const late = wait(START_MS, false, { ref: false })
    if ((await Promise.race([ready, ended, late])) !== true) throw new Error(`${this.name} did not begin:\n${this.#log()}`) // prettier-ignore
    this.order(this.#reading)
  }

  /** kill -9; resolves once it is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.alive) return
    const ended = new Promise<void>(resolve => child.once('exit', () => resolve()))
    child.kill('SIGKILL')
    await ended
  }

  /** Its input ends, and it does; kill -9 where that is not enough. */
  async close(): Promise<void> {
    this.resume()
    this.#child?.stdin?.end()
    for (let waited = 0; this.alive && waited < END_MS; waited += 50) await wait(50)
    await this.kill()
  }

  pause(): void {
    if (this.alive) this.#child!.kill('SIGSTOP')
  }

  resume(): void {
    if (this.alive) this.#child!.kill('SIGCONT')
  }

  #log(): string {
    return readFileSync(this.#logFile, 'utf8').slice(-2_000)
  }
}

/** The last line of one that was killed may be a part of one. */
function whole(line: string): string {
  return line.endsWith('}') ? line : '{"type":"error","code":"CUT","text":"killed while it told something"}'
}
