// Sessions over real sockets: order, cut requests, waiting, slow readers, greedy senders, and clients that leave.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type Socket, connect } from 'node:net'
import { limits } from '../../src/base/limits.ts'
import { type Random, seededRandom } from '../../src/base/random.ts'
import { ReplyWriter } from '../../src/wire/reply-writer.ts'
import { ReplyError } from '../../src/wire/reply.ts'
import { RespClient } from '../support/resp-client.ts'
import { ServedScene, eventually } from './served-scene.ts'

function request(...args: (string | Buffer)[]): Buffer {
  const out = new ReplyWriter(64)
  out.array(args.length)
  for (const arg of args) out.bulk(Buffer.from(arg))
  return out.detach()
}

async function connectTo(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.setNoDelay(true)
  return socket
}

/** Sends the pieces, each in a packet of its own as far as one can tell, then the end; resolves with all that came. */
async function exchange(port: number, pieces: readonly Buffer[]): Promise<string> {
  const socket = await connectTo(port)
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  const closed = once(socket, 'close')
  for (const piece of pieces) {
    socket.write(piece)
    await new Promise(resolve => setImmediate(resolve))
  }
  socket.end()
  await closed
  return Buffer.concat(received).toString('latin1')
}

function splitAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const edges = [0, ...cuts, bytes.length]
  return edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge))
}

function randomCuts(random: Random, length: number): number[] {
  const cuts = new Set<number>()
  for (let i = random.below(6); i >= 0; i--) cuts.add(1 + random.below(length - 1))
  return [...cuts].sort((a, b) => a - b)
}

const pipeline = Buffer.concat([
  request('FLUSHALL'),
  request('SET', 'a', 'x'.repeat(300)),
  Buffer.from('GET a\r\n\r\n*0\r\n'),
  request('GET', 'users:1'),
  request('hget', 'users:2', 'name'),
  request('INCR', 'n'),
  request('NOSUCH', 'a b'),
  Buffer.from('MGET a "users:3" n\r\n'),
  request('GET', 'users:99'),
  request('ECHO', Buffer.from([0, 13, 10, 255])),
])

describe('a pipeline', () => {
  test('gives the same replies wherever it is cut', async () => {
    await using served = await ServedScene.open()
    const whole = await exchange(served.port, [pipeline])
    assert.match(whole, /^\+OK\r\n\+OK\r\n\$300\r\n/)
    assert.match(whole, /"name":"Ada".*Grace.*:1\r\n-ERR unknown command 'NOSUCH', with args beginning with: 'a b' /s)
    for (let at = 1; at < pipeline.length; at++) {
      if (at > 40 && at < 330) continue
      assert.equal(await exchange(served.port, splitAt(pipeline, [at])), whole, `cut at ${at}`)
    }
    const seed = Number(process.env['TIDEMARK_SEED'] ?? 1)
    const random = seededRandom(seed)
    for (let round = 0; round < 100; round++) {
      const cuts = randomCuts(random, pipeline.length)
      assert.equal(
        await exchange(served.port, splitAt(pipeline, cuts)),
        whole,
        `TIDEMARK_SEED=${seed}, cuts ${cuts.join()}`,
      )
    }
    await eventually('all connections are gone', () => served.clients.length === 0)
  })

  test('longer than the receive buffer, with arguments longer than it, is answered in order', async () => {
    await using served = await ServedScene.open()
    const large = Buffer.alloc(3 * limits.receiveBufferBytes + 17, 'y')
    const parts: Buffer[] = []
    let expected = ''
    for (let i = 0; i < 20_000; i++) {
      const said = i % 5000 === 0 ? large : String(i)
      parts.push(request('ECHO', said))
      expected += `$${said.length}\r\n${said.toString()}\r\n`
    }
    const replies = await exchange(served.port, [Buffer.concat(parts)])
    assert.ok(replies === expected)
  })
})

