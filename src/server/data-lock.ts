// The lock file of a data folder: one server at a time. Two servers on one database would each keep rows in memory that
// the other changes. Holds who has it, as JSON: the process id and, where the system tells, when that process began, since
// a process id comes again (in a container after each start). Not for: processes on other machines or in other containers.
//
//   {"pid":1234,"began":"<boot id>:<ticks>"}
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TidemarkError, messageOf } from '../base/errors.ts'

const LOCK_FILE = 'tidemark.lock'
const ATTEMPTS_MAX = 5

interface Holder {
  readonly pid: number
  readonly began: string
}

export class DataLock {
  readonly #file: string
  readonly #content: string

  private constructor(file: string, content: string) {
    this.#file = file
    this.#content = content
  }

  /** Throws DATA_LOCKED when a living process has the folder, DATA_UNWRITABLE when no file can be written there. */
  static take(folder: string): DataLock {
    const file = join(folder, LOCK_FILE)
    const content = JSON.stringify({ pid: process.pid, began: beganOf(process.pid) })
    const own = `${file}.${process.pid}`
    try {
      writeFileSync(own, content)
    } catch (thrown) {
      const message = `the data folder ${folder} cannot be written: ${messageOf(thrown)} (--data, environment TIDEMARK_DATA)`
      throw new TidemarkError('DATA_UNWRITABLE', message, { cause: thrown })
    }
    try {
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        if (linkIfAbsent(own, file)) return new DataLock(file, content)
        const found = readIfThere(file)
        if (found === undefined) continue
        const holder = parseHolder(found)
        if (holder !== undefined && lives(holder)) throw locked(folder, file, String(holder.pid))
        removeIfStill(file, found, own)
      }
      throw locked(folder, file, 'unknown')
    } finally {
      unlinkSync(own)
    }
  }

  release(): void {
    if (readIfThere(this.#file) === this.#content) unlinkSync(this.#file)
  }
}

function locked(folder: string, file: string, pid: string): TidemarkError {
  const message = `the data folder ${folder} is in use by process ${pid} (${file}); stop it, or choose another folder (--data, environment TIDEMARK_DATA)`
  return new TidemarkError('DATA_LOCKED', message)
}

function codeOf(thrown: unknown): string | undefined {
  return thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined
}

/** Atomic: of several processes one wins, and the file is never seen half written. */
function linkIfAbsent(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (thrown) {
    if (codeOf(thrown) === 'EEXIST') return false
    throw new TidemarkError('DATA_UNWRITABLE', `${to} cannot be made: ${messageOf(thrown)}`, { cause: thrown })
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw new TidemarkError('DATA_UNWRITABLE', `${file} cannot be read: ${messageOf(thrown)}`, { cause: thrown })
  }
}

/** Takes a dead process's file away. Somebody may have been faster: what is moved away by mistake is put back. */
function removeIfStill(file: string, content: string, own: string): void {
  const aside = `${own}.stale`
  try {
    renameSync(file, aside)
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return
    throw thrown
  }
  if (readIfThere(aside) !== content) linkIfAbsent(aside, file)
  unlinkSync(aside)
}

/** undefined when it is no lock of ours: an empty file after a crash of the machine, for one. */
function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
    const { pid, began } = value as Record<string, unknown>
    return typeof pid === 'number' && typeof began === 'string' ? { pid, began } : undefined
  } catch {
    return undefined
  }
}

function lives({ pid, began }: Holder): boolean {
  try {
    process.kill(pid, 0)
  } catch (thrown) {
    // EPERM: it lives, and is another user's.
    if (codeOf(thrown) === 'ESRCH') return false
  }
  return began === '' || beganOf(pid) === began || beganOf(pid) === ''
}

/** When a process began, in words that are never the same for two processes; '' where the system does not say. */
function beganOf(pid: number): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // Field 22; the second field, the command's name, may hold blanks and brackets.
    const ticks = status.slice(status.lastIndexOf(')') + 2).split(' ')[19]
    return ticks === undefined ? '' : `${boot}:${ticks}`
  } catch {
    return ''
  }
}
