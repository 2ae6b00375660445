// What callers get of an object that the cache holds: the object itself, one of their own, or one that nobody can change.
import { messageOf, TidemarkError } from '../base/errors.ts'
import type { Clone } from './options.ts'

/** undefined: the object itself. */
export type Copy = ((value: unknown) => unknown) | undefined

/** A copy of what has none throws VALUE_UNENCODABLE. */
export function copyFor(clone: Clone): Copy {
  if (clone === 'structured') return structured
  if (clone === 'none') return undefined
  // Objects that are frozen all the way down: whether an object itself is frozen says nothing of what it holds.
  const done = new WeakSet<object>()
  return value => frozen(value, done)
}

function structured(value: unknown): unknown {
  if (isPlain(value)) return value
  try {
    return structuredClone(value)
  } catch (cause) {
    const what = `a value has no structured clone, which is what clone: 'structured' gives: ${messageOf(cause)}`
    throw new TidemarkError('VALUE_UNENCODABLE', what, { cause })
  }
}

function isPlain(value: unknown): boolean {
  return (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol') || value === null
}

function frozen(value: unknown, done: WeakSet<object>): unknown {
  if (typeof value !== 'object' || value === null || done.has(value)) return value
  done.add(value)
  // Bytes cannot be frozen. A Map, a Set and a Date can be changed all the same; what they hold cannot.
  if (ArrayBuffer.isView(value)) return value
  Object.freeze(value)
  for (const name of Reflect.ownKeys(value)) frozen(Object.getOwnPropertyDescriptor(value, name)?.value, done)
  if (value instanceof Map) {
    for (const [key, member] of value) {
      frozen(key, done)
      frozen(member, done)
    }
  } else if (value instanceof Set) for (const member of value) frozen(member, done)
  return value
}
