// Commands about the server as a whole. FLUSHALL and FLUSHDB empty memory and never touch a database. INFO, CONFIG and
// COMMAND have files of their own.
import type { Command } from './command.ts'
import { commandCommand } from './command-docs.ts'
import { configCommand } from './config-command.ts'
import { debugCommand } from './debug.ts'
import { infoCommand } from './info.ts'
import { memoryCommand } from './inspection.ts'
import { snapshotCommands } from './snapshot.ts'
import { type ServerCall, SYNTAX_ERROR, serverHandler } from './server-call.ts'

function databaseSize(call: ServerCall): void {
  call.out.integer(call.store.size())
}

/** ASYNC and SYNC are the same: emptying memory takes the same short time however full it is. */
function flush(call: ServerCall): void {
  if (call.argc > 2 || (call.argc === 2 && !call.is(1, 'ASYNC') && !call.is(1, 'SYNC'))) {
    return call.out.error(SYNTAX_ERROR)
  }
  call.store.clear()
  call.out.simple('OK')
}

function time(call: ServerCall): void {
  const microseconds = Math.floor((call.wallMs % 1000) * 1000)
  call.out.array(2)
  call.out.text(String(Math.floor(call.wallMs / 1000)))
  call.out.text(String(microseconds))
}

const flushing = {
  arity: -1,
  flags: ['write'],
  categories: ['@keyspace', '@write', '@slow', '@dangerous'],
  keys: [0, 0, 0],
  group: 'server',
  since: '1.0.0',
  complexity: 'O(N) where N is the memory, not the keys in it',
  syntax: '[ASYNC | SYNC]',
  handler: serverHandler(flush),
} as const

export const serverCommands: readonly Command[] = [
  commandCommand,
  configCommand,
  debugCommand,
  infoCommand,
  memoryCommand,
  ...snapshotCommands,
  {
    name: 'dbsize',
    arity: 1,
    flags: ['readonly', 'fast'],
    categories: ['@keyspace', '@read', '@fast'],
    keys: [0, 0, 0],
    group: 'server',
    since: '1.0.0',
    complexity: 'O(1)',
    summary: 'Answers the number of keys in memory.',
    syntax: '',
    handler: serverHandler(databaseSize),
  },
  { ...flushing, name: 'flushall', summary: 'Empties memory; rows stay in their databases.' },
  { ...flushing, name: 'flushdb', summary: 'Empties memory; rows stay in their databases.' },
  {
    name: 'time',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    categories: ['@fast'],
    keys: [0, 0, 0],
    group: 'server',
    since: '2.6.0',
    complexity: 'O(1)',
    summary: "Answers the server's time: seconds and microseconds.",
    syntax: '',
    handler: serverHandler(time),
  },
]
