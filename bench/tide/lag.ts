// How far the tide is behind: the position of the database is noted every few ms, and the marks of all lanes are looked at; a
// lane that has passed a position has all that was committed before it was noted. The lag is that of the last lane.
// Not for: what a server proves of itself, which asks every 50 ms.
import type pg from 'pg'
import { asOfMs, type Sample } from '../../src/coherence/freshness.ts'
import type { LaneState } from '../../src/coherence/lane.ts'
import type { Tier } from '../../src/tier/tier.ts'

const LOOK_EVERY_MS = 50
const SAMPLES_MAX = 1_000

export interface LagPoint {
  /** Since the watch began. */
  readonly atMs: number
  /** Infinity before any lane was proved. */
  readonly lagMs: number
}

export class LagWatch {
  readonly points: LagPoint[] = []
  readonly #client: pg.Client
  readonly #tier: Tier
  readonly #begunMs = performance.now()
  #samples: Sample[] = []
  #stopped = false
  readonly #running: Promise<unknown>

  /** `client` is nobody else's while this runs. */
  constructor(client: pg.Client, tier: Tier) {
    this.#client = client
    this.#tier = tier
    this.#running = Promise.all([this.#sample(), this.#look()])
  }

  async stop(): Promise<readonly LagPoint[]> {
    this.#stopped = true
    await this.#running
    return this.points
  }

  async #sample(): Promise<void> {
    const text = `SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS position`
    while (!this.#stopped) {
      const takenAtMs = performance.now()
      const { rows } = await this.#client.query<{ position: string }>({ text, name: 'position' })
      this.#samples.push({ takenAtMs, position: BigInt(rows[0]!.position), epoch: 0n })
      if (this.#samples.length > SAMPLES_MAX) this.#samples.shift()
      await new Promise(resolve => setTimeout(resolve, LOOK_EVERY_MS / 5))
    }
  }

  async #look(): Promise<void> {
    while (!this.#stopped) {
      const nowMs = performance.now()
      const states = await this.#lanes().catch(() => undefined)
      // A tier that does not answer at the moment says nothing; how far behind the lanes are is seen by the next look.
      if (states === undefined) continue
      let oldestMs = nowMs
      for (const state of states) {
        // There is one database here, and so one epoch.
        const own = state && { ...state, generation: { ...state.generation, epoch: 0n } }
        oldestMs = Math.min(oldestMs, asOfMs(this.#samples, own))
      }
      this.points.push({ atMs: nowMs - this.#begunMs, lagMs: nowMs - oldestMs })
      await new Promise(resolve => setTimeout(resolve, LOOK_EVERY_MS))
    }
  }

  #lanes(): Promise<(LaneState | undefined)[]> {
    return Promise.all(Array.from({ length: this.#tier.lanes }, async (_, lane) => this.#tier.lane(lane)))
  }
}
