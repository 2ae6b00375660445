// Keys that are no rows, through servers with a shared tier: a real cluster, a single Redis, and a Tidemark server. What comes
// back is compared with what the tier's own servers say.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createClient } from 'redis'
import { Redis } from 'ioredis'
import type { TierSettings } from '../../src/server/settings.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { RedisCluster } from '../support/redis-cluster.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { RespClient } from '../support/resp-client.ts'
import { startTidemark } from '../server/running.ts'

function tierAt(ports: readonly number[], kind: TierSettings['kind'] = 'valkey'): TierSettings {
  const seeds = ports.map(port => ({ host: '127.0.0.1', port }))
  return { kind, seeds, tls: false, username: undefined, password: undefined, ca: undefined, lanes: 64, prefix: 'tm' }
}

/** Commands whose replies have every shape, and are the same wherever the keys are. */
const lines = [
  'SET s hello',
  'GET s',
  'GET nothing',
  'APPEND s !',
  'STRLEN s',
  'INCR n',
  'SET n 9007199254740993',
  'INCR n',
  'INCRBYFLOAT f 1.5',
  'HSET h a 1 b 2',
  'HGETALL h',
  'HRANDFIELD h 0 WITHVALUES',
  'LPUSH l a b c',
  'LRANGE l 0 -1',
  'SADD set x',
  'SMEMBERS set',
  'ZADD z 1.5 a 2 b',
  'ZSCORE z a',
  'ZRANGE z 0 -1 WITHSCORES',
  'ZADD z nonsense a',
  'LPUSH s x',
  'GET l',
  'EXISTS s s',
  'DEL {t}a {t}b',
  'MSET {t}a 1 {t}b 2',
  'MGET {t}a {t}b {t}c',
  'TYPE z',
  'OBJECT ENCODING n',
  'EXPIRE s 100',
  'SET s',
  'EVAL return{KEYS[1],2,{ok="fine"}} 1 s',
  'LMPOP 1 l LEFT COUNT 2',
  'XADD x 1-1 f v',
  'XRANGE x - +',
  'GETDEL s',
  'UNLINK n f h l set z x {t}a {t}b',
]

async function transcript(port: number, resp: 2 | 3): Promise<string[]> {
  const connection = await RawConnection.open(port)
  if (resp === 3) await connection.line('HELLO 3')
  const replies: string[] = []
  for (const line of lines) replies.push(await connection.line(line))
  connection.close()
  return replies
}

