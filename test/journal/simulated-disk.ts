// A disk in memory that does to the journal what disks do: it takes fewer bytes than it was given, is full, fails a sync and
// forgets what the sync was for (and says nothing of it at the next one), and loses at a power cut any of what was not synced,
// page by page and name by name. A process that ends in the middle of a call gets no answer any more.
// Not for: how fast disks are.
import { dirname } from 'node:path'
import type { Random } from '../../src/base/random.ts'
import type { JournalFile, JournalStorage } from '../../src/journal/storage.ts'

const PAGE_BYTES = 64

class Inode {
  /** What a reader sees, and what is there after a power cut. */
  seen: Buffer = Buffer.alloc(0)
  kept: Buffer = Buffer.alloc(0)
  readonly dirty = new Set<number>()

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length
    if (end > this.seen.length) this.seen = Buffer.concat([this.seen, Buffer.alloc(end - this.seen.length)])
    this.seen.set(bytes, position)
    for (let page = Math.floor(position / PAGE_BYTES); page * PAGE_BYTES < end; page++) this.dirty.add(page)
  }

  /** Each dirty page for which `keeps` says so reaches the disk; none is dirty then. The length does with the last page. */
  flush(keeps: () => boolean): void {
    for (const page of this.dirty) {
      if (!keeps()) continue
      const start = page * PAGE_BYTES
      const end = Math.min(start + PAGE_BYTES, this.seen.length)
      if (end > this.kept.length) this.kept = Buffer.concat([this.kept, Buffer.alloc(end - this.kept.length)])
      this.seen.copy(this.kept, start, start, end)
    }
    this.dirty.clear()
  }
}

export type Fault = 'ENOSPC' | 'EIO' | 'kill' | 'power'

export interface Plan {
  /** At which of the calls from now on something happens; Infinity for never. */
  readonly at: number
  readonly fault: Fault
  readonly shortWrites: boolean
}

export const noFault: Plan = { at: Infinity, fault: 'EIO', shortWrites: false }

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: by the simulated disk`), { code })
}

export interface StartedProcess {
  readonly storage: JournalStorage
  readonly died: Promise<void>
  alive(): Promise<void>
}

export class SimulatedDisk {
  readonly #random: Random
  #seen = new Map<string, Inode>()
  #kept = new Map<string, Inode>()
  #plan: Plan = noFault
  #calls = 0
  #process = 0
  #onDeath: () => void = () => {}
  /** Calls by name, for tests that look at what was asked. */
  readonly counts = new Map<string, number>()

  constructor(random: Random) {
    this.#random = random
  }

  /**
   * The storage of a new process; `died` resolves when the plan ended it. What processes before it still ask has no effect; what
   * else they do has to wait for `alive`, which never resolves for them.
   */
  start(plan: Plan): StartedProcess {
    this.#plan = plan
    this.#calls = 0
    this.#process++
    const number = this.#process
    const died = new Promise<void>(resolve => (this.#onDeath = resolve))
    const alive = (): Promise<void> => (number === this.#process ? Promise.resolve() : new Promise(() => {}))
    return { storage: this.#storage(number), died, alive }
  }

  /** Ends the process. */
  kill(): void {
    this.#process++
    this.#onDeath()
  }

  /** Ends the process; of what was not synced, some is gone. */
  cutPower(): void {
    const coin = (): boolean => this.#random.below(2) === 0
    const kept = new Map(this.#kept)
    for (const name of new Set([...this.#seen.keys(), ...this.#kept.keys()])) {
      const inode = (coin() ? this.#seen : this.#kept).get(name)
      if (inode === undefined) kept.delete(name)
      else kept.set(name, inode)
    }
    for (const inode of new Set([...this.#seen.values(), ...this.#kept.values()])) {
      inode.flush(coin)
      inode.seen = Buffer.from(inode.kept)
    }
    this.#kept = kept
    this.#seen = new Map(kept)
    this.kill()
  }

  files(): string[] {
    return [...this.#seen.keys()].sort()
  }

  content(file: string): Buffer {
    return this.#inode(file).seen
  }

  /** Changes a file on the disk itself. */
  alter(file: string, change: (bytes: Buffer) => Buffer): void {
    const inode = this.#inode(file)
    inode.seen = change(Buffer.from(inode.seen))
    inode.kept = Buffer.from(inode.seen)
  }

  drop(file: string): void {
    this.#seen.delete(file)
    this.#kept.delete(file)
  }

  #inode(file: string): Inode {
    const inode = this.#seen.get(file)
    if (inode === undefined) throw systemError('ENOENT')
    return inode
  }

  /** Does what was asked for, unless the plan is that it does not; `part`: what is done of it then. */
  async #call(process: number, name: string, whole: () => void, part: () => void = () => {}): Promise<void> {
    await Promise.resolve()
    if (process !== this.#process) return new Promise(() => {})
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
    if (this.#calls++ !== this.#plan.at) return whole()
    part()
    const { fault } = this.#plan
    if (fault === 'ENOSPC' || fault === 'EIO') throw systemError(fault)
    if (fault === 'kill') this.kill()
    else this.cutPower()
    return new Promise(() => {})
  }

  #storage(process: number): JournalStorage {
    const call = (name: string, whole: () => void, part?: () => void): Promise<void> =>
      this.#call(process, name, whole, part)
    const either = (whole: () => void) => (): void => {
      if (this.#random.below(2) === 0) whole()
    }
    return {
      makeFolder: () => call('makeFolder', () => {}),
      lock: () => ({ release: () => {} }),
      list: async folder => {
        await call('list', () => {})
        return this.files()
          .filter(name => dirname(name) === folder)
          .map(name => name.slice(folder.length + 1))
      },
      read: async file => {
        await call('read', () => {})
        return Buffer.from(this.content(file))
      },
      create: async file => {
        const inode = new Inode()
        const create = (): void => void this.#seen.set(file, inode)
        await call('create', create, either(create))
        return this.#file(process, inode)
      },
      rename: (from, to) => {
        const rename = (): void => {
          this.#seen.set(to, this.#inode(from))
          this.#seen.delete(from)
        }
        return call('rename', rename, either(rename))
      },
      remove: file => {
        const remove = (): void => void this.#seen.delete(file)
        return call('remove', remove, either(remove))
      },
      syncFolder: () => call('syncFolder', () => void (this.#kept = new Map(this.#seen))),
    }
  }

  #file(process: number, inode: Inode): JournalFile {
    return {
      write: async (bytes, position) => {
        const most = this.#plan.shortWrites ? 1 + this.#random.below(bytes.length) : bytes.length
        const some = this.#random.below(bytes.length + 1)
        await this.#call(
          process,
          'write',
          () => inode.write(bytes.subarray(0, most), position),
          () => inode.write(bytes.subarray(0, some), position),
        )
        return most
      },
      sync: () => {
        const lossy = (): void => inode.flush(() => this.#random.below(2) === 0)
        const whole = (): void => inode.flush(() => true)
        return this.#call(process, 'sync', whole, lossy)
      },
      close: () => this.#call(process, 'close', () => {}),
    }
  }
}
