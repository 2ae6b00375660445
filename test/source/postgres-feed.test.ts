// What the feed tells, on a real server: every way in which rows change, in the order of the commits, with the positions that
// the rules need.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { PostgresFeed } from '../../src/source/postgres-feed.ts'
import type { PostgresKeyspace } from '../../src/source/postgres-options.ts'
import type { PostgresSource } from '../../src/source/postgres-source.ts'
import { eventsOf, openReader, openSource, optionsFor, reopen, replace, serveTests, skip, update, type Reader } from './postgres-scene.ts' // prettier-ignore

const server = await serveTests()

const citiesSql = 'CREATE TABLE cities (id bigint PRIMARY KEY, name text NOT NULL, note text)'
const cities: readonly PostgresKeyspace[] = [{ name: 'cities', table: 'cities' }]

interface Scene {
  readonly source: PostgresSource
  readonly reader: Reader
  readonly options: ReturnType<typeof optionsFor>
  run(sql: string): Promise<void>
  told(): Promise<(string[] | string)[]>
}

async function scene(t: TestContext, sql: string = citiesSql, keyspaces = cities): Promise<Scene> {
  const name = await server.createDatabase(sql)
  const options = optionsFor(server, keyspaces, { name })
  const source = await openSource(t, options)
  const reader = await openReader(t, options)
  await reader.catchUp(source)
  return {
    source,
    reader,
    options,
    run: async text => {
      await server.query(text, [], name)
    },
    told: () => reader.told(source),
  }
}

test(
  'rows inserted, changed, deleted and copied from outside are told, one item for each transaction',
  { skip },
  async t => {
    const { run, told } = await scene(t)
    await run(`INSERT INTO cities VALUES (1, 'A'), (2, 'B')`)
    await run(`UPDATE cities SET name = 'C' WHERE id = 2`)
    await run(`BEGIN; DELETE FROM cities WHERE id = 1; INSERT INTO cities VALUES (1, 'D'); COMMIT`)
    await run(`DELETE FROM cities`)
    assert.deepEqual(await told(), [['cities:1', 'cities:2'], ['cities:2'], ['cities:1'], ['cities:1', 'cities:2']])
  },
)

test('a changed key is told as both: the old one and the new one', { skip }, async t => {
  const { run, told } = await scene(t)
  await run(`INSERT INTO cities VALUES (1, 'A')`)
  await run(`UPDATE cities SET id = 5 WHERE id = 1`)
  assert.deepEqual(await told(), [['cities:1'], ['cities:1', 'cities:5']])
})

test('what was rolled back is not told, neither a transaction nor a savepoint', { skip }, async t => {
  const { run, told } = await scene(t)
  await run(`BEGIN; INSERT INTO cities VALUES (1, 'A'); ROLLBACK`)
  await run(
    `BEGIN; INSERT INTO cities VALUES (2, 'A'); SAVEPOINT s; INSERT INTO cities VALUES (3, 'A'); ROLLBACK TO s; COMMIT`,
  )
  assert.deepEqual(await told(), [['cities:2']])
})

test(
  'positions rise, and lie where the rules need them: change before at, at before the end of the commit',
  { skip },
  async t => {
    const { source, reader } = await scene(t)
    const stamps = []
    for (const name of ['A', 'B', 'C']) {
      const writes = ['1', '2'].map(id => ({ keyspace: 'cities', id, operation: replace(JSON.stringify({ name })) }))
      stamps.push((await source.write(writes)).stamp)
    }
    const events = eventsOf(await reader.catchUp(source))
    assert.equal(events.length, 6)
    for (const [i, stamp] of stamps.entries()) {
      for (const event of events.slice(2 * i, 2 * i + 2)) {
        assert.equal(event.xid, stamp.xid)
        assert.ok(event.change < stamp.at && stamp.at <= event.lsn && event.lsn <= stamp.upto)
      }
    }
    assert.ok(events[1]!.lsn < events[2]!.lsn && events[0]!.change < events[1]!.change)
  },
)

