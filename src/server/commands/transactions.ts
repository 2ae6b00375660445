// MULTI, EXEC, DISCARD, WATCH, UNWATCH. EXEC holds the shards of all keys of its commands while they run, and other
// threads see all of their changes at once (store/store-transactions.ts). Which row keys may be queued, and what that means,
// is in server/queueing.ts.
// WATCH goes by the version of the key's record: a write, a deletion, an expiry or an eviction changes it. One difference
// from Redis: a watched key that was absent, was created and is absent again counts as unchanged.
import { TidemarkError } from '../../base/errors.ts'
import type { ReplyWriter } from '../../wire/reply-writer.ts'
import { errorTextOf } from '../error-text.ts'
import { specialOf } from '../client.ts'
import { ClientMode, type QueuedRequest, type SpecialState } from '../special-state.ts'
import { RecordType } from '../../store/layout.ts'
import type { Store } from '../../store/store.ts'
import type { Command, CommandFlag, Respond } from './command.ts'
import { keyPositions } from './command-table.ts'
import { hashOf } from './lookup.ts'
import { refuseWatchedRow } from './rows.ts'
import { type Replayed, type ServerCall, serverHandler } from './server-call.ts'

/** A number's digits and some more: what INCRBYFLOAT and the like may add to a value. */
const GROWTH_BYTES = 64

function multi(call: ServerCall): void {
  const { client, out } = call
  if ((client.modes & ClientMode.multi) !== 0) return out.error('ERR MULTI calls can not be nested')
  specialOf(client).discard()
  client.modes |= ClientMode.multi
  out.simple('OK')
}

/** Ends MULTI and WATCH, whatever is open of them. */
export function leaveTransaction(client: ServerCall['client']): void {
  client.modes &= ~ClientMode.multi
  if (client.special === undefined) return
  client.special.discard()
  client.special.watched.length = 0
}

function discard(call: ServerCall): void {
  if ((call.client.modes & ClientMode.multi) === 0) return call.out.error('ERR DISCARD without MULTI')
  leaveTransaction(call.client)
  call.out.simple('OK')
}

function watch(call: ServerCall): void {
  const { client, store, out } = call
  if ((client.modes & ClientMode.multi) !== 0) return out.error('ERR WATCH inside MULTI is not allowed')
  for (let i = 1; i < call.argc; i++) refuseWatchedRow(call, i)
  const { watched } = specialOf(client)
  for (let i = 1; i < call.argc; i++) {
    const key = call.bytes(i)
    if (watched.some(other => other.key.equals(key))) continue
    const hash = hashOf(call, i)
    watched.push({ key, hash, version: versionOf(store, key, hash, call.wallMs) })
  }
  out.simple('OK')
}

function unwatch(call: ServerCall): void {
  if (call.client.special !== undefined) call.client.special.watched.length = 0
  call.out.simple('OK')
}

function versionOf(store: Store, key: Buffer, hash: number, wallMs: number): number {
  for (;;) {
    const version = store.find(key, 0, key.length, hash, wallMs) === RecordType.none ? 0 : store.foundVersion
    if (store.confirm()) return version
  }
}

function exec(call: ServerCall): void | Promise<Respond> {
  const { client, out } = call
  const state = client.special
  if ((client.modes & ClientMode.multi) === 0 || state === undefined) return out.error('ERR EXEC without MULTI')
  const { refused } = state
  const queue = state.queue.slice()
  const watched = state.watched.slice()
  leaveTransaction(client)
  if (refused) return out.error('EXECABORT Transaction discarded because of previous errors.')
  if (queue.some(({ rows }) => rows !== 'none')) return execWithRows(call, queue, watched)
  const replies = runPlain(call, client, queue, watched)
  if (replies === undefined) return out.nilArray()
  if (replies.some(reply => !Buffer.isBuffer(reply))) return whenAll(replies)
  writeReplies(out, replies as readonly Buffer[])
}

/** Runs the commands without rows, alone; undefined when a watched key has changed. */
function runPlain(
  call: ServerCall,
  client: ServerCall['client'],
  queue: readonly QueuedRequest[],
  watched: SpecialState['watched'],
): readonly Replayed[] | undefined {
  const { store } = call
  const { commands } = call.server.table
  const hashes = watched.map(({ hash }) => hash)
  let all = false
  for (const { rows, command, argc, buffer, start, end } of queue) {
    const row = commands[command]!
    if (rows !== 'none') continue
    const positions = keyPositions(row, argc)
    // Commands about all of memory, and those that may make a short value long.
    if (positions.length === 0 ? touchesAll.has(row.name) : lengthens.has(row.name)) all = true
    for (const i of positions) hashes.push(store.hash(buffer, start[i]!, end[i]!))
  }
  const run = (): readonly Replayed[] | undefined | 'larger' => {
    if (!all && bytesAtMost(call, queue) > store.inShardBytesMax) return 'larger'
    for (const { key, hash, version } of watched) {
      if (versionOf(store, key, hash, call.wallMs) !== version) return undefined
    }
    return call.replay(client, queue, index => queue[index]!.rows === 'none')
  }
  const replies = store.transaction(all ? 'all' : hashes, run)
  if (replies !== 'larger') return replies
  all = true
  return store.transaction('all', run) as readonly Replayed[] | undefined
}

