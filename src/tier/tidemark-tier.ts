// A Tidemark server as the tier of others (`tidemark://host:port`): the operations as its command TM.TIER, one connection for
// all of them and for the lanes' messages. Not replicated: when that server is gone, rows come from the database, and when it
// is back it begins empty. Not for: how arguments are spelt (tidemark-protocol.ts), or what they do (server/).
import type { Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'
import type { Generation } from '../coherence/generation.ts'
import type { LaneState } from '../coherence/lane.ts'
import type {
  ApplyOutcome,
  ApplyRequest,
  BeginOutcome,
  FillOutcome,
  HoldOutcome,
  LeaseOutcome,
  PutFencedOutcome,
  PutOutcome,
  ResetOutcome,
  VoidOutcome,
} from '../coherence/operations.ts'
import type { FenceRecord, LeaseRecord, TierRecord, Token } from '../coherence/record.ts'
import { decodeStamp, encodeStamp } from '../coherence/record-codec.ts'
import type { LoadStamp, WriteStamp } from '../coherence/stamp.ts'
import type { Reply } from '../wire/reply.ts'
import * as protocol from './tidemark-protocol.ts'
import { type Send, type TierAddress, TierConnection, accepted } from './tier-connection.ts'
import type {
  LaneListener,
  LaneSubscription,
  LeaseOptions,
  RenewOptions,
  ResetOptions,
  SharedTier,
  TierLane,
  TierLease,
  TierRead,
  TierValue,
  TooLarge,
} from './tier.ts'

export interface TidemarkTierOptions {
  readonly address: TierAddress
  /** As many as the server has, or it is refused (TIER_MISMATCH). */
  readonly lanes: number
  /** Which of the server's lanes; those for rows unless said otherwise. */
  readonly part?: protocol.TierPart
  readonly clock: Clock
}

export class TidemarkTier implements SharedTier {
  readonly lanes: number
  readonly #connection: TierConnection
  readonly #listeners = new Set<LaneListener>()
  readonly #part: protocol.TierPart
  #subscribed = false

  /** Connects in the background; until it has, every call rejects with TIER_UNAVAILABLE. */
  constructor({ address, lanes, clock, part = 'rows' }: TidemarkTierOptions) {
    this.lanes = lanes
    this.#part = part
    this.#connection = new TierConnection({
      address,
      clock,
      greet: send => this.#greet(send),
      onPush: push => this.#pushed(push),
      onDown: () => this.#lost(),
    })
  }

  /** Resolves once the server has been reached; rejects when the first attempt failed, with TIER_MISMATCH for good. */
  ready(): Promise<void> {
    return this.#connection.ready()
  }

  async #greet(send: Send): Promise<void> {
    const hello = await send(['TM.TIER', 'HELLO', String(protocol.PROTOCOL_VERSION), this.#part])
    const lanes = Array.isArray(hello) ? Number(hello[1]) : undefined
    if (lanes !== this.lanes) {
      throw new TidemarkError('TIER_MISMATCH', `the tier has ${lanes} lanes, and ${this.lanes} are set (tier.lanes)`)
    }
    if (this.#listeners.size === 0) return
    await send(['TM.TIER', 'SUBSCRIBE'])
    // Messages of before are lost; those that follow come after this.
    this.#subscribed = true
    this.#lost()
  }

  #lost(): void {
    const all = Array.from({ length: this.lanes }, (_, lane) => lane)
    for (const listener of this.#listeners) listener.lost(all)
  }

  #pushed(push: readonly Reply[]): void {
    const parsed = protocol.parsePush(push)
    // One that cannot be read may be a message like any other.
    if (parsed === undefined || parsed === 'lost') return this.#lost()
    for (const listener of this.#listeners) listener.message(parsed.lane, parsed.message)
  }

  async subscribe(listener: LaneListener): Promise<LaneSubscription> {
    if (!this.#subscribed) {
      await this.#ask('SUBSCRIBE')
      this.#subscribed = true
    }
    this.#listeners.add(listener)
    return { close: () => void this.#listeners.delete(listener) }
  }

  close(): Promise<void> {
    return this.#connection.close()
  }

  async #ask(operation: string, ...args: readonly (string | Uint8Array)[]): Promise<Reply> {
    return accepted(await this.#connection.send(['TM.TIER', operation, ...args]))
  }

  async read(keys: readonly string[]): Promise<TierRead[]> {
    if (keys.length === 0) return []
    const replies = await this.#ask('READ', ...keys)
    if (!Array.isArray(replies) || replies.length !== keys.length) throw unexpected('READ', replies)
    return replies.map(reply => parseRead('READ', reply))
  }

  lease(key: string, options: LeaseOptions): Promise<TierLease> {
    return this.#leased('LEASE', key, ...leaseArguments(options))
  }

  renew(key: string, options: RenewOptions): Promise<TierLease> {
    const { than } = options
    return this.#leased('RENEW', key, ...leaseArguments(options), ...(than === undefined ? [] : [encodeStamp(than)]))
  }

  async #leased(operation: string, ...args: readonly (string | Uint8Array)[]): Promise<TierLease> {
    const reply = await this.#ask(operation, ...args)
    const outcome = Array.isArray(reply) ? protocol.textOf(reply[0]) : undefined
    if (outcome === undefined) throw unexpected(operation, reply)
    return { outcome: outcome as LeaseOutcome, ...parseRead(operation, (reply as readonly Reply[]).slice(1)) }
  }

  hold(key: string, token: Token, leaseMs: number): Promise<HoldOutcome> {
    return this.#outcome('HOLD', key, String(token), String(Math.ceil(leaseMs)))
  }

  fill(key: string, token: Token, value: TierValue<LoadStamp>): Promise<FillOutcome | TooLarge> {
    return this.#outcome('FILL', key, String(token), ...valueArguments(value))
  }

  put(key: string, value: TierValue<WriteStamp>): Promise<PutOutcome | TooLarge> {
    return this.#outcome('PUT', key, ...valueArguments(value))
  }

  voidKey(key: string): Promise<VoidOutcome> {
    return this.#outcome('VOID', key)
  }

  begin(key: string, id: Token, fenceMs: number): Promise<BeginOutcome> {
    return this.#outcome('BEGIN', key, String(id), String(fenceMs))
  }

  putFenced(key: string, id: Token, value: TierValue<WriteStamp>): Promise<PutFencedOutcome | TooLarge> {
    return this.#outcome('PUTFENCED', key, String(id), ...valueArguments(value))
  }

  async lane(lane: number): Promise<LaneState | undefined> {
    return parseLane('LANE', await this.#ask('LANE', String(lane)))
  }

  async apply(lane: number, { generation, prev, next, events }: ApplyRequest): Promise<TierLane<ApplyOutcome>> {
    const marks = [protocol.formatGeneration(generation), protocol.formatMark(prev), protocol.formatMark(next)]
    const changes = events.flatMap(event => [event.key, protocol.formatEvent(event)])
    return pair<ApplyOutcome>('APPLY', await this.#ask('APPLY', String(lane), ...marks, ...changes))
  }

  async reset(lane: number, { expected, to, generation }: ResetOptions): Promise<TierLane<ResetOutcome>> {
    const before =
      expected === undefined
        ? ''
        : `${protocol.formatGeneration(expected.generation)} ${protocol.formatMark(expected.mark)}`
    const after = protocol.formatGeneration(generation)
    return pair<ResetOutcome>('RESET', await this.#ask('RESET', String(lane), before, String(to), after))
  }

  // The server is of the same version of the protocol, so what it answers is one of the outcomes.
  async #outcome<Outcome extends string>(
    operation: string,
    ...args: readonly (string | Uint8Array)[]
  ): Promise<Outcome> {
    const reply = await this.#ask(operation, ...args)
    const outcome = protocol.textOf(reply)
    if (outcome === undefined) throw unexpected(operation, reply)
    return outcome as Outcome
  }
}

function leaseArguments({ token, epoch, leaseMs }: LeaseOptions): string[] {
  return [String(token), String(epoch), String(Math.ceil(leaseMs))]
}

/** Time to live (empty: none), stamp, and the payload if there is one. */
function valueArguments({ payload, stamp, ttlMs }: TierValue<LoadStamp | WriteStamp>): (string | Uint8Array)[] {
  const facts = [ttlMs === undefined ? '' : String(Math.ceil(ttlMs)), encodeStamp(stamp)]
  return payload === null ? facts : [...facts, payload]
}

function unexpected(operation: string, reply: Reply): TidemarkError {
  return new TidemarkError('TIER_UNAVAILABLE', `the tier answers ${operation} with something else: ${typeof reply}`)
}

function parseLane(operation: string, reply: Reply | undefined): LaneState | undefined {
  if (reply === null || reply === undefined) return undefined
  const lane = protocol.parseLane(protocol.textOf(reply) ?? '')
  if (lane === undefined) throw unexpected(operation, reply)
  return lane
}

function pair<Outcome extends string>(operation: string, reply: Reply): TierLane<Outcome> {
  if (!Array.isArray(reply)) throw unexpected(operation, reply)
  const outcome = protocol.textOf(reply[0])
  if (outcome === undefined) throw unexpected(operation, reply)
  return { outcome: outcome as Outcome, lane: parseLane(operation, reply[1]) }
}

function parseRead(operation: string, reply: Reply): TierRead {
  if (!Array.isArray(reply)) throw unexpected(operation, reply)
  const lane = parseLane(operation, reply[0])
  if (lane === undefined || !Array.isArray(reply[1])) return { lane, record: undefined }
  return { lane, record: parseRecord(lane, reply[1]) }
}

// A stamp of a version that is not known here reads as no record, which a load then replaces.
function parseRecord(lane: LaneState, [type, first, second, third, fourth]: readonly Reply[]): TierRecord | undefined {
  const { generation } = lane
  const kind = protocol.textOf(type)
  if (kind === 'value') {
    const stamp = first instanceof Buffer ? decodeStamp(first, 0, first.length) : undefined
    if (stamp === undefined) return undefined
    const renewal = third === undefined ? undefined : parseClaim('lease', generation, third, fourth)
    const value = { type: 'value', generation, stamp, payload: second instanceof Buffer ? second : null } as const
    return renewal?.type === 'lease' ? { ...value, renewal } : value
  }
  return parseClaim(kind, generation, first, second)
}

function parseClaim(
  kind: string | undefined,
  generation: Generation,
  first: Reply | undefined,
  second: Reply | undefined,
): LeaseRecord | FenceRecord | undefined {
  const [token] = protocol.parseNumbers(protocol.textOf(first) ?? '', 1) ?? []
  if (token === undefined) return undefined
  const untilMs = Number(protocol.textOf(second))
  return kind === 'lease'
    ? { type: 'lease', generation, token, untilMs }
    : { type: 'fence', generation, id: token, untilMs }
}
