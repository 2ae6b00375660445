// The databases of a configuration: those of the file, and the one that `source` names. Not for: opening them.
import { resolve as resolvePath } from 'node:path'
import type { DatabaseSettings } from '../server/settings.ts'
import type { PostgresLog } from '../source/postgres-options.ts'
import { parseSource, type SourceAddress } from './addresses.ts'
import type { CreateContext } from './config.ts'
import type { Layers, PlainObject } from './layers.ts'
import { gotText } from './mistakes.ts'

/** The database that `source` names. */
export const MAIN = 'main'

/** How to make a database that is not there. */
export interface DatabaseSetup {
  readonly name: string
  /** Absolute. */
  readonly file: string
  readonly create: ((context: CreateContext) => unknown) | undefined
}

export interface ResolvedDatabase {
  readonly settings: DatabaseSettings
  /** Only files can be made. */
  readonly setup?: DatabaseSetup
}

export interface Folders {
  /** What stands in the file is relative to this. */
  readonly base: string
  /** The current one. */
  readonly folder: string
}

export function databasesOf(layers: Layers, folders: Folders): readonly ResolvedDatabase[] {
  const named = layers.top('source') as string | undefined
  const source = named === undefined ? undefined : parseSource(named)
  const found = layers.entries('databases').map(([name, entry]) => {
    const replaced = name === MAIN && source !== undefined ? replaceUrl(layers, entry, source) : entry
    return database(layers, name, replaced, folders.base)
  })
  if (source === undefined || found.some(({ settings }) => settings.name === MAIN)) return found
  if (source.kind === 'postgres') return [...found, postgres(layers, MAIN, { url: source.url }, folders.base)]
  const file = resolvePath(layers.isFromFile('source') ? folders.base : folders.folder, source.file)
  return [...found, sqlite(layers, MAIN, {}, file)]
}

/** What a flag or a variable says goes before what the file says of the same database. */
function replaceUrl(layers: Layers, entry: PlainObject, source: SourceAddress): PlainObject {
  if (layers.isFromFile('source'))
    layers.fileMistake('source', `names the database \`${MAIN}\`, which databases.${MAIN} does too`)
  else if (source.kind !== kindOf(entry)) {
    layers.fileMistake(
      `databases.${MAIN}`,
      `is of another kind than the database that --source or TIDEMARK_SOURCE names`,
    )
  } else if (source.kind === 'sqlite') return { ...entry, file: source.file }
  else {
    const { host: _host, port: _port, user: _user, password: _password, database: _database, ...rest } = entry
    return { ...rest, kind: 'postgres', url: source.url }
  }
  return entry
}

function kindOf(entry: PlainObject): unknown {
  const { kind } = entry
  return kind === undefined && (entry['url'] !== undefined || entry['host'] !== undefined) ? 'postgres' : kind
}

function database(layers: Layers, name: string, entry: PlainObject, base: string): ResolvedDatabase {
  const kind = kindOf(entry)
  if (kind === 'postgres') return postgres(layers, name, entry, base)
  if (kind !== 'sqlite') {
    const got = kind === undefined ? 'a plain object' : `kind ${gotText(kind)}`
    const allowed = `sqlite({ ... }) of 'tidemark/sqlite' or postgres({ ... }) of 'tidemark/postgres'`
    layers.fileMistake(`databases.${name}`, `got ${got}, allowed is ${allowed}`)
  }
  const file = layers.inEntry('databases', name, entry, 'file') as string | undefined
  return sqlite(layers, name, entry, resolvePath(base, file ?? `${name}.db`))
}

function sqlite(layers: Layers, name: string, entry: PlainObject, file: string): ResolvedDatabase {
  const read = (key: string): unknown => layers.inEntry('databases', name, entry, key)
  layers.checkKind(name, entry, 'sqlite')
  const [pollMs, busyTimeoutMs] = [read('poll') as number, read('busyTimeout') as number]
  return {
    settings: { kind: 'sqlite', name, file, pollMs, busyTimeoutMs },
    setup: { name, file, create: read('create') as DatabaseSetup['create'] },
  }
}

function logOf(layers: Layers, name: string, entry: PlainObject, read: (key: string) => unknown): PostgresLog {
  const schema = read('outbox') as string | undefined
  const [slot, publication] = [read('slot') as string, read('publication') as string]
  if (schema === undefined) return { kind: 'publication', publication, slot }
  for (const key of ['slot', 'publication']) {
    if (entry[key] !== undefined) {
      layers.fileMistake(`databases.${name}.${key}`, 'is there besides `outbox`, which stands in the place of the log')
    }
  }
  return { kind: 'outbox', schema }
}

function postgres(layers: Layers, name: string, entry: PlainObject, base: string): ResolvedDatabase {
  const read = (key: string): unknown => layers.inEntry('databases', name, entry, key)
  layers.checkKind(name, entry, 'postgres')
  const parts = ['host', 'port', 'user', 'password', 'database'] as const
  const connection: Record<string, unknown> = {}
  const url = read('url') as string | undefined
  if (url !== undefined) connection['url'] = url
  if (url?.startsWith('sqlite:') === true) {
    layers.fileMistake(
      `databases.${name}.url`,
      'got a file of SQLite, allowed is postgres://user:password@host:port/database',
    )
  }
  for (const part of parts) {
    const value = read(part)
    if (value === undefined) continue
    connection[part] = value
    if (url !== undefined)
      layers.fileMistake(`databases.${name}.${part}`, 'is there besides `url`, which says it already')
  }
  const ca = read('ca') as string | undefined
  if (ca !== undefined) connection['ca'] = resolvePath(base, ca)
  return {
    settings: {
      kind: 'postgres',
      name,
      connection,
      log: logOf(layers, name, entry, read),
      connectionsMax: read('connections') as number,
    },
  }
}
