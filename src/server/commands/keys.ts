// Handlers of the commands on keys of any type: DEL, EXISTS, TYPE, RENAME, COPY, MOVE,
// RANDOMKEY, WAIT. The commands' table is in generic.ts,
// expiry in expiry.ts, iteration in scan.ts.
import { bytesEqual } from '../../base/bytes.ts'
import { RecordType } from '../../store/layout.ts'
import type { PutOutcome } from '../../store/store-writer.ts'
import type { Store } from '../../store/store.ts'
import { CommandError, type Call, type Respond } from './command.ts'
import {
  anyRowKey,
  ASK_CACHE,
  checkKeySize,
  copyFound,
  findLocked,
  hashOf,
  integerAt,
  isRowKey,
  requireRoom,
  settle,
  syntaxError,
} from './lookup.ts'
import { readRow, refuseRowOperation, rowKey } from './rows.ts'

export function del(call: Call): void | Promise<Respond> {
  if (anyRowKey(call, 1, 1)) return delRows(call)
  const { store, buffer, start, end, wallMs } = call
  const hashes: number[] = []
  for (let i = 1; i < call.argc; i++) hashes.push(hashOf(call, i))
  const removed = store.withLocks(hashes, () => {
    let count = 0
    for (let i = 1; i < call.argc; i++) {
      if (removeLive(store, buffer, start[i]!, end[i]!, hashes[i - 1]!, wallMs)) count++
    }
    return count
  })
  call.out.integer(removed)
}

/** Removes a key; false when there was none, or only an expired one. */
function removeLive(
  store: Store,
  bytes: Uint8Array,
  start: number,
  end: number,
  hash: number,
  wallMs: number,
): boolean {
  if (store.find(bytes, start, end, hash, wallMs) === RecordType.none) return false
  return store.remove(bytes, start, end, hash)
}

/** DEL with rows among the keys: those first, as one transaction; if it is refused, nothing else happens either. */
async function delRows(call: Call): Promise<Respond> {
  const { store, cache, wallMs } = call
  const rows = new Set<string>()
  const plain: { key: Buffer; hash: number }[] = []
  for (let i = 1; i < call.argc; i++) {
    if (isRowKey(call, i)) rows.add(rowKey(call, i))
    else plain.push({ key: call.bytes(i), hash: hashOf(call, i) })
  }
  const outcomes = await cache.write([...rows].map(key => ({ key, operation: { kind: 'remove' } })))
  const hashes = plain.map(entry => entry.hash)
  const removed = store.withLocks(hashes, () => {
    let count = 0
    for (const { key, hash } of plain) if (removeLive(store, key, 0, key.length, hash, wallMs)) count++
    return count
  })
  const rowsRemoved = outcomes.filter(outcome => outcome.changed).length
  return out => out.integer(rowsRemoved + removed)
}

export function exists(call: Call): void | Promise<Respond> {
  let count = 0
  let asked: string[] | undefined
  for (let i = 1; i < call.argc; i++) {
    const type = settle(call, i)
    if (type === ASK_CACHE) {
      asked ??= []
      asked.push(rowKey(call, i))
    } else if (type !== RecordType.none && type !== RecordType.absentRow) count++
  }
  if (asked === undefined) return call.out.integer(count)
  return existsAsking(call, asked, count)
}

async function existsAsking(call: Call, keys: readonly string[], count: number): Promise<Respond> {
  const rows = await call.cache.read([...keys])
  const total = count + rows.filter(row => row !== null).length
  return out => out.integer(total)
}

/** What TYPE says of a record of this type. */
export function typeName(type: number): 'string' | 'hash' | 'none' {
  switch (type) {
    case RecordType.string:
      return 'string'
    case RecordType.hash:
    case RecordType.row:
      return 'hash'
    default:
      return 'none'
  }
}

