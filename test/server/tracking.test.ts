// CLIENT TRACKING: the replies and messages of Redis, from changes of any thread and of any kind, and the caches of client
// libraries that rely on it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BasicClientSideCache, createClient } from 'redis'
import type { RawConnection } from '../support/raw-connection.ts'
import { RawConnection as Raw } from '../support/raw-connection.ts'
import { RespClient } from '../support/resp-client.ts'
import { type Scenario, sameAsRedis, startTidemark } from './running.ts'
import { eventually, ServedScene } from './served-scene.ts'

async function idOf(connection: RawConnection): Promise<string> {
  return (await connection.line('CLIENT ID')).slice(1, -2)
}

/** A RESP3 client that tracks, and one that writes. */
async function pair({ open }: Scenario, options = ''): Promise<[RawConnection, RawConnection]> {
  const [reader, writer] = [await open(), await open()]
  await reader.line('HELLO 3')
  await writer.line('MSET a 1 b 2 c 3')
  await reader.line(`CLIENT TRACKING ON${options}`)
  return [reader, writer]
}

const changes = [
  'SET a 2',
  'DEL a',
  'APPEND a x',
  'INCR a',
  'EXPIRE a 100',
  'PERSIST a',
  'GETDEL a',
  'RENAME a z',
  'SETRANGE a 0 x',
  'SETBIT a 0 1',
  'MSET x 1 a 2',
  'PEXPIRE a -1',
  'COPY b a REPLACE',
  'UNLINK a',
]

