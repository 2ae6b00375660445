// Processes over one shared tier and one source, under one clock: each with a connection of its own to the tier, that a test can
// cut. Not for: real servers (tier-servers.test.ts).
import type { TestContext } from 'node:test'
import type { Keyspace } from '../../../src/library/keyspace.ts'
import type { KeyspaceOptions } from '../../../src/library/options.ts'
import { ManualClock } from '../../../src/testing/clock.ts'
import { faultyTier, type FaultyTier } from '../../../src/testing/faulty-tier.ts'
import { MemoryTier } from '../../../src/testing/memory-tier.ts'
import { createTestTidemark } from '../../../src/testing/test-tidemark.ts'
import { Backend } from './backend.ts'
import { turns } from './turns.ts'

const STEP_MS = 10

export interface SharedProcess {
  readonly tier: FaultyTier
  readonly users: Keyspace
  /** Without a source. */
  readonly reports: Keyspace
  readonly errors: unknown[]
}

export class TierScene {
  readonly clock: ManualClock = new ManualClock()
  readonly memory: MemoryTier = new MemoryTier({ clock: this.clock, lanes: 4 })
  readonly backend: Backend = new Backend(this.clock)
  readonly processes: readonly SharedProcess[]

  constructor(t: TestContext, count: number, options: Omit<KeyspaceOptions<unknown>, 'source'>) {
    this.backend.values.set('1', 'a')
    this.processes = Array.from({ length: count }, (_, i) => {
      const tier = faultyTier(this.memory, { clock: this.clock })
      const { tide } = createTestTidemark({ tier }, { clock: this.clock, seed: seed + i })
      t.after(() => tide.close())
      const errors: unknown[] = []
      tide.on('error', ({ error }) => errors.push(error))
      const { load, ...own } = options
      return {
        tier,
        users: tide.keyspace('users', { source: this.backend, ...options }),
        reports: tide.keyspace('reports', { ...own, load: { timeout: load?.timeout } }),
        errors,
      }
    })
  }

  get loads(): number {
    return this.backend.asked.length
  }

  /** Time passes, and whatever it brings about happens. */
  async pass(ms: number): Promise<void> {
    await turns()
    for (let left = ms; left > 0; left -= STEP_MS) {
      this.clock.advance(Math.min(STEP_MS, left))
      await turns(4)
    }
    await turns()
  }

  /** Resolves to what it is answered with, while time passes for as long as that takes. */
  async within<T>(answer: Promise<T>, ms: number): Promise<{ readonly value: T; readonly tookMs: number }> {
    const beganMs = this.clock.monotonicMs()
    const state = { isThere: false }
    const there = (): void => void (state.isThere = true)
    answer.then(there, there)
    await turns()
    while (!state.isThere && this.clock.monotonicMs() < beganMs + ms) await this.pass(STEP_MS)
    return { value: await answer, tookMs: this.clock.monotonicMs() - beganMs }
  }

  /** `key` is in the memory of every process. */
  async warm(): Promise<void> {
    for (const { users } of this.processes) await this.within(users.get('1'), 10_000)
    await turns()
  }
}

export const seed: number = Number(process.env['TIDEMARK_SEED'] ?? 1)
