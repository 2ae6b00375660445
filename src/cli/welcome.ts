// What the terminal says once the server is up: what listens where, what it serves, and commands to try that do work, with the
// key of a row that is there. Reads the databases for that, a little; writes nothing.
import { DatabaseSync } from 'node:sqlite'
import type { KeyspaceSettings, ServerSettings, SnapshotSettings, TierSettings } from '../server/settings.ts'
import { formatRowId } from '../source/row-id.ts'
import type { SqlValue } from '../source/row-value.ts'
import type { KeyspaceDescription } from '../source/source.ts'
import { formatDuration, formatSize } from '../config/units.ts'

export interface WelcomeInputs {
  readonly server: {
    readonly address: string
    readonly port: number
    readonly adminAddress: string
    readonly adminPort: number
    readonly keyspaces: readonly KeyspaceDescription[]
  }
  readonly settings: ServerSettings
  /** Absolute. */
  readonly configFile: string | undefined
}

interface Glimpse {
  /** Such as `135,233 rows`. */
  readonly rows: string
  /** Of some row, when there is one whose id is simply spelt. */
  readonly id: string | undefined
  /** A whole number in that row, as a column and its value. */
  readonly number: readonly [column: string, value: string] | undefined
}

const unseen: Glimpse = { rows: 'rows', id: undefined, number: undefined }

// Counting goes through all rows: past so many it would be felt.
const countedRowsMax = 1_000_000
const sampledRowsMax = 100_000

export function welcome({ server, settings, configFile }: WelcomeInputs): string {
  const lines = [
    `Tidemark is ready, with ${settings.threads} thread${settings.threads === 1 ? '' : 's'} and ${formatSize(settings.memoryBytes)} of memory.`,
    '',
    `  Redis protocol  ${endpoint(server.address, server.port)}${settings.requirepass === undefined ? '' : ' (password required)'}`,
    `  HTTP            http://${endpoint(server.adminAddress, server.adminPort)}/health  /ready  /metrics`,
    `  Configuration   ${configFile ?? (server.keyspaces.length === 0 ? 'none: a plain cache' : 'none: flags and environment')}`,
  ]
  if (settings.tier !== undefined) lines.push(`  Tier            ${tierLine(settings.tier)}`)
  if (settings.snapshot !== undefined) lines.push(`  Snapshot        ${snapshotLine(settings.snapshot)}`)
  const tries: string[] = []
  for (const description of server.keyspaces) {
    const keyspace = settings.keyspaces.find(each => each.name === description.name)
    const database = settings.databases.find(each => each.name === keyspace?.database)
    if (keyspace === undefined || database === undefined) continue
    // Counting the rows of a server that others use is not for a greeting.
    const glimpse = database.kind === 'sqlite' ? look(database.file, description) : unseen
    const where = database.kind === 'sqlite' ? database.file : `database ${database.name} (Postgres)`
    lines.push(`  Keyspace        ${keyspaceLine(keyspace, description, glimpse, where)}`)
    if (tries.length === 0) tries.push(...commands(description, glimpse))
    if (tries.length === 0) tries.push(...unseenCommands(description))
  }
  if (tries.length === 0) tries.push('SET greeting hello EX 60', 'GET greeting', 'TTL greeting')
  const ours = import.meta.filename.endsWith('.ts') ? 'npm run -s tidemark -- cli' : 'npx tidemark cli'
  const local = ['127.0.0.1', 'localhost', '0.0.0.0', '::'].includes(server.address)
  const where = (local ? '' : ` -h ${server.address}`) + (server.port === 6379 ? '' : ` -p ${server.port}`)
  lines.push('', `Try, with redis-cli${where} or with ${ours}${where}:`, '', ...tries.map(each => `  ${each}`))
  lines.push('', 'Ctrl-C closes it.', '')
  return lines.join('\n')
}

function snapshotLine({ file, everyMs }: SnapshotSettings): string {
  return `${file}, written ${everyMs === 0 ? '' : `every ${formatDuration(everyMs)} and `}at the end`
}

function tierLine({ kind, seeds, tls }: TierSettings): string {
  return seeds.map(({ host, port }) => `${kind}${tls ? 's' : ''}://${endpoint(host, port)}`).join(' ')
}

function endpoint(address: string, port: number): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`
}

function keyspaceLine(
  keyspace: KeyspaceSettings,
  description: KeyspaceDescription,
  glimpse: Glimpse,
  where: string,
): string {
  const key = [description.name, ...description.keyColumns.map(column => `<${column}>`)].join(':')
  return `${key}  ${glimpse.rows} of table ${keyspace.table} in ${where}`
}

function commands(description: KeyspaceDescription, { id, number }: Glimpse): string[] {
  if (id === undefined) return []
  const key = `${description.name}:${id}`
  // Its own value, so that trying it does no harm.
  const third = number === undefined ? `EXISTS ${key}` : `HSET ${key} ${number[0]} ${number[1]}`
  return [`GET ${key}`, `HGETALL ${key}`, third]
}

/** Without having looked: an answer, be it that there is no such row. */
function unseenCommands({ name, columns, keyColumns }: KeyspaceDescription): string[] {
  const integer = keyColumns.every(key => columns.some(column => column.name === key && column.type === 'integer'))
  if (!integer) return ['TM.STATUS']
  const key = [name, ...keyColumns.map(() => '1')].join(':')
  return [`GET ${key}`, `TM.READ ${key}`, 'TM.STATUS']
}

function look(file: string, description: KeyspaceDescription): Glimpse {
  const table = quoted(description.table)
  const keys = description.keyColumns
  const number = description.columns.find(column => column.type === 'integer' && !column.key)?.name
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    const counted = database
      .prepare(`SELECT count(*) AS n FROM (SELECT 1 FROM ${table} LIMIT ${countedRowsMax + 1})`)
      .get()
    const columns = [...keys, ...(number === undefined ? [] : [number])].map(quoted).join(', ')
    // The one with the largest number is more telling than the first.
    const order = number === undefined ? '' : `ORDER BY ${quoted(number)} DESC`
    const statement = database.prepare(
      `SELECT * FROM (SELECT ${columns} FROM ${table} LIMIT ${sampledRowsMax}) ${order} LIMIT 1`,
    )
    statement.setReadBigInts(true)
    const row = statement.get()
    const value = row === undefined || number === undefined ? undefined : row[number]
    return {
      rows: rowsText(Number(counted?.['n'])),
      id: row === undefined ? undefined : simpleId(description, row),
      number: number !== undefined && typeof value === 'bigint' ? [number, String(value)] : undefined,
    }
  } finally {
    database.close()
  }
}

/** The row's id, unless a shell would need quotes for it. */
function simpleId(description: KeyspaceDescription, row: Readonly<Record<string, SqlValue>>): string | undefined {
  const columns = description.keyColumns.flatMap(name => description.columns.find(column => column.name === name) ?? [])
  const id = formatRowId(
    columns,
    description.keyColumns.map(name => row[name]!),
  )
  return id !== undefined && /^[\w.:%-]+$/.test(id) ? id : undefined
}

function rowsText(count: number): string {
  if (count > countedRowsMax) return `more than ${countedRowsMax.toLocaleString('en-US')} rows`
  return count === 1 ? '1 row' : `${count.toLocaleString('en-US')} rows`
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
