// How tables and views of a Postgres database look to keyspaces, read from the database's own catalogue and checked: which
// columns there are, of which types, which of them are the key, and whose changes are changes of the keyspace's rows. All
// that is wrong is reported at once.
// Not for: SQL that reads and writes rows (postgres-statements.ts), publications (postgres-publication.ts).
import { keyTypes, type KeyColumn } from './postgres-key.ts'
import type { PostgresKeyspace, PostgresView } from './postgres-options.ts'
import type { Cell, Session } from './postgres-pool.ts'
import { describedType, kindOf, type ValueColumn } from './postgres-value.ts'
import type { KeyspaceDescription } from './source.ts'

export interface MappedColumn extends ValueColumn {
  /** In SQL, of the base type, without length: for casts of parameters. */
  readonly castType: string
  /** As the catalogue spells it, length and all: a part of the epoch. */
  readonly declaredType: string
  /** Can be read, not written. */
  readonly generated: boolean
}

export interface MappedKeyColumn extends MappedColumn, KeyColumn {}

/** A table whose rows' changes are changes of a keyspace's rows. */
export interface Dependency {
  /** In pg_class. */
  readonly relation: number
  /** With its schema, quoted as SQL. */
  readonly table: string
  /** In the order of the keyspace's key. */
  readonly keyColumns: readonly string[]
}

export interface KeyspaceMapping {
  readonly keyspace: string
  /** In SQL, behind FROM; a view in brackets. */
  readonly from: string
  readonly columns: readonly MappedColumn[]
  readonly key: readonly MappedKeyColumn[]
  /** Of a table; undefined for a view. */
  readonly relation: number | undefined
  /** The key is made by the table's own sequence, and takes no value unless told to. */
  readonly overriding: boolean
  readonly partitioned: boolean
  readonly dependencies: readonly Dependency[]
  readonly description: KeyspaceDescription
}

export interface Mappings {
  readonly keyspaces: ReadonlyMap<string, KeyspaceMapping>
  readonly problems: readonly string[]
}

interface Relation {
  readonly oid: number
  /** Quoted, with its schema. */
  readonly name: string
  readonly kind: string
  readonly hasRules: boolean
  readonly hasChildren: boolean
  readonly rowSecurity: boolean
  readonly deferrableKey: boolean
  readonly columns: readonly MappedColumn[]
  readonly keyNames: readonly string[]
  readonly keyTypes: ReadonlyMap<string, KeyColumn & { readonly problem: string | undefined }>
  readonly overriding: boolean
}

/** The mapping of each keyspace, or what keeps it from being one. Run it inside a transaction that sees one state. */
export async function readMappings(session: Session, keyspaces: readonly PostgresKeyspace[]): Promise<Mappings> {
  const found = new Map<string, KeyspaceMapping>()
  const problems: string[] = []
  const [encoding] = await session.query({ text: 'SHOW server_encoding' })
  if (encoding![0] !== 'UTF8') problems.push(`the database's encoding is ${encoding![0]}; only UTF8 keeps every text`)
  for (const keyspace of keyspaces) {
    const own: string[] = []
    const mapping =
      keyspace.view === undefined
        ? await mapTable(session, keyspace, own)
        : await mapView(session, keyspace.name, keyspace.view, own)
    if (mapping !== undefined && own.length === 0) found.set(keyspace.name, mapping)
    const what = keyspace.view === undefined ? `table ${JSON.stringify(keyspace.table ?? keyspace.name)}` : 'view'
    for (const problem of own) problems.push(`keyspace ${keyspace.name}, ${what}: ${problem}`)
  }
  return { keyspaces: found, problems }
}

