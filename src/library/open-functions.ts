// Functions, or nothing, as the source of one keyspace in one process.
import { LOGLESS_EPOCH } from '../coherence/epoch.ts'
import type { Source } from '../source/source.ts'
import { ObjectTier } from '../tier/object-tier.ts'
import type { LaneRange, OpenedSource, OpenParts } from './opened.ts'

export interface LoglessParts extends OpenParts {
  readonly keyspace: string
  readonly source: Source<unknown>
  readonly range: LaneRange
}

/** In this process's memory alone. Its lanes have headers from the start, and nobody ever moves them. */
export function openLogless({ keyspace, source, range, places, clock, random }: LoglessParts): OpenedLogless {
  const tier = new ObjectTier({ places, ...range, clock })
  for (let lane = 0; lane < range.lanes; lane++) {
    const generation = { epoch: LOGLESS_EPOCH, nonce: random.uint32() }
    tier.reset(lane, { expected: undefined, to: 0n, generation })
  }
  return {
    backing: { source, tier, proofs: { known: () => undefined, samples: () => [] } },
    descriptions: [{ name: keyspace, table: keyspace, columns: [], keyColumns: [] }],
    tier,
    close: () => source.close(),
  }
}

export interface OpenedLogless extends OpenedSource {
  readonly tier: ObjectTier
}
