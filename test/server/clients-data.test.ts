// node-redis and ioredis, each over every command on strings, bits, hashes and keys beyond GET and SET: their typed methods
// send what we take and understand what we answer. Over a real port; node-redis in RESP3, ioredis in RESP2.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { ServedScene } from './served-scene.ts'

async function withNodeRedis(
  scene: ServedScene,
  run: (client: ReturnType<typeof nodeRedis>) => Promise<void>,
): Promise<void> {
  const client = nodeRedis(scene)
  await client.connect()
  try {
    await run(client)
  } finally {
    client.destroy()
  }
}

function nodeRedis(scene: ServedScene) {
  return createClient({ socket: { host: '127.0.0.1', port: scene.port, reconnectStrategy: false }, RESP: 3 })
}

describe('node-redis', () => {
  test('commands on strings', async () => {
    await using scene = await ServedScene.open()
    await withNodeRedis(scene, async client => {
      assert.equal(await client.mSetNX({ a: 'ohmytext', b: 'mynewtext' }), 1)
      assert.equal(await client.mSetNX([['a', '1'], ['z', '1']]), 0) // prettier-ignore
      assert.equal(await client.lcs('a', 'b'), 'mytext')
      assert.equal(await client.lcsLen('a', 'b'), 6)
      const indexes = await client.lcsIdxWithMatchLen('a', 'b', { MINMATCHLEN: 4 })
      assert.deepEqual(indexes, { matches: [[[4, 7], [5, 8], 4]], len: 6 })
      assert.equal(await client.getSet('a', 'hello'), 'ohmytext')
      assert.equal(await client.getRange('a', 1, -2), 'ell')
      assert.equal(await client.setRange('a', 1, 'EL'), 5)
      assert.equal(await client.get('a'), 'hELlo')
      assert.equal(await client.incrByFloat('n', 10.5), '10.5')
      assert.equal(await client.sendCommand(['SUBSTR', 'a', '0', '0']), 'h')
    })
  })

  test('commands on bits', async () => {
    await using scene = await ServedScene.open()
    await withNodeRedis(scene, async client => {
      assert.equal(await client.setBit('a', 7, 1), 0)
      assert.equal(await client.getBit('a', 7), 1)
      assert.equal(await client.bitCount('a', { start: 0, end: -1, mode: 'BIT' }), 1)
      assert.equal(await client.bitPos('a', 1), 7)
      assert.equal(await client.bitOp('NOT', 'b', 'a'), 1)
      const results = await client.bitField('b', [
        { operation: 'GET', encoding: 'u8', offset: 0 },
        { operation: 'OVERFLOW', behavior: 'FAIL' },
        { operation: 'INCRBY', encoding: 'u8', offset: 0, increment: 300 },
        { operation: 'SET', encoding: 'i8', offset: '#1', value: -5 },
      ])
      assert.deepEqual(results, [254, null, 0])
      assert.deepEqual(await client.bitFieldRo('b', [{ encoding: 'i8', offset: '#1' }]), [-5])
    })
  })

  test('commands on hashes', async () => {
    await using scene = await ServedScene.open()
    await withNodeRedis(scene, async client => {
      assert.equal(await client.hSetNX('h', 'f', 'v'), 1)
      assert.equal(await client.hStrLen('h', 'f'), 1)
      assert.equal(await client.hIncrBy('h', 'n', 5), 5)
      assert.equal(await client.hIncrByFloat('h', 'n', 0.5), '5.5')
      assert.equal(await client.sendCommand(['HMSET', 'h', 'g', 'w']), 'OK')
      assert.ok(['f', 'n', 'g'].includes((await client.hRandField('h'))!))
      assert.equal((await client.hRandFieldCount('h', -5)).length, 5)
      const pairs = await client.hRandFieldCountWithValues('h', 5)
      assert.deepEqual(pairs.map(({ field, value }) => `${field}=${value}`).sort(), ['f=v', 'g=w', 'n=5.5'])
      const { cursor, entries } = await client.hScan('h', '0', { MATCH: '*', COUNT: 10 })
      assert.deepEqual([cursor, entries.length], ['0', 3])
      const seen: string[] = []
      for await (const part of client.hScanIterator('h')) seen.push(...part.map(({ field }) => field))
      assert.deepEqual(seen.sort(), ['f', 'g', 'n'])
    })
  })

  test('commands on keys', async () => {
    await using scene = await ServedScene.open()
    await withNodeRedis(scene, async client => {
      await client.set('a', '12')
      assert.equal(await client.randomKey(), 'a')
      assert.equal(await client.objectEncoding('a'), 'int')
      assert.equal(await client.objectRefCount('a'), 1)
      assert.equal(typeof (await client.objectFreq('a')), 'number')
      await assert.rejects(client.objectIdleTime('a'), /idle time not tracked/)
      assert.ok((await client.memoryUsage('a', { SAMPLES: 0 }))! > 16)
      assert.equal(await client.copy('a', 'b', { REPLACE: true }), 1)
      assert.equal(await client.renameNX('b', 'a'), 0)
      assert.equal(await client.touch(['a', 'b', 'c']), 2)
      assert.equal(await client.wait(1, 10), 0)
      await assert.rejects(client.move('a', 1), /DB index is out of range/)
      await assert.rejects(client.lPush('a', 'x'), /COMMAND_UNSUPPORTED LPUSH is a command on lists/)
      await assert.rejects(client.eval('return 1'), /COMMAND_UNSUPPORTED EVAL is a command of scripts and functions/)
    })
  })
})

