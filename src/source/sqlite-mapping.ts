// How tables of a SQLite database look to keyspaces, read from the database's own schema and checked: which columns
// there are, of which types, which of them are the key, and what a write to the table may change besides its own row.
// All that is wrong is reported at once.
// Not for: SQL text (sqlite-statements.ts).
import type { DatabaseSync } from 'node:sqlite'
import type { ColumnDescription, KeyspaceDescription } from './source.ts'

/** Which table a keyspace shows; `columns` limits it to some (those of the key are always in). */
export interface SqliteKeyspace {
  readonly name: string
  readonly table: string
  readonly columns?: readonly string[] | undefined
}

export interface ColumnMapping extends ColumnDescription {
  /** Computed by the table's own definition: can be read, not written. */
  readonly generated: boolean
}

export interface TableMapping {
  readonly keyspace: string
  readonly table: string
  readonly columns: readonly ColumnMapping[]
  /** In the primary key's order. */
  readonly key: readonly ColumnMapping[]
  readonly description: KeyspaceDescription
  /** All keyspaces that show this table, this one included: a write through one is a change in each. */
  readonly keyspacesOfTable: readonly string[]
  /** Triggers on the table; they may change this row after it was returned, and rows of any other table. */
  readonly triggers: readonly string[]
  /** Tables with rows that deleting a row here deletes or changes (ON DELETE CASCADE, SET NULL, SET DEFAULT). */
  readonly deleteActions: readonly string[]
  /** Columns here whose change changes rows that refer to them (ON UPDATE CASCADE, SET NULL, SET DEFAULT). */
  readonly updateActionColumns: ReadonlySet<string>
  /** The table's own foreign keys, as `country -> countries(code)`: SQLite's message does not say which one broke. */
  readonly foreignKeys: readonly string[]
}

export interface Mappings {
  readonly tables: ReadonlyMap<string, TableMapping>
  readonly problems: readonly string[]
}

interface TableRow {
  readonly name: string
  readonly type: 'table' | 'view' | 'virtual' | 'shadow'
  readonly wr: number
  readonly strict: number
}

interface ColumnRow {
  readonly name: string
  readonly type: string
  readonly notnull: number
  readonly pk: number
  /** 0: plain, 1: hidden, 2: VIRTUAL generated, 3: STORED generated. */
  readonly hidden: number
}

interface ForeignKeyRow {
  readonly id: number
  readonly table: string
  readonly from: string
  /** null: the parent's primary key. */
  readonly to: string | null
  readonly on_update: string
  readonly on_delete: string
}

interface Reference extends ForeignKeyRow {
  readonly child: string
}

interface Schema {
  readonly tables: readonly TableRow[]
  readonly references: readonly Reference[]
  readonly triggers: readonly { readonly name: string; readonly tbl_name: string }[]
}

/** The mapping of each keyspace, or what keeps it from being one. Run it inside a transaction. */
export function readMappings(database: DatabaseSync, keyspaces: readonly SqliteKeyspace[]): Mappings {
  const schema = readSchema(database)
  const tables = new Map<string, TableMapping>()
  const problems: string[] = []
  for (const keyspace of keyspaces) {
    const own: string[] = []
    const mapping = mapTable(database, schema, keyspace, keyspaces, own)
    if (mapping !== undefined && own.length === 0) tables.set(keyspace.name, mapping)
    for (const problem of own)
      problems.push(`keyspace ${keyspace.name}, table ${JSON.stringify(keyspace.table)}: ${problem}`)
  }
  return { tables, problems }
}

/** `name` as SQL. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function rows<Row>(database: DatabaseSync, sql: string): Row[] {
  return database.prepare(sql).all() as unknown as Row[]
}

function readSchema(database: DatabaseSync): Schema {
  const tables = rows<TableRow>(
    database,
    `SELECT name, type, wr, strict FROM pragma_table_list
      WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name`,
  )
  const references: Reference[] = []
  for (const { name, type } of tables) {
    if (type !== 'table') continue
    const keys = rows<ForeignKeyRow>(database, `PRAGMA main.foreign_key_list(${quoteName(name)})`)
    for (const key of keys) references.push({ ...key, child: name })
  }
  const triggers = rows<{ name: string; tbl_name: string }>(
    database,
    `SELECT name, tbl_name FROM main.sqlite_schema WHERE type = 'trigger' ORDER BY name`,
  )
  return { tables, references, triggers }
}

function mapTable(
  database: DatabaseSync,
  schema: Schema,
  keyspace: SqliteKeyspace,
  keyspaces: readonly SqliteKeyspace[],
  problems: string[],
): TableMapping | undefined {
  const table = schema.tables.find(table => sameName(table.name, keyspace.table))
  if (table === undefined) {
    const names = schema.tables.filter(table => table.type === 'table').map(table => table.name)
    problems.push(`there is no such table; there ${names.length === 0 ? 'is none at all' : `are: ${names.join(', ')}`}`)
    return undefined
  }
  if (table.type !== 'table') {
    problems.push(
      `it is a ${table.type === 'view' ? 'view' : `${table.type} table`}; only an ordinary table can be mapped`,
    )
    return undefined
  }
  const columnRows = rows<ColumnRow>(database, `PRAGMA main.table_xinfo(${quoteName(table.name)})`)
  const all = columnRows.map(row => mapColumn(row, table, isRowid(database, table, columnRows)))
  const key = all
    .filter(column => column.key)
    .sort((a, b) => rowNamed(columnRows, a.name).pk - rowNamed(columnRows, b.name).pk)
  checkKey(database, table, key, columnRows, problems)
  const columns = chooseColumns(keyspace, all, problems)
  const { references, triggers } = schema
  const acting = references.filter(reference => sameName(reference.table, table.name))
  const description: KeyspaceDescription = {
    name: keyspace.name,
    table: table.name,
    columns: columns.map(({ name, type, nullable, key }) => ({ name, type, nullable, key })),
    keyColumns: key.map(column => column.name),
  }
  return {
    keyspace: keyspace.name,
    table: table.name,
    columns,
    key,
    description,
    keyspacesOfTable: keyspaces.filter(other => sameName(other.table, table.name)).map(other => other.name),
    triggers: triggers.filter(trigger => sameName(trigger.tbl_name, table.name)).map(trigger => trigger.name),
    deleteActions: [...new Set(acting.filter(key => acts(key.on_delete)).map(key => key.child))],
    updateActionColumns: new Set(acting.filter(key => acts(key.on_update)).flatMap(key => referencedColumns(key, all))),
    foreignKeys: describeForeignKeys(references, table.name),
  }
}

/** SQLite's names match in any case of ASCII letters. */
function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

