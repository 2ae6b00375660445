// A SQLite database in its own thread: the source, and the tide of an embedded database, which works inside the commit.
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import { SqliteSource } from '../source/sqlite-source.ts'
import { EmbeddedTier } from '../tier/embedded-tier.ts'
import { EMBEDDED_SHARD } from '../tier/lane-table.ts'
import { EmbeddedTide } from './embedded-tide.ts'
import { ResetLog, type RunningSource, type SourceEvents } from './running-source.ts'
import { SourceGauges } from './source-gauges.ts'
import { lanesOf } from './source-status.ts'
import type { SqliteThreadOptions } from './source-thread.ts'
import { threadMemory } from './thread-memory.ts'

/** Rejects as SqliteSource.open does. */
export async function runSqlite(options: SqliteThreadOptions, events: SourceEvents): Promise<RunningSource> {
  const { name, firstLane, lanes } = options
  const clock = systemClock()
  const random = systemRandom()
  const gauges = new SourceGauges(options.gauges)
  const memory = threadMemory(options, clock)
  const source = await SqliteSource.open({ ...options, clock, random })
  const tier = new EmbeddedTier(memory)
  const resets = new ResetLog()
  const onReset = (reason: string): void => {
    for (let lane = 0; lane < lanes; lane++) resets.add(reason, clock.wallMs())
    gauges.add('resets', lanes)
    events.altered()
    events.reset(lanes, reason)
  }
  const { epoch, end: position } = source
  source.subscribe(new EmbeddedTide({ tier, epoch, position, random, onReset }))
  source.poll()
  source.start()
  gauges.set('tideHeld', 1)
  return {
    source,
    describe: () => source.describe(),
    status: async () => ({
      ...(await source.position()),
      name,
      kind: 'sqlite',
      tide: 'runs',
      trouble: undefined,
      resets: resets.count,
      lastReset: resets.last,
      lanes: lanesOf(memory.table, firstLane, lanes, clock.monotonicMs(), EMBEDDED_SHARD),
    }),
    stop: () => source.close(),
  }
}