describe('ioredis', () => {
  async function withIoredis(scene: ServedScene, run: (client: Redis) => Promise<void>): Promise<void> {
    const client = new Redis({ host: '127.0.0.1', port: scene.port, retryStrategy: () => null, lazyConnect: true })
    await client.connect()
    try {
      await run(client)
    } finally {
      client.disconnect()
    }
  }

  test('commands on strings and bits', async () => {
    await using scene = await ServedScene.open()
    await withIoredis(scene, async client => {
      assert.equal(await client.msetnx('a', 'ohmytext', 'b', 'mynewtext'), 1)
      assert.equal(await client.lcs('a', 'b'), 'mytext')
      assert.equal(await client.lcs('a', 'b', 'LEN'), 6)
      assert.equal(await client.getset('a', 'hello'), 'ohmytext')
      assert.equal(await client.getrange('a', 1, 3), 'ell')
      assert.equal(await client.substr('a', 0, 0), 'h')
      assert.equal(await client.setrange('a', 4, 'O'), 5)
      assert.equal(await client.incrbyfloat('n', '0.25'), '0.25')
      assert.equal(await client.setbit('bits', 9, 1), 0)
      assert.equal(await client.getbit('bits', 9), 1)
      assert.equal(await client.bitcount('bits'), 1)
      assert.equal(await client.bitpos('bits', 1), 9)
      assert.equal(await client.bitop('OR', 'c', 'bits', 'a'), 5)
      assert.deepEqual(await client.bitfield('bits', 'INCRBY', 'u4', 4, 3), [3])
      assert.deepEqual(await client.bitfield_ro('bits', 'GET', 'u8', 0), [3])
    })
  })

  test('commands on hashes and keys', async () => {
    await using scene = await ServedScene.open()
    await withIoredis(scene, async client => {
      assert.equal(await client.hmset('h', { f: 'v', g: 'w' }), 'OK')
      assert.equal(await client.hsetnx('h', 'f', 'x'), 0)
      assert.equal(await client.hincrby('h', 'n', 7), 7)
      assert.equal(await client.hincrbyfloat('h', 'n', '0.5'), '7.5')
      assert.equal(await client.hstrlen('h', 'n'), 3)
      assert.deepEqual(await client.hscan('h', 0, 'MATCH', 'f*'), ['0', ['f', 'v']])
      assert.equal((await client.hrandfield('h', -4, 'WITHVALUES') as string[]).length, 8) // prettier-ignore
      const dump = await client.dumpBuffer('h')
      assert.equal(await client.restore('copy', 0, dump), 'OK')
      assert.deepEqual(await client.hgetall('copy'), { f: 'v', g: 'w', n: '7.5' })
      assert.equal(await client.object('ENCODING', 'h'), 'listpack')
      assert.ok(Number(await client.memory('USAGE', 'h')) > 0)
      assert.ok(['h', 'copy'].includes((await client.randomkey())!))
      assert.equal(await client.wait(0, 0), 0)
      await assert.rejects(client.move('h', 3), /DB index is out of range/)
      await assert.rejects(client.zadd('z', 1, 'x'), /COMMAND_UNSUPPORTED ZADD is a command on sorted sets/)
      await assert.rejects(client.evalsha('0', 0), /COMMAND_UNSUPPORTED EVALSHA/)
    })
  })
})
