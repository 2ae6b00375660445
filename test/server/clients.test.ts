// The two Redis clients that people use from Node, as installed from npm, with their defaults: they connect, every command
// works through them on rows and on plain keys, pipelines and big values arrive whole.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { commandTable } from '../../src/server/commands/table.ts'
import { dataCalls } from './client-data-calls.ts'
import { ServedScene } from './served-scene.ts'

let served: ServedScene

before(async () => {
  served = await ServedScene.open()
})
after(() => served[Symbol.asyncDispose]())

type Run = (...args: string[]) => Promise<unknown>

/** One call of every command; what it resolves to, or the error it is refused with. `\d` etc.: the reply varies. */
const everyCommand: (readonly [line: string, expected: unknown])[] = [
  ['PING', 'PONG'],
  ['ECHO hello', 'hello'],
  ['SELECT 0', 'OK'],
  ['CLIENT GETNAME', null],
  ['TIME', /^\d+,\d+$/],
  ['COMMAND COUNT', commandTable.commands.length],
  ['CONFIG GET maxmemory-policy', /maxmemory-policy,allkeys-lfu/],
  ['INFO server', /redis_version/],
  ['AUTH x', /ERR AUTH <password> called without any password/],
  ['FLUSHALL', 'OK'],
  ['FLUSHDB', 'OK'],
  ['DBSIZE', 0],
  ['SET a 1', 'OK'],
  ['SET a 2 NX', null],
  ['GET a', '1'],
  ['GETEX a EX 100', '1'],
  ['TTL a', 100],
  ['PTTL a', /^\d+$/],
  ['EXPIRETIME a', /^\d+$/],
  ['PEXPIRETIME a', /^\d+$/],
  ['PERSIST a', 1],
  ['EXPIRE a 50', 1],
  ['PEXPIRE a 50000', 1],
  ['EXPIREAT a 9999999999', 1],
  ['PEXPIREAT a 9999999999999', 1],
  ['INCR a', 2],
  ['INCRBY a 5', 7],
  ['DECR a', 6],
  ['DECRBY a 2', 4],
  ['APPEND a 2', 2],
  ['STRLEN a', 2],
  ['GETDEL a', '42'],
  ['MSET b 1 c 2', 'OK'],
  ['MGET b c d', '1,2,'],
  ['SETNX b 3', 0],
  ['SETEX e 10 x', 'OK'],
  ['PSETEX e 10000 x', 'OK'],
  ['EXISTS b c d', 2],
  ['TYPE b', 'string'],
  ['TOUCH b d', 1],
  ['KEYS [bc]', /^[bc],[bc]$/],
  ['SCAN 0 COUNT 1000', /^0,/],
  ['UNLINK b', 1],
  ['DEL b c', 1],
  ['SET b 1', 'OK'],
  ['RENAME b c', 'OK'],
  ['RENAMENX c b', 1],
  ['COPY b c', 1],
  ['DEL b c', 2],
  ['WATCH h', 'OK'],
  ['UNWATCH', 'OK'],
  ['MULTI', 'OK'],
  ['ECHO x', 'QUEUED'],
  ['EXEC', 'x'],
  ['MULTI', 'OK'],
  ['DISCARD', 'OK'],
  ['PUBLISH c x', 0],
  ['SPUBLISH c x', 0],
  ['PUBSUB NUMPAT', 0],
  ['SLOWLOG LEN', 0],
  ['DEBUG SLEEP 0', /DEBUG command not allowed/],
  ['LATENCY LATEST', ''],
  ['ACL WHOAMI', 'default'],
  ['HSET h f 1 g 2', 2],
  ['HGET h f', '1'],
  ['HMGET h f x', '1,'],
  ['HLEN h', 2],
  ['HEXISTS h g', 1],
  ['HKEYS h', 'f,g'],
  ['HVALS h', '1,2'],
  ['HDEL h f', 1],
  ['GET users:1', '{"id":1,"name":"Ada","city":"London"}'],
  ['HGET users:1 name', 'Ada'],
  ['HMGET users:2 name city', 'Grace,'],
  ['HSET users:2 city Arlington', 1],
  ['HDEL users:2 city', 1],
  ['SET users:50 {"name":"Edsger"}', 'OK'],
  ['GET users:50', '{"id":50,"name":"Edsger","city":null}'],
  ['MGET users:50 users:51', '{"id":50,"name":"Edsger","city":null},'],
  ['TYPE users:3', 'hash'],
  ['EXISTS users:3 users:99', 1],
  ['DEL users:50', 1],
  ['EXPIRE users:1 10', /^ROW_TTL /],
  ['SET users:1 nonsense', /^ROW_INVALID /],
  ['HSET users:1 id 5', /^ROW_KEY_COLUMN /],
  ['APPEND users:1 x', /^ROW_OPERATION /],
  ['RENAME users:1 x', /^ROW_OPERATION /],
  ['TM.READ users:1 MAXSTALE 1000', /value,{"id":1,.*,tier,near,/],
  ['TM.SESSION users:1', /^[0-9a-f]{16}-[0-9a-f]{16}$/],
  ['TM.INVALIDATE users:1 users:2', 2],
  ['TM.LANES', ''],
  ['TM.STATUS', /^tier,/],
  ['TM.PASS LPUSH l x', /^TIER_UNAVAILABLE this server has no tier/],
  ['TM.TIER HELLO 1', /^TIER_UNAVAILABLE this server is no tier/],
  ...dataCalls,
]

/** A map in RESP3 is an array of its keys and values in RESP2: the same text for both. */
function textOf(reply: unknown): string {
  if (typeof reply === 'object' && reply !== null) return (Array.isArray(reply) ? reply : Object.entries(reply)).join()
  return String(reply)
}

async function runAll(run: Run): Promise<Set<string>> {
  const ran = new Set<string>()
  for (const [line, expected] of everyCommand) {
    const args = line.split(' ')
    const reply = await run(...args).catch((thrown: unknown) => (thrown as Error).message)
    if (expected instanceof RegExp) assert.match(textOf(reply), expected, line)
    else if (typeof expected === 'string') assert.equal(textOf(reply), expected, line)
    else assert.equal(reply, expected, line)
    ran.add(args[0]!.toLowerCase())
  }
  return ran
}

test('the list of calls leaves no command out, but those that end or change the connection', () => {
  const called = new Set(everyCommand.map(([line]) => line.split(' ')[0]!.toLowerCase()))
  const elsewhere = /subscribe$|^(hello|hgetall|quit|reset|save|bgsave|lastsave)$/
  const missing = commandTable.commands
    .map(({ name }) => name)
    .filter(name => !called.has(name) && !elsewhere.test(name))
  assert.deepEqual(missing, [])
})

describe('node-redis', () => {
  test('does every command', async t => {
    const client = await createClient({ url: `redis://127.0.0.1:${served.port}` }).connect()
    t.after(() => client.destroy())
    await runAll((...args) => client.sendCommand(args))
    assert.deepEqual({ ...(await client.hGetAll('users:1')) }, { id: '1', name: 'Ada', city: 'London' })
    assert.deepEqual({ ...(await client.hGetAll('nothing')) }, {})
    assert.match(await client.sendCommand<string>(['CLIENT', 'INFO']), /lib-name=\S*node-redis/)
    assert.equal(await client.ping(), 'PONG')
  })

  test('pipelines many commands and big values', async t => {
    const client = await createClient({ url: `redis://127.0.0.1:${served.port}` }).connect()
    t.after(() => client.destroy())
    const big = 'é'.repeat(100_000)
    const replies = await Promise.all(
      Array.from({ length: 5000 }, (_, i) => (i % 1000 === 0 ? client.set('big', big) : client.incr('count'))),
    )
    assert.equal(replies.at(-1), 4995)
    assert.equal(await client.get('big'), big)
  })
})

describe('ioredis', () => {
  test('does every command', async t => {
    const client = new Redis(served.port)
    t.after(() => client.disconnect())
    await runAll((...args) => client.call(args[0]!, ...args.slice(1)))
    assert.deepEqual(await client.hgetall('users:1'), { id: '1', name: 'Ada', city: 'London' })
    const stream = client.scanStream({ match: 'h*' })
    const found: string[] = []
    for await (const keys of stream) found.push(...(keys as string[]))
    assert.deepEqual(found, ['h'])
  })

  test('pipelines many commands', async t => {
    const client = new Redis(served.port)
    t.after(() => client.disconnect())
    const pipeline = client.pipeline()
    for (let i = 0; i < 2000; i++) pipeline.set(`k${i}`, i).get(`k${i}`)
    const replies = await pipeline.exec()
    assert.deepEqual(replies?.at(-1), [null, '1999'])
  })
})

test('both authenticate with a password', async () => {
  await using guarded = await ServedScene.open({ requirepass: 'se cret/€' })
  const password = 'se cret/€'
  const one = await createClient({ socket: { port: guarded.port }, password }).connect()
  assert.equal(await one.set('a', '1'), 'OK')
  await one.close()
  const two = new Redis({ port: guarded.port, password })
  assert.equal(await two.get('a'), '1')
  two.disconnect()
  const wrong = createClient({ socket: { port: guarded.port, reconnectStrategy: false }, password: 'wrong' })
  wrong.on('error', () => {})
  await assert.rejects(wrong.connect(), /WRONGPASS/)
})