describe('a session that waits for a row', () => {
  test('answers later requests afterwards and in order, while other sessions go on', async () => {
    await using served = await ServedScene.open()
    const { promise, resolve } = Promise.withResolvers<void>()
    served.scene.source.held = promise
    const waiting = await RespClient.connect(served.port)
    const other = await RespClient.connect(served.port)
    const answered: string[] = []
    const replies = ['GET users:1', 'SET a 1', 'GET a', 'PING'].map(line =>
      waiting.command(...line.split(' ')).then(reply => answered.push(`${line}: ${String(reply)}`)),
    )
    await eventually('the row is asked for', () => served.scene.source.loads.length > 0)
    assert.equal(await other.command('SET', 'b', '2'), 'OK')
    assert.equal(await other.command('GET', 'a'), null)
    assert.deepEqual(answered, [])
    resolve()
    await Promise.all(replies)
    assert.deepEqual(answered, [
      'GET users:1: {"id":1,"name":"Ada","city":"London"}',
      'SET a 1: OK',
      'GET a: 1',
      'PING: PONG',
    ])
    waiting.close()
    other.close()
  })

  test('has the rows that its pipeline reads next loaded in the same query', async () => {
    await using served = await ServedScene.open()
    const client = await RespClient.connect(served.port)
    const keys = ['users:1', 'users:2', 'plain', 'users:3', 'users:4']
    const replies = await Promise.all([
      ...keys.map(key => client.command('GET', key)),
      client.command('PING'),
      client.command('HGET', 'users:5', 'name'),
    ])
    assert.equal(replies.filter(reply => typeof reply === 'string' && reply.startsWith('{')).length, 3)
    assert.deepEqual(served.scene.source.loads, [['1', '2', '3', '4', '5']])
    client.close()
  })

  test('does not look past a write', async () => {
    await using served = await ServedScene.open()
    const client = await RespClient.connect(served.port)
    const name = client.command('HGET', 'users:2', 'name')
    const replies = [
      client.command('GET', 'users:1'),
      client.command('SET', 'a', '1'),
      client.command('GET', 'users:3'),
    ]
    await Promise.all([name, ...replies])
    assert.deepEqual(served.scene.source.loads, [['2', '1'], ['3']])
    await Promise.all(
      ['HGET users:99 name', 'FLUSHALL', 'GET users:98'].map(line => client.command(...line.split(' '))),
    )
    assert.deepEqual(served.scene.source.loads.slice(2), [['99'], ['98']])
    client.close()
  })

  test('is cleaned up when its client leaves, and the late row is dropped', async () => {
    await using served = await ServedScene.open()
    const { promise, resolve } = Promise.withResolvers<void>()
    served.scene.source.held = promise
    const socket = await connectTo(served.port)
    socket.write(request('GET', 'users:1'))
    await eventually('the row is asked for', () => served.scene.source.loads.length > 0)
    socket.resetAndDestroy()
    await eventually('the client is gone', () => served.clients.length === 0)
    resolve()
    const client = await RespClient.connect(served.port)
    assert.equal(await client.command('HGET', 'users:1', 'name'), 'Ada')
    client.close()
    assert.deepEqual(served.log, [])
  })

  test('still answers a client that has ended its side', async () => {
    await using served = await ServedScene.open()
    const { promise, resolve } = Promise.withResolvers<void>()
    served.scene.source.held = promise
    const replies = exchange(served.port, [Buffer.concat([request('HGET', 'users:1', 'name'), request('PING')])])
    await eventually('the row is asked for', () => served.scene.source.loads.length > 0)
    resolve()
    assert.equal(await replies, '$3\r\nAda\r\n+PONG\r\n')
  })

  test('stops reading when much is kept, and answers all of it', async () => {
    await using served = await ServedScene.open()
    const { promise, resolve } = Promise.withResolvers<void>()
    served.scene.source.held = promise
    const client = await RespClient.connect(served.port)
    const row = client.command('HGET', 'users:1', 'name')
    const blob = 'z'.repeat(10_000)
    const echoes = Array.from({ length: 3000 }, (_, i) => client.command('ECHO', `${i}${blob}`))
    let kept = 0
    await eventually('reading has stopped', () => {
      const before = kept
      kept = Number(served.clients[0]!.get('qbuf'))
      return kept > 262_144 && kept === before
    })
    assert.ok(kept <= 262_144 + limits.receiveBufferBytes, `${kept} bytes are kept`)
    resolve()
    assert.equal(await row, 'Ada')
    for (const [i, echo] of echoes.entries()) assert.equal(await echo, `${i}${blob}`)
    client.close()
  })
})

