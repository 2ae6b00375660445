// The write path: the database first, in one transaction; then the rows that it returned go to the tier, and the near entries
// leave; then the caller goes on. A tier that is slow or gone does not fail a write: the feed repairs it, and until then the
// proof covers the time.
//
// For a source without a log there is no feed. A fence goes up on every key before the write, and the row takes the place of
// its own fence only; nobody loads a key while its fence stands.
// Not for: reading (reader.ts), and gathering several callers' writes (cache.ts).
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import type { VoidOutcome } from '../coherence/operations.ts'
import { randomToken, type Token } from '../coherence/record.ts'
import { ticketAfter, type SessionTicket } from '../coherence/session.ts'
import type { WriteStamp } from '../coherence/stamp.ts'
import type { RowOperation, RowOutcome, WriteResult } from '../source/source.ts'
import type { Keyspace, Keyspaces, PlacedKey } from './keyspaces.ts'
import { TimesToLive, ttlOf } from './time-to-live.ts'

export interface CacheWrite<V = Uint8Array> {
  /** The whole key, its keyspace's prefix included. */
  readonly key: string
  readonly operation: RowOperation<V>
}

export interface WriteAnswer<V = Uint8Array> {
  /** In the order of the writes. */
  readonly outcomes: readonly RowOutcome<V>[]
  /** A session that wrote this; undefined when nothing was to be written. */
  readonly session: SessionTicket | undefined
}

type PlacedWrite<V> = PlacedKey<V> & CacheWrite<V>

/** Fences that are known to be up, by key. */
type Fences = ReadonlyMap<string, Token>

export class Writer<V = Uint8Array> {
  readonly #keyspaces: Keyspaces<V>
  readonly #clock: Clock
  readonly #random: Random
  readonly #times: TimesToLive

  constructor(keyspaces: Keyspaces<V>, clock: Clock, random: Random) {
    this.#keyspaces = keyspaces
    this.#clock = clock
    this.#random = random
    this.#times = new TimesToLive(clock, random)
  }