test(
  'of several changes of a row in one transaction the last one counts, and lies past an earlier RETURNING',
  { skip },
  async t => {
    const { run, reader, source, options } = await scene(t)
    await run(`INSERT INTO cities VALUES (1, 'A')`)
    await reader.catchUp(source)
    const client = await server.connect(options.connection.url?.split('/').at(-1))
    await client.query('BEGIN')
    const { rows } = await client.query<{ at: string }>(
      `UPDATE cities SET name = 'B' WHERE id = 1 RETURNING (pg_current_wal_insert_lsn() - '0/0')::text AS at`,
    )
    await client.query(`UPDATE cities SET name = 'C' WHERE id = 1`)
    await client.query('COMMIT')
    await client.end()
    const [event, ...others] = eventsOf(await reader.catchUp(source))
    assert.equal(others.length, 0)
    assert.ok(event!.change >= BigInt(rows[0]!.at))
  },
)

test('what triggers and cascades change is told with the rest of its transaction', { skip }, async t => {
  const sql = `
    CREATE TABLE countries (code text PRIMARY KEY);
    CREATE TABLE cities (id bigint PRIMARY KEY, country text REFERENCES countries ON DELETE CASCADE ON UPDATE CASCADE, note text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN UPDATE cities SET note = 'seen' WHERE id = NEW.id AND note IS NULL; RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT ON cities FOR EACH ROW EXECUTE FUNCTION note()`
  const { run, told, source } = await scene(t, sql, [...cities, { name: 'countries', table: 'countries' }])
  await run(`INSERT INTO countries VALUES ('nl'); INSERT INTO cities VALUES (1, 'nl'), (2, 'nl')`)
  await run(`UPDATE countries SET code = 'be'`)
  await run(`DELETE FROM countries`)
  assert.deepEqual(await told(), [
    ['cities:1', 'cities:2', 'countries:nl'],
    ['cities:1', 'cities:2', 'countries:be', 'countries:nl'],
    ['cities:1', 'cities:2', 'countries:be'],
  ])
  // And our own write through the trigger is not exact, with its last change past what was returned.
  const { outcomes, stamp } = await source.write([{ keyspace: 'cities', id: '7', operation: replace('{}') }])
  assert.equal(outcomes[0]!.exact, false)
  assert.ok(stamp.at > 0n)
})

test('a table of several keyspaces, with another key order, and keys that need escaping', { skip }, async t => {
  const sql = 'CREATE TABLE places (country text, id int, code bytea, PRIMARY KEY (id, country), UNIQUE (code))'
  const keyspaces = [
    { name: 'places', table: 'places' },
    { name: 'codes', table: 'public.places', columns: ['code'] },
  ]
  const { run, told } = await scene(t, sql, keyspaces)
  await run(String.raw`INSERT INTO places VALUES ('a:%b', -5, '\x00ff')`)
  assert.deepEqual(await told(), [['codes:-5:a%3A%25b', 'places:-5:a%3A%25b']])
})

test('a view is told by the tables that it depends on, old and new key', { skip }, async t => {
  const sql = `
    CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL);
    CREATE TABLE items (id int PRIMARY KEY, order_id int NOT NULL, price int NOT NULL);
    ALTER TABLE items REPLICA IDENTITY FULL`
  const view = {
    sql: 'SELECT o.id, o.customer, sum(i.price)::int AS total FROM orders o JOIN items i ON i.order_id = o.id GROUP BY o.id',
    keyColumns: ['id'],
    dependsOn: [
      { table: 'orders', keyColumns: ['id'] },
      { table: 'items', keyColumns: ['order_id'] },
    ],
  }
  const { run, told, source } = await scene(t, sql, [{ name: 'totals', view }])
  await run('INSERT INTO orders VALUES (1, 7), (2, 8); INSERT INTO items VALUES (1, 1, 10), (2, 1, 5), (3, 2, 1)')
  await run('UPDATE items SET order_id = 2 WHERE id = 2')
  await run('DELETE FROM items WHERE id = 1')
  assert.deepEqual(await told(), [['totals:1', 'totals:2'], ['totals:1', 'totals:2'], ['totals:1']])
  const { rows } = await source.load('totals', ['1', '2'])
  assert.deepEqual(rows.map(row => row && Buffer.from(row).toString()), [null, '{"id":2,"customer":8,"total":6}']) // prettier-ignore
  await assert.rejects(source.write([{ keyspace: 'totals', id: '1', operation: update({ total: '1' }) }]), {
    code: 'ROW_OPERATION',
  })
})

