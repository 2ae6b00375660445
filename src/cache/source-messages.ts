// What a server thread and a source's thread say to each other over a MessagePort. Rows travel packed into one buffer: a
// view of a part of a buffer would be cloned with all of the buffer around it.
import type { ErrorCode } from '../base/errors.ts'
import type { Position } from '../coherence/mark.ts'
import type { ChangeEvent, SourceLoadStamp, WriteStamp } from '../coherence/stamp.ts'
import type { KeyspaceDescription, RowBytes, RowId, RowOutcome, RowWrite } from '../source/source.ts'
import type { SourceStatus } from './source-status.ts'

export type SourceRequest =
  | { readonly id: number; readonly kind: 'load'; readonly keyspace: string; readonly ids: readonly RowId[] }
  | { readonly id: number; readonly kind: 'write'; readonly writes: readonly RowWrite[] }
  | { readonly id: number; readonly kind: 'position' }
  | { readonly id: number; readonly kind: 'status' }

export type SourceReply =
  | { readonly id: number; readonly kind: 'loaded'; readonly rows: PackedRows; readonly stamp: SourceLoadStamp }
  | { readonly id: number; readonly kind: 'written'; readonly outcomes: PackedOutcomes; readonly stamp: WriteStamp }
  | { readonly id: number; readonly kind: 'position'; readonly position: Position; readonly epoch: bigint }
  | { readonly id: number; readonly kind: 'status'; readonly status: SourceStatus }
  | { readonly id: number; readonly kind: 'failed'; readonly error: { code: ErrorCode; message: string } }

/** What a source's thread says unasked: how the keyspaces look from now on. What it answers after this is of that form. */
export interface SourceNews {
  readonly kind: 'described'
  readonly epoch: bigint
  readonly descriptions: readonly KeyspaceDescription[]
}

/** What a feed tells in messages: where it is at first, then all that its FeedHandler would be told. */
export type FeedNews =
  | { readonly kind: 'begins'; readonly epoch: bigint; readonly position: Position }
  | { readonly kind: 'changes'; readonly position: Position; readonly changes: readonly ChangeEvent[] }
  | { readonly kind: 'reset'; readonly position: Position; readonly reason: string }
  | { readonly kind: 'sample'; readonly takenAtMs: number; readonly position: Position }

export interface PackedRows {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Where each row ends; negative: there is no row. */
  readonly ends: Int32Array<ArrayBuffer>
}

export interface PackedOutcomes {
  /** `before` and `after` of each outcome in turn. */
  readonly rows: PackedRows
  readonly facts: readonly Omit<RowOutcome, 'before' | 'after'>[]
}

export function packRows(rows: readonly RowBytes[]): PackedRows {
  let total = 0
  for (const row of rows) total += row?.length ?? 0
  const bytes = new Uint8Array(total)
  const ends = new Int32Array(rows.length)
  let at = 0
  for (const [i, row] of rows.entries()) {
    if (row !== null) {
      bytes.set(row, at)
      at += row.length
    }
    ends[i] = row === null ? -1 : at
  }
  return { bytes, ends }
}

export function unpackRows({ bytes, ends }: PackedRows): RowBytes[] {
  const rows: RowBytes[] = []
  let at = 0
  for (const end of ends) {
    if (end < 0) rows.push(null)
    else {
      rows.push(Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at))
      at = end
    }
  }
  return rows
}

export function packOutcomes(outcomes: readonly RowOutcome[]): PackedOutcomes {
  const rows = packRows(outcomes.flatMap(({ before, after }) => [before, after]))
  return { rows, facts: outcomes.map(({ changed, fields, exact }) => ({ changed, fields, exact })) }
}

export function unpackOutcomes({ rows, facts }: PackedOutcomes): RowOutcome[] {
  const unpacked = unpackRows(rows)
  return facts.map((fact, i) => ({ ...fact, before: unpacked[2 * i] ?? null, after: unpacked[2 * i + 1] ?? null }))
}

/** The writes with bytes of their own, fit to be cloned. */
export function ownBytes(writes: readonly RowWrite[]): RowWrite[] {
  return writes.map(write => {
    const { operation } = write
    if (operation.kind === 'replace' || operation.kind === 'remove') {
      const { expected } = operation
      const own = expected === undefined ? operation : { ...operation, expected: new Uint8Array(expected) }
      return { ...write, operation: own.kind === 'remove' ? own : { ...own, row: new Uint8Array(own.row) } }
    }
    if (operation.kind !== 'update') return write
    const fields = operation.fields.map(([name, value]) => [name, new Uint8Array(value)] as const)
    return { ...write, operation: { ...operation, fields } }
  })
}
