// What the outbox tells, and how it differs from the log: order by transaction ids, held back by whoever is still at work.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { FeedItem } from '../../src/source/change-feed.ts'
import { PostgresOutbox } from '../../src/source/postgres-outbox.ts'
import type { PostgresFeedOptions, PostgresKeyspace } from '../../src/source/postgres-options.ts'
import type { PostgresSource } from '../../src/source/postgres-source.ts'
import { onceFree, openSource, optionsFor, replace, serveTests, skip, writeOne } from './postgres-scene.ts'

const server = await serveTests({ settings: { wal_level: 'replica' } })

const citiesSql = 'CREATE TABLE cities (id bigint PRIMARY KEY, name text)'

interface Scene {
  readonly name: string
  readonly options: PostgresFeedOptions
  readonly source: PostgresSource
  readonly feed: PostgresOutbox
  run(sql: string): Promise<void>
  told(): Promise<(string[] | string)[]>
}

async function read(feed: PostgresOutbox, source: PostgresSource): Promise<FeedItem[]> {
  const { position } = await source.position()
  await feed.heartbeat()
  const items: FeedItem[] = []
  while (items.length === 0 || items.at(-1)!.lsn <= position) items.push(...(await feed.next()))
  return items
}

async function scene(
  t: TestContext,
  sql = citiesSql,
  keyspaces: readonly PostgresKeyspace[] = [{ name: 'cities' }],
): Promise<Scene> {
  const name = await server.createDatabase(sql)
  const options = { ...optionsFor(server, keyspaces, { name }), log: { kind: 'outbox', schema: 'tidemark' } as const }
  const feed = new PostgresOutbox(options)
  t.after(() => feed.close())
  await feed.open(undefined)
  const source = await openSource(t, options)
  return {
    name,
    options,
    source,
    feed,
    run: async text => {
      await server.query(text, [], name)
    },
    told: async () =>
      (await read(feed, source))
        .filter(item => item.kind === 'reset' || item.events.length > 0)
        .map(item => (item.kind === 'reset' ? item.reason : item.events.map(event => event.key).sort())),
  }
}

test('rows changed in any way are told, by key before and after; TRUNCATE is a reset', { skip }, async t => {
  const { run, told } = await scene(t)
  await run(`INSERT INTO cities VALUES (1, 'A'), (2, 'B')`)
  await run('UPDATE cities SET id = 5 WHERE id = 1')
  await run('BEGIN; DELETE FROM cities WHERE id = 2; ROLLBACK')
  await run(`SET session_replication_role = replica; DELETE FROM cities WHERE id = 2`)
  assert.deepEqual(await told(), [['cities:1', 'cities:2'], ['cities:1', 'cities:5'], ['cities:2']])
  await run('TRUNCATE cities')
  assert.deepEqual(await told(), ['a table was truncated'])
})

test('keys of all types are told as rows are found by them', { skip }, async t => {
  const sql = `CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE things (a mood, b char(5), c timestamptz, d bytea, e boolean, f numeric(10,2), PRIMARY KEY (a, b, c, d, e, f))`
  const { run, told, source } = await scene(t, sql, [{ name: 'things' }])
  await run(String.raw`SET timezone = 'Asia/Tokyo'; SET datestyle = 'German';
    INSERT INTO things VALUES ('ok', 'a:', '2026-11-23 10:00:00.5+00', '\x00ff', true, 12.5)`)
  const [[key]] = (await told()) as [[string]]
  assert.equal(key, 'things:ok:a%3A:2026-11-23 10%3A00%3A00.5+00:00ff:t:12.50')
  const { rows } = await source.load('things', [key.slice('things:'.length)])
  assert.notEqual(rows[0], null)
})

test(
  'a transaction at work holds back those after it, and proofs with them; then all are told, in order',
  { skip },
  async t => {
    const { run, source, feed, name } = await scene(t)
    await read(feed, source)
    const slow = await server.connect(name)
    await slow.query('BEGIN')
    await slow.query(`INSERT INTO cities VALUES (1, 'slow')`)
    await run(`INSERT INTO cities VALUES (2, 'fast')`)
    const { position } = await source.position()
    await feed.heartbeat()
    const items: FeedItem[] = []
    const reading = (async () => {
      while (items.length === 0 || items.at(-1)!.lsn <= position) items.push(...(await feed.next()))
    })()
    await wait(150)
    assert.ok(items.every(item => item.lsn < position && item.kind === 'transaction' && item.events.length === 0))
    await slow.query('COMMIT')
    await slow.end()
    await reading
    const keys = items.flatMap(item => (item.kind === 'transaction' ? item.events.map(event => event.key) : []))
    assert.deepEqual(keys, ['cities:1', 'cities:2'])
    for (const [i, item] of items.entries()) assert.ok(i === 0 || item.lsn > items[i - 1]!.lsn)
  },
)

