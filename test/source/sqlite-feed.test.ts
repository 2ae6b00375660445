// What SqliteSource's feed tells: polls, commits of other connections and processes, changes of the schema and of the
// file itself. Time is moved by hand.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  codeOf,
  loadTexts, makeSource, outcomeOf, remove, replace, textOf, update, writeOne,
} from './fixture.ts' // prettier-ignore

test('a quiet poll proves freshness: a sample, then a position past it', async t => {
  const { source, feed, clock } = await makeSource(t)
  const before = source.end
  source.poll()
  assert.deepEqual(feed.take(), [
    { what: 'sample', takenAtMs: clock.monotonicMs(), position: before },
    { what: 'changes', position: before + 1n, events: [] },
  ])
})

test('the sample is taken before the database is asked', async t => {
  const { source, feed, clock } = await makeSource(t)
  const monotonicMs = clock.monotonicMs.bind(clock)
  let reads = 0
  clock.monotonicMs = () => monotonicMs() + 1000 * reads++
  source.poll()
  const sample = feed.take()[0]!
  assert.equal(sample.what === 'sample' && sample.takenAtMs, monotonicMs())
})

test('a commit of another connection resets at the next poll, before its sample', async t => {
  const { source, feed, outside } = await makeSource(t)
  outside.exec(`INSERT INTO cities (id, name) VALUES (1, 'A')`)
  assert.deepEqual(feed.take(), [])
  source.poll()
  const told = feed.take()
  assert.deepEqual(
    told.map(({ what }) => what),
    ['reset', 'sample', 'changes'],
  )
  assert.ok(told[0]!.position <= told[1]!.position && told[1]!.position < told[2]!.position)
  assert.match(told[0]!.what === 'reset' ? told[0]!.reason : '', /another connection/)
  source.poll()
  assert.deepEqual(feed.kinds(), ['sample', 'changes'])
})

test('the position that is asked for covers what others have committed before', async t => {
  const { source, feed, outside } = await makeSource(t)
  const before = source.end
  assert.deepEqual(await source.position(), { position: before, epoch: source.epoch })
  outside.exec(`INSERT INTO cities (id, name) VALUES (1, 'A')`)
  const { position } = await source.position()
  assert.equal(position, before + 1n)
  assert.deepEqual(
    feed.take().map(told => [told.what, told.position]),
    [['reset', position]],
  )
})

test('our own commits and rollbacks do not reset', async t => {
  const { source, feed } = await makeSource(t)
  for (let i = 0; i < 50; i++) {
    await writeOne(source, `cities:${i % 7}`, i % 5 === 4 ? remove : update({ name: String(i) }))
    await codeOf(writeOne(source, 'cities:99', update({ note: 'no name' })))
    source.poll()
  }
  assert.ok(!feed.kinds().includes('reset'))
})

test('our own commit never hides a commit of another connection', async t => {
  const { source, feed, outside } = await makeSource(t)
  await writeOne(source, 'cities:1', update({ name: 'A' }))
  const orders = [
    'outside own',
    'own outside',
    'outside own own',
    'own outside own',
    'outside load own load',
    'outside refused',
  ]
  for (const order of orders) {
    source.poll()
    feed.take()
    for (const step of order.split(' ')) {
      if (step === 'outside') outside.exec(`UPDATE cities SET population = population + 1`)
      else if (step === 'own') {
        const { population } = outside.prepare('SELECT population FROM cities WHERE id = 1').get() as {
          population: number
        }
        const outcome = await outcomeOf(source, 'cities:1', update({ note: 'x' }))
        assert.match(textOf(outcome.after)!, new RegExp(`"population":${population},`))
      } else if (step === 'load') await source.load('cities', ['1'])
      else await codeOf(writeOne(source, 'cities:2', update({ note: 'no name' })))
    }
    const before = feed.kinds()
    assert.ok(!before.includes('sample'))
    // A load that has seen it tells of it; else the poll does.
    assert.equal(before.includes('reset'), order.includes('load'), order)
    source.poll()
    const told = order.includes('load') ? [] : ['reset']
    assert.deepEqual(feed.kinds(), [...told, 'sample', 'changes'], order)
  }
})

