// Headers, records and messages as bytes, as the functions of valkey-library.lua store and send them. Fixed places, so that
// Lua can take them apart; whatever begins with another version reads as nothing. Numbers are unsigned, big-endian.
// Not for: deciding anything.
//
//   header    1 'H'  epoch:8 nonce:4  sequence:8  mark (lsn:8 sub:8)  shard: the rest, as text
//   recent    1 'R'  epoch:8 nonce:4  complete from:8  and each change: hash:4 lsn:8 xid:8 change:8     (Lua alone reads it)
//   write     1 'W'  epoch:8 nonce:4  flags:1 xid:8 at:8 upto:8                                          payload
//   load      1 'S'  epoch:8 nonce:4  flags:1 lsn:8 flush:8 upto:8 xmin:8 xmax:8 n:1 n * in progress:8   payload
//   renewed   1 'w' or 's', and as 'W' or 'S' up to the payload's end; then token:8 until:8 (0: nobody any more) ends:8 (0: never)
//   lease     1 'L'  epoch:8 nonce:4  token:8 until:8 (ms, on the server's clock)
//   fence     1 'F'  epoch:8 nonce:4  id:8    until:8
//   message   1 'M'  epoch:8 nonce:4  sequence:8  mark:16  mark before:16  events  voids
//   events    n:4 and each: bytes:4 key hash:4 lsn:8 xid:8 change:8
//   voids     n:4 and each: bytes:4 key
//
//   flags     1: there is no payload, the source has no such key    2: the snapshot is exact
//
// A value that somebody loads anew has a letter of its own, since those who do not know of renewals would take the rest for payload:
// to them nothing is there. The value itself is over at `ends`, and the renewal is a lease from then on.
// A record's generation is the lane's, and its stamp's epoch the generation's: the functions see to both.
import { assert } from '../base/assert.ts'
import { limits } from '../base/limits.ts'
import type { Generation } from '../coherence/generation.ts'
import { keyHash, type LaneState } from '../coherence/lane.ts'
import type { Mark } from '../coherence/mark.ts'
import type { LaneMessage } from '../coherence/operations.ts'
import type { TierRecord } from '../coherence/record.ts'
import { boundedSnapshot, type ChangeEvent, type LoadStamp, type Stamp, type WriteStamp } from '../coherence/stamp.ts'

export const FORMAT_VERSION = 1
const ABSENT = 1
const EXACT = 2
/** Version and type. */
const LEAD = 2
const GENERATION = 12
/** Generation, sequence and mark, as functions reply them. */
export const STATE_BYTES = 36
const WRITE_TAIL = 25
const LOAD_TAIL = 42
const CHANGE = 28
/** Larger payloads stay in the buffer that they came in; smaller ones would hold on to one that is much larger. */
const COPIED_BYTES_MAX = 16_384

const letter = (type: string): number => type.charCodeAt(0)
const HEADER = letter('H')
const WRITE = letter('W')
const LOAD = letter('S')
/** Of a value that is loaded anew: another letter. */
const RENEWED = letter('w') - WRITE
const TRAILER = 24
const LEASE = letter('L')
const FENCE = letter('F')
const MESSAGE = letter('M')

// The library keeps room for such a head, and remembers so many changes.
assert(LEAD + GENERATION + LOAD_TAIL + 8 * limits.snapshotInProgressMax === 184, "a record's head is as Lua has it")
assert(limits.recentChangesMax === 32, 'as many changes are remembered as Lua does')

export function uint64(n: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigUInt64BE(n)
  return bytes
}

export function generationBytes({ epoch, nonce }: Generation): Buffer {
  const bytes = Buffer.allocUnsafe(GENERATION)
  bytes.writeBigUInt64BE(epoch, 0)
  bytes.writeUInt32BE(nonce, 8)
  return bytes
}

export function markBytes({ lsn, sub }: Mark): Buffer {
  const bytes = Buffer.allocUnsafe(16)
  bytes.writeBigUInt64BE(lsn, 0)
  bytes.writeBigUInt64BE(sub, 8)
  return bytes
}

export function hashBytes(key: string): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(keyHash(key))
  return bytes
}

/** What follows the generation in the head of a write. */
export function writeTail(stamp: WriteStamp, absent: boolean): Buffer {
  const bytes = Buffer.allocUnsafe(WRITE_TAIL)
  bytes[0] = absent ? ABSENT : 0
  bytes.writeBigUInt64BE(stamp.xid, 1)
  bytes.writeBigUInt64BE(stamp.at, 9)
  bytes.writeBigUInt64BE(stamp.upto, 17)
  return bytes
}

