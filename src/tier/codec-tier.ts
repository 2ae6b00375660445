// A shared tier of bytes, seen as one of objects: values are encoded on their way in and decoded on their way out. Bytes that
// are no value to this process (of another codec, another version, damaged) are removed, and read as absent: whoever asked
// loads the value and stores it anew.
// A value that has no bytes does not fit either: whatever is there leaves. Who stores a value is told only that it was not kept;
// what else there is to say of it, `unkept` is told.
// So does a record of before its keyspace was cleared; where that cannot be said, or not whether its tags still hold, the tier
// has not answered.
// Not for: how values become bytes (the `PayloadCodec` says), tiers in this process's memory (object-tier.ts).
import type * as coherence from '../coherence/operations.ts'
import type { TierRecord, Token } from '../coherence/record.ts'
import { factsOf } from '../near/entry.ts'
import type { LoadStamp, Stamp, WriteStamp } from '../coherence/stamp.ts'
import type {
  Awaitable,
  LeaseOptions,
  RenewOptions,
  SharedTier,
  TierLease,
  TierRead,
  TierValue,
  TooLarge,
} from './tier.ts'
import { RecodedTier } from './wrapped-tier.ts'

/** What `decode` answers for bytes that are no value here. */
export const UNDECODABLE: unique symbol = Symbol('undecodable')

/** What `decode` answers where it cannot be said now whether they are one. */
export const UNSURE: unique symbol = Symbol('unsure')

/** What a record is that was read: of now, of before its keyspace was cleared, or nobody can say. */
export type Standing = 'current' | 'ended' | 'unknown'

export interface PayloadCodec {
  /** Never null: the absence of a value is not encoded. `lastsMs`: Infinity where nobody says. Throws for what has no bytes. */
  encode(key: string, payload: unknown, lastsMs: number): Uint8Array
  decode(key: string, bytes: Uint8Array): Awaitable<unknown>
}

/** What is told of values that are not in the tier although somebody stored them. */
export interface UnkeptReports {
  /** The tier did not take so many bytes. */
  refused(key: string, bytes: number): void
  /** `error`: why it has no bytes. */
  unencodable(key: string, error: unknown): void
}

const silent: UnkeptReports = { refused: () => {}, unencodable: () => {} }

export class CodecTier extends RecodedTier<Uint8Array, unknown> {
  readonly lanes: number
  readonly #tier: SharedTier
  readonly #codec: PayloadCodec
  readonly #unkept: UnkeptReports
  readonly #standing: (key: string, stamp: Stamp) => Awaitable<Standing>

  constructor(
    tier: SharedTier,
    codec: PayloadCodec,
    unkept: UnkeptReports = silent,
    standing: (key: string, stamp: Stamp) => Awaitable<Standing> = () => 'current',
  ) {
    super()
    this.lanes = tier.lanes
    this.#tier = tier
    this.#codec = codec
    this.#unkept = unkept
    this.#standing = standing
  }

  protected ask<T>(call: (tier: SharedTier) => Awaitable<T>): Awaitable<T> {
    return call(this.#tier)
  }

  async read(keys: readonly string[]): Promise<readonly TierRead<unknown>[]> {
    const reads = await this.#tier.read(keys)
    return Promise.all(reads.map((read, at) => this.#decoded(keys[at]!, read)))
  }

  async lease(key: string, options: LeaseOptions): Promise<TierLease<unknown>> {
    const lease = await this.#tier.lease(key, options)
    const read = await this.#decoded(key, lease)
    if (lease.record === undefined || read.record !== undefined) return { outcome: lease.outcome, ...read }
    if (read.lane === undefined) return { outcome: 'no-lane', ...read }
    // What was in the way is gone.
    const again = await this.#tier.lease(key, options)
    return { outcome: again.outcome, ...(await this.#decoded(key, again)) }
  }

  async renew(key: string, options: RenewOptions): Promise<TierLease<unknown>> {
    const lease = await this.#tier.renew(key, options)
    return { outcome: lease.outcome, ...(await this.#decoded(key, lease)) }
  }

  async fill(
    key: string,
    token: Token,
    value: TierValue<LoadStamp, unknown>,
  ): Promise<coherence.FillOutcome | TooLarge> {
    const encoded = this.#encoded(key, value)
    if (encoded !== undefined) return this.#told(key, encoded, await this.#tier.fill(key, token, encoded))
    // What others have stored since is not in the way of it.
    await this.#tier.hold(key, token, 0)
    return 'too-large'
  }

  async put(key: string, value: TierValue<WriteStamp, unknown>): Promise<coherence.PutOutcome | TooLarge> {
    const encoded = this.#encoded(key, value)
    if (encoded !== undefined) return this.#told(key, encoded, await this.#tier.put(key, encoded))
    await this.#tier.voidKey(key)
    return 'too-large'
  }

  async putFenced(
    key: string,
    id: Token,
    value: TierValue<WriteStamp, unknown>,
  ): Promise<coherence.PutFencedOutcome | TooLarge> {
    const encoded = this.#encoded(key, value)
    if (encoded !== undefined) return this.#told(key, encoded, await this.#tier.putFenced(key, id, encoded))
    // A row without its own fence removes the fence.
    await this.#tier.putFenced(key, id ^ 1n, { payload: null, stamp: value.stamp })
    return 'too-large'
  }

  close(): Promise<void> {
    return this.#tier.close()
  }

  #told<O extends string>(key: string, { payload }: TierValue<Stamp>, outcome: O): O {
    if (outcome === 'too-large') this.#unkept.refused(key, payload?.length ?? 0)
    return outcome
  }

  // undefined: it has no bytes.
  #encoded<Stamp>(key: string, value: TierValue<Stamp, unknown>): TierValue<Stamp> | undefined {
    const { payload, stamp } = value
    // Whoever stores it has counted how much of its time is left.
    const lastsMs = value.ttlMs ?? factsOf(payload).ttlMs ?? Infinity
    let bytes: Uint8Array | null
    try {
      bytes = payload === null ? null : this.#codec.encode(key, payload, lastsMs)
    } catch (error) {
      this.#unkept.unencodable(key, error)
      return undefined
    }
    return lastsMs === Infinity ? { payload: bytes, stamp } : { payload: bytes, stamp, ttlMs: lastsMs }
  }

  async #decoded(key: string, { lane, record }: TierRead): Promise<TierRead<unknown>> {
    if (record?.type !== 'value') return { lane, record }
    const asked = this.#standing(key, record.stamp)
    const standing = asked instanceof Promise ? await asked : asked
    if (standing === 'unknown') return { lane: undefined, record: undefined }
    if (standing === 'current' && record.payload === null) return { lane, record }
    const payload = standing === 'ended' ? UNDECODABLE : await this.#codec.decode(key, record.payload!)
    if (payload === UNSURE) return { lane: undefined, record: undefined }
    if (payload !== UNDECODABLE) return { lane, record: { ...record, payload } satisfies TierRecord<unknown> }
    await this.#tier.voidKey(key)
    return { lane, record: undefined }
  }
}
