// What PostgresSource makes of tables, types, triggers, roles and changes of the schema, on a real server.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { PostgresFeed } from '../../src/source/postgres-feed.ts'
import type { PostgresKeyspace } from '../../src/source/postgres-options.ts'
import { PostgresSource } from '../../src/source/postgres-source.ts'
import type { RowOperation } from '../../src/source/source.ts'
import { loadTexts, openReader, openSource, optionsFor, remove, replace, serveTests, skip, textOf, update, writeOne } from './postgres-scene.ts' // prettier-ignore

const server = await serveTests()

interface Scene {
  readonly name: string
  readonly options: ReturnType<typeof optionsFor>
  readonly source: PostgresSource
  run(sql: string): Promise<void>
}

async function scene(t: TestContext, sql: string, keyspaces: readonly PostgresKeyspace[]): Promise<Scene> {
  const name = await server.createDatabase(sql)
  const options = optionsFor(server, keyspaces, { name })
  const run = async (text: string): Promise<void> => {
    await server.query(text, [], name)
  }
  return { name, options, run, source: await openSource(t, options) }
}

const typesSql = `
  CREATE TYPE mood AS ENUM ('sad', 'ok');
  CREATE DOMAIN short AS varchar(3);
  CREATE TABLE things (
    id int PRIMARY KEY, a smallint, b bigint, c real, d double precision, e numeric, f numeric(10,2), g boolean, h bytea, i text,
    j varchar(3), k char(4), l uuid, m date, n timestamp, o timestamptz, p interval, q json, r jsonb, s int[], t mood, u int4range,
    v inet, w short, x text GENERATED ALWAYS AS (i || '!') STORED)`

test('every type keeps all that it holds, from Postgres to JSON and back', { skip }, async t => {
  const { source, run } = await scene(t, typesSql, [{ name: 'things' }])
  await run(String.raw`INSERT INTO things VALUES (1, -32768, 9223372036854775807, 0.1, 1e300, 123456789012345678901234567890.1230, 7,
    true, '\x00ff', 'é"😀', 'abc', 'x', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '2024-02-29', '2026-11-23 10:00:00.5',
    '2026-11-23 10:00:00.5+02', '1 day 02:03:04', '{"a": 1.0, "a": 2}', '{"b":1,"a":12345678901234567890}', '{1,NULL,3}', 'ok',
    '[1,5)', '10.0.0.1/8', 'xyz')`)
  const [row] = await loadTexts(source, 'things', '1')
  assert.equal(
    row,
    '{"id":1,"a":-32768,"b":9223372036854775807,"c":0.1,"d":1e+300,"e":123456789012345678901234567890.1230,"f":7.00,' +
      '"g":true,"h": "AP8=","i":"é\\"😀","j":"abc","k":"x   ","l":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","m":"2024-02-29",' +
      '"n":"2026-11-23 10:00:00.5","o":"2026-11-23 08:00:00.5+00","p":"1 day 02:03:04","q":"{\\"a\\": 1.0, \\"a\\": 2}",' +
      '"r":"{\\"a\\": 12345678901234567890, \\"b\\": 1}","s":"{1,NULL,3}","t":"ok","u":"[1,5)","v":"10.0.0.1/8","w":"xyz","x":"é\\"😀!"}',
  )
  // Everything but the generated column can be written back as it was read.
  const back = row.replace(/,"x":.*/, '}').replace('"id":1', '"id":2')
  const { after } = await writeOne(source, 'things', '2', replace(back))
  assert.equal(textOf(after), row.replace('"id":1', '"id":2'))
})

