// PUBLISH, SUBSCRIBE and the rest of Pub/Sub, with the replies of Redis 7.0. The sharded commands work as on a server of one
// node: all channels are here. Keyspace notifications do not exist.
// A message that clients of other threads may listen to is handed to those threads, and PUBLISH waits for their counts.
import { globMatches } from '../../base/glob.ts'
import type { ChannelKind } from '../pub-sub.ts'
import { ClientMode } from '../special-state.ts'
import type { Command, CommandFlag, Respond } from './command.ts'
import {
  type PeerAnswer,
  type PeerQuestion,
  type Server,
  type ServerCall,
  type Subcommands,
  container,
  serverHandler,
  writeHelp,
} from './server-call.ts'

const HELP = [
  'CHANNELS [<pattern>]',
  "    Return the currently active channels matching a <pattern> (default: '*').",
  'NUMPAT',
  '    Return number of subscriptions to patterns.',
  'NUMSUB [<channel> ...]',
  '    Return the number of subscribers for the specified channels, excluding',
  '    pattern subscriptions(default: no channels).',
  'SHARDCHANNELS [<pattern>]',
  "    Return the currently active shard level channels matching a <pattern> (default: '*').",
  'SHARDNUMSUB [<shardchannel> ...]',
  '    Return the number of subscribers for the specified shard level channel(s)',
]

function name(call: ServerCall, i: number): string {
  return call.buffer.toString('latin1', call.start[i], call.end[i])
}

/** Tells the client of one subscription that began or ended. `null`: there was none to end. */
function tell({ out }: ServerCall, word: string, channel: string | null, count: number): void {
  out.push(3)
  out.text(word)
  if (channel === null) out.nil()
  else out.bulk(Buffer.from(channel, 'latin1'))
  out.integer(count)
}

type Subject = ChannelKind | 'pattern'

function countOf({ client: { special } }: ServerCall, subject: Subject): number {
  if (special === undefined) return 0
  return subject === 'shard' ? special.shardChannels.size : special.channels.size + special.patterns.size
}

function subscribing(word: string, subject: Subject): (call: ServerCall) => void {
  return call => {
    const { client, server } = call
    for (let i = 1; i < call.argc; i++) {
      const channel = name(call, i)
      if (subject === 'pattern') server.pubSub.subscribePattern(client, channel)
      else server.pubSub.subscribe(client, subject, channel)
      tell(call, word, channel, countOf(call, subject))
    }
  }
}

function unsubscribing(word: string, subject: Subject): (call: ServerCall) => void {
  return call => {
    const { client, server } = call
    const { special } = client
    const own =
      subject === 'pattern' ? special?.patterns : subject === 'shard' ? special?.shardChannels : special?.channels
    const named = Array.from({ length: call.argc - 1 }, (_, i) => name(call, i + 1))
    const channels = named.length > 0 ? named : [...(own ?? [])]
    if (channels.length === 0) tell(call, word, null, countOf(call, subject))
    for (const channel of channels) {
      if (subject === 'pattern') server.pubSub.unsubscribePattern(client, channel)
      else server.pubSub.unsubscribe(client, subject, channel)
      tell(call, word, channel, countOf(call, subject))
    }
  }
}

function publishing(kind: ChannelKind): (call: ServerCall) => void | Promise<Respond> {
  return call => {
    const { server } = call
    const channel = name(call, 1)
    const message = call.bytes(2)
    const here = server.pubSub.deliver(kind, channel, message)
    if (!server.pubSub.othersListen(channel)) return call.out.integer(here)
    return server.askPeers({ about: 'publish', kind, channel, message }).then(counts => {
      const total = counts.reduce((sum, count) => sum + Number(count), here)
      return out => out.integer(total)
    })
  }
}

// PUBSUB

/** This thread's part of the answer to what other threads ask about channels. */
export function answerAboutChannels({ pubSub }: Pick<Server, 'pubSub'>, question: PeerQuestion): PeerAnswer {
  switch (question.about) {
    case 'publish':
      return [String(pubSub.deliver(question.kind, question.channel, question.message))]
    case 'channels':
      return pubSub.channels(question.kind)
    case 'patterns':
      return pubSub.patterns()
    case 'listeners':
      return [JSON.stringify(question.channels.map(channel => pubSub.listeners(question.kind, channel)))]
    default:
      return []
  }
}

async function askAll(call: ServerCall, question: PeerQuestion): Promise<string[]> {
  return [...answerAboutChannels(call.server, question), ...(await call.server.askPeers(question))]
}

function channels(kind: ChannelKind): (call: ServerCall) => void | Promise<Respond> {
  return call => {
    if (call.argc > 3) {
      return call.out.error(unknownSubcommandOrArity(call))
    }
    const pattern = call.argc === 3 ? call.bytes(2) : undefined
    return askAll(call, { about: 'channels', kind }).then(all => {
      const found = [...new Set(all)].map(channel => Buffer.from(channel, 'latin1'))
      const matching = found.filter(channel => pattern === undefined || globMatches(pattern, channel))
      return out => {
        out.array(matching.length)
        for (const channel of matching) out.bulk(channel)
      }
    })
  }
}

function unknownSubcommandOrArity(call: ServerCall): string {
  return `ERR unknown subcommand or wrong number of arguments for '${call.text(1).slice(0, 128)}'. Try PUBSUB HELP.`
}

