// What changes while a server runs: CONFIG SET, CLIENT PAUSE, and what SLOWLOG, LATENCY and ACL tell; in all threads.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cumulativeMicroseconds } from '../../src/server/commands/latency.ts'
import { commandSecondsBounds } from '../../src/server/metrics.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { RespClient } from '../support/resp-client.ts'
import { startTidemark } from './running.ts'
import { eventually, ServedScene } from './served-scene.ts'

test('a histogram is told at whole microseconds where it grows, with what took longest at its end', () => {
  const counts = new Array<number>(commandSecondsBounds.length + 1).fill(0)
  assert.deepEqual(cumulativeMicroseconds(counts), [])
  // 1, 2.5 and 5 microseconds, and more than ten seconds.
  counts[0] = 3
  counts[1] = 2
  counts[2] = 1
  counts[counts.length - 1] = 4
  assert.deepEqual(cumulativeMicroseconds(counts), [
    [1, 3],
    [5, 6],
    [10_000_000, 10],
  ])
})

for (const threads of [1, 2]) {
  test(`slow commands of all threads are told, newest first, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const clients = await Promise.all(Array.from({ length: 8 }, () => RespClient.connect(server.port)))
    t.after(() => clients.forEach(client => client.close()))
    const [first] = clients
    await first!.command('CLIENT', 'SETNAME', 'me')
    assert.equal(await first!.command('CONFIG', 'SET', 'slowlog-log-slower-than', '0'), 'OK')
    await first!.command('SLOWLOG', 'RESET')
    // Neither fast nor of constant time: measured each time.
    for (const client of clients) await client.command('LCS', 'a', 'b'.repeat(200))
    await first!.command('DEL', ...Array.from({ length: 40 }, (_, i) => `k${i}`))
    const entries = (await first!.command('SLOWLOG', 'GET', '-1')) as [
      number,
      number,
      number,
      string[],
      string,
      string,
    ][]
    const mine = entries.filter(([, , , args]) => args[0] === 'LCS')
    assert.equal(mine.length, clients.length)
    assert.deepEqual(mine[0]![3], ['LCS', 'a', `${'b'.repeat(128)}... (72 more bytes)`])
    const ids = entries.map(([id]) => id)
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => b - a),
    )
    const del = entries.find(([, , , args]) => args[0] === 'DEL')!
    assert.equal(del[3].length, 32)
    assert.equal(del[3].at(-1), '... (10 more arguments)')
    assert.equal(del[5], 'me')
    await first!.command('CONFIG', 'SET', 'slowlog-max-len', '2')
    assert.equal(((await first!.command('SLOWLOG', 'GET')) as unknown[]).length, 2)
    assert.equal(await first!.command('SLOWLOG', 'LEN'), 2)
    await first!.command('CONFIG', 'SET', 'slowlog-log-slower-than', '-1')
    await first!.command('SLOWLOG', 'RESET')
    for (const client of clients) await client.command('LCS', 'a', 'b')
    assert.equal(await first!.command('SLOWLOG', 'LEN'), 0)
  })

  test(`LATENCY tells the calls and the slow commands of all threads, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const clients = await Promise.all(Array.from({ length: 8 }, () => RespClient.connect(server.port, { resp: 3 })))
    t.after(() => clients.forEach(client => client.close()))
    const [first] = clients
    for (const client of clients) for (let i = 0; i < 40; i++) await client.command('GET', 'a')
    type Histogram = Map<string, Map<string, number | Map<number, number>>>
    const told = (await first!.command('LATENCY', 'HISTOGRAM', 'get', 'nosuch')) as Histogram
    assert.deepEqual([...told.keys()], ['get'])
    assert.equal(told.get('get')!.get('calls'), 320)
    const buckets = [...(told.get('get')!.get('histogram_usec') as Map<number, number>)]
    // Of each thread one command in 16 is timed, whichever it is.
    assert.ok(buckets.length > 0 && buckets.at(-1)![1] >= 10 && buckets.at(-1)![1] <= 40, JSON.stringify(buckets))
    for (const [i, [bound, count]] of buckets.entries()) {
      assert.ok(Number.isInteger(bound) && bound > (buckets[i - 1]?.[0] ?? 0) && count > (buckets[i - 1]?.[1] ?? 0))
    }
    await first!.command('CONFIG', 'RESETSTAT')
    assert.equal(((await first!.command('LATENCY', 'HISTOGRAM', 'get')) as Histogram).size, 0)
    await first!.command('GET', 'a')
    const again = ((await first!.command('LATENCY', 'HISTOGRAM', 'get')) as Histogram).get('get')!
    assert.equal(again.get('calls'), 1)
    const timed = [...(again.get('histogram_usec') as Map<number, number>).values()].at(-1) ?? 0
    assert.ok(timed <= 1, `${timed} timed since CONFIG RESETSTAT`)

    // A command that takes its time: 16 million steps.
    await first!.command('CONFIG', 'SET', 'latency-monitor-threshold', 1)
    await first!.command('MSET', 'x', 'ab'.repeat(2000), 'y', 'ba'.repeat(2000))
    for (const client of clients) await client.command('LCS', 'x', 'y')
    const graph = String(await first!.command('LATENCY', 'GRAPH', 'command'))
    assert.match(graph, /^command - high \d+ ms, low \d+ ms \(all time high \d+ ms\)\n-{80}\n/)
    const lines = graph.split('\n')
    assert.deepEqual(lines[5]!.length, lines[2]!.length)
    assert.ok(lines[5]!.length >= clients.length && !lines[5]!.includes(' '), graph)
    assert.match(lines[8]!, /s/)
  })

  test(`a password that is set asks new clients for it, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const before = await RespClient.connect(server.port)
    t.after(() => before.close())
    assert.equal(await before.command('CONFIG', 'SET', 'requirepass', 'secret'), 'OK')
    assert.equal(await before.command('SET', 'k', 'v'), 'OK')
    const clients = await Promise.all(Array.from({ length: 8 }, () => RespClient.connect(server.port)))
    t.after(() => clients.forEach(client => client.close()))
    for (const client of clients) {
      assert.match(String(await client.command('GET', 'k')), /NOAUTH/)
      assert.match(String(await client.command('AUTH', 'wrong')), /WRONGPASS/)
      assert.equal(await client.command('AUTH', 'secret'), 'OK')
      assert.equal(await client.command('GET', 'k'), 'v')
    }
    assert.equal(await before.command('CONFIG', 'SET', 'requirepass', ''), 'OK')
    const after = await RespClient.connect(server.port)
    assert.equal(await after.command('GET', 'k'), 'v')
    after.close()
  })

  test(`CLIENT PAUSE holds writes, or all, of every thread until it ends, ${threads} threads`, async t => {
    const server = await startTidemark(t, { threads })
    const clients = await Promise.all(Array.from({ length: 8 }, () => RespClient.connect(server.port)))
    t.after(() => clients.forEach(client => client.close()))
    const [first, ...others] = clients
    await first!.command('SET', 'k', 'before')
    assert.equal(await first!.command('CLIENT', 'PAUSE', '60000', 'WRITE'), 'OK')
    let written = 0
    const writing = others.map(async client => {
      await client.command('APPEND', 'k', 'x')
      written++
    })
    // The reply to a read behind a held write waits with it; other clients read.
    for (let i = 0; i < 20; i++) assert.equal(await first!.command('GET', 'k'), 'before')
    assert.equal(written, 0)
    assert.equal(await first!.command('CLIENT', 'UNPAUSE'), 'OK')
    await Promise.all(writing)
    assert.equal(await first!.command('GET', 'k'), `before${'x'.repeat(others.length)}`)
    await first!.command('CLIENT', 'PAUSE', '100')
    const startMs = process.hrtime.bigint()
    await Promise.all(others.map(client => client.command('PING')))
    assert.ok(process.hrtime.bigint() - startMs > 30_000_000n, 'all waited for the end of the pause')
  })
}

test('what cannot change is refused with the reason', async () => {
  await using served = await ServedScene.open()
  const client = await RawConnection.open(served.port)
  assert.match(
    await client.line('CONFIG SET maxmemory 1gb'),
    /'maxmemory'\) - memory is taken at the start \(--memory\)/,
  )
  assert.match(await client.line('CONFIG SET notify-keyspace-events KEA'), /there are no keyspace notifications/)
  assert.match(await client.line('CONFIG SET timeout 5 port 1'), /'port'\) - can't set immutable config/)
  assert.match(await client.line('CONFIG GET timeout'), /\$1\r\n0\r\n/, 'all of a CONFIG SET or none')
  client.close()
})

test('MEMORY STATS and DOCTOR tell of the store', async () => {
  await using served = await ServedScene.open()
  const client = await RespClient.connect(served.port, { resp: 3 })
  await client.command('MSET', 'a', 'x'.repeat(1000), 'b', 'y')
  const stats = (await client.command('MEMORY', 'STATS')) as Map<string, number>
  assert.equal(stats.get('keys.count'), 2)
  assert.ok(stats.get('dataset.bytes')! > 1000 && stats.get('dataset.bytes')! < stats.get('total.allocated')!)
  assert.match(String(await client.command('MEMORY', 'DOCTOR')), /% of 4194304 bytes of memory \(--memory\) are in use/)
  client.close()
})

test('idle clients are closed after the timeout, listeners are not', async () => {
  await using served = await ServedScene.open()
  const [idle, listener, busy] = [
    await RawConnection.open(served.port),
    await RawConnection.open(served.port),
    await RawConnection.open(served.port),
  ]
  await idle.line('PING')
  await listener.line('SUBSCRIBE c')
  await busy.line('CONFIG SET timeout 10')
  served.scene.clock.advance(9_000)
  await busy.line('PING')
  served.scene.clock.advance(2_000)
  await eventually('closed', () => idle.closed)
  assert.equal(await busy.line('PUBLISH c x'), ':1\r\n')
  busy.close()
  listener.close()
})
