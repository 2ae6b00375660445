// From what the user wrote (file, environment, flags) to what the server is started with. Reports every mistake at once, as one
// CONFIG_INVALID. Not for: reading the file (load.ts), looking at the machine; all that matters comes in as arguments.
import { dirname, isAbsolute, relative, resolve as resolvePath } from 'node:path'
import { limits } from '../base/limits.ts'
import type { DebugCommand, KeyspaceSettings, ServerSettings, SnapshotSettings, WhenStale } from '../server/settings.ts'
import type { PostgresView } from '../source/postgres-options.ts'
import { parseTable } from './addresses.ts'
import { databasesOf, MAIN, type DatabaseSetup } from './resolve-databases.ts'
import { checkTier, tierOf } from './resolve-tier.ts'
import { Layers } from './layers.ts'
import type { PlainObject } from './layers.ts'
import { gotText } from './mistakes.ts'
import { suggestion } from './nearest.ts'
import { ownThreads } from './schema.ts'

export interface ResolveInputs {
  /** The configuration file, absolute, and what it exports. */
  readonly file?: { readonly file: string; readonly value: unknown } | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  /** By name, without the dashes. */
  readonly flags: ReadonlyMap<string, string>
  /** The current folder, absolute. */
  readonly folder: string
  /** The threads by default. */
  readonly cores: number
}

export interface Resolved {
  readonly settings: ServerSettings
  /** One for each SQLite database, in the same order. */
  readonly setups: readonly DatabaseSetup[]
}

export function resolveSettings(inputs: ResolveInputs): Resolved {
  const layers = new Layers({ ...inputs, file: inputs.file && shown(inputs.file, inputs.folder) })
  const dataFolder = dataFolderOf(layers, inputs)
  const base = dataFolder ?? (inputs.file === undefined ? inputs.folder : dirname(inputs.file.file))
  const databases = databasesOf(layers, { base, folder: inputs.folder })
  const known = [...layers.names('databases'), ...(layers.top('source') === undefined ? [] : [MAIN])]
  const snapshot = snapshotOf(layers, inputs)
  const keyspaces = layers.entries('keyspaces').map(([name, entry]) => keyspace(layers, name, entry, known))
  keyspaces.push(...namedKeyspaces(layers, known))
  const settings: ServerSettings = {
    host: layers.top('host') as string,
    port: layers.top('port') as number,
    adminHost: layers.top('adminHost') as string,
    adminPort: layers.top('adminPort') as number,
    threads:
      (layers.top('threads') as number | undefined) ?? Math.min(inputs.cores, threadsMax(databases.length, snapshot)),
    memoryBytes: layers.top('memory') as number,
    requirepass: layers.top('requirepass') as string | undefined,
    dataFolder,
    snapshot,
    connectionsMax: layers.top('maxConnections') as number,
    debugCommand: layers.top('enableDebugCommand') as DebugCommand,
    drainMs: layers.top('drain') as number,
    databases: databases.map(each => each.settings),
    tier: tierOf(layers, path => absolute(layers, inputs, path)),
    tierMemoryBytes: (layers.top('tierMemory') as number | undefined) ?? 0,
    keyspaces,
  }
  checkTogether(layers, settings)
  layers.mistakes.throwIfAny()
  return { settings, setups: databases.flatMap(each => each.setup ?? []) }
}

function threadsMax(databases: number, snapshot: SnapshotSettings | undefined): number {
  return limits.threadsMax - ownThreads - databases - (snapshot === undefined ? 0 : 1)
}

function shown(
  file: { readonly file: string; readonly value: unknown },
  folder: string,
): { name: string; value: unknown } {
  const short = relative(folder, file.file)
  return { name: short.startsWith('..') || isAbsolute(short) ? file.file : short, value: file.value }
}

function dataFolderOf(layers: Layers, inputs: ResolveInputs): string | undefined {
  return absolute(layers, inputs, 'data')
}

/** What stands in the configuration file is relative to it, anything else to the current folder. */
function absolute(layers: Layers, inputs: ResolveInputs, path: string): string | undefined {
  const value = layers.top(path) as string | undefined
  if (value === undefined) return undefined
  const from = layers.isFromFile(path) && inputs.file !== undefined ? dirname(inputs.file.file) : inputs.folder
  return resolvePath(from, value)
}

