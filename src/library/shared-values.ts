// The part of a shared tier that holds values without a log: of functions, and of nothing but the cache. Lanes belong to one
// kind of source, so these have some of their own, under a prefix of their own. Opened when the first keyspace asks for it.
import type { SharedTier } from '../tier/tier.ts'
import { LoglessTier } from '../cache/logless-tier.ts'
import { NearSubscription } from '../cache/near-subscription.ts'
import { ObjectNear } from '../cache/object-near.ts'
import type { Encryption } from '../codec/encryption.ts'
import { CodecTier } from '../tier/codec-tier.ts'
import { openTier, type TierPlace } from '../tier/open-tier.ts'
import type { LaneRange, OpenParts } from './opened.ts'
import { ValueCodecs } from './payload-codecs.ts'

export interface SharedValuesParts extends OpenParts {
  readonly place: TierPlace
  readonly range: LaneRange
  readonly encryption: Encryption | undefined
}

export interface OpenedValues {
  readonly tier: SharedTier<unknown>
  readonly near: ObjectNear
}

/** What the prefix of the rows' lanes gets, for these. */
const SUFFIX = '-values'

export class SharedValues {
  readonly codecs: ValueCodecs
  readonly #parts: SharedValuesParts
  #opening: Promise<OpenedValues & { close(): Promise<void> }> | undefined

  constructor(parts: SharedValuesParts) {
    this.#parts = parts
    this.codecs = new ValueCodecs(parts.encryption)
  }

  /** Rejects with TIER_MISMATCH; not because nobody answers. The next call tries again. */
  open(): Promise<OpenedValues> {
    if (this.#opening === undefined) {
      const opening = this.#open()
      this.#opening = opening
      opening.catch(() => {
        this.#opening = undefined
      })
    }
    return this.#opening
  }

  async close(): Promise<void> {
    const opened = await this.#opening?.catch(() => undefined)
    await opened?.close()
  }

  async #open(): Promise<OpenedValues & { close(): Promise<void> }> {
    const { place, range, places, clock, random, onError } = this.#parts
    const own = { ...place, prefix: place.prefix + SUFFIX }
    const bytes = await openTier(own, { clock, random, warn: () => {} })
    const logless = await LoglessTier.open({ tier: bytes, random, onMismatch: onError })
    const tier = new CodecTier(logless, this.codecs)
    const near = new ObjectNear({ places, ...range })
    const subscription = await NearSubscription.open({ tier, near, clock })
    return {
      tier,
      near,
      close: async () => {
        await subscription.close()
        await tier.close()
      },
    }
  }
}
