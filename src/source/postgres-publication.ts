// The publication that the feed reads from: that it is there, tells every change of every table that keyspaces depend on,
// and tells it with the columns that name a row. What is missing is made where the role may; where not, FEED_SETUP says
// what to run and as whom.
// Not for: slots (postgres-slot.ts).
import { TidemarkError, messageOf } from '../base/errors.ts'
import { SQLSTATE, sqlState } from './postgres-errors.ts'
import type { Dependency, KeyspaceMapping } from './postgres-mapping.ts'
import type { Cell, Session } from './postgres-pool.ts'
import { quoteName } from './postgres-statements.ts'

interface Published {
  readonly oid: string
  readonly allTables: boolean
  /** INSERT, UPDATE, DELETE and TRUNCATE. */
  readonly everything: boolean
  readonly viaRoot: boolean
}

interface TableState {
  readonly name: string
  readonly partitioned: boolean
  readonly published: boolean
  readonly filtered: boolean
  /** Names of columns, or undefined: all. */
  readonly columnList: readonly string[] | undefined
}

/** Makes the publication complete. Returns whether it was not there before: a slot from before cannot be read with it. */
export async function ensurePublication(
  session: Session,
  name: string,
  mappings: readonly KeyspaceMapping[],
): Promise<'was there' | 'created'> {
  const tables = new Map<number, Dependency[]>()
  for (const dependency of mappings.flatMap(mapping => mapping.dependencies)) {
    tables.set(dependency.relation, [...(tables.get(dependency.relation) ?? []), dependency])
  }
  const problems: string[] = []
  for (const [relation, dependencies] of tables)
    problems.push(...(await storageProblems(session, relation, dependencies)))
  throwIfAny(name, problems)
  const names = [...tables.values()].map(([dependency]) => dependency!.table)
  const created = (await readPublication(session, name)) === undefined
  if (created) {
    const sql = `CREATE PUBLICATION ${quoteName(name)} FOR TABLE ${names.join(', ')} WITH (publish_via_partition_root = true)`
    await run(session, sql, `CREATE on this database and owning ${names.join(', ')}`)
  }
  await completeTables(session, name, tables)
  return created ? 'created' : 'was there'
}

async function completeTables(
  session: Session,
  name: string,
  tables: ReadonlyMap<number, Dependency[]>,
): Promise<void> {
  const publication = (await readPublication(session, name))!
  const quoted = quoteName(name)
  const problems: string[] = []
  if (!publication.everything) {
    problems.push(
      `it leaves out some operations: ALTER PUBLICATION ${quoted} SET (publish = 'insert, update, delete, truncate')`,
    )
  }
  for (const [relation, dependencies] of tables) {
    const state = await readTable(session, publication, relation)
    const wanted = new Set(dependencies.flatMap(dependency => dependency.keyColumns))
    const unlisted = [...wanted].filter(column => state.columnList?.includes(column) === false)
    const alter = `ALTER PUBLICATION ${quoted}`
    if (!state.published)
      await run(session, `${alter} ADD TABLE ${state.name}`, `the owner of the publication and of ${state.name}`)
    if (state.filtered) problems.push(`it filters rows of ${state.name}: ${alter} DROP TABLE ${state.name}; ${alter} ADD TABLE ${state.name}`) // prettier-ignore
    if (unlisted.length > 0) problems.push(`it leaves out the columns ${unlisted.join(', ')} of ${state.name}: ${alter} DROP TABLE ${state.name}; ${alter} ADD TABLE ${state.name}`) // prettier-ignore
    if (state.partitioned && !publication.viaRoot) {
      await run(session, `${alter} SET (publish_via_partition_root = true)`, 'the owner of the publication')
    }
  }
  throwIfAny(name, problems)
}

function throwIfAny(name: string, problems: readonly string[]): void {
  if (problems.length === 0) return
  throw new TidemarkError('FEED_SETUP', problems.map(problem => `publication ${name}: ${problem}`).join('\n'))
}