describe('a client that does not read', () => {
  test('is no longer executed past the backlog, harms nobody, and gets everything in the end', async () => {
    await using served = await ServedScene.open()
    const other = await RespClient.connect(served.port)
    // Of different lengths and bytes, so that bytes of another reply, or at another place, are noticed.
    const values = Array.from({ length: 7 }, (_, i) => Buffer.alloc(100_000 + 1111 * i, String(i)))
    for (const [i, value] of values.entries()) await other.command('SET', `v${i}`, value)
    const slow = await connectTo(served.port)
    const count = 600
    slow.write(Buffer.concat(Array.from({ length: count }, (_, i) => request('GET', `v${i % 7}`))))
    let unsent = 0
    await eventually('the session has stopped', () => {
      const before = unsent
      unsent = Math.max(...served.clients.map(client => Number(client.get('omem'))))
      return unsent > limits.replyBacklogBytesMax && unsent === before
    })
    assert.ok(unsent <= limits.replyBacklogBytesMax + 1_000_000, `${unsent} bytes wait`)
    assert.equal(await other.command('PING'), 'PONG')
    // Others' replies are written meanwhile with the same output buffer: none of them may end up here.
    const round = Buffer.concat(
      values.flatMap(value => [`$${value.length}\r\n`, value, '\r\n'].map(part => Buffer.from(part))),
    )
    const expected = Buffer.concat(Array.from({ length: Math.ceil(count / 7) }, () => round))
    const lastBytes = values
      .slice(0, count % 7)
      .reduce((sum, value) => sum + `$${value.length}\r\n\r\n`.length + value.length, 0)
    const bytes = Math.floor(count / 7) * round.length + lastBytes
    let received = 0
    slow.on('data', (chunk: Buffer) => {
      const same = chunk.equals(expected.subarray(received, received + chunk.length))
      received += chunk.length
      if (!same) slow.destroy(new Error(`a wrong byte before ${received}`))
    })
    const noise: Promise<unknown>[] = []
    await eventually('everything arrives', () => {
      noise.push(other.command('ECHO', 'noise'.repeat(1000)))
      assert.equal(slow.errored, null)
      return received === bytes
    })
    await Promise.all(noise)
    slow.destroy()
    other.close()
  })

  test('and leaves is cleaned up', async () => {
    await using served = await ServedScene.open()
    const slow = await connectTo(served.port)
    const value = Buffer.alloc(100_000, 'v')
    slow.write(Buffer.concat([request('SET', 'v', value), ...Array.from({ length: 600 }, () => request('GET', 'v'))]))
    await eventually('replies wait', () => Number(served.clients[0]?.get('omem')) > limits.replyBacklogBytesMax)
    slow.resetAndDestroy()
    await eventually('it is gone', () => served.clients.length === 0)
  })
})

test('an endless pipeline does not keep others from being answered', async () => {
  await using served = await ServedScene.open()
  const greedy = await connectTo(served.port)
  greedy.resume()
  const block = Buffer.concat(Array.from({ length: 20_000 }, () => request('ECHO', 'x')))
  const send = () => {
    while (greedy.write(block));
  }
  greedy.on('drain', send)
  send()
  const polite = await RespClient.connect(served.port)
  for (let i = 0; i < 100; i++) assert.equal(await polite.command('ECHO', i), String(i))
  greedy.removeListener('drain', send)
  greedy.destroy()
  polite.close()
})

test('a client that disconnects at any byte of a request leaves nothing behind', async () => {
  await using served = await ServedScene.open()
  const bytes = Buffer.concat([request('SET', 'k', 'value'), request('GET', 'users:1'), Buffer.from('PING "a')])
  for (let at = 0; at <= bytes.length; at++) {
    const socket = await connectTo(served.port)
    socket.write(bytes.subarray(0, at), () => (at % 2 === 0 ? socket.resetAndDestroy() : socket.destroy()))
    await once(socket, 'close')
  }
  await eventually('all are gone', () => served.clients.length === 0)
  const client = await RespClient.connect(served.port)
  assert.equal(await client.command('GET', 'k'), 'value')
  client.close()
  assert.deepEqual(served.log, [])
})

