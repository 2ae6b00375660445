// Whole servers, started as `serve` starts them: what they refuse to start with, threads that die, closing, HTTP, and what
// all threads know of each other.
import { type TestContext, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startAdmin } from '../../src/admin/http.ts'
import { systemClock } from '../../src/base/clock.ts'
import { TidemarkError } from '../../src/base/errors.ts'
import { limits } from '../../src/base/limits.ts'
import type { ServerSettings } from '../../src/server/settings.ts'
import { type RunningServer, type ServerIo, startServer } from '../../src/server/supervisor.ts'
import { freePort } from '../support/redis-server.ts'
import { RespClient } from '../support/resp-client.ts'
import { eventually, testSettings } from './served-scene.ts'

interface Started {
  readonly server: RunningServer
  readonly log: string[]
}

async function start(
  t: TestContext,
  settings: Partial<ServerSettings> = {},
  io: Partial<ServerIo> = {},
): Promise<Started> {
  const log: string[] = []
  const clock = systemClock()
  const all = { clock, log: (line: string) => void log.push(line), startAdmin, ...io }
  const server = await startServer(testSettings(settings), all)
  t.after(() => server.stop())
  return { server, log }
}

function refusal(t: TestContext, settings: Partial<ServerSettings>): Promise<TidemarkError> {
  return start(t, settings).then(
    () => assert.fail('the server has started'),
    (thrown: unknown) => {
      assert.ok(thrown instanceof TidemarkError, String(thrown))
      return thrown
    },
  )
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-server-'))
  t.after(() => {
    chmodSync(folder, 0o700)
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

/** Clients of all threads: connects until each thread has one. */
async function clientOfEachThread(server: RunningServer, threads: number): Promise<RespClient[]> {
  const clients: RespClient[] = []
  for (let i = 0; i < 8 * threads; i++) clients.push(await RespClient.connect(server.port))
  return clients
}

describe('a server does not start', () => {
  test('on a port that another process listens on', async t => {
    const other = createServer()
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    t.after(() => other.close())
    const { port } = other.address() as AddressInfo
    const refused = await refusal(t, { port })
    assert.equal(refused.code, 'ADDRESS_TAKEN')
    assert.match(refused.message, new RegExp(`127\\.0\\.0\\.1:${port} .*--port.*TIDEMARK_PORT`))
  })

  test('on a port that another server shares between its threads', async t => {
    const { server } = await start(t, { threads: 2 })
    const refused = await refusal(t, { port: server.port })
    assert.equal(refused.code, 'ADDRESS_TAKEN')
  })

  test('on a port that another server is about to share between its threads', async t => {
    const port = await freePort()
    const [preparing, prepared] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const prepare = (): Promise<void> => {
      preparing.resolve()
      return prepared.promise
    }
    const first = start(t, { port, threads: 2 }, { prepare })
    await preparing.promise
    const refused = await refusal(t, { port, threads: 2 })
    prepared.resolve()
    assert.equal(refused.code, 'ADDRESS_TAKEN')
    const { server } = await first
    await server.stop()
    await start(t, { port, threads: 2 })
  })

  test('when the port for HTTP is taken, and leaves nothing behind', async t => {
    const folder = temporaryFolder(t)
    const { server } = await start(t)
    const refused = await refusal(t, { adminPort: server.adminPort, dataFolder: folder })
    assert.equal(refused.code, 'ADDRESS_TAKEN')
    assert.match(refused.message, /--admin-port.*TIDEMARK_ADMIN_PORT/)
    assert.deepEqual(readdirSync(folder), [])
  })

  test('on more than loopback without a password', async t => {
    for (const host of ['0.0.0.0', '::', '192.0.2.1']) {
      const refused = await refusal(t, { host })
      assert.equal(refused.code, 'PASSWORD_REQUIRED')
      assert.match(refused.message, /requirepass/)
    }
    const refused = await refusal(t, { adminHost: '0.0.0.0' })
    assert.equal(refused.code, 'PASSWORD_REQUIRED')
    assert.match(refused.message, /--admin-host/)
  })

  test('on an address that is not of this machine', async t => {
    const refused = await refusal(t, { host: '192.0.2.1', requirepass: 'x' })
    assert.equal(refused.code, 'ADDRESS_REFUSED')
  })

  test('on a data folder that another server uses', async t => {
    const folder = temporaryFolder(t)
    const { server } = await start(t, { dataFolder: folder })
    const refused = await refusal(t, { dataFolder: folder })
    assert.equal(refused.code, 'DATA_LOCKED')
    assert.ok(refused.message.includes(folder) && refused.message.includes(String(process.pid)), refused.message)
    assert.ok(existsSync(join(folder, 'tidemark.lock')))
    await server.stop()
    assert.deepEqual(readdirSync(folder), [])
    await start(t, { dataFolder: folder })
  })

  test('on a data folder that is not there or cannot be written', async t => {
    const folder = join(temporaryFolder(t), 'nowhere')
    const refused = await refusal(t, { dataFolder: folder })
    assert.equal(refused.code, 'DATA_UNWRITABLE')
    assert.match(refused.message, /--data/)
  })
})

describe('a stale lock file', () => {
  const contents: [string, string][] = [
    ['of a process that is gone', JSON.stringify({ pid: 2 ** 22 - 1, began: 'boot:1' })],
    ['of an earlier process with our own id', JSON.stringify({ pid: process.pid, began: 'boot:1' })],
    ['cut short by a crash', '{"pid":'],
    ['left empty', ''],
  ]
  for (const [what, content] of contents) {
    test(`${what} is taken over`, async t => {
      const folder = temporaryFolder(t)
      const file = join(folder, 'tidemark.lock')
      writeFileSync(file, content)
      await start(t, { dataFolder: folder })
      const holder = JSON.parse(readFileSync(file, 'utf8')) as { pid: number }
      assert.equal(holder.pid, process.pid)
    })
  }
})

test('without a password, localhost is served by name', async t => {
  const { server } = await start(t, { host: 'localhost' })
  const client = await RespClient.connect(server.port, { host: 'localhost' })
  assert.equal(await client.command('PING'), 'PONG')
  client.close()
})

describe('threads', () => {
  test('share memory, connections ids and statistics', async t => {
    const { server } = await start(t, { threads: 2 })
    const clients = await clientOfEachThread(server, 2)
    await Promise.all(clients.map((client, i) => client.command('SET', `k${i}`, i)))
    for (const [i, client] of clients.entries()) {
      const other = (i + 1) % clients.length
      assert.equal(await client.command('GET', `k${other}`), String(other))
    }
    const ids = new Set(await Promise.all(clients.map(client => client.command('CLIENT', 'ID'))))
    assert.equal(ids.size, clients.length)
    const list = String(await clients[0]!.command('CLIENT', 'LIST'))
      .trim()
      .split('\n')
    assert.equal(list.length, clients.length)
    assert.deepEqual(
      list.map(line => Number(/^id=(\d+)/.exec(line)![1])),
      [...ids].map(Number).sort((a, b) => a - b),
    )
    assert.match(
      String(await clients[1]!.command('INFO', 'clients')),
      new RegExp(`connected_clients:${clients.length}\r`),
    )
    await clients[0]!.command('CONFIG', 'RESETSTAT')
    assert.match(String(await clients[1]!.command('INFO', 'stats')), /total_connections_received:0\r/)
    for (const client of clients) client.close()
  })

  test('end clients of other threads', async t => {
    const { server } = await start(t, { threads: 2 })
    const clients = await clientOfEachThread(server, 2)
    const ids = await Promise.all(clients.map(client => client.command('CLIENT', 'ID')))
    const [first, ...others] = clients
    for (const [i, other] of others.entries()) {
      assert.equal(await first!.command('CLIENT', 'KILL', 'ID', String(ids[i + 1])), 1)
      await other.closed
    }
    assert.equal(await first!.command('CLIENT', 'KILL', 'ID', String(ids[1])), 0)
    assert.equal(await first!.command('CLIENT', 'KILL', 'ID', String(ids[0]), 'SKIPME', 'no'), 1)
    await first!.closed
  })

  const threadEntry = new URL('./faulty-thread.ts', import.meta.url)

  test('that die are replaced, with their locks freed, and the others go on', async t => {
    const { server, log } = await start(t, { threads: 2 }, { threadEntry })
    const clients = await clientOfEachThread(server, 2)
    await clients[0]!.command('SET', 'kept', '1')
    const victim = clients[0]!
    await assert.rejects(victim.command('GET', 'die:locked'))
    await eventually('it is replaced', () => log.length === 1)
    assert.match(
      log[0]!,
      /server thread [12] died and is replaced \(\d+ connections were closed, 1 shards of memory emptied\): .*told to die/s,
    )
    const others: RespClient[] = []
    for (const client of clients.slice(1)) {
      const alive = await client.command('PING').then(
        () => true,
        () => false,
      )
      if (alive) others.push(client)
    }
    assert.ok(others.length > 0, 'the other thread kept its clients')
    const survivor = others[0]!
    for (let i = 0; i < 500; i++) assert.equal(await survivor.command('SET', `after${i}`, i), 'OK')
    const info = String(await survivor.command('INFO'))
    assert.match(info, /thread_deaths:1\r/)
    assert.match(info, /shards_wiped:1\r/)
    assert.match(info, new RegExp(`connected_clients:${others.length}\r`))
    const fresh = await clientOfEachThread(server, 2)
    for (const client of fresh) assert.equal(await client.command('GET', 'after1'), '1')
    let status = 0
    while (status !== 200) {
      status = (await fetch(`http://127.0.0.1:${server.adminPort}/ready`)).status
      assert.ok(status === 200 || status === 503)
    }
    for (const client of [...others, ...fresh]) client.close()
  })

  test('that die again and again end the server', async t => {
    const { server, log } = await start(t, { threads: 1 }, { threadEntry })
    const exitCode = process.exitCode
    t.after(() => {
      process.exitCode = exitCode
    })
    for (let death = 0; death <= limits.threadDeathsPerMinuteMax; death++) {
      const client = await connectWhenUp(server)
      await assert.rejects(client.command('GET', 'die:now'))
    }
    const failure = await server.failed
    assert.equal(failure.code, 'THREADS_DIED')
    assert.equal(process.exitCode, 1)
    assert.match(log.at(-1)!, /^THREADS_DIED: .*told to die/s)
    await assert.rejects(RespClient.connect(server.port))
  })
})

async function connectWhenUp(server: RunningServer): Promise<RespClient> {
  for (let attempt = 0; ; attempt++) {
    try {
      const client = await RespClient.connect(server.port)
      await client.command('PING')
      return client
    } catch (thrown) {
      if (attempt === 1000) throw thrown
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  }
}

describe('closing', () => {
  test('ends all connections, frees the ports and can be asked for twice', async t => {
    const { server } = await start(t, { threads: 2 })
    const clients = await clientOfEachThread(server, 2)
    await Promise.all([server.stop(), server.stop()])
    await Promise.all(clients.map(client => client.closed))
    await assert.rejects(RespClient.connect(server.port))
    await assert.rejects(fetch(`http://127.0.0.1:${server.adminPort}/health`))
    await start(t, { port: server.port, adminPort: server.adminPort })
  })
})

describe('HTTP', () => {
  test('tells health, readiness and metrics, and refuses the rest as JSON', async t => {
    const { server } = await start(t, { threads: 2 })
    const client = await RespClient.connect(server.port)
    await client.command('SET', 'a', '1')
    await client.command('GET', 'a')
    await client.command('GET', 'b')
    await client.command('NOSUCH')
    const base = `http://127.0.0.1:${server.adminPort}`
    const health = await fetch(`${base}/health`)
    assert.equal(health.status, 200)
    assert.deepEqual(await health.json(), { status: 'up', pid: process.pid })
    const ready = await fetch(`${base}/ready?verbose`)
    assert.equal(ready.status, 200)
    assert.deepEqual(await ready.json(), { status: 'ready' })
    const metrics = await fetch(`${base}/metrics`)
    assert.match(metrics.headers.get('content-type')!, /^text\/plain; version=0\.0\.4/)
    const text = await metrics.text()
    for (const line of [
      'tidemark_hits_total 1',
      'tidemark_misses_total 1',
      'tidemark_connections 1',
      'tidemark_threads 2',
      'tidemark_entries 1',
      'tidemark_commands_total{command="get"} 2',
      'tidemark_error_replies_total{code="ERR"} 1',
    ]) {
      assert.ok(text.includes(`\n${line}\n`), `${line} is in ${text}`)
    }
    assert.match(text, /\ntidemark_command_seconds_count\{command="set"\} 1\n/)
    assert.match(String(await client.command('INFO')), /\r\nkeyspace_hits:1\r\nkeyspace_misses:1\r\n/)
    assert.equal((await fetch(base)).status, 404)
    assert.equal((await fetch(`${base}/constructor`)).status, 404)
    const post = await fetch(`${base}/ready`, { method: 'POST' })
    assert.equal(post.status, 405)
    assert.equal(post.headers.get('allow'), 'GET, HEAD')
    assert.equal(typeof ((await post.json()) as { message: string }).message, 'string')
    assert.equal(await (await fetch(`${base}/health`, { method: 'HEAD' })).text(), '')
    client.close()
  })
})