describe('plain keys', () => {
  let single: RedisServer | undefined
  let cluster: RedisCluster | undefined
  before(async () => {
    single = await startRedis()
    cluster = await RedisCluster.start()
  })
  after(async () => {
    await cluster?.close()
    await single?.stop()
  })

  for (const resp of [2, 3] as const) {
    test(`are answered as the single server of the tier answers, RESP${resp}`, async t => {
      if (single === undefined) return t.skip('redis-server is not installed')
      const server = await startTidemark(t, { tier: tierAt([single.port]), threads: 1 })
      assert.deepEqual(await transcript(server.port, resp), await transcript(single.port, resp))
    })
    test(`are found in a cluster, wherever they are, RESP${resp}`, async t => {
      if (cluster === undefined || single === undefined) return t.skip('redis-server is not installed')
      const server = await startTidemark(t, { tier: tierAt([cluster.nodes[1]!.port]), threads: 1 })
      const ours = await transcript(server.port, resp)
      const theirs = await transcript(single.port, resp)
      // Keys of several slots in one command are the cluster's own affair.
      const crossing = lines.findIndex(line => line.startsWith('UNLINK'))
      assert.match(ours[crossing]!, /^-CROSSSLOT /)
      assert.deepEqual(ours.slice(0, crossing), theirs.slice(0, crossing))
      const client = await RespClient.connect(server.port)
      for (const key of lines[crossing]!.split(' ').slice(1)) await client.command('DEL', key)
      client.close()
    })
  }
  test('go on where they are while their slot moves to another server', async t => {
    if (cluster === undefined) return t.skip('redis-server is not installed')
    const server = await startTidemark(t, { tier: tierAt([cluster.nodes[0]!.port]), threads: 1 })
    const client = await RespClient.connect(server.port)
    t.after(() => client.close())
    const slot = Number(await cluster.nodes[0]!.command('CLUSTER', 'KEYSLOT', 'moving'))
    assert.equal(await client.command('SET', 'moving', '1'), 'OK')
    const owner = await cluster.primaryOf(slot)
    const other = cluster.nodes.find(node => node !== owner)!
    const migration = await cluster.beginMigration(slot, other)
    assert.equal(await client.command('INCR', 'moving'), 2)
    assert.equal(await client.command('SET', '{moving}new', 'x'), 'OK', 'where ASK says')
    await migration.moveKeys()
    assert.equal(await client.command('INCR', 'moving'), 3)
    await migration.finish()
    assert.equal(await client.command('INCR', 'moving'), 4)
    assert.equal(await client.command('GET', '{moving}new'), 'x')
    await cluster.migrateSlot(slot, owner)
    assert.equal(await client.command('GET', 'moving'), '4')
  })
  test('say it when what is asked for is about all of them, or cannot be sent on', async t => {
    if (single === undefined) return t.skip('redis-server is not installed')
    const server = await startTidemark(t, { tier: tierAt([single.port]), threads: 1 })
    const client = await RespClient.connect(server.port)
    t.after(() => client.close())
    const refused: [string, RegExp][] = [
      ['KEYS *', /^COMMAND_UNSUPPORTED KEYS is about all keys/],
      ['SCAN 0', /^COMMAND_UNSUPPORTED SCAN is about all keys/],
      ['DBSIZE', /^COMMAND_UNSUPPORTED /],
      ['FLUSHALL', /^COMMAND_UNSUPPORTED /],
      ['WATCH k', /^TRANSACTION_ROWS /],
      ['BLPOP k 1', /^COMMAND_UNSUPPORTED BLPOP is not sent on/],
      ['SCRIPT LOAD return', /^COMMAND_UNSUPPORTED SCRIPT is not sent on/],
      ['REPLICAOF NO ONE', /^COMMAND_UNSUPPORTED REPLICAOF is not sent on/],
      ['NONSENSE k', /^ERR unknown command 'NONSENSE', with args beginning with: 'k' /],
      ['TM.READ k', /^ROW_KEY_INVALID /],
    ]
    for (const [line, error] of refused) {
      const reply = await client.command(...line.split(' '))
      assert.ok(reply instanceof Error, line)
      assert.match(reply.message, error, line)
    }
    assert.equal(await client.command('MULTI'), 'OK')
    assert.match(((await client.command('SET', 'k', '1')) as Error).message, /^TRANSACTION_ROWS /)
    assert.match(((await client.command('EXEC')) as Error).message, /^EXECABORT/)
    assert.equal(await client.command('PING'), 'PONG')
    assert.equal(await client.command('TM.PASS', 'SET', 'k', '1'), 'OK')
    assert.equal(await client.command('DEL', 'k'), 1)
  })
  test('are as good through node-redis and ioredis, many at once', async t => {
    if (cluster === undefined) return t.skip('redis-server is not installed')
    const server = await startTidemark(t, { tier: tierAt(cluster.nodes.map(node => node.port)), threads: 2 })
    const node = createClient({ socket: { port: server.port, host: '127.0.0.1' } })
    const io = new Redis({ port: server.port, host: '127.0.0.1' })
    await node.connect()
    await Promise.all(Array.from({ length: 200 }, (_, i) => node.set(`many:${i}`, String(i))))
    const found = await Promise.all(Array.from({ length: 200 }, (_, i) => io.get(`many:${i}`)))
    assert.deepEqual(
      found,
      Array.from({ length: 200 }, (_, i) => String(i)),
    )
    assert.equal(await node.lPush('many:list', ['a', 'b']), 2)
    assert.deepEqual(await io.lrange('many:list', 0, -1), ['b', 'a'])
    node.destroy()
    io.disconnect()
  })
  test('are not kept by caches in clients, whom nobody could tell of a change', async t => {
    if (single === undefined) return t.skip('redis-server is not installed')
    const server = await startTidemark(t, { tier: tierAt([single.port]), threads: 1 })
    const direct = await RespClient.connect(single.port)
    await direct.command('SET', 'tracked', 'x')
    await direct.command('RPUSH', 'listed', 'y')
    for (const mode of [[], ['BCAST'], ['NOLOOP'], ['BCAST', 'PREFIX', 'tracked', 'PREFIX', 'listed']]) {
      const client = await RespClient.connect(server.port, { resp: 3 })
      assert.equal(await client.command('CLIENT', 'TRACKING', 'ON', ...mode), 'OK')
      const told = async (key: string, ...command: string[]): Promise<void> => {
        const before = client.pushes.length
        assert.ok(!((await client.command(...command)) instanceof Error))
        // What is told of a reply comes right behind it: before the next one.
        await client.command('PING')
        const keys = client.pushes.slice(before).flatMap(([, names]) => (names as Buffer[]).map(String))
        assert.ok(keys.includes(key), `${mode.join(' ')}: ${command.join(' ')}: ${keys.join(' ')}`)
      }
      await told('tracked', 'GET', 'tracked')
      await told('tracked', 'GET', 'tracked')
      await told('tracked', 'MGET', 'tracked', 'tracked')
      await told('listed', 'LRANGE', 'listed', '0', '-1')
      client.close()
    }
    const cached = createClient({ url: `redis://127.0.0.1:${server.port}`, RESP: 3, clientSideCache: {} })
    await cached.connect()
    for (let i = 0; i < 20; i++) {
      await direct.command('SET', 'tracked', String(i))
      assert.equal(await cached.get('tracked'), String(i))
    }
    cached.destroy()
    direct.close()
  })
  test('are in the Tidemark server that is the tier', async t => {
    const tier = await startTidemark(t, { tierMemoryBytes: 4 << 20 })
    const server = await startTidemark(t, { tier: tierAt([tier.port], 'tidemark'), threads: 1 })
    const [there, here] = [await RespClient.connect(tier.port), await RespClient.connect(server.port)]
    assert.equal(await here.command('SET', 'k', 'v'), 'OK')
    assert.equal(await there.command('GET', 'k'), 'v')
    assert.deepEqual(await here.command('HSET', 'h', 'f', '1'), 1)
    assert.match(
      ((await here.command('LPUSH', 'l', 'x')) as Error).message,
      /^COMMAND_UNSUPPORTED LPUSH is a command on lists/,
    )
    there.close()
    here.close()
  })
  test('are refused within seconds when no server of the tier answers', async t => {
    const gone = await startTidemark({ after: () => {} })
    await gone.stop()
    const server = await startTidemark(t, { tier: tierAt([gone.port]), threads: 1 })
    const client = await RespClient.connect(server.port)
    assert.match(((await client.command('GET', 'k')) as Error).message, /^TIER_UNAVAILABLE /)
    assert.equal(await client.command('PING'), 'PONG')
    client.close()
  })
})
