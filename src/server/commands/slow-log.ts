// SLOWLOG and LATENCY: slow commands of all threads. server/slow-log.ts says what is measured.
import { parseInt64 } from '../../base/bytes.ts'
import { LiveNumber } from '../live-state.ts'
import type { LatencySample, SlowCommand } from '../slow-log.ts'
import { type Command, CommandError, type Respond } from './command.ts'
import {
  type PeerAnswer,
  type PeerQuestion,
  type Server,
  type ServerCall,
  arityError,
  serverHandler,
  unknownSubcommandError,
  writeHelp,
} from './server-call.ts'

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

const LATENCY_HELP = [
  'DOCTOR',
  '    Return a human readable latency analysis report.',
  'HISTORY <event>',
  '    Return time-latency samples for the <event> class.',
  'LATEST',
  '    Return the latest latency samples for all events.',
  'RESET [<event> ...]',
  '    Reset latency data of one or more <event> classes.',
  '    (default: reset all data for all event classes)',
]

type SlowQuestion =
  { readonly about: 'slow' | 'slow-reset' | 'latency' } | Extract<PeerQuestion, { about: 'latency-reset' }>

/** This thread's part of the answer. */
export function answerAboutSlow({ slowLog }: Pick<Server, 'slowLog'>, question: SlowQuestion): PeerAnswer {
  switch (question.about) {
    case 'slow':
      return slowLog.commands().map(command => JSON.stringify(command))
    case 'slow-reset':
      slowLog.reset()
      return []
    case 'latency':
      return slowLog.samples().map(sample => JSON.stringify(sample))
    case 'latency-reset':
      return slowLog.resetLatency(question.events)
  }
}

async function askAll(call: ServerCall, question: SlowQuestion): Promise<string[]> {
  return [...answerAboutSlow(call.server, question), ...(await call.server.askPeers(question))]
}

async function commands(call: ServerCall): Promise<SlowCommand[]> {
  const max = call.server.live.numbers[LiveNumber.slowLogMax]!
  const all = (await askAll(call, { about: 'slow' })).map(text => JSON.parse(text) as SlowCommand)
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
  return askAll(call, { about: 'slow-reset' }).then(() => out => out.simple('OK'))
}

async function samples(call: ServerCall): Promise<LatencySample[]> {
  const all = (await askAll(call, { about: 'latency' })).map(text => JSON.parse(text) as LatencySample)
  return all.sort((a, b) => a.wallSeconds - b.wallSeconds)
}

function latest(call: ServerCall): Promise<Respond> {
  return samples(call).then(all => out => {
    const events = Map.groupBy(all, ({ event }) => event)
    out.array(events.size)
    for (const [event, its] of events) {
      const last = its.at(-1)!
      out.array(4)
      out.text(event)
      out.integer(last.wallSeconds)
      out.integer(last.ms)
      out.integer(Math.max(...its.map(({ ms }) => ms)))
    }
  })
}

function history(call: ServerCall): Promise<Respond> {
  const event = call.text(2)
  return samples(call).then(all => out => {
    const its = all.filter(sample => sample.event === event)
    out.array(its.length)
    for (const { wallSeconds, ms } of its) {
      out.array(2)
      out.integer(wallSeconds)
      out.integer(ms)
    }
  })
}

function resetLatency(call: ServerCall): Promise<Respond> {
  const events = Array.from({ length: call.argc - 2 }, (_, i) => call.text(i + 2))
  return askAll(call, { about: 'latency-reset', events }).then(names => out => out.integer(new Set(names).size))
}

function doctor(call: ServerCall): Promise<Respond> {
  const threshold = call.server.live.numbers[LiveNumber.latencyThreshold]!
  return samples(call).then(all => out => {
    if (threshold === 0) {
      return out.verbatim(
        'txt',
        'Latency monitoring is off. Turn it on with CONFIG SET latency-monitor-threshold <milliseconds>.\n',
      )
    }
    const worst = all.toSorted((a, b) => b.ms - a.ms)[0]
    const said =
      worst === undefined
        ? `No command took ${threshold} ms or longer.`
        : `${all.length} commands took ${threshold} ms or longer, the longest ${worst.ms} ms (event '${worst.event}'). SLOWLOG GET names them.`
    out.verbatim('txt', said + '\n')
  })
}

type Subcommands = Record<string, [arity: number, run: (call: ServerCall) => void | Promise<Respond>]>

const slowSubcommands: Subcommands = {
  get: [-2, get],
  len: [2, length],
  reset: [2, reset],
  help: [2, call => writeHelp(call, 'SLOWLOG', SLOWLOG_HELP)],
}

const latencySubcommands: Subcommands = {
  latest: [2, latest],
  history: [3, history],
  reset: [-2, resetLatency],
  doctor: [2, doctor],
  help: [2, call => writeHelp(call, 'LATENCY', LATENCY_HELP)],
}

function container(name: string, subcommands: Subcommands): Command['handler'] {
  return serverHandler(call => {
    const asked = call.text(1).toLowerCase()
    const found = Object.hasOwn(subcommands, asked) ? subcommands[asked] : undefined
    if (found === undefined) return call.out.error(unknownSubcommandError(name, call.text(1)))
    const [arity, run] = found
    if (arity >= 0 ? call.argc !== arity : call.argc < -arity) return call.out.error(arityError(`${name}|${asked}`))
    return run(call)
  })
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
  {
    ...shared,
    name: 'latency',
    since: '2.8.13',
    complexity: 'O(N) where N is the number of samples',
    summary: 'Tells when commands took latency-monitor-threshold or longer.',
    syntax: 'LATEST | HISTORY event | RESET [event ...] | DOCTOR',
    subcommands: Object.keys(latencySubcommands),
    handler: container('latency', latencySubcommands),
  },
  {
    ...shared,
    name: 'acl',
    since: '6.0.0',
    complexity: 'O(1)',
    summary: 'Tells who the client is: there is one user, default, who may do everything.',
    syntax: 'WHOAMI | LIST | USERS',
    subcommands: ['whoami', 'list', 'users'],
    handler: container('acl', {
      whoami: [2, call => call.out.text('default')],
      users: [2, call => oneText(call, 'default')],
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
