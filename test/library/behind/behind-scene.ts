// A keyspace that writes behind, over functions and a disk that the test decides about, by a clock that stands still. It can be
// killed and started again: what the dead one still does has no effect.
import type { TestContext } from 'node:test'
import { seededRandom } from '../../../src/base/random.ts'
import { afterThisTurn } from '../../../src/base/turn.ts'
import type { BehindOptions, Keyspace, KeyspaceOptions, TidemarkEvents, TidemarkOptions } from '../../../src/index.ts'
import type { JournalStorage } from '../../../src/journal/storage.ts'
import { Tidemark } from '../../../src/library/tidemark.ts'
import { ManualClock } from '../../../src/testing/clock.ts'
import { noFault, SimulatedDisk, type Plan } from '../../journal/simulated-disk.ts'
import { Functions } from '../scene.ts'

const TURNS = 40
/** The longest that closing takes: its own time, and that of a call that hangs. */
const SECONDS = 16

/** Lets everything run that needs no time to pass. */
export async function settle(turns: number = TURNS): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>(resolve => afterThisTurn(resolve))
}

export interface Started {
  readonly tide: Tidemark
  readonly values: Keyspace
  readonly errors: TidemarkEvents['error'][]
}

export interface StartOptions {
  readonly write?: Omit<BehindOptions, 'mode'>
  readonly keyspace?: KeyspaceOptions<unknown>
  readonly tide?: TidemarkOptions
  readonly plan?: Plan
}

export class BehindScene {
  readonly clock: ManualClock = new ManualClock()
  readonly functions: Functions
  readonly disk: SimulatedDisk
  /** Keys that the source never takes, and how it says so. */
  refused: ReadonlyMap<string, () => Error> = new Map()
  refusals = 0
  /** Every sync of the disk fails from now on. */
  syncsFail = false
  readonly #seed: number
  #lives = 0
  #closing: () => Promise<void> = () => Promise.resolve()

  constructor(t: TestContext | undefined, rows: Readonly<Record<string, unknown>> = {}, seed = 1) {
    this.functions = new Functions(rows)
    this.#seed = seed
    this.disk = new SimulatedDisk(seededRandom(seed))
    t?.after(() => this.#end())
  }

  /** Another process; the one before, if there was one, has to have ended. */
  start({ write = {}, keyspace = {}, tide: tideOptions = {}, plan = noFault }: StartOptions = {}): Started {
    const life = ++this.#lives
    const { storage } = this.disk.start(plan)
    const tide = new Tidemark(
      { journal: { directory: 'journals' }, ...tideOptions },
      { clock: this.clock, random: seededRandom(this.#seed + life), storage: this.#failing(storage) },
    )
    const errors: TidemarkEvents['error'][] = []
    tide.on('error', event => errors.push(event))
    const alive = <T>(work: () => Promise<T>): Promise<T> => (life === this.#lives ? work() : new Promise(() => {}))
    const { load, store, remove } = this.functions
    const values = tide.keyspace('items', {
      source: {
        load: ids => alive(() => load(ids)),
        store: entries => alive(() => this.#refused([...entries.keys()]) ?? store(entries)),
        remove: ids => alive(() => this.#refused(ids) ?? remove(ids)),
      },
      write: { mode: 'behind', ...write },
      ...keyspace,
    })
    this.#closing = () => tide.close()
    return { tide, values, errors }
  }

  /** As `kill -9` does. */
  kill(): void {
    this.#lives++
    this.disk.kill()
    this.#closing = () => Promise.resolve()
  }

  /** A test that failed may have left the source as it was, and the clock stands still. */
  async #end(): Promise<void> {
    this.functions.before = this.functions.after = () => Promise.resolve()
    this.syncsFail = false
    const closing = this.#closing()
    for (let second = 0; second < SECONDS; second++) await this.pass(1_000)
    await closing
  }

  /** Moves the clock on, and lets everything run. */
  async pass(ms: number): Promise<void> {
    await settle()
    this.clock.advance(ms)
    await settle()
  }

  #refused(ids: readonly string[]): Promise<never> | undefined {
    const error = ids.map(id => this.refused.get(id)).find(each => each !== undefined)
    if (error === undefined) return undefined
    this.refusals++
    return Promise.reject(error())
  }

  #failing(storage: JournalStorage): JournalStorage {
    return {
      ...storage,
      create: async path => {
        const file = await storage.create(path)
        return {
          write: (bytes, position) => file.write(bytes, position),
          sync: () => (this.syncsFail ? Promise.reject(new Error('EIO: by the test')) : file.sync()),
          close: () => file.close(),
        }
      },
    }
  }
}
