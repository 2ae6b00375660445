// Handlers of the commands on when keys expire. Rows do not: their TTL is -1, and setting one is refused.
import { RecordType } from '../../store/layout.ts'
import type { Call, Respond } from './command.ts'
import { conditionsHold, parseExpireConditions, parseTime, MILLISECOND_MS, SECOND_MS } from './expiry-arguments.ts'
import { ASK_CACHE, findLocked, hashOf, isRowKey, settle } from './lookup.ts'
import { readRow, refuseRowExpiry } from './rows.ts'

const NO_EXPIRY = -1
const NO_KEY = -2

export function expire(call: Call): void {
  setExpiry(call, SECOND_MS, call.wallMs, 'expire')
}

export function pexpire(call: Call): void {
  setExpiry(call, MILLISECOND_MS, call.wallMs, 'pexpire')
}

export function expireat(call: Call): void {
  setExpiry(call, SECOND_MS, 0, 'expireat')
}

export function pexpireat(call: Call): void {
  setExpiry(call, MILLISECOND_MS, 0, 'pexpireat')
}

function setExpiry(call: Call, unitMs: number, baseMs: number, command: string): void {
  const conditions = parseExpireConditions(call, 3)
  const expiresAtMs = parseTime(call, 2, unitMs, baseMs, command, false)
  refuseRowExpiry(call, 1)
  const { store, buffer } = call
  const start = call.start[1]!
  const end = call.end[1]!
  const hash = hashOf(call, 1)
  const done = store.withLock(hash, () => {
    if (findLocked(call, 1, hash) === RecordType.none) return false
    if (!conditionsHold(conditions, store.foundExpiresAtMs, expiresAtMs)) return false
    // A time that is over already deletes the key, as Redis does.
    if (expiresAtMs <= call.wallMs) return store.remove(buffer, start, end, hash)
    return store.setExpiry(buffer, start, end, hash, expiresAtMs, call.wallMs)
  })
  call.out.integer(done ? 1 : 0)
}

export function ttl(call: Call): void | Promise<Respond> {
  return replyExpiry(call, SECOND_MS, call.wallMs)
}

export function pttl(call: Call): void | Promise<Respond> {
  return replyExpiry(call, MILLISECOND_MS, call.wallMs)
}

export function expiretime(call: Call): void | Promise<Respond> {
  return replyExpiry(call, SECOND_MS, 0)
}

export function pexpiretime(call: Call): void | Promise<Respond> {
  return replyExpiry(call, MILLISECOND_MS, 0)
}

function replyExpiry(call: Call, unitMs: number, baseMs: number): void | Promise<Respond> {
  const type = settle(call, 1)
  switch (type) {
    case ASK_CACHE:
      return readRow(call, 1, (out, json) => out.integer(json === null ? NO_KEY : NO_EXPIRY))
    case RecordType.none:
    case RecordType.absentRow:
      return call.out.integer(NO_KEY)
  }
  const expiresAtMs = call.store.foundExpiresAtMs
  if (type === RecordType.row || expiresAtMs === 0) return call.out.integer(NO_EXPIRY)
  const ms = Math.max(0, expiresAtMs - baseMs)
  call.out.integer(unitMs === SECOND_MS ? Math.floor((ms + 500) / SECOND_MS) : ms)
}

export function persist(call: Call): void {
  if (isRowKey(call, 1)) return call.out.integer(0)
  const { store, buffer } = call
  const hash = hashOf(call, 1)
  const done = store.withLock(hash, () => {
    if (findLocked(call, 1, hash) === RecordType.none || store.foundExpiresAtMs === 0) return false
    return store.setExpiry(buffer, call.start[1]!, call.end[1]!, hash, 0, call.wallMs)
  })
  call.out.integer(done ? 1 : 0)
}
