// The commands that Redis does not have, over sockets: what they answer in RESP2 and RESP3, through the clients that people
// use, and against a whole server with its database's thread.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test, type TestContext } from 'node:test'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { formatTicket, parseTicket } from '../../src/coherence/session.ts'
import { RespClient } from '../support/resp-client.ts'
import { startTidemark } from './running.ts'
import { ServedScene } from './served-scene.ts'

const ADA = '{"id":1,"name":"Ada","city":"London"}'
const TICKET = /^[0-9a-f]{16}-[0-9a-f]{16}$/

type Fields = Record<string, unknown>

function fields(reply: unknown): Fields {
  assert.ok(reply instanceof Map, String(reply))
  return Object.fromEntries(reply as Map<string, unknown>)
}

async function scene(
  t: TestContext,
): Promise<{ served: ServedScene; client: RespClient; read(line: string): Promise<Fields> }> {
  const served = await ServedScene.open()
  const client = await RespClient.connect(served.port, { resp: 3 })
  t.after(async () => {
    client.close()
    await served[Symbol.asyncDispose]()
  })
  return { served, client, read: async line => fields(await client.command('TM.READ', ...line.split(' '))) }
}

async function refused(client: RespClient, ...words: string[]): Promise<string> {
  const reply = await client.command(...words)
  assert.ok(reply instanceof Error, String(reply))
  return reply.message
}

describe('TM.READ', () => {
  test('answers a row, its age, where it came from, whether it is stale, and a ticket', async t => {
    const { served, read } = await scene(t)
    const { session, ...loaded } = await read('users:1')
    assert.deepEqual(loaded, { value: ADA, age: 0, tier: 'source', stale: false })
    assert.match(session as string, TICKET)
    served.scene.clock.advance(7)
    const hit = await read('users:1')
    assert.deepEqual({ ...hit, session: '' }, { value: ADA, age: 7, tier: 'near', stale: false, session: '' })
    assert.equal(served.scene.source.loads.length, 1)
    assert.equal((await read('users:9'))['value'], null)
    assert.equal((await read('users:9'))['tier'], 'near')
    const { hits, misses } = served.scene.counters
    assert.deepEqual([hits[0], misses[0]], [2, 2])
  })
  test('reads the database when memory is older than MAXSTALE, and always with 0', async t => {
    const { served, read } = await scene(t)
    const { loads } = served.scene.source
    await read('users:1')
    served.scene.clock.advance(20)
    assert.equal((await read('users:1 MAXSTALE 20'))['tier'], 'near')
    assert.equal((await read('users:1 MAXSTALE 19'))['tier'], 'source')
    assert.equal((await read('users:1 MAXSTALE 0'))['tier'], 'source')
    assert.equal(loads.length, 3)
    served.scene.other.exec("UPDATE users SET name = 'Eve' WHERE id = 1")
    assert.match((await read('users:1 MAXSTALE 0'))['value'] as string, /Eve/)
  })
  test('past its bound does as WHENSTALE says', async t => {
    const { served, client, read } = await scene(t)
    await read('users:1')
    served.scene.clock.advance(600)
    const served600 = await read('users:1 WHENSTALE serve')
    assert.deepEqual({ ...served600, session: '' }, { value: ADA, age: 600, tier: 'near', stale: true, session: '' })
    assert.match(
      await refused(client, 'TM.READ', 'users:1', 'WHENSTALE', 'fail'),
      /^STALE 'users:1' is proved only as of 600/,
    )
    assert.equal((await read('users:1 WHENSTALE source'))['tier'], 'source')
    assert.equal((await read('users:1 MAXSTALE 600 WHENSTALE fail'))['tier'], 'near', 'within the bound of the call')
  })
  test('with a ticket that memory does not reach asks the database, and gives a ticket no lower', async t => {
    const { served, client, read } = await scene(t)
    const first = await read('users:1')
    const ticket = parseTicket(first['session'] as string)!
    assert.equal((await read(`users:1 SESSION ${formatTicket(ticket)}`))['tier'], 'near')
    const ahead = formatTicket({ ...ticket, position: ticket.position + 1_000_000n })
    const answer = await read(`users:1 SESSION ${ahead} WHENSTALE serve`)
    assert.deepEqual([answer['tier'], answer['session']], ['source', ahead])
    const elsewhere = formatTicket({ ...ticket, epoch: ticket.epoch + 1n })
    assert.equal((await read(`users:1 SESSION ${elsewhere}`))['tier'], 'source', 'another run of the database')
    assert.equal(await client.command('TM.SESSION', 'users:1'), null, 'nothing was written')
    await client.command('HSET', 'users:1', 'city', 'Ely')
    const written = (await client.command('TM.SESSION', 'users:1')) as string
    const after = await read(`users:1 SESSION ${written}`)
    assert.match(after['value'] as string, /Ely/)
    assert.equal(after['tier'], 'near')
    const other = await RespClient.connect(served.port)
    assert.equal(await other.command('TM.SESSION', 'users:1'), null, 'another connection wrote nothing')
    other.close()
  })
  test('refuses what it does not know', async t => {
    const { client } = await scene(t)
    const errors: [string, RegExp][] = [
      ['TM.READ', /^ERR wrong number of arguments for 'tm.read'/],
      ['TM.READ plain', /^ROW_KEY_INVALID 'plain' names no keyspace/],
      ['TM.READ users:x', /^ROW_KEY_INVALID /],
      ['TM.READ users:1 MAXSTALE', /^ERR syntax error$/],
      ['TM.READ users:1 FOO 1', /^ERR syntax error$/],
      ['TM.READ users:1 MAXSTALE x', /^ERR value is not an integer/],
      ['TM.READ users:1 MAXSTALE -1', /^ERR MAXSTALE is 0 to 86400000 milliseconds$/],
      ['TM.READ users:1 WHENSTALE never', /^ERR WHENSTALE is source, serve or fail$/],
      ['TM.READ users:1 SESSION 12', /^ERR SESSION is a ticket/],
      ['TM.SESSION plain', /^ROW_KEY_INVALID /],
      ['TM.INVALIDATE users:1 plain', /^ROW_KEY_INVALID /],
    ]
    for (const [line, error] of errors) assert.match(await refused(client, ...line.split(' ')), error, line)
    await client.command('MULTI')
    assert.match(await refused(client, 'TM.READ', 'users:1'), /not allowed inside a transaction/)
  })
})

