// Systems of record: what the cache asks of a database. A Source loads and writes many keys at once, and says how far the
// database's log has come. Not for: what changed, in order (change-feed.ts); anything that knows of memory, lanes or clients.
import type { Position } from '../coherence/mark.ts'
import type { SourceLoadStamp, WriteStamp } from '../coherence/stamp.ts'

/** How a table's column looks to a keyspace. `json` is how its values are spelt in the JSON view. */
export interface ColumnDescription {
  readonly name: string
  /** 'any' takes every type (a column of a table that is not STRICT and declares none). */
  readonly type: 'integer' | 'real' | 'text' | 'blob' | 'any'
  readonly nullable: boolean
  readonly key: boolean
}

export interface KeyspaceDescription {
  readonly name: string
  readonly table: string
  /** In the table's order: the order of the JSON view's members and of HGETALL's fields. */
  readonly columns: readonly ColumnDescription[]
  /** The key columns in the order in which an id spells them, joined by ':'. */
  readonly keyColumns: readonly string[]
}

/** A row key without its keyspace's prefix, in its one canonical spelling. */
export type RowId = string

/** One row as JSON text in UTF-8, as row-json.ts spells it: an object with all columns of the keyspace. null: there is no such row. */
export type RowBytes = Uint8Array | null

/** In place of a row of a source of objects: this one cannot be had, and why. Only whoever asked for it is told. */
export class RowFailure {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}

export interface LoadResult<V = Uint8Array> {
  /** In the order of the ids asked for. */
  readonly rows: readonly (V | null)[]
  readonly stamp: SourceLoadStamp
}

export type RowOperation<V = Uint8Array> =
  /**
   * The whole row: columns not in `row` get their default. `condition` as SET's NX and XX. `all-absent` is for MSETNX: this
   * row, and those of the `and-absent` writes that follow it at once, are written only if none of them is there.
   */
  | {
      readonly kind: 'replace'
      readonly row: V
      readonly condition?: 'absent' | 'present' | 'all-absent' | 'and-absent'
      /** Only if the row is this one, as the source spelt it. */
      readonly expected?: V | undefined
    }
  /**
   * Some columns, given as text (as HSET does); inserts the row if there is none. `absent` as HSETNX: only if all of them are
   * NULL, or there is no row.
   */
  | {
      readonly kind: 'update'
      readonly fields: readonly (readonly [name: string, value: Uint8Array])[]
      readonly condition?: 'absent'
    }
  /**
   * Adds to the number in one column, as HINCRBY (`integer`) and HINCRBYFLOAT (`float`) do: NULL counts as 0; inserts the
   * row if there is none. `amount` is a number that the kind takes.
   */
  | { readonly kind: 'add'; readonly field: string; readonly amount: string; readonly as: 'integer' | 'float' }
  /** Columns to set to NULL, as HDEL does. */
  | { readonly kind: 'unset'; readonly fields: readonly string[] }
  | { readonly kind: 'remove'; readonly expected?: V | undefined }

export interface RowWrite<V = Uint8Array> {
  readonly keyspace: string
  readonly id: RowId
  readonly operation: RowOperation<V>
}

export interface RowOutcome<V = Uint8Array> {
  /** False when the condition did not hold or there was nothing to unset or remove: nothing was changed. */
  readonly changed: boolean
  /** The row before. */
  readonly before: V | null
  /** The row as the database returned it. */
  readonly after: V | null
  /** Fields that were NULL or had no row and now have a value (update), or that had a value and are NULL now (unset). */
  readonly fields: number
  /** False when `after` may not be what the transaction left behind (triggers): remove the cached row instead. */
  readonly exact: boolean
}

export interface WriteResult<V = Uint8Array> {
  /** In the order of the writes. */
  readonly outcomes: readonly RowOutcome<V>[]
  readonly stamp: WriteStamp
}

export interface SourcePosition {
  readonly position: Position
  /** Of the database that answered. */
  readonly epoch: bigint
}

/**
 * A system of record whose rows are `V`: JSON as bytes for databases, objects for what is written in JavaScript. All methods reject with a TidemarkError; a call that rejects
 * has changed nothing, save SOURCE_TIMEOUT.
 */
export interface Source<V = Uint8Array> {
  readonly name: string
  /** Of the database and of how its keyspaces are laid out, as of the last contact with it: what a lease is asked for with. */
  readonly epoch: bigint
  /** Given when it has no log of its changes: there is no proof of anything then, and a time to live governs. */
  readonly log?: false | undefined
  /** Without a log: how long others keep off a key that is written; longer than a write takes, or `limits.fenceMs`. */
  readonly fenceMs?: number
  /**
   * How long a load may take, where it is worth waiting for: so long others wait for whoever loads a key, as long as he is there.
   * Without it they wait for `limits.fillWaitMs`, and then ask by themselves.
   */
  readonly loadMs?: number | undefined
  /** One query for all of `ids`. An id that is no canonical key of the table rejects with ROW_KEY_INVALID. */
  load(keyspace: string, ids: readonly RowId[]): Promise<LoadResult<V>>
  /** One transaction for all of `writes`; resolves once it is durable. */
  write(writes: readonly RowWrite<V>[]): Promise<WriteResult<V>>
  /**
   * Writes what `change` makes of the row, null being none; again, of the row as it is by then, if others change it meanwhile.
   * undefined: there was nothing to do. Rejects as `write` does, as `change` does, or with SOURCE_BUSY. Without it, the cache
   * loads and writes.
   */
  readonly change?:
    | ((
        keyspace: string,
        id: RowId,
        change: (row: V | null) => Promise<V | null>,
      ) => Promise<WriteResult<V> | undefined>)
    | undefined
  /** One query to the primary: everything visible before the call lies at or before the position. */
  position(): Promise<SourcePosition>
  close(): Promise<void>
}
