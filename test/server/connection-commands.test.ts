// The connection and server commands: the same requests to ours and to the real redis-server, replies compared byte by
// byte in RESP2 and RESP3; then what is ours alone or differs on purpose.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import type { RedisServer } from '../support/redis-server.ts'
import { startRedis } from '../support/redis-server.ts'
import { rawReplies } from '../support/raw-replies.ts'
import { RespClient } from '../support/resp-client.ts'
import { commandTable } from '../../src/server/commands/table.ts'
import { ReplyError } from '../../src/wire/reply.ts'
import { ServedScene } from './served-scene.ts'

function words(line: string): string[] {
  return line === '' ? [''] : line.split(' ').map(word => (word === "''" ? '' : word.replaceAll('_', ' ')))
}

/** Each line is one request; `''` is an empty argument and _ a blank. Every line gets exactly one reply. */
const script = `
PING|PING hello|ping a b|ECHO x|ECHO|echo a b|NOSUCH|nosuch a b_c|nosuch ${'a'.repeat(100)} ${'b'.repeat(100)} c
get|GET a b|SELECT 0|SELECT -1|SELECT 16|SELECT x|SELECT|AUTH x|AUTH default x|AUTH other x|AUTH a b c|AUTH
HELLO 1|HELLO 4|HELLO x|HELLO 3 AUTH|HELLO 3 AUTH default|HELLO 3 SETNAME|HELLO 3 NOSUCH|HELLO 2 SETNAME a_b|HELLO 99999999999999999999
CLIENT|CLIENT NOSUCH|CLIENT nosuch a b|CLIENT GETNAME|CLIENT SETNAME|CLIENT SETNAME a_b|CLIENT SETNAME n1|CLIENT GETNAME|client getname x
CLIENT SETNAME ''|CLIENT GETNAME|CLIENT ID x|CLIENT LIST TYPE nosuch|CLIENT LIST ID 999999|CLIENT LIST ID x|CLIENT LIST nosuch|CLIENT LIST TYPE pubsub
CLIENT KILL|CLIENT KILL 1.2.3.4:5|CLIENT KILL ID 999999|CLIENT KILL ID x|CLIENT KILL ID 0|CLIENT KILL ADDR 1.2.3.4:5|CLIENT KILL LADDR 1.2.3.4:5
CLIENT KILL NOSUCH x|CLIENT KILL SKIPME maybe|CLIENT KILL TYPE nosuch|CLIENT KILL TYPE pubsub|CLIENT KILL ID 999999 ADDR|CLIENT KILL USER nosuch
CLIENT NO-EVICT on|CLIENT NO-EVICT off|CLIENT NO-EVICT x|CLIENT NO-EVICT|CLIENT REPLY nosuch|CLIENT REPLY|CLIENT REPLY on
CONFIG|CONFIG NOSUCH|CONFIG GET|CONFIG GET nosuch|CONFIG GET save|CONFIG GET SAVE|CONFIG GET appendonly|CONFIG GET app?ndonly|CONFIG GET timeou[st]|CONFIG GET maxclients
CONFIG RESETSTAT|CONFIG RESETSTAT x|CONFIG SET a
COMMAND COUNT x|COMMAND NOSUCH|COMMAND INFO get|COMMAND INFO nosuch|COMMAND INFO echo GET|COMMAND INFO hget|COMMAND INFO hello|COMMAND INFO auth quit select reset
COMMAND GETKEYS|COMMAND GETKEYS get|COMMAND GETKEYS get a|COMMAND GETKEYS GET a b|COMMAND GETKEYS ping x|COMMAND GETKEYS mset a 1 b 2|COMMAND GETKEYS nosuch a|COMMAND GETKEYS del a b c
COMMAND LIST nosuch|COMMAND LIST FILTERBY nosuch x|COMMAND LIST FILTERBY MODULE x|COMMAND LIST FILTERBY PATTERN ping|COMMAND LIST FILTERBY ACLCAT nosuch|COMMAND DOCS nosuch
DBSIZE|DBSIZE x|SET a 1|DBSIZE|FLUSHALL nosuch|FLUSHALL ASYNC SYNC|DBSIZE|FLUSHALL ASYNC|DBSIZE|SET a 1|FLUSHDB SYNC|FLUSHDB|FLUSHALL|DBSIZE
TIME x|INFO nosuch|INFO modules|RESET x|CLIENT SETNAME n2|RESET|CLIENT GETNAME|PING|QUIT`
  .trim()
  .split(/[|\n]/)
  .map(words)

