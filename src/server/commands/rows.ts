// Row keys: keys whose prefix names a keyspace, so that a row of the database stands behind them. One record serves both
// views, JSON (GET, SET) and fields (HGET, HSET ...). Reads that memory cannot answer ask the cache, writes go through it
// to the database; both take time, so all that is needed later is copied out of the call first.
// Not for: the rows' format (source/row-json.ts), or when a row in memory may be answered (cache/).
import { isUtf8 } from 'node:buffer'
import { TidemarkError } from '../../base/errors.ts'
import type { RowOperation, RowOutcome } from '../../source/source.ts'
import type { ReplyWriter } from '../../wire/reply-writer.ts'
import type { Call, Respond } from './command.ts'
import { checkKeySize, isRowKey } from './lookup.ts'

/** Argument i as a row key, copied. Throws for one that no row can have. */
export function rowKey(call: Call, i: number): string {
  checkKeySize(call.end[i]! - call.start[i]!)
  const bytes = call.buffer.subarray(call.start[i], call.end[i])
  if (isUtf8(bytes)) return bytes.toString()
  throw new TidemarkError(
    'ROW_KEY_INVALID',
    `${JSON.stringify(bytes.toString())} is not UTF-8: the key of a row is text, as its key columns spell it`,
  )
}

/** The table behind the row key in argument i, for messages. */
function tableOf(call: Call, i: number): string {
  return call.cache.keyspaceOf(call.buffer, call.start[i]!, call.end[i]!)!.description.table
}

/** Asks the cache for the row of argument i; `reply` gets its JSON, or null when there is no such row. */
export async function readRow(
  call: Call,
  i: number,
  reply: (out: ReplyWriter, json: Uint8Array | null) => void,
): Promise<Respond> {
  const [json = null] = await call.cache.read([rowKey(call, i)])
  return out => reply(out, json)
}

/** Writes to the row of argument i; resolves once the database has it. */
export async function writeRow(
  call: Call,
  i: number,
  operation: RowOperation,
  reply: (out: ReplyWriter, outcome: RowOutcome) => void,
): Promise<Respond> {
  const [outcome] = await call.cache.write([{ key: rowKey(call, i), operation }])
  return out => reply(out, outcome!)
}

/** Throws when argument i is a row key: those do not expire. */
export function refuseRowExpiry(call: Call, i: number): void {
  if (!isRowKey(call, i)) return
  throw new TidemarkError(
    'ROW_TTL',
    `${call.text(i)} is a row of table ${tableOf(call, i)} and cannot expire: it lives as long as the ` +
      'database keeps it. How stale its copy in memory may be is set by the keyspace (maxStaleness)',
  )
}

/** Throws when argument i is a row key: `command` does not exist for those. */
export function refuseRowOperation(call: Call, i: number, command: string, instead: string): void {
  if (!isRowKey(call, i)) return
  throw new TidemarkError(
    'ROW_OPERATION',
    `${command} is not for ${call.text(i)}, a row of table ${tableOf(call, i)}: ${instead}`,
  )
}

/** Throws when argument i is a row key: whether a row has changed is for its database to say. */
export function refuseWatchedRow(call: Call, i: number): void {
  if (!isRowKey(call, i)) return
  throw new TidemarkError(
    'TRANSACTION_ROWS',
    `${call.text(i)} is a row of table ${tableOf(call, i)} and cannot be watched: other programs change it in ` +
      'the database; use a condition of the write (SET NX or XX), or a transaction of the database',
  )
}

export function replyJson(out: ReplyWriter, json: Uint8Array | null): void {
  if (json === null) out.nil()
  else out.bulk(json)
}
