// CONFIG: GET tells, under Redis' names, what clients and tools look for; SET changes what may change while the server runs
// (config-set.ts); RESETSTAT. Other settings are changed in the configuration and by flags (src/config), which is never
// written: REWRITE is refused.
import { globMatches } from '../../base/glob.ts'
import { limits } from '../../base/limits.ts'
import type { Command } from './command.ts'
import { liveParameters, setConfig } from './config-set.ts'
import { type Server, type ServerCall, type Subcommands, container, writeHelp } from './server-call.ts'

const HELP = [
  'GET <pattern>',
  '    Return parameters matching the glob-like <pattern> and their values.',
  'SET <directive> <value>',
  '    Set the configuration <directive> to <value>.',
  'RESETSTAT',
  '    Reset statistics reported by the INFO command.',
  'REWRITE',
  '    Rewrite the configuration file.',
]

/** Redis' parameters that have a meaning here, with their values in Redis' spelling. */
function parameters({ settings, port, live }: Server): Record<string, string> {
  return {
    appendonly: 'no',
    bind: settings.host,
    databases: '1',
    dir: settings.dataFolder ?? '',
    'enable-debug-command': settings.debugCommand,
    'io-threads': String(settings.threads),
    maxmemory: String(settings.memoryBytes),
    'maxmemory-policy': 'allkeys-lfu',
    port: String(port),
    'proto-max-bulk-len': String(limits.argumentBytesMax),
    'notify-keyspace-events': '',
    save: '',
    'tcp-keepalive': '300',
    ...liveParameters({ live }),
  }
}

function get(call: ServerCall): void {
  const all = parameters(call.server)
  // As in Redis, a name that is no pattern is told as it was asked for.
  const told = new Map<string, string>()
  for (let i = 2; i < call.argc; i++) {
    const asked = call.text(i)
    const pattern = Buffer.from(asked.toLowerCase())
    const literal = !/[*?[]/.test(asked)
    for (const [name, value] of Object.entries(all)) {
      if (globMatches(pattern, Buffer.from(name))) told.set(literal ? asked : name, value)
    }
  }
  call.out.map(told.size)
  for (const [name, value] of told) {
    call.out.text(name)
    call.out.text(value)
  }
}

function resetStatistics(call: ServerCall): void {
  call.server.statistics.reset()
  call.out.simple('OK')
}

function set(call: ServerCall): void {
  setConfig(call, parameters(call.server))
}

function rewrite(call: ServerCall): void {
  call.out.error('ERR The server is running without a config file')
}

const subcommands: Subcommands = {
  get: [-3, get],
  resetstat: [2, resetStatistics],
  set: [-4, set],
  rewrite: [2, rewrite],
  help: [2, call => writeHelp(call, 'CONFIG', HELP)],
}

export const configCommand: Command = {
  name: 'config',
  arity: -2,
  flags: ['admin', 'noscript', 'loading', 'stale'],
  categories: ['@admin', '@slow', '@dangerous'],
  keys: [0, 0, 0],
  group: 'server',
  since: '2.0.0',
  complexity: 'O(N) where N is the number of parameters',
  summary: 'Tells settings under the names that Redis has for them.',
  syntax: 'GET parameter [parameter ...] | SET parameter value [parameter value ...] | RESETSTAT',
  subcommands: Object.keys(subcommands),
  handler: container('config', subcommands),
}