describe('replies equal those of redis-server', () => {
  let redis: RedisServer | undefined
  let served: ServedScene
  before(async () => {
    redis = await startRedis()
    served = await ServedScene.open({ connectionsMax: 10_000 })
  })
  after(async () => {
    await redis?.stop()
    await served[Symbol.asyncDispose]()
  })

  for (const resp of [2, 3] as const) {
    test(`byte by byte in RESP${resp}`, async t => {
      if (redis === undefined) return t.skip('redis-server is not installed')
      // HELLO tells the connection's id, which differs.
      const lines = [['HELLO', String(resp)], ...script]
      const ours = await rawReplies(served.port, lines)
      const theirs = await rawReplies(redis.port, lines)
      for (const [i, line] of lines.entries()) {
        if (i > 0) assert.equal(ours[i]!.toString('latin1'), theirs[i]!.toString('latin1'), line.join(' '))
      }
    })
  }

  test('COMMAND INFO of all commands, but for tips and details of sub-commands', async t => {
    if (redis === undefined) return t.skip('redis-server is not installed')
    // Containers: in Redis their sub-commands have flags and categories, here they have them themselves.
    const containers = new Set(['client', 'config'])
    const ownOrContainer = (name: string): boolean => containers.has(name) || name.startsWith('tm.')
    const names = commandTable.commands.map(({ name }) => name).filter(name => !ownOrContainer(name))
    const [ours, theirs] = await Promise.all(
      [served.port, redis.port].map(async port => {
        const client = await RespClient.connect(port)
        const infos = (await client.command('COMMAND', 'INFO', ...names)) as unknown[][]
        client.close()
        return infos
      }),
    )
    for (const [i, name] of names.entries()) assert.deepEqual(ours![i]!.slice(0, 7), theirs![i]!.slice(0, 7), name)
  })

  test('HELLO, but for the id', async t => {
    if (redis === undefined) return t.skip('redis-server is not installed')
    const lines = [['HELLO'], ['HELLO', '3', 'SETNAME', 'x'], ['HELLO'], ['HELLO', '2']]
    const replies = async (port: number) =>
      (await rawReplies(port, lines)).map(reply => reply.toString().replace(/(\$2\r\nid\r\n:)\d+/, '$1N'))
    assert.deepEqual(await replies(served.port), await replies(redis.port))
  })

  test('with a password', async t => {
    const theirs = await startRedis(['--requirepass', 'secret'])
    if (theirs === undefined) return t.skip('redis-server is not installed')
    try {
      await using ours = await ServedScene.open({ requirepass: 'secret' })
      const lines =
        'PING|get|nosuch|GET a|HELLO|HELLO 3|HELLO 3 AUTH default no|HELLO 3 AUTH other secret|AUTH no|AUTH other secret|AUTH default no|RESET|CLIENT GETNAME|AUTH secret|GET a|RESET|GET a|AUTH default secret|PING|QUIT'
          .split('|')
          .map(words)
      const [a, b] = [await rawReplies(ours.port, lines), await rawReplies(theirs.port, lines)]
      for (const [i, line] of lines.entries()) assert.equal(String(a[i]), String(b[i]), line.join(' '))
    } finally {
      await theirs.stop()
    }
  })
})

test('HELLO takes all of its options or none (as Redis does from 7.2 on)', async () => {
  await using served = await ServedScene.open({ requirepass: 'secret' })
  const client = await RespClient.connect(served.port)
  assert.ok((await client.command('HELLO', 3, 'AUTH', 'default', 'secret', 'NOSUCH')) instanceof ReplyError)
  assert.ok((await client.command('GET', 'a')) instanceof ReplyError)
  assert.ok((await client.command('HELLO', 3, 'AUTH', 'default', 'secret', 'SETNAME', 'a')) instanceof Map)
  assert.equal(await client.command('CLIENT', 'GETNAME'), 'a')
  client.close()
})