export function type(call: Call): void | Promise<Respond> {
  const found = settle(call, 1)
  if (found !== ASK_CACHE) return call.out.simple(typeName(found))
  return readRow(call, 1, (out, json) => out.simple(json === null ? 'none' : 'hash'))
}

const SAME_OBJECTS = 'ERR source and destination objects are the same'

type Transferred = PutOutcome | 'missing' | 'kept'

/** Puts a copy of key 1, with its expiry, under key 2; `kept`: there was one there and it may not be replaced. */
function transfer(call: Call, replace: boolean, removeSource: boolean): Transferred {
  const { store, buffer, start, end } = call
  checkKeySize(end[2]! - start[2]!)
  const from = hashOf(call, 1)
  const to = hashOf(call, 2)
  let bytes = 0
  const result = store.withLocks([from, to], (): Transferred => {
    const type = findLocked(call, 1, from) as RecordType
    if (type === RecordType.none) return 'missing'
    const expiresAtMs = store.foundExpiresAtMs
    const value = copyFound(store)
    bytes = value.length
    if (!replace && findLocked(call, 2, to) !== RecordType.none) return 'kept'
    if (sameKeys(call)) return 'stored'
    const outcome = store.put(buffer, start[2]!, end[2]!, to, type, value, 0, bytes, expiresAtMs, call.wallMs)
    if (outcome === 'stored' && removeSource) store.remove(buffer, start[1]!, end[1]!, from)
    return outcome
  })
  requireRoom(store, result, bytes)
  return result
}

function sameKeys(call: Call): boolean {
  return bytesEqual(call.buffer, call.start[1]!, call.end[1]!, call.buffer, call.start[2]!, call.end[2]!)
}

function refuseRows(call: Call, command: string): void {
  for (let i = 1; i <= 2; i++) {
    refuseRowOperation(call, i, command, "a row's key is part of the row; read it and write another one instead (SET)")
  }
}

function noSuchKey(): CommandError {
  return new CommandError('ERR no such key')
}

export function rename(call: Call): void {
  refuseRows(call, 'RENAME')
  if (transfer(call, true, true) === 'missing') throw noSuchKey()
  call.out.simple('OK')
}

export function renamenx(call: Call): void {
  refuseRows(call, 'RENAMENX')
  const result = transfer(call, false, true)
  if (result === 'missing') throw noSuchKey()
  call.out.integer(result === 'stored' ? 1 : 0)
}

export function copy(call: Call): void {
  let replace = false
  for (let i = 3; i < call.argc; i++) {
    if (call.is(i, 'REPLACE')) replace = true
    else if (call.is(i, 'DB') && i + 1 < call.argc) checkDatabase(call, ++i)
    else throw syntaxError()
  }
  refuseRows(call, 'COPY')
  if (sameKeys(call)) throw new CommandError(SAME_OBJECTS)
  call.out.integer(transfer(call, replace, false) === 'stored' ? 1 : 0)
}

/** There is one database, 0. */
function checkDatabase(call: Call, i: number): void {
  const database = integerAt(call, i)
  if (database !== BigInt.asIntN(32, database)) {
    throw new CommandError('ERR value is out of range, value must between -2147483648 and 2147483647')
  }
  if (database !== 0n) throw new CommandError('ERR DB index is out of range')
}

/** MOVE has nowhere to go: what is no other database is out of range. */
export function move(call: Call): void {
  checkDatabase(call, 2)
  throw new CommandError(SAME_OBJECTS)
}

export function randomkey(call: Call): void {
  const key = call.store.randomKey(call.random, call.wallMs, found => typeName(found) !== 'none')
  if (key === undefined) call.out.nil()
  else call.out.bulk(key)
}

/** There are no replicas to wait for, and never will be: none is told at once, however long the timeout. */
export function wait(call: Call): void {
  integerAt(call, 1)
  if (integerAt(call, 2, 'ERR timeout is not an integer or out of range') < 0n) {
    throw new CommandError('ERR timeout is negative')
  }
  call.out.integer(0)
}