async function mapTable(
  session: Session,
  keyspace: PostgresKeyspace,
  problems: string[],
): Promise<KeyspaceMapping | undefined> {
  const relation = await readRelation(session, keyspace.table ?? keyspace.name, problems)
  if (relation === undefined) return undefined
  const key = relation.keyNames.map(name => keyColumn(relation, name, problems))
  if (key.length === 0) problems.push('it has no PRIMARY KEY, which would name its rows')
  if (relation.deferrableKey) problems.push('its PRIMARY KEY is DEFERRABLE, which no upsert can go by')
  const columns = chooseColumns(keyspace.columns, relation, problems)
  if (problems.length > 0) return undefined
  const keyColumns = key.map(column => column.name)
  return {
    keyspace: keyspace.name,
    from: relation.name,
    columns,
    key,
    relation: relation.oid,
    overriding: relation.overriding,
    partitioned: relation.kind === 'p',
    dependencies: [{ relation: relation.oid, table: relation.name, keyColumns }],
    description: describe(keyspace.name, relation.name, columns, keyColumns),
  }
}

async function mapView(
  session: Session,
  name: string,
  view: PostgresView,
  problems: string[],
): Promise<KeyspaceMapping | undefined> {
  const columns: MappedColumn[] = []
  const keys: (MappedKeyColumn | undefined)[] = view.keyColumns.map(() => undefined)
  if (view.keyColumns.length === 0) problems.push('it names no key columns')
  if (view.dependsOn.length === 0) problems.push('it names no tables that it depends on')
  for (const shown of await session.columnsOf(view.sql)) {
    const [row] = await session.query({ text: typeSql, values: [String(shown.type), String(shown.modifier)] })
    const [base, kind, cast, declared, baseModifier] = row! as string[]
    const modifier = shown.modifier === -1 ? baseModifier! : String(shown.modifier)
    const at = view.keyColumns.indexOf(shown.name)
    const column = mapColumn({ name: shown.name, base: base!, kind: kind!, cast: cast!, declared: declared!, nullable: at < 0, key: at >= 0, generated: true }) // prettier-ignore
    columns.push(column)
    if (at < 0) continue
    const part = keyPart({
      name: shown.name,
      base: base!,
      kind: kind!,
      modifier,
      deterministic: true,
      labels: row![5]!,
    })
    if (part.problem !== undefined) problems.push(part.problem)
    keys[at] = { ...column, ...part }
  }
  for (const [i, column] of view.keyColumns.entries()) {
    if (keys[i] === undefined) problems.push(`it has no column ${JSON.stringify(column)}, which is to be of its key`)
  }
  const dependencies = await mapDependencies(session, view, problems)
  if (problems.length > 0) return undefined
  return {
    keyspace: name,
    from: `(${view.sql}\n)`,
    columns,
    key: keys as MappedKeyColumn[],
    relation: undefined,
    overriding: false,
    partitioned: false,
    dependencies,
    description: describe(name, `(${view.sql})`, columns, view.keyColumns),
  }
}

async function mapDependencies(session: Session, view: PostgresView, problems: string[]): Promise<Dependency[]> {
  const dependencies: Dependency[] = []
  for (const { table, keyColumns } of view.dependsOn) {
    const own: string[] = []
    const relation = await readRelation(session, table, own)
    const missing = keyColumns.filter(name => relation?.columns.every(column => column.name !== name) ?? false)
    if (missing.length > 0) own.push(`there is no column ${missing.join(', ')}`)
    if (keyColumns.length !== view.keyColumns.length) own.push('it names another number of key columns than the view')
    for (const problem of own) problems.push(`table ${JSON.stringify(table)} that it depends on: ${problem}`)
    if (relation !== undefined) dependencies.push({ relation: relation.oid, table: relation.name, keyColumns })
  }
  return dependencies
}

function describe(
  name: string,
  table: string,
  columns: readonly MappedColumn[],
  keyColumns: readonly string[],
): KeyspaceDescription {
  const shown = columns.map(column => ({
    name: column.name,
    type: column.type,
    nullable: column.nullable,
    key: column.key,
  }))
  return { name, table, columns: shown, keyColumns }
}