test('what a load has seen of others lies before its stamp', async t => {
  const { source, feed, outside } = await makeSource(t)
  await writeOne(source, 'cities:1', update({ name: 'A' }))
  const first = await source.load('cities', ['1'])
  outside.exec(`UPDATE cities SET population = population + 1`)
  feed.take()
  const second = await source.load('cities', ['1'])
  assert.deepEqual(feed.kinds(), ['reset'])
  assert.ok(second.stamp.upto > first.stamp.upto)
  assert.equal(second.stamp.upto, source.end)
})

test('a commit of another process is seen too', async t => {
  const { source, feed, file } = await makeSource(t)
  const script = `const { DatabaseSync } = require('node:sqlite')
    new DatabaseSync(process.argv[1]).exec("INSERT INTO cities (id, name) VALUES (5, 'elsewhere')")`
  const child = spawnSync(process.execPath, ['-e', script, file], { encoding: 'utf8' })
  assert.equal(child.status, 0, child.stderr)
  source.poll()
  assert.deepEqual(feed.kinds(), ['reset', 'sample', 'changes'])
  assert.match((await loadTexts(source, 'cities', ['5']))[0]!, /elsewhere/)
})

test('polling runs from start to stop, every pollMs', async t => {
  const { source, feed, clock } = await makeSource(t)
  source.start()
  source.start()
  assert.deepEqual(feed.kinds(), ['sample', 'changes'])
  clock.advance(24)
  assert.deepEqual(feed.kinds(), [])
  clock.advance(1)
  assert.deepEqual(feed.kinds(), ['sample', 'changes'])
  clock.advance(100)
  assert.equal(feed.kinds().length, 8)
  source.stop()
  clock.advance(100)
  assert.deepEqual(feed.kinds(), [])
  assert.equal(clock.pending, 0)
})

test('a column added by someone else is there at once for loads and writes, and after the poll for describe', async t => {
  const { source, feed, outside } = await makeSource(
    t,
    'CREATE TABLE cities (id INTEGER PRIMARY KEY, name TEXT) STRICT',
  )
  await writeOne(source, 'cities:1', update({ name: 'A' }))
  outside.exec(`ALTER TABLE cities ADD COLUMN mayor TEXT DEFAULT 'nobody'`)
  source.poll()
  assert.deepEqual(
    source.describe()[0]!.columns.map(column => column.name),
    ['id', 'name', 'mayor'],
  )
  assert.ok(feed.kinds().includes('reset'))
  outside.exec(`ALTER TABLE cities ADD COLUMN anthem TEXT`)
  assert.deepEqual(await loadTexts(source, 'cities', ['1']), ['{"id":1,"name":"A","mayor":"nobody","anthem":null}'])
  outside.exec(`ALTER TABLE cities RENAME COLUMN name TO title`)
  const outcome = await outcomeOf(source, 'cities:1', replace('{"mayor":"x"}')).catch((thrown: unknown) => thrown)
  assert.match(JSON.stringify(outcome), /"changed":true/)
  await assert.rejects(writeOne(source, 'cities:1', update({ name: 'B' })), {
    code: 'ROW_INVALID',
    message: /no column "name"/,
  })
})

test('a trigger that someone else has just added makes the next write inexact', async t => {
  const { source, feed, outside } = await makeSource(t)
  assert.equal((await outcomeOf(source, 'cities:1', update({ name: 'A' }))).exact, true)
  outside.exec(`CREATE TRIGGER shout AFTER UPDATE OF name ON cities BEGIN
    UPDATE cities SET note = upper(new.name) WHERE id = new.id; END`)
  feed.take()
  const outcome = await outcomeOf(source, 'cities:1', update({ name: 'b' }))
  assert.equal(outcome.exact, false)
  assert.match(textOf(outcome.after)!, /"note":"B"/)
  const told = feed.take()
  assert.deepEqual(
    told.map(({ what }) => what),
    ['changes', 'reset'],
  )
  assert.match(told[1]!.what === 'reset' ? told[1]!.reason : '', /ran its trigger shout/)
})

