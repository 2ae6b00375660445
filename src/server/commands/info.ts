// INFO: the state of the server, in Redis' sections and fields, and a section of our own. What does not exist here
// (persistence, replication) is told as Redis tells it when switched off, because tools read it.
import { arch, platform, release, totalmem } from 'node:os'
import type { MetricName } from '../metrics.ts'
import { countedErrors } from '../metrics.ts'
import type { Command } from './command.ts'
import { REDIS_VERSION } from './connection.ts'
import { type ServerCall, serverHandler } from './server-call.ts'

type Fields = readonly (readonly [name: string, value: string | number])[]

function humanBytes(bytes: number): string {
  const units = ['B', 'K', 'M', 'G', 'T']
  let unit = 0
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024
    unit++
  }
  return unit === 0 ? `${bytes}B` : `${bytes.toFixed(2)}${units[unit]}`
}

function server({ server, wallMs }: ServerCall): Fields {
  const uptimeSeconds = Math.floor((wallMs - server.startedWallMs) / 1000)
  return [
    ['redis_version', REDIS_VERSION],
    ['redis_mode', 'standalone'],
    ['os', `${platform()} ${release()} ${arch()}`],
    ['arch_bits', 64],
    ['multiplexing_api', 'libuv'],
    ['node_version', process.version],
    ['process_id', process.pid],
    ['run_id', server.runId],
    ['tcp_port', server.port],
    ['server_time_usec', Math.floor(wallMs * 1000)],
    ['uptime_in_seconds', uptimeSeconds],
    ['uptime_in_days', Math.floor(uptimeSeconds / 86_400)],
    ['hz', 10],
    ['executable', process.execPath],
    ['config_file', ''],
  ]
}

function clients({ server }: ServerCall): Fields {
  return [
    ['connected_clients', server.clientCount()],
    ['cluster_connections', 0],
    ['maxclients', server.settings.connectionsMax],
    ['blocked_clients', 0],
    ['tracking_clients', 0],
  ]
}

function memory({ store, server }: ServerCall): Fields {
  const { usedBytes, liveBytes } = store.statistics()
  const residentBytes = process.memoryUsage.rss()
  const limitBytes = server.settings.memoryBytes
  return [
    ['used_memory', usedBytes],
    ['used_memory_human', humanBytes(usedBytes)],
    ['used_memory_rss', residentBytes],
    ['used_memory_rss_human', humanBytes(residentBytes)],
    ['used_memory_dataset', liveBytes],
    ['total_system_memory', totalmem()],
    ['total_system_memory_human', humanBytes(totalmem())],
    ['maxmemory', limitBytes],
    ['maxmemory_human', humanBytes(limitBytes)],
    ['maxmemory_policy', 'allkeys-lfu'],
    ['mem_allocator', 'tidemark'],
  ]
}

function persistence({ server }: ServerCall): Fields {
  const { metrics, statistics } = server
  const savedSeconds = metrics.total('tidemark_snapshot_last_success_seconds')
  const saves = statistics.total('tidemark_snapshots_total')
  return [
    ['loading', 0],
    ['rdb_changes_since_last_save', 0],
    ['rdb_bgsave_in_progress', metrics.total('tidemark_snapshot_in_progress')],
    ['rdb_last_save_time', Math.floor(savedSeconds === 0 ? server.startedWallMs / 1000 : savedSeconds)],
    ['rdb_last_bgsave_status', metrics.total('tidemark_snapshot_last_failed') === 0 ? 'ok' : 'err'],
    ['rdb_last_bgsave_time_sec', savedSeconds === 0 ? -1 : Math.round(metrics.total('tidemark_snapshot_seconds'))],
    ['rdb_saves', saves],
    ['rdb_last_load_keys_expired', metrics.total('tidemark_snapshot_loaded_expired')],
    ['rdb_last_load_keys_loaded', metrics.total('tidemark_snapshot_loaded_records')],
    ['aof_enabled', 0],
  ]
}

function total({ server }: ServerCall, name: MetricName, values: number): number {
  let sum = 0
  for (let index = 0; index < values; index++) sum += server.statistics.total(name, index)
  return sum
}

function stats(call: ServerCall): Fields {
  const { statistics, table } = call.server
  const { evicted, expired } = call.store.statistics()
  return [
    ['total_connections_received', statistics.total('tidemark_connections_total')],
    ['total_commands_processed', total(call, 'tidemark_commands_total', table.commands.length)],
    ['total_net_input_bytes', statistics.total('tidemark_input_bytes_total')],
    ['total_net_output_bytes', statistics.total('tidemark_output_bytes_total')],
    ['rejected_connections', statistics.total('tidemark_connections_refused_total')],
    ['expired_keys', expired],
    ['evicted_keys', evicted],
    ['keyspace_hits', statistics.total('tidemark_hits_total')],
    ['keyspace_misses', statistics.total('tidemark_misses_total')],
    ['total_error_replies', total(call, 'tidemark_error_replies_total', countedErrors.length)],
  ]
}

