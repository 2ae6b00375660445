// What options are checked by. A mistake is an OPTION_INVALID that says which option it is, what was got, and what is allowed.
// Not for: which options there are (options.ts).
import { TidemarkError } from '../base/errors.ts'
import { parseDuration, parseSize, type Duration, type Size } from '../config/units.ts'

const SHOWN_MAX = 100

/** To be thrown. */
export function invalid(option: string, got: unknown, allowed: string): TidemarkError {
  return new TidemarkError('OPTION_INVALID', `${option}: got ${shown(got)}, allowed is ${allowed}`)
}

function shown(got: unknown): string {
  if (typeof got === 'string') return `'${got.slice(0, SHOWN_MAX)}'`
  if (typeof got === 'bigint') return `${got}n`
  if (typeof got === 'function') return 'a function'
  if (typeof got !== 'object' || got === null) return String(got)
  try {
    const json = JSON.stringify(got)
    if (json.length <= SHOWN_MAX) return json
  } catch {
    // It has no JSON.
  }
  return Array.isArray(got) ? `an array of ${got.length}` : 'an object'
}

/** An object with no members but these. `path` ends as a member's name goes on. */
export function known(option: string, path: string, options: unknown, members: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw invalid(option, options, 'an object')
  for (const member of Object.keys(options)) {
    if (!members.includes(member)) throw invalid(`${path}${member}`, 'an option of that name', members.join(', '))
  }
}

/** Milliseconds; undefined for undefined. Throws OPTION_INVALID. */
export function durationOf(option: string, value: Duration | undefined): number | undefined {
  if (value === undefined) return undefined
  const ms = typeof value === 'string' ? parseDuration(value) : value === 0 ? 0 : undefined
  if (ms === undefined) throw invalid(option, value, `a duration such as '500ms', '10s', '5m' or '1h', or 0`)
  return ms
}

/** Bytes, at least 1. */
export function sizeOf(option: string, value: Size): number {
  const bytes = typeof value === 'string' ? parseSize(value) : Number.isSafeInteger(value) ? value : undefined
  if (bytes === undefined || bytes < 1) throw invalid(option, value, `a size such as '64mb' or '1gb', or bytes`)
  return bytes
}

/** Whole, where more than one is allowed. */
export function within(option: string, value: number, least: number, most: number): void {
  const whole = most > 1
  if (typeof value === 'number' && value >= least && value <= most && (!whole || Number.isInteger(value))) return
  throw invalid(option, value, `a${whole ? ' whole' : ''} number from ${least} to ${most}`)
}

export function oneOf(option: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) throw invalid(option, value, allowed.map(each => `'${each}'`).join(', '))
}

/** A function, if it is given at all. */
export function callable(option: string, value: unknown): void {
  if (value !== undefined) needed(option, value)
}

/** A function. */
export function needed(option: string, value: unknown): void {
  if (typeof value !== 'function') throw invalid(option, value, 'a function')
}

export function listed(option: string, value: unknown): void {
  if (!Array.isArray(value)) throw invalid(option, value, 'an array')
}

/** Of a Map or another iterable of them. */
export function pairsOf<P>(option: string, entries: Iterable<P>): readonly P[] {
  const pairs = typeof entries === 'object' && entries !== null && Symbol.iterator in entries ? [...entries] : undefined
  if (pairs?.every(pair => Array.isArray(pair)) === true) return pairs
  throw invalid(option, entries, 'a Map, or pairs of a key and its value')
}
