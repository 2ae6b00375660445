// While a client's MULTI is open: keeps its requests, or says why one cannot be part of a transaction. Rows live in a
// database, so what they may do in MULTI is bound by what one transaction of that database can do:
//
//   - row writes of one EXEC are one transaction of one database, done first; if it is refused, nothing of EXEC happens
//   - row reads are answered by the cache before the plain commands run
//   - row reads and row writes do not mix (a read could not see the write of its own transaction)
//   - no row writes while keys are watched (the database would have committed before the watched keys are looked at)
//   - no command with row keys and plain keys, unless it only reads
//
// Not for: running them (commands/transactions.ts).
import { TidemarkError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Cache } from '../cache/cache.ts'
import { specialOf } from './client.ts'
import type { Command } from './commands/command.ts'
import { keyPositions } from './commands/command-table.ts'
import type { ServerCall } from './commands/server-call.ts'
import type { QueuedRequest, SpecialState } from './special-state.ts'

/** Keeps the request for EXEC; throws a TidemarkError when it cannot be part of the transaction. */
export function enqueue(call: ServerCall, index: number, command: Command): void {
  const state = specialOf(call.client)
  const first = call.start[0]!
  const bytes = call.end[call.argc - 1]! - first
  if (!state.hasRoom(bytes)) {
    throw new TidemarkError(
      'TRANSACTION_TOO_LARGE',
      `MULTI may queue ${limits.transactionCommandsMax} commands (transactionCommandsMax) of ` +
        `${limits.transactionBytesMax} bytes (transactionBytesMax)`,
    )
  }
  const rows = rowsOf(call, command)
  if (rows !== 'none') checkRows(call, command, rows, state)
  state.queue.push({
    command: index,
    buffer: Buffer.from(call.buffer.subarray(first, first + bytes)),
    start: Int32Array.from({ length: call.argc }, (_, i) => call.start[i]! - first),
    end: Int32Array.from({ length: call.argc }, (_, i) => call.end[i]! - first),
    argc: call.argc,
    rows,
  })
  state.queuedBytes += bytes
}

function keyspaceAt(call: ServerCall, i: number): ReturnType<Cache['keyspaceOf']> {
  return call.cache.keyspaceOf(call.buffer, call.start[i]!, call.end[i]!)
}

function rowsOf(call: ServerCall, command: Command): QueuedRequest['rows'] {
  // Channels of sharded commands are where keys are, and none.
  if (!command.flags.includes('write') && !command.flags.includes('readonly')) return 'none'
  const any = keyPositions(command, call.argc).some(i => keyspaceAt(call, i) !== undefined)
  if (!any) return 'none'
  return command.flags.includes('write') ? 'write' : 'read'
}

function checkRows(call: ServerCall, command: Command, rows: 'read' | 'write', state: SpecialState): void {
  if (state.queue.some(queued => queued.rows !== 'none' && queued.rows !== rows)) {
    throw refusal('row reads and row writes cannot be mixed in one MULTI: read the rows before it')
  }
  if (rows === 'read') return
  if (state.watched.length > 0) {
    throw refusal('rows cannot be written in a MULTI that watches keys: the database commits on its own')
  }
  for (const i of keyPositions(command, call.argc)) {
    const keyspace = keyspaceAt(call, i)
    if (keyspace === undefined) {
      throw refusal(`${command.name.toUpperCase()} with row keys and plain keys cannot be part of MULTI: split it`)
    }
    const database = keyspace.backing.source.name
    if (state.database === '') state.database = database
    if (state.database !== database) {
      throw new TidemarkError(
        'CROSS_SOURCE',
        `one MULTI writes to databases '${state.database}' and '${database}', which could not be one transaction`,
      )
    }
  }
}

function refusal(message: string): TidemarkError {
  return new TidemarkError('TRANSACTION_ROWS', message)
}
