// What a figure depends on besides the code: the machine, the kernel, the runtime, and which commit was measured.
import { execFile } from 'node:child_process'
import { arch, cpus, release, totalmem, type } from 'node:os'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
  /** With '+' when the working tree differs from it; 'unknown' outside a repository. */
  readonly commit: string
  /** When the run began, ISO 8601. */
  readonly at: string
}

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '..')

async function commitOf(folder: string): Promise<string> {
  try {
    const { stdout } = await run('git', ['describe', '--always', '--abbrev=12', '--dirty=+'], { cwd: folder })
    return stdout.trim()
  } catch {
    return 'unknown'
  }
}

export async function describeMachine(): Promise<Machine> {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    commit: await commitOf(root),
    at: new Date().toISOString(),
  }
}
