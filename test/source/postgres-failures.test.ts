// What source and feed do when the database is killed, frozen, failed over, or forgets its log; on real servers.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { PostgresFeed } from '../../src/source/postgres-feed.ts'
import { PostgresSource } from '../../src/source/postgres-source.ts'
import { PostgresServer, type PostgresOptions } from '../support/postgres.ts'
import { eventsOf, loadTexts, openReader, openSource, optionsFor, remove, reopen, replace, skip, update, writeOne } from './postgres-scene.ts' // prettier-ignore

const citiesSql = 'CREATE TABLE cities (id bigint PRIMARY KEY, name text NOT NULL)'
const keyspaces = [{ name: 'cities', table: 'cities' }]

interface Scene {
  readonly server: PostgresServer
  readonly options: ReturnType<typeof optionsFor>
  readonly source: PostgresSource
}

async function scene(t: TestContext, options: PostgresOptions = {}): Promise<Scene> {
  const server = (await PostgresServer.start(options))!
  t.after(() => server.close())
  await server.query(citiesSql)
  const made = optionsFor(server, keyspaces)
  return { server, options: made, source: await openSource(t, made) }
}

function slotOf(options: Scene['options']): string {
  assert.equal(options.log.kind, 'publication')
  return options.log.kind === 'publication' ? options.log.slot : ''
}

test(
  'a kill -9 of the database ends the hold; after the restart it is another epoch, and the log goes on',
  { skip },
  async t => {
    const { server, options, source } = await scene(t)
    const reader = await openReader(t, options)
    const before = (await source.position()).epoch
    const lost = assert.rejects(async () => {
    for (;;) await reader.feed.next()
  }, { code: 'FEED_LOST' }) // prettier-ignore
    await server.kill()
    await lost
    for (const call of [reader.feed.next(), reader.feed.snapshot(), reader.feed.heartbeat()]) {
      await assert.rejects(call, { code: 'FEED_LOST' })
    }
    await assert.rejects(source.position(), { code: 'SOURCE_UNAVAILABLE' })
    await assert.rejects(source.load('cities', ['1']), { code: 'SOURCE_UNAVAILABLE' })
    await server.start()
    assert.notEqual((await source.position()).epoch, before)
    assert.equal((await source.load('cities', ['1'])).stamp.epoch, source.epoch)
    const next = await openReader(t, options)
    await writeOne(source, 'cities', '1', replace('{"name":"A"}'))
    assert.deepEqual(await next.told(source), [['cities:1']])
  },
)

test(
  'a crash of one process, after which the same postmaster restarts all others, is another epoch',
  { skip },
  async t => {
    const { server, options, source } = await scene(t)
    const before = (await source.position()).epoch
    const postmaster = server.pid
    const victim = await server.connect()
    const { rows } = await victim.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const started = `SELECT backend_start::text FROM pg_stat_activity WHERE backend_type = 'checkpointer'`
    const [checkpointer] = await server.query(started)
    process.kill(rows[0]!.pid, 'SIGKILL')
    let now: unknown = checkpointer!['backend_start']
    while (now === checkpointer!['backend_start']) {
      now = await server.query(started).then(found => found[0]?.['backend_start'], () => wait(20, now)) // prettier-ignore
    }
    const after = (await source.position()).epoch
    assert.equal(server.pid, postmaster)
    assert.notEqual(after, before)
    const { stamp } = await source.write([{ keyspace: 'cities', id: '1', operation: replace('{"name":"A"}') }])
    assert.equal(stamp.epoch, after)
    // A feed comes to the same one.
    const feed = new PostgresFeed(options)
    t.after(() => feed.close())
    assert.equal((await feed.open(undefined)).epoch, (await source.position()).epoch)
  },
)

test('a clean restart is the same epoch: transaction ids and positions go on', { skip }, async t => {
  const { server, options, source } = await scene(t)
  const feed = new PostgresFeed(options)
  t.after(() => feed.close())
  const { epoch } = await feed.open(undefined)
  // The publication is new, which the next sample notices.
  assert.equal((await source.position()).epoch, epoch)
  const first = await source.write([{ keyspace: 'cities', id: '1', operation: replace('{"name":"A"}') }])
  assert.equal(first.stamp.epoch, epoch)
  await server.stop()
  await server.start()
  const second = await source.write([{ keyspace: 'cities', id: '1', operation: replace('{"name":"B"}') }])
  assert.equal(second.stamp.epoch, first.stamp.epoch)
  assert.ok(second.stamp.xid > first.stamp.xid && second.stamp.at > first.stamp.at)
})

