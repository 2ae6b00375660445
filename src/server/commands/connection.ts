// Commands about the connection itself: who the client is and how it is spoken to. CLIENT is in client.ts.
// Replies are those of Redis 7.0, compared with it.
import type { Command, Respond } from './command.ts'
import { clientCommand } from './client.ts'
import { type ServerCall, SYNTAX_ERROR, arityError, serverHandler } from './server-call.ts'
import { isClientName, CLIENT_NAME_ERROR } from './client-name.ts'
import { mayOnlyListen } from './pubsub.ts'
import { leaveTransaction } from './transactions.ts'
import { parseDecimal } from '../../base/bytes.ts'

/** The version of Redis whose commands and replies are followed; what clients compare with what they need. */
export const REDIS_VERSION = '7.0.15'

const WRONG_PASSWORD = 'WRONGPASS invalid username-password pair or user is disabled.'
const NO_PASSWORD_SET =
  'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?'
const HELLO_NEEDS_AUTH =
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time'

function ping(call: ServerCall): void {
  if (call.argc > 2) call.out.error(arityError('ping'))
  else if (mayOnlyListen(call.client)) {
    call.out.array(2)
    call.out.text('pong')
    if (call.argc === 1) call.out.text('')
    else echo(call)
  } else if (call.argc === 1) call.out.simple('PONG')
  else echo(call)
}

function echo(call: ServerCall): void {
  call.out.bulk(call.buffer, call.start[1], call.end[1])
}

/** Whether the user in argument `user` (-1: the default one) has the password in argument `password`. */
function accepts(call: ServerCall, user: number, password: number): boolean {
  if (user >= 0 && call.text(user) !== 'default') return false
  return call.server.passwordMatches(call.bytes(password))
}

function auth(call: ServerCall): void {
  const { argc, client, out, server } = call
  if (argc > 3) return out.error(SYNTAX_ERROR)
  if (argc === 2 && server.live.password === '') return out.error(NO_PASSWORD_SET)
  if (!accepts(call, argc === 3 ? 1 : -1, argc - 1)) return out.error(WRONG_PASSWORD)
  client.authenticated = true
  out.simple('OK')
}

/** HELLO takes all of its options or none: they are checked before the first has an effect. */
function hello(call: ServerCall): void {
  const { client, out } = call
  const version = call.argc > 1 ? parseDecimal(call.buffer, call.start[1]!, call.end[1]!) : client.resp
  if (Number.isNaN(version)) return out.error('ERR Protocol version is not an integer or out of range')
  if (version !== 2 && version !== 3) return out.error('NOPROTO unsupported protocol version')
  let password = 0
  let name = 0
  for (let i = 2; i < call.argc;) {
    if (call.is(i, 'AUTH') && i + 2 < call.argc) {
      password = i + 2
      i += 3
    } else if (call.is(i, 'SETNAME') && i + 1 < call.argc) {
      name = i + 1
      i += 2
    } else return out.error(`ERR Syntax error in HELLO option '${call.text(i)}'`)
  }
  if (password !== 0) {
    if (!accepts(call, password - 1, password)) return out.error(WRONG_PASSWORD)
    client.authenticated = true
  }
  if (!client.authenticated) return out.error(HELLO_NEEDS_AUTH)
  if (name !== 0) {
    if (!isClientName(call, name)) return out.error(CLIENT_NAME_ERROR)
    client.name = call.text(name)
  }
  client.resp = version
  out.resp = version
  writeHello(call)
}

function writeHello({ client, out }: ServerCall): void {
  out.map(7)
  out.text('server')
  out.text('redis')
  out.text('version')
  out.text(REDIS_VERSION)
  out.text('proto')
  out.integer(client.resp)
  out.text('id')
  out.integer(client.id)
  out.text('mode')
  out.text('standalone')
  out.text('role')
  out.text('master')
  out.text('modules')
  out.array(0)
}

function select(call: ServerCall): void {
  const index = parseDecimal(call.buffer, call.start[1]!, call.end[1]!)
  if (Number.isNaN(index)) call.out.error('ERR value is not an integer or out of range')
  else if (index !== 0) call.out.error('ERR DB index is out of range')
  else call.out.simple('OK')
}

function quit(call: ServerCall): void {
  call.client.closing = true
  call.out.simple('OK')
}

function reset(call: ServerCall): void {
  const { client, out, server } = call
  leaveTransaction(client)
  server.pubSub.leave(client)
  server.tracking.stop(client)
  client.authenticated = server.live.password === ''
  client.replies = 'on'
  client.name = ''
  client.resp = 2
  out.resp = 2
  out.simple('RESET')
}

type Row = Pick<Command, 'name' | 'arity' | 'flags' | 'since' | 'summary' | 'syntax'>

function row(data: Row, handler: (call: ServerCall) => void | Promise<Respond>): Command {
  return {
    ...data,
    categories: ['@fast', '@connection'],
    keys: [0, 0, 0],
    group: 'connection',
    complexity: 'O(1)',
    handler: serverHandler(handler),
  }
}

export const connectionCommands: readonly Command[] = [
  row(
    {
      name: 'ping',
      arity: -1,
      flags: ['fast'],
      since: '1.0.0',
      summary: 'Answers PONG, or the message.',
      syntax: '[message]',
    },
    ping,
  ),
  row(
    {
      name: 'echo',
      arity: 2,
      flags: ['loading', 'stale', 'fast'],
      since: '1.0.0',
      summary: 'Answers the message.',
      syntax: 'message',
    },
    echo,
  ),
  row(
    {
      name: 'hello',
      arity: -1,
      flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'],
      since: '6.0.0',
      summary: 'Chooses the protocol version, and may authenticate and name the connection.',
      syntax: '[protover [AUTH username password] [SETNAME clientname]]',
    },
    hello,
  ),
  row(
    {
      name: 'auth',
      arity: -2,
      flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'],
      since: '1.0.0',
      summary: 'Authenticates the connection.',
      syntax: '[username] password',
    },
    auth,
  ),
  row(
    {
      name: 'select',
      arity: 2,
      flags: ['loading', 'stale', 'fast'],
      since: '1.0.0',
      summary: 'Chooses the database; there is only database 0.',
      syntax: 'index',
    },
    select,
  ),
  row(
    {
      name: 'quit',
      arity: -1,
      flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'],
      since: '1.0.0',
      summary: 'Closes the connection.',
      syntax: '',
    },
    quit,
  ),
  row(
    {
      name: 'reset',
      arity: 1,
      flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'],
      since: '6.2.0',
      summary: 'Puts the connection back into the state of a new one.',
      syntax: '',
    },
    reset,
  ),
  clientCommand,
]
