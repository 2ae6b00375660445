// How a tier's operations are spelt between a Tidemark server that is a tier and those that use it: as arguments and replies
// of the command TM.TIER. Numbers of 64 bits are decimal texts, several of them in one argument apart by blanks; stamps are the
// bytes of coherence/record-codec.ts; keys and payloads are themselves.
//
//   lane      `epoch nonce sequence lsn sub`             generation  `epoch nonce`
//   event     the key, then `xid lsn change`             mark        `lsn sub`
//   record    [`value`, stamp, payload or nil]   [`lease`, token, until]   [`fence`, id, until]
//             [`value`, stamp, payload or nil, token, until]: somebody loads it anew
//   message   a push: [`tm.tier`, lane's number, lane with `lsn sub` of the mark before, [key, event, ...], [key, ...]]
//
// What cannot be read is undefined. Not for: connections (tier-connection.ts), and who may ask (server/).
import type { Generation } from '../coherence/generation.ts'
import type { LaneState } from '../coherence/lane.ts'
import { compareMarks, type Mark } from '../coherence/mark.ts'
import type { ApplyRequest, LaneMessage } from '../coherence/operations.ts'
import type { ChangeEvent } from '../coherence/stamp.ts'
import type { Reply } from '../wire/reply.ts'
import type { ReplyWriter } from '../wire/reply-writer.ts'

/** Changes when a server and a client of different versions would not understand each other. */
export const PROTOCOL_VERSION = 3

/** The lanes of a tier are there twice: for rows of a database, and for values without a log. */
export const tierParts = ['rows', 'values'] as const
export type TierPart = (typeof tierParts)[number]

/** The first value of every push. */
export const PUSH_NAME = 'tm.tier'

const NONCE_MAX = 2n ** 32n
const SEQUENCE_MAX = 2n ** 53n

/** So many unsigned 64-bit numbers, apart by one blank each. */
export function parseNumbers(text: string, count: number): readonly bigint[] | undefined {
  const parts = text.split(' ')
  if (parts.length !== count) return undefined
  const numbers: bigint[] = []
  for (const part of parts) {
    if (!/^\d{1,20}$/.test(part)) return undefined
    const n = BigInt(part)
    if (n >= 1n << 64n) return undefined
    numbers.push(n)
  }
  return numbers
}

export function formatGeneration({ epoch, nonce }: Generation): string {
  return `${epoch} ${nonce}`
}

export function parseGeneration(text: string): Generation | undefined {
  const [epoch, nonce] = parseNumbers(text, 2) ?? []
  return epoch === undefined || nonce === undefined || nonce >= NONCE_MAX ? undefined : { epoch, nonce: Number(nonce) }
}

export function formatMark({ lsn, sub }: Mark): string {
  return `${lsn} ${sub}`
}

export function parseMark(text: string): Mark | undefined {
  const [lsn, sub] = parseNumbers(text, 2) ?? []
  return lsn === undefined || sub === undefined ? undefined : { lsn, sub }
}

export function formatLane({ generation, sequence, mark }: LaneState): string {
  return `${formatGeneration(generation)} ${sequence} ${formatMark(mark)}`
}

export function parseLane(text: string): LaneState | undefined {
  const [epoch, nonce, sequence, lsn, sub] = parseNumbers(text, 5) ?? []
  if (epoch === undefined || nonce === undefined || sequence === undefined || lsn === undefined) return undefined
  if (sub === undefined || nonce >= NONCE_MAX || sequence >= SEQUENCE_MAX) return undefined
  return { generation: { epoch, nonce: Number(nonce) }, sequence: Number(sequence), mark: { lsn, sub } }
}

export function formatEvent({ xid, lsn, change }: ChangeEvent): string {
  return `${xid} ${lsn} ${change}`
}

export function parseEvent(key: string, text: string): ChangeEvent | undefined {
  const [xid, lsn, change] = parseNumbers(text, 3) ?? []
  if (xid === undefined || lsn === undefined || change === undefined) return undefined
  return { key, xid, lsn, change }
}

/**
 * Whether the request is one that a tide may make. The operations take this for granted; who sends it over a network may
 * not be a tide at all.
 */
export function isSoundApply({ prev, next, events }: ApplyRequest): boolean {
  if (compareMarks(prev, next) >= 0) return false
  const inTransaction = next.sub !== 0n
  for (const event of events) {
    if (event.lsn <= prev.lsn || inTransaction !== event.lsn > next.lsn) return false
    if (inTransaction && event.xid !== events[0]!.xid) return false
  }
  return true
}

export function writeMessage(out: ReplyWriter, lane: number, message: LaneMessage): void {
  out.push(5)
  out.text(PUSH_NAME)
  out.integer(lane)
  out.text(`${formatLane(message)} ${formatMark(message.prev)}`)
  out.array(2 * message.events.length)
  for (const event of message.events) {
    out.text(event.key)
    out.text(formatEvent(event))
  }
  out.array(message.voids.length)
  for (const key of message.voids) out.text(key)
}

/** For a client whose messages are lost: everything may have happened. */
export function writeLost(out: ReplyWriter): void {
  out.push(1)
  out.text(PUSH_NAME)
}

export interface NumberedMessage {
  readonly lane: number
  readonly message: LaneMessage
}

/** A push of a TM.TIER subscription, as exact replies: a message, 'lost', or undefined for anything else. */
export function parsePush(push: readonly Reply[]): NumberedMessage | 'lost' | undefined {
  const [name, lane, head, events, voids] = push
  if (textOf(name) !== PUSH_NAME) return undefined
  if (push.length === 1) return 'lost'
  const numbers = textOf(head)?.split(' ') ?? []
  const state = parseLane(numbers.slice(0, 5).join(' '))
  const prev = parseMark(numbers.slice(5).join(' '))
  const changes = parseEvents(textsOf(events))
  const gone = textsOf(voids)
  if (typeof lane !== 'bigint' || state === undefined || prev === undefined) return undefined
  if (changes === undefined || gone === undefined) return undefined
  return { lane: Number(lane), message: { ...state, prev, events: changes, voids: gone } }
}

/** Of keys and events in turn. */
export function parseEvents(words: readonly string[] | undefined): ChangeEvent[] | undefined {
  if (words === undefined || words.length % 2 !== 0) return undefined
  const events: ChangeEvent[] = []
  for (let i = 0; i < words.length; i += 2) {
    const event = parseEvent(words[i]!, words[i + 1]!)
    if (event === undefined) return undefined
    events.push(event)
  }
  return events
}

/** A text among exact replies. */
export function textOf(reply: Reply | undefined): string | undefined {
  if (typeof reply === 'string') return reply
  return reply instanceof Buffer ? reply.toString() : undefined
}

function textsOf(reply: Reply | undefined): string[] | undefined {
  if (!Array.isArray(reply)) return undefined
  const texts = reply.map(textOf)
  return texts.every(text => text !== undefined) ? texts : undefined
}