const relationSql = `
  SELECT c.oid::text, format('%I.%I', n.nspname, c.relname), c.relkind,
         EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1'),
         c.relkind <> 'p' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid),
         row_security_active(c.oid),
         (SELECT array_agg(a.attname ORDER BY k.n)
            FROM pg_index x, unnest(x.indkey::int2[]) WITH ORDINALITY k(attnum, n), pg_attribute a
           WHERE x.indrelid = c.oid AND x.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum
             AND k.n <= x.indnkeyatts)::text[]::text,
         (SELECT NOT x.indimmediate FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid = coalesce(to_regclass($1), to_regclass(quote_ident($1)))`

// A domain is its base type; one over another domain too.
const baseTypeSql = `
  WITH RECURSIVE base AS (
    SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, t.typname, t.typnamespace FROM pg_type t WHERE t.oid = given.oid
    UNION ALL
    SELECT t.oid, t.typtype, t.typbasetype, base.typtypmod, t.typname, t.typnamespace
      FROM pg_type t JOIN base ON base.typtype = 'd' AND t.oid = base.typbasetype)
  SELECT base.*, CASE WHEN n.nspname = 'pg_catalog' THEN base.typname ELSE '' END AS base_name,
         CASE base.typname WHEN 'bpchar' THEN 'bpchar' ELSE format_type(base.oid, NULL) END AS cast_name
    FROM base JOIN pg_namespace n ON n.oid = base.typnamespace WHERE base.typtype <> 'd'`

const labelsSql = `(SELECT array_agg(e.enumlabel) FROM pg_enum e WHERE e.enumtypid = b.oid)::text`

const typeSql = `
  SELECT b.base_name, b.typtype, b.cast_name, format_type(given.oid, given.modifier), b.typtypmod::text, ${labelsSql}
    FROM (SELECT $1::oid AS oid, $2::int AS modifier) given CROSS JOIN LATERAL (${baseTypeSql}) b`

