// The handler of MSETNX: all of its keys, or none. Plain keys are set under all their locks; rows in one transaction of
// one database. Not for: both at once, which nothing could make one.
import { TidemarkError } from '../../base/errors.ts'
import type { CacheWrite } from '../../cache/writer.ts'
import { RecordType } from '../../store/layout.ts'
import type { PutOutcome } from '../../store/store-writer.ts'
import type { Store } from '../../store/store.ts'
import { CommandError, type Call, type Respond } from './command.ts'
import { anyRowKey, checkSizes, isLargeRecord, isRowKey, requireRoom } from './lookup.ts'
import { rowKey } from './rows.ts'

interface Entry {
  readonly key: Buffer
  readonly value: Buffer
  readonly hash: number
}

export function msetnx(call: Call): void | Promise<Respond> {
  if (call.argc % 2 === 0) throw new CommandError("ERR wrong number of arguments for 'msetnx' command")
  for (let i = 1; i < call.argc; i += 2) checkSizes(call, i, i + 1)
  if (anyRowKey(call, 1, 2)) return setRows(call)
  const { store, buffer, start, end } = call
  // Of a key given twice the last value counts.
  const entries = new Map<string, Entry>()
  for (let i = 1; i < call.argc; i += 2) {
    const key = buffer.subarray(start[i], end[i])
    const value = buffer.subarray(start[i + 1], end[i + 1])
    entries.set(key.toString('latin1'), { key, value, hash: store.hash(key, 0, key.length) })
  }
  call.out.integer(setAll(store, [...entries.values()], call.wallMs) ? 1 : 0)
}

function setAll(store: Store, entries: readonly Entry[], wallMs: number): boolean {
  const hashes = entries.map(entry => entry.hash)
  const exists = ({ key, hash }: Entry): boolean => store.find(key, 0, key.length, hash, wallMs) !== RecordType.none
  let next = 0
  const set = (): PutOutcome | 'kept' =>
    store.withLocks(hashes, () => {
      // Begins again for each value that is larger than a segment; all shards are held meanwhile.
      if (next === 0 && entries.some(exists)) return 'kept'
      for (; next < entries.length; next++) {
        const { key, value, hash } = entries[next]!
        const stored = store.put(key, 0, key.length, hash, RecordType.string, value, 0, value.length, 0, wallMs)
        if (stored === 'stored') continue
        for (const { key, hash } of entries.slice(0, next)) store.remove(key, 0, key.length, hash)
        return stored
      }
      return 'stored'
    })
  const isLarge = ({ key, value }: Entry): boolean => isLargeRecord(store, key.length, value.length)
  const outcome = entries.some(isLarge) ? store.exclusively(set) : set()
  requireRoom(store, outcome, entries[next]?.value.length ?? 0)
  return outcome === 'stored'
}

async function setRows(call: Call): Promise<Respond> {
  const rows = new Map<string, Buffer>()
  for (let i = 1; i < call.argc; i += 2) {
    if (!isRowKey(call, i)) {
      throw new TidemarkError(
        'ROW_OPERATION',
        `MSETNX of rows and plain keys together: ${call.text(i)} is no row, and memory and a database cannot change as ` +
          'one; use one command for each',
      )
    }
    rows.set(rowKey(call, i), call.bytes(i + 1))
  }
  const writes = [...rows].map(([key, row], i): CacheWrite => {
    return { key, operation: { kind: 'replace', row, condition: i === 0 ? 'all-absent' : 'and-absent' } }
  })
  const outcomes = await call.cache.write(writes)
  return out => out.integer(outcomes.every(outcome => outcome.changed) ? 1 : 0)
}
