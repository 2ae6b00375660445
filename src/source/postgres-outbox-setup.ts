// The outbox: a schema with a table that triggers fill with the keys of every changed row, for databases where the
// write-ahead log cannot be read. Made where the role may; where not, FEED_SETUP says what to run.
//
//   changes    one row for each changed row: transaction, order within it, table, key columns before and after
//   reader     one row: up to which transaction everything was read and may be forgotten
//
// The triggers fire also for writers in the replica role, and tell TRUNCATE. They slow every write of these tables down by the
// row that they insert.
// Not for: reading it (postgres-outbox.ts).
import type { Dependency, KeyspaceMapping } from './postgres-mapping.ts'
import type { Session } from './postgres-pool.ts'
import { run } from './postgres-publication.ts'
import { quoteName } from './postgres-statements.ts'

/** What NOTIFY and the triggers are called. */
export function outboxName(schema: string): string {
  return `tidemark_${schema}`
}

/** Makes what is not there. Tables whose triggers are other ones get new ones. */
export async function ensureOutbox(
  session: Session,
  schema: string,
  mappings: readonly KeyspaceMapping[],
): Promise<void> {
  const name = quoteName(schema)
  const found = await session.query({ text: 'SELECT to_regclass($1) IS NOT NULL', values: [`${name}.reader`] })
  if (found[0]![0] !== 't') await run(session, schemaSql(schema), 'CREATE on this database')
  const tables = Map.groupBy(
    mappings.flatMap(mapping => mapping.dependencies),
    dependency => dependency.relation,
  )
  for (const dependencies of tables.values()) await ensureTriggers(session, schema, dependencies)
}

function schemaSql(schema: string): string {
  const name = quoteName(schema)
  const channel = outboxName(schema).replaceAll("'", "''")
  return `
  CREATE SCHEMA IF NOT EXISTS ${name};
  CREATE TABLE ${name}.changes (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(), number bigint GENERATED ALWAYS AS IDENTITY, relation oid NOT NULL,
    keys jsonb, PRIMARY KEY (xid, number));
  CREATE TABLE ${name}.reader (one boolean PRIMARY KEY DEFAULT true CHECK (one), confirmed xid8 NOT NULL);
  INSERT INTO ${name}.reader (confirmed) VALUES ((pg_snapshot_xmin(pg_current_snapshot())::text::int8 - 1)::text::xid8);
  CREATE FUNCTION ${name}.row_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog SET timezone = 'UTC' SET datestyle = 'ISO' SET bytea_output = 'hex' AS $$
  DECLARE told jsonb := '[]'; was jsonb; is_now jsonb;
  BEGIN
    IF TG_OP <> 'INSERT' THEN
      EXECUTE format('SELECT jsonb_build_object(%s)', TG_ARGV[0]) USING OLD INTO was;
      told := told || was;
    END IF;
    IF TG_OP <> 'DELETE' THEN
      EXECUTE format('SELECT jsonb_build_object(%s)', TG_ARGV[0]) USING NEW INTO is_now;
      IF is_now IS DISTINCT FROM was THEN told := told || is_now; END IF;
    END IF;
    INSERT INTO ${name}.changes (relation, keys) VALUES (TG_ARGV[1]::oid, told);
    PERFORM pg_notify('${channel}', '');
    RETURN NULL;
  END $$;
  CREATE FUNCTION ${name}.truncated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
  BEGIN
    INSERT INTO ${name}.changes (relation, keys) VALUES (TG_ARGV[0]::oid, NULL);
    PERFORM pg_notify('${channel}', '');
    RETURN NULL;
  END $$`
}

/** What the trigger is told to read from a row: 'column', text, 'column', text, ... */
function readerOf(columns: readonly string[]): string {
  return columns.map(column => `'${column.replaceAll("'", "''")}', ($1).${quoteName(column)}::text`).join(', ')
}

async function ensureTriggers(session: Session, schema: string, dependencies: readonly Dependency[]): Promise<void> {
  const [{ relation, table }] = dependencies as readonly [Dependency]
  const columns = [...new Set(dependencies.flatMap(dependency => dependency.keyColumns))].sort()
  const trigger = outboxName(schema)
  const reader = readerOf(columns)
  const [row] = await session.query({
    text: `SELECT count(*) = 2 AND bool_and(tgenabled = 'A') AND bool_or(position(convert_to($3::text, 'UTF8') IN tgargs) > 0)
             FROM pg_trigger WHERE tgrelid = $1::oid AND tgname::text IN ($2::text, $2::text || '_truncate')`,
    values: [String(relation), trigger, reader],
  })
  if (row![0] === 't') return
  const [name, truncate] = [quoteName(trigger), quoteName(`${trigger}_truncate`)]
  const literal = `'${reader.replaceAll("'", "''")}'`
  const sql = `
  DROP TRIGGER IF EXISTS ${name} ON ${table}; DROP TRIGGER IF EXISTS ${truncate} ON ${table};
  CREATE TRIGGER ${name} AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW
    EXECUTE FUNCTION ${quoteName(schema)}.row_changed(${literal}, '${relation}');
  CREATE TRIGGER ${truncate} AFTER TRUNCATE ON ${table} FOR EACH STATEMENT
    EXECUTE FUNCTION ${quoteName(schema)}.truncated('${relation}');
  ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${name}; ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${truncate}`
  await run(session, sql, `the owner of ${table}, and USAGE on schema ${schema}`)
}
