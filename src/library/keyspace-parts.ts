// What a keyspace is made of; tidemark.ts puts it together. Not for: what it does with it (keyspace.ts).
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { ObjectPlaces } from '../near/object-places.ts'
import type { BehindKeyspace } from './behind-keyspace.ts'
import type { BuiltValues } from './built-values.ts'
import type { Engine } from './engine.ts'
import type { Events } from './events.ts'
import type { OpenedLogless } from './open-functions.ts'
import type { ResolvedKeyspace } from './options.ts'
import type { OwnWrites } from './own-writes.ts'
import type { ProofClock } from './proof-clock.ts'
import type { Counts } from './stats.ts'
import type { TagBook } from './tag-book.ts'

/** What a keyspace without a source works with: values that the cache alone has. */
export interface OwnValues {
  readonly built: BuiltValues
  /** In this process's memory; undefined: in a tier that processes share. */
  readonly opened: OpenedLogless | undefined
  /** As `opened`. */
  readonly writes: OwnWrites | undefined
}

export interface KeyspaceParts {
  readonly settings: ResolvedKeyspace
  readonly places: ObjectPlaces
  readonly clock: Clock
  readonly random: Random
  readonly proofClock: ProofClock
  readonly events: Events
  readonly counts: Counts
  readonly tags: TagBook
  /** The source, opened at the first call; a failure is for that call, and the next one tries again. */
  readonly open: () => Promise<Engine>
  /** Takes what is to be done when the cache is closed. */
  readonly onClose: (shut: () => void) => void
  readonly own: OwnValues | undefined
  /** Of one that writes behind. */
  readonly behind: BehindKeyspace | undefined
  /** What processes share of its values is given up, once it is open; undefined: they share none, or rows that a log proves. */
  readonly clearShared: (() => Promise<void>) | undefined
}