test('TRUNCATE is a reset, and the hold is lost: another epoch', { skip }, async t => {
  const { run, told, source, reader } = await scene(t)
  const before = (await source.position()).epoch
  await run(`INSERT INTO cities VALUES (1, 'A'); TRUNCATE cities`)
  assert.deepEqual(await told(), ['a table was truncated'])
  assert.notEqual((await source.position()).epoch, before)
  await assert.rejects(reader.feed.snapshot(), { code: 'FEED_LOST' })
})

test('a table that was altered is a reset, and of another epoch', { skip }, async t => {
  const { run, told, source, reader } = await scene(t)
  await run(`INSERT INTO cities VALUES (1, 'A')`)
  assert.deepEqual(await told(), [['cities:1']])
  const before = (await source.position()).epoch
  await run('ALTER TABLE cities RENAME COLUMN note TO remark')
  await run(`INSERT INTO cities VALUES (2, 'A')`)
  assert.deepEqual(await told(), ['public.cities was altered'])
  await assert.rejects(reader.feed.snapshot(), { code: 'FEED_LOST' })
  assert.match((await source.load('cities', ['1'])).rows[0]!.toString(), /^/)
  assert.notEqual((await source.position()).epoch, before)
})

test(
  'a rewrite without row events is of another epoch, seen by the next sample and the next snapshot',
  { skip },
  async t => {
    const { run, source, reader } = await scene(t, citiesSql)
    await run(`INSERT INTO cities VALUES (1, 'A', '5')`)
    const before = (await source.position()).epoch
    await run('ALTER TABLE cities ALTER COLUMN note TYPE text USING note || note, ALTER COLUMN note SET DEFAULT 1')
    assert.notEqual((await source.position()).epoch, before)
    await assert.rejects(reader.feed.snapshot(), { code: 'FEED_LOST' })
  },
)

test('the same table in another transaction is not told as altered after VACUUM and ANALYZE', { skip }, async t => {
  const { run, told, source, reader } = await scene(t)
  await run(`INSERT INTO cities VALUES (1, 'A')`)
  await told()
  const before = (await source.position()).epoch
  await run('VACUUM cities')
  await run('ANALYZE cities')
  await run('CREATE INDEX ON cities (name)')
  await run(`INSERT INTO cities VALUES (2, 'A')`)
  assert.deepEqual(await told(), [['cities:2']])
  assert.equal((await source.position()).epoch, before)
  await reader.feed.snapshot()
})

test(
  'a heartbeat comes back as a transaction without events, and others of the log are passed over',
  { skip },
  async t => {
    const { run, reader, source } = await scene(t)
    await run('CREATE TABLE others (n int)')
    await run('INSERT INTO others VALUES (1)')
    await run(`SELECT pg_logical_emit_message(false, 'other', 'x')`)
    const items = await reader.catchUp(source)
    assert.deepEqual(eventsOf(items), [])
    assert.equal(items.at(-1)!.kind, 'transaction')
  },
)

test('a snapshot sees a transaction once it is visible, which may be after it was told', { skip }, async t => {
  const { source, reader, options } = await scene(t)
  const name = options.connection.url?.split('/').at(-1)
  const client = await server.connect(name)
  await client.query('BEGIN')
  const { rows } = await client.query<{ xid: string }>(
    `INSERT INTO cities VALUES (1, 'A') RETURNING pg_current_xact_id()::text AS xid`,
  )
  const xid = BigInt(rows[0]!.xid)
  const during = await reader.feed.snapshot()
  assert.ok(during.inProgress.includes(xid) || during.xmax <= xid)
  await client.query('COMMIT')
  await client.end()
  const events = eventsOf(await reader.catchUp(source))
  assert.deepEqual(events.map(event => event.xid), [xid]) // prettier-ignore
  const after = await reader.feed.snapshot()
  assert.ok(after.xmax > xid && !after.inProgress.includes(xid))
})

test(
  'a transaction with more keys than are kept is a reset, and is not held in memory',
  { skip, timeout: 120_000 },
  async t => {
    const { run, reader, source } = await scene(t)
    await run(`INSERT INTO cities SELECT n, 'A' FROM generate_series(1, 1000000) n`)
    let peakBytes = 0
    const { position } = await source.position()
    await reader.feed.heartbeat()
    const items = []
    const watch = setInterval(() => {
      peakBytes = Math.max(peakBytes, process.memoryUsage().heapUsed)
    }, 20)
    const beforeBytes = process.memoryUsage().heapUsed
    while (items.length === 0 || items.at(-1)!.lsn <= position) items.push(...(await reader.feed.next()))
    clearInterval(watch)
    assert.deepEqual(items.filter(item => item.kind === 'reset').map(item => item.reason), [`a transaction changed more than ${limits.transactionKeysMax} keys`]) // prettier-ignore
    const grownBytes = peakBytes - beforeBytes
    assert.ok(grownBytes < 200_000_000, `the heap grew by ${grownBytes} bytes`)
  },
)

