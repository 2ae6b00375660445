// Times and options that commands take: EX, PX, EXAT and PXAT of SET and GETEX, the time of EXPIRE and its family, and
// which of them exclude each other, with Redis' own texts for what is wrong. Expiry times are whole milliseconds on the
// wall clock; what lies past 2^53 (the year 287396) counts as 2^53 - 1.
// Not for: doing anything about a key.
import { INT64_MAX, INT64_MIN, parseDecimal, parseInt64 } from '../../base/bytes.ts'
import { CommandError, type Call } from './command.ts'
import { NOT_AN_INTEGER, syntaxError } from './lookup.ts'

export const SECOND_MS = 1000
export const MILLISECOND_MS = 1

function invalidExpireTime(command: string): CommandError {
  return new CommandError(`ERR invalid expire time in '${command}' command`)
}

/**
 * Argument i, a count of `unitMs`, as milliseconds after `baseMs`. Throws CommandError for what is no integer and for
 * what does not fit 64 bits with the unit and the base, as Redis does; `positive`: for zero and less too.
 */
export function parseTime(
  call: Call,
  i: number,
  unitMs: number,
  baseMs: number,
  command: string,
  positive: boolean,
): number {
  const small = parseDecimal(call.buffer, call.start[i]!, call.end[i]!)
  if (!Number.isNaN(small)) {
    if (positive && small <= 0) throw invalidExpireTime(command)
    return clampTime(small * unitMs + baseMs)
  }
  const n = parseInt64(call.buffer, call.start[i]!, call.end[i]!)
  if (n === undefined) throw new CommandError(NOT_AN_INTEGER)
  if (positive && n <= 0n) throw invalidExpireTime(command)
  const unit = BigInt(unitMs)
  if (n > INT64_MAX / unit || n < INT64_MIN / unit) throw invalidExpireTime(command)
  const at = n * unit + BigInt(baseMs)
  if (at > INT64_MAX) throw invalidExpireTime(command)
  return clampTime(Number(at))
}

function clampTime(ms: number): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, ms))
}

/** The options of SET and GETEX. */
export interface StringOptions {
  /** `always`, or only if the key is (not) there. */
  readonly condition: 'always' | 'absent' | 'present'
  readonly get: boolean
  /** What happens to the key's expiry; `at`: it becomes what the argument after `word` says (see optionTime). */
  readonly expiry: 'none' | 'keep' | 'remove' | 'at'
  readonly word: TimeWord
  readonly time: number
}

type TimeWord = '' | 'EX' | 'PX' | 'EXAT' | 'PXAT'

/** The options from argument `first` on, in any order; of the same one given twice the last counts. */
export function parseStringOptions(call: Call, first: number, command: 'set' | 'getex'): StringOptions {
  const set = command === 'set'
  let condition: StringOptions['condition'] = 'always'
  let get = false
  let expiry: StringOptions['expiry'] = 'none'
  let word: TimeWord = ''
  let time = 0
  for (let i = first; i < call.argc; i++) {
    const timeWord = timeWordAt(call, i)
    if (set && call.is(i, 'NX') && condition !== 'present') condition = 'absent'
    else if (set && call.is(i, 'XX') && condition !== 'absent') condition = 'present'
    else if (set && call.is(i, 'GET')) get = true
    else if (set && call.is(i, 'KEEPTTL') && expiry !== 'at') expiry = 'keep'
    else if (!set && call.is(i, 'PERSIST') && expiry !== 'at') expiry = 'remove'
    else if (timeWord !== '' && i + 1 < call.argc && (expiry === 'none' || timeWord === word)) {
      expiry = 'at'
      word = timeWord
      time = ++i
    } else throw syntaxError()
  }
  return { condition, get, expiry, word, time }
}

function timeWordAt(call: Call, i: number): TimeWord {
  if (call.is(i, 'EX')) return 'EX'
  if (call.is(i, 'PX')) return 'PX'
  if (call.is(i, 'EXAT')) return 'EXAT'
  return call.is(i, 'PXAT') ? 'PXAT' : ''
}

/** When the options say that the key expires; 0 when they do not. */
export function optionTime(call: Call, options: StringOptions, command: 'set' | 'getex'): number {
  const { word, time } = options
  if (word === '') return 0
  const unitMs = word === 'EX' || word === 'EXAT' ? SECOND_MS : MILLISECOND_MS
  const baseMs = word === 'EX' || word === 'PX' ? call.wallMs : 0
  return parseTime(call, time, unitMs, baseMs, command, true)
}

/** When EXPIRE and its family set an expiry: the conditions NX, XX, GT and LT. */
export interface ExpireConditions {
  readonly absent: boolean
  readonly present: boolean
  readonly later: boolean
  readonly earlier: boolean
}

export function parseExpireConditions(call: Call, first: number): ExpireConditions {
  let absent = false
  let present = false
  let later = false
  let earlier = false
  for (let i = first; i < call.argc; i++) {
    if (call.is(i, 'NX')) absent = true
    else if (call.is(i, 'XX')) present = true
    else if (call.is(i, 'GT')) later = true
    else if (call.is(i, 'LT')) earlier = true
    else throw new CommandError(`ERR Unsupported option ${call.text(i)}`)
  }
  if (absent && (present || later || earlier)) {
    throw new CommandError('ERR NX and XX, GT or LT options at the same time are not compatible')
  }
  if (later && earlier) throw new CommandError('ERR GT and LT options at the same time are not compatible')
  return { absent, present, later, earlier }
}

/** Whether a key that expires at `current` (0: never, which is later than any time) may be made to expire at `at`. */
export function conditionsHold(conditions: ExpireConditions, current: number, at: number): boolean {
  if (conditions.absent && current !== 0) return false
  if (conditions.present && current === 0) return false
  if (conditions.later && (current === 0 || at <= current)) return false
  return !(conditions.earlier && current !== 0 && at >= current)
}
