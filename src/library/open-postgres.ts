// A Postgres database for the library, in this thread: the source, the tide or one that may take it over, the samples that
// proofs are made of, and in front of a shared tier the near cache and its subscription.
//
//   no tier       the lanes are in this process's memory; the tide moves them, and their proofs follow at once
//   shared tier   the lanes are there; here are near lanes, moved by messages
//
// Not for: servers (cache/run-postgres.ts), which do the same in a thread of its own for memory that threads share.
import { sleep } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { OwnFeed } from '../cache/own-feed.ts'
import { NearSubscription } from '../cache/near-subscription.ts'
import { ObjectNear } from '../cache/object-near.ts'
import { Sampler } from '../cache/sampler.ts'
import { TideKeeper } from '../cache/tide-keeper.ts'
import type { TermEnd } from '../cache/tide-observer.ts'
import type { Sample } from '../coherence/freshness.ts'
import type { ChangeFeed } from '../source/change-feed.ts'
import { JsonSource } from '../source/json-source.ts'
import { PostgresFeed } from '../source/postgres-feed.ts'
import type { PostgresFeedOptions, PostgresKeyspace } from '../source/postgres-options.ts'
import { PostgresOutbox } from '../source/postgres-outbox.ts'
import { PostgresSource } from '../source/postgres-source.ts'
import { ObjectTier } from '../tier/object-tier.ts'
import type { SharedTier } from '../tier/tier.ts'
import type { PostgresSettings } from './postgres-options.ts'
import type { LaneRange, OpenedSource, OpenParts } from './opened.ts'

export interface PostgresParts extends OpenParts, PostgresSettings {
  readonly keyspaces: readonly PostgresKeyspace[]
  readonly range: LaneRange
  /** Of objects. undefined: the rows are in this process's memory alone. Closed with the database. */
  readonly tier: SharedTier<unknown> | undefined
  /** Whether this process may run the tide. */
  readonly tide: boolean
}

/** The lanes, and how what is known of them becomes proofs. */
interface Lanes extends Pick<OpenedSource['backing'], 'tier' | 'near'> {
  prove(samples: readonly Sample[]): void
  close(): Promise<void>
}

/** Rejects as PostgresSource.open does. */
export async function openPostgres(parts: PostgresParts): Promise<OpenedSource> {
  const { name, connection, keyspaces, log, range, tier, clock, random, onError } = parts
  const { lanes: count } = range
  const common: PostgresFeedOptions = { name, connection, keyspaces, log, lanes: count, clock, random }
  const rows = await PostgresSource.open({ ...common, connectionsMax: parts.connectionsMax })
  let lanes: Lanes
  try {
    lanes = tier === undefined ? ownLanes(parts) : await sharedLanes(parts, tier)
  } catch (error) {
    await rows.close()
    throw error
  }
  const sampler = new Sampler({ source: rows, clock, onSamples: samples => lanes.prove(samples) })
  const feed = (): ChangeFeed => {
    const opened = log.kind === 'outbox' ? new PostgresOutbox(common) : new PostgresFeed(common)
    return tier === undefined ? new OwnFeed(opened, name) : opened
  }
  let told = false
  const observer = {
    opened: () => {
      told = false
    },
    ended: (end: TermEnd) => {
      if ('error' in end) onError(end.error)
      // With a shared tier whoever else holds the log moves these lanes too. Without one nothing here is ever proved.
      if (end.kind !== 'taken' || tier !== undefined || told) return
      told = true
      onError(taken(parts))
    },
  }
  const runs = parts.tide || tier === undefined
  const keeper = new TideKeeper({ tier: lanes.tier, source: rows, feed, clock, random, observer })
  sampler.start()
  const kept = runs ? keeper.run() : Promise.resolve()
  kept.catch(onError)
  const { tier: shared, near } = lanes
  const source = new JsonSource(rows)
  const backing = { source, tier: shared, proofs: sampler }
  return {
    backing: near === undefined ? backing : { ...backing, near },
    descriptions: rows.describe(),
    close: async () => {
      // Whoever waited for the database to open asks it in this turn.
      await sleep(clock, 0)
      await source.settled()
      sampler.stop()
      keeper.stop()
      await kept.catch(() => {})
      await lanes.close()
      await rows.close()
    },
  }
}

function taken({ name, log }: PostgresParts): TidemarkError {
  const what = log.kind === 'outbox' ? `outbox '${log.schema}'` : `slot '${log.slot}'`
  const option = log.kind === 'outbox' ? 'outbox' : 'slot'
  const message =
    `database '${name}': another process reads its changes by ${what}, so nothing is proved here and every read asks the ` +
    `database; processes that share no tier need one each: postgres({ ${option} })`
  return new TidemarkError('FEED_TAKEN', message)
}

function ownLanes({ places, range, clock }: PostgresParts): Lanes {
  const tier = new ObjectTier({ places, ...range, clock })
  return { tier, prove: samples => tier.prove(samples), close: () => Promise.resolve() }
}

async function sharedLanes({ places, range, clock }: PostgresParts, tier: SharedTier<unknown>): Promise<Lanes> {
  const near = new ObjectNear({ places, ...range })
  const subscription = await NearSubscription.open({ tier, near, clock })
  return {
    tier,
    near,
    prove: samples => near.prove(samples),
    close: async () => {
      await subscription.close()
      await tier.close()
    },
  }
}
