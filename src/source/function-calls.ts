// Calls of users' functions: each with a signal that is aborted when its time is over, and an answer that is taken apart with
// care, since nothing is known of it. Not for: what a keyspace makes of the values (functions-source.ts).
import { isMap } from 'node:util/types'
import type { Clock } from '../base/clock.ts'
import { TidemarkError } from '../base/errors.ts'

export interface FunctionContext {
  /** Aborted when the call has taken too long: nobody waits for its answer any more. */
  readonly signal: AbortSignal
}

/** What `load` answers with: values by id. What is left out, or `undefined`, is not there; `null` is a value. */
export type LoadedValues<V = unknown> =
  | ReadonlyMap<string, V | undefined>
  | readonly (readonly [id: string, value: V | undefined])[]
  | Readonly<Record<string, V | undefined>>

/**
 * What the function answers, or throws. Rejects with SOURCE_TIMEOUT after `timeoutMs`, whether the function heeds its signal or
 * not; Infinity: never.
 */
export async function callWithin<T>(
  clock: Clock,
  timeoutMs: number,
  what: string,
  call: (context: FunctionContext) => T | Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const { promise: late, reject } = Promise.withResolvers<never>()
  const end = (): void => {
    const error = new TidemarkError('SOURCE_TIMEOUT', `${what} took more than ${timeoutMs} ms (timeout)`)
    reject(error)
    controller.abort(error)
  }
  const timer = timeoutMs === Infinity ? undefined : clock.timer(timeoutMs, end)
  try {
    return await Promise.race([call({ signal: controller.signal }), late])
  } finally {
    timer?.cancel()
  }
}

/** The values in the order of `ids`, undefined where there is none. Throws SOURCE_ANSWER. */
export function valuesOf(what: string, ids: readonly string[], answer: unknown): unknown[] {
  const places = new Map(ids.map((id, place) => [id, place]))
  const values = Array.from<unknown>({ length: ids.length })
  for (const [id, value] of entriesOf(what, answer)) {
    const place = places.get(id as string)
    if (place === undefined) throw notAsked(what, ids, id)
    values[place] = value
  }
  return values
}

function* entriesOf(what: string, answer: unknown): Generator<readonly [unknown, unknown]> {
  if (isMap(answer)) yield* answer
  else if (Array.isArray(answer)) {
    for (const pair of answer as readonly unknown[]) {
      if (!Array.isArray(pair) || pair.length !== 2) throw wrongKind(what, `an array with ${nameOf(pair)} in it`)
      yield pair as [unknown, unknown]
    }
  } else if (isPlainObject(answer)) yield* Object.entries(answer)
  else throw wrongKind(what, nameOf(answer))
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value !== 'object') return `a ${typeof value}`
  return `an object of class ${value.constructor?.name ?? 'unknown'}`
}

function wrongKind(what: string, got: string): TidemarkError {
  return new TidemarkError(
    'SOURCE_ANSWER',
    `${what} answered ${got}; it is to answer a Map of values by id, an array of [id, value], or an object with ids as keys`,
  )
}

const IDS_SHOWN = 5

function notAsked(what: string, ids: readonly string[], id: unknown): TidemarkError {
  const asked = ids.slice(0, IDS_SHOWN).map(one => `'${one}'`)
  if (ids.length > IDS_SHOWN) asked.push(`${ids.length - IDS_SHOWN} more`)
  const got = typeof id === 'string' ? `'${id}'` : `the ${typeof id} ${String(id)}`
  return new TidemarkError(
    'SOURCE_ANSWER',
    `${what} answered with the id ${got}, which it was not asked for; it was asked for ${asked.join(', ')} (ids are strings)`,
  )
}
