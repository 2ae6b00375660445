// OBJECT and MEMORY: what is known of a key beside its value. Answers are about the record in memory; where Redis' notions
// do not exist here, the nearest true answer is given, or an error that says so.
//   ENCODING   of a string what Redis would choose for the value (int, embstr, raw); of a hash `listpack`, because it is
//              one packed record however large; of a row `row`
//   FREQ       how often the key was read since it was stored or moved, 0 to 3: all that eviction counts
//   IDLETIME   not kept: the error that Redis has while it evicts by frequency
//   REFCOUNT   1: nothing is shared
import { parseInt64 } from '../../base/bytes.ts'
import { COHERENT_BYTES, EXPIRY_BYTES, HEADER_BYTES, RecordType, UNIT_BYTES } from '../../store/layout.ts'
import { CommandError, type Call, type Command, type Respond } from './command.ts'
import { typeName } from './keys.ts'
import { ASK_CACHE, findLocked, hashOf, integerAt, syntaxError, take } from './lookup.ts'
import { memoryDoctor, memoryStats } from './memory-stats.ts'
import { readRow } from './rows.ts'
import { arityError, unknownSubcommandError, writeHelp } from './server-call.ts'

/** The longest string that Redis keeps in its object's own allocation. */
const EMBEDDED_BYTES_MAX = 44
/** A key's place in the index. */
const SLOT_BYTES = 8
const NO_IDLE_TIME =
  'ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at ' +
  'runtime LRU and LFU data will take some time to adjust.'

const OBJECT_HELP = [
  'ENCODING <key>',
  '    Return the kind of internal representation used in order to store the value',
  '    associated with a <key>.',
  'FREQ <key>',
  '    Return the access frequency index of the <key>. The returned integer is',
  '    proportional to the logarithm of the recent access frequency of the key.',
  'IDLETIME <key>',
  '    Return the idle time of the <key>, that is the approximated number of',
  '    seconds elapsed since the last access to the key.',
  'REFCOUNT <key>',
  '    Return the number of references of the value associated with the specified',
  '    <key>.',
]

const MEMORY_HELP = [
  'DOCTOR',
  '    Return memory problems reports.',
  'STATS',
  '    Return information about the memory usage of the server.',
  'USAGE <key> [SAMPLES <count>]',
  '    Return memory in bytes used by <key> and its value. Nested values are',
  '    sampled up to <count> times (default: 5, 0 means sample all).',
]

type Subcommands = Readonly<Record<string, readonly [arity: number, run: (call: Call) => void | Promise<Respond>]>>

function container(name: string, subcommands: Subcommands): Command['handler'] {
  return call => {
    const given = call.text(1).toLowerCase()
    const found = Object.hasOwn(subcommands, given) ? subcommands[given] : undefined
    if (found === undefined) throw new CommandError(unknownSubcommandError(name, call.text(1)))
    const [arity, run] = found
    if (arity >= 0 ? call.argc !== arity : call.argc < -arity) throw new CommandError(arityError(`${name}|${given}`))
    return run(call)
  }
}

function encodingOf(type: number, value: Buffer): string {
  if (type === RecordType.hash) return 'listpack'
  if (type === RecordType.row) return 'row'
  if (parseInt64(value, 0, value.length) !== undefined) return 'int'
  return value.length <= EMBEDDED_BYTES_MAX ? 'embstr' : 'raw'
}

/** Replies what `answer` says of key 2, nil when there is none; a row that memory cannot answer for is asked for. */
function ofKey(call: Call, answer: (type: number, value: Buffer) => string | number): void | Promise<Respond> {
  const { type, value } = take(call, 2)
  if (type === ASK_CACHE) {
    return readRow(call, 2, (out, json) => {
      if (json === null) return out.nil()
      const told = answer(RecordType.row, Buffer.from(json))
      if (typeof told === 'string') out.text(told)
      else out.integer(told)
    })
  }
  if (typeName(type) === 'none') return call.out.nil()
  const told = answer(type, value)
  if (typeof told === 'string') call.out.text(told)
  else call.out.integer(told)
}

function frequency(call: Call): void | Promise<Respond> {
  const { store, buffer } = call
  const reads = store.readsOf(buffer, call.start[2]!, call.end[2]!, hashOf(call, 2))
  return ofKey(call, () => Math.max(0, reads))
}

function idleTime(call: Call): void | Promise<Respond> {
  return ofKey(call, () => {
    throw new CommandError(NO_IDLE_TIME)
  })
}

const objectSubcommands: Subcommands = {
  encoding: [3, call => ofKey(call, encodingOf)],
  freq: [3, frequency],
  idletime: [3, idleTime],
  refcount: [3, call => ofKey(call, () => 1)],
  help: [2, call => writeHelp(call, 'OBJECT', OBJECT_HELP)],
}

/** Bytes of the record and of its place in the index; nil for what is not in memory, whether or not a row is behind it. */
function usage(call: Call): void {
  for (let i = 3; i < call.argc; i++) {
    if (!call.is(i, 'SAMPLES') || i + 1 === call.argc) throw syntaxError()
    if (integerAt(call, ++i) < 0n) throw syntaxError()
  }
  const { store } = call
  const hash = hashOf(call, 2)
  let bytes: number
  do bytes = findLocked(call, 2, hash) === RecordType.none ? 0 : foundRecordBytes(call)
  while (!store.confirm())
  if (bytes === 0 || typeName(store.foundType) === 'none') call.out.nil()
  else call.out.integer(bytes + SLOT_BYTES)
}

function foundRecordBytes({ store, start, end }: Call): number {
  const stamp = store.foundStampBytes === 0 ? 0 : COHERENT_BYTES + roundUp(store.foundStampBytes)
  const expiry = store.foundExpiresAtMs === 0 ? 0 : EXPIRY_BYTES
  return roundUp(HEADER_BYTES + expiry + stamp + end[2]! - start[2]! + store.foundValueBytes)
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / UNIT_BYTES) * UNIT_BYTES
}

const memorySubcommands: Subcommands = {
  usage: [-3, usage],
  stats: [2, memoryStats],
  doctor: [2, memoryDoctor],
  help: [2, call => writeHelp(call, 'MEMORY', MEMORY_HELP)],
}

const inspecting = { arity: -2, flags: [], categories: ['@slow'], keys: [0, 0, 0], complexity: 'O(1)' } as const

export const objectCommand: Command = {
  ...inspecting,
  name: 'object',
  group: 'generic',
  since: '2.2.3',
  summary: 'Tells how the value of a key is kept.',
  syntax: 'ENCODING key | FREQ key | IDLETIME key | REFCOUNT key',
  subcommands: Object.keys(objectSubcommands),
  handler: container('object', objectSubcommands),
}

export const memoryCommand: Command = {
  ...inspecting,
  name: 'memory',
  group: 'server',
  since: '4.0.0',
  summary: 'Tells how many bytes of memory a key takes.',
  syntax: 'USAGE key [SAMPLES count] | STATS | DOCTOR',
  subcommands: Object.keys(memorySubcommands),
  handler: container('memory', memorySubcommands),
}
