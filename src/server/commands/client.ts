// CLIENT: names, lists and ends connections. Lists and kills over all threads: each thread answers for its own clients.
import { parseDecimal, parseInt64 } from '../../base/bytes.ts'
import { CLIENT_NAME_ERROR, isClientName } from './client-name.ts'
import { LiveNumber } from '../live-state.ts'
import { ClientMode } from '../special-state.ts'
import { caching, getRedirection, tracking, trackingInfo } from './tracking.ts'
import { type Command, CommandError, type Respond } from './command.ts'
import {
  type Client,
  type ClientFilter,
  type PeerAnswer,
  type PeerQuestion,
  type ServerCall,
  type Subcommands,
  container,
  SYNTAX_ERROR,
  writeHelp,
} from './server-call.ts'

const HELP = [
  'CACHING (YES|NO)',
  '    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.',
  'GETREDIR',
  '    Return the client ID we are redirecting to when tracking is enabled.',
  'GETNAME',
  '    Return the name of the current connection.',
  'ID',
  '    Return the ID of the current connection.',
  'INFO',
  '    Return information about the current client connection.',
  'KILL <ip:port>',
  '    Kill connection made from <ip:port>.',
  'KILL <option> <value> [<option> <value> [...]]',
  '    Kill connections. Options are:',
  '    * ID <client-id>',
  '    * ADDR <ip:port>',
  '    * LADDR <ip:port>',
  '    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)',
  '    * USER <username>',
  '    * SKIPME (YES|NO)',
  '      Skip killing current connection (default: yes).',
  'LIST [options ...]',
  '    Return information about client connections. Options:',
  '    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)',
  '    * ID <client-id> [...]',
  'NO-EVICT (ON|OFF)',
  '    Accepted; connections are never closed for memory.',
  'NO-TOUCH (ON|OFF)',
  '    Accepted; reads count all the same.',
  'UNBLOCK <clientid> [TIMEOUT|ERROR]',
  '    Unblock the specified blocked client.',
  'UNPAUSE',
  '    Stop the current client pause, resuming traffic.',
  'PAUSE <timeout> [WRITE|ALL]',
  '    Suspend all, or just write, clients for <timeout> milliseconds.',
  'REPLY (ON|OFF|SKIP)',
  '    Control the replies sent to the current connection.',
  'SETINFO (LIB-NAME|LIB-VER) <value>',
  '    Say which client library the connection uses.',
  'SETNAME <name>',
  '    Assign the name <name> to the current connection.',
  'TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]',
  '         [OPTIN] [OPTOUT] [NOLOOP]',
  '    Control server assisted client side caching.',
  'TRACKINGINFO',
  '    Report tracking status for the current connection.',
]

/** The sub-commands by name, each with its arity, CLIENT included. */
const subcommands: Subcommands = {
  id: [2, call => call.out.integer(call.client.id)],
  getname: [2, call => (call.client.name === '' ? call.out.nil() : call.out.text(call.client.name))],
  setname: [3, setName],
  setinfo: [4, setInfo],
  info: [2, call => call.out.verbatim('txt', describeClient(call.client, call.monotonicMs) + '\n')],
  list: [-2, list],
  kill: [-3, kill],
  'no-evict': [3, onOrOff],
  'no-touch': [3, onOrOff],
  reply: [3, reply],
  pause: [-3, pause],
  unpause: [2, unpause],
  unblock: [-3, unblock],
  tracking: [-3, tracking],
  caching: [3, caching],
  trackinginfo: [2, trackingInfo],
  getredir: [2, getRedirection],
  help: [2, call => writeHelp(call, 'CLIENT', HELP)],
}

function setName(call: ServerCall): void {
  if (!isClientName(call, 2)) return call.out.error(CLIENT_NAME_ERROR)
  call.client.name = call.text(2)
  call.out.simple('OK')
}

function setInfo(call: ServerCall): void {
  const attribute = call.is(2, 'LIB-NAME') ? 'lib-name' : call.is(2, 'LIB-VER') ? 'lib-ver' : undefined
  if (attribute === undefined) return call.out.error(`ERR Unrecognized option '${call.text(2)}'`)
  if (!isClientName(call, 3)) {
    return call.out.error(`ERR ${attribute} cannot contain spaces, newlines or special characters.`)
  }
  if (attribute === 'lib-name') call.client.libraryName = call.text(3)
  else call.client.libraryVersion = call.text(3)
  call.out.simple('OK')
}

function onOrOff(call: ServerCall): void {
  if (call.is(2, 'ON') || call.is(2, 'OFF')) call.out.simple('OK')
  else call.out.error(SYNTAX_ERROR)
}

