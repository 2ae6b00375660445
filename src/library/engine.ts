// What keyspaces of one source work with once it is open: the read and the write path over it.
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { Keyspaces, type Backing } from '../cache/keyspaces.ts'
import { Reader } from '../cache/reader.ts'
import { Writer } from '../cache/writer.ts'
import type { KeyspaceDescription, Source } from '../source/source.ts'
import type { Breakers } from './breakers.ts'
import type { Events } from './events.ts'
import { ObservedSource } from './observed-source.ts'
import type { Telemetry } from './telemetry.ts'
import { GuardedSource, type Guards } from './guarded-source.ts'
import type { OpenedSource } from './opened.ts'
import type { ResolvedKeyspace } from './options.ts'
import type { Counts } from './stats.ts'
import { TableSource } from './table-source.ts'

export interface EngineParts {
  readonly clock: Clock
  readonly random: Random
  /** By keyspace. */
  readonly counts: ReadonlyMap<string, Counts>
  readonly breakers: Breakers
  readonly events: Events
  readonly telemetry: Telemetry | undefined
  /** What stands in front of the source, over all that guards its loads. */
  readonly over?: ((source: Source<unknown>) => Source<unknown>) | undefined
}

// What is built is built for one key each: nobody waits for another's, and nothing outside has to be spared.
const EACH_BY_ITSELF = { batchMax: 1, waitingMax: Infinity } as const

export class Engine {
  readonly reader: Reader<unknown>
  readonly writer: Writer<unknown>
  readonly opened: OpenedSource
  readonly #keyspaces: Keyspaces<unknown>

  constructor(given: OpenedSource, settings: readonly ResolvedKeyspace[], parts: EngineParts) {
    const { clock, random, counts } = parts
    const opened = { ...given, backing: backingFor(given, settings, parts) }
    const { backing } = opened
    this.opened = opened
    const byName = new Map(opened.descriptions.map(each => [each.name, each]))
    const options = settings.map(
      ({ name, source, load, maxStalenessMs, whenStale, ttlMs, missingTtlMs, ttlJitter }) => ({
        description: byName.get(name)!,
        backing,
        maxStalenessMs,
        whenStale,
        loadLimits: source === undefined ? { ...EACH_BY_ITSELF, ...load.limits } : load.limits,
        ttlJitter,
        ...(ttlMs === undefined ? {} : { ttlMs }),
        ...(missingTtlMs === undefined ? {} : { missingTtlMs }),
      }),
    )
    this.#keyspaces = new Keyspaces(options, clock, (rows, failed, name) => counts.get(name)?.loaded(rows, failed))
    this.reader = new Reader(this.#keyspaces, clock, random)
    this.writer = new Writer(this.#keyspaces, clock, random)
  }

  /** How its keyspaces look from now on: their tables were altered. */
  describe(descriptions: readonly KeyspaceDescription[]): void {
    this.#keyspaces.describe(descriptions)
  }
}

function backingFor(
  { backing }: OpenedSource,
  settings: readonly ResolvedKeyspace[],
  parts: EngineParts,
): Backing<unknown> {
  const guards = guardsOf(settings, parts.breakers)
  // Each attempt is told of.
  const observed = new ObservedSource(backing.source, parts)
  const guarded = guards.size === 0 ? observed : new GuardedSource({ ...parts, source: observed, guards })
  const source = parts.over?.(guarded) ?? guarded
  // Of a database as many as it has connections for; of what a user wrote as many as the user says.
  const { source: own, load } = settings[0]!
  const loadsMax = own === undefined ? Infinity : own instanceof TableSource ? undefined : load.limits.underWayMax
  return { ...backing, source, ...(loadsMax === undefined ? {} : { loadsMax }) }
}

function guardsOf(settings: readonly ResolvedKeyspace[], breakers: Breakers): ReadonlyMap<string, Guards> {
  const guards = new Map<string, Guards>()
  for (const { name, source, load } of settings) {
    const { retries } = load
    const breaker = breakers.of(name)
    // Functions and builds see to their time by themselves: they have a signal.
    const timeoutMs = source instanceof TableSource ? load.timeoutMs : undefined
    if (retries > 0 || breaker !== undefined || timeoutMs !== undefined)
      guards.set(name, { timeoutMs, retries, breaker })
  }
  return guards
}
