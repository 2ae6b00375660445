// Keyspaces, as the read and the write path see them: each with its source and what stands in front of that. Which one a
// key belongs to is said by what stands before its first ':'.
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { limits } from '../base/limits.ts'
import { keyHash, laneOf } from '../coherence/lane.ts'
import { parseRowId } from '../source/row-id.ts'
import type { KeyspaceDescription, RowId, Source } from '../source/source.ts'
import type { Tier } from '../tier/tier.ts'
import { AbsenceShare } from './absence-share.ts'
import type { NearCache } from './near-cache.ts'
import type { Proofs } from './proofs.ts'
import { SourceLoads, type CountLoads, type LoadLimits } from './source-loads.ts'
import { TierCalls } from './tier-calls.ts'
import { TierReads } from './tier-reads.ts'

/** What to do when no answer is proved as fresh as asked for. */
export type WhenStale = 'source' | 'serve' | 'fail'

/** A source and what stands in front of it. One object for all keyspaces of the source. */
export interface Backing<V = Uint8Array> {
  readonly source: Source<V>
  readonly tier: Tier<V>
  /** None in front of a tier that is in this process's own memory. */
  readonly near?: NearCache<V>
  readonly proofs: Proofs
  /** Queries for loads under way in the source: `limits.sourceLoadsMax` unless said otherwise. */
  readonly loadsMax?: number
}

export interface KeyspaceOptions<V = Uint8Array> {
  readonly description: KeyspaceDescription
  readonly backing: Backing<V>
  /** Infinity, for a source without a log alone: the time to live governs. */
  readonly maxStalenessMs: number
  readonly whenStale: WhenStale
  /** A connection sees what it wrote, and nothing older than what it has seen. */
  readonly session?: boolean
  /** How long records are kept at most. For a source without a log `limits.loglessTtlMsDefault` unless said otherwise. */
  readonly ttlMs?: number
  /** How long it is remembered that the source has no such key: as `ttlMs` unless said otherwise; 0: not at all. */
  readonly missingTtlMs?: number
  /** In [0, 1]: the share of its time to live that a value may lose at random. None unless said otherwise. */
  readonly ttlJitter?: number
  /** How its loads are gathered. */
  readonly loadLimits?: LoadLimits
}

export interface Keyspace<V = Uint8Array> extends Omit<KeyspaceOptions<V>, 'description'> {
  /** As the source last described it: tables are altered. */
  description: KeyspaceDescription
  keyColumns: KeyspaceDescription['columns']
  readonly loads: SourceLoads<V>
  readonly calls: TierCalls
  readonly looks: TierReads<V>
  readonly absences: AbsenceShare
  /** What the tier is to whoever asks: one that is not shared is this process's own memory. */
  readonly memory: 'near' | 'tier'
}

/** A key, taken apart. */
export interface PlacedKey<V = Uint8Array> {
  readonly keyspace: Keyspace<V>
  readonly key: string
  readonly id: RowId
  readonly lane: number
}

export class Keyspaces<V = Uint8Array> {
  /** In the order of the numbers by which records name them. */
  readonly all: readonly Keyspace<V>[]
  readonly #byName: ReadonlyMap<string, Keyspace<V>>

  constructor(options: readonly KeyspaceOptions<V>[], clock: Clock, count: CountLoads) {
    const shared = new Map<Backing<V>, Pick<Keyspace<V>, 'loads' | 'calls' | 'looks'>>()
    this.all = options.map(keyspace => {
      const { description, backing } = keyspace
      let parts = shared.get(backing)
      if (parts === undefined) {
        const { tier, near, proofs, loadsMax } = backing
        const calls = new TierCalls(tier.lanes, clock)
        parts = {
          loads: new SourceLoads(backing.source, clock, count, {
            limits: limitsOf(options, backing),
            ...(loadsMax === undefined ? {} : { underWayMax: loadsMax }),
          }),
          calls,
          looks: new TierReads({ source: backing.source, tier, near, proofs, calls, clock }),
        }
        shared.set(backing, parts)
      }
      return {
        ...(backing.source.log === false ? { ttlMs: limits.loglessTtlMsDefault } : {}),
        ...keyspace,
        ...parts,
        absences: new AbsenceShare(),
        keyColumns: keyColumnsOf(description),
        memory: 'subscribe' in backing.tier ? 'tier' : 'near',
      }
    })
    this.#byName = new Map(this.all.map(keyspace => [keyspace.description.name, keyspace]))
  }

  /** Takes keyspaces as their source describes them from now on. */
  describe(descriptions: readonly KeyspaceDescription[]): void {
    for (const description of descriptions) {
      const keyspace = this.#byName.get(description.name)
      assert(keyspace !== undefined, 'a source describes the keyspaces that are of it')
      keyspace.description = description
      keyspace.keyColumns = keyColumnsOf(description)
    }
  }

  /** Throws ROW_KEY_INVALID for a key that no row can have. */
  place(key: string): PlacedKey<V> {
    const colon = key.indexOf(':')
    const keyspace = this.#byName.get(key.slice(0, Math.max(0, colon)))
    assert(keyspace !== undefined, 'a row key names a keyspace')
    const id = key.slice(colon + 1)
    // Keys of what is no table are taken as they are.
    if (keyspace.keyColumns.length > 0) parseRowId(keyspace.description.name, keyspace.keyColumns, id)
    return { keyspace, key, id, lane: laneOf(keyHash(key), keyspace.backing.tier.lanes) }
  }
}

function limitsOf<V>(options: readonly KeyspaceOptions<V>[], backing: Backing<V>): ReadonlyMap<string, LoadLimits> {
  const ofBacking = options.filter(each => each.backing === backing)
  return new Map(ofBacking.map(({ description, loadLimits = {} }) => [description.name, loadLimits]))
}

function keyColumnsOf({ columns, keyColumns }: KeyspaceDescription): KeyspaceDescription['columns'] {
  const byName = new Map(columns.map(column => [column.name, column]))
  return keyColumns.map(name => byName.get(name)!)
}