test('TM.INVALIDATE removes rows from memory, and counts each key once', async t => {
  const { served, client, read } = await scene(t)
  await read('users:1')
  await read('users:2')
  assert.equal(await client.command('TM.INVALIDATE', 'users:1', 'users:1', 'users:3'), 2)
  assert.equal((await read('users:2'))['tier'], 'near')
  assert.equal((await read('users:1'))['tier'], 'source')
  assert.equal(served.scene.source.loads.length, 3)
})

describe('a whole server', () => {
  async function whole(t: TestContext): Promise<{ port: number; other: DatabaseSync }> {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-tm-'))
    const file = join(folder, 'app.db')
    const other = new DatabaseSync(file)
    other.exec("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT) STRICT; INSERT INTO people VALUES (1, 'Ada')")
    t.after(() => {
      other.close()
      rmSync(folder, { recursive: true })
    })
    const databases = [{ kind: 'sqlite' as const, name: 'app', file, pollMs: 5, busyTimeoutMs: 1000 }]
    const users = { name: 'users', database: 'app', table: 'people', columns: undefined }
    const keyspaces = [{ ...users, maxStalenessMs: 400, whenStale: 'serve' as const }]
    return { port: (await startTidemark(t, { databases, keyspaces, threads: 2 })).port, other }
  }
  test('tells of its lanes and of its state, in RESP3 and in RESP2', async t => {
    const { port, other } = await whole(t)
    const client = await RespClient.connect(port, { resp: 3 })
    const old = await RespClient.connect(port)
    t.after(() => {
      client.close()
      old.close()
    })
    const lanes = ((await client.command('TM.LANES')) as unknown[]).map(fields)
    assert.equal(lanes.length, 64)
    assert.deepEqual(Object.keys(lanes[5]!), ['database', 'lane', 'generation', 'mark', 'age', 'shard', 'lag'])
    assert.deepEqual([lanes[5]!['database'], lanes[5]!['lane'], lanes[5]!['shard']], ['app', 5, 'memory'])
    assert.match(lanes[5]!['generation'] as string, /^[0-9a-f]{16}-[0-9a-f]{8}$/)
    assert.match(lanes[5]!['mark'] as string, /^\d+$/)
    const flat = (await old.command('TM.LANES')) as unknown[][]
    assert.deepEqual([flat.length, flat[0]!.length, flat[0]![0]], [64, 14, 'database'])

    other.exec("UPDATE people SET name = 'Eve'")
    let database: Fields = {}
    // The poll that notices is a few milliseconds away.
    for (let turn = 0; database['resets'] !== 64 && turn < 2000; turn++) {
      const status = fields(await client.command('TM.STATUS'))
      assert.deepEqual(fields(status['tier']), { kind: 'memory', servers: [], lanes: 64 })
      database = fields((status['databases'] as unknown[])[0])
      assert.deepEqual((status['keyspaces'] as unknown[]).map(fields), [
        { name: 'users', database: 'app', table: 'people', maxstale: 400, whenstale: 'serve', session: 'none' },
      ])
      await new Promise(resolve => setTimeout(resolve, 1))
    }
    assert.deepEqual(
      [database['name'], database['kind'], database['tide'], database['trouble']],
      ['app', 'sqlite', 'runs', null],
    )
    assert.equal(database['resets'], 64)
    assert.match(database['last-reset'] as string, /./)
    assert.ok(Math.abs((database['last-reset-at'] as number) - Date.now() / 1000) < 600)
    assert.equal(database['epoch'], (lanes[0]!['generation'] as string).slice(0, 16))
  })
  test('answers them through node-redis and ioredis', async t => {
    const { port } = await whole(t)
    const node = createClient({ socket: { port, host: '127.0.0.1' }, RESP: 3 })
    const io = new Redis({ port, host: '127.0.0.1' })
    await node.connect()
    const row = '{"id":1,"name":"Ada"}'
    const three = (await node.sendCommand(['TM.READ', 'users:1'])) as unknown as Record<string, unknown>
    assert.deepEqual([three['value'], three['stale']], [row, false])
    const two = (await io.call('TM.READ', 'users:1')) as unknown[]
    assert.deepEqual(
      two.filter((_, i) => i % 2 === 0),
      ['value', 'age', 'tier', 'stale', 'session'],
    )
    assert.deepEqual([two[1], two[5], two[7]], [row, 'near', 0])
    assert.equal(await io.call('TM.INVALIDATE', 'users:1'), 1)
    assert.equal(((await io.call('TM.READ', 'users:1')) as unknown[])[5], 'source')
    node.destroy()
    io.disconnect()
  })
})
