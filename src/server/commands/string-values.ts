// Handlers of the commands that read and set strings: plain keys hold bytes, row keys show their row as JSON. Counting and
// appending are in string-changes.ts, the commands' table in strings.ts.
// GET, MGET and SET without options are the hot path: on a hit they allocate nothing and take no closure. Everything else
// here reads and writes under the key's lock.
import { RecordType } from '../../store/layout.ts'
import type { PutOutcome } from '../../store/store-writer.ts'
import type { Store } from '../../store/store.ts'
import { CommandError, type Call, type Respond } from './command.ts'
import { optionTime, parseStringOptions, parseTime, MILLISECOND_MS, SECOND_MS } from './expiry-arguments.ts'
import type { StringOptions } from './expiry-arguments.ts'
import {
  anyRowKey,
  ASK_CACHE,
  checkSizes,
  copyFound,
  count,
  findLocked,
  hashOf,
  isLargeRecord,
  isRowKey,
  locate,
  replyFound,
  requireRoom,
  settle,
  take,
  WRONG_TYPE,
  wrongType,
} from './lookup.ts'
import { readRow, refuseRowExpiry, replyJson, rowKey, writeRow } from './rows.ts'

export function get(call: Call): void | Promise<Respond> {
  for (;;) {
    const type = locate(call, 1)
    switch (type) {
      case RecordType.string:
      case RecordType.row:
        if (!replyFound(call)) continue
        break
      case ASK_CACHE:
        count(call, type)
        return readRow(call, 1, replyJson)
      default:
        if (!call.store.confirm()) continue
        if (type === RecordType.hash) call.out.error(WRONG_TYPE)
        else call.out.nil()
    }
    count(call, type)
    return
  }
}

/** Writes what GET of argument i would, except that every other type is nil; false: the cache is to be asked. */
function replyValueOrNil(call: Call, i: number): boolean {
  for (;;) {
    const type = locate(call, i)
    if (type === ASK_CACHE) return false
    const valued = type === RecordType.string || type === RecordType.row
    if (valued ? !replyFound(call) : !call.store.confirm()) continue
    if (!valued) call.out.nil()
    count(call, type)
    return true
  }
}

export function mget(call: Call): void | Promise<Respond> {
  const { cache, out } = call
  const mark = out.length
  const hits = cache.hits[0]!
  const misses = cache.misses[0]!
  out.array(call.argc - 1)
  for (let i = 1; i < call.argc; i++) {
    if (replyValueOrNil(call, i)) continue
    out.truncate(mark)
    cache.hits[0] = hits
    cache.misses[0] = misses
    return mgetAsking(call)
  }
}

/** MGET where memory cannot answer for all rows: one question for those, and copies of the rest. */
async function mgetAsking(call: Call): Promise<Respond> {
  const values: (Uint8Array | null)[] = []
  const asked: string[] = []
  const places: number[] = []
  for (let i = 1; i < call.argc; i++) {
    const { type, value } = take(call, i)
    if (type === ASK_CACHE) {
      asked.push(rowKey(call, i))
      places.push(i - 1)
    }
    values.push(type === RecordType.string || type === RecordType.row ? value : null)
  }
  const rows = await call.cache.read(asked)
  places.forEach((place, n) => {
    values[place] = rows[n] ?? null
  })
  return out => {
    out.array(values.length)
    for (const value of values) replyJson(out, value)
  }
}

export function strlen(call: Call): void | Promise<Respond> {
  const type = settle(call, 1)
  switch (type) {
    case RecordType.string:
    case RecordType.row:
      return call.out.integer(call.store.foundValueBytes)
    case RecordType.hash:
      return call.out.error(WRONG_TYPE)
    case ASK_CACHE:
      return readRow(call, 1, (out, json) => out.integer(json?.length ?? 0))
    default:
      return call.out.integer(0)
  }
}

export function set(call: Call): void | Promise<Respond> {
  checkSizes(call, 1, 2)
  const isRow = isRowKey(call, 1)
  if (isRow || call.argc > 3) {
    const options = parseStringOptions(call, 3, 'set')
    return isRow ? setRow(call, options) : setWith(call, options)
  }
  setString(call, 2, 0)
}