function snapshotOf(layers: Layers, inputs: ResolveInputs): SnapshotSettings | undefined {
  const file = absolute(layers, inputs, 'snapshot.path')
  const everyMs = layers.top('snapshot.every') as number
  if (file !== undefined) return { file, everyMs }
  if (everyMs > 0)
    layers.mistakes.add('snapshot.every', 'there is no file to write: set snapshot.path (--snapshot) too')
  return undefined
}

function keyspace(layers: Layers, name: string, entry: PlainObject, databases: readonly string[]): KeyspaceSettings {
  const read = (key: string): unknown => layers.inEntry('keyspaces', name, entry, key)
  const database = (read('database') as string | undefined) ?? ''
  if (database !== '' && !databases.includes(database)) {
    const known = databases.length === 0 ? 'and there are no databases' : `there is ${databases.join(', ')}`
    const what = `got ${gotText(database)}, ${known}${suggestion(database, databases)}`
    layers.fileMistake(`keyspaces.${name}.database`, what)
  }
  return {
    name,
    database,
    table: (read('table') as string | undefined) ?? name,
    columns: read('columns') as readonly string[] | undefined,
    ...viewOf(layers, name, entry, read('view') as PostgresView | undefined),
    maxStalenessMs: read('maxStaleness') as number,
    whenStale: read('whenStale') as WhenStale,
    ...(read('session') === 'connection' ? { session: true } : {}),
  }
}

function viewOf(
  layers: Layers,
  name: string,
  entry: PlainObject,
  view: PostgresView | undefined,
): { view?: PostgresView } {
  if (view === undefined) return {}
  for (const key of ['table', 'columns']) {
    if (entry[key] !== undefined)
      layers.fileMistake(`keyspaces.${name}.${key}`, 'is there besides `view`, which says it all')
  }
  return { view }
}

/** Those that a flag or a variable names, of the database `main`. */
function namedKeyspaces(layers: Layers, databases: readonly string[]): KeyspaceSettings[] {
  const texts = (layers.top('--keyspace') as readonly string[] | undefined) ?? []
  if (texts.length > 0 && !databases.includes(MAIN)) {
    const what = `got ${texts.join(', ')}, of the database \`${MAIN}\`, and there is none: --source names it`
    layers.mistakes.add('--keyspace', what)
  }
  const others = new Set(layers.names('keyspaces'))
  return texts.map(text => {
    const { name, table } = parseTable(text)!
    if (others.has(name)) layers.mistakes.add('--keyspace', `${name} is there already`)
    others.add(name)
    const maxStalenessMs = layers.top('maxStaleness') as number
    const whenStale = layers.top('whenStale') as WhenStale
    return { name, database: MAIN, table, columns: undefined, maxStalenessMs, whenStale }
  })
}

function checkTogether(layers: Layers, settings: ServerSettings): void {
  checkTier(layers, settings)
  const { host, port, adminHost, adminPort, databases, threads, snapshot } = settings
  if (port !== 0 && port === adminPort && host === adminHost) {
    layers.mistakes.add(
      'adminPort',
      `got ${adminPort}, which is the port of the Redis protocol; allowed is another one`,
    )
  }
  const most = threadsMax(databases.length, snapshot)
  if (threads > most) {
    const others = `${databases.length} databases${snapshot === undefined ? '' : ' and a snapshot'}`
    const allowed = `at most ${most} with ${others}, which have threads of their own`
    layers.mistakes.add('threads', `got ${threads}, allowed is ${allowed}`)
  }
  for (const { name, view, database } of settings.keyspaces) {
    if (view !== undefined && databases.find(each => each.name === database)?.kind === 'sqlite') {
      layers.fileMistake(`keyspaces.${name}.view`, 'is for databases of Postgres')
    }
  }
  const names = new Map<string, string>()
  for (const database of databases) {
    if (database.kind !== 'sqlite') continue
    const { name, file } = database
    const other = names.get(file)
    // Two writers of one file would take each other for strangers, and reset everything at every write.
    if (other !== undefined) layers.fileMistake(`databases.${name}.file`, `is the file of databases.${other} already`)
    names.set(file, name)
  }
  const database = names.get(snapshot?.file ?? '')
  if (database !== undefined) layers.mistakes.add('snapshot.path', `is the file of databases.${database} already`)
}
