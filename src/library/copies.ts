// What callers get of an object that the cache holds: the object itself, one of their own, or one that nobody can change.
import type { Clone } from './options.ts'

/** undefined: the object itself. */
export type Copy = ((value: unknown) => unknown) | undefined

export function copyFor(clone: Clone): Copy {
  if (clone === 'structured') return value => (isPlain(value) ? value : structuredClone(value))
  return clone === 'freeze' ? frozen : undefined
}

function isPlain(value: unknown): boolean {
  return typeof value !== 'object' || value === null
}

// Once for each object: a frozen one is frozen all the way down, since nothing else has frozen it.
function frozen(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  // Bytes cannot be frozen.
  if (ArrayBuffer.isView(value)) return value
  Object.freeze(value)
  for (const member of Object.values(value)) frozen(member)
  return value
}
