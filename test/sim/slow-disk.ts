// The disk of a process that keeps a journal: what it is asked takes a while, so that a process may end, and its machine lose
// power, at any point of it. What the disk then has is that of test/journal/simulated-disk.ts.
// Not for: how the journal is written.
import type { Random } from '../../src/base/random.ts'
import type { JournalFile, JournalStorage } from '../../src/journal/storage.ts'
import { noFault, SimulatedDisk } from '../journal/simulated-disk.ts'
import type { SimProcess } from './machine.ts'

export interface DiskShape {
  readonly delayMs: number
  /** One call in so many is slow (0: none), by up to `slowMs`. */
  readonly slowOneIn: number
  readonly slowMs: number
  /** One process in so many ends with its machine's power (0: none), and not alone. */
  readonly powerOneIn: number
  /** One process in so many sees its disk fail once (0: none). */
  readonly failsOneIn: number
}

const CALLS_UNTIL_FAILURE = 60

export class SlowDisk {
  readonly #disk: SimulatedDisk
  readonly #shape: DiskShape
  readonly #random: Random
  #calm = false

  constructor(shape: DiskShape, random: Random) {
    this.#shape = shape
    this.#random = random
    this.#disk = new SimulatedDisk(random)
  }

  /** Nothing fails any more, of processes that begin from now on. */
  calm(): void {
    this.#calm = true
  }

  /** As the process sees it, which begins now, and on its death. */
  begin(process: SimProcess): JournalStorage {
    const fails = !this.#calm && this.#oneIn(this.#shape.failsOneIn)
    const losesPower = this.#oneIn(this.#shape.powerOneIn)
    const plan = fails ? { at: this.#random.below(CALLS_UNTIL_FAILURE), fault: 'EIO' as const, shortWrites: true } : noFault // prettier-ignore
    const { storage } = this.#disk.start(plan)
    process.onDeath(() => (losesPower ? this.#disk.cutPower() : this.#disk.kill()))
    const wait = (): Promise<void> => new Promise(resolve => process.clock.timer(this.#delayMs(), resolve))
    return {
      lock: file => storage.lock(file),
      makeFolder: folder => wait().then(() => storage.makeFolder(folder)),
      list: folder => wait().then(() => storage.list(folder)),
      read: file => wait().then(() => storage.read(file)),
      create: file => wait().then(async () => slowFile(await storage.create(file), wait)),
      rename: (from, to) => wait().then(() => storage.rename(from, to)),
      remove: file => wait().then(() => storage.remove(file)),
      syncFolder: folder => wait().then(() => storage.syncFolder(folder)),
    }
  }

  #oneIn(n: number): boolean {
    return n > 0 && this.#random.below(n) === 0
  }

  #delayMs(): number {
    const { delayMs, slowMs } = this.#shape
    return delayMs * this.#random.fraction() + (this.#oneIn(this.#shape.slowOneIn) ? slowMs * this.#random.fraction() : 0) // prettier-ignore
  }
}

// Before and after: what is done may be so before anybody knows.
function slowFile(file: JournalFile, wait: () => Promise<void>): JournalFile {
  return {
    write: async (bytes, position) => {
      await wait()
      return file.write(bytes, position)
    },
    sync: async () => {
      await wait()
      await file.sync()
      await wait()
    },
    close: () => file.close(),
  }
}
