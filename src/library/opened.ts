// A source that is open, with what stands in front of it: what a keyspace works with.
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Backing } from '../cache/keyspaces.ts'
import type { ObjectPlaces } from '../near/object-places.ts'
import type { KeyspaceDescription } from '../source/source.ts'

/** What all sources of a process share. */
export interface OpenParts {
  readonly places: ObjectPlaces
  readonly clock: Clock
  readonly random: Random
  /** Something happened that no call is told of. */
  readonly onError: (error: unknown) => void
}

/** The part of the object cache's lanes that a source has. */
export interface LaneRange {
  readonly firstLane: number
  readonly lanes: number
}

export interface OpenedSource {
  readonly backing: Backing<unknown>
  /** Of its keyspaces, in any order. */
  readonly descriptions: readonly KeyspaceDescription[]
  close(): Promise<void>
}
