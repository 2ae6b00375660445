// What is known of a grid that runs in the background: which processes are its own. A process is known by its pid and the
// instant it was started at, so that another one that got the same pid later is never taken for it.
// Not for: starting and ending them (grid-main.ts).
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface KnownProcess {
  readonly name: string
  readonly pid: number
  /** As the system tells it; opaque. */
  readonly started: string
  readonly host?: string
  readonly port?: number
}

/** What the load has seen so far. */
export interface GridLoad {
  readonly reads: number
  readonly violations: number
  readonly acknowledged: number
  readonly firstViolation?: string
}

export interface GridState {
  /** Holds all others, and the load. */
  readonly keeper: KnownProcess
  readonly phase: 'starting' | 'up'
  readonly parts: readonly KnownProcess[]
  /** Removed when the grid is taken down. */
  readonly folders: readonly string[]
  readonly url?: string
  readonly load?: GridLoad
}

/** When the process was started; undefined: there is none. */
export function startOf(pid: number): string | undefined {
  const file = `/proc/${pid}/stat`
  if (existsSync('/proc/self/stat')) {
    try {
      const text = readFileSync(file, 'utf8')
      // The name, in brackets, may hold anything: what counts comes after it. Field 22 is the start, in ticks since boot.
      const [state, ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ')
      return state === 'Z'
        ? undefined
        : `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[18]!}`
    } catch {
      return undefined
    }
  }
  const found = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim()
  return found === '' ? undefined : found
}

export function known(
  name: string,
  pid: number,
  where: { readonly host?: string; readonly port?: number } = {},
): KnownProcess {
  // prettier-ignore
  return { name, pid, started: startOf(pid) ?? 'never', ...where }
}

/** Whether this very process runs. */
export function runs({ pid, started }: KnownProcess): boolean {
  return startOf(pid) === started
}

/** Sends a signal to this very process; false: it does not run any more. */
export function signal(target: KnownProcess, name: NodeJS.Signals): boolean {
  if (!runs(target)) return false
  try {
    process.kill(target.pid, name)
    return true
  } catch {
    return false
  }
}

const stateFile = (folder: string): string => join(folder, 'grid.json')

export function readState(folder: string): GridState | undefined {
  return existsSync(stateFile(folder)) ? (JSON.parse(readFileSync(stateFile(folder), 'utf8')) as GridState) : undefined
}

export function writeState(folder: string, state: GridState): void {
  const next = `${stateFile(folder)}.next`
  writeFileSync(next, `${JSON.stringify(state, undefined, 2)}\n`)
  renameSync(next, stateFile(folder))
}

export function removeState(folder: string): void {
  rmSync(stateFile(folder), { force: true })
}