describe('CLIENT', () => {
  test('REPLY OFF and SKIP keep replies back, also of commands that wait', async () => {
    await using served = await ServedScene.open()
    const client = await RespClient.connect(served.port)
    client.raw('CLIENT REPLY SKIP\r\nPING a\r\nPING b\r\n')
    assert.equal(await client.reply(), 'b')
    client.raw('CLIENT REPLY SKIP\r\nGET users:1\r\nHGET users:2 name\r\n')
    assert.equal(await client.reply(), 'Grace')
    client.raw(
      'CLIENT REPLY OFF\r\nPING c\r\nHGET users:3 name\r\nNOSUCH\r\nCLIENT REPLY SKIP\r\nPING d\r\nCLIENT REPLY ON\r\n',
    )
    assert.equal(await client.reply(), 'OK')
    assert.equal(await client.command('PING', 'e'), 'e')
    client.close()
  })

  test('INFO and LIST tell what the client said of itself', async () => {
    await using served = await ServedScene.open()
    const client = await RespClient.connect(served.port, { resp: 3 })
    await client.command('CLIENT', 'SETNAME', 'worker-7')
    assert.equal(await client.command('CLIENT', 'SETINFO', 'LIB-NAME', 'lib(x)'), 'OK')
    assert.equal(await client.command('CLIENT', 'SETINFO', 'lib-ver', '1.2.3'), 'OK')
    const id = await client.command('CLIENT', 'ID')
    const info = String(await client.command('CLIENT', 'INFO'))
    assert.match(
      info,
      new RegExp(`^(txt:)?id=${String(id)} addr=127\\.0\\.0\\.1:\\d+ laddr=127\\.0\\.0\\.1:${served.port} `),
    )
    assert.match(info, / name=worker-7 .* cmd=client user=default redir=-1 resp=3 lib-name=lib\(x\) lib-ver=1\.2\.3\n$/)
    for (const [attribute, value] of [
      ['LIB-NAME', 'a b'],
      ['NOSUCH', 'x'],
    ] as const) {
      assert.ok((await client.command('CLIENT', 'SETINFO', attribute, value)) instanceof ReplyError)
    }
    const other = await RespClient.connect(served.port)
    await other.command('PING')
    assert.equal(served.clients.length, 2)
    assert.equal(
      String(await client.command('CLIENT', 'LIST'))
        .trim()
        .split('\n').length,
      2,
    )
    assert.equal(
      String(await client.command('CLIENT', 'LIST', 'ID', String(id)))
        .trim()
        .split('\n').length,
      1,
    )
    client.close()
    other.close()
  })

  test('KILL ends others at once, and oneself after the reply', async () => {
    await using served = await ServedScene.open()
    const client = await RespClient.connect(served.port)
    const other = await RespClient.connect(served.port)
    const id = Number(await other.command('CLIENT', 'ID'))
    assert.equal(await client.command('CLIENT', 'KILL', 'ID', id), 1)
    await other.closed
    const own = /addr=(\S+)/.exec(String(await client.command('CLIENT', 'INFO')))![1]!
    assert.equal(await client.command('CLIENT', 'KILL', own), 'OK')
    await client.closed
  })
})

describe('the server commands', () => {
  test('SELECT knows one database only', async () => {
    await using served = await ServedScene.open()
    const client = await RespClient.connect(served.port)
    const reply = await client.command('SELECT', 1)
    assert.ok(reply instanceof ReplyError)
    assert.equal(reply.message, 'ERR DB index is out of range')
    client.close()
  })

  test('FLUSHALL empties memory and leaves rows in their database', async () => {
    await using served = await ServedScene.open()
    const client = await RespClient.connect(served.port)
    await client.command('SET', 'a', '1')
    await client.command('HSET', 'users:1', 'city', 'Ely')
    assert.equal(await client.command('DBSIZE'), 2)
    assert.equal(await client.command('FLUSHALL'), 'OK')
    assert.equal(await client.command('DBSIZE'), 0)
    assert.equal(await client.command('HGET', 'users:1', 'city'), 'Ely')
    client.close()
  })

  test('INFO tells every section that is asked for, once', async () => {
    await using served = await ServedScene.open()
    const client = await RespClient.connect(served.port)
    await client.command('SET', 'a', '1')
    await client.command('GET', 'a')
    await client.command('GET', 'b')
    await client.command('NOSUCH')
    const titles = async (...sections: string[]) =>
      [...String(await client.command('INFO', ...sections)).matchAll(/^# (.*)\r$/gm)].map(match => match[1])
    const usual = await titles()
    assert.deepEqual(await titles('default'), usual)
    assert.ok(usual.includes('Keyspace') && usual.includes('Tidemark') && !usual.includes('Commandstats'))
    assert.deepEqual(new Set(await titles('all')), new Set([...usual, 'Commandstats']))
    assert.deepEqual(await titles('CPU', 'server', 'cpu'), ['Server', 'CPU'])
    const info = String(await client.command('INFO', 'everything'))
    for (const line of [
      'db0:keys=1,expires=0,avg_ttl=0',
      'errorstat_ERR:count=1',
      'total_error_replies:1',
      'connected_clients:1',
    ]) {
      assert.ok(info.includes(`\r\n${line}\r\n`), line)
    }
    assert.match(info, /\r\ncmdstat_get:calls=2,usec=\d+,usec_per_call=[\d.]+,rejected_calls=0,failed_calls=0\r\n/)
    client.close()
  })

  test('COMMAND tells every command, with DOCS from the same table', async () => {
    await using served = await ServedScene.open()
    const client = await RespClient.connect(served.port, { resp: 3 })
    const count = Number(await client.command('COMMAND', 'COUNT'))
    const all = (await client.command('COMMAND')) as unknown[]
    const list = (await client.command('COMMAND', 'LIST')) as string[]
    const docs = (await client.command('COMMAND', 'DOCS')) as Map<string, Map<string, unknown>>
    assert.ok(count > 50)
    assert.equal(all.length, count)
    assert.deepEqual([...docs.keys()], list)
    assert.equal(new Set(list).size, count)
    for (const entry of docs.values()) assert.ok(typeof entry.get('summary') === 'string' && entry.has('since'))
    client.close()
  })
})
