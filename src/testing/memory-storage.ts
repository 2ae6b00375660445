// A disk in memory, for the journals of caches under test: what was written stays for as long as the object does, so that a cache
// that is opened again over it finds its journal. Not for: what a power cut leaves; it forgets nothing.
import { dirname } from 'node:path'
import type { JournalFile, JournalStorage } from '../journal/storage.ts'

class MemoryFile implements JournalFile {
  bytes: Buffer = Buffer.alloc(0)

  write(bytes: Uint8Array, position: number): Promise<number> {
    const end = position + bytes.length
    if (end > this.bytes.length) this.bytes = Buffer.concat([this.bytes, Buffer.alloc(end - this.bytes.length)])
    this.bytes.set(bytes, position)
    return Promise.resolve(bytes.length)
  }

  sync(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

export class MemoryStorage implements JournalStorage {
  readonly #files = new Map<string, MemoryFile>()
  readonly #locked = new Set<string>()

  makeFolder(): Promise<void> {
    return Promise.resolve()
  }

  /** Held until it is released: by a cache that is closed. */
  lock(file: string): { release(): void } | { readonly heldBy: string } {
    if (this.#locked.has(file)) return { heldBy: 'of this test' }
    this.#locked.add(file)
    return { release: () => void this.#locked.delete(file) }
  }

  list(folder: string): Promise<readonly string[]> {
    const own = [...this.#files.keys()].filter(file => dirname(file) === folder)
    return Promise.resolve(own.map(file => file.slice(folder.length + 1)))
  }

  async read(file: string): Promise<Buffer> {
    return Buffer.from(this.#file(file).bytes)
  }

  create(file: string): Promise<JournalFile> {
    const made = new MemoryFile()
    this.#files.set(file, made)
    return Promise.resolve(made)
  }

  async rename(from: string, to: string): Promise<void> {
    this.#files.set(to, this.#file(from))
    this.#files.delete(from)
  }

  async remove(file: string): Promise<void> {
    this.#file(file)
    this.#files.delete(file)
  }

  syncFolder(): Promise<void> {
    return Promise.resolve()
  }

  #file(file: string): MemoryFile {
    const found = this.#files.get(file)
    if (found !== undefined) return found
    throw Object.assign(new Error(`ENOENT: there is no ${file} in memory`), { code: 'ENOENT' })
  }
}