/** What follows the generation in the head of a load. */
export function loadTail(stamp: LoadStamp, absent: boolean): Buffer {
  const { xmin, xmax, inProgress, exact } = stamp.snapshot
  const bounded = exact && inProgress.length <= limits.snapshotInProgressMax
  const named = bounded ? inProgress : []
  const bytes = Buffer.allocUnsafe(LOAD_TAIL + 8 * named.length)
  bytes[0] = (absent ? ABSENT : 0) | (bounded ? EXACT : 0)
  bytes.writeBigUInt64BE(stamp.lsn, 1)
  bytes.writeBigUInt64BE(stamp.flush, 9)
  bytes.writeBigUInt64BE(stamp.upto, 17)
  bytes.writeBigUInt64BE(xmin, 25)
  bytes.writeBigUInt64BE(xmax, 33)
  bytes[41] = named.length
  for (const [index, xid] of named.entries()) bytes.writeBigUInt64BE(xid, LOAD_TAIL + 8 * index)
  return bytes
}

/** What tells a value from another one of its key: letter, epoch, and what follows the generation but that it is absent. */
export function stampBytes(stamp: Stamp): Buffer {
  const tail = stamp.kind === 'write' ? writeTail(stamp, false) : loadTail(stamp, false)
  const lead = Buffer.from([stamp.kind === 'write' ? WRITE : LOAD])
  return Buffer.concat([lead, uint64(stamp.epoch), tail])
}

export function eventsBytes(events: readonly ChangeEvent[]): Buffer {
  const keys = events.map(event => Buffer.from(event.key))
  let size = 4
  for (const key of keys) size += 4 + key.length + CHANGE
  const bytes = Buffer.allocUnsafe(size)
  let at = bytes.writeUInt32BE(events.length, 0)
  for (const [index, event] of events.entries()) {
    const key = keys[index]!
    at = bytes.writeUInt32BE(key.length, at)
    at += key.copy(bytes, at)
    at = bytes.writeInt32BE(keyHash(event.key), at)
    at = bytes.writeBigUInt64BE(event.lsn, at)
    at = bytes.writeBigUInt64BE(event.xid, at)
    at = bytes.writeBigUInt64BE(event.change, at)
  }
  return bytes
}

/** Generation, sequence and mark at `at`; the caller has checked that they are there. */
function stateAt(bytes: Buffer, at: number): LaneState {
  return {
    generation: { epoch: bytes.readBigUInt64BE(at), nonce: bytes.readUInt32BE(at + 8) },
    sequence: Number(bytes.readBigUInt64BE(at + 12)),
    mark: markAt(bytes, at + 20),
  }
}

function markAt(bytes: Buffer, at: number): Mark {
  return { lsn: bytes.readBigUInt64BE(at), sub: bytes.readBigUInt64BE(at + 8) }
}

function isOfType(bytes: Buffer, type: number, least: number): boolean {
  return bytes.length >= least && bytes[0] === FORMAT_VERSION && bytes[1] === type
}

/** The lane's state at the end of a function's reply; undefined when it ends before it. */
export function decodeState(bytes: Buffer, at: number): LaneState | undefined {
  return bytes.length >= at + STATE_BYTES ? stateAt(bytes, at) : undefined
}

/** The lane's state, if the header may be used: it is one, and was written on this very shard. */
export function decodeHeader(bytes: Buffer | null, shard: string): LaneState | undefined {
  if (bytes === null || !isOfType(bytes, HEADER, LEAD + STATE_BYTES)) return undefined
  return bytes.toString('latin1', LEAD + STATE_BYTES) === shard ? stateAt(bytes, LEAD) : undefined
}

/**
 * The record, of whatever generation it is; undefined for none, and for one of another version. A value that is loaded anew is
 * over when the server's clock says so.
 */
export function decodeRecord(bytes: Buffer | null, serverMs: number): TierRecord | undefined {
  if (bytes === null || bytes.length < LEAD + GENERATION || bytes[0] !== FORMAT_VERSION) return undefined
  const type = bytes[1]!
  if (type === WRITE + RENEWED || type === LOAD + RENEWED) return decodeRenewed(bytes, type - RENEWED, serverMs)
  return decodePlain(bytes, type)
}