sameAsRedis('invalidations are as in Redis', {
  'of every kind of change': async scenario => {
    const [reader, writer] = await pair(scenario)
    for (const change of changes) {
      await writer.line('SET a 1 EX 1000')
      await reader.rest()
      scenario.note(await reader.line('GET a'), await writer.line(change), await reader.next())
    }
    await writer.line('DEL a')
    await writer.line('HSET h f 1 g 2')
    for (const change of ['HSET h f 2', 'HDEL h g', 'HINCRBY h n 1', 'DEL h']) {
      scenario.note(await reader.line('HGET h f'), await writer.line(change), await reader.next())
    }
    scenario.note(await reader.line('GET none'), await writer.line('SETNX none 1'), await reader.next())
  },
  'once, until the key is read again': async scenario => {
    const [reader, writer] = await pair(scenario)
    scenario.note(await reader.line('MGET a b'), await writer.line('SET a x'), await reader.next())
    scenario.note(await writer.line('SET a y'), await writer.line('SET b y'), await reader.next())
    scenario.note(await reader.line('GET a'), await writer.line('SET a z'), await reader.next())
  },
  'of everything': async scenario => {
    const [reader, writer] = await pair(scenario)
    scenario.note(await reader.line('GET a'), await writer.line('FLUSHALL'), await reader.next())
  },
  'of own changes, after the reply': async scenario => {
    const [reader] = await pair(scenario)
    scenario.note(await reader.line('GET a'), await reader.line('SET a 2'), await reader.next())
    reader.send(['GET', 'a'], ['SET', 'a', '3'], ['GET', 'a'])
    for (let i = 0; i < 4; i++) scenario.note(await reader.next())
    scenario.note(await reader.line('MULTI'), await reader.line('GET b'), await reader.line('SET b 1'))
    scenario.note(await reader.line('EXEC'), await reader.next())
  },
  'not of own changes with NOLOOP': async scenario => {
    const [reader, writer] = await pair(scenario, ' NOLOOP')
    scenario.note(await reader.line('MGET a b'), await reader.line('SET a 2'), await writer.line('SET a 3'))
    scenario.note(await writer.line('SET b 3'), await reader.next())
  },
  'opting in and out': async scenario => {
    const [reader, writer] = await pair(scenario, ' OPTIN')
    const { note } = scenario
    note(
      await reader.line('GET a'),
      await reader.line('CLIENT CACHING YES'),
      await reader.line('GET b'),
      await reader.line('GET c'),
    )
    note(await writer.line('SET a x'), await writer.line('SET c x'), await writer.line('SET b x'), await reader.next())
    note(await reader.line('CLIENT CACHING YES'), await reader.line('MULTI'), await reader.line('GET a'))
    note(await reader.line('EXEC'), await writer.line('SET a y'), await reader.next())
    note(
      await reader.line('CLIENT CACHING NO'),
      await reader.line('CLIENT CACHING X'),
      await reader.line('CLIENT TRACKINGINFO'),
    )
    note(await reader.line('CLIENT TRACKING OFF'), await reader.line('CLIENT TRACKING ON OPTOUT'))
    note(await reader.line('CLIENT CACHING NO'), await reader.line('GET a'), await reader.line('GET b'))
    note(
      await writer.line('SET a z'),
      await writer.line('SET b z'),
      await reader.next(),
      await reader.line('CLIENT CACHING YES'),
    )
  },
  'by prefix': async scenario => {
    const [reader, writer] = await pair(scenario, ' BCAST PREFIX user: PREFIX item:')
    const { note } = scenario
    note(await writer.line('SET other 1'), await writer.line('SET user:1 1'), await reader.next())
    note(await writer.line('SET item:1 1'), await reader.next(), await writer.line('DEL user:1'), await reader.next())
    note(await writer.line('MSET x 1 user:a 2'), await reader.next())
    note(await reader.line('CLIENT TRACKINGINFO'), await reader.line('CLIENT TRACKING ON BCAST PREFIX us'))
    note(
      await reader.line('CLIENT TRACKING ON BCAST PREFIX more'),
      await writer.line('SET more 1'),
      await reader.next(),
    )
    note(await writer.line('FLUSHALL'), await reader.next(), await reader.line('CLIENT TRACKING ON'))
  },
  'of all keys by an empty prefix': async scenario => {
    const [reader, writer] = await pair(scenario, ' BCAST')
    scenario.note(await writer.line('SET q 1'), await reader.next(), await reader.line('CLIENT TRACKINGINFO'))
  },
  'what tracking is asked for wrongly': async ({ open, note }) => {
    const client = await open()
    for (const line of [
      'CLIENT TRACKINGINFO',
      'CLIENT GETREDIR',
      'CLIENT CACHING YES',
      'CLIENT TRACKING',
      'CLIENT TRACKING X',
      'CLIENT TRACKING ON X',
      'CLIENT TRACKING ON PREFIX a',
      'CLIENT TRACKING ON PREFIX',
      'CLIENT TRACKING ON BCAST OPTIN',
      'CLIENT TRACKING ON OPTIN OPTOUT',
      'CLIENT TRACKING ON REDIRECT x',
      'CLIENT TRACKING ON REDIRECT 99999999',
      'CLIENT TRACKING ON BCAST PREFIX a PREFIX ab',
      'CLIENT TRACKING ON OPTIN',
      'CLIENT TRACKING ON OPTOUT',
      'CLIENT TRACKING ON BCAST',
      'CLIENT TRACKINGINFO',
      'CLIENT GETREDIR',
      'CLIENT TRACKING OFF',
      'CLIENT TRACKINGINFO',
    ]) {
      note(line, await client.line(line))
    }
  },
})

sameAsRedis(
  'redirected invalidations are as in Redis',
  {
    'to a listener': async ({ open, note }) => {
      const [reader, listener, writer] = [await open(), await open(), await open()]
      const id = await idOf(listener)
      note(
        await listener.line('SUBSCRIBE __redis__:invalidate'),
        await reader.line(`CLIENT TRACKING ON REDIRECT ${id}`),
      )
      await writer.line('SET a 1')
      note(await reader.line('GET a'), await writer.line('SET a 2'), await listener.next())
      note(await reader.line('GET a'), await writer.line('FLUSHALL'), await listener.next())
      const redirection = await reader.line('CLIENT GETREDIR')
      note(String(redirection === `:${id}\r\n`))
    },
  },
  message => message.replace(/:\d{3,}\r\n/g, ':ID\r\n'),
)

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
    for (let i = 0; i < 8_000 && reader.pushes.length === 0; i += 100) {
      const keys = Array.from({ length: 100 }, (_, j) => `key:${i + j}`)
      await writer.command('MSET', ...keys.flatMap(key => [key, value]))
      await reader.command('MGET', ...keys)
    }
    await eventually('told', () => reader.pushes.length > 0)
    const [[kind, keys]] = reader.pushes as [[string, string[]]]
    assert.equal(kind, 'invalidate')
    assert.equal(await reader.command('GET', keys[0]!), null)
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
  const reader = await Raw.open(served.port)
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
