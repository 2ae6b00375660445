// A Postgres database in its own thread: the source, the tide or one that may take it over, the samples that proofs are made
// of, and, in front of a shared tier, the subscription that keeps the near cache of all server threads told.
//
//   no tier       the lanes are in this process's memory; the tide moves them, and their proofs follow at once
//   shared tier   the lanes are there; what the lane table holds are near lanes, moved by messages
import { systemClock, type Clock } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { readFileSync } from 'node:fs'
import { type Random, systemRandom } from '../base/random.ts'
import { asOfMs, type Sample } from '../coherence/freshness.ts'
import type { Position } from '../coherence/mark.ts'
import { PostgresFeed } from '../source/postgres-feed.ts'
import type { ChangeFeed } from '../source/change-feed.ts'
import { PostgresOutbox } from '../source/postgres-outbox.ts'
import type { PostgresConnection, PostgresFeedOptions } from '../source/postgres-options.ts'
import { PostgresSource } from '../source/postgres-source.ts'
import type { Source } from '../source/source.ts'
import { EmbeddedTier, type RecordMemory } from '../tier/embedded-tier.ts'
import { EMBEDDED_SHARD } from '../tier/lane-table.ts'
import { openTier } from '../tier/open-tier.ts'
import type { Tier } from '../tier/tier.ts'
import { EpochWatch } from './epoch-watch.ts'
import { NearSubscription } from './near-subscription.ts'
import { OwnFeed } from './own-feed.ts'
import { ResetLog, type RunningSource, type SourceEvents } from './running-source.ts'
import { Sampler } from './sampler.ts'
import { SourceGauges } from './source-gauges.ts'
import { lanesOf, type SourceStatus } from './source-status.ts'
import type { PostgresThreadOptions } from './source-thread.ts'
import { StoreNear } from './store-near.ts'
import { threadMemory } from './thread-memory.ts'
import { TideKeeper } from './tide-keeper.ts'
import { TideReport } from './tide-report.ts'

interface Parts {
  readonly memory: RecordMemory
  readonly clock: Clock
  readonly random: Random
  readonly events: SourceEvents
}

/** Where the lanes are, and how what is known of them gets into the lane table. */
interface Lanes {
  readonly tier: Tier
  /** Where a lane is, for people. */
  readonly shard: (lane: number) => string | undefined
  prove(samples: readonly Sample[]): void
  close(): Promise<void>
}

/** Rejects as PostgresSource.open does, or with TIER_MISMATCH. */
export async function runPostgres(options: PostgresThreadOptions, events: SourceEvents): Promise<RunningSource> {
  const { name, keyspaces, log, lanes: lanesCount, firstLane } = options
  const clock = systemClock()
  const random = systemRandom()
  const gauges = new SourceGauges(options.gauges)
  const memory = threadMemory(options, clock)
  const { table } = memory
  const connection = withCertificates(options)
  const common: PostgresFeedOptions = { name, connection, keyspaces, log, lanes: lanesCount, clock, random }
  const source = await PostgresSource.open({ ...common, connectionsMax: options.connectionsMax })
  const parts: Parts = { memory, clock, random, events }
  let lanes: Lanes
  try {
    lanes = options.tier === undefined ? ownLanes(parts) : await sharedLanes(parts, options.tier)
  } catch (error) {
    await source.close()
    throw error
  }
  const epochs = new EpochWatch({ name, table, firstLane, lanes: lanesCount, clock, log: line => events.log(line) })
  const watched = watch(source, parts, gauges, options.tier === undefined ? undefined : epochs)
  const sampler = new Sampler({ source: watched, clock, onSamples: samples => lanes.prove(samples) })
  const report = new TideReport({ name, lanes: lanesCount, clock, gauges, resets: new ResetLog(), events })
  const feed = (): ChangeFeed => {
    const opened = log.kind === 'outbox' ? new PostgresOutbox(common) : new PostgresFeed(common)
    return options.tier === undefined ? new OwnFeed(opened, name) : opened
  }
  const keeper = new TideKeeper({ tier: lanes.tier, source: watched, feed, clock, random, observer: report })
  sampler.start()
  const kept = keeper.run()
  // A fault of this program: the thread ends, and the supervisor says so.
  kept.catch((error: unknown) => {
    throw error
  })
  const status = async (): Promise<SourceStatus> => {
    const position: Position | undefined = await source.position().then(
      answer => answer.position,
      () => undefined,
    )
    const found = lanesOf(table, firstLane, lanesCount, clock.monotonicMs(), EMBEDDED_SHARD)
    return {
      name,
      kind: 'postgres',
      epoch: source.epoch,
      position,
      tide: keeper.isHolder ? 'runs' : report.taken ? 'waits' : 'seeks',
      trouble: position === undefined ? 'the database does not answer' : (report.trouble ?? epochs.trouble),
      resets: report.resets.count,
      lastReset: report.resets.last,
      lanes: found.map(each => ({ ...each, shard: lanes.shard(each.lane) })),
    }
  }
  return {
    source,
    describe: () => source.describe(),
    status,
    stop: async () => {
      sampler.stop()
      keeper.stop()
      await kept
      await lanes.close()
      await source.close()
    },
  }
}

function withCertificates({ name, connection }: PostgresThreadOptions): PostgresConnection {
  const { ca, ...rest } = connection
  if (ca === undefined) return rest
  try {
    return { ...rest, caPem: readFileSync(ca, 'utf8') }
  } catch (cause) {
    const message = `databases.${name}.ca: cannot read ${ca}: ${messageOf(cause)}`
    throw new TidemarkError('CONFIG_INVALID', message, { cause })
  }
}

/** Notes when the database answered, and when it is of another epoch; altered tables make it one. */
function watch(
  source: PostgresSource,
  { clock, events }: Parts,
  gauges: SourceGauges,
  epochs: EpochWatch | undefined,
): Pick<Source, 'position' | 'epoch'> {
  let latest = source.epoch
  return {
    get epoch() {
      return source.epoch
    },
    position: async () => {
      const answer = await source.position()
      gauges.set('answeredMs', clock.monotonicMs())
      epochs?.look(answer.epoch)
      if (answer.epoch !== latest) events.altered()
      latest = answer.epoch
      return answer
    },
  }
}

function ownLanes({ memory }: Parts): Lanes {
  const { table, firstLane, lanes } = memory
  let latest: readonly Sample[] = []
  const tier = new EmbeddedTier({
    ...memory,
    // Under the lane's lock; the message is the lane as it is now.
    publish: (lane, message) => table.setAsOf(firstLane + lane, asOfMs(latest, message)),
  })
  return {
    tier,
    shard: () => EMBEDDED_SHARD,
    prove: samples => {
      latest = samples
      for (let lane = firstLane; lane < firstLane + lanes; lane++) {
        table.withLane(lane, () => table.setAsOf(lane, asOfMs(samples, table.state(lane))))
      }
    },
    close: () => Promise.resolve(),
  }
}

async function sharedLanes(parts: Parts, place: NonNullable<PostgresThreadOptions['tier']>): Promise<Lanes> {
  const { memory, clock, random, events } = parts
  const near = new StoreNear(memory)
  const tier = await openTier(place, { clock, random, warn: ({ message }) => events.log(`tier: ${message}`) })
  const subscription = await NearSubscription.open({ tier, near, clock })
  return {
    tier,
    shard: () => place.kind,
    prove: samples => near.prove(samples),
    close: async () => {
      await subscription.close()
      await tier.close()
    },
  }
}
