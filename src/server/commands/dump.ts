// Handlers of DUMP and RESTORE: values in the form in which Redis and Valkey dump them, so that they move either way. A row
// is dumped as the hash of its columns; a dump is not restored as a row. Not for: the format (wire/rdb-value.ts).
import { TidemarkError } from '../../base/errors.ts'
import { setHashFields, type HashField } from '../../store/hash-value.ts'
import { RecordType } from '../../store/layout.ts'
import { dumpHash, dumpString, readDump } from '../../wire/rdb-value.ts'
import { CommandError, type Call, type Respond } from './command.ts'
import { listed, withFields } from './hash-fields.ts'
import {
  checkKeySize,
  checkValueSize,
  findLocked,
  hashOf,
  integerAt,
  requireRoom,
  syntaxError,
  take,
} from './lookup.ts'
import { refuseRowOperation } from './rows.ts'

const BUSY_KEY = 'BUSYKEY Target key name already exists.'
const FREQUENCY_MAX = 255n

export function dump(call: Call): void | Promise<Respond> {
  const { type, value } = take(call, 1)
  if (type === RecordType.string) return call.out.bulk(dumpString(value))
  return withFields(call, (out, fields) => {
    const all = listed(fields)
    if (all.length === 0) out.nil()
    else out.bulk(dumpHash(all))
  })
}

interface RestoreOptions {
  readonly replace: boolean
  readonly absolute: boolean
}

/** IDLETIME and FREQ are checked and left at that: what is read counts from now on. */
function parseOptions(call: Call): RestoreOptions {
  let replace = false
  let absolute = false
  let idle = false
  let frequency = false
  for (let i = 4; i < call.argc; i++) {
    const more = i + 1 < call.argc
    if (call.is(i, 'REPLACE')) replace = true
    else if (call.is(i, 'ABSTTL')) absolute = true
    else if (call.is(i, 'IDLETIME') && more && !frequency) {
      if (integerAt(call, ++i) < 0n) throw new CommandError('ERR Invalid IDLETIME value, must be >= 0')
      idle = true
    } else if (call.is(i, 'FREQ') && more && !idle) {
      const given = integerAt(call, ++i)
      if (given < 0n || given > FREQUENCY_MAX) throw new CommandError('ERR Invalid FREQ value, must be >= 0 and <= 255')
      frequency = true
    } else throw syntaxError()
  }
  return { replace, absolute }
}

export function restore(call: Call): void {
  const { replace, absolute } = parseOptions(call)
  refuseRowOperation(call, 1, 'RESTORE', 'write the row as JSON instead (SET), or its columns (HSET)')
  checkKeySize(call.end[1]! - call.start[1]!)
  const { store, buffer, wallMs } = call
  const start = call.start[1]!
  const end = call.end[1]!
  const hash = hashOf(call, 1)
  const isTaken = (): boolean => findLocked(call, 1, hash) !== RecordType.none
  if (!replace && store.withLock(hash, isTaken)) throw new CommandError(BUSY_KEY)
  const ttl = integerAt(call, 2)
  if (ttl < 0n) throw new CommandError('ERR Invalid TTL value, must be >= 0')
  const { type, value } = valueOf(call)
  checkValueSize(store, value.length)
  const expiresAtMs = ttl === 0n ? 0 : Math.min(Number(ttl) + (absolute ? 0 : wallMs), Number.MAX_SAFE_INTEGER)
  const outcome = store.withLock(hash, () => {
    // Someone may have been quicker.
    if (!replace && isTaken()) return 'taken'
    if (expiresAtMs === 0 || expiresAtMs > wallMs) {
      return store.put(buffer, start, end, hash, type, value, 0, value.length, expiresAtMs, wallMs)
    }
    store.remove(buffer, start, end, hash)
    return 'stored'
  })
  if (outcome === 'taken') throw new CommandError(BUSY_KEY)
  requireRoom(store, outcome, value.length)
  call.out.simple('OK')
}

/** What the dump in argument 3 holds, as it is stored here. */
function valueOf(call: Call): { type: typeof RecordType.string | typeof RecordType.hash; value: Buffer } {
  const dumped = readDump(call.buffer.subarray(call.start[3], call.end[3]), call.store.valueBytesMax)
  switch (dumped.kind) {
    case 'string':
      return { type: RecordType.string, value: dumped.value }
    case 'hash':
      return { type: RecordType.hash, value: hashValue(dumped.parts) }
    case 'other':
      throw new TidemarkError(
        'COMMAND_UNSUPPORTED',
        `RESTORE of a ${dumped.type}: Tidemark stores strings and hashes; restore it in a Redis or Valkey beside it`,
      )
    case 'bad':
      if (dumped.what === 'checksum') throw new CommandError('ERR DUMP payload version or checksum are wrong')
      if (dumped.what === 'data') throw new CommandError('ERR Bad data format')
      throw new TidemarkError(
        'VALUE_TOO_LARGE',
        `RESTORE of a value that unpacks to more than ${call.store.valueBytesMax} bytes, which is what values may have ` +
          '(valueBytesMax, --memory)',
      )
  }
}

function hashValue(parts: readonly Buffer[]): Buffer {
  const fields: HashField[] = []
  for (let i = 0; i < parts.length; i += 2) fields.push([parts[i]!, parts[i + 1]!])
  const { value, fields: different } = setHashFields(undefined, fields)
  if (different !== fields.length) throw new CommandError('ERR Bad data format')
  return value
}
