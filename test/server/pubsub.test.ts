// Pub/Sub: the replies and messages of Redis, across threads, in order, and bounded for those who do not read.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { limits } from '../../src/base/limits.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { RespClient } from '../support/resp-client.ts'
import { startTidemark } from './running.ts'
import { eventually, ServedScene } from './served-scene.ts'

for (const threads of [1, 2]) {
  test(`messages of one publisher come in order to listeners of all threads, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const listeners = await Promise.all(Array.from({ length: 8 }, () => RespClient.connect(server.port, { resp: 3 })))
    const publishers = await Promise.all(Array.from({ length: 3 }, () => RespClient.connect(server.port)))
    t.after(() => [...listeners, ...publishers].forEach(client => client.close()))
    for (const listener of listeners) listener.raw('*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n')
    await eventually('all listen', () => listeners.every(({ pushes }) => pushes.length === 1))
    const counts = await Promise.all(
      publishers.flatMap((publisher, p) =>
        Array.from({ length: 200 }, (_, i) => publisher.command('PUBLISH', 'c', `${p}:${i}`)),
      ),
    )
    assert.deepEqual(new Set(counts), new Set([8]))
    await eventually('all messages came', () => listeners.every(({ pushes }) => pushes.length === 601))
    for (const { pushes } of listeners) {
      for (let p = 0; p < 3; p++) {
        const of = pushes.map(push => String(push[2])).filter(message => message.startsWith(`${p}:`))
        assert.deepEqual(
          of,
          Array.from({ length: 200 }, (_, i) => `${p}:${i}`),
        )
      }
    }
  })

  test(`node-redis and ioredis listen and publish, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const got: string[] = []
    const redis = await createClient({ RESP: 3, socket: { port: server.port } })
      .on('error', () => {})
      .connect()
    const io = new Redis({ port: server.port })
    const publisher = new Redis({ port: server.port })
    t.after(() => (redis.destroy(), io.disconnect(), publisher.disconnect()))
    await redis.subscribe('c', message => void got.push(`redis ${message}`))
    await redis.sSubscribe('s', message => void got.push(`shard ${message}`))
    io.on('pmessage', (_, channel, message) => void got.push(`io ${channel} ${message}`))
    await io.psubscribe('c*')
    assert.equal(await publisher.publish('c', 'x'), 2)
    assert.equal(await publisher.spublish('s', 'y'), 1)
    await eventually('messages', () => got.length === 3)
    assert.deepEqual(got.toSorted(), ['io c x', 'redis x', 'shard y'])
    await redis.unsubscribe('c')
    assert.equal(await publisher.publish('c', 'x'), 1)
  })
}

test('a listener that does not read is closed, counted and named', async () => {
  await using served = await ServedScene.open()
  const socket = connect(served.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('SUBSCRIBE c\r\n')
  await new Promise(resolve => socket.once('data', resolve))
  socket.pause()
  const publisher = await RespClient.connect(served.port)
  const message = Buffer.alloc(1 << 20, 'x')
  let sent = 0
  while ((await publisher.command('PUBLISH', 'c', message)) === 1) sent += message.length
  assert.ok(sent > limits.messageBacklogBytesMax - message.length, `${sent}`)
  assert.ok(sent < limits.messageBacklogBytesMax + (32 << 20), `${sent}`)
  assert.equal(served.metrics.total('tidemark_slow_subscribers_closed_total'), 1)
  assert.match(served.log.join(), /is closed: more than 33554432 bytes \(messageBacklogBytesMax\) of messages/)
  publisher.close()
  socket.destroy()
})

test('CLIENT LIST tells who listens', async () => {
  await using served = await ServedScene.open()
  const client = await RawConnection.open(served.port)
  client.send(['SUBSCRIBE', 'a', 'b'])
  await client.next()
  await client.next()
  await client.line('PSUBSCRIBE c')
  const [told] = served.clients
  assert.deepEqual(
    ['flags', 'sub', 'psub', 'ssub'].map(field => told!.get(field)),
    ['P', '2', '1', '0'],
  )
  client.close()
})
