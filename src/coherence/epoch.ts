// Epochs: what a position belongs to. Positions, transaction ids and marks compare only within one history of one database,
// and a lane says something only about keys, rows and lanes that everybody understands alike. All of that goes into one
// 64-bit fingerprint; whatever of it changes, the lanes begin anew and samples of before prove nothing.
// Not for: asking a database who it is (source/).
import { nodeCrypto } from '../base/node-modules.ts'

export interface EpochKeyspace {
  readonly name: string
  /** With its schema. */
  readonly table: string
  /** As they come in a row, each with its type as the database spells it. */
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** In the order in which an id spells them. */
  readonly keyColumns: readonly string[]
  /** What else decides what is in a row, or which changes are told of it: the text of a view, the tables it depends on. */
  readonly definition?: string
}

export interface EpochParts {
  /** The database's own identity, which it keeps for life. */
  readonly systemId: string
  /** Changes whenever a standby takes over. */
  readonly timeline: number
  /** Changes when the database was started again: after a crash, transaction ids and positions may come again. */
  readonly run: string
  readonly lanes: number
  /** In any order. */
  readonly keyspaces: readonly EpochKeyspace[]
  /** Names what the feed tells: publication, slot, or the table of an outbox. */
  readonly publication: string
}

/** How keys become lanes, and events keys: a version of this code that does it otherwise has another name here. */
const LAYOUT = 'lanes: hash32 seed 0, mod'
/** How rows are spelt (source/row-json.ts), likewise. */
const ROWS = 'json, bytes after a blank'

/** Unsigned, 64 bits; equal for equal parts, in every process. */
export function epochOf(parts: EpochParts): bigint {
  const { systemId, timeline, run, lanes, publication } = parts
  const keyspaces = parts.keyspaces
    .map(({ name, table, columns, keyColumns, definition }) =>
      JSON.stringify([
        ROWS,
        name,
        table,
        columns.map(column => [column.name, column.type]),
        keyColumns,
        definition ?? null,
      ]),
    )
    .toSorted()
  const whole = JSON.stringify([LAYOUT, systemId, timeline, run, lanes, publication, keyspaces])
  return nodeCrypto().createHash('sha256').update(whole).digest().readBigUInt64BE(0)
}

/**
 * Of all sources without a log: they have no history that could be another one, and nothing of them is in a lane but records
 * under their keys. So processes with different keyspaces of that kind share the lanes of one tier. (It is what `epochOf` gives
 * for `systemId: 'no log'` and nothing else; written down, for it is asked for when the package is imported.)
 */
export const LOGLESS_EPOCH: bigint = 7540272666835995937n
