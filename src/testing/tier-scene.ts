// A lane with a few keys, and short words for what can happen to it: what the tests of the tier contract are written in.
import assert from 'node:assert/strict'
import type { Generation } from '../coherence/generation.ts'
import { keyHash, laneOf, type LaneState } from '../coherence/lane.ts'
import type { Position } from '../coherence/mark.ts'
import type { ApplyOutcome } from '../coherence/operations.ts'
import type { TierRecord, Token } from '../coherence/record.ts'
import { boundedSnapshot, type ChangeEvent, type LoadStamp, type Stamp, type WriteStamp } from '../coherence/stamp.ts'
import type { Awaitable, LeaseOptions, Tier, TierLease } from '../tier/tier.ts'
import type { ManualClock } from './clock.ts'

/** What an implementer gives to the contract: a fresh tier, no lane of which has a header. */
export interface TierFixture {
  readonly tier: Tier
  /** The tier's own clock. */
  readonly clock: ManualClock
  /** Remembers all; the function returned brings it back. Left out where a tier cannot be rolled back. */
  checkpoint?(): Awaitable<() => Awaitable<void>>
  /** Makes the tier run on another primary than the one its headers were written on. Left out where there is one only. */
  moveToShard?(shard: string): Awaitable<void>
  /** Resolves some time later, for messages to arrive. Left out where they have when the operation ends. */
  settle?(): Promise<void>
  close?(): Awaitable<void>
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const EPOCH: bigint = 7n
/** Where the scene's lane starts. */
export const START: bigint = 100n
export const LEASE_MS: number = 1_000
const NEIGHBOURS = 4

type LoadOptions = Partial<Pick<LoadStamp, 'lsn' | 'flush' | 'epoch'>> & {
  /** Transactions that the load sees: all below `xmax` but `running`. More than 16 running make it inexact. */
  readonly xmax?: bigint
  readonly xmin?: bigint
  readonly running?: readonly bigint[]
}

export class TierScene {
  readonly fixture: TierFixture
  readonly tier: Tier
  readonly lane: number
  /** Keys of `lane`; `key` is the one that most tests are about. */
  readonly key: string
  readonly neighbours: readonly string[]
  /** A key of another lane; undefined when there is one lane only. */
  readonly stranger: string | undefined
  #nonce = 1

  constructor(fixture: TierFixture) {
    this.fixture = fixture
    this.tier = fixture.tier
    this.key = 'contract:0'
    this.lane = this.laneOf(this.key)
    const neighbours: string[] = []
    for (let index = 1; neighbours.length < NEIGHBOURS; index++) {
      const name = `contract:${index}`
      if (this.laneOf(name) === this.lane) neighbours.push(name)
      else this.stranger ??= name
    }
    this.neighbours = neighbours
  }

  laneOf(key: string): number {
    return laneOf(keyHash(key), this.tier.lanes)
  }

  /** Gives the lane a new generation, whatever it was before. */
  async reset(to: Position = START, epoch: bigint = EPOCH): Promise<LaneState> {
    const expected = await this.tier.lane(this.lane)
    const { outcome, lane } = await this.tier.reset(this.lane, { expected, to, generation: this.generation(epoch) })
    assert.equal(outcome, 'reset')
    assert.ok(lane)
    return lane
  }

  generation(epoch: bigint = EPOCH): Generation {
    return { epoch, nonce: this.#nonce++ }
  }

  async state(): Promise<LaneState> {
    const lane = await this.tier.lane(this.lane)
    assert.ok(lane, 'the lane has a header')
    return lane
  }

  write(xid: bigint, at: Position, epoch: bigint = EPOCH): WriteStamp {
    return { kind: 'write', xid, at, epoch, upto: at }
  }

  load(options: LoadOptions = {}): LoadStamp {
    const { xmax = 1n, running = [], lsn = START, flush = 1_000_000n, epoch = EPOCH } = options
    const xmin = options.xmin ?? running[0] ?? xmax
    return { kind: 'load', snapshot: boundedSnapshot(xmin, xmax, running), flush, lsn, epoch, upto: flush }
  }

  put(text: string | null, stamp: WriteStamp, key: string = this.key): ReturnType<Tier['put']> {
    return this.tier.put(key, { payload: bytesOf(text), stamp })
  }

  async lease(token: Token, key: string = this.key, epoch: bigint = EPOCH): Promise<string> {
    return (await this.look(token, key, epoch)).outcome
  }

  /** The whole answer to a lease. */
  async look(token: Token, key: string = this.key, epoch: bigint = EPOCH): Promise<TierLease> {
    return await this.tier.lease(key, this.leaseOptions(token, epoch))
  }

  leaseOptions(token: Token, epoch: bigint = EPOCH): LeaseOptions {
    return { token, epoch, leaseMs: LEASE_MS }
  }

  async renew(token: Token, than?: Stamp): Promise<string> {
    return (await this.tier.renew(this.key, { ...this.leaseOptions(token), than })).outcome
  }

  fill(token: Token, text: string | null, stamp: LoadStamp, key: string = this.key): ReturnType<Tier['fill']> {
    return this.tier.fill(key, token, { payload: bytesOf(text), stamp })
  }

  /** Lease and fill, both expected to be taken. */
  async loadInto(text: string | null, stamp: LoadStamp, key: string = this.key): Promise<void> {
    assert.equal(await this.lease(999n, key), 'granted')
    assert.equal(await this.fill(999n, text, stamp, key), 'filled')
  }

  begin(id: Token, fenceMs: number = LEASE_MS): ReturnType<Tier['begin']> {
    return this.tier.begin(this.key, id, fenceMs)
  }

  putFenced(id: Token, text: string, stamp: WriteStamp = this.write(1n, START)): ReturnType<Tier['putFenced']> {
    return this.tier.putFenced(this.key, id, { payload: bytesOf(text), stamp })
  }

  event(xid: bigint, lsn: Position, change: Position = lsn - 1n, key: string = this.key): ChangeEvent {
    return { key, xid, lsn, change }
  }

  /** Applies from wherever the lane is. */
  async apply(lsn: Position, events: readonly ChangeEvent[] = [], sub: Position = 0n): Promise<ApplyOutcome> {
    const { generation, mark } = await this.state()
    const request = { generation, prev: mark, next: { lsn, sub }, events }
    return (await this.tier.apply(this.lane, request)).outcome
  }

  async record(key: string = this.key): Promise<TierRecord | undefined> {
    const [answer] = await this.tier.read([key])
    return answer!.record
  }

  /** The live value's text, null when it is known to be absent, undefined when there is no value. */
  async value(key: string = this.key): Promise<string | null | undefined> {
    const record = await this.record(key)
    if (record?.type !== 'value') return undefined
    return record.payload === null ? null : decoder.decode(record.payload)
  }

  /** Moves time on until no lease or fence of the scene lives any more. */
  outlive(): void {
    this.fixture.clock.advance(LEASE_MS + 1)
  }
}

export function bytesOf(text: string | null): Uint8Array | null {
  return text === null ? null : encoder.encode(text)
}
