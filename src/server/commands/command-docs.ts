// COMMAND: what commands there are, told from the table. How one is described is in command-info.ts.
// Not for: what the commands do.
import { globMatches } from '../../base/glob.ts'
import { type Command, CommandError } from './command.ts'
import { docs, info } from './command-info.ts'
import { arityHolds } from './command-table.ts'
import { keyUses } from './key-specifications.ts'
import {
  type ServerCall,
  SYNTAX_ERROR,
  arityError,
  serverHandler,
  unknownSubcommandError,
  writeHelp,
} from './server-call.ts'

const INVALID_COUNT = 'ERR Invalid number of arguments specified for command'

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
  'GETKEYSANDFLAGS <full-command>',
  '    Return the keys and the access flags from a full Redis command.',
]

const subcommands: Record<string, [arity: number, run: (call: ServerCall) => void]> = {
  count: [2, call => call.out.integer(call.server.table.commands.length)],
  info: [-2, info],
  docs: [-2, docs],
  list: [-2, list],
  getkeys: [-4, call => getKeys(call, false)],
  getkeysandflags: [-4, call => getKeys(call, true)],
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

/** Of a command that needs a sub-command, at argument 2. */
function isUnknownSubcommand(call: ServerCall, { arity, subcommands }: Command): boolean {
  if (subcommands === undefined || arity !== -2 || call.argc === 3) return false
  return !subcommands.includes(call.text(3).toLowerCase())
}

function getKeys(call: ServerCall, withFlags: boolean): void {
  const { table } = call.server
  const found = table.commands[table.find(call.buffer, call.start[2]!, call.end[2]!)]
  if (found === undefined || isUnknownSubcommand(call, found)) throw new CommandError('ERR Invalid command specified')
  if (!arityHolds(found, call.argc - 2)) {
    throw new CommandError(INVALID_COUNT)
  }
  const uses = keyUses(call, found, 2)
  if (uses.length === 0 && found.name === 'object' && !call.is(3, 'HELP')) throw new CommandError(INVALID_COUNT)
  if (uses.length === 0) throw new CommandError('ERR The command has no key arguments')
  call.out.array(uses.length)
  for (const [position, flags] of uses) {
    if (withFlags) call.out.array(2)
    call.out.bulk(call.buffer, call.start[position], call.end[position])
    if (!withFlags) continue
    call.out.set(flags.length)
    for (const flag of flags) call.out.simple(flag)
  }
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
    '[COUNT | INFO [command ...] | DOCS [command ...] | LIST [FILTERBY kind value] | GETKEYS command [argument ...] | GETKEYSANDFLAGS command [argument ...]]',
  subcommands: Object.keys(subcommands),
  handler: serverHandler(command),
}
