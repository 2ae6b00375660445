// A project as a user of the package has it, in a temporary folder: `tidemark` is this repository, and beside it stand packages
// that are installed here, or are guests (toolchain/guests, installed on first use). Its files are compiled and run there.
// Not for: the packed package (test/package).
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const guests = join(root, 'toolchain/guests')
const RUN_MS = 60_000

export interface Compiled {
  /** Of the project. */
  readonly file: string
  readonly line: number
  readonly message: string
}

export interface Run {
  readonly status: number | null
  readonly output: string
}

/** Where the guest's files are. Installs all guests if this one is not there. */
export function guestFolder(name: string): string {
  const folder = join(guests, 'node_modules', name)
  const wanted = (JSON.parse(readFileSync(join(guests, 'package.json'), 'utf8')) as Manifest).devDependencies[name]
  const installed = (): string | undefined =>
    existsSync(folder)
      ? (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest).version
      : undefined
  if (installed() !== wanted) installGuests(() => installed() === wanted)
  return folder
}

// Installed aside and put in its place in one step: several tests may come to it at once.
function installGuests(isDone: () => boolean): void {
  const aside = mkdtempSync(join(guests, '.installing-'))
  try {
    for (const file of ['package.json', 'package-lock.json', '.npmrc']) cpSync(join(guests, file), join(aside, file))
    const { status, stderr } = spawnSync('npm', ['ci', '--ignore-scripts'], { cwd: aside, encoding: 'utf8' })
    if (status !== 0) throw new Error(`toolchain/guests cannot be installed:\n${stderr}`)
    if (isDone()) return
    const place = join(guests, 'node_modules')
    if (existsSync(place)) renameSync(place, join(aside, 'before'))
    renameSync(join(aside, 'node_modules'), place)
  } catch (error) {
    // Another one was there first.
    if ((error as { readonly code?: unknown }).code !== 'ENOTEMPTY') throw error
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
}

interface Manifest {
  readonly version: string
  readonly devDependencies: Readonly<Record<string, string>>
}

export class UserProject {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'tidemark-project-'))

  constructor(options: { readonly guests?: readonly string[] } = {}) {
    writeFileSync(join(this.folder, 'package.json'), '{ "type": "module" }')
    const modules = join(this.folder, 'node_modules')
    const link = (name: string, target: string): void => {
      mkdirSync(dirname(join(modules, name)), { recursive: true })
      symlinkSync(target, join(modules, name))
    }
    link('tidemark', root)
    for (const name of ['@types', 'msgpackr', 'pg', 'redis']) link(name, join(root, 'node_modules', name))
    for (const name of options.guests ?? []) link(name, guestFolder(name))
  }

  write(file: string, text: string): void {
    mkdirSync(dirname(join(this.folder, file)), { recursive: true })
    writeFileSync(join(this.folder, file), text)
  }

  /** What the compiler says of the project's TypeScript files, those of the package aside. */
  compile(files: readonly string[]): Compiled[] {
    this.write('tsconfig.json', JSON.stringify({ extends: join(root, 'tsconfig.json'), include: files, exclude: [] }))
    const compiler = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout, stderr } = spawnSync(process.execPath, [compiler, '-p', this.folder, '--pretty', 'false'], {
      cwd: this.folder,
      encoding: 'utf8',
    })
    if (stderr !== '') throw new Error(stderr)
    const found = Array.from(stdout.matchAll(/^(?!\s)(.+?)\((\d+),\d+\): (error .*(?:\n\s.*)*)/gm), match => {
      const [, file, line, message] = match
      return { file: file!, line: Number(line), message: message! }
    })
    return found.filter(({ file }) => files.includes(file))
  }

  /** Runs a file in a folder of the project. It ends by itself, or is ended after a minute. */
  async run(file: string, folder = '.'): Promise<Run> {
    const args = ['--conditions=tidemark-source', file]
    const child = spawn(process.execPath, args, { cwd: join(this.folder, folder), stdio: ['ignore', 'pipe', 'pipe'] })
    const timer = setTimeout(() => child.kill('SIGKILL'), RUN_MS)
    let output = ''
    const hear = (chunk: Buffer): void => void (output += chunk.toString())
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    const [status] = (await once(child, 'close')) as [number | null]
    clearTimeout(timer)
    return { status, output: status === null ? `${output}\n(did not end within ${RUN_MS} ms)` : output }
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
