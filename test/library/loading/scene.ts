// A keyspace over a source that a test can make slow, failing, hanging or wrong, under a clock that it moves by hand.
import { seededRandom, type Random } from '../../../src/base/random.ts'
import type { TidemarkEvents } from '../../../src/library/events.ts'
import type { Keyspace } from '../../../src/library/keyspace.ts'
import type { KeyspaceOptions } from '../../../src/library/options.ts'
import { Tidemark } from '../../../src/library/tidemark.ts'
import { ManualClock } from '../../../src/testing/clock.ts'
import { Backend } from './backend.ts'
import { turns } from './turns.ts'

const STEP_MS = 10

export class Scene {
  readonly clock: ManualClock = new ManualClock()
  readonly tide: Tidemark
  readonly backend: Backend
  readonly users: Keyspace
  readonly errors: unknown[] = []
  readonly stale: TidemarkEvents['stale'][] = []

  constructor(options: Partial<KeyspaceOptions<unknown>>, random: Random = seededRandom(seed)) {
    this.tide = new Tidemark({}, { clock: this.clock, random })
    this.backend = new Backend(this.clock)
    this.backend.values.set('1', 'a')
    this.users = this.tide.keyspace('users', { source: this.backend, ...options })
    this.tide.on('error', ({ error }) => this.errors.push(error))
    this.tide.on('stale', event => this.stale.push(event))
  }

  get loads(): number {
    return this.backend.asked.length
  }

  /** Time passes, and whatever it brings about happens. */
  async pass(ms: number): Promise<void> {
    // What was begun before begins before time passes.
    await turns()
    for (let left = ms; left > 0; left -= STEP_MS) {
      this.clock.advance(Math.min(STEP_MS, left))
      await turns(2)
    }
    await turns()
  }

  /** A jump of time, during which nobody runs. */
  async jump(ms: number): Promise<void> {
    await turns(3)
    this.clock.advance(ms)
    await turns()
  }

  /** The first load of '1', of what the source has now. */
  async loaded(): Promise<void> {
    await this.users.get('1')
    await turns()
  }
}

export const seed: number = Number(process.env['TIDEMARK_SEED'] ?? 1)