test(
  'positions keep the rules: a row is behind what was over when it was written, and in no doubt about the rest',
  { skip },
  async t => {
    const { source, feed, name } = await scene(t)
    const early = await server.connect(name)
    await early.query('BEGIN')
    const { rows } = await early.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid')
    const before = (await source.write([{ keyspace: 'cities', id: '9', operation: replace('{"name":"A"}') }])).stamp
    const { stamp, outcomes } = await source.write([
      { keyspace: 'cities', id: '1', operation: replace('{"name":"A"}') },
    ])
    assert.equal(outcomes[0]!.exact, true)
    await early.query(`UPDATE cities SET name = 'later' WHERE id = 1`)
    await early.query('COMMIT')
    await early.end()
    const items = await read(feed, source)
    const lsnOf = (xid: bigint): bigint => items.find(item => item.xid === xid)!.lsn
    // It changed the row later, with a smaller id.
    assert.ok(stamp.at < lsnOf(BigInt(rows[0]!.xid)))
    assert.ok(stamp.at < lsnOf(stamp.xid) && lsnOf(stamp.xid) <= stamp.upto && before.at <= stamp.at)
    const later = (await source.write([{ keyspace: 'cities', id: '1', operation: replace('{"name":"B"}') }])).stamp
    assert.ok(lsnOf(stamp.xid) < later.at)
  },
)

test('what is confirmed is forgotten, and not told again; what is not, is', { skip }, async t => {
  const { source, feed, name, options } = await scene(t)
  await writeOne(source, 'cities', '1', replace('{"name":"A"}'))
  const first = await read(feed, source)
  await writeOne(source, 'cities', '2', replace('{"name":"A"}'))
  await read(feed, source)
  feed.confirm(first.at(-1)!.lsn)
  const left = 'SELECT count(*)::int AS n FROM tidemark.changes'
  while ((await server.query(left, [], name))[0]!['n'] !== 1) await wait(10)
  await feed.close()
  const next = new PostgresOutbox(options)
  t.after(() => next.close())
  const { confirmed } = await next.open(0n)
  assert.equal(confirmed, first.at(-1)!.lsn)
  const items = await read(next, source)
  const keys = items.flatMap(item => (item.kind === 'transaction' ? item.events.map(event => event.key) : []))
  assert.deepEqual(keys, ['cities:2'])
})

test('there is one reader, and a stuck one is put out', { skip }, async t => {
  const { source, feed, options } = await scene(t)
  const other = new PostgresOutbox(options)
  await assert.rejects(other.open(undefined), { code: 'FEED_TAKEN' })
  await other.close()
  const evicting = new PostgresOutbox(options)
  await evicting.evict()
  await evicting.close()
  await assert.rejects(async () => {
    for (;;) await feed.next()
  }, { code: 'FEED_LOST' }) // prettier-ignore
  const next = await onceFree(async () => {
    const opening = new PostgresOutbox(options)
    t.after(() => opening.close())
    await opening.open(undefined)
    return opening
  })
  await read(next, source)
})

test('a transaction larger than one page is told once, and whole', { skip }, async t => {
  const { run, feed, source } = await scene(t)
  await run(`INSERT INTO cities SELECT n, 'A' FROM generate_series(1, 40000) n`)
  await run(`INSERT INTO cities VALUES (0, 'A')`)
  const items = (await read(feed, source)).filter(item => item.kind === 'transaction' && item.events.length > 0)
  assert.deepEqual(items.map(item => (item.kind === 'transaction' ? item.events.length : 0)), [40_000, 1]) // prettier-ignore
  const large = items[0]
  assert.ok(large?.kind === 'transaction')
  // Parts of it have positions of their own, all within the transaction.
  const changes = large.events.map(event => event.change)
  assert.equal(new Set(changes).size, 40_000)
  assert.ok(changes.every(change => change < large.lsn && change > large.lsn - (1n << 24n)))
})

test('a trigger that is switched off ends the hold, and the next reader mends it', { skip }, async t => {
  const { run, source, feed, options } = await scene(t)
  const before = (await source.position()).epoch
  await run('ALTER TABLE cities DISABLE TRIGGER ALL')
  assert.notEqual((await source.position()).epoch, before)
  await assert.rejects(feed.snapshot(), { code: 'FEED_LOST' })
  await feed.close()
  const next = new PostgresOutbox(options)
  t.after(() => next.close())
  await next.open(undefined)
  await run(`INSERT INTO cities VALUES (7, 'A')`)
  const items = await read(next, source)
  const keys = items.flatMap(item => (item.kind === 'transaction' ? item.events.map(event => event.key) : []))
  assert.deepEqual(keys, ['cities:7'])
})