test('while nobody asks, reading stops and the database waits; nothing is lost by it', { skip }, async t => {
  const { run, reader, source } = await scene(t)
  for (let i = 0; i < 40; i++) await run(`INSERT INTO cities SELECT n, repeat('x', 1000) FROM generate_series(${i * 1000}, ${i * 1000 + 999}) n`) // prettier-ignore
  // The stream stands: what was sent stays behind what was written.
  const lag = `SELECT pg_current_wal_insert_lsn() - sent_lsn AS bytes FROM pg_stat_replication WHERE application_name = 'tidemark'`
  await new Promise(resolve => setTimeout(resolve, 300))
  const [row] = await server.query(lag)
  assert.ok(Number(row!['bytes']) > 1_000_000, `${String(row!['bytes'])} bytes behind`)
  const events = eventsOf(await reader.catchUp(source))
  assert.deepEqual([events.length, new Set(events.map(event => event.key)).size], [40_000, 40_000])
})

test(
  'an unlogged table, a key that is not in the replica identity, and a filtered publication are reported',
  { skip },
  async t => {
    const name = await server.createDatabase(`
    CREATE UNLOGGED TABLE a (id int PRIMARY KEY);
    CREATE TABLE b (id int PRIMARY KEY, other int NOT NULL UNIQUE);
    ALTER TABLE b REPLICA IDENTITY USING INDEX b_other_key;
    CREATE TABLE c (id int PRIMARY KEY);
    ALTER TABLE c REPLICA IDENTITY NOTHING`)
    const keyspaces = ['a', 'b', 'c'].map(table => ({ name: table, table }))
    const feed = new PostgresFeed(optionsFor(server, keyspaces, { name }))
    t.after(() => feed.close())
    await assert.rejects(feed.open(undefined), (error: { code?: string; message?: string }) => {
      assert.equal(error.code, 'FEED_SETUP')
      assert.match(error.message!, /public\.a is unlogged.*ALTER TABLE public\.a SET LOGGED/)
      assert.match(error.message!, /public\.b: .*without id.*ALTER TABLE public\.b REPLICA IDENTITY FULL/)
      assert.match(error.message!, /public\.c: .*without id/)
      return true
    })
    await server.query(`ALTER TABLE a SET LOGGED; ALTER TABLE b REPLICA IDENTITY DEFAULT; ALTER TABLE c REPLICA IDENTITY FULL;
    CREATE PUBLICATION tidemark FOR TABLE a WHERE (id > 5), b WITH (publish = 'insert')`, [], name) // prettier-ignore
    const again = new PostgresFeed(optionsFor(server, keyspaces, { name }))
    t.after(() => again.close())
    await assert.rejects(again.open(undefined), { code: 'FEED_SETUP', message: /leaves out some operations[^]*filters rows of public\.a/ }) // prettier-ignore
  },
)

test('a table that leaves the publication, or is unlogged, ends the hold and the proofs', { skip }, async t => {
  for (const [undo, redo] of [
    ['ALTER PUBLICATION tidemark DROP TABLE cities', ''],
    ['ALTER TABLE cities SET UNLOGGED', 'ALTER TABLE cities SET LOGGED'],
  ] as const) {
    const { run, source, reader, options } = await scene(t)
    const before = (await source.position()).epoch
    await run(`INSERT INTO cities VALUES (1, 'A')`)
    if (undo.includes('UNLOGGED')) await run('DROP PUBLICATION tidemark')
    await run(undo.includes('UNLOGGED') ? undo : undo)
    assert.notEqual((await source.position()).epoch, before)
    await assert.rejects(reader.feed.snapshot(), { code: 'FEED_LOST' })
    await reader.feed.close()
    if (redo !== '') await run(redo)
    // The next one mends what can be mended: the publication, and the slot if the publication is a new one.
    const next = await reopen(t, options)
    await run(`INSERT INTO cities VALUES (2, 'A')`)
    assert.deepEqual((await next.told(source)).at(-1), ['cities:2'])
  }
})
