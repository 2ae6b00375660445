// A lock file: one process of this machine at a time. Holds who has it, as JSON: the process id and, where the system tells,
// when that process began, since a process id comes again (in a container after each start). What a dead process left is
// taken over. Not for: processes on other machines or in other containers; threads of one process (of them too one has it).
//
//   {"pid":1234,"began":"<boot id>:<ticks>"}
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { nodeThreads } from './node-modules.ts'

const ATTEMPTS_MAX = 5

interface Holder {
  readonly pid: number
  readonly began: string
}

/** A living process has the lock: its id, or 'unknown'. */
export interface HeldLock {
  readonly heldBy: string
}

export class LockFile {
  readonly file: string
  readonly #content: string

  private constructor(file: string, content: string) {
    this.file = file
    this.#content = content
  }

  /** Throws what the file system says when `file` cannot be made. */
  static take(file: string): LockFile | HeldLock {
    const content = JSON.stringify({ pid: process.pid, began: beganOf(process.pid) })
    const own = `${file}.${process.pid}.${nodeThreads().threadId}`
    writeFileSync(own, content, { mode: 0o600 })
    try {
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        if (linkIfAbsent(own, file)) return new LockFile(file, content)
        const found = readIfThere(file)
        if (found === undefined) continue
        const holder = parseHolder(found)
        if (holder !== undefined && lives(holder)) return { heldBy: String(holder.pid) }
        removeIfStill(file, found, own)
      }
      return { heldBy: 'unknown' }
    } finally {
      unlinkSync(own)
    }
  }

  release(): void {
    if (readIfThere(this.file) === this.#content) unlinkSync(this.file)
  }
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
    throw thrown
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
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
