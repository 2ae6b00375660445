// SAVE, BGSAVE and LASTSAVE, with Redis' replies: a snapshot of the plain keys (snapshots.ts). They need `--snapshot`.
import type { Command, Respond } from './command.ts'
import { CommandError } from './command.ts'
import { type ServerCall, SYNTAX_ERROR, serverHandler } from './server-call.ts'

const BUSY = 'ERR Background save already in progress'

async function save({ server }: ServerCall): Promise<Respond> {
  const answer = await server.requestSnapshot('save')
  if (answer === 'busy') throw new CommandError(BUSY)
  return out => out.simple('OK')
}

/** SCHEDULE is for Redis' other background work, of which there is none here. */
async function backgroundSave(call: ServerCall): Promise<Respond> {
  if (call.argc > 2 || (call.argc === 2 && !call.is(1, 'SCHEDULE'))) throw new CommandError(SYNTAX_ERROR)
  const answer = await call.server.requestSnapshot('background')
  if (answer === 'busy') throw new CommandError(BUSY)
  return out => out.simple('Background saving started')
}

function lastSave({ server, out }: ServerCall): void {
  const seconds = server.metrics.total('tidemark_snapshot_last_success_seconds')
  out.integer(Math.floor(seconds === 0 ? server.startedWallMs / 1000 : seconds))
}

const common = { keys: [0, 0, 0], group: 'server', since: '1.0.0' } as const

export const snapshotCommands: readonly Command[] = [
  {
    ...common,
    name: 'save',
    arity: 1,
    flags: ['admin', 'noscript', 'no_async_loading', 'no_multi'],
    categories: ['@admin', '@slow', '@dangerous'],
    complexity: 'O(N) where N is the number of keys, in a thread of its own',
    summary: 'Writes a snapshot and answers when it is on the disk. Other clients are served meanwhile.',
    syntax: '',
    handler: serverHandler(save),
  },
  {
    ...common,
    name: 'bgsave',
    arity: -1,
    flags: ['admin', 'noscript', 'no_async_loading'],
    categories: ['@admin', '@slow', '@dangerous'],
    complexity: 'O(1), and a snapshot in a thread of its own',
    summary: 'Begins to write a snapshot.',
    syntax: '[SCHEDULE]',
    handler: serverHandler(backgroundSave),
  },
  {
    ...common,
    name: 'lastsave',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    categories: ['@admin', '@fast', '@dangerous'],
    complexity: 'O(1)',
    summary: "Answers when the latest snapshot was begun, or the server's start before the first: seconds since 1970.",
    syntax: '',
    handler: serverHandler(lastSave),
  },
]
