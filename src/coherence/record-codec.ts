// Stamps as bytes, as they are stored beside a payload. Not for payloads, and not for records' heads: where a record's
// type and generation go is each tier's own affair.
//
//   [ version: u8 = 1 ][ kind: u8 ][ numbers, each as LEB128: 7 bits a byte, lowest first, high bit = more follows ]
//
//   kind 0, write              xid  at     epoch  upto
//   kind 1, load               lsn  flush  epoch  upto  xmin  (xmax - xmin)  n  n * (in progress - xmin), ascending
//   kind 2, load, not exact    lsn  flush  epoch  upto  xmin  (xmax - xmin)
//
// Every number is below 2^64, so ten bytes hold it.
import { assert } from '../base/assert.ts'
import { limits } from '../base/limits.ts'
import { boundedSnapshot, type LoadStamp, type Stamp } from './stamp.ts'

const VERSION = 1
const WRITE = 0
const LOAD_EXACT = 1
const LOAD_INEXACT = 2
const NUMBER_BYTES_MAX = 10
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)

assert(
  2 + NUMBER_BYTES_MAX * (7 + limits.snapshotInProgressMax) <= limits.stampBytesMax,
  'the largest stamp fits its limit',
)

/** The stamp in at most `limits.stampBytesMax` bytes of its own. */
export function encodeStamp(stamp: Stamp): Uint8Array {
  const out = new Uint8Array(limits.stampBytesMax)
  return out.slice(0, writeStamp(out, 0, stamp))
}

/** Writes the stamp at `at`, where `limits.stampBytesMax` bytes are free; returns the position after it. */
export function writeStamp(out: Uint8Array, at: number, stamp: Stamp): number {
  out[at++] = VERSION
  if (stamp.kind === 'load') return writeLoad(out, at, stamp)
  out[at++] = WRITE
  at = writeNumber(out, at, stamp.xid)
  at = writeNumber(out, at, stamp.at)
  at = writeNumber(out, at, stamp.epoch)
  return writeNumber(out, at, stamp.upto)
}

function writeLoad(out: Uint8Array, at: number, stamp: LoadStamp): number {
  const { xmin, xmax, inProgress, exact } = stamp.snapshot
  const bounded = exact && inProgress.length <= limits.snapshotInProgressMax
  out[at++] = bounded ? LOAD_EXACT : LOAD_INEXACT
  at = writeNumber(out, at, stamp.lsn)
  at = writeNumber(out, at, stamp.flush)
  at = writeNumber(out, at, stamp.epoch)
  at = writeNumber(out, at, stamp.upto)
  at = writeNumber(out, at, xmin)
  at = writeNumber(out, at, xmax - xmin)
  if (!bounded) return at
  at = writeNumber(out, at, BigInt(inProgress.length))
  for (const xid of inProgress) at = writeNumber(out, at, xid - xmin)
  return at
}

/** The stamp in bytes[start, end), or undefined when they are none that this version understands. */
export function decodeStamp(bytes: Uint8Array, start: number, end: number): Stamp | undefined {
  if (end - start < 2 || end - start > limits.stampBytesMax || bytes[start] !== VERSION) return undefined
  const kind = bytes[start + 1]!
  const numbers = readNumbers(bytes, start + 2, end)
  if (numbers === undefined) return undefined
  if (kind === WRITE) return decodeWrite(numbers)
  return kind === LOAD_EXACT || kind === LOAD_INEXACT ? decodeLoad(numbers, kind === LOAD_EXACT) : undefined
}

function decodeWrite(numbers: readonly bigint[]): Stamp | undefined {
  const [xid, at, epoch, upto] = numbers
  if (numbers.length !== 4 || xid === undefined || at === undefined || epoch === undefined || upto === undefined) {
    return undefined
  }
  return { kind: 'write', xid, at, epoch, upto }
}

function decodeLoad(numbers: readonly bigint[], exact: boolean): Stamp | undefined {
  const [lsn, flush, epoch, upto, xmin, width, count, ...offsets] = numbers
  if (lsn === undefined || flush === undefined || epoch === undefined || upto === undefined) return undefined
  if (xmin === undefined || width === undefined || (exact ? count === undefined : count !== undefined)) return undefined
  if (BigInt(offsets.length) !== (count ?? 0n) || offsets.length > limits.snapshotInProgressMax) return undefined
  const xmax = xmin + width
  const snapshot = exact
    ? boundedSnapshot(
        xmin,
        xmax,
        offsets.map(offset => xmin + offset),
      )
    : { xmin, xmax, inProgress: [], exact: false }
  return { kind: 'load', snapshot, flush, lsn, epoch, upto }
}

function writeNumber(out: Uint8Array, at: number, n: bigint): number {
  assert(n >= 0n && n < 1n << 64n, 'numbers of a stamp are unsigned 64-bit')
  while (n > MAX_SAFE) {
    out[at++] = Number(n & 0x7fn) | 0x80
    n >>= 7n
  }
  // Most are not that large, and plain numbers are several times as fast.
  let rest = Number(n)
  while (rest >= 0x80) {
    out[at++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  out[at++] = rest
  return at
}

/** All numbers in bytes[at, end), or undefined when the last is cut off or one is too large. */
function readNumbers(bytes: Uint8Array, at: number, end: number): bigint[] | undefined {
  const numbers: bigint[] = []
  while (at < end) {
    let n = 0n
    let shift = 0n
    for (;;) {
      if (at >= end || shift > 63n) return undefined
      const byte = bytes[at++]!
      n |= BigInt(byte & 0x7f) << shift
      shift += 7n
      if (byte < 0x80) break
    }
    if (n >= 1n << 64n) return undefined
    numbers.push(n)
  }
  return numbers
}