function reply(call: ServerCall): void {
  if (call.is(2, 'ON')) {
    call.client.replies = 'on'
    call.out.simple('OK')
  } else if (call.is(2, 'OFF')) call.client.replies = 'off'
  else if (!call.is(2, 'SKIP')) call.out.error(SYNTAX_ERROR)
  else if (call.client.replies !== 'off') call.client.replies = 'skip-next'
}

/** Holds commands of all clients, in all threads, for so many milliseconds. */
function pause(call: ServerCall): void {
  const { out, server } = call
  if (call.argc > 4) return out.error(SYNTAX_ERROR)
  const writesOnly = call.argc === 4 && call.is(3, 'WRITE')
  if (call.argc === 4 && !writesOnly && !call.is(3, 'ALL'))
    return out.error('ERR CLIENT PAUSE mode must be WRITE or ALL')
  const ms = parseInt64(call.buffer, call.start[2]!, call.end[2]!)
  if (ms === undefined) return out.error('ERR timeout is not an integer or out of range')
  if (ms < 0n) return out.error('ERR timeout is negative')
  const { numbers } = server.live
  const untilMs = call.monotonicMs + Number(ms)
  const paused = numbers[LiveNumber.pausedUntilMs]! > call.monotonicMs
  // As in Redis, a pause makes one that goes on neither shorter nor weaker.
  numbers[LiveNumber.pausedKind] = writesOnly && !(paused && numbers[LiveNumber.pausedKind] === 2) ? 1 : 2
  numbers[LiveNumber.pausedUntilMs] = paused ? Math.max(untilMs, numbers[LiveNumber.pausedUntilMs]!) : untilMs
  out.simple('OK')
}

function unpause(call: ServerCall): void {
  call.server.live.numbers[LiveNumber.pausedUntilMs] = 0
  call.out.simple('OK')
}

/** No command here waits for a key to come, so that there is nobody to unblock. */
function unblock(call: ServerCall): void {
  if (call.argc > 4) {
    const asked = call.text(1).slice(0, 128)
    return call.out.error(`ERR unknown subcommand or wrong number of arguments for '${asked}'. Try CLIENT HELP.`)
  }
  if (call.argc === 4 && !call.is(3, 'TIMEOUT') && !call.is(3, 'ERROR')) {
    return call.out.error('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR')
  }
  if (parseInt64(call.buffer, call.start[2]!, call.end[2]!) === undefined) {
    return call.out.error('ERR value is not an integer or out of range')
  }
  call.out.integer(0)
}

// LIST and KILL

const typesOfClients = ['normal', 'master', 'replica', 'slave', 'pubsub']

function typeOf(call: ServerCall, i: number): string {
  const type = call.text(i)
  if (!typesOfClients.includes(type.toLowerCase())) throw new CommandError(`ERR Unknown client type '${type}'`)
  return type.toLowerCase()
}

function list(call: ServerCall): Promise<Respond> {
  let filter: ClientFilter = {}
  if (call.argc === 4 && call.is(2, 'TYPE')) filter = { type: typeOf(call, 3) }
  else if (call.argc > 3 && call.is(2, 'ID')) {
    const ids: number[] = []
    for (let i = 3; i < call.argc; i++) {
      const id = parseDecimal(call.buffer, call.start[i]!, call.end[i]!)
      if (!(id > 0)) throw new CommandError('ERR Invalid client ID')
      ids.push(id)
    }
    filter = { ids }
  } else if (call.argc !== 2) throw new CommandError(SYNTAX_ERROR)
  return askAll(call, { about: 'list', filter }).then(lines => {
    const sorted = lines.toSorted((a, b) => idOf(a) - idOf(b))
    return out => out.verbatim('txt', sorted.map(line => line + '\n').join(''))
  })
}

function idOf(line: string): number {
  return Number(line.slice('id='.length, line.indexOf(' ')))
}

function kill(call: ServerCall): Promise<Respond> {
  const { client } = call
  const single = call.argc === 3
  const filter = single ? { remoteAddress: call.text(2) } : killFilter(call)
  return askAll(call, { about: 'kill', filter }).then(killed => {
    // As in Redis, a client that ends itself still reads the reply.
    if (killed.includes(String(client.id))) client.closing = true
    if (!single) return out => out.integer(killed.length)
    return out => (killed.length === 0 ? out.error('ERR No such client') : out.simple('OK'))
  })
}