function replication(): Fields {
  return [
    ['role', 'master'],
    ['connected_slaves', 0],
  ]
}

function cpu(): Fields {
  const { system, user } = process.cpuUsage()
  return [
    ['used_cpu_sys', (system / 1e6).toFixed(6)],
    ['used_cpu_user', (user / 1e6).toFixed(6)],
  ]
}

/** The time of all calls is reckoned from those that were timed (metrics.ts). */
function commandStatistics({ server }: ServerCall): Fields {
  const fields: [string, string][] = []
  for (const [index, { name }] of server.table.commands.entries()) {
    const calls = server.statistics.total('tidemark_commands_total', index)
    const failed = server.statistics.total('tidemark_command_errors_total', index)
    if (calls === 0 && failed === 0) continue
    const { count, sum } = server.metrics.observed('tidemark_command_seconds', index)
    const each = count === 0 ? 0 : (sum / count) * 1e6
    const times = `usec=${Math.round(each * calls)},usec_per_call=${each.toFixed(2)}`
    fields.push([`cmdstat_${name}`, `calls=${calls},${times},rejected_calls=0,failed_calls=${failed}`])
  }
  return fields
}

function errorStatistics({ server }: ServerCall): Fields {
  const fields: [string, string][] = []
  for (const [index, code] of countedErrors.entries()) {
    const count = server.statistics.total('tidemark_error_replies_total', index)
    if (count !== 0) fields.push([`errorstat_${code}`, `count=${count}`])
  }
  return fields
}

function cluster(): Fields {
  return [['cluster_enabled', 0]]
}

function keyspace({ store }: ServerCall): Fields {
  const keys = store.size()
  return keys === 0 ? [] : [['db0', `keys=${keys},expires=0,avg_ttl=0`]]
}

function tidemark({ server, store }: ServerCall): Fields {
  const { statistics, settings } = server
  return [
    ['threads', server.metrics.total('tidemark_threads')],
    ['thread_deaths', statistics.total('tidemark_thread_deaths_total')],
    ['shards_wiped', store.statistics().shardsWiped],
    ['databases', settings.databases.length],
    ['keyspaces', settings.keyspaces.map(each => each.name).join(',')],
    ['rows_loaded', statistics.total('tidemark_loads_total')],
    ['load_errors', statistics.total('tidemark_load_errors_total')],
    ['rows_written', statistics.total('tidemark_writes_total')],
    ['protocol_errors', statistics.total('tidemark_protocol_errors_total')],
  ]
}

interface Section {
  readonly title: string
  readonly fields: (call: ServerCall) => Fields
  /** Whether it is told without being asked for. */
  readonly usual: boolean
}

const sections: Record<string, Section> = {
  server: { title: 'Server', fields: server, usual: true },
  clients: { title: 'Clients', fields: clients, usual: true },
  memory: { title: 'Memory', fields: memory, usual: true },
  persistence: { title: 'Persistence', fields: persistence, usual: true },
  stats: { title: 'Stats', fields: stats, usual: true },
  replication: { title: 'Replication', fields: replication, usual: true },
  cpu: { title: 'CPU', fields: cpu, usual: true },
  modules: { title: 'Modules', fields: () => [], usual: true },
  commandstats: { title: 'Commandstats', fields: commandStatistics, usual: false },
  errorstats: { title: 'Errorstats', fields: errorStatistics, usual: true },
  cluster: { title: 'Cluster', fields: cluster, usual: true },
  keyspace: { title: 'Keyspace', fields: keyspace, usual: true },
  tidemark: { title: 'Tidemark', fields: tidemark, usual: true },
}

function info(call: ServerCall): void {
  const asked = new Set<string>()
  for (let i = 1; i < call.argc; i++) asked.add(call.text(i).toLowerCase())
  const all = asked.has('all') || asked.has('everything')
  const usual = asked.size === 0 || asked.has('default')
  const told: string[] = []
  for (const [name, section] of Object.entries(sections)) {
    if (!all && !asked.has(name) && !(usual && section.usual)) continue
    const lines = section.fields(call).map(([field, value]) => `${field}:${value}\r\n`)
    told.push(`# ${section.title}\r\n${lines.join('')}`)
  }
  call.out.verbatim('txt', told.join('\r\n'))
}

export const infoCommand: Command = {
  name: 'info',
  arity: -1,
  flags: ['loading', 'stale'],
  categories: ['@slow', '@dangerous'],
  keys: [0, 0, 0],
  group: 'server',
  since: '1.0.0',
  complexity: 'O(1)',
  summary: 'Tells the state of the server.',
  syntax: '[section [section ...]]',
  handler: serverHandler(info),
}