test('a dropped slot is made anew, and what is confirmed then lies past every mark of before', { skip }, async t => {
  const { server, options, source } = await scene(t)
  const reader = await openReader(t, options)
  await writeOne(source, 'cities', '1', replace('{"name":"A"}'))
  const mark = (await reader.catchUp(source)).at(-1)!.lsn
  await reader.feed.close()
  while ((await server.query('SELECT FROM pg_replication_slots WHERE active')).length > 0) await wait(10)
  await server.query('SELECT pg_drop_replication_slot($1)', [slotOf(options)])
  await writeOne(source, 'cities', '1', replace('{"name":"B"}'))
  const feed = new PostgresFeed(options)
  t.after(() => feed.close())
  const { confirmed } = await feed.open(mark)
  assert.ok(confirmed > mark)
})

test(
  'a slot that outgrew max_slot_wal_keep_size ends the hold, and is made anew',
  { skip, timeout: 60_000 },
  async t => {
    const settings = { max_slot_wal_keep_size: '16MB', max_wal_size: '32MB', checkpoint_timeout: '30s' }
    const { server, options, source } = await scene(t, { settings })
    const reader = await openReader(t, options)
    const mark = (await reader.catchUp(source)).at(-1)!.lsn
    // Nobody asks for anything while the log grows.
    for (let i = 0; i < 5; i++) {
      await server.query(
        `INSERT INTO cities SELECT n, repeat('x', 100) FROM generate_series(1, 60000) n; DELETE FROM cities`,
      )
      await server.query('SELECT pg_switch_wal(); CHECKPOINT')
    }
    const [slot] = await server.query('SELECT wal_status FROM pg_replication_slots')
    assert.equal(slot!['wal_status'], 'lost')
    await assert.rejects(async () => {
    for (;;) await reader.feed.next()
  }, { code: 'FEED_LOST' }) // prettier-ignore
    const feed = new PostgresFeed(options)
    t.after(() => feed.close())
    const { confirmed } = await feed.open(mark)
    assert.ok(confirmed > mark)
  },
)

test('a standby is refused; promoted, it is another epoch and has a log of its own', { skip }, async t => {
  const { server, options, source } = await scene(t)
  const standby = await server.standby({ synchronous: true })
  t.after(() => standby.close())
  await writeOne(source, 'cities', '1', replace('{"name":"A"}'))
  const before = await source.position()
  const there = { ...options, connection: { url: standby.url() } }
  await assert.rejects(PostgresSource.open(there), { code: 'SOURCE_UNAVAILABLE', message: /standby/ })
  const early = new PostgresFeed(there)
  t.after(() => early.close())
  await assert.rejects(early.open(undefined), { code: 'SOURCE_UNAVAILABLE' })
  await server.kill()
  await standby.promote()
  const promoted = await openSource(t, there)
  const after = await promoted.position()
  assert.notEqual(after.epoch, before.epoch)
  assert.deepEqual(await loadTexts(promoted, 'cities', '1'), ['{"id":1,"name":"A"}'])
  const reader = await openReader(t, there)
  await writeOne(promoted, 'cities', '1', replace('{"name":"B"}'))
  assert.deepEqual(await reader.told(promoted), [['cities:1']])
})

test('a heartbeat waits for the synchronous standby, snapshots do not', { skip }, async t => {
  const { server, options, source } = await scene(t)
  const standby = await server.standby({ synchronous: true })
  t.after(() => standby.close())
  const reader = await openReader(t, options)
  await reader.catchUp(source)
  standby.pause()
  let beaten = false
  const beat = reader.feed.heartbeat().then(() => {
    beaten = true
  })
  // It is told long before it is visible: the gate is there for this.
  const items = await reader.feed.next()
  assert.equal(items.length, 1)
  const snapshot = await reader.feed.snapshot()
  const { xid } = items[0]!
  assert.ok(xid >= snapshot.xmax || snapshot.inProgress.includes(xid))
  assert.equal(beaten, false)
  standby.resume()
  await beat
  const later = await reader.feed.snapshot()
  assert.ok(xid < later.xmax && !later.inProgress.includes(xid))
})