function killFilter(call: ServerCall): ClientFilter {
  if (call.argc % 2 === 1) throw new CommandError(SYNTAX_ERROR)
  let filter: ClientFilter = { notId: call.client.id }
  for (let i = 2; i < call.argc; i += 2) {
    const value = call.text(i + 1)
    if (call.is(i, 'ID')) {
      const id = parseDecimal(call.buffer, call.start[i + 1]!, call.end[i + 1]!)
      if (!(id > 0)) throw new CommandError('ERR client-id should be greater than 0')
      filter = { ...filter, ids: [id] }
    } else if (call.is(i, 'ADDR')) filter = { ...filter, remoteAddress: value }
    else if (call.is(i, 'LADDR')) filter = { ...filter, localAddress: value }
    else if (call.is(i, 'TYPE')) filter = { ...filter, type: typeOf(call, i + 1) }
    else if (call.is(i, 'USER')) {
      if (value !== 'default') throw new CommandError(`ERR No such user '${value}'`)
    } else if (call.is(i, 'SKIPME') && call.is(i + 1, 'YES')) filter = { ...filter, notId: call.client.id }
    else if (call.is(i, 'SKIPME') && call.is(i + 1, 'NO')) {
      const { notId: _, ...rest } = filter
      filter = rest
    } else throw new CommandError(SYNTAX_ERROR)
  }
  return filter
}

async function askAll(call: ServerCall, question: Extract<PeerQuestion, { filter: ClientFilter }>): Promise<string[]> {
  const { server, client } = call
  const here = answerQuestion(server.clients, question, call.monotonicMs, client.id)
  return [...here, ...(await server.askPeers(question))]
}

/**
 * This thread's part of the answer to CLIENT LIST or KILL. `asking` is the client that asks when it is of this thread: it
 * is counted but not ended, since it still has to read the reply.
 */
export function answerQuestion(
  clients: ReadonlyMap<number, Client>,
  { about, filter }: Extract<PeerQuestion, { filter: ClientFilter }>,
  nowMs: number,
  asking = 0,
): PeerAnswer {
  const answer: string[] = []
  for (const client of clients.values()) {
    if (!matches(client, filter)) continue
    answer.push(about === 'list' ? describeClient(client, nowMs) : String(client.id))
    if (about === 'kill' && client.id !== asking) client.kill()
  }
  return answer
}

function matches(client: Client, filter: ClientFilter): boolean {
  if (client.id === filter.notId) return false
  if (filter.ids !== undefined && !filter.ids.includes(client.id)) return false
  if (filter.remoteAddress !== undefined && filter.remoteAddress !== client.remoteAddress) return false
  if (filter.localAddress !== undefined && filter.localAddress !== client.localAddress) return false
  return filter.type === undefined || filter.type === typeOfClient(client)
}

/** There are no replicas here. */
function typeOfClient(client: Client): string {
  return (client.modes & ClientMode.subscribed) !== 0 ? 'pubsub' : 'normal'
}

/** The letters of Redis for what a client is doing. */
function flagsOf({ modes, special }: Client): string {
  const tracking = special?.tracking
  let flags = ''
  if ((modes & ClientMode.subscribed) !== 0) flags += 'P'
  if ((modes & ClientMode.multi) !== 0) flags += 'x'
  if (tracking !== undefined) flags += 't'
  if (tracking?.broken === true) flags += 'R'
  if (tracking?.broadcast === true) flags += 'B'
  return flags === '' ? 'N' : flags
}

/** One line of CLIENT LIST, in the fields and the order of Redis; what does not exist here is 0. */
function describeClient(client: Client, nowMs: number): string {
  const seconds = (sinceMs: number) => Math.max(0, Math.floor((nowMs - sinceMs) / 1000))
  const { special } = client
  const fields = [
    `id=${client.id} addr=${client.remoteAddress} laddr=${client.localAddress} fd=-1 name=${client.name}`,
    `age=${seconds(client.connectedAtMs)} idle=${seconds(client.activeAtMs)} flags=${flagsOf(client)} db=0`,
    `sub=${special?.channels.size ?? 0} psub=${special?.patterns.size ?? 0} ssub=${special?.shardChannels.size ?? 0}`,
    `multi=${(client.modes & ClientMode.multi) === 0 ? -1 : special!.queue.length} qbuf=${client.inputBytes} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0`,
    `oll=0 omem=${client.outputBytes} tot-mem=${client.inputBytes + client.outputBytes} events=r`,
    `cmd=${client.lastCommand} user=default redir=${special?.tracking?.redirect ?? -1} resp=${client.resp}`,
    `lib-name=${client.libraryName} lib-ver=${client.libraryVersion}`,
  ]
  return fields.join(' ')
}

export const clientCommand: Command = {
  name: 'client',
  arity: -2,
  flags: ['noscript', 'loading', 'stale'],
  categories: ['@slow', '@connection'],
  keys: [0, 0, 0],
  group: 'connection',
  since: '2.4.0',
  complexity: 'O(1); LIST and KILL: O(N) where N is the number of connections.',
  summary: 'Names, lists and ends connections.',
  syntax: 'subcommand [argument ...]',
  subcommands: Object.keys(subcommands),
  handler: container('client', subcommands),
}
