// A journal on a simulated disk, as tests open, end and open it again.
import { seededRandom } from '../../src/base/random.ts'
import { Journal } from '../../src/journal/journal.ts'
import type { JournalOptions } from '../../src/journal/journal.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import { noFault, SimulatedDisk } from './simulated-disk.ts'
import type { Plan } from './simulated-disk.ts'

export interface Reopened {
  readonly journal: Journal
  /** What was handed out, as text. */
  readonly texts: readonly string[]
  readonly sequences: readonly number[]
}

export class JournalScene {
  readonly disk: SimulatedDisk
  readonly #options: Partial<JournalOptions>
  readonly #seed: number

  constructor(options: Partial<JournalOptions> = {}, seed = 1) {
    this.#options = options
    this.#seed = seed
    this.disk = new SimulatedDisk(seededRandom(seed))
  }

  /** Opened by another process than before; what the one before still does has no effect. */
  async open(plan: Plan = noFault, options: Partial<JournalOptions> = {}): Promise<Reopened> {
    const { journal, entries } = await Journal.open({
      directory: 'journal',
      clock: new ManualClock(),
      random: seededRandom(this.#seed),
      storage: this.disk.start(plan).storage,
      ...this.#options,
      ...options,
    })
    return {
      journal,
      texts: entries.map(({ content }) => content.toString()),
      sequences: entries.map(({ sequence }) => sequence),
    }
  }

  /** The segments' files, oldest first. */
  files(): string[] {
    return this.disk.files().filter(name => name.endsWith('.journal'))
  }
}

/** Appends each text by itself, one after another. */
export async function appendTexts(journal: Journal, texts: readonly string[]): Promise<void> {
  for (const text of texts) await journal.append([Buffer.from(text)])
}
