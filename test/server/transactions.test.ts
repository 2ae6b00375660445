// MULTI, EXEC, DISCARD, WATCH: isolation between threads, and what rows may do in it. Replies: test/wire/recordings/.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { createClient, WatchError } from 'redis'
import { RespClient } from '../support/resp-client.ts'
import { startTidemark } from './running.ts'
import { ServedScene } from './served-scene.ts'

for (const threads of [1, 2]) {
  test(`nobody sees half a transaction, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const writers = await Promise.all(Array.from({ length: 4 }, () => RespClient.connect(server.port)))
    const readers = await Promise.all(Array.from({ length: 6 }, () => RespClient.connect(server.port)))
    t.after(() => [...writers, ...readers].forEach(client => client.close()))
    await writers[0]!.command('MSET', 'x', '0', 'y', '0', 'z', '0')
    const writing = { goesOn: true }
    const write = async (client: RespClient): Promise<void> => {
      for (let i = 0; i < 400; i++) {
        const steps = ['MULTI', 'INCR x', 'INCR y', 'INCR z', 'EXEC'].map(line => client.command(...line.split(' ')))
        const [a, b, c] = (await Promise.all(steps)).at(-1) as number[]
        assert.ok(a === b && b === c, `${a} ${b} ${c}`)
      }
    }
    let looks = 0
    const read = async (client: RespClient, index: number): Promise<void> => {
      while (writing.goesOn) {
        looks++
        if (index % 2 === 0) {
          // z was changed after x: who saw a new x must not see an older z.
          const [x, y, z] = (await Promise.all(['x', 'y', 'z'].map(key => client.command('GET', key)))) as string[]
          assert.ok(Number(x) <= Number(y) && Number(y) <= Number(z), `${x} ${y} ${z}`)
        } else {
          const steps = ['MULTI', 'GET z', 'GET y', 'GET x', 'EXEC'].map(line => client.command(...line.split(' ')))
          const [z, y, x] = (await Promise.all(steps)).at(-1) as string[]
          assert.ok(x === y && y === z, `${x} ${y} ${z}`)
        }
      }
    }
    const reading = Promise.all(readers.map(read))
    await Promise.all(writers.map(write))
    writing.goesOn = false
    await reading
    assert.ok(looks > 0)
    assert.equal(await writers[0]!.command('GET', 'x'), '1600')
  })

  test(`a long transaction is not seen before its end, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const writer = await RespClient.connect(server.port)
    const readers = await Promise.all(Array.from({ length: 8 }, () => RespClient.connect(server.port)))
    t.after(() => [writer, ...readers].forEach(client => client.close()))
    await writer.command('MSET', 'first', '0', 'last', '0')
    const filling = Array.from({ length: 1000 }, (_, i) => ['SET', `fill:${i}`, 'x'])
    const writing = { goesOn: true }
    const read = async (client: RespClient): Promise<void> => {
      while (writing.goesOn) {
        const [first, last] = await Promise.all([client.command('GET', 'first'), client.command('GET', 'last')])
        assert.ok(Number(first) <= Number(last), `${String(first)} ${String(last)}`)
      }
    }
    const reading = Promise.all(readers.map(read))
    for (let i = 0; i < 20; i++) {
      const steps = [['MULTI'], ['INCR', 'first'], ...filling, ['INCR', 'last'], ['EXEC']]
      await Promise.all(steps.map(step => writer.command(...step)))
    }
    writing.goesOn = false
    await reading
    assert.equal(await writer.command('GET', 'last'), '20')
  })

  test(`optimistic locking loses no update, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const clients = await Promise.all(Array.from({ length: 4 }, () => RespClient.connect(server.port)))
    t.after(() => clients.forEach(client => client.close()))
    const add = async (client: RespClient): Promise<void> => {
      for (let done = 0; done < 50;) {
        await client.command('WATCH', 'sum')
        const sum = Number((await client.command('GET', 'sum')) ?? 0)
        await client.command('MULTI')
        await client.command('SET', 'sum', sum + 1)
        if ((await client.command('EXEC')) !== null) done++
      }
    }
    await Promise.all(clients.map(add))
    assert.equal(await clients[0]!.command('GET', 'sum'), '200')
  })

  test(`values larger than a segment are stored in transactions, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads, memoryBytes: 32 << 20 })
    const client = await RespClient.connect(server.port)
    t.after(() => client.close())
    const large = Buffer.alloc(1_000_000, 'x')
    for (const command of [
      ['MULTI'],
      ['SET', 'a', large],
      ['COPY', 'a', 'b'],
      ['APPEND', 'b', large],
      ['STRLEN', 'b'],
    ]) {
      await client.command(...command)
    }
    assert.deepEqual(await client.command('EXEC'), ['OK', 1, 2_000_000, 2_000_000])
    await client.command('MULTI')
    await client.command('SETRANGE', 'c', 999_999, 'x')
    assert.deepEqual(await client.command('EXEC'), [1_000_000])
  })
}

