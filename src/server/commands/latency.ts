// LATENCY: when commands of any thread took long, and how long commands take. server/slow-log.ts says what is measured as
// slow, server/metrics.ts what HISTOGRAM is made of.
import { LiveNumber } from '../live-state.ts'
import { commandSecondsBounds } from '../metrics.ts'
import type { LatencySample } from '../slow-log.ts'
import { type Command, CommandError, type Respond } from './command.ts'
import {
  type PeerAnswer,
  type PeerQuestion,
  type Server,
  type ServerCall,
  type Subcommands,
  container,
  writeHelp,
} from './server-call.ts'

const LATENCY_HELP = [
  'DOCTOR',
  '    Return a human readable latency analysis report.',
  'GRAPH <event>',
  '    Return an ASCII latency graph for the <event> class.',
  'HISTORY <event>',
  '    Return time-latency samples for the <event> class.',
  'LATEST',
  '    Return the latest latency samples for all events.',
  'RESET [<event> ...]',
  '    Reset latency data of one or more <event> classes.',
  '    (default: reset all data for all event classes)',
  'HISTOGRAM [COMMAND ...]',
  '    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.',
  '    If no commands are specified then all histograms are replied.',
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

export async function askAboutSlow(call: ServerCall, question: SlowQuestion): Promise<string[]> {
  return [...answerAboutSlow(call.server, question), ...(await call.server.askPeers(question))]
}

async function samples(call: ServerCall): Promise<LatencySample[]> {
  const all = (await askAboutSlow(call, { about: 'latency' })).map(text => JSON.parse(text) as LatencySample)
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
  return askAboutSlow(call, { about: 'latency-reset', events }).then(names => out => out.integer(new Set(names).size))
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

/** As much of an event's latest samples as a graph shows. */
const GRAPH_COLUMNS = 80
const GRAPH_ROWS = 4

function graph(call: ServerCall): Promise<Respond> {
  const event = call.text(2)
  return samples(call).then(all => {
    const its = all.filter(sample => sample.event === event)
    if (its.length === 0) throw new CommandError(`ERR No samples available for event '${event}'`)
    const nowSeconds = Math.floor(call.wallMs / 1000)
    return out => out.verbatim('txt', drawn(event, its, nowSeconds))
  })
}

/** A column for each sample, the higher the longer it took, with its age below, read downwards. */
function drawn(event: string, all: readonly LatencySample[], nowSeconds: number): string {
  const shown = all.slice(-GRAPH_COLUMNS)
  const [low, high] = [Math.min(...shown.map(({ ms }) => ms)), Math.max(...shown.map(({ ms }) => ms))]
  const highest = Math.max(...all.map(({ ms }) => ms))
  const heights = shown.map(({ ms }) =>
    high === low ? GRAPH_ROWS - 1 : Math.round(((ms - low) / (high - low)) * (GRAPH_ROWS - 1)),
  )
  const lines = [`${event} - high ${high} ms, low ${low} ms (all time high ${highest} ms)`, '-'.repeat(GRAPH_COLUMNS)]
  for (let row = GRAPH_ROWS - 1; row >= 0; row--) {
    lines.push(
      heights.map(height => (height > row ? '|' : height < row ? ' ' : row === GRAPH_ROWS - 1 ? '#' : '_')).join(''),
    )
  }
  lines.push('')
  const ages = shown.map(({ wallSeconds }) => ageText(nowSeconds - wallSeconds))
  for (let row = 0; row < Math.max(...ages.map(age => age.length)); row++) {
    lines.push(ages.map(age => age[row] ?? ' ').join(''))
  }
  return lines.join('\n') + '\n'
}

function ageText(seconds: number): string {
  if (seconds < 60) return `${Math.max(0, seconds)}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`
}

/**
 * Of each command that ran since the start or CONFIG RESETSTAT: its calls, and how many of the timed ones (one of 16) took
 * at most so many microseconds.
 */
function histogram(call: ServerCall): void {
  const { table, statistics } = call.server
  const asked: number[] = []
  if (call.argc === 2) asked.push(...table.commands.keys())
  for (let i = 2; i < call.argc; i++) {
    const index = table.find(call.buffer, call.start[i]!, call.end[i]!)
    if (index >= 0) asked.push(index)
  }
  const ran = asked.filter(index => statistics.total('tidemark_commands_total', index) > 0)
  call.out.map(ran.length)
  for (const index of ran) {
    call.out.text(table.commands[index]!.name)
    call.out.map(2)
    call.out.text('calls')
    call.out.integer(statistics.total('tidemark_commands_total', index))
    call.out.text('histogram_usec')
    const rows = cumulativeMicroseconds(statistics.commandSeconds(index))
    call.out.map(rows.length)
    for (const [microseconds, count] of rows) {
      call.out.integer(microseconds)
      call.out.integer(count)
    }
  }
}

/** The bounds that are whole microseconds, where the count grows; what took longer than the last counts there, as in Redis. */
export function cumulativeMicroseconds(buckets: readonly number[]): [microseconds: number, count: number][] {
  const rows: [number, number][] = []
  let count = 0
  let told = 0
  for (const [i, bound] of commandSecondsBounds.entries()) {
    count += buckets[i]!
    if (i === commandSecondsBounds.length - 1) count += buckets[i + 1]!
    const microseconds = bound * 1e6
    if (count === told || Math.abs(microseconds - Math.round(microseconds)) > 1e-6) continue
    rows.push([Math.round(microseconds), count])
    told = count
  }
  return rows
}

const latencySubcommands: Subcommands = {
  latest: [2, latest],
  history: [3, history],
  reset: [-2, resetLatency],
  doctor: [2, doctor],
  graph: [3, graph],
  histogram: [-2, histogram],
  help: [2, call => writeHelp(call, 'LATENCY', LATENCY_HELP)],
}

export const latencyCommand: Command = {
  name: 'latency',
  arity: -2,
  flags: [],
  categories: ['@slow'],
  keys: [0, 0, 0],
  group: 'server',
  since: '2.8.13',
  complexity: 'O(N) where N is the number of samples',
  summary: 'Tells when commands took latency-monitor-threshold or longer, and how long commands take.',
  syntax: 'LATEST | HISTORY event | GRAPH event | RESET [event ...] | HISTOGRAM [command ...] | DOCTOR',
  subcommands: Object.keys(latencySubcommands),
  handler: container('latency', latencySubcommands),
}
