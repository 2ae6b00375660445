// The messages of Postgres' plugin `pgoutput` (protocol version 1, text values), and the frames of the replication protocol
// around them, decoded from their bytes. Integers are big-endian, strings end in NUL.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
//
//   frame     'w' start:8 end:8 time:8 message              a message; `start` is the position of its change
//             'k' end:8 time:8 reply:1                      a sign of life; reply 1: answer at once
//   status    'r' written:8 flushed:8 applied:8 time:8 reply:1   ours
//
//   Begin     'B' commit:8 time:8 xid:4
//   Commit    'C' flags:1 commit:8 end:8 time:8
//   Relation  'R' id:4 schema\0 name\0 identity:1 n:2 { flags:1 name\0 type:4 modifier:4 }
//   Insert    'I' id:4 'N' tuple
//   Update    'U' id:4 [ 'K'|'O' tuple ] 'N' tuple
//   Delete    'D' id:4 'K'|'O' tuple
//   Truncate  'T' n:4 options:1 { id:4 }
//   tuple     n:2 { 'n' | 'u' | 't' length:4 bytes }        NULL, unchanged and kept elsewhere (TOAST), text
//
// Of a tuple only the wanted columns become strings. Not for: what a change means (postgres-feed.ts), sockets.
import { assert } from '../base/assert.ts'

export interface RelationColumn {
  readonly name: string
  /** It is in what a deleted or changed row is told by: the replica identity. */
  readonly identity: boolean
  readonly type: number
  readonly modifier: number
}

export interface PublishedRelation {
  readonly id: number
  readonly schema: string
  readonly name: string
  readonly identity: string
  readonly columns: readonly RelationColumn[]
}

/** Wanted columns as text; null is NULL, undefined is unwanted or unchanged. */
export type Tuple = readonly (string | null | undefined)[]

export type LogMessage =
  | { readonly kind: 'begin'; readonly xid: number }
  | { readonly kind: 'commit'; readonly end: bigint }
  | { readonly kind: 'relation'; readonly relation: PublishedRelation }
  | {
      readonly kind: 'change'
      readonly relation: number
      /** The row before: whole, or its replica identity with NULL for the rest. Undefined for an insert, and for an update that did not change the identity. */
      readonly before: Tuple | undefined
      readonly after: Tuple | undefined
    }
  | { readonly kind: 'truncate'; readonly relations: readonly number[] }
  /** Types, origins, and messages that programs put in the log. */
  | { readonly kind: 'other' }

export type Frame =
  | { readonly kind: 'data'; readonly start: bigint; readonly end: bigint; readonly message: Buffer }
  | { readonly kind: 'alive'; readonly end: bigint; readonly reply: boolean }

const B = 0x42
const C = 0x43
const D = 0x44
const I = 0x49
const N = 0x4e
const R = 0x52
const T = 0x54
const U = 0x55
const LOWER_K = 0x6b
const LOWER_N = 0x6e
const LOWER_R = 0x72
const LOWER_T = 0x74
const LOWER_U = 0x75
const LOWER_W = 0x77

const FRAME_HEADER_BYTES = 25

export function decodeFrame(bytes: Buffer): Frame {
  if (bytes[0] === LOWER_W) {
    const message = bytes.subarray(FRAME_HEADER_BYTES)
    return { kind: 'data', start: bytes.readBigUInt64BE(1), end: bytes.readBigUInt64BE(9), message }
  }
  assert(bytes[0] === LOWER_K, 'a replication stream holds data and signs of life')
  return { kind: 'alive', end: bytes.readBigUInt64BE(1), reply: bytes[17] === 1 }
}

/** Postgres counts microseconds from 2000-01-01. */
const EPOCH_2000_MS = 946_684_800_000

/** Everything up to `confirmed` is not needed again; everything up to `received` has come. */
export function encodeStatus(received: bigint, confirmed: bigint, nowMs: number, reply: boolean): Buffer {
  const bytes = Buffer.alloc(34)
  bytes[0] = LOWER_R
  bytes.writeBigUInt64BE(received, 1)
  bytes.writeBigUInt64BE(confirmed, 9)
  bytes.writeBigUInt64BE(confirmed, 17)
  bytes.writeBigInt64BE(BigInt(Math.trunc(nowMs - EPOCH_2000_MS)) * 1000n, 25)
  bytes[33] = reply ? 1 : 0
  return bytes
}

/** `wantedOf` gives, for a relation, which of its columns are wanted; undefined for one that nobody wants anything of. */
export function decodeMessage(
  bytes: Buffer,
  wantedOf: (relation: number) => readonly boolean[] | undefined,
): LogMessage {
  switch (bytes[0]) {
    case B:
      return { kind: 'begin', xid: bytes.readUInt32BE(17) }
    case C:
      return { kind: 'commit', end: bytes.readBigUInt64BE(10) }
    case R:
      return { kind: 'relation', relation: decodeRelation(bytes) }
    case I:
    case U:
    case D:
      return decodeChange(bytes, wantedOf)
    case T: {
      const count = bytes.readUInt32BE(1)
      return { kind: 'truncate', relations: Array.from({ length: count }, (_, i) => bytes.readUInt32BE(6 + 4 * i)) }
    }
    default:
      return { kind: 'other' }
  }
}

function decodeChange(bytes: Buffer, wantedOf: (relation: number) => readonly boolean[] | undefined): LogMessage {
  const relation = bytes.readUInt32BE(1)
  const wanted = wantedOf(relation)
  if (wanted === undefined) return { kind: 'change', relation, before: undefined, after: undefined }
  const first = readTuple(bytes, 6, wanted)
  if (bytes[5] === N) return { kind: 'change', relation, before: undefined, after: first.tuple }
  if (bytes[0] === D) return { kind: 'change', relation, before: first.tuple, after: undefined }
  assert(bytes[first.end] === N, 'an update holds the new row')
  return { kind: 'change', relation, before: first.tuple, after: readTuple(bytes, first.end + 1, wanted).tuple }
}

function readTuple(bytes: Buffer, start: number, wanted: readonly boolean[]): { tuple: Tuple; end: number } {
  const count = bytes.readUInt16BE(start)
  const tuple: (string | null | undefined)[] = []
  let at = start + 2
  for (let column = 0; column < count; column++) {
    const kind = bytes[at++]
    if (kind === LOWER_T) {
      const length = bytes.readUInt32BE(at)
      at += 4
      tuple.push(wanted[column] === true ? bytes.toString('utf8', at, at + length) : undefined)
      at += length
    } else {
      assert(kind === LOWER_N || kind === LOWER_U, 'a value is NULL, unchanged or text')
      tuple.push(kind === LOWER_N ? null : undefined)
    }
  }
  return { tuple, end: at }
}

function decodeRelation(bytes: Buffer): PublishedRelation {
  let at = 5
  const string = (): string => {
    const end = bytes.indexOf(0, at)
    const text = bytes.toString('utf8', at, end)
    at = end + 1
    return text
  }
  const id = bytes.readUInt32BE(1)
  const schema = string()
  const name = string()
  const identity = String.fromCharCode(bytes[at]!)
  const count = bytes.readUInt16BE(at + 1)
  at += 3
  const columns: RelationColumn[] = []
  for (let i = 0; i < count; i++) {
    const flags = bytes[at++]!
    const column = string()
    columns.push({
      name: column,
      identity: (flags & 1) !== 0,
      type: bytes.readUInt32BE(at),
      modifier: bytes.readInt32BE(at + 4),
    })
    at += 8
  }
  return { id, schema, name, identity, columns }
}
