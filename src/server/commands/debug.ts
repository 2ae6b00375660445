// DEBUG: only where the setting `enableDebugCommand` allows it, and only what tests of clients need: SLEEP, which holds up one
// server thread, with all of its connections. Not for: looking into the store (MEMORY, OBJECT, /metrics).
import { blockThread } from '../../base/clock.ts'
import { type Command, CommandError } from './command.ts'
import { type ServerCall, serverHandler, writeHelp } from './server-call.ts'

const NOT_ALLOWED =
  'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local ' +
  'connection, otherwise you need to set this option in the configuration file, and then restart the server.'

const HELP = ['SLEEP <seconds>', '    Stop the server for <seconds>. Decimals allowed.']

function allowed({ server, client }: ServerCall): boolean {
  const { debugCommand } = server.settings
  return (
    debugCommand === 'yes' ||
    (debugCommand === 'local' && /^(127\.|\[?::1\]?:|::ffff:127\.)/.test(client.remoteAddress))
  )
}

function debug(call: ServerCall): void {
  if (!allowed(call)) throw new CommandError(NOT_ALLOWED)
  if (call.argc === 2 && call.is(1, 'HELP')) return writeHelp(call, 'DEBUG', HELP)
  if (call.argc !== 3 || !call.is(1, 'SLEEP')) {
    const asked = call.text(1).slice(0, 128)
    throw new CommandError(`ERR unknown subcommand or wrong number of arguments for '${asked}'. Try DEBUG HELP.`)
  }
  // As in Redis, what is no number is 0.
  const seconds = Number.parseFloat(call.text(2))
  if (seconds > 0) blockThread(seconds * 1000)
  call.out.simple('OK')
}

export const debugCommand: Command = {
  name: 'debug',
  arity: -2,
  flags: ['admin', 'noscript', 'loading', 'stale'],
  categories: ['@admin', '@slow', '@dangerous'],
  keys: [0, 0, 0],
  group: 'server',
  since: '1.0.0',
  complexity: 'O(N) where N is the time asked for',
  summary: 'Holds up a server thread, for tests of clients; only where enableDebugCommand allows it.',
  syntax: 'SLEEP seconds',
  subcommands: ['sleep', 'help'],
  handler: serverHandler(debug),
}
