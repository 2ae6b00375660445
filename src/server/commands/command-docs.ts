// COMMAND: what commands there are, told from the table: bare and INFO (the form cluster clients read), DOCS, LIST, COUNT
// and GETKEYS. Not for: what the commands do.
import { globMatches } from '../../base/glob.ts'
import { type Command, CommandError } from './command.ts'
import { arityHolds, keyPositions } from './command-table.ts'
import {
  type ServerCall,
  SYNTAX_ERROR,
  arityError,
  serverHandler,
  unknownSubcommandError,
  writeHelp,
} from './server-call.ts'

const HELP = [
  '(no subcommand)',
  '    Return details about all Redis commands.',
  'COUNT',
  '    Return the total number of commands in this Redis server.',
  'LIST',
  '    Return a list of all commands in this Redis server.',
  'INFO [<command-name> ...]',
  '    Return details about multiple Redis commands.',
  '    If no command names are given, documentation details for all',
  '    commands are returned.',
  'DOCS [<command-name> ...]',
  '    Return documentation details about multiple Redis commands.',
  '    If no command names are given, documentation details for all',
  '    commands are returned.',
  'GETKEYS <full-command>',
  '    Return the keys from a full Redis command.',
]

const subcommands: Record<string, [arity: number, run: (call: ServerCall) => void]> = {
  count: [2, call => call.out.integer(call.server.table.commands.length)],
  info: [-2, info],
  docs: [-2, docs],
  list: [-2, list],
  getkeys: [-4, getKeys],
  help: [2, call => writeHelp(call, 'COMMAND', HELP)],
}

function command(call: ServerCall): void {
  if (call.argc === 1) return info(call)
  const name = call.text(1).toLowerCase()
  const found = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined
  if (found === undefined) return call.out.error(unknownSubcommandError('COMMAND', call.text(1)))
  const [arity, run] = found
  if (arity >= 0 ? call.argc !== arity : call.argc < -arity) return call.out.error(arityError(`command|${name}`))
  run(call)
}

function info(call: ServerCall): void {
  const { table } = call.server
  if (call.argc <= 2) {
    call.out.array(table.commands.length)
    for (const each of table.commands) writeInfo(call, each)
    return
  }
  call.out.array(call.argc - 2)
  for (let i = 2; i < call.argc; i++) {
    const found = table.named(call.text(i))
    if (found === undefined) call.out.nil()
    else writeInfo(call, found)
  }
}

function writeInfo({ out }: ServerCall, { name, arity, flags, keys, keyFlags, categories }: Command): void {
  out.array(10)
  out.text(name)
  out.integer(arity)
  out.set(flags.length)
  for (const flag of flags) out.simple(flag)
  for (const position of keys) out.integer(position)
  out.set(categories.length)
  for (const category of categories) out.simple(category)
  // Tips, key specifications, sub-commands.
  out.set(0)
  out.set(keys[0] === 0 ? 0 : 1)
  if (keys[0] !== 0)
    writeKeySpecification(out, keys, keyFlags ?? (flags.includes('readonly') ? ['RO', 'access'] : ['RW', 'update']))
  out.set(0)
}

function writeKeySpecification(out: ServerCall['out'], keys: Command['keys'], flags: readonly string[]): void {
  const [first, last, step] = keys
  out.map(3)
  out.text('flags')
  out.set(flags.length)
  for (const flag of flags) out.simple(flag)
  out.text('begin_search')
  out.map(2)
  out.text('type')
  out.text('index')
  out.text('spec')
  out.map(1)
  out.text('index')
  out.integer(first)
  out.text('find_keys')
  out.map(2)
  out.text('type')
  out.text('range')
  out.text('spec')
  out.map(3)
  out.text('lastkey')
  // Counted from the first key; negative from the end.
  out.integer(last < 0 ? last : last - first)
  out.text('keystep')
  out.integer(step)
  out.text('limit')
  out.integer(0)
}

function docs(call: ServerCall): void {
  const { table } = call.server
  const told: Command[] = []
  if (call.argc === 2) told.push(...table.commands)
  for (let i = 2; i < call.argc; i++) {
    const found = table.named(call.text(i))
    if (found !== undefined) told.push(found)
  }
  call.out.map(told.length)
  for (const each of told) {
    call.out.text(each.name)
    const fields = { summary: each.summary, since: each.since, group: each.group, complexity: each.complexity }
    call.out.map(Object.keys(fields).length)
    for (const [field, value] of Object.entries(fields)) {
      call.out.text(field)
      call.out.text(value)
    }
  }
}

function list(call: ServerCall): void {
  let names = call.server.table.commands.map(each => each.name)
  if (call.argc === 5 && call.is(2, 'FILTERBY')) {
    const { commands } = call.server.table
    if (call.is(3, 'MODULE')) names = []
    else if (call.is(3, 'PATTERN')) names = names.filter(name => globMatches(call.bytes(4), Buffer.from(name)))
    else if (call.is(3, 'ACLCAT')) {
      const category = `@${call.text(4).toLowerCase()}`
      names = commands.filter(each => each.categories.includes(category)).map(each => each.name)
    } else throw new CommandError(SYNTAX_ERROR)
  } else if (call.argc !== 2) throw new CommandError(SYNTAX_ERROR)
  call.out.array(names.length)
  for (const name of names) call.out.text(name)
}

function getKeys(call: ServerCall): void {
  const { table } = call.server
  const found = table.commands[table.find(call.buffer, call.start[2]!, call.end[2]!)]
  if (found === undefined) throw new CommandError('ERR Invalid command specified')
  if (found.keys[0] === 0) throw new CommandError('ERR The command has no key arguments')
  const argc = call.argc - 2
  if (!arityHolds(found, argc)) {
    throw new CommandError('ERR Invalid number of arguments specified for command')
  }
  const positions = keyPositions(found, argc)
  call.out.array(positions.length)
  for (const position of positions) call.out.bulk(call.buffer, call.start[position + 2], call.end[position + 2])
}

export const commandCommand: Command = {
  name: 'command',
  arity: -1,
  flags: ['loading', 'stale'],
  categories: ['@slow', '@connection'],
  keys: [0, 0, 0],
  group: 'server',
  since: '2.8.13',
  complexity: 'O(N) where N is the total number of Redis commands',
  summary: 'Tells what commands there are.',
  syntax:
    '[COUNT | INFO [command ...] | DOCS [command ...] | LIST [FILTERBY kind value] | GETKEYS command [argument ...]]',
  subcommands: Object.keys(subcommands),
  handler: serverHandler(command),
}