test('a table that no longer fits rejects loads and writes until it does again', async t => {
  const { source, feed, outside } = await makeSource(t)
  await writeOne(source, 'cities:1', update({ name: 'A' }))
  outside.exec('ALTER TABLE cities RENAME TO towns')
  await assert.rejects(source.load('cities', ['1']), {
    code: 'MAPPING_INVALID',
    message: /no such table; there are: towns/,
  })
  assert.equal(await codeOf(writeOne(source, 'cities:1', update({ name: 'B' }))), 'MAPPING_INVALID')
  assert.deepEqual(feed.kinds(), ['changes', 'reset'])
  source.poll()
  assert.deepEqual(feed.kinds(), ['sample', 'changes'])
  outside.exec('ALTER TABLE towns RENAME TO cities')
  source.poll()
  assert.match((await loadTexts(source, 'cities', ['1']))[0]!, /"name":"A"/)
  assert.equal((await outcomeOf(source, 'cities:1', update({ name: 'B' }))).changed, true)
})

test('deleting a row that others refer to by cascade resets, as children may be cached', async t => {
  const sql = `
    CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT UNIQUE) STRICT;
    CREATE TABLE cities (id INTEGER PRIMARY KEY, country TEXT REFERENCES countries ON DELETE CASCADE) STRICT;
    CREATE TABLE flags (id INTEGER PRIMARY KEY, country TEXT REFERENCES countries (name) ON UPDATE SET NULL) STRICT`
  const names = ['countries', 'cities', 'flags']
  const { source, feed } = await makeSource(
    t,
    sql,
    names.map(name => ({ name, table: name })),
  )
  const insert = await outcomeOf(source, 'countries:GB', replace('{"name":"Britain"}'))
  assert.equal(insert.exact, true)
  await source.write([
    { keyspace: 'cities', id: '1', operation: replace('{"country":"GB"}') },
    { keyspace: 'flags', id: '1', operation: replace('{"country":"Britain"}') },
  ])
  assert.ok(!feed.kinds().includes('reset'))
  assert.equal((await outcomeOf(source, 'countries:GB', update({ name: 'UK' }))).exact, false)
  assert.deepEqual(feed.kinds(), ['changes', 'reset'])
  assert.deepEqual(await loadTexts(source, 'flags', ['1']), ['{"id":1,"country":null}'])
  // In one call: what was returned for the child is not what the transaction left behind.
  const { outcomes } = await source.write([
    { keyspace: 'cities', id: '1', operation: update({ country: 'GB' }) },
    { keyspace: 'countries', id: 'GB', operation: remove },
  ])
  assert.deepEqual(
    outcomes.map(outcome => outcome.exact),
    [false, false],
  )
  assert.deepEqual(feed.kinds(), ['changes', 'reset'])
  assert.deepEqual(await loadTexts(source, 'cities', ['1']), [null])
})

test('a file that is replaced or deleted is unavailable, and comes back when it is put back', async t => {
  const { source, feed, file, folder } = await makeSource(t)
  await writeOne(source, 'cities:1', update({ name: 'A' }))
  feed.take()
  const aside = join(folder, 'aside.db')
  for (const replaced of [false, true]) {
    renameSync(file, aside)
    if (replaced) copyFileSync(aside, file)
    assert.equal(await codeOf(writeOne(source, 'cities:1', update({ name: 'B' }))), 'SOURCE_UNAVAILABLE')
    await assert.rejects(source.load('cities', ['1']), {
      code: 'SOURCE_UNAVAILABLE',
      message: /was deleted or replaced/,
    })
    source.poll()
    source.poll()
    assert.deepEqual(feed.kinds(), ['reset'], 'one reset, and no proof')
    renameSync(aside, file)
    source.poll()
    assert.deepEqual(feed.kinds(), ['reset', 'sample', 'changes'])
    assert.match((await loadTexts(source, 'cities', ['1']))[0]!, /"name":"A"/)
  }
})