function numbers(kind: ChannelKind): (call: ServerCall) => Promise<Respond> {
  return call => {
    const asked = Array.from({ length: call.argc - 2 }, (_, i) => name(call, i + 2))
    return askAll(call, { about: 'listeners', kind, channels: asked }).then(answers => {
      const counts = answers.map(answer => JSON.parse(answer) as number[])
      return out => {
        out.array(2 * asked.length)
        for (const [i, channel] of asked.entries()) {
          out.bulk(Buffer.from(channel, 'latin1'))
          out.integer(counts.reduce((sum, each) => sum + each[i]!, 0))
        }
      }
    })
  }
}

function patternCount(call: ServerCall): Promise<Respond> {
  return askAll(call, { about: 'patterns' }).then(all => out => out.integer(new Set(all).size))
}

const subcommands: Subcommands = {
  channels: [-2, channels('channel')],
  numsub: [-2, numbers('channel')],
  numpat: [2, patternCount],
  shardchannels: [-2, channels('shard')],
  shardnumsub: [-2, numbers('shard')],
  help: [2, call => writeHelp(call, 'PUBSUB', HELP)],
}

/** Commands that a RESP2 client may send while it listens: its other replies could not be told from messages. */
export const whileListening: ReadonlySet<string> = new Set([
  'ping',
  'subscribe',
  'unsubscribe',
  'psubscribe',
  'punsubscribe',
  'ssubscribe',
  'sunsubscribe',
  'quit',
  'reset',
])

/** Whether the client's replies would be mixed up with messages. */
export function mayOnlyListen(client: ServerCall['client']): boolean {
  return client.resp === 2 && (client.modes & ClientMode.subscribed) !== 0
}

type Row = Pick<Command, 'name' | 'arity' | 'since' | 'complexity' | 'summary' | 'syntax'> & {
  readonly fast?: boolean
  /** Of a sharded command: how far its channels reach. */
  readonly shardLast?: number
}

function row(data: Row, handler: (call: ServerCall) => void | Promise<Respond>): Command {
  const { fast = false, shardLast, ...rest } = data
  const flags: CommandFlag[] = ['pubsub', 'noscript', 'loading', 'stale']
  if (fast) flags.push('fast')
  return {
    ...rest,
    flags: rest.name.endsWith('publish') ? flags.filter(flag => flag !== 'noscript') : flags,
    categories: ['@pubsub', fast ? '@fast' : '@slow'],
    keys: shardLast === undefined ? [0, 0, 0] : [1, shardLast, 1],
    keyFlags: ['not_key'],
    group: 'pubsub',
    handler: serverHandler(handler),
  }
}

const O_CHANNELS = 'O(N) where N is the number of channels'

export const pubsubCommands: readonly Command[] = [
  row(
    {
      name: 'publish',
      arity: 3,
      since: '2.0.0',
      complexity: 'O(N+M), N: clients subscribed to the channel, M: patterns subscribed to by any client',
      summary: 'Sends a message to all who listen to a channel; returns how many there are.',
      syntax: 'channel message',
      fast: true,
    },
    publishing('channel'),
  ),
  row(
    {
      name: 'spublish',
      arity: 3,
      since: '7.0.0',
      complexity: 'O(N) where N is the number of clients subscribed to the shard channel',
      summary: 'Sends a message to all who listen to a shard channel.',
      syntax: 'shardchannel message',
      shardLast: 1,
      fast: true,
    },
    publishing('shard'),
  ),
  row(
    {
      name: 'subscribe',
      arity: -2,
      since: '2.0.0',
      complexity: O_CHANNELS,
      summary: 'Listens to channels.',
      syntax: 'channel [channel ...]',
    },
    subscribing('subscribe', 'channel'),
  ),
  row(
    {
      name: 'psubscribe',
      arity: -2,
      since: '2.0.0',
      complexity: 'O(N) where N is the number of patterns',
      summary: 'Listens to channels that match patterns.',
      syntax: 'pattern [pattern ...]',
    },
    subscribing('psubscribe', 'pattern'),
  ),
  row(
    {
      name: 'ssubscribe',
      arity: -2,
      since: '7.0.0',
      complexity: O_CHANNELS,
      summary: 'Listens to shard channels.',
      syntax: 'shardchannel [shardchannel ...]',
      shardLast: -1,
    },
    subscribing('ssubscribe', 'shard'),
  ),
  row(
    {
      name: 'unsubscribe',
      arity: -1,
      since: '2.0.0',
      complexity: O_CHANNELS,
      summary: 'Stops listening to channels, or to all of them.',
      syntax: '[channel [channel ...]]',
    },
    unsubscribing('unsubscribe', 'channel'),
  ),
  row(
    {
      name: 'punsubscribe',
      arity: -1,
      since: '2.0.0',
      complexity: 'O(N) where N is the number of patterns',
      summary: 'Stops listening to patterns, or to all of them.',
      syntax: '[pattern [pattern ...]]',
    },
    unsubscribing('punsubscribe', 'pattern'),
  ),
  row(
    {
      name: 'sunsubscribe',
      arity: -1,
      since: '7.0.0',
      complexity: O_CHANNELS,
      summary: 'Stops listening to shard channels, or to all of them.',
      syntax: '[shardchannel [shardchannel ...]]',
      shardLast: -1,
    },
    unsubscribing('sunsubscribe', 'shard'),
  ),
  {
    name: 'pubsub',
    arity: -2,
    flags: [],
    categories: ['@slow'],
    keys: [0, 0, 0],
    group: 'pubsub',
    since: '2.8.0',
    complexity: 'O(N) where N is the number of channels or patterns',
    summary: 'Tells which channels and patterns are listened to, and by how many.',
    syntax: 'CHANNELS [pattern] | NUMSUB [channel ...] | NUMPAT | SHARDCHANNELS [pattern] | SHARDNUMSUB [channel ...]',
    subcommands: Object.keys(subcommands),
    handler: container('pubsub', subcommands),
  },
]