function rowNamed(columnRows: readonly ColumnRow[], name: string): ColumnRow {
  return columnRows.find(row => row.name === name)!
}

/** Whether the key is an alias of the rowid: then it is never NULL and needs no index. */
function isRowid(database: DatabaseSync, table: TableRow, columnRows: readonly ColumnRow[]): boolean {
  const key = columnRows.filter(row => row.pk > 0)
  return key.length === 1 && key[0]!.type.toUpperCase() === 'INTEGER' && keyIndex(database, table) === undefined
}

function keyIndex(database: DatabaseSync, table: TableRow): string | undefined {
  const indexes = rows<{ name: string; origin: string }>(database, `PRAGMA main.index_list(${quoteName(table.name)})`)
  return indexes.find(index => index.origin === 'pk')?.name
}

function mapColumn(row: ColumnRow, table: TableRow, rowid: boolean): ColumnMapping {
  const key = row.pk > 0
  return {
    name: row.name,
    type: table.strict === 1 ? strictType(row.type) : declaredType(row.type),
    nullable: row.notnull === 0 && !(key && rowid),
    key,
    generated: row.hidden === 2 || row.hidden === 3,
  }
}

function strictType(declared: string): ColumnDescription['type'] {
  const type = declared.toLowerCase()
  if (type === 'int') return 'integer'
  return type === 'integer' || type === 'real' || type === 'text' || type === 'blob' ? type : 'any'
}

/** The type by SQLite's rules of affinity (https://www.sqlite.org/datatype3.html, 3.1). NUMERIC takes every type. */
function declaredType(declared: string): ColumnDescription['type'] {
  const type = declared.toUpperCase()
  if (type.includes('INT')) return 'integer'
  if (/CHAR|CLOB|TEXT/.test(type)) return 'text'
  if (type.includes('BLOB')) return 'blob'
  if (/REAL|FLOA|DOUB/.test(type)) return 'real'
  return 'any'
}

// SQLite lets a key be NULL unless the table is STRICT or WITHOUT ROWID. No id spells NULL, so such a row has no key here:
// it can be neither read nor written.
function checkKey(
  database: DatabaseSync,
  table: TableRow,
  key: readonly ColumnMapping[],
  columnRows: readonly ColumnRow[],
  problems: string[],
): void {
  const allowed = 'a key column is INTEGER, TEXT or BLOB, and compares with BINARY'
  if (key.length === 0) {
    problems.push('it has no PRIMARY KEY, which would name its rows')
    return
  }
  for (const column of key) {
    const name = JSON.stringify(column.name)
    if (column.type === 'real' || column.type === 'any') {
      const declared = rowNamed(columnRows, column.name).type
      problems.push(`key column ${name} is declared ${declared === '' ? 'without a type' : declared}; ${allowed}`)
    }
  }
  const index = keyIndex(database, table)
  if (index === undefined) return
  const parts = rows<{ name: string | null; coll: string; key: number }>(
    database,
    `PRAGMA main.index_xinfo(${quoteName(index)})`,
  )
  for (const part of parts) {
    if (part.key === 1 && part.coll.toUpperCase() !== 'BINARY') {
      problems.push(`key column ${JSON.stringify(part.name)} compares with ${part.coll}; ${allowed}`)
    }
  }
}

function chooseColumns(keyspace: SqliteKeyspace, all: readonly ColumnMapping[], problems: string[]): ColumnMapping[] {
  const wanted = keyspace.columns
  if (wanted === undefined) return [...all]
  const unknown = wanted.filter(name => !all.some(column => column.name === name))
  if (unknown.length > 0) {
    problems.push(
      `there is no column ${unknown.map(name => JSON.stringify(name)).join(', ')};` +
        ` there are: ${all.map(column => column.name).join(', ')}`,
    )
  }
  return all.filter(column => column.key || wanted.includes(column.name))
}

function acts(action: string): boolean {
  return action !== 'NO ACTION' && action !== 'RESTRICT'
}

/** Columns of the parent that the reference is to; of the primary key where it names none. */
function referencedColumns(reference: Reference, all: readonly ColumnMapping[]): string[] {
  const { to } = reference
  return all.filter(column => (to === null ? column.key : sameName(column.name, to))).map(column => column.name)
}

function describeForeignKeys(references: readonly Reference[], table: string): string[] {
  const byId = Map.groupBy(
    references.filter(reference => reference.child === table),
    reference => reference.id,
  )
  return [...byId.values()].map(parts => {
    const to = parts.map(part => part.to).filter(to => to !== null)
    return `${parts.map(part => part.from).join(', ')} -> ${parts[0]!.table}${to.length > 0 ? `(${to.join(', ')})` : ''}`
  })
}
