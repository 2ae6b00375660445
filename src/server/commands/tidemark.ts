// Commands that Redis does not have: rows with how fresh they are, and how far each lane has come. All names begin with
// `TM.`. Not for: reading and writing rows as Redis clients do (strings.ts, hashes.ts).
import { limits } from '../../base/limits.ts'
import { TidemarkError } from '../../base/errors.ts'
import type { ReadOptions } from '../../cache/reader.ts'
import { lagOf, type LaneStatus, type SourceStatus } from '../../cache/source-status.ts'
import type { LaneState } from '../../coherence/lane.ts'
import { formatTicket, parseTicket, type SessionTicket } from '../../coherence/session.ts'
import type { ReplyWriter } from '../../wire/reply-writer.ts'
import { type Call, type Command, CommandError, type Respond } from './command.ts'
import { integerAt, isRowKey } from './lookup.ts'
import { rowKey } from './rows.ts'
import { type ServerCall, SYNTAX_ERROR, arityError, serverHandler } from './server-call.ts'

const DAY_MS = 86_400_000n
const choices = ['source', 'serve', 'fail'] as const

function requireRow(call: Call, i: number): string {
  if (isRowKey(call, i)) return rowKey(call, i)
  throw new TidemarkError(
    'ROW_KEY_INVALID',
    `'${call.text(i).slice(0, 128)}' names no keyspace: the command is for rows, whose keys begin with a keyspace and ':'`,
  )
}

function readOptions(call: Call): ReadOptions {
  let [maxStalenessMs, session, whenStale]: [number?, SessionTicket?, (typeof choices)[number]?] = []
  for (let i = 2; i < call.argc; i += 2) {
    if (i + 1 === call.argc) throw new CommandError(SYNTAX_ERROR)
    if (call.is(i, 'MAXSTALE')) {
      const ms = integerAt(call, i + 1)
      if (ms < 0n || ms > DAY_MS) throw new CommandError(`ERR MAXSTALE is 0 to ${DAY_MS} milliseconds`)
      maxStalenessMs = Number(ms)
    } else if (call.is(i, 'SESSION')) {
      session = parseTicket(call.text(i + 1))
      if (session === undefined) throw new CommandError('ERR SESSION is a ticket that TM.READ or TM.SESSION gave')
    } else if (call.is(i, 'WHENSTALE')) {
      whenStale = choices.find(choice => call.is(i + 1, choice.toUpperCase()))
      if (whenStale === undefined) throw new CommandError('ERR WHENSTALE is source, serve or fail')
    } else throw new CommandError(SYNTAX_ERROR)
  }
  return { maxStalenessMs, session, whenStale }
}

/** As a whole number that is not too small. */
function writeAge(out: ReplyWriter, ageMs: number | undefined): void {
  if (ageMs === undefined || !Number.isFinite(ageMs)) out.nil()
  else out.integer(Math.max(0, Math.ceil(ageMs)))
}

function writeText(out: ReplyWriter, text: string | undefined): void {
  if (text === undefined) out.nil()
  else out.text(text)
}

async function read(call: ServerCall): Promise<Respond> {
  const { cache } = call
  const answer = await cache.ask(requireRow(call, 1), readOptions(call))
  const ageMs = cache.age(answer.asOfMs)
  const counter = answer.tier === 'near' ? cache.hits : cache.misses
  counter[0]!++
  return out => {
    out.map(5)
    out.text('value')
    if (answer.value === null) out.nil()
    else out.bulk(answer.value)
    out.text('age')
    writeAge(out, ageMs)
    out.text('tier')
    out.text(answer.tier)
    out.text('stale')
    out.boolean(answer.stale)
    out.text('session')
    writeText(out, answer.session === undefined ? undefined : formatTicket(answer.session))
  }
}

function session(call: ServerCall): void {
  requireRow(call, 1)
  const keyspace = call.cache.keyspaceOf(call.buffer, call.start[1]!, call.end[1]!)!
  const ticket = call.cache.sessionOf(keyspace)
  writeText(call.out, ticket === undefined ? undefined : formatTicket(ticket))
}

async function invalidate(call: ServerCall): Promise<Respond> {
  const keys = Array.from({ length: call.argc - 1 }, (_, i) => requireRow(call, i + 1))
  const count = await call.cache.invalidate(keys)
  return out => out.integer(count)
}

function generationText(state: LaneState): string {
  const { epoch, nonce } = state.generation
  return `${epoch.toString(16).padStart(16, '0')}-${nonce.toString(16).padStart(8, '0')}`
}

function markText({ mark: { lsn, sub } }: LaneState): string {
  return sub === 0n ? String(lsn) : `${lsn}/${sub}`
}

function writeLag(out: ReplyWriter, lag: bigint | undefined): void {
  if (lag === undefined) out.nil()
  else out.integer(lag)
}

function writeLane(out: ReplyWriter, source: SourceStatus, { lane, state, ageMs, shard }: LaneStatus): void {
  out.map(7)
  out.text('database')
  out.text(source.name)
  out.text('lane')
  out.integer(lane)
  out.text('generation')
  writeText(out, state && generationText(state))
  out.text('mark')
  writeText(out, state && markText(state))
  out.text('age')
  writeAge(out, ageMs)
  out.text('shard')
  writeText(out, shard)
  out.text('lag')
  writeLag(out, lagOf(source.position, state))
}

async function lanes(call: ServerCall): Promise<Respond> {
  const sources = await call.server.sources()
  return out => {
    out.array(sources.reduce((sum, source) => sum + source.lanes.length, 0))
    for (const source of sources) for (const lane of source.lanes) writeLane(out, source, lane)
  }
}

