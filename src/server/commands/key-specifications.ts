// Where the keys of a command are and what it does with each, as COMMAND INFO and GETKEYSANDFLAGS tell it, and the tips for
// clients of clusters and proxies; in the words of Redis 7.0. Most commands follow from their row: a reading one has
// RO access of its keys, a writing one RW update; the others are here.
// Not for: dispatch, which counts keys by their positions alone (command-table.ts).
import type { Call, Command } from './command.ts'

export interface KeySpecification {
  readonly flags: readonly string[]
  readonly first: number
  /** Counted from the first; negative: from the end of the request. */
  readonly last: number
  readonly step: number
  readonly notes?: string
}

const uses: Readonly<Record<string, string>> = {
  'RM delete': 'del unlink',
  RO: 'exists type touch strlen hlen hexists hstrlen',
  'RW access update': 'move getex incr decr incrby decrby getset incrbyfloat setbit hincrby hincrbyfloat',
  'RW access update variable_flags': 'set bitfield',
  'OW update': 'restore mset setex psetex',
  'OW insert': 'setnx msetnx',
  'RW access delete': 'getdel',
  'RW insert': 'append hsetnx',
  'RW delete': 'hdel',
}

/** Commands whose keys are not all used alike. */
const several: Readonly<Record<string, readonly KeySpecification[]>> = {
  rename: [one(1, 'RW access delete'), one(2, 'OW update')],
  renamenx: [one(1, 'RW access delete'), one(2, 'OW insert')],
  copy: [one(1, 'RO access'), one(2, 'OW update')],
  bitop: [one(2, 'OW update'), { ...one(3, 'RO access'), last: -1 }],
}

const notes: Readonly<Record<string, string>> = {
  set: 'RW and ACCESS due to the optional `GET` argument',
  getex: 'RW and UPDATE because it changes the TTL',
  bitfield: 'This command allows both access and modification of the key',
}

const tips: Readonly<Record<string, string>> = {
  'request_policy:all_shards response_policy:all_succeeded': 'ping flushall flushdb',
  'request_policy:all_shards response_policy:agg_sum': 'dbsize',
  'request_policy:all_shards response_policy:agg_min': 'wait',
  'request_policy:all_shards nondeterministic_output_order': 'keys',
  'request_policy:all_shards nondeterministic_output': 'randomkey',
  'request_policy:multi_shard response_policy:agg_sum': 'del unlink exists touch',
  'request_policy:multi_shard response_policy:all_succeeded': 'mset',
  'request_policy:multi_shard response_policy:agg_min': 'msetnx',
  'request_policy:multi_shard': 'mget',
  'nondeterministic_output request_policy:all_shards response_policy:special': 'info',
  'nondeterministic_output request_policy:special': 'scan',
  nondeterministic_output_order: 'command hgetall hkeys hvals',
  nondeterministic_output: 'lastsave time ttl pttl dump hrandfield hscan',
}

const usesByName = byName(uses)
const tipsByName = byName(tips)

function byName(table: Readonly<Record<string, string>>): ReadonlyMap<string, readonly string[]> {
  const all = Object.entries(table)
  return new Map(all.flatMap(([words, names]) => names.split(' ').map(name => [name, words.split(' ')] as const)))
}

function one(first: number, flags: string): KeySpecification {
  return { flags: flags.split(' '), first, last: 0, step: 1 }
}

export function tipsOf({ name }: Command): readonly string[] {
  return tipsByName.get(name) ?? []
}

export function keySpecifications(command: Command): readonly KeySpecification[] {
  const [first, last, step] = command.keys
  if (first === 0) return []
  const own = several[command.name]
  if (own !== undefined) return own
  const usual = command.flags.includes('readonly') ? ['RO', 'access'] : ['RW', 'update']
  const flags = command.keyFlags ?? usesByName.get(command.name) ?? usual
  const told = notes[command.name]
  return [{ flags, first, last: last < 0 ? last : last - first, step, ...(told === undefined ? {} : { notes: told }) }]
}

/** What the request whose name is argument `name` does with each of its keys: the position of the key, and flags. */
export function keyUses(call: Call, command: Command, name: number): [position: number, flags: readonly string[]][] {
  const found: [number, readonly string[]][] = []
  // The one key of a sub-command.
  if (
    (command.name === 'object' || (command.name === 'memory' && call.is(name + 1, 'USAGE'))) &&
    name + 2 < call.argc
  ) {
    return [[name + 2, ['RO']]]
  }
  for (const { flags, first, last, step } of keySpecifications(command)) {
    const from = name + first
    const to = last < 0 ? call.argc + last : from + last
    const told = flags.includes('variable_flags') ? flagsOf(call, command, name) : flags
    for (let i = from; i <= to; i += step) found.push([i, told])
  }
  return found
}

/** SET reads its key with GET alone; BITFIELD changes it with SET and INCRBY alone. */
function flagsOf(call: Call, command: Command, name: number): readonly string[] {
  for (let i = name + 2; i < call.argc; i++) {
    if (command.name === 'set' && i > name + 2 && call.is(i, 'GET')) return ['RW', 'access', 'update']
    if (command.name === 'bitfield' && (call.is(i, 'SET') || call.is(i, 'INCRBY'))) return ['RW', 'access', 'update']
  }
  return command.name === 'set' ? ['OW', 'update'] : ['RO', 'access']
}
