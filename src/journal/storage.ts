// The few calls of the file system that the journal is made of, as an interface, so that a test has a disk that fails and
// forgets; and the machine's own disk. Not for: what is in the files (record.ts).
import type { FileHandle } from 'node:fs/promises'
import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { LockFile } from '../base/lock-file.ts'
import type { HeldLock } from '../base/lock-file.ts'

export interface JournalFile {
  /** Bytes that were written, at least one; they may be fewer than given. */
  write(bytes: Uint8Array, position: number): Promise<number>
  /** Resolves once all that was written is on the disk, and what it takes to find it there. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** All reject with what the file system says. Paths are absolute or relative to the process's folder. */
export interface JournalStorage {
  /** Makes the folder, and those above it, unless they are there; on the disk when it resolves. */
  makeFolder(folder: string): Promise<void>
  /** One process at a time; the path of the lock is in the folder. */
  lock(file: string): { release(): void } | HeldLock
  /** Names in the folder. */
  list(folder: string): Promise<readonly string[]>
  read(file: string): Promise<Buffer>
  /** An empty file to write to; one that is there is emptied. */
  create(file: string): Promise<JournalFile>
  /** Replaces what is there. */
  rename(from: string, to: string): Promise<void>
  remove(file: string): Promise<void>
  /** Resolves once names that were given and removed in the folder are on the disk. */
  syncFolder(folder: string): Promise<void>
}

class DiskFile implements JournalFile {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async write(bytes: Uint8Array, position: number): Promise<number> {
    const { bytesWritten } = await this.#handle.write(bytes, 0, bytes.length, position)
    return bytesWritten
  }

  /** fdatasync: length and content. */
  sync(): Promise<void> {
    return this.#handle.datasync()
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

class DiskStorage implements JournalStorage {
  async makeFolder(folder: string): Promise<void> {
    const made = await mkdir(resolve(folder), { recursive: true, mode: 0o700 })
    if (made === undefined) return
    for (let at = resolve(folder); at.length >= made.length; at = dirname(at)) await this.syncFolder(dirname(at))
  }

  lock(file: string): LockFile | HeldLock {
    return LockFile.take(file)
  }

  list(folder: string): Promise<string[]> {
    return readdir(folder)
  }

  read(file: string): Promise<Buffer> {
    return readFile(file)
  }

  async create(file: string): Promise<JournalFile> {
    return new DiskFile(await open(file, 'w', 0o600))
  }

  rename(from: string, to: string): Promise<void> {
    return rename(from, to)
  }

  remove(file: string): Promise<void> {
    return unlink(file)
  }

  /** Windows has no such thing. */
  async syncFolder(folder: string): Promise<void> {
    if (process.platform === 'win32') return
    const handle = await open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
}

/** The machine's disk. */
export function diskStorage(): JournalStorage {
  return new DiskStorage()
}
