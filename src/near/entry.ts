// How values of the library stand in tiers that keep objects: as they are, unless something has to be said of them.
// Not for: bytes (codec/), the memory itself (object-cache.ts).
import { NULL_VALUE } from '../base/null-value.ts'
import type { TagToken } from './tags.ts'

/**
 * What an object cache holds for a key that the source does not have: on the path of a hit it reads as a miss, and nobody has
 * to look at a value (which would mean to load it from memory) to tell the two apart.
 */
export const ABSENT = undefined

/** What may be said of a value beside the value. */
export interface EntryFacts {
  /** Instead of the keyspace's. */
  readonly ttlMs?: number | undefined
  /** Wall ms, instead of `ttlMs`: as whoever stored it in a tier has said. */
  readonly expiresAtMs?: number | undefined
  /** For so long after its time it is kept, for when it cannot be had anew. Instead of the keyspace's. */
  readonly graceMs?: number | undefined
  /** As they were when the value was asked for. */
  readonly tags?: readonly TagToken[] | undefined
}

/** A value with something said of it. */
export class Entry implements EntryFacts {
  readonly value: unknown
  readonly ttlMs: number | undefined
  readonly expiresAtMs: number | undefined
  readonly graceMs: number | undefined
  readonly tags: readonly TagToken[] | undefined

  constructor(value: unknown, facts: EntryFacts = {}) {
    this.value = value
    this.ttlMs = facts.ttlMs
    this.expiresAtMs = facts.expiresAtMs
    this.graceMs = facts.graceMs
    this.tags = facts.tags
  }
}

/** A user's value as a payload: wrapped only where that is needed. */
export function payloadOf(value: unknown, facts?: EntryFacts): unknown {
  if (facts !== undefined && hasFacts(facts)) return new Entry(value, facts)
  return value === null ? NULL_VALUE : value
}

function hasFacts({ ttlMs, expiresAtMs, graceMs, tags }: EntryFacts): boolean {
  return (ttlMs ?? expiresAtMs ?? graceMs ?? tags) !== undefined
}

/** What a user gets of a payload. */
export function valueOf(payload: unknown): unknown {
  const value = payload instanceof Entry ? payload.value : payload
  return value === NULL_VALUE ? null : value
}

export function factsOf(payload: unknown): EntryFacts {
  return payload instanceof Entry ? payload : NO_FACTS
}

const NO_FACTS = {} as const
