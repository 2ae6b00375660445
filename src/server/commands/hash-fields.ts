// Handlers of the commands on hashes: fields of a plain hash (one record, rewritten whole), or columns of a row. The
// commands' table is in hashes.ts.
// HGET is on the hot path: it allocates nothing on a plain hash, whose record is copied behind the reply's end and searched there,
// nor on a row with ordinary names and values, which is searched where it lies.
import { findRowValue, plainValueEnd } from '../../source/row-column.ts'
import { rowField, rowFields } from '../../source/row-json.ts'
import {
  findHashField,
  getHashFields,
  hashFieldCount,
  hashFields,
  hashValueStart,
  nextHashField,
  removeHashFields,
  setHashFields,
  type HashField,
} from '../../store/hash-value.ts'
import { RecordType } from '../../store/layout.ts'
import type { ReplyWriter } from '../../wire/reply-writer.ts'
import { CommandError, type Call, type Respond } from './command.ts'
import {
  ASK_CACHE,
  checkKeySize,
  checkValueSize,
  copyFound,
  count,
  findLocked,
  hashOf,
  isRowKey,
  locate,
  requireRoom,
  take,
  WRONG_TYPE,
  wrongType,
} from './lookup.ts'
import { readRow, replyJson, writeRow } from './rows.ts'

const QUOTE = 0x22
const LOWER_N = 0x6e
/** More than the frame that a value's bulk string has around it. */
const FRAME_BYTES_MAX = 32

export function hget(call: Call): void | Promise<Respond> {
  const { store, out } = call
  for (;;) {
    const type = locate(call, 1)
    if (type === ASK_CACHE) return hgetAsking(call)
    if (type === RecordType.row && replyPlainColumn(call)) return
    const bytes = type === RecordType.hash || type === RecordType.row ? store.foundValueBytes : 0
    // Far enough behind the reply's end that writing the value there does not touch it here.
    out.reserve(2 * bytes + FRAME_BYTES_MAX)
    const at = out.length + bytes + FRAME_BYTES_MAX
    if (bytes > 0) store.copyValue(out.buffer, at)
    if (!store.confirm()) continue
    count(call, type)
    if (type === RecordType.string) return out.error(WRONG_TYPE)
    if (type === RecordType.hash) return replyHashField(call, at, at + bytes)
    if (type !== RecordType.row) return out.nil()
    const value = rowField(out.buffer.subarray(at, at + bytes), call.text(2))
    return replyJson(out, value ?? null)
  }
}

/** Replies with the column named by argument 2 of the located row; false, and nothing is written, where it takes more than this. */
function replyPlainColumn(call: Call): boolean {
  const { store, out } = call
  const json = store.foundView
  const end = store.foundValueAt + store.foundValueBytes
  const at = findRowValue(json, store.foundValueAt, end, call.buffer, call.start[2]!, call.end[2]!)
  if (at === -1) return false
  const valueEnd = plainValueEnd(json, at, end)
  if (valueEnd === -1) return false
  const first = json.getUint8(at)
  const quotes = first === QUOTE ? 1 : 0
  const bytes = valueEnd - at - 2 * quotes
  // A number when its end was looked for, a string now.
  if (bytes < 0) return false
  const mark = out.length
  if (first === LOWER_N) out.nil()
  else {
    const to = out.beginBulk(bytes)
    store.copyPart(at + quotes, bytes, out.buffer, to)
  }
  if (store.confirm()) {
    count(call, RecordType.row)
    return true
  }
  out.truncate(mark)
  return false
}

function hgetAsking(call: Call): Promise<Respond> {
  count(call, ASK_CACHE)
  const name = call.text(2)
  return readRow(call, 1, (out, json) => {
    const value = json === null ? undefined : rowField(json, name)
    replyJson(out, value ?? null)
  })
}

function replyHashField(call: Call, start: number, end: number): void {
  const { out } = call
  const field = findHashField(out.buffer, start, end, call.buffer, call.start[2]!, call.end[2]!)
  if (field === -1) out.nil()
  else out.bulk(out.buffer, hashValueStart(out.buffer, field), nextHashField(out.buffer, field))
}

/** A hash as read: encoded (undefined: there is none), or the fields of a row. */
export type Fields =
  | { readonly kind: 'plain'; readonly value: Buffer | undefined }
  | { readonly kind: 'row'; readonly fields: [name: string, value: Buffer][] }

/** Reads key 1 as a hash and replies from it, at once where memory can answer. */
export function withFields(call: Call, reply: (out: ReplyWriter, fields: Fields) => void): void | Promise<Respond> {
  const { type, value } = take(call, 1)
  switch (type) {
    case RecordType.string:
      return call.out.error(WRONG_TYPE)
    case RecordType.hash:
      return reply(call.out, { kind: 'plain', value })
    case RecordType.row:
      return reply(call.out, { kind: 'row', fields: rowFields(value) })
    case ASK_CACHE:
      return readRow(call, 1, (out, json) => {
        reply(out, { kind: 'row', fields: json === null ? [] : rowFields(json) })
      })
    default:
      return reply(call.out, { kind: 'plain', value: undefined })
  }
}

/** Copies of the arguments from `first` on, `step` apart. */
function copies(call: Call, first: number, step: number): Buffer[] {
  const all: Buffer[] = []
  for (let i = first; i < call.argc; i += step) all.push(call.bytes(i))
  return all
}

export function hmget(call: Call): void | Promise<Respond> {
  const names = copies(call, 2, 1)
  return withFields(call, (out, fields) => {
    out.array(names.length)
    for (const value of valuesOf(fields, names)) replyJson(out, value ?? null)
  })
}

