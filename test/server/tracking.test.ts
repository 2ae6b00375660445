// CLIENT TRACKING: what expires, is evicted or is a row, and the caches of client libraries that rely on it. The replies and
// messages of Redis are in test/wire/recordings/tracking.txt.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BasicClientSideCache, createClient } from 'redis'
import { RawConnection } from '../support/raw-connection.ts'
import { RespClient } from '../support/resp-client.ts'
import { startTidemark } from './running.ts'
import { eventually, ServedScene } from './served-scene.ts'

for (const threads of [1, 2]) {
  test(`a tracked key that expires is told of without being asked for, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const reader = await RespClient.connect(server.port, { resp: 3 })
    t.after(() => reader.close())
    await reader.command('CLIENT', 'TRACKING', 'ON')
    await reader.command('SET', 'k', '1', 'PX', 150)
    await reader.command('GET', 'k')
    await eventually('told', () => reader.pushes.length === 1)
    assert.deepEqual(reader.pushes, [['invalidate', ['k']]])
    assert.equal(await reader.command('GET', 'k'), null)
  })

  test(`a tracked key that is evicted is told of, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads, memoryBytes: 2 << 20 })
    const reader = await RespClient.connect(server.port, { resp: 3 })
    const writer = await RespClient.connect(server.port)
    t.after(() => (reader.close(), writer.close()))
    await reader.command('CLIENT', 'TRACKING', 'ON')
    const value = Buffer.alloc(1000, 'x')
    // A key whose write was noted because of another one in its place of the table may be told of too, and is there.
    const isToldOfOneGone = async (): Promise<boolean> => {
      const told = (reader.pushes as [string, string[]][]).flatMap(([, keys]) => keys)
      for (const key of told) if ((await reader.command('GET', key)) === null) return true
      return false
    }
    for (let i = 0; !(await isToldOfOneGone()); i += 100) {
      assert.ok(i < 8_000, 'nobody was told')
      const keys = Array.from({ length: 100 }, (_, j) => `key:${i + j}`)
      await writer.command('MSET', ...keys.flatMap(key => [key, value]))
      await reader.command('MGET', ...keys)
    }
    for (const [kind] of reader.pushes as [string][]) assert.equal(kind, 'invalidate')
  })

  test(`the cache of node-redis never returns what it was told is old, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const caches = Array.from(
      { length: 4 },
      () => new BasicClientSideCache({ maxEntries: 0, ttl: 0, evictPolicy: 'LRU' }),
    )
    const readers = await Promise.all(
      caches.map(clientSideCache =>
        createClient({ RESP: 3, clientSideCache, socket: { port: server.port } })
          .on('error', () => {})
          .connect(),
      ),
    )
    const writers = await Promise.all([1, 2].map(() => RespClient.connect(server.port)))
    t.after(() => (readers.forEach(reader => reader.destroy()), writers.forEach(writer => writer.close())))
    for (let round = 0; round < 50; round++) {
      await writers[round % 2]!.command('SET', 'k', `v${round}`)
      for (const reader of readers) {
        // The cache learns of the write by a message: from then on the old value never comes back.
        let seen = ''
        await eventuallyAsync(async () => (seen = (await reader.get('k')) ?? '') === `v${round}`)
        for (let again = 0; again < 3; again++) assert.equal(await reader.get('k'), `v${round}`, `after ${seen}`)
      }
    }
    for (const cache of caches) {
      const { hitCount, missCount } = cache.stats()
      assert.ok(hitCount >= 150, `${hitCount} hits`)
      assert.ok(missCount >= 50, `${missCount} misses`)
    }
  })

  test(`readers and writers at once: a cache kept by invalidations ends up right, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const writers = await Promise.all([1, 2, 3].map(() => RespClient.connect(server.port)))
    const readers = await Promise.all([1, 2, 3, 4].map(() => RespClient.connect(server.port, { resp: 3 })))
    t.after(() => [...writers, ...readers].forEach(client => client.close()))
    const keys = Array.from({ length: 20 }, (_, i) => `k${i}`)
    const copies = readers.map(() => new Map<string, unknown>())
    const applied = readers.map(() => 0)
    const apply = (r: number): void => {
      for (const push of readers[r]!.pushes.slice(applied[r])) {
        applied[r]!++
        for (const key of push[1] as string[]) copies[r]!.delete(key)
      }
    }
    for (const reader of readers) await reader.command('CLIENT', 'TRACKING', 'ON')
    let n = 0
    for (let round = 0; round < 200; round++) {
      const writing = writers.map(writer => writer.command('SET', keys[(round * 7 + n++) % keys.length]!, n))
      const reading = readers.flatMap((reader, r) =>
        keys.slice(0, 5 + r).map(async key => {
          const value = await reader.command('GET', key)
          apply(r)
          copies[r]!.set(key, value)
        }),
      )
      await Promise.all([...writing, ...reading])
    }
    const truth = new Map<string, unknown>()
    for (const key of keys) truth.set(key, await writers[0]!.command('GET', key))
    await eventually('no old value is left', () =>
      copies.every((copy, r) => {
        apply(r)
        return [...copy].every(([key, value]) => value === truth.get(key))
      }),
    )
  })
}

async function eventuallyAsync(holds: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 5000; turn++) {
    if (await holds()) return
    await new Promise(resolve => setTimeout(resolve, 0))
  }
  assert.fail('never')
}

test('a row: changed through the server, and by another program', async () => {
  await using served = await ServedScene.open()
  const reader = await RespClient.connect(served.port, { resp: 3 })
  const writer = await RespClient.connect(served.port)
  await reader.command('CLIENT', 'TRACKING', 'ON')
  assert.equal(await reader.command('HGET', 'users:1', 'name'), 'Ada')
  assert.equal(await reader.command('HGET', 'users:1', 'name'), 'Ada')
  assert.deepEqual(reader.pushes, [], 'loading a row is no change of it')
  await writer.command('HSET', 'users:1', 'name', 'Eve')
  await eventually('told', () => reader.pushes.length === 1)
  assert.deepEqual(reader.pushes.splice(0), [['invalidate', ['users:1']]])
  assert.equal(await reader.command('HGET', 'users:1', 'name'), 'Eve')
  served.scene.other.exec("UPDATE users SET name = 'Mallory' WHERE id = 1")
  served.scene.sqlite.poll()
  await eventually('told', () => reader.pushes.length === 1)
  assert.deepEqual(reader.pushes, [['invalidate', null]])
  assert.equal(await reader.command('HGET', 'users:1', 'name'), 'Mallory')
  reader.close()
  writer.close()
})

test('a change that comes while the row is on its way is told of after the reply', async () => {
  await using served = await ServedScene.open()
  const reader = await RawConnection.open(served.port)
  const writer = await RespClient.connect(served.port)
  await reader.line('HELLO 3')
  await reader.line('CLIENT TRACKING ON')
  const gate = Promise.withResolvers<void>()
  served.scene.source.held = gate.promise
  reader.send(['HGET', 'users:1', 'name'])
  await eventually('the load is out', () => served.scene.source.loads.length > 0)
  served.scene.source.held = undefined
  await writer.command('HSET', 'users:1', 'name', 'Eve')
  await new Promise(resolve => setTimeout(resolve, 20))
  gate.resolve()
  assert.equal(await reader.next(), '$3\r\nAda\r\n')
  assert.equal(await reader.next(), '>2\r\n$10\r\ninvalidate\r\n*1\r\n$7\r\nusers:1\r\n')
  reader.close()
  writer.close()
})