/** Key 1 becomes the string of argument `value`, whatever it was. No closure, no allocation. */
function setString(call: Call, value: number, expiresAtMs: number): void {
  const { store, buffer, start: starts, end: ends, wallMs } = call
  const start = starts[1]!
  const end = ends[1]!
  const from = starts[value]!
  const to = ends[value]!
  const hash = store.hash(buffer, start, end)
  const outcome = store.set(buffer, start, end, hash, RecordType.string, buffer, from, to, expiresAtMs, wallMs)
  if (outcome !== 'stored') requireRoom(store, outcome, to - from)
  call.out.simple('OK')
}

function setWith(call: Call, options: StringOptions): void {
  const expiresAtMs = optionTime(call, options, 'set')
  const unconditional = options.condition === 'always' && !options.get && options.expiry !== 'keep'
  if (unconditional && (expiresAtMs === 0 || expiresAtMs > call.wallMs)) return setString(call, 2, expiresAtMs)
  const { store } = call
  const hash = hashOf(call, 1)
  let previous: Buffer | undefined
  const result = store.withLock(hash, () => {
    const type = findLocked(call, 1, hash)
    previous = options.get && type === RecordType.string ? copyFound(store) : undefined
    if (options.get && type === RecordType.hash) return 'wrong-type'
    if (options.condition !== 'always' && (options.condition === 'absent') !== (type === RecordType.none)) return 'kept'
    const kept = options.expiry === 'keep' && type !== RecordType.none ? store.foundExpiresAtMs : 0
    return putString(call, hash, 2, options.expiry === 'at' ? expiresAtMs : kept)
  })
  if (result === 'wrong-type') throw wrongType()
  requireRoom(store, result, call.end[2]! - call.start[2]!)
  if (options.get) replyJson(call.out, previous ?? null)
  else if (result === 'kept') call.out.nil()
  else call.out.simple('OK')
}

/** Under the lock: key 1 becomes the string of argument `value`, or goes when its time is over already. */
function putString(call: Call, hash: number, value: number, expiresAtMs: number): PutOutcome {
  const { store, buffer, start: starts, end: ends, wallMs } = call
  const start = starts[1]!
  const end = ends[1]!
  if (expiresAtMs === 0 || expiresAtMs > wallMs) {
    const type = RecordType.string
    return store.put(buffer, start, end, hash, type, buffer, starts[value]!, ends[value]!, expiresAtMs, wallMs)
  }
  store.remove(buffer, start, end, hash)
  return 'stored'
}

function setRow(call: Call, options: StringOptions): Promise<Respond> {
  if (options.expiry === 'at') refuseRowExpiry(call, 1)
  const { condition } = options
  const row = call.bytes(2)
  return writeRow(
    call,
    1,
    condition === 'always' ? { kind: 'replace', row } : { kind: 'replace', row, condition },
    (out, outcome) => {
      if (options.get) replyJson(out, outcome.before)
      else if (outcome.changed || condition === 'always') out.simple('OK')
      else out.nil()
    },
  )
}

const GETSET: StringOptions = { condition: 'always', get: true, expiry: 'none', word: '', time: 0 }

/** SET with GET and no other option. */
export function getset(call: Call): void | Promise<Respond> {
  checkSizes(call, 1, 2)
  return isRowKey(call, 1) ? setRow(call, GETSET) : setWith(call, GETSET)
}

export function setnx(call: Call): void | Promise<Respond> {
  checkSizes(call, 1, 2)
  if (isRowKey(call, 1)) {
    return writeRow(call, 1, { kind: 'replace', row: call.bytes(2), condition: 'absent' }, (out, outcome) =>
      out.integer(outcome.changed ? 1 : 0),
    )
  }
  const hash = hashOf(call, 1)
  const result = call.store.withLock(hash, () =>
    findLocked(call, 1, hash) === RecordType.none ? putString(call, hash, 2, 0) : 'kept',
  )
  requireRoom(call.store, result, call.end[2]! - call.start[2]!)
  call.out.integer(result === 'kept' ? 0 : 1)
}

export function setex(call: Call): void {
  setExpiring(call, SECOND_MS, 'setex')
}

export function psetex(call: Call): void {
  setExpiring(call, MILLISECOND_MS, 'psetex')
}

function setExpiring(call: Call, unitMs: number, command: string): void {
  const expiresAtMs = parseTime(call, 2, unitMs, call.wallMs, command, true)
  checkSizes(call, 1, 3)
  refuseRowExpiry(call, 1)
  setString(call, 3, expiresAtMs)
}