test('node-redis and ioredis run transactions', async t => {
  const server = await startTidemark(t, { threads: 2 })
  const redis = await createClient({ socket: { port: server.port } })
    .on('error', () => {})
    .connect()
  t.after(() => redis.destroy())
  assert.deepEqual(await redis.multi().set('a', '1').incr('a').exec(), ['OK', 2])
  await redis.watch('a')
  await redis.set('a', '5')
  await assert.rejects(redis.multi().incr('a').exec(), WatchError)
  const io = new Redis({ port: server.port })
  t.after(() => io.disconnect())
  assert.deepEqual(await io.multi().set('b', '1').incr('b').exec(), [
    [null, 'OK'],
    [null, 2],
  ])
})

test('row writes of one EXEC are one transaction of the database', async () => {
  await using served = await ServedScene.open()
  const client = await RespClient.connect(served.port)
  const run = async (...all: string[][]): Promise<unknown[]> => {
    const replies = await Promise.all([['MULTI'], ...all, ['EXEC']].map(command => client.command(...command)))
    return replies.at(-1) as unknown[]
  }
  const before = served.scene.source.writes
  assert.deepEqual(
    await run(
      ['HSET', 'users:1', 'name', 'a'],
      ['SET', 'plain', 'x'],
      ['HSET', 'users:2', 'name', 'b'],
      ['GET', 'plain'],
    ),
    [0, 'OK', 0, 'x'],
  )
  assert.equal(served.scene.source.writes, before + 1)
  assert.equal(await client.command('HGET', 'users:2', 'name'), 'b')

  // Refused by the database: nothing of the transaction happens, plain commands included.
  const refused = await run(['HSET', 'users:1', 'name', 'c'], ['SET', 'plain', 'y'], ['HSET', 'users:2', 'nosuch', 'b'])
  assert.match(String(refused), /EXECABORT Transaction discarded because of: ROW_INVALID/)
  assert.deepEqual(await Promise.all([client.command('GET', 'plain'), client.command('HGET', 'users:1', 'name')]), [
    'x',
    'a',
  ])

  // A refusal that is the command's own stays with it.
  const own = await run(['HSET', 'users:1', 'name', 'd'], ['HSET', 'users:no-id', 'name', 'x'])
  assert.equal(own[0], 0)
  assert.match(String(own[1]), /ROW_KEY_INVALID/)
  assert.equal(await client.command('HGET', 'users:1', 'name'), 'd')

  // Reads of rows in memory and of rows that have to be loaded, among plain commands.
  const read = ['HGET users:1 name', 'INCR n', 'HGET users:3 name', 'HGET users:99 name', 'INCR n', 'MGET n users:1']
  assert.deepEqual((await run(...read.map(line => line.split(' ')))).slice(0, 5), ['d', 1, 'Alan', null, 2])
  client.close()
})

test('what rows cannot do in a transaction is refused when it is queued', async () => {
  await using served = await ServedScene.open()
  const client = await RespClient.connect(served.port)
  const say = async (line: string): Promise<string> => String(await client.command(...line.split(' ')))
  const mixed: [string[], RegExp][] = [
    [['HGET users:1 name', 'HSET users:1 name x'], /TRANSACTION_ROWS row reads and row writes/],
    [['HSET users:1 name x', 'GET users:2'], /TRANSACTION_ROWS row reads and row writes/],
    [['MSET plain x users:1 {"name":"x"}'], /TRANSACTION_ROWS MSET with row keys and plain keys/],
  ]
  for (const [commands, expected] of mixed) {
    await say('MULTI')
    const replies = []
    for (const command of commands) replies.push(await say(command))
    assert.match(replies.at(-1)!, expected)
    assert.match(await say('EXEC'), /EXECABORT/)
  }
  assert.match(await say('WATCH users:1'), /TRANSACTION_ROWS users:1 is a row of table users/)
  await say('WATCH plain')
  await say('MULTI')
  assert.match(await say('HSET users:1 name x'), /TRANSACTION_ROWS rows cannot be written in a MULTI that watches/)
  assert.match(await say('EXEC'), /EXECABORT/)
  assert.equal(await say('HGET users:1 name'), 'Ada')
  client.close()
})