test('special numbers, and fields given as text', { skip }, async t => {
  const { source } = await scene(t, typesSql, [{ name: 'things' }])
  await writeOne(source, 'things', '1', replace('{"c":"NaN","d":-9e999,"e":"NaN","a":null}'))
  assert.match((await loadTexts(source, 'things', '1'))[0]!, /"c":"NaN","d":-9e999,"e":"NaN"/)
  await writeOne(source, 'things', '1', update({ d: '-0', e: '1.50', g: 't', h: '\0ÿ', s: '{}', b: '-5' }))
  assert.match(
    (await loadTexts(source, 'things', '1'))[0]!,
    /"b":-5,"c":"NaN","d":-0,"e":1\.50,.*"g":true,"h": "AMO\/".*"s":"\{\}"/,
  )
  for (const [column, value] of Object.entries({
    a: '99999',
    e: 'x',
    g: 'maybe',
    l: 'x',
    m: '2024-13-01',
    j: 'long',
    w: 'long',
    t: 'no',
    r: '{',
    x: 'y',
  })) {
    await assert.rejects(writeOne(source, 'things', '1', update({ [column]: value })), { code: 'ROW_INVALID' }, column)
  }
  const sum = await writeOne(source, 'things', '1', { kind: 'add', field: 'e', amount: '0.25', as: 'float' })
  assert.match(textOf(sum.after)!, /"e":1\.75,/)
  await writeOne(source, 'things', '1', replace('{"e":"-12345678901234567890.1230"}'))
  assert.match((await loadTexts(source, 'things', '1'))[0]!, /"e":-12345678901234567890\.1230,/)
  await assert.rejects(writeOne(source, 'things', '1', replace('{"e":"1,5"}')), /column "e" takes a number/)
})

test(
  'a row is exact where nothing fires after RETURNING; where something does, it is not, from the moment on that it is there',
  { skip },
  async t => {
    const sql = `
    CREATE TABLE parents (id int PRIMARY KEY, name text);
    CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE, name text UNIQUE DEFERRABLE);
    CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`
    const { source, run } = await scene(t, sql, [{ name: 'parents' }, { name: 'children' }])
    const exact = async (keyspace: string, write: RowOperation): Promise<boolean> =>
      (await writeOne(source, keyspace, '1', write)).exact
    assert.equal(await exact('parents', replace('{"name":"A"}')), true)
    assert.equal(await exact('children', replace('{"parent":1}')), true)
    assert.equal(await exact('children', remove), true)
    // It takes its children with it, and what their triggers do.
    assert.equal(await exact('parents', remove), false)
    await run('CREATE TRIGGER early BEFORE INSERT OR UPDATE ON parents FOR EACH ROW EXECUTE FUNCTION nothing()')
    assert.equal(await exact('parents', replace('{"name":"A"}')), true)
    await run('CREATE TRIGGER late AFTER UPDATE ON parents FOR EACH ROW EXECUTE FUNCTION nothing()')
    assert.equal(await exact('parents', replace('{"name":"B"}')), false)
    // One that is not makes all rows of its transaction be not.
    const both = ['children', 'parents'].map(keyspace => ({ keyspace, id: '5', operation: replace('{}') }))
    assert.deepEqual((await source.write(both)).outcomes.map(outcome => outcome.exact), [false, false]) // prettier-ignore
    await run('ALTER TABLE parents DISABLE TRIGGER late')
    assert.equal(await exact('parents', replace('{"name":"C"}')), true)
  },
)

test('a partition with a trigger of its own is not exact, its sisters are', { skip }, async t => {
  const sql = `
    CREATE TABLE things (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE low PARTITION OF things FOR VALUES FROM (0) TO (10);
    CREATE TABLE high PARTITION OF things FOR VALUES FROM (10) TO (20);
    CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
    CREATE TRIGGER late AFTER INSERT ON high FOR EACH ROW EXECUTE FUNCTION nothing()`
  const { source } = await scene(t, sql, [{ name: 'things' }])
  assert.equal((await writeOne(source, 'things', '1', replace('{"n":1}'))).exact, true)
  assert.equal((await writeOne(source, 'things', '11', replace('{"n":1}'))).exact, false)
})

test('a table whose key comes from a sequence, and one of a key alone, take given keys', { skip }, async t => {
  const sql = `CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int); CREATE TABLE b (id int PRIMARY KEY)`
  const { source } = await scene(t, sql, [{ name: 'a' }, { name: 'b' }])
  await writeOne(source, 'a', '7', replace('{"n":1}'))
  await writeOne(source, 'b', '7', replace('{}'))
  assert.equal((await writeOne(source, 'b', '7', replace('{"id":7}'))).changed, true)
  assert.deepEqual([await loadTexts(source, 'a', '7'), await loadTexts(source, 'b', '7')], [['{"id":7,"n":1}'], ['{"id":7}']]) // prettier-ignore
})

