// Keys as users give them, and ids as the cache spells them: a key of several parts is spelt as row ids are
// (source/row-id.ts), so that ['eu', 7] names the row whose key columns are 'eu' and 7.
import { TidemarkError } from '../base/errors.ts'

type Part = string | number | bigint

/** One part, or for a composite key several. */
export type Key = Part | readonly Part[]

/** Throws KEY_INVALID. */
export function idOf(keyspace: string, key: Key): string {
  if (typeof key === 'string') return key
  if (typeof key !== 'object') return spell(keyspace, key)
  return key.map(part => spell(keyspace, part).replaceAll('%', '%25').replaceAll(':', '%3A')).join(':')
}

function spell(keyspace: string, part: Part): string {
  if (typeof part === 'string' || typeof part === 'bigint') return String(part)
  if (typeof part === 'number' && Number.isSafeInteger(part)) return String(part)
  throw new TidemarkError(
    'KEY_INVALID',
    `a key of keyspace '${keyspace}' is a string, a whole number, or several of these, not ${String(part)}`,
  )
}