describe('malformed requests', () => {
  test("get Redis' error after the replies before them, and the connection is closed", async () => {
    await using served = await ServedScene.open()
    const bytes = Buffer.concat([request('PING'), Buffer.from('*1\r\n$x\r\n'), request('SET', 'never', '1')])
    assert.equal(await exchange(served.port, [bytes]), '+PONG\r\n-ERR Protocol error: invalid bulk length\r\n')
    const client = await RespClient.connect(served.port)
    assert.equal(await client.command('EXISTS', 'never'), 0)
    client.close()
    assert.equal(served.metrics.total('tidemark_protocol_errors_total'), 1)
  })
})

describe('limits', () => {
  test('one client too many is told so, and counts again once another has left', async () => {
    await using served = await ServedScene.open({ connectionsMax: 2 })
    const first = await RespClient.connect(served.port)
    const second = await RespClient.connect(served.port)
    await Promise.all([first.command('PING'), second.command('PING')])
    assert.equal(await exchange(served.port, []), '-ERR max number of clients reached\r\n')
    assert.equal(served.metrics.total('tidemark_connections_refused_total'), 1)
    first.close()
    await eventually('the first is gone', () => served.clients.length === 1)
    const third = await RespClient.connect(served.port)
    assert.equal(await third.command('PING'), 'PONG')
    second.close()
    third.close()
  })

  test('before AUTH only few and short arguments are read', async () => {
    await using served = await ServedScene.open({ requirepass: 'secret' })
    const many = '-ERR Protocol error: unauthenticated multibulk length\r\n'
    assert.equal(await exchange(served.port, [Buffer.from('*11\r\n$4\r\nPING\r\n')]), many)
    const long = '-ERR Protocol error: unauthenticated bulk length\r\n'
    assert.equal(await exchange(served.port, [Buffer.from('*2\r\n$4\r\nPING\r\n$20000\r\n')]), long)
    const wide = Array.from({ length: 30 }, (_, i) => `k${i}`)
    const client = await RespClient.connect(served.port, { password: 'secret' })
    assert.equal(await client.command('EXISTS', ...wide), 0)
    client.close()
  })
})

describe('closing', () => {
  test('lets the command that runs finish, and runs none after it', async () => {
    const served = await ServedScene.open()
    const { promise, resolve } = Promise.withResolvers<void>()
    served.scene.source.held = promise
    const client = await RespClient.connect(served.port)
    const idle = await RespClient.connect(served.port)
    const name = client.command('HGET', 'users:1', 'name')
    const late = client.command('SET', 'late', '1')
    await eventually('the row is asked for', () => served.scene.source.loads.length > 0)
    const stopped = served.thread.stop()
    await idle.closed
    resolve()
    assert.equal(await name, 'Ada')
    await assert.rejects(late)
    await stopped
    const bytes = Buffer.from('late')
    const { store } = served.scene
    assert.equal(store.get(bytes, 0, 4, store.hash(bytes, 0, 4), served.scene.clock.wallMs()), undefined)
    await served.scene[Symbol.asyncDispose]()
  })

  test('ends clients that neither read nor leave once the drain time is over', async () => {
    const served = await ServedScene.open({ drainMs: 700 })
    const slow = await connectTo(served.port)
    const value = Buffer.alloc(100_000, 'v')
    slow.write(Buffer.concat([request('SET', 'v', value), ...Array.from({ length: 600 }, () => request('GET', 'v'))]))
    await eventually('replies wait', () => Number(served.clients[0]?.get('omem')) > limits.replyBacklogBytesMax)
    let stopped = false
    const stopping = served.thread.stop().then(() => {
      stopped = true
    })
    served.scene.clock.advance(699)
    await new Promise(resolve => setTimeout(resolve, 20))
    assert.equal(stopped, false)
    served.scene.clock.advance(1)
    await stopping
    await served.scene[Symbol.asyncDispose]()
    slow.destroy()
  })
})

test('an unexpected error of a handler is answered, logged and counted', async () => {
  await using served = await ServedScene.open()
  const client = await RespClient.connect(served.port)
  served.scene.source.failure = new RangeError('out of cheese')
  const reply = await client.command('GET', 'users:1')
  assert.ok(reply instanceof ReplyError)
  assert.equal(reply.message, 'ERR internal error: out of cheese')
  assert.match(served.log.join('\n'), /a bug: get failed unexpectedly: RangeError: out of cheese/)
  assert.match(String(await client.command('INFO', 'errorstats')), /errorstat_ERR:count=1/)
  client.close()
})
