// The connection and server commands: what is ours alone or differs on purpose. What is as in Redis is in
// test/wire/recordings/ (connection, client, config, command, server).
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { RespClient } from '../support/resp-client.ts'
import { ReplyError } from '../../src/wire/reply.ts'
import { ServedScene } from './served-scene.ts'

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
