// TM.TIER: the operations of a tier, for servers and services that use this server as theirs (`tidemark://`). How they are
// spelt is in tier/tidemark-protocol.ts. What comes from the network is checked here: the operations themselves take for
// granted that their caller is sound. Not for: people, who have the other TM. commands.
import { keyHash, laneOf, type LaneState } from '../../coherence/lane.ts'
import { decodeStamp, encodeStamp } from '../../coherence/record-codec.ts'
import type { LoadStamp, WriteStamp } from '../../coherence/stamp.ts'
import { TidemarkError } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { EmbeddedTier } from '../../tier/embedded-tier.ts'
import * as protocol from '../../tier/tidemark-protocol.ts'
import type { LeaseOptions, TierLease, TierRead, TierValue } from '../../tier/tier.ts'
import type { ReplyWriter } from '../../wire/reply-writer.ts'
import { type Command, CommandError } from './command.ts'
import { checkKeySize, checkValueSize } from './lookup.ts'
import { type ServerCall, arityError, serverHandler, unknownSubcommandError } from './server-call.ts'

type Tier = Pick<EmbeddedTier, keyof EmbeddedTier>

const DAY_MS = 86_400_000n

/** What is asked for; throws when it cannot be read. */
function need<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new CommandError(`ERR TM.TIER expects ${what}`)
  return value
}

function numberAt(call: ServerCall, i: number, what: string, max = (1n << 64n) - 1n): bigint {
  const [n] = protocol.parseNumbers(call.text(i), 1) ?? []
  return need(n === undefined || n > max ? undefined : n, what)
}

function keyAt(call: ServerCall, i: number): string {
  checkKeySize(call.end[i]! - call.start[i]!)
  return call.text(i)
}

function laneAt(call: ServerCall, i: number, tier: Tier): number {
  return Number(numberAt(call, i, `a lane from 0 to ${tier.lanes - 1}`, BigInt(tier.lanes - 1)))
}

/** Time to live (empty: none), stamp, and the payload unless there is none, from argument i on. */
function valueAt<Stamp extends LoadStamp | WriteStamp>(
  call: ServerCall,
  i: number,
  kind: Stamp['kind'],
): TierValue<Stamp> {
  const stamp = decodeStamp(call.buffer, call.start[i + 1]!, call.end[i + 1]!)
  const payload = call.argc > i + 2 ? call.bytes(i + 2) : null
  if (payload !== null) checkValueSize(call.store, payload.length)
  if (stamp?.kind !== kind) throw new CommandError(`ERR TM.TIER expects the stamp of a ${kind}`)
  const value = { payload, stamp: stamp as Stamp }
  if (call.start[i] === call.end[i]) return value
  return { ...value, ttlMs: Number(numberAt(call, i, 'a time to live of 1 to 2^53 milliseconds', 1n << 53n)) }
}

function writeLane(out: ReplyWriter, lane: LaneState | undefined): void {
  if (lane === undefined) out.nil()
  else out.text(protocol.formatLane(lane))
}

function writeOutcome(out: ReplyWriter, outcome: string, lane: LaneState | undefined): void {
  out.array(2)
  out.text(outcome)
  writeLane(out, lane)
}

// A lane and a record: the last two values of a reply.
function writeRead(out: ReplyWriter, { lane, record }: TierRead): void {
  writeLane(out, lane)
  if (record === undefined) return out.nil()
  const renewal = record.type === 'value' ? record.renewal : undefined
  out.array(renewal === undefined ? 3 : 5)
  out.text(record.type)
  if (record.type === 'value') {
    out.bulk(encodeStamp(record.stamp))
    if (record.payload === null) out.nil()
    else out.bulk(record.payload)
    if (renewal === undefined) return
    out.text(String(renewal.token))
    out.text(String(renewal.untilMs))
  } else {
    out.text(String(record.type === 'lease' ? record.token : record.id))
    out.text(String(record.untilMs))
  }
}

function hello(call: ServerCall, tier: Tier): void {
  const version = numberAt(call, 2, 'a version')
  if (version !== BigInt(protocol.PROTOCOL_VERSION)) {
    throw new TidemarkError(
      'TIER_MISMATCH',
      `this server is a tier of version ${protocol.PROTOCOL_VERSION}, and was asked for version ${version}`,
    )
  }
  const wanted = call.argc === 3 ? 'rows' : call.text(3)
  const part = protocol.tierParts.find(each => each === wanted)
  call.client.tierPart = need(part, `one of ${protocol.tierParts.join(', ')}`)
  call.out.array(2)
  call.out.integer(protocol.PROTOCOL_VERSION)
  call.out.integer(tier.lanes)
}

function read(call: ServerCall, tier: Tier): void {
  const keys = Array.from({ length: call.argc - 2 }, (_, i) => keyAt(call, i + 2))
  const reads = tier.read(keys)
  call.out.array(reads.length)
  for (const each of reads) {
    call.out.array(2)
    writeRead(call.out, each)
  }
}

function leaseMsAt(call: ServerCall, i: number): number {
  return Number(numberAt(call, i, 'milliseconds of a lease, at most a day', DAY_MS))
}

function leaseAt(call: ServerCall): LeaseOptions {
  return { token: numberAt(call, 3, 'a token'), epoch: numberAt(call, 4, 'an epoch'), leaseMs: leaseMsAt(call, 5) }
}

function writeLease(out: ReplyWriter, leased: TierLease): void {
  out.array(3)
  out.text(leased.outcome)
  writeRead(out, leased)
}

