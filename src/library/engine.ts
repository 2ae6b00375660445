// What keyspaces of one source work with once it is open: the read and the write path over it.
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { Keyspaces } from '../cache/keyspaces.ts'
import { Reader } from '../cache/reader.ts'
import { Writer } from '../cache/writer.ts'
import type { KeyspaceDescription } from '../source/source.ts'
import type { Events } from './events.ts'
import { ObservedSource } from './observed-source.ts'
import type { Telemetry } from './telemetry.ts'
import type { OpenedSource } from './opened.ts'
import type { ResolvedKeyspace } from './options.ts'
import type { Counts } from './stats.ts'

export interface EngineParts {
  readonly clock: Clock
  readonly random: Random
  /** By keyspace. */
  readonly counts: ReadonlyMap<string, Counts>
  readonly events: Events
  readonly telemetry: Telemetry | undefined
}

const EACH_BY_ITSELF = { batchMax: 1, waitingMax: Infinity } as const

export class Engine {
  readonly reader: Reader<unknown>
  readonly writer: Writer<unknown>
  readonly opened: OpenedSource
  readonly #keyspaces: Keyspaces<unknown>

  constructor(given: OpenedSource, settings: readonly ResolvedKeyspace[], parts: EngineParts) {
    const { clock, random, counts } = parts
    const source = new ObservedSource(given.backing.source, parts)
    const opened = { ...given, backing: { ...given.backing, source } }
    this.opened = opened
    const byName = new Map(opened.descriptions.map(each => [each.name, each]))
    // What is built is built for one key each: nobody waits for another's, and nothing outside has to be spared.
    const built = settings.every(({ source }) => source === undefined)
    const backing = built ? { ...opened.backing, loadsMax: Infinity } : opened.backing
    const options = settings.map(({ name, maxStalenessMs, whenStale, ttlMs, missingTtlMs, ttlJitter }) => ({
      description: byName.get(name)!,
      backing,
      maxStalenessMs,
      whenStale,
      loadLimits: built ? EACH_BY_ITSELF : {},
      ttlJitter,
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(missingTtlMs === undefined ? {} : { missingTtlMs }),
    }))
    this.#keyspaces = new Keyspaces(options, clock, (rows, failed, name) => counts.get(name)?.loaded(rows, failed))
    this.reader = new Reader(this.#keyspaces, clock, random)
    this.writer = new Writer(this.#keyspaces, clock, random)
  }

  /** How its keyspaces look from now on: their tables were altered. */
  describe(descriptions: readonly KeyspaceDescription[]): void {
    this.#keyspaces.describe(descriptions)
  }
}