/** The largest, or undefined as soon as one is not known. */
function worst<T extends number | bigint>(values: readonly (T | undefined)[]): T | undefined {
  let largest: T | undefined
  for (const value of values) {
    if (value === undefined) return undefined
    if (largest === undefined || value > largest) largest = value
  }
  return largest
}

function writeDatabase(out: ReplyWriter, source: SourceStatus): void {
  out.map(12)
  out.text('name')
  out.text(source.name)
  out.text('kind')
  out.text(source.kind)
  out.text('epoch')
  out.text(source.epoch.toString(16).padStart(16, '0'))
  out.text('position')
  writeText(out, source.position === undefined ? undefined : String(source.position))
  out.text('tide')
  out.text(source.tide)
  out.text('trouble')
  writeText(out, source.trouble)
  out.text('lanes')
  out.integer(source.lanes.length)
  out.text('age')
  writeAge(out, worst(source.lanes.map(({ ageMs }) => ageMs)))
  out.text('lag')
  writeLag(out, worst(source.lanes.map(({ state }) => lagOf(source.position, state))))
  out.text('resets')
  out.integer(source.resets)
  out.text('last-reset')
  writeText(out, source.lastReset?.reason)
  out.text('last-reset-at')
  if (source.lastReset === undefined) out.nil()
  else out.integer(Math.floor(source.lastReset.wallMs / 1000))
}

async function status(call: ServerCall): Promise<Respond> {
  const { keyspaces, tier } = call.server.settings
  const sources = await call.server.sources()
  return out => {
    out.map(3)
    out.text('tier')
    out.map(3)
    out.text('kind')
    out.text(tier?.kind ?? 'memory')
    out.text('servers')
    out.array(tier?.seeds.length ?? 0)
    for (const { host, port } of tier?.seeds ?? []) out.text(`${host.includes(':') ? `[${host}]` : host}:${port}`)
    out.text('lanes')
    out.integer(tier?.lanes ?? limits.lanesDefault)
    out.text('databases')
    out.array(sources.length)
    for (const source of sources) writeDatabase(out, source)
    out.text('keyspaces')
    out.array(keyspaces.length)
    for (const { name, database, table, maxStalenessMs, whenStale, session } of keyspaces) {
      out.map(6)
      for (const [field, value] of Object.entries({ name, database, table })) {
        out.text(field)
        out.text(value)
      }
      out.text('maxstale')
      out.integer(maxStalenessMs)
      out.text('whenstale')
      out.text(whenStale)
      out.text('session')
      out.text(session === true ? 'connection' : 'none')
    }
  }
}

const common = { group: 'tidemark', since: '0.1.0' } as const
const about = { ...common, arity: 1, flags: ['no_multi'], categories: ['@slow'], keys: [0, 0, 0], syntax: '' } as const

/** Also what runs for commands that only the servers of a tier know: then the name is the command's own. */
function pass(call: ServerCall): Promise<Respond> {
  const { passThrough } = call.server
  const from = call.is(0, 'TM.PASS') ? 1 : 0
  if (call.argc === from) throw new CommandError(arityError('tm.pass'))
  if (passThrough === undefined) {
    throw new TidemarkError('TIER_UNAVAILABLE', 'this server has no tier to send commands on to: --tier names one')
  }
  return passThrough.sendForeign(call, from)
}

export const tidemarkCommands: readonly Command[] = [
  {
    ...common,
    name: 'tm.read',
    arity: -2,
    flags: ['readonly', 'no_multi'],
    categories: ['@read', '@slow'],
    keys: [1, 1, 1],
    complexity: 'O(1), or one query to the database',
    summary:
      'Answers a row as JSON with its age (at most so many milliseconds; nil: not proved), where it came from (near, tier or ' +
      'source), whether it is older than was asked for, and the ticket of the session that has seen it.',
    syntax: 'key [MAXSTALE milliseconds] [SESSION ticket] [WHENSTALE source | serve | fail]',
    handler: serverHandler(read),
  },
  {
    ...common,
    name: 'tm.session',
    arity: 2,
    flags: ['readonly', 'fast', 'no_multi'],
    categories: ['@read', '@fast'],
    keys: [1, 1, 1],
    complexity: 'O(1)',
    summary:
      'Answers a ticket for all that this connection has written to the database behind a row key, for TM.READ on any server; ' +
      'nil: nothing was written.',
    syntax: 'key',
    handler: serverHandler(session),
  },
  {
    ...common,
    name: 'tm.invalidate',
    arity: -2,
    flags: ['write', 'no_multi'],
    categories: ['@write', '@slow'],
    keys: [1, -1, 1],
    complexity: 'O(N) where N is the number of keys',
    summary:
      'Removes rows from memory, here and in the tier, so that they are loaded anew. Answers the number of keys.',
    syntax: 'key [key ...]',
    handler: serverHandler(invalidate),
  },
  {
    ...common,
    name: 'tm.pass',
    arity: -1,
    flags: ['write', 'no_multi'],
    categories: ['@write', '@slow'],
    keys: [0, 0, 0],
    complexity: "The command's own",
    summary: 'Sends a command on keys that are no rows to the servers of the tier that has them, as it is.',
    syntax: 'command [argument ...]',
    handler: serverHandler(pass),
  },
  {
    ...about,
    name: 'tm.lanes',
    complexity: 'O(N) where N is the number of lanes',
    summary:
      'Answers each lane: its generation, its mark, how long ago it is proved to be true as of, where it is, and how far its ' +
      "mark is behind the database's log.",
    handler: serverHandler(lanes),
  },
  {
    ...about,
    name: 'tm.status',
    complexity: 'O(N) where N is the number of lanes',
    summary: 'Answers the tier, the databases with the state of their tide, and the keyspaces.',
    handler: serverHandler(status),
  },
]