test(
  'there is one reader; a stuck one is put out, and its successor reads on from where it says',
  { skip },
  async t => {
    const { options, source } = await scene(t)
    const holder = await openReader(t, options)
    const other = new PostgresFeed(options)
    await assert.rejects(other.open(undefined), { code: 'FEED_TAKEN' })
    await other.close()
    await writeOne(source, 'cities', '1', replace('{"name":"A"}'))
    const [first] = eventsOf(await holder.catchUp(source))
    await writeOne(source, 'cities', '2', replace('{"name":"A"}'))
    // Not confirmed, and so told again to whoever asks from there.
    const evicting = new PostgresFeed(options)
    await evicting.evict()
    await evicting.close()
    await assert.rejects(async () => {
    for (;;) await holder.feed.next()
  }, { code: 'FEED_LOST' }) // prettier-ignore
    const next = await reopen(t, options, first!.lsn)
    assert.deepEqual(await next.told(source), [['cities:2']])
  },
)

test('a start before what is confirmed is forwarded, and open says so', { skip }, async t => {
  const { options, source } = await scene(t)
  const reader = await openReader(t, options)
  const began = (await source.position()).position
  await writeOne(source, 'cities', '1', replace('{"name":"A"}'))
  const end = (await reader.catchUp(source)).at(-1)!.lsn
  reader.feed.confirm(end)
  await reader.feed.close()
  const next = new PostgresFeed(options)
  t.after(() => next.close())
  let start: Awaited<ReturnType<PostgresFeed['open']>> | undefined
  while (start === undefined) start = await next.open(began).catch(() => undefined)
  assert.ok(start.confirmed >= end && start.flushed >= start.confirmed)
})

test('a frozen database: calls end with SOURCE_TIMEOUT, and work again when it is thawed', { skip }, async t => {
  const { server, options } = await scene(t)
  const source = await openSource(t, { ...options, timeoutMs: 1_500 })
  await writeOne(source, 'cities', '1', replace('{"name":"A"}'))
  await source.load('cities', ['1'])
  server.pause()
  await assert.rejects(source.load('cities', ['1']), { code: 'SOURCE_TIMEOUT' })
  await assert.rejects(writeOne(source, 'cities', '1', remove), /SOURCE_TIMEOUT|cannot connect/)
  await assert.rejects(source.position(), { code: 'SOURCE_TIMEOUT' })
  server.resume()
  assert.ok((await source.position()).position > 0n)
  await source.load('cities', ['1'])
})

test(
  'a write whose connection is cut while it waits is SOURCE_TIMEOUT: nobody knows whether it took place',
  { skip },
  async t => {
    const { server, source } = await scene(t)
    await writeOne(source, 'cities', '1', replace('{"name":"A"}'))
    const locker = await server.connect()
    await locker.query('BEGIN; SELECT FROM cities WHERE id = 1 FOR UPDATE')
    const write = assert.rejects(writeOne(source, 'cities', '1', update({ name: 'B' })), { code: 'SOURCE_TIMEOUT' })
    const waiting = `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'tidemark'`
    while ((await server.query(waiting)).length === 0) await wait(5)
    await server.query(`SELECT pg_terminate_backend(pid) FROM (${waiting}) AS w`)
    await write
    await locker.end()
    assert.deepEqual(await loadTexts(source, 'cities', '1'), ['{"id":1,"name":"A"}'])
  },
)

test('writes that deadlock or meet the same new row are done again, and none is lost', { skip }, async t => {
  const { source } = await scene(t, { settings: { deadlock_timeout: '20ms' } })
  const ids = ['1', '2', '3', '4']
  const calls = Array.from({ length: 40 }, (_, i) => {
    const order = i % 2 === 0 ? ids : ids.toReversed()
    return source.write(order.map(id => ({ keyspace: 'cities', id, operation: replace(`{"name":"${i}"}`) })))
  })
  const results = await Promise.all(calls)
  const last = results.reduce((a, b) => (a.stamp.at > b.stamp.at ? a : b))
  const after = Buffer.from(last.outcomes[0]!.after!).toString()
  const name = /"name":"(\d+)"/.exec(after)![1]
  assert.deepEqual(
    await loadTexts(source, 'cities', ...ids),
    ids.map(id => `{"id":${id},"name":"${name}"}`),
  )
})
