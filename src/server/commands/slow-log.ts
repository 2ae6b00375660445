// SLOWLOG: slow commands of all threads, and who the client is (ACL). server/slow-log.ts says what is measured; LATENCY is in
// latency.ts.
import { parseInt64 } from '../../base/bytes.ts'
import { LiveNumber } from '../live-state.ts'
import type { SlowCommand } from '../slow-log.ts'
import { type Command, CommandError, type Respond } from './command.ts'
import { askAboutSlow, latencyCommand } from './latency.ts'
import { type ServerCall, type Subcommands, container, writeHelp } from './server-call.ts'

const SLOWLOG_HELP = [
  'GET [<count>]',
  '    Return top <count> entries from the slowlog (default: 10, -1 mean all).',
  '    Entries are made of:',
  '    id, timestamp, time in microseconds, arguments array, client IP and port,',
  '    client name',
  'LEN',
  '    Return the length of the slowlog.',
  'RESET',
  '    Reset the slowlog.',
]

const ACL_HELP = [
  'LIST',
  '    Show users details in config file format.',
  'USERS',
  '    List all the registered usernames.',
  'WHOAMI',
  '    Return the current connection username.',
]

async function commands(call: ServerCall): Promise<SlowCommand[]> {
  const max = call.server.live.numbers[LiveNumber.slowLogMax]!
  const all = (await askAboutSlow(call, { about: 'slow' })).map(text => JSON.parse(text) as SlowCommand)
  return all.sort((a, b) => b.id - a.id).slice(0, max)
}

function get(call: ServerCall): Promise<Respond> {
  const asked = call.argc === 3 ? parseInt64(call.buffer, call.start[2]!, call.end[2]!) : 10n
  if (call.argc > 3) {
    const asked = call.text(1).slice(0, 128)
    throw new CommandError(`ERR unknown subcommand or wrong number of arguments for '${asked}'. Try SLOWLOG HELP.`)
  }
  if (asked === undefined || asked < -1n) throw new CommandError('ERR count should be greater than or equal to -1')
  return commands(call).then(all => out => {
    const told = asked === -1n ? all : all.slice(0, Number(asked))
    out.array(told.length)
    for (const { id, wallSeconds, microseconds, args, address, name } of told) {
      out.array(6)
      out.integer(id)
      out.integer(wallSeconds)
      out.integer(microseconds)
      out.array(args.length)
      for (const arg of args) out.bulk(Buffer.from(arg, 'latin1'))
      out.text(address)
      out.text(name)
    }
  })
}

function length(call: ServerCall): Promise<Respond> {
  return commands(call).then(all => out => out.integer(all.length))
}

function reset(call: ServerCall): Promise<Respond> {
  return askAboutSlow(call, { about: 'slow-reset' }).then(() => out => out.simple('OK'))
}

const slowSubcommands: Subcommands = {
  get: [-2, get],
  len: [2, length],
  reset: [2, reset],
  help: [2, call => writeHelp(call, 'SLOWLOG', SLOWLOG_HELP)],
}

const shared = { arity: -2, flags: [], categories: ['@slow'], keys: [0, 0, 0], group: 'server' } as const

export const slowLogCommands: readonly Command[] = [
  {
    ...shared,
    name: 'slowlog',
    since: '2.2.12',
    complexity: 'O(N) where N is the number of entries',
    summary:
      'Tells which commands were slow. Commands flagged fast or of constant time are measured by sample, one of 16.',
    syntax: 'GET [count] | LEN | RESET',
    subcommands: Object.keys(slowSubcommands),
    handler: container('slowlog', slowSubcommands),
  },
  latencyCommand,
  {
    ...shared,
    name: 'acl',
    since: '6.0.0',
    complexity: 'O(1)',
    summary: 'Tells who the client is: there is one user, default, who may do everything.',
    syntax: 'WHOAMI | LIST | USERS',
    subcommands: ['whoami', 'list', 'users', 'help'],
    handler: container('acl', {
      whoami: [2, call => call.out.text('default')],
      users: [2, call => oneText(call, 'default')],
      help: [2, call => writeHelp(call, 'ACL', ACL_HELP)],
      list: [2, call => oneText(call, `user default on ${secret(call)} ~* &* +@all`)],
    }),
  },
]

function oneText({ out }: ServerCall, text: string): void {
  out.array(1)
  out.text(text)
}

function secret({ server }: ServerCall): string {
  return server.live.password === '' ? 'nopass' : '#hidden'
}
