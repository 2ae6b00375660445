// A SQLite database in its own thread, for a process that keeps objects in its main one: what its feed tells is sent there,
// in order with the answers to loads and writes, so that whoever wrote a row hears of it only when the lanes have it.
// Not for: servers, whose lanes are in memory that all threads share (run-sqlite.ts).
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import { SqliteSource } from '../source/sqlite-source.ts'
import type { RunningSource, SourceEvents } from './running-source.ts'
import type { ToldThreadOptions } from './source-thread.ts'

/** Rejects as SqliteSource.open does. */
export async function runToldSqlite(options: ToldThreadOptions, events: SourceEvents): Promise<RunningSource> {
  const source = await SqliteSource.open({ ...options, clock: systemClock(), random: systemRandom() })
  source.subscribe({
    changes: (position, changes) => events.told({ kind: 'changes', position, changes }),
    reset: (position, reason) => {
      events.altered()
      events.told({ kind: 'reset', position, reason })
    },
    sample: (takenAtMs, position) => events.told({ kind: 'sample', takenAtMs, position }),
  })
  source.start()
  return {
    source,
    describe: () => source.describe(),
    feed: source,
    status: async () => ({
      ...(await source.position()),
      name: options.name,
      kind: 'sqlite',
      tide: 'runs',
      trouble: undefined,
      resets: 0,
      lastReset: undefined,
      lanes: [],
    }),
    stop: () => source.close(),
  }
}