  /**
   * One transaction for all `writes`, which are of keyspaces of one database. Rejects with CROSS_SOURCE, or as the database
   * does, and then nothing has changed (save SOURCE_TIMEOUT: that is not known).
   */
  async write(writes: readonly CacheWrite<V>[]): Promise<WriteAnswer<V>> {
    const rows = writes.map(write => ({ ...write, ...this.#keyspaces.place(write.key) }))
    const [first] = rows
    if (first === undefined) return { outcomes: [], session: undefined }
    const { source } = first.keyspace.backing
    for (const { keyspace } of rows) if (keyspace.backing.source !== source) throw crossSource(first.keyspace, keyspace)
    const beganWallMs = this.#clock.wallMs()
    const fences = source.log === false ? await this.#fence(rows) : undefined
    let result: WriteResult<V>
    try {
      result = await source.write(
        rows.map(({ keyspace, id, operation }) => ({ keyspace: keyspace.description.name, id, operation })),
      )
    } catch (error) {
      await this.#afterFailure(rows, error, fences)
      throw error
    }
    const { stamp } = result
    if (fences === undefined) await this.#keep(rows, result)
    else await this.#keepFenced(rows, result, fences, { ...stamp, upto: BigInt(Math.floor(beganWallMs)) })
    return { outcomes: result.outcomes, session: ticketAfter(undefined, stamp) }
  }

  /**
   * Writes what `change` makes of the row that the source has, as one step, to a source that can: undefined when it had nothing
   * to do. Rejects as the source does, or as `change`.
   */
  async change(key: string, change: (row: V | null) => Promise<V | null>): Promise<WriteAnswer<V> | undefined> {
    const row = this.#keyspaces.place(key)
    const { source } = row.keyspace.backing
    assert(source.change !== undefined && source.log !== false, 'the source can, and has a log')
    let result: WriteResult<V> | undefined
    try {
      result = await source.change(row.keyspace.description.name, row.id, change)
    } catch (error) {
      await this.#afterFailure([row], error, undefined)
      throw error
    }
    if (result === undefined) return undefined
    await this.#keep([row], result)
    return { outcomes: result.outcomes, session: ticketAfter(undefined, result.stamp) }
  }

  /** Removes rows from the tier and near, so that they are loaded when they are asked for. Rejects with TIER_UNAVAILABLE. */
  async invalidate(keys: readonly string[]): Promise<void> {
    const done = keys.map(key => this.#void(this.#keyspaces.place(key)))
    for (const outcome of await Promise.all(done)) {
      if (outcome !== undefined) continue
      throw new TidemarkError('TIER_UNAVAILABLE', `the tier did not answer within ${limits.tierTimeoutMs} ms`)
    }
  }

  async #afterFailure(rows: readonly PlacedKey<V>[], error: unknown, fences: Fences | undefined): Promise<void> {
    const unknown = mayHaveChanged(error)
    if (fences !== undefined) {
      // The write may yet take place: then its fences stand until their time is over.
      if (unknown) return
      await Promise.all(rows.map(row => this.#unfence(row, undefined)))
    } else if (unknown) {
      await Promise.all(rows.map(row => this.#void(row)))
    }
  }

  async #keep(rows: readonly PlacedKey<V>[], result: WriteResult<V>): Promise<void> {
    const { stamp } = result
    const done: unknown[] = []
    for (const { row, outcome, exact } of lastOf(rows, result.outcomes)) {
      if (exact) done.push(this.#put(row, outcome, stamp))
      else done.push(this.#void(row))
    }
    await Promise.all(done)
  }

  async #put(row: PlacedKey<V>, { after }: RowOutcome<V>, stamp: WriteStamp): Promise<void> {
    const { key, lane, keyspace } = row
    const ttlMs = ttlOf(keyspace, after, this.#random)
    if (ttlMs !== undefined && ttlMs <= 0) return void (await this.#void(row))
    const value = { payload: after, stamp, ...(ttlMs === undefined ? {} : { ttlMs }) }
    const put = keyspace.calls.call(lane, () => keyspace.backing.tier.put(key, value))
    if (put instanceof Promise) await put
    keyspace.backing.near?.drop(key)
  }

  async #void(row: PlacedKey<V>): Promise<VoidOutcome | undefined> {
    const { key, lane, keyspace } = row
    const asked = keyspace.calls.call(lane, () => keyspace.backing.tier.voidKey(key))
    const outcome = asked instanceof Promise ? await asked : asked
    keyspace.backing.near?.drop(key)
    return outcome
  }

  async #fence(rows: readonly PlacedWrite<V>[]): Promise<Fences> {
    const fences = new Map<string, Token>()
    const up = [...new Map(rows.map(row => [row.key, row])).values()].map(async ({ key, lane, keyspace }) => {
      const { tier, near, source } = keyspace.backing
      const fenceMs = source.fenceMs ?? limits.fenceMs
      const id = randomToken(this.#random)
      const outcome = await keyspace.calls.call(lane, () => tier.begin(key, id, fenceMs))
      // One that comes up later may do so after other writes: it would let the row of this one in after theirs.
      if (outcome === 'fenced') fences.set(key, id)
      near?.drop(key)
    })
    await Promise.all(up)
    return fences
  }

  async #keepFenced(
    rows: readonly PlacedWrite<V>[],
    result: WriteResult<V>,
    fences: Fences,
    stamp: WriteStamp,
  ): Promise<void> {
    const kept = new Map(lastOf(rows, result.outcomes).map(last => [last.row.key, last]))
    const done = rows.map(async row => {
      const last = kept.get(row.key)
      const { key, lane, keyspace } = row
      const fence = fences.get(key)
      if (fence === undefined || last?.exact !== true) return this.#unfence(row, stamp)
      const { tier, near } = keyspace.backing
      const payload = last.outcome.after
      const leftMs = this.#times.left(keyspace, { payload, stamp })
      if (leftMs !== undefined && leftMs <= 0) return this.#unfence(row, stamp)
      const value = { payload, stamp, ...(leftMs === undefined ? {} : { ttlMs: leftMs }) }
      await keyspace.calls.call(lane, () => tier.putFenced(key, fence, value))
      near?.drop(key)
    })
    await Promise.all(done)
  }

  // A row without its own fence removes whatever is there: the fence, or what came after it.
  async #unfence(row: PlacedKey<V>, stamp: WriteStamp | undefined): Promise<void> {
    const { key, lane, keyspace } = row
    const { tier, near, source } = keyspace.backing
    const { epoch } = source
    const nobodys = randomToken(this.#random)
    const value = { payload: null, stamp: stamp ?? ({ kind: 'write', xid: 0n, at: 0n, epoch, upto: 0n } as const) }
    await keyspace.calls.call(lane, () => tier.putFenced(key, nobodys, value))
    near?.drop(key)
  }
}

// Errors that are not ours are those of a user's functions, and say nothing of what was changed.
function mayHaveChanged(error: unknown): boolean {
  return !(error instanceof TidemarkError) || error.code === 'SOURCE_TIMEOUT' || error.code === 'SOURCE_PARTLY'
}

interface LastWrite<V> {
  readonly row: PlacedKey<V>
  readonly outcome: RowOutcome<V>
  /** Whether the outcome is what the transaction left behind. */
  readonly exact: boolean
}

// Of several writes of one key the last one's row is what the transaction left behind, if all of them are exact.
function lastOf<V>(rows: readonly PlacedKey<V>[], outcomes: readonly RowOutcome<V>[]): LastWrite<V>[] {
  const last = new Map<string, LastWrite<V>>()
  for (const [i, row] of rows.entries()) {
    const outcome = outcomes[i]!
    if (!outcome.changed) continue
    const exact = outcome.exact && last.get(row.key)?.exact !== false
    last.set(row.key, { row, outcome, exact })
  }
  return [...last.values()]
}

function crossSource<V>(one: Keyspace<V>, other: Keyspace<V>): TidemarkError {
  return new TidemarkError(
    'CROSS_SOURCE',
    `one command writes to '${one.description.name}' of database '${one.backing.source.name}' and to ` +
      `'${other.description.name}' of database '${other.backing.source.name}', which could not be one transaction`,
  )
}
