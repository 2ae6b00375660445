// SqliteSource as a whole, on real files with real second connections and processes: loads, positions, group commit,
// locks, polling, changes of the schema and of the file itself. Time is moved by hand.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { seededRandom } from '../../src/base/random.ts'
import { SqliteSource } from '../../src/source/sqlite-source.ts'
import { ManualClock } from '../../src/testing/clock.ts'
import {
  codeOf,
  citiesSql, loadTexts, makeFile, makeSource, optionsFor, outcomeOf, remove, replace, textOf, update, writeOne,
} from './fixture.ts' // prettier-ignore

const cities = [{ name: 'cities', table: 'cities' }]
test('loads come back in the order asked, duplicates and missing rows included, past the batch limit', async t => {
  const { source, outside } = await makeSource(t)
  outside.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO cities (id, name) SELECT i, 'c' || i FROM n WHERE i % 3 <> 0`)
  const ids = Array.from({ length: 3000 }, (_, i) => String((i * 7919) % 2100))
  const { rows } = await source.load('cities', ids)
  assert.equal(rows.length, ids.length)
  for (const [i, id] of ids.entries()) {
    const expected = Number(id) % 3 === 0 || Number(id) > 2000 ? null : `c${id}`
    const name = rows[i] === null ? null : (JSON.parse(textOf(rows[i])!) as { name: string }).name
    assert.equal(name, expected, `id ${id}`)
  }
  assert.deepEqual((await source.load('cities', [])).rows, [])
})

test('positions of a call are drawn in order: xid, changes, at, commit; and the feed is told before the promise', async t => {
  const { source, feed } = await makeSource(t)
  const before = source.end
  const order: string[] = []
  source.subscribe({ changes: () => order.push('told'), reset() {}, sample() {} })
  const result = await source
    .write([
      { keyspace: 'cities', id: '1', operation: update({ name: 'A' }) },
      { keyspace: 'cities', id: '2', operation: update({ name: 'B' }) },
      { keyspace: 'cities', id: '3', operation: remove },
      { keyspace: 'cities', id: '1', operation: update({ note: 'x' }) },
    ])
    .finally(() => order.push('resolved'))
  assert.deepEqual(order, ['told', 'resolved'])
  const { xid, at, epoch, upto } = result.stamp
  assert.deepEqual([xid, at, upto], [before + 1n, before + 5n, before + 6n])
  assert.equal(epoch, source.epoch)
  assert.equal(source.end, upto)
  const lsn = upto
  // The second change of cities:1 is the one that counts; cities:3 was not there.
  const events = [
    { key: 'cities:1', xid, lsn, change: before + 4n },
    { key: 'cities:2', xid, lsn, change: before + 3n },
  ]
  assert.deepEqual(feed.take(), [{ what: 'changes', position: lsn, events }])
})

test('a write that changed nothing still has a stamp, and no event', async t => {
  const { source, feed } = await makeSource(t)
  const { stamp } = await writeOne(source, 'cities:1', remove)
  assert.ok(stamp.xid < stamp.at && stamp.at < stamp.upto)
  assert.deepEqual(feed.take(), [{ what: 'changes', position: stamp.upto, events: [] }])
  const empty = await source.write([])
  assert.ok(empty.outcomes.length === 0 && empty.stamp.xid > stamp.upto)
})

test('a load sees all transactions before it and none after', async t => {
  const { source } = await makeSource(t)
  const first = (await writeOne(source, 'cities:1', update({ name: 'A' }))).stamp
  const { stamp } = await source.load('cities', ['1'])
  const next = (await writeOne(source, 'cities:1', update({ name: 'B' }))).stamp
  assert.ok(first.xid < stamp.snapshot.xmin && next.xid >= stamp.snapshot.xmax)
  assert.deepEqual([stamp.flush, stamp.upto, stamp.epoch], [first.upto, first.upto, source.epoch])
  assert.deepEqual([stamp.snapshot.exact, stamp.snapshot.inProgress], [true, []])
})

test('each opening is an epoch of its own', async t => {
  const { file } = makeFile(t, citiesSql)
  const random = seededRandom(1)
  const epochs = new Set<bigint>()
  for (let i = 0; i < 20; i++) {
    const source = await SqliteSource.open({ ...optionsFor(file, cities, new ManualClock()), random })
    epochs.add(source.epoch)
    assert.ok(source.epoch >= 0n && source.epoch < 2n ** 64n)
    await source.close()
  }
  assert.equal(epochs.size, 20)
})

test('concurrent calls share one commit, and one that fails rolls back alone', async t => {
  const { source, outside, feed } = await makeSource(t)
  const version = (): unknown => outside.prepare('PRAGMA data_version').get()?.['data_version']
  const before = Number(version())
  const calls = ['1', '2', '3', '4'].map(id =>
    source.write([
      { keyspace: 'cities', id, operation: update({ name: id }) },
      { keyspace: 'cities', id: `1${id}`, operation: id === '2' ? update({ note: 'no name' }) : update({ name: id }) },
    ]),
  )
  const settled = await Promise.allSettled(calls)
  assert.deepEqual(
    settled.map(result => result.status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  )
  assert.equal(Number(version()), before + 1, 'one commit')
  const names = outside
    .prepare('SELECT id FROM cities ORDER BY id')
    .all()
    .map(row => row['id'])
  assert.deepEqual(names, [1, 3, 4, 11, 13, 14])
  const told = feed.take()
  assert.deepEqual(
    told.map(({ what }) => what),
    ['changes', 'changes', 'changes'],
  )
  const stamps = settled.flatMap(result => (result.status === 'fulfilled' ? [result.value.stamp.upto] : []))
  assert.deepEqual(
    told.map(({ position }) => position),
    stamps,
  )
})

test('a foreign key that is checked at commit refuses its own call only', async t => {
  const sql = `CREATE TABLE cities (id INTEGER PRIMARY KEY, near INTEGER REFERENCES cities DEFERRABLE INITIALLY DEFERRED) STRICT`
  const { source, feed } = await makeSource(t, sql)
  const calls = [replace('{}'), replace('{"near":77}'), replace('{"near":1}'), replace('{"near":4}')]
  const codes = await Promise.all(calls.map((operation, i) => codeOf(writeOne(source, `cities:${i + 1}`, operation))))
  assert.deepEqual(codes, ['resolved', 'ROW_INVALID', 'resolved', 'resolved'])
  assert.deepEqual(await loadTexts(source, 'cities', ['1', '2', '3', '4']), [
    '{"id":1,"near":null}',
    null,
    '{"id":3,"near":1}',
    '{"id":4,"near":4}',
  ])
  const keys = feed.take().flatMap(told => (told.what === 'changes' ? told.events.map(event => event.key) : []))
  assert.deepEqual(keys, ['cities:1', 'cities:3', 'cities:4'])
})

test('an error that ends the whole transaction refuses its own call only', async t => {
  const sql = `${citiesSql};
    CREATE TRIGGER veto BEFORE INSERT ON cities WHEN new.name = 'veto' BEGIN SELECT RAISE(ROLLBACK, 'vetoed'); END`
  const { source, outside } = await makeSource(t, sql)
  const names = ['A', 'B', 'veto', 'C', 'veto', 'D']
  const codes = await Promise.all(names.map((name, i) => codeOf(writeOne(source, `cities:${i}`, update({ name })))))
  assert.deepEqual(
    codes,
    names.map(name => (name === 'veto' ? 'ROW_INVALID' : 'resolved')),
  )
  const rows = outside.prepare('SELECT name FROM cities ORDER BY id').all()
  assert.deepEqual(
    rows.map(row => row['name']),
    ['A', 'B', 'C', 'D'],
  )
})

test('a write that the disk has no room for fails and changes nothing, and the next one works', async t => {
  const { file, outside } = makeFile(t, citiesSql)
  // A limit on file sizes stands for a full disk; with its signal ignored, a write past it is an error.
  const script = join(import.meta.dirname, 'write-past-limit.ts')
  const shell = 'trap "" XFSZ; ulimit -f 2048; exec "$0" --conditions=tidemark-source "$1" "$2"'
  const child = spawnSync('sh', ['-c', shell, process.execPath, script, file], { encoding: 'utf8' })
  assert.equal(child.stdout, 'resolved\nSOURCE_FAILED\nresolved\n', child.stderr)
  const rows = outside.prepare('SELECT id FROM cities ORDER BY id').all()
  assert.deepEqual(
    rows.map(row => row['id']),
    [1, 3],
  )
})

test('a locked database is retried on the clock while loads go on, and the write succeeds', async t => {
  const { source, outside, clock, feed } = await makeSource(t)
  await writeOne(source, 'cities:1', update({ name: 'A' }))
  feed.take()
  outside.exec(`BEGIN IMMEDIATE; UPDATE cities SET note = 'outside'`)
  let state = 'waiting'
  const write = outcomeOf(source, 'cities:1', update({ name: 'B' })).finally(() => (state = 'settled'))
  for (let i = 0; i < 10; i++) {
    await nextTurn()
    clock.advance(20)
    assert.match((await loadTexts(source, 'cities', ['1']))[0]!, /"name":"A"/)
  }
  assert.equal(state, 'waiting')
  const second = outcomeOf(source, 'cities:2', update({ name: 'C' }))
  outside.exec('COMMIT')
  await nextTurn()
  clock.advance(60)
  const outcome = await write
  assert.match(textOf(outcome.before)!, /"note":"outside"/)
  assert.equal((await second).changed, true)
  // Our commit does not hide the one before it.
  source.poll()
  assert.deepEqual(feed.kinds(), ['changes', 'changes', 'reset', 'sample', 'changes'])
})

test('a database that stays locked fails clearly after busyTimeoutMs, and changes nothing', async t => {
  const { source, outside, clock, feed } = await makeSource(t)
  outside.exec('BEGIN IMMEDIATE')
  const first = codeOf(writeOne(source, 'cities:1', update({ name: 'A' })))
  await nextTurn()
  clock.advance(600)
  const rejected = assert.rejects(writeOne(source, 'cities:2', update({ name: 'B' })), {
    code: 'SOURCE_BUSY',
    message: /data\.db stayed locked by another process for 1000 ms \(setting busyTimeoutMs\)/,
  })
  await nextTurn()
  clock.advance(399)
  assert.equal(await Promise.race([first, nextTurn('waiting')]), 'waiting')
  clock.advance(1)
  assert.equal(await first, 'SOURCE_BUSY')
  clock.advance(600)
  await rejected
  outside.exec('COMMIT')
  await nextTurn()
  clock.advance(60)
  assert.deepEqual(await loadTexts(source, 'cities', ['1', '2']), [null, null])
  assert.deepEqual(feed.take(), [])
  assert.equal(clock.pending, 0)
})

test('the retries are spread out, not a busy loop', async t => {
  const { source, outside, clock } = await makeSource(t)
  outside.exec('BEGIN IMMEDIATE')
  const write = codeOf(writeOne(source, 'cities:1', update({ name: 'A' })))
  await nextTurn()
  let tries = 0
  const timer = clock.timer.bind(clock)
  clock.timer = (delayMs, callback, options) => {
    tries++
    return timer(delayMs, callback, options)
  }
  clock.advance(1000)
  assert.equal(await write, 'SOURCE_BUSY')
  assert.ok(tries > 15 && tries < 60, `${tries} tries in a second`)
})

test('what cannot be opened is refused with the reason', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-sqlite-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const open = (file: string): Promise<SqliteSource> => SqliteSource.open(optionsFor(file, cities, new ManualClock()))
  await assert.rejects(open(join(folder, 'none.db')), {
    code: 'SOURCE_UNAVAILABLE',
    message: /there is no database .*none\.db/,
  })
  const noDatabase = join(folder, 'text.db')
  writeFileSync(noDatabase, 'this is no database at all, but it is long enough to look at'.repeat(50))
  await assert.rejects(open(noDatabase), { code: 'SOURCE_FAILED', message: /text\.db: file is not a database/ })
  await assert.rejects(open(folder), { code: 'SOURCE_UNAVAILABLE' })
})

test('a file that may only be read is refused when it is opened', async t => {
  const { file, folder, outside } = makeFile(t, citiesSql)
  outside.close()
  chmodSync(file, 0o444)
  const asRoot = process.getuid?.() === 0
  // Root may write everything, so the test goes on as nobody.
  if (asRoot) {
    chmodSync(folder, 0o777)
    process.seteuid!(65_534)
  }
  try {
    const opening = SqliteSource.open(optionsFor(file, cities, new ManualClock()))
    await assert.rejects(opening, { code: 'SOURCE_UNAVAILABLE', message: /data\.db cannot be written: / })
  } finally {
    if (asRoot) process.seteuid!(0)
  }
})

test('opening waits for a lock up to busyTimeoutMs', async t => {
  const { file, outside } = makeFile(t, citiesSql)
  outside.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE')
  const clock = new ManualClock()
  const late = SqliteSource.open(optionsFor(file, cities, clock))
  const code = codeOf(late)
  clock.advance(1000)
  for (let i = 0; i < 100; i++) {
    await nextTurn()
    clock.advance(50)
  }
  assert.equal(await code, 'SOURCE_BUSY')
  const opening = SqliteSource.open(optionsFor(file, cities, clock))
  outside.exec('COMMIT')
  outside.close()
  await nextTurn()
  clock.advance(50)
  const source = await opening
  await source.close()
})

test('the file is in WAL mode with synchronous = FULL, whatever it was before', async t => {
  const { file, outside } = makeFile(t, citiesSql)
  outside.exec('PRAGMA journal_mode = DELETE')
  outside.close()
  const source = await SqliteSource.open(optionsFor(file, cities, new ManualClock()))
  const other = new DatabaseSync(file)
  assert.equal(other.prepare('PRAGMA journal_mode').get()?.['journal_mode'], 'wal')
  other.close()
  await source.close()
})

test('closing commits what is queued, then refuses everything', async t => {
  const { source, outside, clock, feed } = await makeSource(t)
  source.start()
  const queued = outcomeOf(source, 'cities:1', update({ name: 'A' }))
  await source.close()
  assert.equal((await queued).changed, true)
  assert.equal(outside.prepare('SELECT name FROM cities').get()?.['name'], 'A')
  assert.equal(await codeOf(source.load('cities', ['1'])), 'SHUTTING_DOWN')
  assert.equal(await codeOf(writeOne(source, 'cities:1', remove)), 'SHUTTING_DOWN')
  feed.take()
  source.poll()
  clock.advance(1000)
  await source.close()
  assert.deepEqual([feed.take(), clock.pending], [[], 0])
})

test('closing while the database is locked refuses what is queued', async t => {
  const { source, outside, clock } = await makeSource(t)
  outside.exec('BEGIN IMMEDIATE')
  const queued = codeOf(writeOne(source, 'cities:1', update({ name: 'A' })))
  await nextTurn()
  await source.close()
  assert.equal(await queued, 'SHUTTING_DOWN')
  assert.equal(clock.pending, 0)
})

test('integers past 2^53 as keys do not disturb commits', async t => {
  const { source } = await makeSource(t)
  for (const id of ['9223372036854775807', '-9223372036854775808', '9007199254740993']) {
    assert.equal((await outcomeOf(source, `cities:${id}`, update({ name: 'A' }))).changed, true)
    await source.load('cities', [id])
    await writeOne(source, 'cities:1', remove)
    assert.match((await loadTexts(source, 'cities', [id]))[0]!, new RegExp(`^{"id":${id},`))
  }
})
