// Handlers of the commands that answer a part of a hash: HRANDFIELD and HSCAN; on rows, of its columns that are not NULL.
// HSCAN goes through a large hash in the order of its names' hashes, so that a cursor means the same whatever else changes:
// a field that is there from the first call to the last is answered at least once.
import { TidemarkError } from '../../base/errors.ts'
import { globMatches } from '../../base/glob.ts'
import { limits } from '../../base/limits.ts'
import type { Random } from '../../base/random.ts'
import type { ReplyWriter } from '../../wire/reply-writer.ts'
import { CommandError, type Call, type Respond } from './command.ts'
import { listed, replyName, withFields } from './hash-fields.ts'
import { integerAt, syntaxError } from './lookup.ts'
import { COUNT_DEFAULT, parseCount, parseCursor, patternOf } from './scan.ts'

type Field = readonly [name: string | Uint8Array, value: Uint8Array]

/** The bytes of the frames around a name and a value in a reply, at least. */
const FRAMES_BYTES = 12
const COUNT_MAX = 2n ** 63n - 1n

export function hrandfield(call: Call): void | Promise<Respond> {
  const { random } = call
  if (call.argc === 2) {
    return withFields(call, (out, fields) => {
      const all = listed(fields)
      if (all.length === 0) out.nil()
      else replyName(out, all[random.below(all.length)]![0])
    })
  }
  const count = integerAt(call, 2)
  if (count < -COUNT_MAX) {
    throw new CommandError(`ERR value is out of range, value must between -${COUNT_MAX} and ${COUNT_MAX}`)
  }
  if (call.argc > 4 || (call.argc === 4 && !call.is(3, 'WITHVALUES'))) throw syntaxError()
  const withValues = call.argc === 4
  const limit = COUNT_MAX / 2n
  if (withValues && (count < -limit || count > limit)) throw new CommandError('ERR value is out of range')
  return withFields(call, (out, fields) => {
    const all = listed(fields)
    const picked = count < 0n ? repeated(all, -count, withValues, random) : distinct(all, count, random)
    replyFields(out, picked, withValues)
  })
}

/** `count` fields, each any of `all`. */
function repeated(all: readonly Field[], count: bigint, withValues: boolean, random: Random): Field[] {
  const picked: Field[] = []
  if (all.length === 0) return picked
  let bytes = 0
  for (let left = Number(count); left > 0; left--) {
    const field = all[random.below(all.length)]!
    bytes += FRAMES_BYTES + field[0].length + (withValues ? field[1].length : 0)
    if (bytes > limits.repeatedReplyBytesMax) {
      throw new TidemarkError(
        'VALUE_TOO_LARGE',
        `HRANDFIELD of ${count} fields: the reply may take up to ${limits.repeatedReplyBytesMax} bytes ` +
          '(repeatedReplyBytesMax); ask for fewer at a time',
      )
    }
    picked.push(field)
  }
  return picked
}

/** `count` different fields, or all when there are no more: a selection by Fisher and Yates. */
function distinct(all: readonly Field[], count: bigint, random: Random): readonly Field[] {
  if (count >= BigInt(all.length)) return all
  const pool = [...all]
  const wanted = Number(count)
  for (let i = 0; i < wanted; i++) {
    const other = i + random.below(pool.length - i)
    const field = pool[other]!
    pool[other] = pool[i]!
    pool[i] = field
  }
  return pool.slice(0, wanted)
}

function replyFields(out: ReplyWriter, fields: readonly Field[], withValues: boolean): void {
  const paired = withValues && out.resp === 3
  out.array(withValues && !paired ? 2 * fields.length : fields.length)
  for (const [name, value] of fields) {
    if (paired) out.array(2)
    replyName(out, name)
    if (withValues) out.bulk(value)
  }
}

interface ScanOptions {
  readonly count: number
  readonly pattern: Buffer | undefined
}

function parseOptions(call: Call): ScanOptions {
  let count = COUNT_DEFAULT
  let pattern: Buffer | undefined
  for (let i = 3; i < call.argc; i += 2) {
    if (i + 1 === call.argc) throw syntaxError()
    if (call.is(i, 'COUNT')) count = parseCount(call, i + 1)
    else if (call.is(i, 'MATCH')) pattern = patternOf(call, i + 1)
    else throw syntaxError()
  }
  return { count, pattern }
}

export function hscan(call: Call): void | Promise<Respond> {
  const cursor = parseCursor(call, 2)
  // What is wrong with the options is only said of a hash that is there, as in Redis.
  let options: ScanOptions | undefined
  let wrong: unknown
  try {
    options = parseOptions(call)
  } catch (thrown) {
    wrong = thrown
  }
  const { store } = call
  const hash = (bytes: Uint8Array): number => store.hash(bytes, 0, bytes.length) >>> 0
  return withFields(call, (out, fields) => {
    const all = listed(fields)
    if (all.length > 0 && options === undefined) throw wrong
    const { next, part } = partOf(all, cursor, options?.count ?? COUNT_DEFAULT, hash)
    const pattern = options?.pattern
    const matching = part.filter(([name]) => pattern === undefined || globMatches(pattern, bytesOf(name)))
    out.array(2)
    out.text(String(next))
    out.array(2 * matching.length)
    for (const [name, value] of matching) {
      replyName(out, name)
      out.bulk(value)
    }
  })
}

function bytesOf(name: string | Uint8Array): Uint8Array {
  return typeof name === 'string' ? Buffer.from(name) : name
}

/** The fields from `cursor` on, about `count` of them, and the cursor after them; a small hash at once. */
function partOf(
  all: readonly Field[],
  cursor: number,
  count: number,
  hash: (bytes: Uint8Array) => number,
): { next: number; part: readonly Field[] } {
  if (all.length <= limits.hashFieldsAtOnceMax) return { next: 0, part: all }
  const ahead: { at: number; field: Field }[] = []
  for (const field of all) {
    const at = hash(bytesOf(field[0]))
    if (at >= cursor) ahead.push({ at, field })
  }
  ahead.sort((a, b) => a.at - b.at)
  // Names of one hash are never parted: the cursor could not tell them apart.
  let end = Math.min(count, ahead.length)
  while (end > 0 && end < ahead.length && ahead[end]!.at === ahead[end - 1]!.at) end++
  return { next: ahead[end]?.at ?? 0, part: ahead.slice(0, end).map(({ field }) => field) }
}
