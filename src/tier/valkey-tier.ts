// The tier that many processes share: a Valkey or Redis server, or a cluster of them. Every operation is one function of
// valkey-library.lua, atomic on its lane's server; `read` is a plain MGET of a lane's header and records.
// Not for: connections, redirections and retries (valkey-nodes.ts), bytes (valkey-bytes.ts), messages (valkey-subscriptions.ts).
//
// A call resolves, or rejects with TIER_UNAVAILABLE, within `timeoutMs`. Whether one that was rejected took effect is not known;
// none does harm by taking effect late, or twice: docs/internals/valkey-tier.md goes through them.
import { ErrorReply } from 'redis'
import { assert } from '../base/assert.ts'
import { systemClock, type Clock } from '../base/clock.ts'
import { messageOf, TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { systemRandom, type Random } from '../base/random.ts'
import { generationsEqual } from '../coherence/generation.ts'
import { keyHash, laneOf, type LaneState } from '../coherence/lane.ts'
import { compareMarks } from '../coherence/mark.ts'
import { applyToLane } from '../coherence/operations.ts'
import type * as coherence from '../coherence/operations.ts'
import type { ApplyRequest } from '../coherence/operations.ts'
import { isLive, randomToken, type TierRecord, type Token } from '../coherence/record.ts'
import type { LoadStamp, WriteStamp } from '../coherence/stamp.ts'
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
import * as bytes from './valkey-bytes.ts'
import { createTemplate } from './valkey-connection.ts'
import type {
  ValkeyAddress,
  ValkeyArguments,
  ValkeyClientOptions,
  ValkeyReply,
  ValkeyTemplate,
  ValkeyTimes,
} from './valkey-connection.ts'
import { ValkeyFunctions, type FunctionName } from './valkey-functions.ts'
import { LaneNames, laneTags, slotOf } from './valkey-lanes.ts'
import { ValkeyNodes, type ValkeyAnswer, type ValkeyNode } from './valkey-nodes.ts'
import { adviceOn, checkLanes } from './valkey-settings.ts'
import { ValkeySubscriptions } from './valkey-subscriptions.ts'

export interface ValkeyTierOptions {
  /** Servers to ask first, of which any will do; all of one cluster, or the one there is. */
  readonly servers: readonly ValkeyAddress[]
  /** `limits.lanesDefault` unless said otherwise; the same in all processes that share the servers under one prefix. */
  readonly lanes?: number
  /** How the names of all keys begin: `tm` unless said otherwise. Deployments that share servers take one each. */
  readonly prefix?: string
  /** For node-redis: TLS, user name and password, name, database. */
  readonly client?: ValkeyClientOptions
  /** Where a server is reached that the cluster calls `host:port`, if not there. */
  readonly nodeAddress?: (address: string) => ValkeyAddress | undefined
  /** `limits.tierTimeoutMs` unless said otherwise. Large values have a millisecond more for every 16 KiB. */
  readonly timeoutMs?: number
  readonly times?: Partial<ValkeyTimes>
  /** Of values that are stored without one. */
  readonly ttlMsDefault?: number
  readonly clock?: Clock
  readonly random?: Random
  /** Told of settings of the servers that the tier cannot work well with (TIER_SETUP). A warning of the process unless said otherwise. */
  readonly warn?: (warning: TidemarkError) => void
}

const NOTHING = Buffer.alloc(0)
const NO_TIME_MS = 1

const leaseOutcomes = {
  g: 'granted',
  p: 'present',
  l: 'leased',
  f: 'fenced',
  e: 'other-epoch',
  n: 'no-lane',
} as const

/** What functions reply with, by their first letter. */
const outcomes = {
  lease: leaseOutcomes,
  renew: leaseOutcomes,
  hold: { h: 'held', x: 'gone', n: 'no-lane' },
  fill: { s: 'filled', r: 'refused', e: 'other-epoch', n: 'no-lane' },
  put: { s: 'stored', l: 'late', w: 'newer', u: 'uncertain', f: 'fenced', e: 'other-epoch', n: 'no-lane' },
  void: { v: 'voided', n: 'no-lane' },
  begin: { f: 'fenced', n: 'no-lane' },
  put_fenced: { s: 'stored', v: 'voided', e: 'other-epoch', n: 'no-lane' },
  apply: { a: 'applied', m: 'mismatch', n: 'no-lane' },
  reset: { r: 'reset', m: 'mismatch' },
} as const satisfies Partial<Record<FunctionName, Readonly<Record<string, string>>>>

type Operation = keyof typeof outcomes
type OutcomeOf<O extends Operation> = (typeof outcomes)[O][keyof (typeof outcomes)[O]]

interface Result<O extends Operation> {
  readonly outcome: OutcomeOf<O>
  /** What follows the outcome's letter. */
  readonly reply: Buffer
  readonly answer: ValkeyAnswer
}

export class ValkeyTier implements SharedTier {
  readonly lanes: number
  readonly #clock: Clock
  readonly #random: Random
  readonly #ttlMsDefault: number
  readonly #functions: ValkeyFunctions
  readonly #template: ValkeyTemplate
  readonly #nodes: ValkeyNodes
  readonly #names: readonly LaneNames[]
  readonly #subscriptions: ValkeySubscriptions

  private constructor(options: ValkeyTierOptions) {
    const { lanes = limits.lanesDefault, prefix = 'tm', client = {}, timeoutMs = limits.tierTimeoutMs } = options
    const clock = options.clock ?? systemClock()
    const times = {
      pingMs: limits.tierPingMs,
      silentMs: limits.tierSilentMs,
      connectMs: limits.tierConnectMs,
      ...options.times,
    }
    this.lanes = lanes
    this.#clock = clock
    this.#random = options.random ?? systemRandom()
    this.#ttlMsDefault = options.ttlMsDefault ?? limits.tierTtlMsDefault
    this.#functions = ValkeyFunctions.read()
    const template = createTemplate(client)
    this.#template = template
    this.#names = laneTags(lanes).map(tag => new LaneNames(prefix, tag))
    this.#nodes = new ValkeyNodes({
      seeds: options.servers,
      template,
      nodeAddress: options.nodeAddress,
      clock,
      random: this.#random,
      times,
      timeoutMs,
      functions: this.#functions,
    })
    this.#subscriptions = new ValkeySubscriptions({ nodes: this.#nodes, names: this.#names, template, clock, times })
  }

  /**
   * Resolves once the servers are found, have the functions, and agree on the number of lanes. Rejects with
   * TIER_UNAVAILABLE when none can be reached, with TIER_MISMATCH when the tier was set up otherwise.
   */
  static async connect(options: ValkeyTierOptions): Promise<ValkeyTier> {
    const { prefix = 'tm', warn = emitWarning } = options
    assert(options.servers.length > 0, 'a tier has a server')
    assert(/^[^{}]*$/.test(prefix), 'a prefix has no braces: those are for the lanes')
    const tier = new ValkeyTier(options)
    try {
      await tier.#nodes.connect()
      await checkLanes(tier.#nodes, prefix, tier.lanes)
      for (const advice of await adviceOn(tier.#nodes)) warn(new TidemarkError('TIER_SETUP', advice))
      return tier
    } catch (error) {
      tier.#end()
      throw error
    }
  }

  async read(keys: readonly string[]): Promise<readonly TierRead[]> {
    const perLane = new Map<number, number[]>()
    for (const [index, key] of keys.entries()) {
      const lane = this.#laneOf(key)
      const indexes = perLane.get(lane)
      if (indexes === undefined) perLane.set(lane, [index])
      else indexes.push(index)
    }
    const reads: TierRead[] = Array.from({ length: keys.length })
    const readLane = async ([lane, indexes]: [number, number[]]): Promise<void> => {
      const names = this.#names[lane]!
      const args = ['MGET', names.header, ...indexes.map(index => names.record(keys[index]!))]
      const { reply, node } = await this.#send({ slot: names.slot, args })
      const [header, ...records] = reply as readonly (Buffer | null)[]
      const state = bytes.decodeHeader(header!, node.facts.shard)
      for (const [at, index] of indexes.entries()) {
        reads[index] = { lane: state, record: state && this.#liveRecord(records[at]!, state, node) }
      }
    }
    await Promise.all([...perLane].map(readLane))
    return reads
  }

  async lease(key: string, options: LeaseOptions): Promise<TierLease> {
    const { token, epoch, leaseMs } = options
    const args = [bytes.uint64(token), bytes.uint64(epoch), String(Math.ceil(leaseMs))]
    return this.#leased(token, await this.#onRecord('lease', key, args))
  }

  #leased(token: Token, { outcome, reply, answer }: Result<'lease'> | Result<'renew'>): TierLease {
    const serverMs = Number(reply.readBigUInt64BE(0))
    answer.node.clockOffsetMs = serverMs - this.#clock.monotonicMs()
    const lane = bytes.decodeState(reply, 8)
    // The server has judged whether it is live.
    const record = lane && bytes.decodeRecord(reply.subarray(8 + bytes.STATE_BYTES), serverMs)
    // Sent again, it may have found what it left there the first time: then it is granted, as of now.
    const own = answer.uncertain && record?.type === 'lease' && record.token === token
    return { outcome: own ? 'granted' : outcome, lane, record }
  }

  async renew(key: string, { token, epoch, leaseMs, than }: RenewOptions): Promise<TierLease> {
    const seen = than === undefined ? NOTHING : bytes.stampBytes(than)
    const args = [bytes.uint64(token), bytes.uint64(epoch), String(Math.ceil(leaseMs)), seen]
    return this.#leased(token, await this.#onRecord('renew', key, args))
  }

  async hold(key: string, token: Token, leaseMs: number): Promise<coherence.HoldOutcome> {
    return (await this.#onRecord('hold', key, [bytes.uint64(token), String(Math.ceil(leaseMs))])).outcome
  }

  async fill(key: string, token: Token, value: TierValue<LoadStamp>): Promise<coherence.FillOutcome | TooLarge> {
    const { stamp, payload } = value
    const args = [bytes.uint64(token), bytes.uint64(stamp.epoch), bytes.loadTail(stamp, payload === null)]
    // What others have stored since stays.
    return await this.#store('fill', key, args, value, () => this.hold(key, token, 0))
  }

  async put(key: string, value: TierValue<WriteStamp>): Promise<coherence.PutOutcome | TooLarge> {
    const { stamp, payload } = value
    const args = [bytes.uint64(stamp.epoch), bytes.hashBytes(key), bytes.writeTail(stamp, payload === null)]
    // Nothing older may stay.
    return await this.#store('put', key, args, value, () => this.voidKey(key))
  }

  async voidKey(key: string): Promise<coherence.VoidOutcome> {
    return (await this.#onRecord('void', key, [])).outcome
  }

  async begin(key: string, id: Token, fenceMs: number): Promise<coherence.BeginOutcome> {
    return (await this.#onRecord('begin', key, [bytes.uint64(id), String(Math.ceil(fenceMs))])).outcome
  }

  async putFenced(
    key: string,
    id: Token,
    value: TierValue<WriteStamp>,
  ): Promise<coherence.PutFencedOutcome | TooLarge> {
    const { stamp, payload } = value
    const args = [bytes.uint64(id), bytes.uint64(stamp.epoch), bytes.writeTail(stamp, payload === null)]
    // Nor may a fence, which a removal keeps: neither its own, nor one that another put would take for its own.
    const giveUp = () => this.begin(key, randomToken(this.#random), NO_TIME_MS)
    return await this.#store('put_fenced', key, args, value, giveUp)
  }

  async lane(lane: number): Promise<LaneState | undefined> {
    const { header, recent, slot } = this.#namesOf(lane)
    const { reply, node } = await this.#send({ slot, args: ['MGET', header, recent] })
    const [headerBytes, recentBytes] = reply as readonly (Buffer | null)[]
    return recentBytes === null ? undefined : bytes.decodeHeader(headerBytes!, node.facts.shard)
  }

  async apply(lane: number, request: ApplyRequest): Promise<TierLane<coherence.ApplyOutcome>> {
    const { generation, prev, next, events } = request
    for (const { key } of events) assert(this.#laneOf(key) === lane, 'an event is applied to its own lane')
    // Asserts that the request makes sense; it decides nothing without a header.
    applyToLane(undefined, request)
    const names = this.#namesOf(lane)
    const keys = [names.header, names.recent, ...events.map(event => names.record(event.key))]
    const args = [
      bytes.generationBytes(generation),
      bytes.markBytes(prev),
      bytes.markBytes(next),
      bytes.eventsBytes(events),
    ]
    const { outcome, reply, answer } = await this.#call('apply', names.slot, keys, args)
    const state = bytes.decodeState(reply, 0)
    if (outcome !== 'mismatch' || !answer.uncertain || state === undefined) return { outcome, lane: state }
    // Where the lane would be had it been applied the first time: it was.
    const there = generationsEqual(state.generation, generation) && compareMarks(state.mark, next) === 0
    return { outcome: there ? 'applied' : outcome, lane: state }
  }

  async reset(lane: number, options: ResetOptions): Promise<TierLane<coherence.ResetOutcome>> {
    const { expected, to, generation } = options
    const names = this.#namesOf(lane)
    const seen =
      expected === undefined
        ? NOTHING
        : Buffer.concat([bytes.generationBytes(expected.generation), bytes.markBytes(expected.mark)])
    const args = [seen, bytes.uint64(to), bytes.generationBytes(generation)]
    const { outcome, reply, answer } = await this.#call('reset', names.slot, [names.header, names.recent], args)
    const state = bytes.decodeState(reply, 0)
    // The new generation is nobody else's: the first time has done it.
    const own = answer.uncertain && state !== undefined && generationsEqual(state.generation, generation)
    return { outcome: own ? 'reset' : outcome, lane: state }
  }

  async subscribe(listener: LaneListener): Promise<LaneSubscription> {
    await this.#subscriptions.add(listener)
    return { close: () => this.#subscriptions.remove(listener) }
  }

  /**
   * Any other command on one key, under its own name and beside the tier. Sent once: when the connection is lost on the way it
   * rejects with TIER_UNAVAILABLE, and may have run. An error reply rejects as node-redis' ErrorReply.
   */
  async command(key: Uint8Array, args: ValkeyArguments): Promise<ValkeyReply> {
    const { reply } = await this.#nodes.send({ slot: slotOf(key), args, once: true })
    return reply
  }

  // oxlint-disable-next-line typescript/require-await -- other tiers have something to wait for
  async close(): Promise<void> {
    this.#end()
  }

  #end(): void {
    this.#subscriptions.close()
    this.#nodes.close()
    this.#template.destroy()
  }

  #laneOf(key: string): number {
    return laneOf(keyHash(key), this.lanes)
  }

  #namesOf(lane: number): LaneNames {
    const names = this.#names[lane]
    assert(names !== undefined, 'there is such a lane')
    return names
  }

  #liveRecord(found: Buffer | null, lane: LaneState, node: ValkeyNode): TierRecord | undefined {
    // The server's time as far as it is known here: it decides only whether somebody waits for a lease or asks for it, and
    // for how many milliseconds a value that is loaded anew is read.
    const serverMs = this.#clock.monotonicMs() + node.clockOffsetMs
    const record = bytes.decodeRecord(found, serverMs)
    if (record === undefined) return undefined
    return isLive(record, lane, serverMs) ? record : undefined
  }

  /** A function that stores a value. `giveUp`: what is done for one that does not fit. */
  async #store<O extends 'fill' | 'put' | 'put_fenced'>(
    operation: O,
    key: string,
    args: readonly Buffer[],
    value: TierValue<LoadStamp | WriteStamp>,
    giveUp: () => Promise<string>,
  ): Promise<OutcomeOf<O> | TooLarge | 'no-lane'> {
    const tooLarge = async () => ((await giveUp()) === 'no-lane' ? 'no-lane' : 'too-large')
    const payload = value.payload ?? NOTHING
    if (payload.length > limits.valueBytesMax) return await tooLarge()
    const ttlMs = String(Math.max(1, Math.ceil(value.ttlMs ?? this.#ttlMsDefault)))
    // node-redis writes later: until then the bytes are the caller's.
    const own = Buffer.from(payload)
    try {
      return (await this.#onRecord(operation, key, [...args, own, ttlMs])).outcome
    } catch (error) {
      if (!(error instanceof TidemarkError) || !isOutOfMemory(error.cause)) throw error
      return await tooLarge()
    }
  }

  /** A function on one key. */
  async #onRecord<O extends Operation>(
    operation: O,
    key: string,
    args: readonly (Buffer | string)[],
  ): Promise<Result<O>> {
    const names = this.#names[this.#laneOf(key)]!
    const record = names.record(key)
    const keys = operation === 'put' ? [names.header, names.recent, record] : [names.header, record]
    return await this.#call(operation, names.slot, keys, args)
  }

  async #call<O extends Operation>(
    operation: O,
    slot: number,
    keys: readonly Buffer[],
    args: readonly (Buffer | string)[],
  ): Promise<Result<O>> {
    let size = 0
    for (const arg of args) size += arg.length
    const call = {
      slot,
      args: ['FCALL', this.#functions.name(operation), String(keys.length), ...keys, ...args],
      bytes: size,
    }
    const answer = await this.#send(call)
    const reply = answer.reply as Buffer
    const outcome = (outcomes[operation] as Readonly<Record<string, string>>)[String.fromCharCode(reply[0]!)]
    assert(outcome !== undefined, 'the functions have these outcomes')
    return { outcome: outcome as OutcomeOf<O>, reply: reply.subarray(1), answer }
  }

  async #send(call: Parameters<ValkeyNodes['send']>[0]): Promise<ValkeyAnswer> {
    try {
      return await this.#nodes.send(call)
    } catch (error) {
      if (!(error instanceof ErrorReply)) throw error
      throw new TidemarkError('TIER_UNAVAILABLE', `the server refused: ${messageOf(error)}`, { cause: error })
    }
  }
}

function emitWarning({ message, code }: TidemarkError): void {
  process.emitWarning(message, { type: 'TidemarkWarning', code })
}

function isOutOfMemory(error: unknown): boolean {
  return error instanceof ErrorReply && messageOf(error).startsWith('OOM')
}