/** Runs what sets the database up, or says that somebody else has to. */
export async function run(session: Session, sql: string, needs: string): Promise<void> {
  try {
    await session.query({ text: sql })
  } catch (thrown) {
    const state = sqlState(thrown)
    // Another process did it at the same moment.
    if (state === SQLSTATE.duplicateObject || state === SQLSTATE.uniqueViolation) return
    const why = messageOf(thrown)
    if (state !== SQLSTATE.insufficientPrivilege)
      throw new TidemarkError('FEED_SETUP', `${sql}: ${why}`, { cause: thrown })
    const [row] = await session.query({ text: 'SELECT current_user::text' })
    const message = `role ${row![0]} may not do this (${why}); run it as a role that may, it needs ${needs}:\n  ${sql}`
    throw new TidemarkError('FEED_SETUP', message, { cause: thrown })
  }
}

async function readPublication(session: Session, name: string): Promise<Published | undefined> {
  const text = `SELECT oid::text, puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot
    FROM pg_publication WHERE pubname = $1`
  const [row] = await session.query({ text, values: [name] })
  if (row === undefined) return undefined
  const is = (at: number): boolean => row[at] === 't'
  return { oid: row[0]!, allTables: is(1), everything: is(2), viaRoot: is(3) }
}

async function readTable(session: Session, publication: Published, relation: number): Promise<TableState> {
  const text = `
    SELECT format('%I.%I', n.nspname, c.relname), c.relkind = 'p', r.oid IS NOT NULL,
           EXISTS (SELECT FROM pg_publication_namespace s WHERE s.pnpubid = $1::oid AND s.pnnspid = c.relnamespace),
           r.prqual IS NOT NULL,
           (SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY(r.prattrs::int2[]))::text
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_publication_rel r ON r.prrelid = c.oid AND r.prpubid = $1::oid
     WHERE c.oid = $2::oid`
  const [row] = await session.query({ text, values: [publication.oid, String(relation)] })
  const [name, partitioned, direct, bySchema, filtered, columns] = row!
  return {
    name: name!,
    partitioned: partitioned === 't',
    published: publication.allTables || direct === 't' || bySchema === 't',
    filtered: filtered === 't',
    columnList: columns === null ? undefined : (JSON.parse(columns!) as string[]),
  }
}

// Of the table, and of each of its partitions.
const storageSql = `
  SELECT format('%I.%I', n.nspname, c.relname), c.relpersistence, c.relreplident, c.relkind,
         (SELECT json_agg(a.attname)
            FROM pg_index x JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(x.indkey::int2[])
           WHERE x.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN x.indisreplident ELSE x.indisprimary END)::text
    FROM pg_partition_tree($1::oid) t JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION
  SELECT format('%I.%I', n.nspname, c.relname), c.relpersistence, c.relreplident, c.relkind,
         (SELECT json_agg(a.attname)
            FROM pg_index x JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(x.indkey::int2[])
           WHERE x.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN x.indisreplident ELSE x.indisprimary END)::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid`

/** What keeps changes of the table from being told, or from being told with the columns that name a row. */
async function storageProblems(
  session: Session,
  relation: number,
  dependencies: readonly Dependency[],
): Promise<string[]> {
  const rows = await session.query({ text: storageSql, values: [String(relation)] })
  const wanted = [...new Set(dependencies.flatMap(dependency => dependency.keyColumns))]
  return rows.flatMap(row => problemsOf(row, wanted))
}

function problemsOf(row: readonly Cell[], wanted: readonly string[]): string[] {
  const [name, persistence, identity, kind, indexed] = row
  if (persistence !== 'p') {
    const what = persistence === 'u' ? 'unlogged' : 'temporary'
    return [`${name} is ${what}: its changes are not in the log. Run as its owner: ALTER TABLE ${name} SET LOGGED`]
  }
  // A partitioned table has no rows of its own.
  if (identity === 'f' || kind === 'p') return []
  const covered = identity === 'n' || indexed === null ? [] : (JSON.parse(indexed!) as string[])
  const missing = wanted.filter(column => !covered.includes(column))
  if (missing.length === 0) return []
  const columns = missing.join(', ')
  return [
    `${name}: changed and deleted rows are told without ${columns}, which is not in its replica identity. Run as its` +
      ` owner: ALTER TABLE ${name} REPLICA IDENTITY FULL (or USING INDEX, a unique one on NOT NULL columns with ${columns})`,
  ]
}