function renew(call: ServerCall, tier: Tier): void {
  const given = call.argc > 6
  const than = given ? decodeStamp(call.buffer, call.start[6]!, call.end[6]!) : undefined
  if (given && than === undefined) throw new CommandError('ERR TM.TIER expects the stamp of a value')
  writeLease(call.out, tier.renew(keyAt(call, 2), { ...leaseAt(call), than }))
}

function begin(call: ServerCall, tier: Tier): void {
  const fenceMs = Number(numberAt(call, 4, 'milliseconds of a fence, at most a day', DAY_MS))
  call.out.text(tier.begin(keyAt(call, 2), numberAt(call, 3, 'an id'), fenceMs))
}

function apply(call: ServerCall, tier: Tier): void {
  const lane = laneAt(call, 2, tier)
  const generation = need(protocol.parseGeneration(call.text(3)), 'a generation')
  const [prev, next] = [protocol.parseMark(call.text(4)), protocol.parseMark(call.text(5))]
  const words = Array.from({ length: call.argc - 6 }, (_, i) => call.text(i + 6))
  const events = need(protocol.parseEvents(words), 'keys and events in turn')
  const request = { generation, prev: need(prev, 'a mark'), next: need(next, 'a mark'), events }
  const ours = events.every(({ key }) => laneOf(keyHash(key), tier.lanes) === lane)
  if (!ours || !protocol.isSoundApply(request))
    throw new CommandError('ERR TM.TIER expects changes of the lane between the marks')
  const { outcome, lane: state } = tier.apply(lane, request)
  writeOutcome(call.out, outcome, state)
}

function reset(call: ServerCall, tier: Tier): void {
  const lane = laneAt(call, 2, tier)
  const to = numberAt(call, 4, 'a position')
  const generation = need(protocol.parseGeneration(call.text(5)), 'a generation')
  // A lane whose sequence does not matter.
  const words = call.text(3).split(' ')
  const expected =
    words.length === 1 && words[0] === ''
      ? undefined
      : {
          generation: need(protocol.parseGeneration(words.slice(0, 2).join(' ')), 'a generation and a mark'),
          mark: need(protocol.parseMark(words.slice(2).join(' ')), 'a generation and a mark'),
        }
  const { outcome, lane: state } = tier.reset(lane, { expected, to, generation })
  writeOutcome(call.out, outcome, state)
}

function subscribe(call: ServerCall): void {
  if (call.client.resp !== 3) throw new CommandError('ERR TM.TIER SUBSCRIBE needs RESP3: say HELLO 3 first')
  call.server.servedTier!.part(call.client.tierPart).subscribe(call.client)
  call.out.simple('OK')
}

const operations: Record<string, readonly [arity: number, run: (call: ServerCall, tier: Tier) => void]> = {
  hello: [-3, hello],
  read: [-3, read],
  lease: [6, (call, tier) => writeLease(call.out, tier.lease(keyAt(call, 2), leaseAt(call)))],
  renew: [-6, renew],
  hold: [5, (call, tier) => call.out.text(tier.hold(keyAt(call, 2), numberAt(call, 3, 'a token'), leaseMsAt(call, 4)))],
  fill: [
    -6,
    (call, tier) => call.out.text(tier.fill(keyAt(call, 2), numberAt(call, 3, 'a token'), valueAt(call, 4, 'load'))),
  ],
  put: [-5, (call, tier) => call.out.text(tier.put(keyAt(call, 2), valueAt(call, 3, 'write')))],
  void: [3, (call, tier) => call.out.text(tier.voidKey(keyAt(call, 2)))],
  begin: [5, begin],
  putfenced: [
    -6,
    (call, tier) =>
      call.out.text(tier.putFenced(keyAt(call, 2), numberAt(call, 3, 'an id'), valueAt(call, 4, 'write'))),
  ],
  lane: [3, (call, tier) => writeLane(call.out, tier.lane(laneAt(call, 2, tier)))],
  apply: [-6, apply],
  reset: [6, reset],
  subscribe: [2, subscribe],
}

function tier(call: ServerCall): void {
  const { servedTier } = call.server
  if (servedTier === undefined) {
    const how = 'start it with --tier-memory, such as --tier-memory 256mb'
    throw new TidemarkError('TIER_UNAVAILABLE', `this server is no tier of others: ${how}`)
  }
  const name = call.text(1).toLowerCase()
  const operation = Object.hasOwn(operations, name) ? operations[name] : undefined
  if (operation === undefined) return call.out.error(unknownSubcommandError('TM.TIER', call.text(1)))
  const [arity, run] = operation
  if (arity >= 0 ? call.argc !== arity : call.argc < -arity) return call.out.error(arityError(`tm.tier|${name}`))
  // HELLO is what says which part.
  const part = servedTier.part(call.client.tierPart)
  run(call, part.tier)
  part.pass()
}

export const tierCommand: Command = {
  name: 'tm.tier',
  arity: -2,
  flags: ['write', 'no_multi'],
  categories: ['@admin', '@write', '@slow', '@dangerous'],
  keys: [0, 0, 0],
  group: 'tidemark',
  since: '0.1.0',
  complexity: 'O(N) where N is the number of keys',
  summary: `The operations of a tier with ${limits.lanesDefault} lanes, for servers that share this one as theirs (tidemark://).`,
  syntax: 'operation [argument ...]',
  subcommands: Object.keys(operations),
  handler: serverHandler(tier),
}