test('columns may be limited, names may need quotes, and tables be in other schemas', { skip }, async t => {
  const sql = `CREATE SCHEMA "My Shop"; CREATE TABLE "My Shop"."Things" ("Id" int PRIMARY KEY, "a ""b" text, secret text DEFAULT 'x')`
  const keyspaces = [{ name: 'things', table: '"My Shop"."Things"', columns: ['a "b'] }]
  const { source, run, name } = await scene(t, sql, keyspaces)
  await run(`INSERT INTO "My Shop"."Things" VALUES (1, 'A', 'kept')`)
  await writeOne(source, 'things', '1', replace('{"a \\"b":"B"}'))
  assert.deepEqual(await loadTexts(source, 'things', '1'), ['{"Id":1,"a \\"b":"B"}'])
  const [row] = await server.query('SELECT secret FROM "My Shop"."Things"', [], name)
  assert.equal(row!['secret'], 'kept')
})

test('what cannot be mapped is reported, all of it at once', { skip }, async () => {
  const name = await server.createDatabase(`
    CREATE EXTENSION IF NOT EXISTS plpgsql;
    CREATE TABLE keyless (n int);
    CREATE TABLE floats (id double precision PRIMARY KEY);
    CREATE TABLE numbers (id numeric PRIMARY KEY);
    CREATE COLLATION loose (provider = icu, locale = 'und', deterministic = false);
    CREATE TABLE texts (id text COLLATE loose PRIMARY KEY);
    CREATE TABLE ruled (id int PRIMARY KEY); CREATE RULE r AS ON INSERT TO ruled DO INSTEAD NOTHING;
    CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
    CREATE VIEW shown AS SELECT 1 AS id;
    CREATE TABLE good (id int PRIMARY KEY, n int)`)
  const tables = ['keyless', 'floats', 'numbers', 'texts', 'ruled', 'parent', 'shown', 'nowhere']
  const keyspaces: PostgresKeyspace[] = tables.map(table => ({ name: table, table }))
  keyspaces.push({ name: 'good', columns: ['n', 'm'] })
  keyspaces.push({ name: 'view', view: { sql: 'SELECT id, n FROM good', keyColumns: ['no'], dependsOn: [{ table: 'good', keyColumns: ['nil'] }] } }) // prettier-ignore
  await assert.rejects(
    PostgresSource.open(optionsFor(server, keyspaces, { name })),
    (error: { code?: string; message: string }) => {
      assert.equal(error.code, 'MAPPING_INVALID')
      for (const expected of [
        /keyless: it has no PRIMARY KEY|keyless".*no PRIMARY KEY/,
        /floats.*several spellings/,
        /numbers.*without a fixed scale/,
        /texts.*nondeterministic/,
        /ruled.*rules/,
        /"parent".*inherit/,
        /shown.*a view/,
        /nowhere.*no such table/,
        /good.*no column "m"/,
        /view: it has no column "no"/,
        /no column nil/,
      ]) {
        assert.match(error.message, expected)
      }
      return true
    },
  )
})

test('a changed schema is noticed by the call that meets it, and by the next position', { skip }, async t => {
  const { source, run } = await scene(t, 'CREATE TABLE things (id int PRIMARY KEY, n int)', [{ name: 'things' }])
  await writeOne(source, 'things', '1', replace('{"n":1}'))
  const before = (await source.position()).epoch
  await run('ALTER TABLE things RENAME COLUMN n TO m')
  assert.deepEqual(await loadTexts(source, 'things', '1'), ['{"id":1,"m":1}'])
  const renamed = (await source.position()).epoch
  assert.notEqual(renamed, before)
  await run('ALTER TABLE things ALTER COLUMN m TYPE text')
  await source.position()
  await writeOne(source, 'things', '2', replace('{"m":"x"}'))
  assert.deepEqual(source.describe()[0]!.columns.map(column => column.type), ['integer', 'text']) // prettier-ignore
  assert.notEqual((await source.position()).epoch, renamed)
  await run('DROP TABLE things')
  await assert.rejects(source.load('things', ['1']), { code: 'MAPPING_INVALID' })
  await run('CREATE TABLE things (id int PRIMARY KEY)')
  await source.position()
  assert.deepEqual(await loadTexts(source, 'things', '1'), [null])
})

