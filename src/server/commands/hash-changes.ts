// Handlers of the commands that change a hash by what it holds: HSETNX, HINCRBY and HINCRBYFLOAT. On rows the question and
// the change are one operation inside the database's transaction. Not for: plain setting (hash-fields.ts).
import { INT64_MAX, INT64_MIN, parseInt64 } from '../../base/bytes.ts'
import { addLongDoubles, formatLongDouble, parseLongDouble } from '../../base/long-double.ts'
import type { RowOperation } from '../../source/source.ts'
import { rowField } from '../../source/row-json.ts'
import { getHashFields, setHashFields } from '../../store/hash-value.ts'
import { RecordType } from '../../store/layout.ts'
import type { ReplyWriter } from '../../wire/reply-writer.ts'
import { CommandError, type Call, type Respond } from './command.ts'
import {
  checkKeySize,
  checkValueSize,
  copyFound,
  findLocked,
  hashOf,
  integerAt,
  isRowKey,
  requireRoom,
  wrongType,
} from './lookup.ts'
import { replyJson, writeRow } from './rows.ts'
import { floatAt, NOT_FINITE } from './string-changes.ts'

const NOT_AN_INTEGER_FIELD = 'ERR hash value is not an integer'
const NOT_A_FLOAT_FIELD = 'ERR hash value is not a float'
const OVERFLOW = 'ERR increment or decrement would overflow'

/**
 * Field 2 of the plain hash of key 1 becomes what `change` makes of its value (undefined: there is none); undefined leaves
 * it as it is. `change` may run twice.
 */
function changeField(call: Call, change: (old: Uint8Array | undefined) => Uint8Array | undefined): void {
  checkKeySize(call.end[1]! - call.start[1]!)
  const { store, buffer, wallMs } = call
  const name = buffer.subarray(call.start[2], call.end[2])
  const hash = hashOf(call, 1)
  let bytes = 0
  const outcome = store.withLock(hash, () => {
    const type = findLocked(call, 1, hash)
    if (type === RecordType.string) throw wrongType()
    const exists = type === RecordType.hash
    const expiresAtMs = exists ? store.foundExpiresAtMs : 0
    const old = exists ? copyFound(store) : undefined
    const value = change(old === undefined ? undefined : getHashFields(old, [name])[0])
    if (value === undefined) return 'stored'
    const { value: changed } = setHashFields(old, [[name, value]])
    bytes = changed.length
    checkValueSize(store, bytes)
    const { start, end } = call
    return store.put(buffer, start[1]!, end[1]!, hash, RecordType.hash, changed, 0, bytes, expiresAtMs, wallMs)
  })
  requireRoom(store, outcome, bytes)
}

export function hsetnx(call: Call): void | Promise<Respond> {
  if (isRowKey(call, 1)) {
    const fields = [[call.text(2), call.bytes(3)]] as const
    return writeRow(call, 1, { kind: 'update', fields, condition: 'absent' }, (out, outcome) => {
      out.integer(outcome.changed ? 1 : 0)
    })
  }
  let set = false
  changeField(call, old => {
    set = old === undefined
    return set ? call.buffer.subarray(call.start[3], call.end[3]) : undefined
  })
  call.out.integer(set ? 1 : 0)
}

/** Adds to a column; `reply` gets the field as the row then has it. */
function addToRow(
  call: Call,
  operation: Extract<RowOperation, { kind: 'add' }>,
  reply: (out: ReplyWriter, value: Buffer | undefined) => void,
): Promise<Respond> {
  return writeRow(call, 1, operation, (out, { after }) => {
    reply(out, after === null ? undefined : rowField(after, operation.field))
  })
}

export function hincrby(call: Call): void | Promise<Respond> {
  const delta = integerAt(call, 3)
  if (isRowKey(call, 1)) {
    const operation = { kind: 'add', field: call.text(2), amount: delta.toString(), as: 'integer' } as const
    return addToRow(call, operation, (out, value) => {
      const sum = value === undefined ? undefined : parseInt64(value, 0, value.length)
      // A trigger, or a column that rounds, may have made something else of it.
      if (sum === undefined) replyJson(out, value ?? null)
      else out.integer(sum)
    })
  }
  let sum = 0n
  changeField(call, old => {
    const before = old === undefined ? 0n : parseInt64(old, 0, old.length)
    if (before === undefined) throw new CommandError(NOT_AN_INTEGER_FIELD)
    sum = before + delta
    if (sum > INT64_MAX || sum < INT64_MIN) throw new CommandError(OVERFLOW)
    return Buffer.from(sum.toString())
  })
  call.out.integer(sum)
}

export function hincrbyfloat(call: Call): void | Promise<Respond> {
  const delta = floatAt(call, 3)
  if (delta.exponent === Infinity) throw new CommandError('ERR value is NaN or Infinity')
  if (isRowKey(call, 1)) {
    const operation = { kind: 'add', field: call.text(2), amount: call.text(3), as: 'float' } as const
    return addToRow(call, operation, (out, value) => replyJson(out, value ?? null))
  }
  let sum = Buffer.alloc(0)
  changeField(call, old => {
    const before = parseLongDouble(old === undefined ? '0' : Buffer.from(old).toString('latin1'))
    if (before === undefined) throw new CommandError(NOT_A_FLOAT_FIELD)
    const result = addLongDoubles(before, delta)
    if (result === undefined) throw new CommandError(NOT_FINITE)
    sum = Buffer.from(formatLongDouble(result))
    return sum
  })
  call.out.bulk(sum)
}
