// The lock file of a data folder or of a snapshot: one server at a time. Two servers on one database would each keep rows in
// memory that the other changes; two on one snapshot would each lose what the other keeps in it. Holds who has it, as JSON: the process id and, where the system tells, when that process began, since
// a process id comes again (in a container after each start). Not for: processes on other machines or in other containers.
//
//   {"pid":1234,"began":"<boot id>:<ticks>"}
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TidemarkError, messageOf } from '../base/errors.ts'

const LOCK_FILE = 'tidemark.lock'
const ATTEMPTS_MAX = 5

/** What is locked, in the words of its errors. */
interface Locked {
  readonly what: string
  readonly settings: string
  readonly unwritable: 'DATA_UNWRITABLE' | 'SNAPSHOT_UNWRITABLE'
}

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
    const settings = '(--data, environment TIDEMARK_DATA)'
    return DataLock.#take(join(folder, LOCK_FILE), {
      what: `the data folder ${folder}`,
      settings,
      unwritable: 'DATA_UNWRITABLE',
    })
  }

  /** The same for a snapshot's file, with a lock file beside it; SNAPSHOT_UNWRITABLE in place of DATA_UNWRITABLE. */
  static takeForSnapshot(file: string): DataLock {
    const settings = '(--snapshot, environment TIDEMARK_SNAPSHOT)'
    return DataLock.#take(`${file}.lock`, { what: `the snapshot ${file}`, settings, unwritable: 'SNAPSHOT_UNWRITABLE' })
  }

  static #take(file: string, guarded: Locked): DataLock {
    const content = JSON.stringify({ pid: process.pid, began: beganOf(process.pid) })
    const own = `${file}.${process.pid}`
    try {
      writeFileSync(own, content)
    } catch (thrown) {
      const message = `${guarded.what} cannot be written: ${messageOf(thrown)} ${guarded.settings}`
      throw new TidemarkError(guarded.unwritable, message, { cause: thrown })
    }
    try {
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        if (linkIfAbsent(own, file)) return new DataLock(file, content)
        const found = readIfThere(file)
        if (found === undefined) continue
        const holder = parseHolder(found)
        if (holder !== undefined && lives(holder)) throw locked(guarded, file, String(holder.pid))
        removeIfStill(file, found, own)
      }
      throw locked(guarded, file, 'unknown')
    } finally {
      unlinkSync(own)
    }
  }

  release(): void {
    if (readIfThere(this.#file) === this.#content) unlinkSync(this.#file)
  }
}

function locked({ what, settings }: Locked, file: string, pid: string): TidemarkError {
  const message = `${what} is in use by process ${pid} (${file}); stop it, or choose another place ${settings}`
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
