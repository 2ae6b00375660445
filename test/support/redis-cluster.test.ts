// The launcher of clusters does what it says: without that, no test of a fault proves anything.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { RedisCluster } from './redis-cluster.ts'
import { until } from './redis-process.ts'
import { redisInstalled } from './redis-server.ts'

/** The slot of key `a`, and one of another primary. */
const SLOT = 15_495
const OTHER_SLOT = 100

describe('a cluster of real servers', { skip: !redisInstalled() && 'redis-server is not installed' }, () => {
  let cluster: RedisCluster

  before(async () => {
    cluster = (await RedisCluster.start({ primaries: 3, replicas: 1, nodeTimeoutMs: 500 }))!
  })
  after(() => cluster.close())

  test('is complete, and a key moves with its slot, in one go or step by step', async () => {
    const from = await cluster.primaryOf(SLOT)
    const to = (await cluster.primaries()).find(node => node !== from)!
    await from.command('MSET', '{a}1', 'x', '{a}2', 'y')
    const migration = await cluster.beginMigration(SLOT, to)
    await migration.moveKeys(['{a}1'])
    assert.deepEqual(await migration.keysLeft(), ['{a}2'])
    await assert.rejects(from.command('GET', '{a}1'), /^ReplyError: ASK/)
    await assert.rejects(from.command('MGET', '{a}1', '{a}2'), /TRYAGAIN/)
    assert.equal(await from.command('GET', '{a}2'), 'y')
    await migration.moveKeys()
    await migration.finish()
    assert.equal(await to.command('GET', '{a}1'), 'x')
    await cluster.migrateSlot(SLOT, from)
    assert.equal(await from.command('GET', '{a}2'), 'y')
  })

  test('a killed primary is succeeded, and comes back as a replica; a forced failover makes it primary again', async () => {
    const first = await cluster.primaryOf(SLOT)
    const pid = first.pid
    await first.process.kill()
    const second = await cluster.successorOf(first, SLOT)
    assert.notEqual(second.id, first.id)
    await first.process.restart()
    assert.notEqual(first.pid, pid)
    await cluster.ready()
    assert.equal(await first.isPrimary(), false)
    await cluster.failover(first, 'force')
    await cluster.ready()
    assert.equal(await cluster.primaryOf(SLOT), first)
  })

  test('a paused primary does not answer until it is resumed, and is succeeded meanwhile', async () => {
    const first = await cluster.primaryOf(OTHER_SLOT)
    first.process.pause()
    await assert.rejects(first.command('PING'), /does not answer/)
    await cluster.successorOf(first, OTHER_SLOT)
    first.process.resume()
    await until('it follows the one that took over', async () => !(await first.isPrimary()))
    await cluster.ready()
  })

  test('all of it is ended by pid', async () => {
    const other = (await RedisCluster.start({ detached: true }))!
    const again = RedisCluster.attach(other.state)
    const pids = again.nodes.map(node => node.pid)
    await again.close()
    for (const pid of pids) assert.throws(() => process.kill(pid, 0), /ESRCH/)
  })
})