function decodeRenewed(bytes: Buffer, type: number, serverMs: number): TierRecord | undefined {
  const end = bytes.length - TRAILER
  const value = decodePlain(bytes.subarray(0, Math.max(0, end)), type)
  if (value?.type !== 'value') return undefined
  const [token, untilMs, endsMs] = [0, 8, 16].map(at => bytes.readBigUInt64BE(end + at)) as [bigint, bigint, bigint]
  const { generation } = value
  const renewal = { type: 'lease', generation, token, untilMs: Number(untilMs) } as const
  const over = endsMs !== 0n && Number(endsMs) <= serverMs
  if (untilMs === 0n) return over ? undefined : value
  return over ? renewal : { ...value, renewal }
}

function decodePlain(bytes: Buffer, type: number): TierRecord | undefined {
  const tail = LEAD + GENERATION
  if (bytes.length < tail) return undefined
  const generation = { epoch: bytes.readBigUInt64BE(LEAD), nonce: bytes.readUInt32BE(LEAD + 8) }
  if (type === LEASE || type === FENCE) {
    if (bytes.length < tail + 16) return undefined
    const token = bytes.readBigUInt64BE(tail)
    const untilMs = Number(bytes.readBigUInt64BE(tail + 8))
    return type === LEASE
      ? { type: 'lease', generation, token, untilMs }
      : { type: 'fence', generation, id: token, untilMs }
  }
  if (type === WRITE && bytes.length >= tail + WRITE_TAIL) {
    const stamp = decodeWriteStamp(bytes, tail, generation.epoch)
    return { type: 'value', generation, stamp, payload: payloadAt(bytes, tail, tail + WRITE_TAIL) }
  }
  if (type === LOAD && bytes.length >= tail + LOAD_TAIL) {
    const end = tail + LOAD_TAIL + 8 * bytes[tail + 41]!
    if (bytes.length < end) return undefined
    return {
      type: 'value',
      generation,
      stamp: decodeLoadStamp(bytes, tail, generation.epoch),
      payload: payloadAt(bytes, tail, end),
    }
  }
  return undefined
}

function payloadAt(bytes: Buffer, tail: number, start: number): Uint8Array | null {
  if ((bytes[tail]! & ABSENT) !== 0) return null
  const payload = bytes.subarray(start)
  return payload.length <= COPIED_BYTES_MAX ? Buffer.from(payload) : payload
}

function decodeWriteStamp(bytes: Buffer, tail: number, epoch: bigint): WriteStamp {
  return {
    kind: 'write',
    xid: bytes.readBigUInt64BE(tail + 1),
    at: bytes.readBigUInt64BE(tail + 9),
    epoch,
    upto: bytes.readBigUInt64BE(tail + 17),
  }
}

function decodeLoadStamp(bytes: Buffer, tail: number, epoch: bigint): LoadStamp {
  const xmin = bytes.readBigUInt64BE(tail + 25)
  const xmax = bytes.readBigUInt64BE(tail + 33)
  const named: bigint[] = []
  for (let index = 0; index < bytes[tail + 41]!; index++)
    named.push(bytes.readBigUInt64BE(tail + LOAD_TAIL + 8 * index))
  const exact = (bytes[tail]! & EXACT) !== 0
  return {
    kind: 'load',
    snapshot: exact ? boundedSnapshot(xmin, xmax, named) : { xmin, xmax, inProgress: [], exact: false },
    flush: bytes.readBigUInt64BE(tail + 9),
    lsn: bytes.readBigUInt64BE(tail + 1),
    epoch,
    upto: bytes.readBigUInt64BE(tail + 17),
  }
}

/** A lane's message; undefined for what is none, or one of another version. */
export function decodeMessage(bytes: Buffer): LaneMessage | undefined {
  if (!isOfType(bytes, MESSAGE, LEAD + STATE_BYTES + 16)) return undefined
  const state = stateAt(bytes, LEAD)
  const prev = markAt(bytes, LEAD + STATE_BYTES)
  let at = LEAD + STATE_BYTES + 16
  const events: ChangeEvent[] = []
  const voids: string[] = []
  const changed = bytes.readUInt32BE(at)
  at += 4
  for (let index = 0; index < changed; index++) {
    const end = at + 4 + bytes.readUInt32BE(at)
    const key = bytes.toString('utf8', at + 4, end)
    events.push({
      key,
      lsn: bytes.readBigUInt64BE(end + 4),
      xid: bytes.readBigUInt64BE(end + 12),
      change: bytes.readBigUInt64BE(end + 20),
    })
    at = end + CHANGE
  }
  const voided = bytes.readUInt32BE(at)
  at += 4
  for (let index = 0; index < voided; index++) {
    const end = at + 4 + bytes.readUInt32BE(at)
    voids.push(bytes.toString('utf8', at + 4, end))
    at = end
  }
  return { ...state, prev, events, voids }
}
