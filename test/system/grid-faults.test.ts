// What a grid does when a part of it is gone: the process that runs the tide, killed or stopped in its tracks; the whole tier;
// Postgres. Deadlines are there so that no test hangs; what recovery takes is measured by the chaos tests.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Grid, GridServer, within } from './grid-scene.ts'

const DEADLINE_MS = 60_000

describe('a grid of which a part is gone', { concurrency: 1 }, () => {
  let grid: Grid | undefined
  let servers: GridServer[] = []
  const closers: (() => unknown)[] = []
  before(async () => {
    grid = await Grid.start({ after: closer => void closers.unshift(closer as () => unknown) }, 3)
    servers = [...(grid?.servers ?? [])]
  })
  after(async () => {
    for (const close of closers) await close()
  })

  async function sees(server: GridServer, key: string, part: string): Promise<void> {
    await within(
      DEADLINE_MS,
      `${key} is seen as ${part}`,
      async () => (await server.read(key)).value?.includes(part) === true,
    )
  }

  test('takes the tide over when its process is killed, and misses no change', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const holder = await grid.holder(servers)
    const others = servers.filter(server => server !== holder)
    for (const server of others) await server.read('users:1')
    await grid.sql("UPDATE users SET name = 'before' WHERE id = 1")
    holder.process.child.kill('SIGKILL')
    await holder.process.exited
    await grid.sql("UPDATE users SET name = 'after' WHERE id = 1")
    for (const server of others) await sees(server, 'users:1', 'after')
    servers = others
    await grid.holder(servers)
    await grid.fresh(servers)
    for (const server of servers) {
      await within(DEADLINE_MS, 'rows are near again', async () => (await server.read('users:1')).tier === 'near')
      assert.equal((await server.http('/ready')).status, 200)
    }
  })
  test('puts out a process that holds the tide and does not move', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const holder = await grid.holder(servers)
    const other = servers.find(server => server !== holder)!
    await other.read('users:2')
    holder.process.child.kill('SIGSTOP')
    await grid.sql("UPDATE users SET name = 'meanwhile' WHERE id = 2")
    await sees(other, 'users:2', 'meanwhile')
    assert.equal(await grid.holder([other]), other)
    await grid.fresh([other])
    holder.process.child.kill('SIGCONT')
    await sees(holder, 'users:2', 'meanwhile')
    await grid.fresh([holder])
    assert.equal(await grid.holder(servers), other, 'the one who was away does not take it back')
  })
  test('answers from the database while the tier is gone, and fills it again when it is back', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const [one, two] = servers as [GridServer, GridServer]
    await one.read('users:3')
    for (const node of grid.cluster.nodes) await node.process.kill()
    // Past the bound nothing in memory counts any more.
    await within(
      DEADLINE_MS,
      'the proofs lapse',
      async () => (((await one.status())['age'] as number | null) ?? 9999) > 600,
    )
    for (const server of [one, two]) {
      const answer = await server.read('users:3')
      assert.deepEqual(
        [answer.value, answer.tier, answer.stale],
        ['{"id":3,"name":"user 3","visits":0}', 'source', false],
      )
      const served = await server.read('users:3', 'WHENSTALE', 'serve')
      assert.equal(served.value, answer.value)
    }
    assert.equal(await one.client.command('HSET', 'users:3', 'name', 'written'), 0)
    assert.match((await two.read('users:3')).value!, /written/)
    assert.match(((await one.client.command('SET', 'plain', 'x')) as Error).message, /^TIER_UNAVAILABLE /)
    const ready = await one.http('/ready')
    assert.deepEqual([ready.status, /are not proved to be fresh/.test(ready.text)], [200, true], ready.text)
    // A server may even be started now.
    const tier = grid.cluster.addresses.map(address => `--tier=valkey://${address}`)
    const late = await GridServer.start([
      `--source=${grid.postgres.url(grid.database)}`,
      '--keyspace=users',
      '--threads=1',
      ...tier,
    ])
    closers.unshift(() => late.stop())
    servers.push(late)
    assert.equal((await late.read('users:3')).tier, 'source')
    for (const node of grid.cluster.nodes) await node.process.restart()
    await grid.cluster.ready()
    await grid.fresh(servers)
    assert.match(one.process.stderr, /64 of 64 lanes are not proved to be fresh, .*; they are read from the database\n/)
    await within(DEADLINE_MS, 'its end is told', () =>
      Promise.resolve(/all rows are proved to be fresh again, after/.test(one.process.stderr)),
    )
    for (const server of servers) {
      await within(DEADLINE_MS, 'rows are near again', async () => (await server.read('users:3')).tier === 'near')
      assert.match((await server.read('users:3')).value!, /written/)
    }
    await within(DEADLINE_MS, 'plain keys too', async () => (await one.client.command('SET', 'plain', 'x')) === 'OK')
  })
  test('answers from memory as far as it is proved while the database is gone, and says so past that', async t => {
    if (grid === undefined) return t.skip('redis-server or PostgreSQL is not installed')
    const [one] = servers as [GridServer]
    await within(DEADLINE_MS, 'the row is near', async () => (await one.read('users:4')).tier === 'near')
    await grid.postgres.kill()
    await within(
      DEADLINE_MS,
      'the proofs lapse',
      async () => (await one.client.command('GET', 'users:4')) instanceof Error,
    )
    const refusal = (await one.client.command('GET', 'users:4')) as Error
    assert.match(refusal.message, /^SOURCE_(UNAVAILABLE|TIMEOUT|FAILED) /)
    const stale = await one.read('users:4', 'WHENSTALE', 'serve')
    assert.deepEqual([stale.value, stale.stale], ['{"id":4,"name":"user 4","visits":0}', true])
    assert.ok(stale.age! > 400)
    await within(DEADLINE_MS, 'it is not ready', async () => (await one.http('/ready')).status === 503)
    await within(DEADLINE_MS, 'it is told', () => Promise.resolve(/and it does not answer\n/.test(one.process.stderr)))
    await grid.postgres.start()
    await grid.sql("UPDATE users SET name = 'restarted' WHERE id = 4")
    await within(
      DEADLINE_MS,
      'the database answers again',
      async () => !((await one.client.command('GET', 'users:4')) instanceof Error),
    )
    await sees(one, 'users:4', 'restarted')
    await grid.fresh(servers)
    assert.equal((await one.http('/ready')).status, 200)
  })
})