const touchesAll: ReadonlySet<string> = new Set([
  'flushall',
  'flushdb',
  'keys',
  'scan',
  'randomkey',
  'dbsize',
  'info',
  'object',
  'memory',
])
const lengthens: ReadonlySet<string> = new Set([
  'setrange',
  'setbit',
  'bitfield',
  'restore',
  'incrbyfloat',
  'hincrbyfloat',
])

/** No value that the commands leave behind is longer than this: all of what there is and all that they bring. */
function bytesAtMost({ store, server, wallMs }: ServerCall, queue: readonly QueuedRequest[]): number {
  let bytes = 0
  for (const { command, argc, buffer, start, end, rows } of queue) {
    if (rows !== 'none') continue
    bytes += buffer.length + GROWTH_BYTES
    for (const i of keyPositions(server.table.commands[command]!, argc)) {
      const hash = store.hash(buffer, start[i]!, end[i]!)
      if (store.find(buffer, start[i]!, end[i]!, hash, wallMs) !== RecordType.none) bytes += store.foundValueBytes
    }
  }
  return bytes
}

/** Rows first: the database may refuse, and nothing has happened then. */
async function execWithRows(
  call: ServerCall,
  queue: readonly QueuedRequest[],
  watched: SpecialState['watched'],
): Promise<Respond> {
  const { cache, client, server } = call
  let rows: readonly Replayed[] = []
  const run = (): void => {
    rows = call.replay(client, queue, index => queue[index]!.rows !== 'none')
  }
  if (queue.some(queued => queued.rows === 'write')) {
    try {
      await cache.together(run)
    } catch (thrown) {
      const text = errorTextOf(thrown, 'exec', server.log)
      return out => out.error(`EXECABORT Transaction discarded because of: ${text}`)
    }
  } else run()
  const responds = await Promise.all(rows.map(reply => Promise.resolve(reply)))
  return out => {
    // As of now, at once: the session has waited until here.
    const from = out.length
    const plain = runPlain(call, client, queue, watched)
    out.truncate(from)
    if (plain === undefined) return out.nilArray()
    let row = 0
    let next = 0
    out.array(queue.length)
    for (const queued of queue) {
      const reply = queued.rows === 'none' ? plain[next++]! : responds[row++]!
      if (Buffer.isBuffer(reply)) append(out, reply)
      else if (typeof reply === 'function') reply(out)
      else throw new TidemarkError('TRANSACTION_ROWS', 'a command that waits cannot be in one MULTI with rows')
    }
  }
}

async function whenAll(replies: readonly Replayed[]): Promise<Respond> {
  const all = await Promise.all(replies.map(reply => Promise.resolve(reply)))
  return out => {
    out.array(all.length)
    for (const reply of all) {
      if (Buffer.isBuffer(reply)) append(out, reply)
      else reply(out)
    }
  }
}

function writeReplies(out: ReplyWriter, replies: readonly Buffer[]): void {
  out.array(replies.length)
  for (const reply of replies) append(out, reply)
}

function append(out: ReplyWriter, reply: Buffer): void {
  out.reserve(reply.length)
  reply.copy(out.buffer, out.length)
  out.length += reply.length
}

type Row = Pick<Command, 'name' | 'since' | 'summary' | 'syntax' | 'arity' | 'complexity'> &
  Partial<Pick<Command, 'keys' | 'keyFlags'>> & { readonly fast?: boolean }

function row(data: Row, handler: (call: ServerCall) => void | Promise<Respond>): Command {
  const { fast = true, keys = [0, 0, 0], ...rest } = data
  const flags: CommandFlag[] = ['noscript', 'loading', 'stale']
  if (fast) flags.push('fast', 'allow_busy')
  else flags.push('skip_slowlog')
  return {
    ...rest,
    keys,
    flags,
    categories: [fast ? '@fast' : '@slow', '@transaction'],
    group: 'transactions',
    handler: serverHandler(handler),
  }
}

export const transactionCommands: readonly Command[] = [
  row(
    {
      name: 'multi',
      arity: 1,
      since: '1.2.0',
      complexity: 'O(1)',
      summary: 'Begins a transaction: what follows is queued until EXEC.',
      syntax: '',
    },
    multi,
  ),
  row(
    {
      name: 'exec',
      arity: 1,
      since: '1.2.0',
      complexity: 'Depends on the commands in the transaction',
      summary: 'Runs what MULTI has queued, alone; nil when a watched key has changed.',
      syntax: '',
      fast: false,
    },
    exec,
  ),
  row(
    {
      name: 'discard',
      arity: 1,
      since: '2.0.0',
      complexity: 'O(N), when N is the number of queued commands',
      summary: 'Forgets what MULTI has queued, and watched keys.',
      syntax: '',
    },
    discard,
  ),
  row(
    {
      name: 'watch',
      arity: -2,
      since: '2.2.0',
      complexity: 'O(1) for every key.',
      summary: 'EXEC does nothing if one of the keys has changed by then. Not for row keys.',
      syntax: 'key [key ...]',
      keys: [1, -1, 1],
      keyFlags: ['RO'],
    },
    watch,
  ),
  row(
    { name: 'unwatch', arity: 1, since: '2.2.0', complexity: 'O(1)', summary: 'Forgets watched keys.', syntax: '' },
    unwatch,
  ),
]
