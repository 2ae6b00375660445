// The part of a shared tier that holds values without a log: of functions, of nothing but the cache, and what tags and editions
// of keyspaces are now.
// Lanes belong to one kind of source, so these have some of their own. Opened when the first
// keyspace asks for it.
import { sleep } from '../base/clock.ts'
import { Keyspaces } from '../cache/keyspaces.ts'
import { LoglessTier } from '../cache/logless-tier.ts'
import { NearSubscription } from '../cache/near-subscription.ts'
import { ObjectNear } from '../cache/object-near.ts'
import { Reader } from '../cache/reader.ts'
import { Writer } from '../cache/writer.ts'
import type { Encryption } from '../codec/encryption.ts'
import { structuredCodec } from '../codec/structured-codec.ts'
import { keyHash, laneOf } from '../coherence/lane.ts'
import type { Tags } from '../near/tags.ts'
import type { Source } from '../source/source.ts'
import { CodecTier } from '../tier/codec-tier.ts'
import type { SharedTier } from '../tier/tier.ts'
import { BuiltValues } from './built-values.ts'
import { Editions } from './editions.ts'
import { EditionSource } from './edition-source.ts'
import { Engine, type EngineParts } from './engine.ts'
import type { LaneRange, OpenParts } from './opened.ts'
import type { ResolvedKeyspace } from './options.ts'
import { ValueCodecs } from './payload-codecs.ts'
import { SharedTags, TAGS, type TagBook, type TagValues } from './tag-book.ts'
import type { SharedPlace } from './tier-place.ts'
import type { ValueReports } from './value-reports.ts'

export interface TierValuesParts extends OpenParts {
  readonly place: SharedPlace
  readonly range: LaneRange
  readonly encryption: Encryption | undefined
  readonly tags: Tags
  readonly reports: ValueReports
}

interface Opened extends TagValues {
  readonly tier: SharedTier<unknown>
  readonly near: ObjectNear
  readonly editions: Editions
  close(): Promise<void>
}

/** A tag that was just drawn is near once its fill is through. */
const TAG_PAUSES_MS = [0, 1, 2, 5, 10, 20] as const

export class TierValues {
  readonly codecs: ValueCodecs
  readonly book: TagBook
  readonly #parts: TierValuesParts
  readonly #readers: Reader<unknown>[] = []
  #opening: Promise<Opened> | undefined

  constructor(parts: TierValuesParts) {
    const { tags, random, clock, encryption, reports } = parts
    this.#parts = parts
    const values: TagValues = {
      generation: async (name, draw) => (await this.#opened()).generation(name, draw),
      set: async (name, generation) => (await this.#opened()).set(name, generation),
    }
    this.book = new SharedTags(tags, values, random)
    this.codecs = new ValueCodecs(encryption, clock, this.book, reports.undecodable)
    this.codecs.add({ name: TAGS, codec: structuredCodec() })
  }

  /** A keyspace of them. Rejects with TIER_MISMATCH; not because nobody answers. The next call tries again. */
  async join(settings: ResolvedKeyspace, source: Source<unknown>, parts: EngineParts): Promise<Engine> {
    const { name } = settings
    const { tier, near, editions } = await this.#opened()
    const stamped = new EditionSource(source, name, editions)
    const opened = {
      backing: { source: stamped, tier, near, proofs: { known: () => undefined, samples: () => [] } },
      descriptions: [{ name, table: name, columns: [], keyColumns: [] }],
      close: () => source.close(),
    }
    const engine = new Engine(opened, [settings], parts)
    this.#readers.push(engine.reader)
    const space = this.#parts.places.space(name)
    editions.follow(name, {
      lost: () => space.clear(),
      ended: () => {
        space.clear()
        engine.reader.giveUpLoads()
      },
    })
    return engine
  }

  /** Ends what all who share the tier have of a keyspace that was joined. Rejects with TIER_UNAVAILABLE. */
  async clear(keyspace: string): Promise<void> {
    const { editions } = await this.#opened()
    await editions.end(keyspace)
  }

  /** What was loaded or built is in the tier then; nothing is asked for any more. */
  async close(): Promise<void> {
    const opened = await this.#opening?.catch(() => undefined)
    await Promise.all(this.#readers.map(reader => reader.finish()))
    await opened?.close()
  }

  #opened(): Promise<Opened> {
    if (this.#opening === undefined) {
      const opening = this.#open()
      this.#opening = opening
      opening.catch(() => {
        this.#opening = undefined
      })
    }
    return this.#opening
  }

  async #open(): Promise<Opened> {
    const { place, range, places, tags, reports, clock, random, onError } = this.#parts
    const bytes = await place.open({ clock, random, warn: onError, part: 'values' })
    const logless = await LoglessTier.open({ tier: bytes, random, onMismatch: onError })
    const editions = new Editions({ tier: logless, near: { lane: lane => near.lane(lane) }, clock, random })
    const near: ObjectNear = new ObjectNear({
      places,
      ...range,
      gone: heardBy(tags, editions, range.lanes),
      mayHold: (key, stamp) => editions.mayBeNear(key, stamp),
    })
    const tier = new CodecTier(logless, this.codecs, reports, (key, stamp) => editions.standing(key, stamp))
    const subscription = await NearSubscription.open({ tier, near, clock })
    return {
      tier,
      near,
      editions,
      ...this.#tagValues(tier, near),
      close: async () => {
        await subscription.close()
        await tier.close()
      },
    }
  }

  #tagValues(tier: SharedTier<unknown>, near: ObjectNear): TagValues {
    const { clock, random } = this.#parts
    const built = new BuiltValues(TAGS)
    const keyspace = {
      description: { name: TAGS, table: TAGS, columns: [], keyColumns: [] },
      backing: { source: built, tier, near, proofs: { known: () => undefined, samples: () => [] } },
      maxStalenessMs: Infinity,
      whenStale: 'source',
      ttlMs: Infinity,
    } as const
    const keyspaces = new Keyspaces<unknown>([keyspace], clock, () => {})
    const reader = new Reader(keyspaces, clock, random)
    const writer = new Writer(keyspaces, clock, random)
    return {
      generation: async (name, draw) => {
        const key = `${TAGS}:${name}`
        for (const pauseMs of TAG_PAUSES_MS) {
          if (pauseMs > 0) await sleep(clock, pauseMs)
          const { forget } = built.expect(name, { build: draw })
          try {
            const { value } = await reader.read(key)
            // Held near: from now on a message tells when it is over.
            if (near.find(key)?.record.payload === value) return value as bigint
          } finally {
            forget()
          }
        }
        return undefined
      },
      set: async (name, generation) => {
        const key = `${TAGS}:${name}`
        // Rejects when the tier cannot be reached: the write alone would be acknowledged, and others would never be told.
        await writer.invalidate([key])
        await writer.write([{ key, operation: { kind: 'replace', row: generation } }])
      },
    }
  }
}

/** Tags and editions end here as their values do near. */
function heardBy(tags: Tags, editions: Editions, lanes: number): { key(key: string): void; lane(lane: number): void } {
  const prefix = `${TAGS}:`
  return {
    key: key => {
      editions.heardOfKey(key)
      if (key.startsWith(prefix)) tags.giveUp(key.slice(prefix.length))
    },
    lane: lane => {
      editions.lostLane(lane)
      for (const name of tags.names()) if (laneOf(keyHash(prefix + name), lanes) === lane) tags.giveUp(name)
    },
  }
}
