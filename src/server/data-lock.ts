// The lock file of a data folder or of a snapshot: one server at a time. Two servers on one database would each keep rows in
// memory that the other changes; two on one snapshot would each lose what the other keeps in it.
// Not for: what a lock file holds and when it is stale (base/lock-file.ts).
import { join } from 'node:path'
import { TidemarkError, messageOf } from '../base/errors.ts'
import { LockFile } from '../base/lock-file.ts'

const LOCK_FILE = 'tidemark.lock'

/** What is locked, in the words of its errors. */
interface Locked {
  readonly what: string
  readonly settings: string
  readonly unwritable: 'DATA_UNWRITABLE' | 'SNAPSHOT_UNWRITABLE'
}

export class DataLock {
  readonly #lock: LockFile

  private constructor(lock: LockFile) {
    this.#lock = lock
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

  static #take(file: string, { what, settings, unwritable }: Locked): DataLock {
    let lock
    try {
      lock = LockFile.take(file)
    } catch (thrown) {
      const message = `${what} cannot be written: ${messageOf(thrown)} ${settings}`
      throw new TidemarkError(unwritable, message, { cause: thrown })
    }
    if (lock instanceof LockFile) return new DataLock(lock)
    const message = `${what} is in use by process ${lock.heldBy} (${file}); stop it, or choose another place ${settings}`
    throw new TidemarkError('DATA_LOCKED', message)
  }

  release(): void {
    this.#lock.release()
  }
}
