// The commands of Redis that there are not: each is named with the reason and the way out, and none that exists is.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { commandTable } from '../../src/server/commands/table.ts'
import { unsupportedError, unsupportedGroups } from '../../src/server/commands/unsupported.ts'
import { plain } from '../support/call.ts'
import { rawReplies } from '../support/raw-replies.ts'
import { startRedis } from '../support/redis-server.ts'
import { RespClient } from '../support/resp-client.ts'
import { ServedScene } from './served-scene.ts'

const names = unsupportedGroups.flatMap(group => group.names.split(' '))

function errorOf(name: string): string | undefined {
  const bytes = Buffer.from(`<<${name}>>`)
  return unsupportedError(bytes, 2, bytes.length - 2)
}

test('every name is there once, in upper case, and is no command that exists', () => {
  assert.equal(new Set(names).size, names.length)
  for (const name of names) {
    assert.equal(name, name.toUpperCase())
    assert.equal(commandTable.named(name), undefined, `${name} exists`)
  }
  for (const { name } of commandTable.commands) assert.equal(errorOf(name), undefined)
})

test('the error says what the command is of and what to do', () => {
  assert.equal(
    errorOf('lpush'),
    'COMMAND_UNSUPPORTED LPUSH is a command on lists: Tidemark stores strings and hashes; ' +
      'keep such keys in a Redis or Valkey beside it',
  )
  for (const name of ['', 'LPUS', 'LPUSHY', 'x'.repeat(100), 'NOSUCH']) assert.equal(errorOf(name), undefined)
})

test('over the wire it is an error like any other, needs the password, and COMMAND does not list it', async () => {
  await using scene = await ServedScene.open({ requirepass: 'secret' })
  const stranger = await RespClient.connect(scene.port)
  assert.match(String(await stranger.command('LPUSH', 'a', 'b')), /NOAUTH/)
  const client = await RespClient.connect(scene.port, { password: 'secret' })
  assert.match(
    String(await client.command('zadd', 'a', 1, 'b')),
    /COMMAND_UNSUPPORTED ZADD is a command on sorted sets/,
  )
  assert.match(String(await client.command('NOSUCH', 'a')), /ERR unknown command 'NOSUCH'/)
  assert.deepEqual(await client.command('COMMAND', 'INFO', 'lpush'), [null])
  assert.equal(await client.command('PING'), 'PONG')
  for (const each of [stranger, client]) each.close()
})

/** What may be told `unknown command`: it is for fun. */
const unknownToo = new Set(['lolwut'])

test('every command of Redis 7.0 exists or is told of', async t => {
  const redis = await startRedis()
  if (redis === undefined) return t.skip('redis-server is not installed')
  try {
    const [reply] = await rawReplies(redis.port, [['COMMAND', 'LIST']])
    const containersAndCommands = (plain(reply!) as string[]).filter(name => !name.includes('|'))
    const unknown = containersAndCommands.filter(
      name => commandTable.named(name) === undefined && errorOf(name) === undefined,
    )
    assert.deepEqual(unknown.filter(name => !unknownToo.has(name)).sort(), [])
  } finally {
    await redis.stop()
  }
})
