// Keys as users give them, and ids as the cache spells them: a key of several parts is spelt as row ids are
// (source/row-id.ts), so that ['eu', 7] names the row whose key columns are 'eu' and 7.
import { TidemarkError } from '../base/errors.ts'

type Part = string | number | bigint

/** One part, or for a composite key several. */
export type Key = Part | readonly Part[]

type PartKind<K> = (value: never) => K

/** What a keyspace's keys are made of, for the types: `String`, `Number`, `BigInt`, or for a composite key several of these. */
export type KeyKind<K> = PartKind<K> | ({ readonly [I in keyof K]: PartKind<K[I]> } & object)

/** Throws KEY_INVALID. */
export function idOf(keyspace: string, key: Key): string {
  if (typeof key === 'string') return key
  if (!Array.isArray(key)) return spell(keyspace, key as Part)
  if (key.length === 0) throw notAKey(keyspace, 'an array of none')
  // One part is no composite key: its signs are its own.
  if (key.length === 1) return spell(keyspace, key[0] as Part)
  return (key as readonly Part[])
    .map(part => spell(keyspace, part).replaceAll('%', '%25').replaceAll(':', '%3A'))
    .join(':')
}

/** Of a whole key. */
export function keyspaceOf(key: string): string {
  return key.slice(0, key.indexOf(':'))
}

function spell(keyspace: string, part: Part): string {
  if (typeof part === 'string' || typeof part === 'bigint') return String(part)
  if (typeof part === 'number' && Number.isSafeInteger(part)) return String(part)
  throw notAKey(keyspace, typeof part === 'number' ? String(part) : nameOf(part))
}

function nameOf(part: unknown): string {
  if (part === null || part === undefined) return String(part)
  return Array.isArray(part) ? 'an array' : `of type ${typeof part}`
}

function notAKey(keyspace: string, got: string): TidemarkError {
  const what = `a key of keyspace '${keyspace}' is a string, a whole number, or several of these, not ${got}`
  return new TidemarkError('KEY_INVALID', what)
}