interface Pair {
  readonly key: Buffer
  readonly value: Buffer
}

export function mset(call: Call): void | Promise<Respond> {
  if (call.argc % 2 === 0) throw new CommandError("ERR wrong number of arguments for 'mset' command")
  for (let i = 1; i < call.argc; i += 2) checkSizes(call, i, i + 1)
  if (anyRowKey(call, 1, 2)) return msetRows(call)
  const { buffer, start, end } = call
  const pairs: Pair[] = []
  for (let i = 1; i < call.argc; i += 2) {
    pairs.push({ key: buffer.subarray(start[i], end[i]), value: buffer.subarray(start[i + 1], end[i + 1]) })
  }
  putStrings(call.store, pairs, call.wallMs)
  call.out.simple('OK')
}

/** MSET with rows among the keys: those first, as one transaction; if it is refused, nothing else happens either. */
async function msetRows(call: Call): Promise<Respond> {
  const { store, cache, wallMs } = call
  const rows = new Map<string, Buffer>()
  const pairs: Pair[] = []
  for (let i = 1; i < call.argc; i += 2) {
    if (isRowKey(call, i)) rows.set(rowKey(call, i), call.bytes(i + 1))
    else pairs.push({ key: call.bytes(i), value: call.bytes(i + 1) })
  }
  await cache.write([...rows].map(([key, row]) => ({ key, operation: { kind: 'replace', row } })))
  putStrings(store, pairs, wallMs)
  return out => out.simple('OK')
}

function putStrings(store: Store, pairs: readonly Pair[], wallMs: number): void {
  const hashes = pairs.map(({ key }) => store.hash(key, 0, key.length))
  // A value larger than a segment needs room that is made without the locks: the change begins again, where it left off.
  // With several of those all shards are held meanwhile, or others would see a part of it.
  let next = 0
  let failed = -1
  const put = (): PutOutcome =>
    store.withLocks(hashes, () => {
      for (; next < pairs.length; next++) {
        const { key, value } = pairs[next]!
        const { string } = RecordType
        const stored = store.put(key, 0, key.length, hashes[next]!, string, value, 0, value.length, 0, wallMs)
        if (stored === 'stored') continue
        failed = next
        return stored
      }
      return 'stored'
    })
  const isLarge = ({ key, value }: Pair): boolean => isLargeRecord(store, key.length, value.length)
  const outcome = pairs.length > 1 && pairs.some(isLarge) ? store.exclusively(put) : put()
  requireRoom(store, outcome, pairs[failed]?.value.length ?? 0)
}

export function getdel(call: Call): void | Promise<Respond> {
  if (isRowKey(call, 1)) return writeRow(call, 1, { kind: 'remove' }, (out, outcome) => replyJson(out, outcome.before))
  const { store, buffer } = call
  const hash = hashOf(call, 1)
  let value: Buffer | null = null
  const type = store.withLock(hash, () => {
    const found = findLocked(call, 1, hash)
    value = found === RecordType.string ? copyFound(store) : null
    if (found === RecordType.string) store.remove(buffer, call.start[1]!, call.end[1]!, hash)
    return found
  })
  count(call, type)
  if (type === RecordType.hash) throw wrongType()
  replyJson(call.out, value)
}

export function getex(call: Call): void | Promise<Respond> {
  const options = parseStringOptions(call, 2, 'getex')
  if (options.expiry === 'at') refuseRowExpiry(call, 1)
  if (options.expiry === 'none' || isRowKey(call, 1)) return get(call)
  const { store, buffer } = call
  const hash = hashOf(call, 1)
  let value: Buffer | null = null
  const type = store.withLock(hash, () => {
    const found = findLocked(call, 1, hash)
    if (found !== RecordType.string) return found
    value = copyFound(store)
    // Only now, because Redis answers nil for a missing key whatever the time says.
    const expiresAtMs = optionTime(call, options, 'getex')
    if (expiresAtMs !== 0 && expiresAtMs <= call.wallMs) store.remove(buffer, call.start[1]!, call.end[1]!, hash)
    else store.setExpiry(buffer, call.start[1]!, call.end[1]!, hash, expiresAtMs, call.wallMs)
    return found
  })
  count(call, type)
  if (type === RecordType.hash) throw wrongType()
  replyJson(call.out, value)
}
