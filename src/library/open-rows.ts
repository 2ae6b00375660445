// Rows of a database with a log, for the library, in this thread: the tide or one that may take it over, the samples that proofs
// are made of, and in front of a shared tier the near cache and its subscription.
//
//   no tier       the lanes are in this process's memory; the tide moves them, and their proofs follow at once
//   shared tier   the lanes are there; here are near lanes, moved by messages
//
// Not for: which database that is and how its log is read (open-postgres.ts).
import { sleep } from '../base/clock.ts'
import type { TidemarkError } from '../base/errors.ts'
import { NearSubscription } from '../cache/near-subscription.ts'
import { ObjectNear } from '../cache/object-near.ts'
import { OwnFeed } from '../cache/own-feed.ts'
import { Sampler } from '../cache/sampler.ts'
import { TideKeeper } from '../cache/tide-keeper.ts'
import type { TermEnd } from '../cache/tide-observer.ts'
import type { Sample } from '../coherence/freshness.ts'
import type { ChangeFeed } from '../source/change-feed.ts'
import { JsonSource } from '../source/json-source.ts'
import type { KeyspaceDescription, Source } from '../source/source.ts'
import type { SpeltRows } from '../source/spelt-rows.ts'
import { ObjectTier } from '../tier/object-tier.ts'
import type { SharedTier } from '../tier/tier.ts'
import type { LaneRange, OpenedSource, OpenParts } from './opened.ts'

export interface RowsParts extends OpenParts {
  /** Of the database, for messages. */
  readonly name: string
  /** Closed with what is opened. */
  readonly rows: Source
  readonly descriptions: readonly KeyspaceDescription[]
  /** The log, from the start. */
  readonly feed: () => ChangeFeed
  readonly range: LaneRange
  /** Of objects. undefined: the rows are in this process's memory alone. Closed with what is opened. */
  readonly tier: SharedTier<unknown> | undefined
  /** Where the tier has the JSON of rows from. */
  readonly spelt: SpeltRows
  /** Whether this process may run the tide. */
  readonly tide: boolean
  /** What is told when somebody else has the log of rows that are in this memory alone. */
  readonly taken: () => TidemarkError
}

/** The lanes, and how what is known of them becomes proofs. */
interface Lanes extends Pick<OpenedSource['backing'], 'tier' | 'near'> {
  prove(samples: readonly Sample[]): void
  close(): Promise<void>
}

/** Closes `rows` when it rejects. */
export async function openRows(parts: RowsParts): Promise<OpenedSource> {
  const { name, rows, tier, clock, random, onError } = parts
  let lanes: Lanes
  try {
    lanes = tier === undefined ? ownLanes(parts) : await sharedLanes(parts, tier)
  } catch (error) {
    await rows.close()
    throw error
  }
  const sampler = new Sampler({ source: rows, clock, onSamples: samples => lanes.prove(samples) })
  const feed = (): ChangeFeed => (tier === undefined ? new OwnFeed(parts.feed(), name) : parts.feed())
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
      onError(parts.taken())
    },
  }
  const runs = parts.tide || tier === undefined
  const keeper = new TideKeeper({ tier: lanes.tier, source: rows, feed, clock, random, observer })
  sampler.start()
  const kept = runs ? keeper.run() : Promise.resolve()
  kept.catch(onError)
  const { tier: shared, near } = lanes
  const source = tier === undefined ? new JsonSource(rows) : new JsonSource(rows, parts.spelt)
  const backing = { source, tier: shared, proofs: sampler }
  return {
    backing: near === undefined ? backing : { ...backing, near },
    descriptions: parts.descriptions,
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

function ownLanes({ places, range, clock }: RowsParts): Lanes {
  const tier = new ObjectTier({ places, ...range, clock })
  return { tier, prove: samples => tier.prove(samples), close: () => Promise.resolve() }
}

async function sharedLanes({ places, range, clock, spelt }: RowsParts, tier: SharedTier<unknown>): Promise<Lanes> {
  const near = new ObjectNear({ places, ...range, admitted: row => spelt.forget(row) })
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
