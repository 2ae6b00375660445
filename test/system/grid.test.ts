// Three servers, a cluster and Postgres, nothing failing: what is read and written through any of them, and by plain SQL, is
// seen by all of them within the bound, and the database is asked once.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { RespClient } from '../support/resp-client.ts'
import { Grid, GridServer, within } from './grid-scene.ts'

describe('servers that share a tier', { concurrency: 1 }, () => {
  let grid: Grid | undefined
  const closers: (() => unknown)[] = []
  before(async () => {
    grid = await Grid.start({ after: closer => void closers.unshift(closer as () => unknown) }, 3)
  })
  after(async () => {
    for (const close of closers) await close()
  })

  async function loads(): Promise<number> {
    const counts = await Promise.all(grid!.servers.map(server => server.metric('tidemark_loads_total')))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** Reads until the row has `part` in it; every answer before that must be proved only as of a time before the commit. */
  async function sees(server: GridServer, key: string, part: string | null, committedMs: number): Promise<void> {
    await within(30_000, `${key} is seen as ${part}`, async () => {
      const askedMs = performance.now()
      const { value, age, stale } = await server.read(key)
      if (part === null ? value === null : value?.includes(part) === true) return true
      assert.equal(stale, false)
      // Rounded up when it was told.
      assert.ok(askedMs - age! - 1 <= committedMs, `${value} was proved as of after the commit`)
      return false
    })
  }

  test('load a row once, and find it in the tier or near', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const [a, b, c] = grid.servers as [GridServer, GridServer, GridServer]
    const before = await loads()
    const first = await a.read('users:1')
    assert.deepEqual([first.value, first.tier], ['{"id":1,"name":"user 1","visits":0}', 'source'])
    for (const other of [b, c]) {
      assert.equal((await other.read('users:1')).tier, 'tier')
      // What was read while a message of the lane went by is not kept near: then the next one is.
      await within(10_000, 'the row is near', async () => (await other.read('users:1')).tier === 'near')
      assert.equal(await other.client.command('GET', 'users:1'), first.value)
    }
    assert.equal((await loads()) - before, 1)
    assert.equal((await b.read('users:5000')).value, null)
    await within(10_000, 'an absent row is known', async () => (await b.read('users:5000')).tier === 'near')
  })
  test('answer a thousand clients who miss the same row with one query', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    // What Postgres itself says that it was asked: a load has the keyspace's table as `it`.
    await grid.postgres.set({ log_statement: "'all'" })
    const queries = (): number => grid!.postgres.log().match(/AS it ON/g)?.length ?? 0
    const clients = await Promise.all(
      Array.from({ length: 60 }, (_, i) => RespClient.connect(grid!.servers[i % 3]!.port)),
    )
    const asked: number[] = []
    for (let id = 71; id < 79; id++) {
      const [loadsBefore, queriesBefore] = [await loads(), queries()]
      const replies = await Promise.all(
        Array.from({ length: 1000 }, (_, i) => clients[i % 60]!.command('GET', `users:${id}`)),
      )
      assert.deepEqual(new Set(replies), new Set([`{"id":${id},"name":"user ${id}","visits":0}`]))
      asked.push((await loads()) - loadsBefore)
      assert.equal(queries() - queriesBefore, asked.at(-1))
    }
    t.diagnostic(`queries for 1,000 misses of one row, of 8 rows: ${asked.join(', ')}`)
    // Who has waited for another's load for `limits.fillWaitMs` loads by itself: on a busy machine that may happen.
    assert.ok(asked.filter(queries => queries === 1).length >= 5, asked.join(', '))
    for (const client of clients) client.close()
    await grid.postgres.set({ log_statement: "'none'" })
  })
  test('show a write to its own server at once, to others within the bound, and need no load for it', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const [a, b, c] = grid.servers as [GridServer, GridServer, GridServer]
    for (const server of grid.servers) await server.read('users:2')
    const before = await loads()
    assert.equal(await a.client.command('HSET', 'users:2', 'name', 'Ann'), 0)
    const committedMs = performance.now()
    const own = await a.read('users:2')
    assert.match(own.value!, /Ann/)
    assert.equal(own.tier, 'tier', 'the row that the database returned was put there')
    for (const other of [b, c]) await sees(other, 'users:2', 'Ann', committedMs)
    const ticket = (await a.client.command('TM.SESSION', 'users:2')) as string
    assert.match((await b.read('users:2', 'SESSION', ticket)).value!, /Ann/)
    assert.equal(await c.client.command('DEL', 'users:2'), 1)
    const removedMs = performance.now()
    for (const server of grid.servers) await sees(server, 'users:2', null, removedMs)
    const [row] = await grid.sql('SELECT count(*)::int AS n FROM users WHERE id = 2')
    assert.equal(row!['n'], 0)
    assert.ok((await loads()) - before <= 3, 'at most where the session was ahead of the lanes')
  })
  test('add up what several of them write at once', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const increments = Array.from({ length: 90 }, (_, i) =>
      grid!.servers[i % 3]!.client.command('HINCRBY', 'users:3', 'visits', 1),
    )
    const replies = (await Promise.all(increments)) as number[]
    assert.deepEqual(
      replies.sort((x, y) => x - y),
      Array.from({ length: 90 }, (_, i) => i + 1),
    )
    const doneMs = performance.now()
    for (const server of grid.servers) await sees(server, 'users:3', '"visits":90', doneMs)
  })
  test('see plain SQL, each within the age that they tell', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const statements: [sql: string, expected: string | null][] = [
      ["UPDATE users SET name = 'by SQL' WHERE id = 4", 'by SQL'],
      [
        "BEGIN; UPDATE users SET name = 'first' WHERE id = 4; UPDATE users SET name = 'second' WHERE id = 4; COMMIT",
        'second',
      ],
      ['DELETE FROM users WHERE id = 4', null],
      ["INSERT INTO users VALUES (4, 'again')", 'again'],
      ['UPDATE users SET id = -4 WHERE id = 4', null],
      ["UPDATE users SET id = 4, name = 'back' WHERE id = -4", 'back'],
    ]
    for (const [sql, expected] of statements) {
      for (const server of grid.servers) await server.read('users:4')
      await grid.sql(sql)
      const committedMs = performance.now()
      for (const server of grid.servers) await sees(server, 'users:4', expected, committedMs)
    }
  })
  test('see a TRUNCATE, and say why all lanes were begun anew', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    for (const server of grid.servers) await server.read('users:6')
    await grid.sql('TRUNCATE users')
    const committedMs = performance.now()
    for (const server of grid.servers) await sees(server, 'users:6', null, committedMs)
    const holder = await grid.holder()
    assert.match((await holder.status())['last-reset'] as string, /truncate|another epoch/i)
    await grid.sql("INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 1000) i")
    const filledMs = performance.now()
    for (const server of grid.servers) await sees(server, 'users:6', 'user 6', filledMs)
    await grid.fresh()
  })
  test('forget a row everywhere when they are told to', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const [a, b] = grid.servers as [GridServer, GridServer]
    for (const server of [a, b]) {
      await within(10_000, 'the row is near', async () => (await server.read('users:7')).tier === 'near')
    }
    assert.equal(await a.client.command('TM.INVALIDATE', 'users:7'), 1)
    const before = await loads()
    await within(10_000, 'the row is not near any more', async () => (await b.read('users:7')).tier !== 'near')
    assert.ok((await loads()) - before >= 1)
  })
  test('go on when one joins them that is set up otherwise, and that one says what is wrong', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const tier = grid.cluster.addresses.map(address => `--tier=valkey://${address}`)
    const source = `--source=${grid.postgres.url(grid.database)}`
    const other = await GridServer.start([
      source,
      '--keyspace=users',
      '--keyspace=people=users',
      '--threads=1',
      ...tier,
    ])
    closers.unshift(() => other.stop())
    await within(30_000, 'it says so', async () =>
      /64 of 64 lanes of the tier are of another epoch/.test(String((await other.status())['trouble'])),
    )
    assert.match(other.process.stderr, /database 'main': 64 of 64 lanes of the tier are of another epoch: servers/)
    assert.equal((await other.read('users:8')).tier, 'source')
    assert.equal((await other.read('people:8')).tier, 'source')
    await grid.fresh()
    for (const server of grid.servers) {
      await within(10_000, 'the row is near', async () => (await server.read('users:8')).tier === 'near')
      assert.equal((await server.status())['trouble'], null)
    }
  })
  test('tell of their tide, their tier and their proofs', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const states = await Promise.all(grid.servers.map(server => server.status()))
    assert.deepEqual(states.map(state => String(state['tide'])).toSorted(), ['runs', 'waits', 'waits'])
    assert.equal(new Set(states.map(state => state['epoch'])).size, 1)
    let held = 0
    for (const server of grid.servers) {
      const { stdout } = server.process
      assert.match(stdout, /Configuration   none: flags and environment\n  Tier            valkey:/)
      assert.match(stdout, /\n  GET users:1\n  TM.READ users:1\n  TM.STATUS\n/)
      const ready = await server.http('/ready')
      assert.equal(ready.status, 200, ready.text)
      held += await server.metric('tidemark_tides_held')
      assert.equal(await server.metric('tidemark_tier_call_errors_total'), 0)
      assert.ok((await server.metric('tidemark_tier_calls_total')) > 0)
      const lanes = (await server.client.command('TM.LANES')) as Map<string, unknown>[]
      assert.equal(lanes.length, 64)
      assert.ok(lanes.every(lane => lane.get('shard') === 'valkey'))
    }
    assert.equal(held, 1)
  })
})
