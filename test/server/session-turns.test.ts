// Sessions on connections that the test plays itself, byte by byte and turn by turn: what depends on when bytes arrive and
// what the kernel takes. Over real sockets: session.test.ts.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { limits } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { Server } from '../../src/server/commands/server-call.ts'
import { commandNames, commandTable } from '../../src/server/commands/table.ts'
import { Statistics, serverMetrics } from '../../src/server/metrics.ts'
import { RequestBatch } from '../../src/server/request-batch.ts'
import { SessionThread } from '../../src/server/session-thread.ts'
import { LiveState } from '../../src/server/live-state.ts'
import { Tracking } from '../../src/server/tracking.ts'
import { SlowLog } from '../../src/server/slow-log.ts'
import { PubSub } from '../../src/server/pub-sub.ts'
import { Session } from '../../src/server/session.ts'
import type { Connection } from '../../src/server/transport.ts'
import type { Store } from '../../src/store/store.ts'
import { Scene } from '../cache/scene.ts'
import { eventually, testSettings } from './served-scene.ts'

fc.configureGlobal({ seed: Number(process.env['TIDEMARK_SEED'] ?? 1) })

class PlayedConnection implements Connection {
  readonly remoteAddress = '127.0.0.1:1'
  readonly localAddress = '127.0.0.1:2'
  sent = ''
  unsentBytes = 0
  paused = false
  closed = false
  /** Whether the kernel takes what is written. */
  takes = true

  write(bytes: Uint8Array): boolean {
    if (this.takes) this.sent += Buffer.from(bytes).toString('latin1')
    else this.unsentBytes += bytes.length
    return this.takes
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  close(): void {
    this.closed = true
  }

  destroy(): void {
    this.closed = true
  }
}

class Stage implements AsyncDisposable {
  readonly scene: Scene
  readonly sessions = new Map<number, Session>()
  readonly thread: SessionThread

  static async open(): Promise<Stage> {
    return new Stage(await Scene.open())
  }

  private constructor(scene: Scene) {
    this.scene = scene
    const metrics = serverMetrics(commandNames, 1, 0)
    const live = LiveState.create(1, testSettings())
    const server: Server = {
      settings: testSettings(),
      port: 0,
      table: commandTable,
      metrics,
      statistics: new Statistics(metrics, commandNames),
      runId: '',
      startedWallMs: 0,
      clients: this.sessions,
      clientCount: () => this.sessions.size,
      askPeers: () => Promise.resolve([]),
      requestSnapshot: () => Promise.resolve('busy'),
      sources: () => Promise.resolve([]),
      servedTier: undefined,
      passThrough: undefined,
      live,
      pubSub: new PubSub(0, live),
      slowLog: new SlowLog(live),
      tracking: new Tracking({ store: scene.store, clock: scene.clock, redirect: () => Promise.resolve(false) }),
      log: () => {},
      passwordMatches: () => true,
    }
    let id = 0
    const { store, cache, clock } = scene
    this.thread = new SessionThread({
      store,
      cache,
      server,
      clock,
      random: seededRandom(11),
      log: line => assert.fail(line),
      sessions: this.sessions,
      nextClientId: () => ++id,
      sessionClosed: () => {},
    })
  }