test(
  'a row written while its table was found to be another is not of the new layout, and not to be kept',
  { skip },
  async t => {
    const sql = `CREATE TABLE things (id int PRIMARY KEY, n int);
    CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;
    CREATE TRIGGER slowly BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION slowly()`
    const { source, run } = await scene(t, sql, [{ name: 'things' }])
    assert.equal((await writeOne(source, 'things', '1', replace('{"n":1}'))).exact, true)
    assert.equal((await writeOne(source, 'things', '1', update({ n: '2' }))).exact, true)
    const before = source.epoch
    await run('ALTER TABLE things ADD COLUMN late int DEFAULT 7')
    const writing = writeOne(source, 'things', '1', update({ n: '3' }))
    assert.notEqual((await source.position()).epoch, before)
    const { after, exact } = await writing
    assert.deepEqual([textOf(after), exact], ['{"id":1,"n":3}', false])
    const next = await writeOne(source, 'things', '1', update({ n: '4' }))
    assert.deepEqual([textOf(next.after), next.exact], ['{"id":1,"n":4,"late":7}', true])
  },
)

test('a label that was added to an enum is a key from then on', { skip }, async t => {
  const sql = `CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE moods (mood mood PRIMARY KEY, n int)`
  const { source, run, options } = await scene(t, sql, [{ name: 'moods' }])
  await assert.rejects(source.load('moods', ['ok']), { code: 'ROW_KEY_INVALID' })
  await run(`ALTER TYPE mood ADD VALUE 'ok'`)
  // One that has not looked for a while looks again.
  const fresh = await openSource(t, { ...options })
  assert.deepEqual(await loadTexts(fresh, 'moods', 'ok', 'sad'), [null, null])
})

test(
  'a role with few rights: everything that it needs, and what it is told to have run where it lacks some',
  { skip },
  async t => {
    const name = await server.createDatabase(`
    CREATE TABLE cities (id int PRIMARY KEY, name text);
    DROP ROLE IF EXISTS cache; CREATE ROLE cache LOGIN`)
    const options = optionsFor(server, [{ name: 'cities' }], { name, user: 'cache' })
    await assert.rejects(writeOne(await openSource(t, options), 'cities', '1', replace('{"name":"A"}')), {
      code: 'SOURCE_FAILED',
      message: /permission denied/,
    })
    const asking = async (): Promise<string> => {
      const feed = new PostgresFeed(options)
      try {
        await feed.open(undefined)
        return 'open'
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'FEED_SETUP')
        return (error as Error).message
      } finally {
        await feed.close()
      }
    }
    assert.match(await asking(), /role cache may not do this[^]*CREATE PUBLICATION "tidemark" FOR TABLE public\.cities/)
    await server.query('GRANT SELECT, INSERT, UPDATE, DELETE ON cities TO cache', [], name)
    await server.query('CREATE PUBLICATION tidemark', [], name)
    assert.match(await asking(), /ALTER PUBLICATION "tidemark" ADD TABLE public\.cities/)
    await server.query('ALTER PUBLICATION tidemark ADD TABLE cities', [], name)
    assert.match(await asking(), /ALTER ROLE \.\.\. REPLICATION/)
    await server.query('ALTER ROLE cache REPLICATION', [], name)
    const source = await openSource(t, options)
    const reader = await openReader(t, options)
    assert.equal((await writeOne(source, 'cities', '1', replace('{"name":"A"}'))).exact, true)
    assert.deepEqual(await reader.told(source), [['cities:1']])
    await reader.feed.snapshot()
    const evicting = new PostgresFeed(options)
    await evicting.evict()
    await evicting.close()
    await assert.rejects(async () => {
    for (;;) await reader.feed.next()
  }, { code: 'FEED_LOST' }) // prettier-ignore
  },
)

test('row level security that hides rows from the role is a mistake, not an empty table', { skip }, async () => {
  const name = await server.createDatabase(`
    CREATE TABLE cities (id int PRIMARY KEY); ALTER TABLE cities ENABLE ROW LEVEL SECURITY;
    DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN; GRANT SELECT ON cities TO limited`)
  const options = optionsFor(server, [{ name: 'cities' }], { name, user: 'limited' })
  await assert.rejects(PostgresSource.open(options), { code: 'MAPPING_INVALID', message: /row level security/ })
})