const columnsSql = `
  SELECT a.attname, a.attnotnull OR t.typnotnull, a.attgenerated <> '' OR a.attidentity = 'a', a.attidentity = 'a', b.base_name,
         b.typtype, b.cast_name, format_type(a.atttypid, a.atttypmod),
         CASE WHEN a.atttypmod = -1 THEN b.typtypmod ELSE a.atttypmod END::text,
         coalesce(l.collisdeterministic, true), ${labelsSql}
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation
   CROSS JOIN LATERAL (SELECT a.atttypid AS oid) given CROSS JOIN LATERAL (${baseTypeSql}) b
   WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

const relationKinds: Readonly<Record<string, string>> = {
  v: 'a view (declare it as a view, with the tables that it depends on)',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
  i: 'an index',
}

async function readRelation(session: Session, name: string, problems: string[]): Promise<Relation | undefined> {
  const [row] = await session.query({ text: relationSql, values: [name] })
  if (row === undefined) {
    problems.push('there is no such table, or it is not in the search path: give it as schema.table')
    return undefined
  }
  const [oid, sqlName, kind, hasRules, hasChildren, rowSecurity, keyNames, deferrable] = row
  const cells = await session.query({ text: columnsSql, values: [oid!] })
  const names = keyNames === null ? [] : parseNames(keyNames!)
  const columns = cells.map(cell => readColumn(cell, names.includes(cell[0]!)))
  const relation: Relation = {
    oid: Number(oid),
    name: sqlName!,
    kind: kind!,
    hasRules: hasRules === 't',
    hasChildren: hasChildren === 't',
    rowSecurity: rowSecurity === 't',
    deferrableKey: deferrable === 't',
    columns,
    keyNames: names,
    keyTypes: new Map(cells.map(cell => [cell[0]!, readKeyPart(cell)])),
    overriding: cells.some(cell => names.includes(cell[0]!) && cell[3] === 't'),
  }
  checkRelation(relation, problems)
  return relation
}

function checkRelation(relation: Relation, problems: string[]): void {
  const { kind } = relation
  if (kind !== 'r' && kind !== 'p')
    problems.push(`it is ${relationKinds[kind] ?? `of kind ${kind}`}; a table is needed`)
  if (relation.hasRules) problems.push('it has rules (CREATE RULE), which may do anything in the place of a write')
  if (relation.hasChildren) problems.push('other tables inherit from it; only partitions may')
  if (relation.rowSecurity) {
    problems.push(
      "row level security hides rows of it from this role: ALTER ROLE ... BYPASSRLS, or be the table's owner",
    )
  }
}

function readColumn(cell: readonly Cell[], key: boolean): MappedColumn {
  const [name, notNull, generated, , base, kind, cast, declared] = cell
  return mapColumn({ name: name!, base: base!, kind: kind!, cast: cast!, declared: declared!, nullable: notNull !== 't', key, generated: generated === 't' && !key }) // prettier-ignore
}

interface CatalogueColumn {
  readonly name: string
  /** '' for a type outside of pg_catalog. */
  readonly base: string
  readonly kind: string
  readonly cast: string
  readonly declared: string
  readonly nullable: boolean
  readonly key: boolean
  readonly generated: boolean
}

function mapColumn(column: CatalogueColumn): MappedColumn {
  const { name, nullable, key, generated } = column
  const kind = kindOf(column.base)
  const type = describedType(kind)
  return { name, type, nullable, key, generated, kind, castType: column.cast, declaredType: column.declared }
}

function readKeyPart(cell: readonly Cell[]): KeyColumn & { problem: string | undefined } {
  const [name, , , , base, kind, , , modifier, deterministic, labels] = cell
  return keyPart({ name: name!, base: base!, kind: kind!, modifier: modifier!, deterministic: deterministic === 't', labels: labels! }) // prettier-ignore
}

function keyPart(column: {
  readonly name: string
  readonly base: string
  readonly kind: string
  readonly modifier: string
  readonly deterministic: boolean
  readonly labels: Cell
}): KeyColumn & { problem: string | undefined } {
  const { name, base, labels } = column
  const keyType = column.kind === 'e' ? 'enum' : base
  const modifier = Number(column.modifier)
  const scaled = base === 'numeric' && modifier >= 4
  const scale = scaled ? (modifier - 4) & 0x7ff : 0
  const where = `key column ${JSON.stringify(name)}`
  let problem: string | undefined
  if (!keyTypes.has(keyType)) problem = `${where} is of a type whose values have several spellings, or none as text`
  else if (base === 'numeric' && (!scaled || scale > 1000)) problem = `${where} is numeric without a fixed scale`
  else if (!column.deterministic) problem = `${where} compares with a nondeterministic collation`
  return { name, keyType, scale, problem, ...(labels === null ? {} : { labels: new Set(parseNames(labels)) }) }
}

function keyColumn(relation: Relation, name: string, problems: string[]): MappedKeyColumn {
  const column = relation.columns.find(column => column.name === name)!
  const part = relation.keyTypes.get(name)!
  if (part.problem !== undefined) problems.push(part.problem)
  return { ...column, keyType: part.keyType, scale: part.scale, labels: part.labels }
}

function chooseColumns(wanted: readonly string[] | undefined, relation: Relation, problems: string[]): MappedColumn[] {
  const { columns } = relation
  if (wanted === undefined) return [...columns]
  const unknown = wanted.filter(name => columns.every(column => column.name !== name))
  if (unknown.length > 0) {
    const names = columns.map(column => column.name).join(', ')
    problems.push(`there is no column ${unknown.map(name => JSON.stringify(name)).join(', ')}; there are: ${names}`)
  }
  return columns.filter(column => column.key || wanted.includes(column.name))
}

/** The elements of an array of names, as Postgres writes it. */
function parseNames(text: string): string[] {
  const names: string[] = []
  for (const match of text.matchAll(/"((?:[^"\\]|\\.)*)"|([^{},"]+)/g)) {
    names.push(match[1] === undefined ? match[2]! : match[1].replaceAll(/\\(.)/g, '$1'))
  }
  return names
}
