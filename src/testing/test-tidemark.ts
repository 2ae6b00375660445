// A cache with nothing of the real world in it: its time is moved by hand, its chance comes from a seed, its journals are in memory,
// and the tier that it shares, if it does, is an object in this process. Several over one tier are several processes.
// Not for: tables, whose databases are real and keep their own time.
import { seededRandom } from '../base/random.ts'
import type { JournalStorage } from '../journal/storage.ts'
import { invalid, within } from '../library/option-checks.ts'
import type { TidemarkOptions } from '../library/options.ts'
import { Tidemark } from '../library/tidemark.ts'
import type { SharedPlace } from '../library/tier-place.ts'
import type { SharedTier } from '../tier/tier.ts'
import { ManualClock } from './clock.ts'
import { FaultyTier } from './faulty-tier.ts'
import { MemoryStorage } from './memory-storage.ts'

/** The lanes of a tier belong to one kind of source: rows of Postgres have others than values without a log. As many of both. */
export interface TestTiers {
  readonly rows: SharedTier
  readonly values: SharedTier
}

export interface TestTidemarkOptions extends Omit<TidemarkOptions, 'tier'> {
  /** In the place of a tier's address: a MemoryTier, or one with faults. One alone is for values; tables are refused then. */
  readonly tier?: SharedTier | TestTiers | undefined
}

export interface TestSurroundings {
  /** One of its own unless given. Caches over one tier share the clock of the tier. */
  readonly clock?: ManualClock | undefined
  /** Of all that is left to chance, in [0, 2^32): 1 unless given. Caches that share a clock draw differently all the same. */
  readonly seed?: number | undefined
  /** Where journals are: in a memory of their own unless given, so that a cache that is opened again finds them. */
  readonly storage?: JournalStorage | undefined
}

export interface TestTidemark {
  readonly tide: Tidemark
  readonly clock: ManualClock
}

const SEEDS = 2 ** 32

/** As `createTidemark`, but for what is outside. To be closed by who made it. Throws OPTION_INVALID. */
export function createTestTidemark(
  { tier, ...options }: TestTidemarkOptions = {},
  { clock: given, seed = 1, storage = new MemoryStorage() }: TestSurroundings = {},
): TestTidemark {
  within('seed', seed, 0, SEEDS - 1)
  if (tier !== undefined && given === undefined) throw invalid('clock', given, 'the clock that the tier was made with')
  const clock = given ?? new ManualClock()
  // Two that drew the same would take one another's leases for their own.
  const random = seededRandom(seed + SEEDS * clock.number())
  const shared = tier === undefined ? undefined : placeOf(tier, clock)
  return { tide: new Tidemark(options, { clock, random, storage, tier: shared }), clock }
}

function placeOf(given: SharedTier | TestTiers, clock: ManualClock): SharedPlace {
  const tiers: Partial<TestTiers> = 'values' in given ? given : { values: given }
  const { rows, values } = tiers
  if (typeof values?.lanes !== 'number') throw invalid('tier', given, 'a MemoryTier, or { rows, values } of them')
  if (rows !== undefined && rows.lanes !== values.lanes) {
    throw invalid('tier.rows', `${rows.lanes} lanes`, `as many lanes as tier.values has: ${values.lanes}`)
  }
  return {
    lanes: values.lanes,
    open: async ({ part = 'rows' }) => {
      const opened = tiers[part]
      if (opened === undefined) throw invalid('tier', 'one for values', '{ rows, values }, where there are tables')
      // Each cache has a connection of its own: closing it is not closing the tier.
      return new FaultyTier(opened, { clock })
    },
  }
}