export function hexists(call: Call): void | Promise<Respond> {
  const name = call.bytes(2)
  return withFields(call, (out, fields) => out.integer(valuesOf(fields, [name])[0] === undefined ? 0 : 1))
}

function valuesOf(fields: Fields, names: readonly Buffer[]): (Uint8Array | undefined)[] {
  if (fields.kind === 'row') {
    const byName = new Map(fields.fields)
    return names.map(name => byName.get(name.toString()))
  }
  return fields.value === undefined ? names.map(() => undefined) : getHashFields(fields.value, names)
}

/** Name and value of each, in order. */
export function listed(fields: Fields): readonly (readonly [name: string | Uint8Array, value: Uint8Array])[] {
  if (fields.kind === 'row') return fields.fields
  return fields.value === undefined ? [] : hashFields(fields.value)
}

export function replyName(out: ReplyWriter, name: string | Uint8Array): void {
  if (typeof name === 'string') out.text(name)
  else out.bulk(name)
}

export function hstrlen(call: Call): void | Promise<Respond> {
  const name = call.bytes(2)
  return withFields(call, (out, fields) => out.integer(valuesOf(fields, [name])[0]?.length ?? 0))
}

export function hgetall(call: Call): void | Promise<Respond> {
  return withFields(call, (out, fields) => {
    const all = listed(fields)
    out.map(all.length)
    for (const [name, value] of all) {
      replyName(out, name)
      out.bulk(value)
    }
  })
}

export function hkeys(call: Call): void | Promise<Respond> {
  return withFields(call, (out, fields) => {
    const all = listed(fields)
    out.array(all.length)
    for (const [name] of all) replyName(out, name)
  })
}

export function hvals(call: Call): void | Promise<Respond> {
  return withFields(call, (out, fields) => {
    const all = listed(fields)
    out.array(all.length)
    for (const [, value] of all) out.bulk(value)
  })
}

export function hlen(call: Call): void | Promise<Respond> {
  return withFields(call, (out, fields) => {
    if (fields.kind === 'row') out.integer(fields.fields.length)
    else out.integer(fields.value === undefined ? 0 : hashFieldCount(fields.value, 0))
  })
}

export function hset(call: Call): void | Promise<Respond> {
  return setFields(call, 'hset', (out, added) => out.integer(added))
}

export function hmset(call: Call): void | Promise<Respond> {
  return setFields(call, 'hmset', out => out.simple('OK'))
}

/** `reply` gets how many fields came to be. */
function setFields(
  call: Call,
  command: string,
  reply: (out: ReplyWriter, added: number) => void,
): void | Promise<Respond> {
  if (call.argc % 2 !== 0) throw new CommandError(`ERR wrong number of arguments for '${command}' command`)
  checkKeySize(call.end[1]! - call.start[1]!)
  if (isRowKey(call, 1)) return setRowFields(call, reply)
  const { store, buffer, wallMs } = call
  const start = call.start[1]!
  const end = call.end[1]!
  const fields: HashField[] = []
  for (let i = 2; i < call.argc; i += 2) {
    fields.push([buffer.subarray(call.start[i], call.end[i]), buffer.subarray(call.start[i + 1], call.end[i + 1])])
  }
  const hash = hashOf(call, 1)
  let bytes = 0
  let added = 0
  const outcome = store.withLock(hash, () => {
    const type = findLocked(call, 1, hash)
    if (type === RecordType.string) return 'wrong-type'
    const expiresAtMs = type === RecordType.hash ? store.foundExpiresAtMs : 0
    const change = setHashFields(type === RecordType.hash ? copyFound(store) : undefined, fields)
    added = change.fields
    bytes = change.value.length
    checkValueSize(store, bytes)
    return store.put(buffer, start, end, hash, RecordType.hash, change.value, 0, bytes, expiresAtMs, wallMs)
  })
  if (outcome === 'wrong-type') throw wrongType()
  requireRoom(store, outcome, bytes)
  reply(call.out, added)
}

function setRowFields(call: Call, reply: (out: ReplyWriter, added: number) => void): Promise<Respond> {
  // Of a column given twice the last value counts.
  const fields = new Map<string, Buffer>()
  for (let i = 2; i < call.argc; i += 2) fields.set(call.text(i), call.bytes(i + 1))
  return writeRow(call, 1, { kind: 'update', fields: [...fields] }, (out, outcome) => reply(out, outcome.fields))
}

export function hdel(call: Call): void | Promise<Respond> {
  if (isRowKey(call, 1)) {
    const fields = [...new Set(copies(call, 2, 1).map(String))]
    return writeRow(call, 1, { kind: 'unset', fields }, (out, outcome) => out.integer(outcome.fields))
  }
  const { store, buffer, wallMs } = call
  const start = call.start[1]!
  const end = call.end[1]!
  const names = copies(call, 2, 1)
  const hash = hashOf(call, 1)
  let bytes = 0
  let removed = 0
  const outcome = store.withLock(hash, () => {
    removed = 0
    const type = findLocked(call, 1, hash)
    if (type === RecordType.string) return 'wrong-type'
    if (type === RecordType.none) return 'stored'
    const expiresAtMs = store.foundExpiresAtMs
    const change = removeHashFields(copyFound(store), names)
    removed = change.fields
    bytes = change.value.length
    if (removed === 0) return 'stored'
    if (hashFieldCount(change.value, 0) > 0) {
      return store.put(buffer, start, end, hash, RecordType.hash, change.value, 0, bytes, expiresAtMs, wallMs)
    }
    store.remove(buffer, start, end, hash)
    return 'stored'
  })
  if (outcome === 'wrong-type') throw wrongType()
  requireRoom(store, outcome, bytes)
  call.out.integer(removed)
}