  session(): { session: Session; connection: PlayedConnection } {
    const connection = new PlayedConnection()
    return { session: new Session(this.thread, connection), connection }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scene[Symbol.asyncDispose]()
  }
}

function receive(session: Session, text: string): void {
  // As the receive buffer of all connections: gone as soon as the session has had it.
  const buffer = Buffer.alloc(limits.receiveBufferBytes)
  session.received(buffer, buffer.write(text, 'latin1'))
  buffer.fill('#')
}

test('requests of two connections, each cut, do not mix', async () => {
  await using stage = await Stage.open()
  const [a, b] = [stage.session(), stage.session()]
  receive(a.session, '*2\r\n$4\r\nECHO\r\n$10\r\n0123')
  receive(b.session, '*2\r\n$4\r\nEC')
  receive(a.session, '45')
  receive(b.session, 'HO\r\n$1\r\nx\r\n')
  receive(a.session, '6789\r\nPING\r\n')
  await eventually('both are answered', () => a.connection.sent === '$10\r\n0123456789\r\n+PONG\r\n')
  assert.equal(b.connection.sent, '$1\r\nx\r\n')
})

test('many commands in one chunk are run over several turns of the event loop', async () => {
  await using stage = await Stage.open()
  const { session, connection } = stage.session()
  receive(session, 'PING\r\n'.repeat(10_000))
  assert.equal(connection.sent, '+PONG\r\n'.repeat(4096))
  assert.equal(connection.paused, true)
  const other = stage.session()
  receive(other.session, 'ECHO between\r\n')
  await eventually('the other is answered', () => other.connection.sent === '$7\r\nbetween\r\n')
  assert.ok(connection.sent.length < 7 * 10_000)
  await eventually('all are answered', () => connection.sent === '+PONG\r\n'.repeat(10_000))
  await eventually('it is read again', () => !connection.paused)
})

test('after a full chunk the connection is read again in the next turn only', async () => {
  await using stage = await Stage.open()
  const { session, connection } = stage.session()
  const line = `ECHO ${'x'.repeat(1017)}\r\n`
  const lines = limits.receiveBufferBytes / line.length
  receive(session, line.repeat(lines))
  assert.equal(connection.sent.length, lines * (1017 + '$1017\r\n\r\n'.length))
  assert.equal(connection.paused, true)
  await eventually('it is read again', () => !connection.paused)
  receive(session, 'PING\r\n')
  assert.equal(connection.paused, false)
})

test('nothing is run after an error of the protocol or QUIT', async () => {
  await using stage = await Stage.open()
  for (const [last, reply] of [
    ['*x\r\n', '-ERR Protocol error: invalid multibulk length\r\n'],
    ['QUIT\r\nSET a 1\r\n', '+OK\r\n'],
  ] as const) {
    const { session, connection } = stage.session()
    receive(session, last)
    assert.equal(connection.closed, true)
    receive(session, 'SET a 1\r\n')
    assert.equal(connection.sent, reply)
  }
  const { session, connection } = stage.session()
  receive(session, 'EXISTS a\r\n')
  await eventually('it is answered', () => connection.sent === ':0\r\n')
})

test('requests that are parsed ahead, sixteen at a time, are answered as those that are parsed one by one', async () => {
  await using stage = await Stage.open()
  const request = fc.oneof(
    fc.tuple(fc.constantFrom('SET', 'APPEND', 'GETSET'), fc.constantFrom('a', 'b'), fc.string({ maxLength: 80 })),
    fc.tuple(fc.constantFrom('GET', 'INCR', 'STRLEN', 'ECHO', 'nonsense'), fc.constantFrom('a', 'b', 'users:1')),
    fc.tuple(fc.constantFrom('MULTI', 'EXEC', 'RESET', 'PING')),
    fc.array(fc.constantFrom('a', 'b'), { minLength: 17, maxLength: 40 }).map(keys => ['MGET', ...keys]),
  )
  const spelled = request.map(words =>
    words[0] === 'PING'
      ? 'PING\r\n'
      : `*${words.length}\r\n${words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`,
  )
  const last = fc.constantFrom('', '*1\r\n$4\r\nQUIT\r\nPING\r\n', '*x\r\nPING\r\n')
  await fc.assert(
    fc.asyncProperty(fc.array(spelled, { maxLength: 60 }), last, fc.array(fc.nat(3000)), async (texts, end, cuts) => {
      const bytes = Buffer.from(
        `*1\r\n$8\r\nFLUSHALL\r\n${texts.join('')}*1\r\n$5\r\nRESET\r\n*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n${end}`,
      )
      const replies: string[] = []
      for (const active of [false, true]) {
        stage.thread.batch.active = active
        const { session, connection } = stage.session()
        const places = [...new Set([0, ...cuts, bytes.length])].filter(at => at <= bytes.length).sort((x, y) => x - y)
        for (const [i, at] of places.slice(0, -1).entries())
          receive(session, bytes.toString('latin1', at, places[i + 1]))
        await eventually('all is answered', () => connection.sent.includes('$3\r\nend\r\n'))
        if (end !== '') await eventually('it is closed', () => connection.closed)
        replies.push(connection.sent)
      }
      assert.equal(replies[1], replies[0])
    }),
    { numRuns: 60 },
  )
})

test('parsing ahead begins where there are many keys', () => {
  let keys = 0
  const batch = new RequestBatch({ size: () => keys } as Store)
  for (const [many, active] of [
    [999_999, false],
    [1_000_000, true],
    [10, false],
  ] as const) {
    keys = many
    batch.look()
    assert.equal(batch.active, active)
  }
})

test('where many are busy, replies are sent together at the end of the turn, and in order with messages and the close', async () => {
  await using stage = await Stage.open()
  const busy = stage.session()
  const [a, b, c] = [stage.session(), stage.session(), stage.session()]
  receive(busy.session, 'PING\r\n')
  assert.equal(busy.connection.sent, '+PONG\r\n')
  receive(a.session, 'ECHO a\r\n')
  receive(b.session, 'SUBSCRIBE news\r\n')
  assert.equal(a.connection.sent, '')
  assert.equal(b.connection.sent, '')
  // A message, in the middle of another session's batch, goes behind the replies that wait.
  receive(c.session, 'PING\r\nPUBLISH news hot\r\nECHO c\r\n')
  assert.equal(a.connection.sent, '$1\r\na\r\n')
  const subscribed = '*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n'
  const message = '*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\nhot\r\n'
  assert.equal(b.connection.sent, subscribed + message)
  await eventually('the third is answered', () => c.connection.sent === '+PONG\r\n:1\r\n$1\r\nc\r\n')
  receive(busy.session, 'PING\r\n')
  receive(a.session, 'ECHO b\r\nQUIT\r\n')
  assert.equal(a.connection.sent, '$1\r\na\r\n$1\r\nb\r\n+OK\r\n')
  assert.equal(a.connection.closed, true)
})

test('a row that comes after its client has left is not written to anyone', async () => {
  await using stage = await Stage.open()
  const { promise, resolve } = Promise.withResolvers<void>()
  stage.scene.source.held = promise
  const { session, connection } = stage.session()
  receive(session, 'GET users:1\r\nSET a 1\r\n')
  await eventually('the row is asked for', () => stage.scene.source.loads.length > 0)
  session.closed()
  resolve()
  assert.equal(stage.sessions.size, 0)
  await eventually('the row is loaded', () => stage.scene.hit('users:1') !== undefined)
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(connection.sent, '')
  const other = stage.session()
  receive(other.session, 'EXISTS a\r\n')
  await eventually('it is answered', () => other.connection.sent === ':0\r\n')
})

test('while replies wait past the backlog nothing is run, and everything once they are gone', async () => {
  await using stage = await Stage.open()
  const { session, connection } = stage.session()
  receive(session, `SET v ${'v'.repeat(60_000)}\r\n`)
  connection.sent = ''
  connection.takes = false
  const gets = Math.ceil(limits.replyBacklogBytesMax / 60_000) + 10
  receive(session, 'GET v\r\n'.repeat(gets))
  assert.equal(connection.paused, true)
  assert.ok(connection.unsentBytes > limits.replyBacklogBytesMax)
  assert.ok(connection.unsentBytes <= limits.replyBacklogBytesMax + 400_000)
  connection.takes = true
  connection.unsentBytes = 0
  session.drained()
  assert.match(connection.sent, /^(\$60000\r\nv{60000}\r\n)+$/)
  assert.equal(connection.paused, false)
})

test('the end of the client is answered by closing, once all it asked for is done', async () => {
  await using stage = await Stage.open()
  const { session, connection } = stage.session()
  receive(session, 'HGET users:1 name\r\nPING\r\nPI')
  session.ended()
  assert.equal(connection.closed, false)
  await eventually('it is closed', () => connection.closed)
  assert.equal(connection.sent, '$3\r\nAda\r\n+PONG\r\n')
})
